"""What `sitetwin trace` reads from its options and says at its end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from sitetwin.cli.console import Context, out, plain, refuse_idle
from sitetwin.cli.place_options import LATLON, LatLon, UserPlaces, parse_latlon
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.rays.jobs.io import TraceSummary

MOST_TRANSMITTERS = 1000
_OF_DIFFRACTION = {
    "reflections_before": "--reflections-before",
    "reflections_after": "--reflections-after",
    "lit_region": "--no-lit-region",
}
_MOST_BYTES = 1 << 20  # of a file of transmitters


def numbers(text: str, count: int, option: str) -> list[float]:
    """Finite numbers separated by commas.

    Raises:
        SiteTwinError: They are not.
    """
    values = _finite(text, count)
    if values is None:
        raise SiteTwinError(f"{option} is {text!r}; give {count} numbers separated by commas, without spaces")
    return values


def read_area(area: str, spacing: float, height: float) -> tuple[float, float, float, float]:
    """The users' rectangle, with the numbers that go with it checked.

    Raises:
        SiteTwinError: The rectangle is empty or no rectangle, or a number is not positive.
    """
    low_x, low_y, high_x, high_y = numbers(area, 4, "--area")
    _check_positive(spacing, height)
    if low_x >= high_x or low_y >= high_y:
        raise SiteTwinError(f"--area {area} is empty; give XMIN,YMIN,XMAX,YMAX with XMIN < XMAX and YMIN < YMAX")
    return low_x, low_y, high_x, high_y


def read_places(
    area: str | None, area_latlon: str | None, streets: Path | None, gpx: Path | None, spacing: float, height: float
) -> UserPlaces:
    """Where the users are, from the four options that may say so.

    Raises:
        SiteTwinError: None or several of them were given, or one is not what it should be.
    """
    given = {"--area": area, "--area-latlon": area_latlon, "--streets": streets, "--gpx": gpx}
    named = [option for option, value in given.items() if value is not None]
    if len(named) != 1:
        said = " and ".join(named) or "no place for users"
        raise SiteTwinError(f"{said} was given; give one of {', '.join(given)}")
    if area is not None:
        return UserPlaces(read_area(area, spacing, height), None, None, None, spacing, height)
    _check_positive(spacing, height)
    if area_latlon is None:
        return UserPlaces(None, None, streets, gpx, spacing, height)
    south, west, north, east = numbers(area_latlon, 4, "--area-latlon")
    return UserPlaces(None, (south, west, north, east), None, None, spacing, height)


def _check_positive(spacing: float, height: float) -> None:
    for option, value in (("--spacing", spacing), ("--height", height)):
        if not (math.isfinite(value) and value > 0):
            raise SiteTwinError(f"{option} is {value}; give a positive number of metres")


def read_transmitters(given: list[str]) -> list[list[float] | LatLon]:
    """Places from the values of ``--tx``: X,Y,Z or latlon:LAT,LON,HEIGHT each, or files with one on each line.

    In files, empty lines and those that begin with # are skipped.

    Raises:
        SiteTwinError: A value is neither, a line of a file is no place, or there are none or too many.
    """
    places: list[list[float] | LatLon] = []
    for text in given:
        place = _place(text)
        if place is None and Path(text).is_file():
            places += _transmitters_of(Path(text))
        else:
            places.append(place or numbers(text, 3, "--tx"))
    if not 1 <= len(places) <= MOST_TRANSMITTERS:
        raise SiteTwinError(f"--tx names {len(places)} transmitters; give 1 to {MOST_TRANSMITTERS} in one run")
    return places


def check_trace_options(ctx: Context, *, depth: int, diffraction: bool, diffuse: int, scheduler: str | None) -> None:
    """Make sure that every option that was given means something beside the others.

    Raises:
        SiteTwinError: One says nothing.
    """
    if diffraction and depth == 0:
        raise SiteTwinError("--diffraction says nothing with --depth 0, the line of sight; give --depth 1 or more")
    if not diffraction:
        refuse_idle(ctx, _OF_DIFFRACTION, "without --diffraction; add it, or leave this out")
    if not diffuse:
        refuse_idle(ctx, {"diffuse_tile": "--diffuse-tile"}, "without --diffuse; add it, or leave this out")
    if scheduler is not None:
        refuse_idle(ctx, {"workers": "--workers"}, "beside --scheduler, which has its own workers; leave one out")


def _transmitters_of(file: Path) -> list[list[float] | LatLon]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SiteTwinError(f"{file} has more than {_MOST_BYTES} bytes; give X,Y,Z of one transmitter on each line")
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise SiteTwinError(f"{file} cannot be read: {error.strerror}; check its permissions") from error
    except UnicodeDecodeError as error:
        raise SiteTwinError(f"{file} is no text; give X,Y,Z of one transmitter on each line") from error
    places: list[list[float] | LatLon] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = _place(line.strip())
        if place is None:
            raise SiteTwinError(f"line {number} of {file} is {line[:40]!r}; give X,Y,Z, three numbers in metres")
        places.append(place)
    return places


def _place(text: str) -> list[float] | LatLon | None:
    return parse_latlon(text) if text.startswith(LATLON) else _finite(text, 3)


def _finite(text: str, count: int) -> list[float] | None:
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def print_traces(summaries: dict[str, TraceSummary], dropped: int, seconds: float) -> None:
    """A table of finished traces; with several stores, one row for each."""
    values = {name: _values(summary) for name, summary in summaries.items()}
    if len(values) > 1:
        table = Table("store", *next(iter(values.values())))
        for name, entries in values.items():
            table.add_row(plain(Path(name).name), *entries.values())
        out.print(table)
    table = Table(show_header=False)
    if len(values) == 1:
        for entry in next(iter(values.values())).items():
            table.add_row(*entry)
    table.add_row("dropped, inside buildings", f"{dropped:,}")
    table.add_row("seconds", f"{seconds:.1f}")
    out.print(table)


def _values(summary: TraceSummary) -> dict[str, str]:
    return {
        "users": f"{summary.users:,}",
        "users without a path": f"{summary.users_without_path:,}",
        "paths": f"{summary.paths:,}",
        "line-of-sight share": f"{summary.line_of_sight_share:.1%}",
        "unseen share, estimated": "not stated" if summary.unseen_share is None else f"{summary.unseen_share:.2e}",
        **(
            {}
            if summary.unseen_share_diffracted is None
            else {"of diffracted paths": f"{summary.unseen_share_diffracted:.2e}"}
        ),
    }


def refuse_empty_traces(summaries: dict[str, TraceSummary]) -> None:
    """Say so if a store holds not one path.

    Raises:
        SiteTwinError: It does not.
    """
    for name, summary in summaries.items():
        if summary.paths == 0:
            raise SiteTwinError(
                f"no user has a path: {name} holds {summary.users:,} users and not one path; move the transmitter or "
                "the area nearer to each other, or allow more reflections with --depth"
            )
