"""The command `sitetwin convergence`: how many rays a trace needs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sitetwin.cli.console import out, progress_bars, say
from sitetwin.cli.options import Height, SiteName, Spacing, Transmissions
from sitetwin.cli.trace_options import numbers, read_area
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.rays import Convergence

_KINDS = (".csv", ".png", ".svg")


def register_convergence(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("convergence")(convergence)


def convergence(
    scene: SiteName,
    tx: Annotated[str, typer.Option("--tx", "--transmitter", help="Transmitter X,Y,Z in metres.")],
    area: Annotated[str, typer.Option(help="Users' rectangle XMIN,YMIN,XMAX,YMAX in metres.")],
    to: Annotated[
        list[Path] | None, typer.Option("--out", help="FILE.csv, FILE.png or FILE.svg; may be given several times.")
    ] = None,
    spacing: Spacing = 1.0,
    height: Height = 1.5,
    depth: Annotated[int, typer.Option(min=0, max=8, help="Most reflections of a path.")] = 3,
    transmissions: Transmissions = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ray lattices.")] = 0,
    lattices: Annotated[int, typer.Option(min=1, max=256, help="Ray lattices to shoot.")] = 12,
    rays: Annotated[int, typer.Option(min=1000, max=100_000_000, help="Rays of a lattice.")] = 250_000,
    carrier: Annotated[float, typer.Option(help="Hz, at which power is weighed.")] = 3.5e9,
    unseen: Annotated[float, typer.Option(help="Bound on the missed share of (chain, user) pairs.")] = 5e-4,
    unseen_power: Annotated[float, typer.Option(help="Bound on the missed share of power.")] = 5e-4,
    indoors: Annotated[
        bool, typer.Option("--indoors", help="Allow the transmitter and the users inside buildings: for rooms.")
    ] = False,
) -> None:
    """Show what a trace finds, and what it is estimated to miss, against the rays shot."""
    position = numbers(tx, 3, "--tx")
    box = read_area(area, spacing, height)
    for option, bound in (("--unseen", unseen), ("--unseen-power", unseen_power)):
        if not 0 < bound < 1:
            raise SiteTwinError(f"{option} is {bound}; it is a share between 0 and 1")
    if not 1e6 <= carrier <= 1e12:
        raise SiteTwinError(f"--carrier is {carrier:g} Hz; give 1e6 to 1e12")
    files = to or []
    for file in files:
        if file.suffix.lower() not in _KINDS:
            raise SiteTwinError(f"--out is {str(file)!r}; give a file that ends in {', '.join(_KINDS)}")

    import numpy as np

    from sitetwin.channel import path_gains
    from sitetwin.rays import Paths, TraceSettings
    from sitetwin.rays import convergence as converge
    from sitetwin.report.convergence_figure import draw_convergence
    from sitetwin.site import check_transmitter, open_site, user_grid
    from sitetwin.store.files import disk_errors, write_file

    site = open_site(scene)

    def power(paths: Paths) -> np.ndarray:
        return path_gains(paths, site, carrier)[:, 0, 0].abs().square().numpy().astype(np.float64)

    with progress_bars() as tell:
        transmitter = check_transmitter(site, np.array(position), allow_indoors=indoors)
        users, _ = user_grid(box, spacing, height, site, allow_indoors=indoors)
        settings = TraceSettings(max_depth=depth, max_transmissions=transmissions, seed=seed, rays_per_lattice=rays)
        table = converge(
            site,
            transmitter,
            users,
            settings,
            lattices=lattices,
            power=power,
            progress=lambda share: tell("discover", share),
        )
    for file in files:
        kind = file.suffix.lower()
        data = table.to_csv().encode() if kind == ".csv" else draw_convergence(table)[kind[1:]]
        with disk_errors(f"writing {file.name}", file.parent, again="run it again"):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_file(file, data)
    _print(table)
    for name, bound in (("pairs", unseen), ("power", unseen_power)):
        row = table.stop(**{name: bound})
        enough = f"{row.lattices} lattices, {row.rays:,} rays" if row else f"not within {lattices} lattices"
        say(f"missed {name} under {bound:g}, with {table.confidence:.0%} confidence: {enough}")


def _print(table: Convergence) -> None:
    shown = Table("lattices", "rays", "chains", "paths", "missed pairs", "at most", "missed power", "at most")
    for row in table.rows:
        shares = (row.missed_pairs, row.missed_pairs_high, row.missed_power, row.missed_power_high)
        shown.add_row(
            *(f"{value:,}" for value in (row.lattices, row.rays, row.chains, row.paths)),
            *(f"{share:.1e}" for share in shares),
        )
    out.print(shown)
