"""The command line: `sitetwin ...`.

Commands import what they need when they run: a mistyped option is answered at once, and so is `--help`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sitetwin.cli.channels import register_channels
from sitetwin.cli.console import Context, Group, Interrupted, out, plain, progress_bars, say, writing_store
from sitetwin.cli.convergence import register_convergence
from sitetwin.cli.coverage import register_coverage
from sitetwin.cli.export import register_export
from sitetwin.cli.options import Depth, Diffraction, Diffuse, DiffuseTile, Height, SiteName, Spacing, Transmissions
from sitetwin.cli.place_options import transmitter_position
from sitetwin.cli.site import site_app
from sitetwin.cli.study_beams import register_beams
from sitetwin.cli.trace_options import (
    check_trace_options,
    print_traces,
    read_places,
    read_transmitters,
    refuse_empty_traces,
)
from sitetwin.cli.view import register_view
from sitetwin.errors import SiteTwinError
from sitetwin.version import __version__

if TYPE_CHECKING:
    from sitetwin.cli.doctor import Diagnosis

app = typer.Typer(
    cls=Group,
    help="Site-specific wireless digital twins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
store_app = typer.Typer(help="Look after stores of paths and data sets.", no_args_is_help=True)
app.add_typer(store_app, name="store")
study_app = typer.Typer(help="Run a study from a frozen configuration to a page of results.", no_args_is_help=True)
app.add_typer(study_app, name="study")
app.add_typer(site_app, name="site")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"sitetwin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Site-specific wireless digital twins."""
    try:
        os.getcwd()
    except OSError as error:  # libraries end the whole process over this
        raise SiteTwinError("the current folder no longer exists; change to another one") from error


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Check what of this machine can be used; exit status 1 if rays cannot be traced here."""
    from sitetwin.cli.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=1))
    else:
        _print_diagnosis(diagnosis)
    if not diagnosis.can_trace:
        raise typer.Exit(1)


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    colours = {"ok": "green", "warning": "yellow", "failure": "red"}
    table = Table(title=f"sitetwin {__version__}", title_justify="left")
    for column in ("check", "status", "found"):
        table.add_column(column, overflow="fold")
    for check in diagnosis.checks:
        colour = colours[check.status]
        table.add_row(check.name, f"[{colour}]{check.status}[/{colour}]", plain(check.detail))
    out.print(table)
    for check in diagnosis.checks:
        if check.mend:
            out.print(f"{check.name}: {check.mend}", markup=False, soft_wrap=True)
    if diagnosis.can_trace:
        out.print("Rays can be traced here.")
    else:
        out.print("Rays cannot be traced here: mend 'ray casting' first.")


@app.command()
def trace(
    ctx: Context,
    scene: SiteName,
    tx: Annotated[
        list[str],
        typer.Option(
            "--tx",
            "--transmitter",
            help="Transmitter X,Y,Z in metres or latlon:LAT,LON,HEIGHT (metres above the ground; roof+HEIGHT above the "
            "roof), or a file with one on each line; may be given several times.",
        ),
    ],
    to: Annotated[Path, typer.Option("--out", help="Folder of the store to write.")],
    area: Annotated[str | None, typer.Option(help="Users' rectangle XMIN,YMIN,XMAX,YMAX in metres.")] = None,
    area_latlon: Annotated[
        str | None, typer.Option(help="Or their box SOUTH,WEST,NORTH,EAST in degrees, for a site with a georeference.")
    ] = None,
    streets: Annotated[
        Path | None,
        typer.Option(
            help="Or a map (.osm, .geojson, ...): users stand on its streets, for a site with a georeference."
        ),
    ] = None,
    gpx: Annotated[
        Path | None,
        typer.Option(help="Or a GPX file: users stand along its tracks, --spacing apart."),
    ] = None,
    spacing: Spacing = 1.0,
    height: Height = 1.5,
    transmissions: Transmissions = 0,
    diffuse: Diffuse = 0,
    diffuse_tile: DiffuseTile = 5.0,
    depth: Depth = 3,
    diffraction: Diffraction = False,
    reflections_before: Annotated[
        int, typer.Option(min=0, max=1, help="Most reflections of a diffracted path before the edge.")
    ] = 1,
    reflections_after: Annotated[
        int, typer.Option(min=0, max=1, help="Most reflections of a diffracted path after the edge.")
    ] = 1,
    lit_region: Annotated[
        bool,
        typer.Option(
            "--lit-region/--no-lit-region", help="Keep diffracted paths also where the edge casts no shadow, or not."
        ),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ray lattices.")] = 0,
    tile_users: Annotated[int, typer.Option(min=1, help="Users per tile of the store.")] = 50_000,
    indoors: Annotated[
        bool, typer.Option("--indoors", help="Allow the transmitter and the users inside buildings: for rooms.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store that was begun.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes on this machine.")] = 1,
    scheduler: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers are used (tcp://host:port).")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="sitetwin, or sionna: Sionna RT in safe batches, as an independent referee.")
    ] = "sitetwin",
) -> None:
    """Trace all paths from one transmitter, or several, to a grid of users into a store, or one store for each."""
    check_trace_options(ctx, depth=depth, diffraction=diffraction, diffuse=diffuse, scheduler=scheduler)
    positions = read_transmitters(tx)
    users_at = read_places(area, area_latlon, streets, gpx, spacing, height)

    import numpy as np

    from sitetwin.rays import TraceJob, summarise
    from sitetwin.rays.dense import TraceSettings
    from sitetwin.rays.jobs.engines import check_engine
    from sitetwin.site import open_site

    begun = time.perf_counter()
    with writing_store(to, resume), progress_bars() as tell:
        site = open_site(scene)
        settings = TraceSettings(
            max_depth=depth,
            seed=seed,
            diffraction=diffraction,
            reflections_before=reflections_before,
            reflections_after=reflections_after,
            lit_region=lit_region,
            max_transmissions=transmissions,
            diffuse_paths=diffuse,
            diffuse_tile_m=diffuse_tile,
        )
        check_engine(engine, site, settings)
        places = [transmitter_position(site, place, allow_indoors=indoors) for place in positions]
        users, dropped = users_at.users(site, allow_indoors=indoors)
        job = TraceJob(site, np.array(places), users, settings, tile_users, engine)
        stores = job.run(to, tell, resume, workers=workers, scheduler=scheduler)
    summaries = {str(store.path): summarise(store.path) for store in stores}
    print_traces(summaries, dropped, time.perf_counter() - begun)
    say(str(to))
    refuse_empty_traces(summaries)


@store_app.command("verify")
def store_verify(path: Annotated[Path, typer.Argument(help="Folder of the store.")]) -> None:
    """Compare every group with its checksum; exit status 1 if one is damaged or missing."""
    from sitetwin.store import TileStore

    store = TileStore.open(path)
    damaged, missing = store.verify(), store.missing_tiles()
    for group in damaged:
        say(f"damaged: {group}")
    for index in missing:
        start, stop = store.tiles[index]
        say(f"missing: tile {index} (users {start} to {stop - 1})")
    if damaged or missing:
        raise SiteTwinError(
            f"{path} is not whole (damaged parts: {len(damaged)}, missing tiles: {len(missing)}); "
            "resume the run that makes it, which writes both"
        )
    say(f"{path}: {len(store.groups)} groups, all as their checksums say")


@store_app.command("compact")
def store_compact(
    path: Annotated[Path, typer.Argument(help="Folder of the store.")],
    to: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the flat data set to write.")],
) -> None:
    """Put the tiles of a store end to end into one Zarr data set."""
    from sitetwin.store import TileStore, compact

    compact(TileStore.open(path), to)
    say(str(to))


@store_app.command("info")
def store_info(path: Annotated[Path, typer.Argument(help="Folder of the store.")]) -> None:
    """Say what a store holds and how far it is."""
    from sitetwin.store import TileStore

    store = TileStore.open(path)
    table = Table(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for name, value in (
        *((key, json.dumps(value)) for key, value in store.attributes.items()),
        *(
            (f"configuration: {key}", json.dumps(value))
            for key, value in store.configuration.items()
            if key not in store.attributes or store.attributes[key] != value
        ),
        ("configuration hash", store.configuration_hash),
        ("users", f"{store.num_users:,}"),
        ("tiles finished", f"{len(store.tiles) - len(store.missing_tiles())} of {len(store.tiles)}"),
    ):
        table.add_row(plain(name), plain(value))
    out.print(table)


@study_app.command("csi")
def study_csi(
    to: Annotated[Path, typer.Option("--out", help="Folder of the results; the same folder goes on where it stopped.")],
    profile: Annotated[
        str,
        typer.Option(
            help="quick (minutes), anchor (hours: CSINet+ as published, one size) or paper (days: all sizes)."
        ),
    ] = "quick",
    cell: Annotated[
        Path | None, typer.Option(help="TOML file of a base station and its users on a site; Munich by default.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core by default.")] = None,
) -> None:
    """CSI compression and feedback: what a digital twin of a city is worth, from the city to a refined codec."""
    from sitetwin.report import methods_table, write_report
    from sitetwin.studies import csi_study, read_cell, run_csi_study

    study = csi_study(profile) if cell is None else csi_study(profile, read_cell(cell))
    try:
        with progress_bars() as tell:
            run_csi_study(study, to, tell, workers)
            tell("report", 0.0)
            page = write_report(to)
            tell("report", 1.0)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; run the same command again to go on with {to}") from error
    results = json.loads((to / "results.json").read_text(encoding="utf-8"))
    out.print(methods_table(results))
    out.print(results["headline"]["text"], markup=False)
    say(str(page))


register_beams(study_app)
register_channels(app)
register_coverage(app)
register_export(app)
register_convergence(app)
register_view(app)


def main() -> None:
    """Run the command line on the arguments of this process."""
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Unicode still gets an answer
    app()
