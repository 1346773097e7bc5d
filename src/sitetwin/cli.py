"""The command line: `sitetwin ...`.

Commands import what they need when they run: a mistyped option is answered at once, and so is `--help`.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

import sitetwin
from sitetwin.cli_channels import register_channels
from sitetwin.cli_console import Group, Interrupted, out, plain, progress_bars, say, writing_store
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.doctor import Diagnosis
    from sitetwin.rays.io import TraceSummary

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


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"sitetwin {sitetwin.__version__}")
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
    from sitetwin.doctor import diagnose

    diagnosis = diagnose()
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=1))
    else:
        _print_diagnosis(diagnosis)
    if not diagnosis.can_trace:
        raise typer.Exit(1)


def _print_diagnosis(diagnosis: Diagnosis) -> None:
    colours = {"ok": "green", "warning": "yellow", "failure": "red"}
    table = Table(title=f"sitetwin {sitetwin.__version__}", title_justify="left")
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
    scene: Annotated[str, typer.Argument(help="Name of a built-in Sionna RT scene (munich), or a Mitsuba XML file.")],
    tx: Annotated[str, typer.Option(help="Transmitter X,Y,Z in metres.")],
    area: Annotated[str, typer.Option(help="Users' rectangle XMIN,YMIN,XMAX,YMAX in metres.")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the store to write.")],
    spacing: Annotated[float, typer.Option(help="Distance between users in metres.")] = 1.0,
    height: Annotated[float, typer.Option(help="Height of the users above the ground in metres.")] = 1.5,
    depth: Annotated[int, typer.Option(min=0, max=8, help="Most interactions of a path.")] = 3,
    diffraction: Annotated[
        bool, typer.Option("--diffraction", help="Trace paths with one diffraction at an edge too.")
    ] = False,
    reflections_before: Annotated[
        int, typer.Option(min=0, max=1, help="Most reflections of a diffracted path before the edge.")
    ] = 1,
    reflections_after: Annotated[
        int, typer.Option(min=0, max=1, help="Most reflections of a diffracted path after the edge.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ray lattices.")] = 0,
    tile_users: Annotated[int, typer.Option(min=1, help="Users per tile of the store.")] = 50_000,
    indoors: Annotated[
        bool, typer.Option("--indoors", help="Allow the transmitter and the users inside buildings: for rooms.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a store that was begun.")] = False,
) -> None:
    """Trace all paths from one transmitter to a grid of users into a store."""
    position = _numbers(tx, 3, "--tx")
    low_x, low_y, high_x, high_y = _numbers(area, 4, "--area")
    for option, value in (("--spacing", spacing), ("--height", height)):
        if not (math.isfinite(value) and value > 0):
            raise SiteTwinError(f"{option} is {value}; give a positive number of metres")
    if low_x >= high_x or low_y >= high_y:
        raise SiteTwinError(f"--area {area} is empty; give XMIN,YMIN,XMAX,YMAX with XMIN < XMAX and YMIN < YMAX")

    import numpy as np

    from sitetwin.rays.dense import TraceSettings
    from sitetwin.rays.io import summarise, trace_to_store
    from sitetwin.site import check_transmitter, load_scene, user_grid

    begun = time.perf_counter()
    with writing_store(to, resume), progress_bars() as tell:
        site = load_scene(scene)
        transmitter = check_transmitter(site, np.array(position), allow_indoors=indoors)
        users, dropped = user_grid((low_x, low_y, high_x, high_y), spacing, height, site, allow_indoors=indoors)
        settings = TraceSettings(
            max_depth=depth,
            seed=seed,
            diffraction=diffraction,
            reflections_before=reflections_before,
            reflections_after=reflections_after,
        )
        trace_to_store(to, site, transmitter, users, settings, tile_users, tell, resume)
    summary = summarise(to)
    _print_trace(summary, dropped, time.perf_counter() - begun)
    say(str(to))
    if summary.paths == 0:
        raise SiteTwinError(
            f"no user has a path: {to} holds {summary.users:,} users and not one path; move the transmitter or the "
            "area nearer to each other, or allow more reflections with --depth"
        )


def _numbers(text: str, count: int, option: str) -> list[float]:
    """Finite numbers separated by commas."""
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise SiteTwinError(f"{option} is {text!r}; give {count} numbers separated by commas, without spaces")
    return values


def _print_trace(summary: TraceSummary, dropped: int, seconds: float) -> None:
    shares = [summary.unseen_share, summary.unseen_share_diffracted]
    unseen, unseen_diffracted = ("not stated" if share is None else f"{share:.2e}" for share in shares)
    table = Table(show_header=False)
    for name, value in (
        ("users", f"{summary.users:,}"),
        ("dropped, inside buildings", f"{dropped:,}"),
        ("users without a path", f"{summary.users_without_path:,}"),
        ("paths", f"{summary.paths:,}"),
        ("line-of-sight share", f"{summary.line_of_sight_share:.1%}"),
        ("unseen share, estimated", unseen),
        *([("of diffracted paths", unseen_diffracted)] if summary.unseen_share_diffracted is not None else []),
        ("seconds", f"{seconds:.1f}"),
    ):
        table.add_row(name, value)
    out.print(table)


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
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; one per core by default.")] = None,
) -> None:
    """CSI compression and feedback: what a digital twin of Munich is worth, from the city to a refined codec."""
    from sitetwin.report import methods_table, write_report
    from sitetwin.studies import csi_study, run_csi_study

    study = csi_study(profile)
    try:
        with progress_bars() as tell:
            run_csi_study(study, to, _StudyWatcher(tell), workers)
            tell("report", 0.0)
            page = write_report(to)
            tell("report", 1.0)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; run the same command again to go on with {to}") from error
    results = json.loads((to / "results.json").read_text(encoding="utf-8"))
    out.print(methods_table(results))
    out.print(results["headline"]["text"], markup=False)
    say(str(page))


class _StudyWatcher:
    """Turns a study's news into bars, one for each stage."""

    def __init__(self, tell: Callable[[str, float], None]) -> None:
        self._tell = tell

    def stage(self, name: str, share: float) -> None:
        """A stage has come this far."""
        self._tell(name, share)


register_channels(app)


def main() -> None:
    """Run the command line on the arguments of this process."""
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Unicode still gets an answer
    app()
