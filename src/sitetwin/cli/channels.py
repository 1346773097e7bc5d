"""The command `sitetwin channels`: from a store of paths to a data set of channels."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitetwin.cli.console import print_facts, progress_bars, say
from sitetwin.cli.failures import Context, refuse_idle, writing_store
from sitetwin.cli.options.fields import FieldChoices
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.radios import ArrayChoices
from sitetwin.cli.options.single import Carrier, DelayReference, FirstTap, SiteOfPaths, choice, spacing_option
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.channel.request import ChannelRequest
    from sitetwin.rays.jobs.io import TraceSummary
    from sitetwin.store import TileStore

QUANTITIES = ("cfr", "delay-angle", "gains")
WAVEFRONTS = ("plane", "spherical")
STEERINGS = ("carrier", "per-subcarrier")
_MOST_SUBCARRIERS = 2**20


@option_group("Channels")
class ChannelChoices:
    """Which channels are made of paths."""

    quantity: Annotated[
        str,
        choice(*QUANTITIES, help="What is made: frequency responses, delay-angle channels, or the gain of each path."),
    ] = "cfr"
    carrier: Carrier = 3.5e9
    subcarriers: Annotated[int, typer.Option(min=1, max=_MOST_SUBCARRIERS, help="Number of subcarriers.")] = 256
    spacing: Annotated[float, spacing_option("Subcarrier spacing in Hz.")] = 30e3
    taps: Annotated[
        str,
        typer.Option(
            metavar="INTEGER|auto",
            help="Delay taps that delay-angle channels keep; auto keeps as many as the paths of all users need.",
        ),
    ] = "32"
    first_tap: FirstTap = 0
    delay_reference: DelayReference = "transmission"
    wavefront: Annotated[
        str, choice(*WAVEFRONTS, help="Wavefront over an array: plane, or spherical for users nearby.")
    ] = "plane"
    steering: Annotated[
        str,
        choice(
            *STEERINGS,
            help="Where the phases of an array are taken: at the carrier, or at each subcarrier (beam squint).",
        ),
    ] = "carrier"

    def check(self, ctx: Context) -> None:
        """Make sure that every option that was given means something beside the others.

        Raises:
            SiteTwinError: One says nothing.
        """
        if self.quantity == "gains":
            why = "to gains, which are those at the carrier; leave it out, or ask for cfr"
            refuse_idle(ctx, ("subcarriers", "spacing", "delay_reference"), why)
        if self.quantity != "delay-angle":
            refuse_idle(ctx, ("taps", "first_tap"), f"to {self.quantity}; leave it out, or ask for delay-angle")

    def _whole_taps(self) -> int:
        """The number of delay taps; 1 where it is yet to be found."""
        if self.taps == "auto":
            return 1
        if not (self.taps.isascii() and self.taps.isdigit() and int(self.taps[:9]) > 0 and len(self.taps) < 9):
            raise SiteTwinError(f"--taps is '{self.taps[:40]}'; give a whole number from 1 on, or auto")
        return int(self.taps)

    def request(self, arrays: ArrayChoices, how: FieldChoices) -> ChannelRequest:
        """What is asked of the library.

        Raises:
            SiteTwinError: The choices do not go together.
        """
        import sitetwin as st

        tx, rx = arrays.radios()
        return st.ChannelRequest(
            grid=st.OfdmGrid(self.carrier, self.subcarriers, self.spacing),
            quantity=self.quantity,  # type: ignore[arg-type]  # checked as it was read
            tx=tx,
            rx=rx,
            num_taps=self._whole_taps(),
            first_tap=self.first_tap,
            delay_reference=self.delay_reference,  # type: ignore[arg-type]
            wavefront=self.wavefront,  # type: ignore[arg-type]
            steering=self.steering,  # type: ignore[arg-type]
            options=how.options(),
        )


@takes_groups
def channels(
    ctx: Context,
    paths: Annotated[Path, typer.Argument(help="Folder of the paths, as `sitetwin trace` wrote it.")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the data set to write.")],
    what: ChannelChoices,
    arrays: ArrayChoices,
    how: FieldChoices,
    scene: SiteOfPaths = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a data set that was begun.")] = False,
) -> None:
    """Turn traced paths into a data set of channels, readable with xarray alone."""
    what.check(ctx)

    import sitetwin as st
    from sitetwin.face.fitting_taps import with_fitting_taps
    from sitetwin.face.sources import stores_in
    from sitetwin.rays.jobs.io import open_paths, summarise
    from sitetwin.store import TileStore

    begun = time.perf_counter()
    sources = [open_paths(place) for place in stores_in(paths) or [paths]]
    source = sources[0]
    how.check_traced(ctx, source)
    request = what.request(arrays, how)
    with writing_store(to, resume), progress_bars() as tell:
        site, summaries = how.site_of(source, scene), [summarise(one.path) for one in sources]
        how.note_assumptions(site, [what.carrier], source.configuration.get("settings", {}))
        empty = [one.path for one, found in zip(sources, summaries, strict=True) if found.paths == 0]
        if empty:
            raise SiteTwinError(
                f"no user in {empty[0]} has a path, so that all channels would be zero; trace again with the "
                "transmitter and the users nearer to each other"
            )
        if what.taps == "auto":
            request = with_fitting_taps(paths, site, request)
        st.channels_to_store(to, paths, site, request, progress=tell, resume=resume)
        stores = [TileStore.open(place) for place in stores_in(to) or [to]]
    _print_summary(summaries, stores, request, time.perf_counter() - begun)
    say(str(to))


def _print_summary(
    summaries: list[TraceSummary], stores: list[TileStore], request: ChannelRequest, seconds: float
) -> None:
    size = sum(file.stat().st_size for store in stores for file in store.path.rglob("*") if file.is_file())
    several = [("transmitters", f"{len(stores):,}")] if len(stores) > 1 else []
    shape = " x ".join(f"{count} {dim}" for count, dim in zip(request.shape, request.dims[1:], strict=True))
    print_facts(
        [
            *several,
            ("quantity", request.quantity),
            (f"values per {request.dims[0]}", shape),
            ("users", f"{summaries[0].users:,}"),
            ("users without a path", ", ".join(f"{one.users_without_path:,}" for one in summaries)),
            ("paths", f"{sum(one.paths for one in summaries):,}"),
            *_tap_rows(stores),
            ("tiles", f"{sum(len(store.tiles) for store in stores):,}"),
            ("size on disk", f"{size / 1e6:,.1f} MB"),
            ("seconds", f"{seconds:.1f}"),
        ]
    )


def _tap_rows(stores: list[TileStore]) -> list[tuple[str, str]]:
    """What the delay taps miss, of each transmitter's data set; nothing where there is nothing to say."""
    from sitetwin.channel.user_delays import FOLDED_USERS, stored_facts

    rows, found = [], [stored_facts(store) for store in stores]
    outside = [
        f"{facts['median_power_outside_taps']:.2%} of the median user, over 1% of "
        f"{facts['users_over_1_percent_outside_taps']:,} users"
        for facts in found
        if "median_power_outside_taps" in facts
    ]
    if outside:
        rows.append(("power outside of the taps", "; ".join(outside)))
    folded = [int(facts.get(FOLDED_USERS, 0)) for facts in found]
    if any(folded):
        counts = ", ".join(f"{count:,}" for count in folded)
        rows.append(("power beyond 1/spacing", f"over 1% of {counts} users"))
    return rows
