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
from sitetwin.cli.options.single import Carrier, DelayReference, FirstTap, SiteOfPaths, choice, spacing_option
from sitetwin.cli.options.tracing import TracingOptions
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.learn.cell.codec import CellCodec

METHODS = (
    "klt",
    "global-klt",
    "lookup",
    "adaptive",
    "csinet+",
    "mixer",
    "omp",
    "etype2",
    "hybrid",
    "hybrid-light",
    "klt-entropy",
    "paths",
)


@option_group("Codec")
class CodecChoices:
    """Which codec is fitted, and to how many users."""

    method: Annotated[
        str,
        choice(
            *METHODS,
            help="Mixture of local KLTs, one KLT, a table of the twin's matrices, a network (adaptive, mixer, "
            "CSINet+ in hours), what knows no site (matching pursuit, 3GPP's Type II), or entropy-coded reports "
            "of zones, free paths and coefficients (hybrid), without paths (klt-entropy), or of paths alone, siteless.",
        ),
    ] = "klt"
    bits: Annotated[int, typer.Option(min=1, help="Bits of one report; a multiple of 32 for the first six.")] = 128
    samples: Annotated[int, typer.Option(min=1, help="Most users that the codec is fitted to, drawn at random.")] = 5120
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs of the training of a network; their own by default.")
    ] = None
    layers: Annotated[
        int | None,
        typer.Option(min=1, help="Layers of users with several antennas; one codec is fitted to all of them."),
    ] = None
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


@option_group("Source")
class SourceChoices:
    """What belongs to one kind of source: a station to a site, a site to paths, axes to measured channels."""

    tx: Annotated[
        str | None,
        typer.Option(
            "--tx",
            "--transmitter",
            help="Station of a site: X,Y,Z in metres, latlon:LAT,LON,HEIGHT, or its file.",
        ),
    ] = None
    site: SiteOfPaths = None
    axes: Annotated[
        str | None,
        typer.Option(help="Names of the axes of a file's array h in order, as user,antenna,subcarrier."),
    ] = None


_BAND = tuple(name for name in option_names(LinkChoices) if name not in ("taps", "first_tap"))
_OF_SITES = ("tx", *option_names(UserPlaces, TracingOptions))
_OF_FIELDS = option_names(FieldChoices)
_OF_USERS = ("ue_array", "ue_pattern")
_TURNS = ("bs_yaw", "bs_azimuth", "bs_downtilt", "pattern")
_IDLE = {
    "site": (("site", "axes"), "to a site"),
    "paths": ((*_OF_SITES, "axes"), "to a store of paths, which were traced with their own"),
    "channels": (
        (*_OF_SITES, *_OF_FIELDS, *_BAND, *option_names(ArrayChoices), "site", "axes"),
        "to a data set of channels, which was made with its own",
    ),
    "file": (
        (*_OF_SITES, *_OF_FIELDS, *_OF_USERS, *_TURNS, "site"),
        "to measured channels",
    ),
    "statistical": (
        (*_OF_SITES, *_OF_FIELDS, "bs_yaw", "bs_azimuth", "site", "axes"),
        "to statistical channels, which know no site",
    ),
}
"""Options that say nothing to a kind of source, and why."""

_FILES = (".npz", ".mat", ".h5", ".hdf5")
_STATISTICAL = "tr38901:"
_NO_SITES = (".npy", ".csv", ".tsv", ".txt", ".dat", ".nc", ".parquet", ".pkl", ".pt", ".tfrecord", ".tfrecords")


@takes_groups
def fit(
    ctx: Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SITE|STORE|FILE|tr38901:MODEL",
            help="Site whose paths are traced; paths, as `trace` wrote them; a data set, as `channels` wrote it; a "
            "file of measured channels (.npz, .mat, .h5); or tr38901:umi, tr38901:cdl-a to cdl-e, which know no site.",
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="File of the codec to write.")],
    given: SourceChoices,
    codec: CodecChoices,
    link: LinkChoices,
    places: UserPlaces,
    arrays: ArrayChoices,
    tracing: TracingOptions,
    how: FieldChoices,
) -> None:
    """Fit a codec to a cell: to a site's traced users, to paths, or to channels that were made or measured."""
    kind = _kind(source)
    idle, why = _IDLE[kind]
    refuse_idle(ctx, idle, f"{why}; leave it out")
    if kind == "site":
        tracing.check(ctx)
        places.check()
        if given.tx is None:
            raise SiteTwinError("a site needs its station; give --tx, or a data set of channels in place of the site")

    import sitetwin as st
    from sitetwin.learn.cell.methods import trained_for
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    method = codec.method if codec.epochs is None else trained_for(codec.method, codec.bits, codec.epochs)
    chosen: dict[str, Any] = {
        "method": method,
        "bits": codec.bits,
        "samples": codec.samples,
        "layers": codec.layers,
        "seed": codec.draw_seed,
    }
    band = {
        "carrier_hz": ("carrier", link.carrier),
        "subcarriers": ("subcarriers", link.subcarriers),
        "spacing_hz": ("subcarrier_spacing", link.subcarrier_spacing),
        "delay_reference": ("delay_reference", link.delay_reference),
    }
    taps = _given(ctx, {"num_taps": ("taps", link.taps), "first_tap": ("first_tap", link.first_tap)})
    try:
        with progress_bars() as tell:
            chosen["progress"] = tell
            if kind == "channels":
                found = st.fit_codec(source, **chosen, **taps)
            elif kind == "file":
                found = _of_file(ctx, source, given, arrays, chosen, {**_given(ctx, band), **taps})
            else:
                radio, user_radio = arrays.radios()
                wanted: dict[str, Any] = {name: value for name, (_, value) in band.items()}
                wanted |= {"num_taps": link.taps, "first_tap": link.first_tap, "radio": radio, "user_radio": user_radio}
                if kind == "paths":
                    found = _of_paths(ctx, source, given, how, chosen, wanted)
                elif kind == "statistical":
                    found = _of_model(source, chosen, wanted)
                else:
                    site = how.roughened(st.open_site(source))
                    how.note_assumptions(site, [link.carrier], vars(tracing.settings()))
                    users, _ = places.users(site)
                    chosen["settings"] = tracing.settings()
                    found = st.fit_codec(site, given.tx, users, **chosen, **wanted, **how.keywords())
        found.save(to)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; nothing was written to {to}") from error
    print_codec(found)
    say(str(to))


def _kind(source: str) -> str:
    """What a source is: a site, paths, channels or a file of channels."""
    if source.startswith(_STATISTICAL):
        return "statistical"
    path = Path(source)
    if path.suffix.lower() in _FILES and not path.is_dir():
        return "file"
    if path.suffix.lower() in _NO_SITES and path.is_file():
        raise SiteTwinError(
            f"{source} is no site, and channels are read from {', '.join(_FILES)}; write them into one, as the array h"
        )
    store = path if (path / "manifest.json").is_file() else next(iter(sorted(path.glob("tx[0-9]*"))), None)
    if store is None or not (store / "manifest.json").is_file():
        return "site"
    from sitetwin.store import TileStore

    return "channels" if TileStore.open(store).configuration.get("kind") == "channels" else "paths"


def _of_model(source: str, chosen: dict[str, Any], wanted: dict[str, Any]) -> CellCodec:
    """A codec of statistical channels."""
    import sitetwin as st

    model, tell = source.removeprefix(_STATISTICAL), chosen["progress"]
    wanted |= {"quantity": "delay-angle", "progress": lambda share: tell("draw", share)}
    return st.fit_codec(st.statistical_channels(model, chosen["samples"], chosen["seed"], **wanted), **chosen)


def _of_file(
    ctx: Context, source: str, given: SourceChoices, arrays: ArrayChoices, chosen: dict[str, Any], said: dict[str, Any]
) -> CellCodec:
    """A codec of measured channels."""
    import sitetwin as st

    h = st.open_csi(source, None if given.axes is None else [name.strip() for name in given.axes.split(",")])
    if _given(ctx, {"radio": ("bs_array", None), "file": ("bs_file", None)}):
        said["radio"] = arrays.radios()[0]
    return st.fit_codec(h, **chosen, **said)


def _of_paths(
    ctx: Context,
    source: str,
    given: SourceChoices,
    how: FieldChoices,
    chosen: dict[str, Any],
    wanted: dict[str, Any],
) -> CellCodec:
    """A codec of a store of paths of one transmitter."""
    import sitetwin as st
    from sitetwin.face.sources import stores_in
    from sitetwin.rays.jobs.io import open_paths

    several = stores_in(source)
    if several:
        raise SiteTwinError(f"{source} holds paths of several transmitters; give those of one, as {source}/tx000")
    store = open_paths(source)
    how.check_traced(ctx, store)
    site = how.site_of(store, given.site)
    how.note_assumptions(site, [wanted["carrier_hz"]], store.configuration.get("settings", {}))
    h = st.channels(source, site, quantity="delay-angle", **wanted, **how.keywords())
    return st.fit_codec(h, **chosen)


def _given(ctx: Context, options: dict[str, tuple[str, Any]]) -> dict[str, Any]:
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
