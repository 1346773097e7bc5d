"""A table of one's own beam measurements: places, powers of all beams or the best beam alone, as one data set."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError, SiteTwinWarning, said_of
from sitetwin.measured.deepsense import drives_of_track
from sitetwin.measured.deepsense_layouts import LARGEST_TABLE, MOST_ROWS, seconds_of_day
from sitetwin.measured.plausible import PowerUnit, check_clock, check_degrees, check_order, linear_powers, masked_note
from sitetwin.measured.positions import about_origin
from sitetwin.site import Georeference
from sitetwin.untrusted import read_table

PLACES = (("latitude", "longitude"), ("lat", "lon"), ("east_m", "north_m"))
"""Pairs of columns that say where a row was measured: degrees, or metres from the station."""

_POWER = re.compile(r"(?:power|beam)_?([0-9]{1,4})(?:_?(dbm?|lin|linear))?")
_MEND = "docs/how-to/beams.md lists its columns"
_PAUSE_S, _PAUSE_STEPS = 30.0, 20.0  # a pause longer than both begins a new drive
_GAP_M = 30.0  # between fixes of one drive
_MOST_BEAMS = 4096


def read_beam_table(
    path: str | Path,
    station: tuple[float, float] | None = None,
    power_unit: PowerUnit | None = None,
    beams: int | None = None,
    max_range_m: float = 300.0,
    places_only: bool = False,
) -> xr.Dataset:
    """Read a CSV of beam measurements.

    Columns are known by their names, whatever their order and capitals: ``latitude`` and ``longitude`` (or ``lat``,
    ``lon``) in degrees, or ``east_m`` and ``north_m`` from the station; ``power_0``, ``power_1``, ... for the powers of
    all beams, linear, or ``power_0_db``, ``power_0_dbm``; or ``best_beam`` alone, counted from 0; ``time`` (seconds, or
    a time of the day or date of ISO 8601) and ``drive`` where they are known. Other columns are named in the notes and
    not read. Without ``drive``, drives end at pauses in time, at gaps of 30 m and at turns of the track.

    Rows without a power or a position, and those beyond the range, are left out, counted and named in the attribute
    ``skipped``. Rows are sorted by time within a drive.

    Args:
        path: The table.
        station: Latitude and longitude of the base station, degrees; positions in degrees need it.
        power_unit: "linear" or "dB" for columns whose names do not say it; by default the numbers decide, and numbers
            that may be decibels are refused.
        beams: Number of beams of the codebook; a table of best beams alone needs it.
        max_range_m: Largest distance from the station, metres.
        places_only: Whether to read where and when users were, and no powers, of which a table then needs none.

    Returns:
        A data set as that of `read_deepsense`, with the beams in the order of their numbers, and ``row``, from 1, of
        the table. The attribute ``labels`` says "yes" where best beams alone are known; their ``power`` is 1 at the
        best beam and NaN elsewhere.

    Raises:
        SiteTwinError: The table is damaged, lacks a column, or cannot be what it is taken for: powers in dB, degrees in
            radians, latitude and longitude swapped, rows out of order, beams that are numbered with gaps.
    """
    path = Path(path)
    what = f"the table '{path}'"
    with said_of(what):
        table = _Table.read(path)
        powers = None if places_only else _powers(table, power_unit, beams)
        return _data_set(table, path.stem, powers, station, max_range_m)


class _Table:
    """Cells of a table by column."""

    def __init__(self, names: list[str], rows: list[list[str]]) -> None:
        self.names, self.columns = names, dict(zip(names, zip(*rows, strict=True), strict=True))
        self.count = len(rows)

    @classmethod
    def read(cls, path: Path) -> _Table:
        lines = [row for row in read_table(path, "the file", LARGEST_TABLE) if row]
        if len(lines) < 2:
            raise SiteTwinError(f"there are no rows below a heading; {_MEND}")
        names = [name.strip().lower() for name in lines[0]]
        if len(names) == 1 and ";" in names[0]:
            raise SiteTwinError("its columns are apart by semicolons; write it with commas, and numbers with points")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise SiteTwinError(f"two columns are named '{twice[0][:40]}'; name each once")
        if len(lines) - 1 > MOST_ROWS:
            raise SiteTwinError(f"there are {len(lines) - 1} rows, more than {MOST_ROWS}; leave out what is not needed")
        for number, row in enumerate(lines[1:], start=2):
            if len(row) != len(names):
                raise SiteTwinError(
                    f"row {number} has {len(row)} cells and the heading {len(names)}; mend the row (numbers need "
                    "decimal points, not commas)"
                )
        return cls(names, lines[1:])

    def numbers(self, name: str) -> Float[np.ndarray, " rows"]:
        """A column of numbers; empty cells are NaN."""
        cells = [cell.strip() for cell in self.columns[name]]
        try:
            return np.array([float(cell) if cell else np.nan for cell in cells])
        except ValueError as error:
            raise SiteTwinError(
                f"column {name}: a cell is no number ({str(error)[-50:]}); leave cells without a value empty"
            ) from error

    def whole(self, name: str) -> Int[np.ndarray, " rows"]:
        """A column of whole numbers from 0 on; -1 where a cell is empty."""
        values = self.numbers(name)
        known = np.isfinite(values)
        bad = known & ((values != np.round(values)) | (values < 0) | (values > 1e9))
        if bad.any():
            raise SiteTwinError(f"column {name}: {values[bad.argmax()]:g} is no whole number from 0 on; mend it")
        return np.where(known, values, -1).astype(np.int64)

    def seconds(self) -> tuple[Float[np.ndarray, " rows"] | None, list[str]]:
        """Times in seconds; None where no row, or not each, has one; and what is to be said of it."""
        name = next((name for name in ("time", "time_s", "timestamp", "time_stamp") if name in self.columns), None)
        if name is None:
            return None, ["the table has no column time: its rows are taken to stand in the order of time"]
        found = np.array([_seconds(cell.strip()) for cell in self.columns[name]])
        unknown = int(np.isnan(found).sum())
        if unknown:
            return None, [f"{unknown} of {self.count} times are none: rows are taken to stand in the order of time"]
        return found, []


def _seconds(cell: str) -> float:
    """Seconds of a number, of a time of the day, or of a date of ISO 8601; NaN for anything else."""
    try:
        value = float(cell)
        return value if np.isfinite(value) else float("nan")
    except ValueError:
        pass
    of_day = seconds_of_day(cell)
    if np.isfinite(of_day):
        return of_day
    try:
        return datetime.fromisoformat(cell).timestamp()
    except (ValueError, OverflowError, OSError):
        return float("nan")


def _data_set(
    table: _Table,
    name: str,
    powers: tuple[Float[np.ndarray, "rows beams"], bool, list[str], list[str]] | None,
    station: tuple[float, float] | None,
    max_range_m: float,
) -> xr.Dataset:
    if not max_range_m > 0:
        raise SiteTwinError(f"the largest distance from the station must be positive, not {max_range_m:g} m")
    nothing = np.zeros((table.count, 0)), False, [name for name in table.names if _of_power(name)], list[str]()
    power, labels, used, notes = powers or nothing
    position, local, places = _places(table, station, max_range_m)
    seconds, of_time = table.seconds()
    notes += of_time
    known = {*used, *places, "drive", "time", "time_s", "timestamp", "time_stamp"}
    unread = [column for column in table.names if column not in known]
    notes += [f"columns that were not read: {', '.join(unread)[:200]}"] if unread else []
    keep = np.ones(table.count, dtype=bool)
    skipped: Counter[str] = Counter()
    reasons = (
        (np.isnan(power).all(axis=1) & (powers is not None), "without power" if not labels else "without a best beam"),
        (~np.isfinite(local).all(axis=1), "without position"),
        (np.nan_to_num(np.hypot(*local.T)) > max_range_m, f"farther than {max_range_m:g} m from the station"),
    )
    for bad, reason in reasons:
        skipped[reason] += int((keep & bad).sum())
        keep &= ~bad
    skipped = +skipped
    if not keep.any():
        left_out = ", ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise SiteTwinError(f"no row can be used: {left_out}")
    rows, drive, numbered = _in_order(table, np.flatnonzero(keep), local, seconds)
    check_order(local[rows], drive, numbered)
    notes += masked_note(power[rows]) if power.size and not labels else []
    if not np.ptp(local[rows], axis=0).any():
        notes.append(f"all {len(rows)} rows hold one position: nothing can be told of other places")
    for note in notes:
        warnings.warn(f"{name}: {note}", SiteTwinWarning, stacklevel=4)
    degrees = position[rows] if position is not None else np.full((len(rows), 2), np.nan)
    variables = {
        "power": (("sample", "beam"), power[rows], {"units": "1", "long_name": "received power, linear"}),
        "latitude": ("sample", degrees[:, 0], {"units": "degree_north"}),
        "longitude": ("sample", degrees[:, 1], {"units": "degree_east"}),
        "east": ("sample", local[rows, 0], {"units": "m"}),
        "north": ("sample", local[rows, 1], {"units": "m"}),
        "drive": ("sample", drive),
        "row": ("sample", rows + 1, {"long_name": "row of the table below its heading, from 1"}),
        "dead": ("beam", np.isnan(power[rows]).all(axis=0) & (not labels)),
    }
    if seconds is not None:
        variables["time"] = ("sample", seconds[rows], {"units": "s"})
    latitude, longitude = (np.nan, np.nan) if station is None else station
    attributes = {
        "title": f"measured beam powers, {name}",
        "scenario": name,
        "layout": "table",
        "station_latitude": float(latitude),
        "station_longitude": float(longitude),
        "drive_source": "table" if numbered else "pauses and turns of the track",
        "skipped": [f"{count} {reason}" for reason, count in sorted(skipped.items())],
        "skipped_rows": int(sum(skipped.values())),
        "masked_powers": 0 if labels else int(np.isnan(power[rows]).sum()),
        "labels": "yes" if labels else "no",
        "notes": notes,
        "synthetic": "no",
    }
    return xr.Dataset(variables, attrs=attributes)


def _of_power(name: str) -> bool:
    """Whether a column holds powers or best beams."""
    return name == "best_beam" or _POWER.fullmatch(name) is not None


def _powers(
    table: _Table, unit: PowerUnit | None, beams: int | None
) -> tuple[Float[np.ndarray, "rows beams"], bool, list[str], list[str]]:
    """Linear powers, whether they stand for best beams alone, the columns that were read, and notes."""
    found = {int(m.group(1)): (name, m.group(2)) for name in table.names if (m := _POWER.fullmatch(name))}
    if not found:
        return _of_labels(table, beams)
    numbers, first = sorted(found), min(found)
    if first > 1 or numbers != list(range(first, first + len(numbers))):
        missing = next(k for k in range(min(first, 1), _MOST_BEAMS * 3) if k not in found)
        raise SiteTwinError(
            f"its columns of powers are numbered with gaps (there is no power_{missing}); give one for each beam, from "
            "power_0 on, and empty cells where a beam was not measured"
        )
    if beams is not None and len(numbers) != beams:
        raise SiteTwinError(f"there are powers of {len(numbers)} beams, and the codebook has {beams}; give its own")
    units = {(None if said is None else "dB" if said.startswith("db") else "linear") for _, said in found.values()}
    if len(units) > 1:
        raise SiteTwinError("some columns of powers are named in dB and others are not; name all in one unit")
    (said,) = units
    if said is not None and unit is not None and said != unit:
        raise SiteTwinError(f"its columns are named in {said} and the unit was given as {unit}; give one of the two")
    written = np.stack([table.numbers(found[number][0]) for number in numbers], axis=1)
    notes = ["the beams are numbered from 1 in the table, and from 0 here"] if first == 1 else []
    names = [name for name, _ in found.values()]
    return linear_powers(written, said or unit), False, names, notes  # type: ignore[arg-type]  # one of the units


def _of_labels(table: _Table, beams: int | None) -> tuple[Float[np.ndarray, "rows beams"], bool, list[str], list[str]]:
    if "best_beam" not in table.columns:
        raise SiteTwinError(f"there are no columns power_0, power_1, ... and none best_beam; {_MEND}")
    label = table.whole("best_beam")
    if beams is None:
        raise SiteTwinError("best beams alone do not say how many beams there are; give the codebook, or the number")
    if not 1 <= beams <= _MOST_BEAMS or label.max(initial=-1) >= beams:
        raise SiteTwinError(
            f"a best beam is number {label.max(initial=-1)}, and the last of {beams} beams is number {beams - 1}: "
            "count from 0, and give the codebook of this array"
        )
    power = np.full((len(label), beams), np.nan)
    power[np.flatnonzero(label >= 0), label[label >= 0]] = 1.0
    return power, True, ["best_beam"], ["best beams alone are known, no powers: losses cannot be told"]


def _places(
    table: _Table, station: tuple[float, float] | None, max_range_m: float
) -> tuple[np.ndarray | None, Float[np.ndarray, "rows 2"], tuple[str, ...]]:
    """Degrees, where there are any; metres east and north of the station; and the columns that were read."""
    names = next((pair for pair in PLACES if set(pair) <= set(table.columns)), None)
    if names is None:
        raise SiteTwinError(f"it has no columns {' or '.join(' and '.join(pair) for pair in PLACES)}; {_MEND}")
    place = np.stack([table.numbers(name) for name in names], axis=1)
    if names == PLACES[2]:
        return None, place, names
    if station is None:
        raise SiteTwinError("positions in degrees need the latitude and longitude of the station; give them")
    if not (abs(station[0]) < 84 and abs(station[1]) <= 180):
        raise SiteTwinError(
            f"a station at latitude {station[0]:g}, longitude {station[1]:g} cannot be mapped; check it"
        )
    if abs(station[0]) > np.pi / 2 or abs(station[1]) > np.pi:
        check_degrees(place)
    origin = Georeference(float(station[0]), float(station[1]))
    local = about_origin(place, origin)

    def near(metres: np.ndarray) -> int:
        return int((np.nan_to_num(np.hypot(*metres.T), nan=np.inf) <= max_range_m).sum())

    if not near(local) and near(about_origin(place[:, ::-1], origin)):
        raise SiteTwinError("latitude and longitude are swapped: so read, the rows lie about the station; swap them")
    return place, local, names


def _in_order(
    table: _Table, rows: Int[np.ndarray, " kept"], local: np.ndarray, seconds: np.ndarray | None
) -> tuple[Int[np.ndarray, " kept"], Int[np.ndarray, " kept"], bool]:
    """Rows in the order of time, the drive of each, and whether the table numbers the drives."""
    numbered = "drive" in table.columns
    if numbered:
        number = table.whole("drive")[rows]
        if (number < 0).any():
            raise SiteTwinError(
                "column drive: a row has no drive; give the number of each row, or leave the column out"
            )
        keys = (np.arange(len(rows)),) if seconds is None else (seconds[rows],)
        if seconds is not None:  # drives in the order of their first times, whatever their numbers
            begun = {one: float(seconds[rows][number == one].min()) for one in np.unique(number)}
            place = {one: k for k, one in enumerate(sorted(begun, key=lambda one: begun[one]))}
            number = np.array([place[one] for one in number], dtype=np.int64)
        order = np.lexsort((*keys, number)) if seconds is not None else np.argsort(number, kind="stable")
        return rows[order], number[order], True
    if seconds is not None:
        order = np.argsort(seconds[rows], kind="stable")
        check_clock(local[rows], seconds[rows], order)
        rows = rows[order]
    step = np.hypot(*np.diff(local[rows], axis=0).T)
    cut = step > _GAP_M
    if seconds is not None and len(rows) > 1:
        between = np.diff(seconds[rows])
        cut |= between > max(_PAUSE_S, _PAUSE_STEPS * float(np.median(between)))
    part = np.concatenate([[0], np.cumsum(cut)])
    drive = np.zeros(len(rows), dtype=np.int64)
    begin = 0
    for one in range(int(part[-1]) + 1):
        own = np.flatnonzero(part == one)
        turns = drives_of_track(local[rows[own]])
        drive[own] = begin + turns
        begin += int(turns.max()) + 1
    return rows, drive, False
