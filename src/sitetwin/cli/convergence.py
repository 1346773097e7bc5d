"""The command `sitetwin convergence`: how many rays a trace needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.extents import print_places
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.places import UserArea
from sitetwin.cli.options.single import LatticeSeed, SiteName, Transmissions, carrier_option
from sitetwin.errors import SiteTwinError
from sitetwin.face.transmitter_texts import read_transmitters

if TYPE_CHECKING:
    import numpy as np

    from sitetwin.rays import Convergence, Paths, TraceSettings
    from sitetwin.site import Site

_KINDS = (".csv", ".png", ".svg")


def _share(ctx: Any, param: Any, value: float) -> float:
    if not 0 < value < 1:
        raise SiteTwinError(f"{param.opts[0]} is {value}; it is a share between 0 and 1")
    return value


@option_group("Rays")
class Lattices:
    """Which paths are sought, and with how many rays."""

    depth: Annotated[int, typer.Option(min=0, max=8, help="Most reflections of a path.")] = 3
    transmissions: Transmissions = 0
    seed: LatticeSeed = 0
    lattices: Annotated[int, typer.Option(min=1, max=256, help="Ray lattices to shoot.")] = 12
    rays: Annotated[int, typer.Option(min=1000, max=100_000_000, help="Rays of a lattice.")] = 250_000

    def settings(self) -> TraceSettings:
        """The settings of the tracer."""
        from sitetwin.rays import TraceSettings

        return TraceSettings(
            max_depth=self.depth,
            max_transmissions=self.transmissions,
            seed=self.seed,
            rays_per_lattice=self.rays,
        )


@option_group("Stop rule")
class StopRule:
    """When rays are enough."""

    carrier: Annotated[float, carrier_option("Carrier in Hz, at which power is weighed.")] = 3.5e9
    unseen: Annotated[
        float, typer.Option(callback=_share, help="Bound on the missed share of (chain, user) pairs.")
    ] = 5e-4
    unseen_power: Annotated[float, typer.Option(callback=_share, help="Bound on the missed share of power.")] = 5e-4

    def tell(self, table: Convergence, lattices: int) -> None:
        """Say how many rays keep what is missed under the bounds, and on how many users that rests."""
        say(f"estimated on {table.probe_users:,} users; at most: upper limit with {table.confidence:.0%} confidence")
        for name, bound in (("pairs", self.unseen), ("power", self.unseen_power)):
            row = table.stop(**{name: bound})
            enough = f"{row.lattices} lattices, {row.rays:,} rays" if row else f"not within {lattices} lattices"
            say(f"missed {name} under {bound:g}, with {table.confidence:.0%} confidence: {enough}")


@takes_groups
def convergence(
    scene: SiteName,
    tx: Annotated[
        str, typer.Option("--tx", "--transmitter", help="Transmitter X,Y,Z in metres, or latlon:LAT,LON,HEIGHT.")
    ],
    grid: UserArea,
    shot: Lattices,
    rule: StopRule,
    to: Annotated[
        list[Path] | None,
        typer.Option("--out", help="File to write: FILE.csv, FILE.png or FILE.svg; may be given several times."),
    ] = None,
) -> None:
    """Show what a trace finds, and what it is estimated to miss, against the rays shot."""
    places = read_transmitters([tx], "--tx")
    if len(places) != 1:
        raise SiteTwinError(f"--tx names {len(places)} transmitters; give one")
    area, degrees = grid.bounds()
    files = to or []
    for file in files:
        if file.suffix.lower() not in _KINDS:
            raise SiteTwinError(f"--out is {str(file)!r}; give a file that ends in {', '.join(_KINDS)}")

    import sitetwin as st
    from sitetwin.rays import convergence as converge
    from sitetwin.site import open_site

    site = open_site(scene)
    with progress_bars() as tell:
        (transmitter,) = st.transmitters(site, places, allow_indoors=grid.indoors)
        users = st.grid(site, area, grid.spacing, grid.height, degrees=degrees, allow_indoors=grid.indoors)
        table = converge(
            site,
            transmitter,
            users,
            shot.settings(),
            lattices=shot.lattices,
            power=lambda paths: _power(paths, site, rule.carrier),
            progress=lambda share: tell("discover", share),
        )
    for file in files:
        _write(table, file)
    _print(table)
    print_places(site, {"transmitter": transmitter}, users)
    rule.tell(table, shot.lattices)


def _power(paths: Paths, site: Site, carrier_hz: float) -> np.ndarray:
    import sitetwin as st

    return st.gains(paths, site, carrier_hz=carrier_hz).power[:, 0, 0].numpy()


def _write(table: Convergence, file: Path) -> None:
    from sitetwin.report.convergence_figure import draw_convergence
    from sitetwin.store.files import disk_errors, write_file

    kind = file.suffix.lower()
    data = table.to_csv().encode() if kind == ".csv" else draw_convergence(table)[kind[1:]]
    with disk_errors(f"writing {file.name}", file.parent, again="run it again"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, data)


def _print(table: Convergence) -> None:
    shown = Table("lattices", "rays", "chains", "paths", "missed pairs", "at most", "missed power", "at most")
    for row in table.rows:
        shares = (row.missed_pairs, row.missed_pairs_high, row.missed_power, row.missed_power_high)
        shown.add_row(
            *(f"{value:,}" for value in (row.lattices, row.rays, row.chains, row.paths)),
            *(f"{share:.1e}" for share in shares),
        )
    out.print(shown)
