"""The command `sitetwin coverage`: maps of what users of an area receive from base stations."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import Context, Interrupted, out, plain, progress_bars, refuse_idle, say
from sitetwin.cli.field_options import (
    atmosphere_of,
    check_choices,
    check_scattering,
    roughened,
    warn_of_lost_scattering,
)
from sitetwin.cli.options import (
    Air,
    Depth,
    Diffraction,
    DiffractionModel,
    Diffuse,
    DiffuseSeed,
    DiffuseTile,
    Foliage,
    Height,
    OutOfRange,
    Rain,
    Scattering,
    Season,
    SiteName,
    Spacing,
    Transmissions,
)
from sitetwin.errors import SiteTwinError


def register_coverage(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("coverage")(coverage)


def coverage(
    ctx: Context,
    scene: SiteName,
    area: Annotated[str, typer.Option(help="Users' rectangle XMIN,YMIN,XMAX,YMAX in metres.")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the maps to write.")],
    station: Annotated[
        list[str] | None,
        typer.Option(
            help="A station, repeatable: 'position=X,Y,Z eirp_dbm=46', and where wanted name, yaw_deg, downtilt_deg, "
            "pattern, carrier_hz, subcarriers, spacing_hz, load."
        ),
    ] = None,
    stations: Annotated[
        Path | None, typer.Option(help="TOML or JSON file with a list 'stations' of the same keys.")
    ] = None,
    spacing: Spacing = 1.0,
    height: Height = 1.5,
    depth: Depth = 3,
    diffraction: Diffraction = False,
    transmissions: Transmissions = 0,
    diffuse: Diffuse = 0,
    diffuse_tile: DiffuseTile = 5.0,
    noise_figure: Annotated[float, typer.Option(help="Noise figure of the users' receivers in dB.")] = 9.0,
    season: Season = "summer",
    foliage: Foliage = "default",
    out_of_range: OutOfRange = "clamp",
    diffraction_model: DiffractionModel = "luebbers",
    atmosphere: Air = "none",
    rain: Rain = 0.0,
    scattering: Scattering = None,
    diffuse_seed: DiffuseSeed = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the ray lattices.")] = 0,
    tile_users: Annotated[int, typer.Option(min=1, help="Users worked on at a time.")] = 50_000,
    indoors: Annotated[
        bool, typer.Option("--indoors", help="Allow stations and users inside buildings: for rooms.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a folder that was begun, or use its paths for other stations.")
    ] = False,
) -> None:
    """Map path gain, RSRP, SINR, best server, delay and angular spread, Rician K and line of sight."""
    bounds = _bounds(area)
    for option, value in (("--spacing", spacing), ("--height", height)):
        if not (math.isfinite(value) and value > 0):
            raise SiteTwinError(f"{option} is {value}; give a positive number of metres")
    if not 0 <= noise_figure <= 100:
        raise SiteTwinError(f"--noise-figure is {noise_figure}; give a number from 0 to 100 dB")
    check_choices({"--season": season, "--out-of-range": out_of_range, "--diffraction-model": diffraction_model})
    check_scattering(scattering)
    air = atmosphere_of(atmosphere, rain)
    if not diffraction:
        idle = {"diffraction_model": "--diffraction-model"}
        refuse_idle(ctx, idle, "without --diffraction; add it, or leave this out")
    if not diffuse:
        idle = {"diffuse_tile": "--diffuse-tile", "diffuse_seed": "--diffuse-seed"}
        refuse_idle(ctx, idle, "without --diffuse; add it, or leave this out")
    _check_folder(to, resume)

    from sitetwin.channel.fields.foliage import foliage_model
    from sitetwin.channel.fields.path_gains import FieldOptions
    from sitetwin.channel.stations import named_stations, parse_station, read_stations
    from sitetwin.rays.dense import TraceSettings
    from sitetwin.report.coverage.writer import write_coverage
    from sitetwin.site import open_site
    from sitetwin.studies.coverage import Area, CoverageSettings, run_coverage

    begun = time.perf_counter()
    given = named_stations(
        [*(read_stations(stations) if stations else []), *(parse_station(text) for text in station or [])]
    )
    for one in given:
        if foliage != "none":
            foliage_model(foliage, one.carrier_hz)
        if air is not None:
            air.gas_db_per_km(one.carrier_hz)
    options = FieldOptions(
        season,  # type: ignore[arg-type]  # checked above
        None if foliage == "none" else foliage,
        out_of_range=out_of_range,
        atmosphere=air,
        diffuse_seed=diffuse_seed,
        diffraction=diffraction_model,
    )
    traced = TraceSettings(
        max_depth=depth,
        diffraction=diffraction,
        max_transmissions=transmissions,
        diffuse_paths=diffuse,
        diffuse_tile_m=diffuse_tile,
        seed=seed,
    )
    warn_of_lost_scattering(scattering, diffuse, "the coverage is traced")
    settings = CoverageSettings(traced, options, noise_figure, tile_users)
    with _resumable(to), progress_bars() as tell:
        site = roughened(open_site(scene), scattering)
        found = run_coverage(site, given, Area(bounds, spacing, height, indoors), settings, to, tell, resume)
        summary = write_coverage(found, to, tell)
    _print_summary(summary, time.perf_counter() - begun)
    say(str(to))
    if summary["users"]["without_a_path"] == len(found.users):
        raise SiteTwinError(
            f"no user has a path: the maps in {to} are empty; move the stations or the area nearer to each other, or "
            "allow more reflections with --depth"
        )


def _bounds(text: str) -> tuple[float, float, float, float]:
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) != 4 or not all(map(math.isfinite, values)):
        raise SiteTwinError(f"--area is {text!r}; give 4 numbers separated by commas, without spaces")
    if values[0] >= values[2] or values[1] >= values[3]:
        raise SiteTwinError(f"--area {text} is empty; give XMIN,YMIN,XMAX,YMAX with XMIN < XMAX and YMIN < YMAX")
    return values[0], values[1], values[2], values[3]


def _check_folder(to: Path, resume: bool) -> None:
    """A folder that is new or empty, or one that a coverage was begun in and that is to be gone on with."""
    if to.exists() and not to.is_dir():
        raise SiteTwinError(f"{to} is a file, not a folder; choose another folder")
    begun = (to / "configuration.json").is_file()
    if resume and not begun:
        raise SiteTwinError(f"{to} holds no coverage to go on with; check the path, or begin one without --resume")
    if not resume and to.is_dir() and any(to.iterdir()):
        mend = "go on with it with --resume, or " if begun else ""
        raise SiteTwinError(f"{to} is not empty; {mend}choose another folder")


@contextmanager
def _resumable(to: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as error:
        begun = (to / "configuration.json").is_file()
        mend = f"with --resume to go on with {to}" if begun else "to begin again: nothing was written yet"
        raise Interrupted(f"stopped; run the same command {mend}") from error


def _print_summary(summary: dict[str, Any], seconds: float) -> None:
    table = Table()
    for column in ("station", "served users", "served area", "line of sight", "unseen share"):
        table.add_column(column, justify="left" if column == "station" else "right")
    for station in summary["stations"]:
        table.add_row(
            plain(station["name"]),
            f"{station['served_users']:,}",
            f"{station['served_area_m2']:,.0f} m²",
            f"{station['line_of_sight_share']:.1%}",
            f"{station['unseen_share']:.2e}",
        )
    out.print(table)
    users = summary["users"]
    table = Table(show_header=False)
    for name in ("path_gain_db", "rsrp_dbm", "sinr_db"):
        facts = summary["quantities"][name]
        if "percentiles" in facts:
            low, middle, high = (facts["percentiles"][key] for key in ("5", "50", "95"))
            table.add_row(f"{name}: 5 %, median, 95 %", f"{low:.1f}, {middle:.1f}, {high:.1f}")
    table.add_row("users", f"{users['count']:,}")
    table.add_row("dropped, inside buildings", f"{users['dropped_inside_buildings']:,}")
    table.add_row("users without a path", f"{users['without_a_path']:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    out.print(table)
