"""The command `sitetwin codec fit`: a codec of CSI feedback for one's own cell, from a site or from channels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitetwin.cli.console import progress_bars, say
from sitetwin.cli.failures import Context, Interrupted, refuse_idle
from sitetwin.cli.options.fields import FieldChoices
from sitetwin.cli.options.groups import option_group, option_names, takes_groups
from sitetwin.cli.options.places import UserPlaces
from sitetwin.cli.options.radios import ArrayChoices
from sitetwin.cli.options.single import Carrier, DelayReference, FirstTap, choice, spacing_option
from sitetwin.cli.options.tracing import TracingOptions
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.learn.cell.codec import CellCodec

METHODS = ("klt", "global-klt", "lookup", "adaptive", "csinet+", "omp", "etype2")


@option_group("Codec")
class CodecChoices:
    """Which codec is fitted, and to how many users."""

    method: Annotated[
        str,
        choice(
            *METHODS,
            help="Mixture of local KLTs, one KLT, a table of the twin's matrices, a network (adaptive, or CSINet+, "
            "which takes hours), or what knows no site: matching pursuit, or 3GPP's enhanced Type II.",
        ),
    ] = "klt"
    bits: Annotated[int, typer.Option(min=1, help="Bits of one report; a multiple of 32 for the first five.")] = 128
    samples: Annotated[int, typer.Option(min=1, help="Most users that the codec is fitted to, drawn at random.")] = 5120
    draw_seed: Annotated[int, typer.Option(min=0, help="Seed of the draw of users and of the fit.")] = 0


@option_group("Link")
class LinkChoices:
    """Band and delay taps of a site's channels."""

    carrier: Carrier = 3.5e9
    subcarriers: Annotated[int, typer.Option(min=1, max=2**20, help="Number of subcarriers.")] = 256
    subcarrier_spacing: Annotated[float, spacing_option("Subcarrier spacing in Hz.")] = 30e3
    taps: Annotated[int, typer.Option(min=1, help="Delay taps that a matrix keeps.")] = 32
    first_tap: FirstTap = 0
    delay_reference: DelayReference = "transmission"


_OF_SITES = (
    "tx",
    *(name for name in option_names(LinkChoices) if name not in ("taps", "first_tap")),
    *option_names(UserPlaces, ArrayChoices, TracingOptions, FieldChoices),
)


@takes_groups
def fit(
    ctx: Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SITE|STORE", help="Site whose paths are traced, or data set of channels, as `channels` wrote it."
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="File of the codec to write.")],
    codec: CodecChoices,
    link: LinkChoices,
    places: UserPlaces,
    arrays: ArrayChoices,
    tracing: TracingOptions,
    how: FieldChoices,
    tx: Annotated[
        str | None,
        typer.Option(
            "--tx", "--transmitter", help="Station of a site: X,Y,Z in metres, latlon:LAT,LON,HEIGHT, or its file."
        ),
    ] = None,
) -> None:
    """Fit a codec to a cell: to a site's traced users, or to channels that were made."""
    is_store = (Path(source) / "manifest.json").is_file() or any(Path(source).glob("tx[0-9]*/manifest.json"))
    if is_store:
        refuse_idle(ctx, _OF_SITES, f"to {source}, a data set that was made with its own; leave it out")
    else:
        tracing.check(ctx)
        places.check()
        if tx is None:
            raise SiteTwinError("a site needs its station; give --tx, or a data set of channels in place of the site")

    import sitetwin as st
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    chosen: dict[str, Any] = {
        "method": codec.method,
        "bits": codec.bits,
        "samples": codec.samples,
        "seed": codec.draw_seed,
    }
    try:
        with progress_bars() as tell:
            if is_store:
                taps = _given(ctx, {"num_taps": ("taps", link.taps), "first_tap": ("first_tap", link.first_tap)})
                found = st.fit_codec(source, progress=tell, **chosen, **taps)
            else:
                site = how.roughened(st.open_site(source))
                how.note_assumptions(site, [link.carrier], vars(tracing.settings()))
                users, _ = places.users(site)
                radio, user_radio = arrays.radios()
                found = st.fit_codec(
                    site,
                    tx,
                    users,
                    settings=tracing.settings(),
                    progress=tell,
                    carrier_hz=link.carrier,
                    subcarriers=link.subcarriers,
                    spacing_hz=link.subcarrier_spacing,
                    num_taps=link.taps,
                    first_tap=link.first_tap,
                    delay_reference=link.delay_reference,  # type: ignore[arg-type]  # checked as it was read
                    radio=radio,
                    user_radio=user_radio,
                    **chosen,
                    **how.keywords(),
                )
        found.save(to)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; nothing was written to {to}") from error
    print_codec(found)
    say(str(to))


def _given(ctx: Context, options: dict[str, tuple[str, int]]) -> dict[str, Any]:
    """Those of some options that were given, by their names in Python."""
    found = {}
    for name, (parameter, value) in options.items():
        source = ctx.get_parameter_source(parameter)
        if source is not None and source.name == "COMMANDLINE":
            found[name] = value
    return found


def print_codec(codec: CellCodec) -> None:
    """Print what is said of a codec, a line for each."""
    from sitetwin.cli.console import print_facts

    facts = codec.facts()
    training = facts.pop("training")
    facts["fitted to"] = f"{training.get('matrices', 0):,} matrices"
    for number, step in enumerate(training["updates"]):
        facts[f"update to version {number + 2}"] = ", ".join(f"{name} {value}" for name, value in step.items())
    facts["parents"] = ", ".join(one[:12] for one in facts["parents"]) or "none"
    print_facts((name.replace("_", " "), str(value)) for name, value in facts.items())
