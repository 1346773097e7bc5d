"""The packages of the multi-modal beam prediction challenge of 2022, made of DeepSense 6G scenarios 31 to 34.

A row is a sequence of five steps of camera, laser scanner and radar, of which the user's position is given for the
first two and the best beam for the last. A package is a folder with a table, as ``Multi_Modal`` (scenarios 32 to 34),
``Adaptation_dataset_multi_modal`` (31 to 33) and ``Multi_Modal_Test`` (no labels), each scenario in a folder below it.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import xarray as xr

from sitetwin.errors import SiteTwinError, SiteTwinWarning, said_of
from sitetwin.measured.deepsense_labels import labels_from_zero
from sitetwin.measured.deepsense_layouts import Rows, columns
from sitetwin.measured.plausible import PowerUnit, check_degrees, linear_powers
from sitetwin.measured.positions import about_origin
from sitetwin.site import Georeference
from sitetwin.site.mesh import LARGEST_COORDINATE

STEPS = 5
"""Steps of a sequence."""

BEAMS = 64
"""Beams of the array of these scenarios."""

_FIXES = ("unit2_loc_1", "unit2_loc_2")
_SEEN = {"image": "unit1_rgb", "lidar": "unit1_lidar", "radar": "unit1_radar"}
_SCENARIO = re.compile(r"scenario_?([0-9]{1,3})(?![0-9])", re.IGNORECASE)


def is_challenge(folder: str | Path) -> bool:
    """Whether a folder is a package of the challenge: its table has sequences."""
    return bool(_tables(Path(folder)))


def read_challenge(folder: str | Path, power_unit: PowerUnit | None = None) -> xr.Dataset:
    """Read a package of the challenge.

    Rows without any position, or whose paths name no scenario, are left out, counted and named in ``skipped``. What is
    missing of the rest stays missing: paths are empty, positions and powers NaN, labels -1.

    Args:
        folder: Folder of the package.
        power_unit: "linear" or "dB", the unit of the powers, where the package has them; by default the numbers decide.

    Returns:
        Dimensions ``sample``, ``step`` (5), ``fix`` (2) and ``beam`` (64). Variables: ``scenario`` its number as text;
        ``latitude``, ``longitude`` degrees and ``east``, ``north`` metres from the scenario's station (sample, fix);
        ``label`` int64 best beam of the last step, from 0, -1 where there is none; ``power`` (sample, beam) linear, NaN
        where there is none; ``image``, ``lidar``, ``radar`` paths (sample, step), where the table has such columns;
        ``index`` of the table. Attributes: ``layout``, ``skipped``, ``notes``, and ``stations``, for each scenario its
        number, latitude and longitude as one text.

    Raises:
        SiteTwinError: There is no table of sequences, several that differ, a needed column is missing, no row is left,
            or the positions look like radians.
    """
    folder = Path(folder)
    table = _table(folder)
    rows = Rows(folder, table)
    missing = [name for name in _FIXES if rows.column(name) is None]
    if missing:
        raise SiteTwinError(f"'{table}' has no column {missing[0]}; give the table as it was published")
    kept, scenario, fixes, stations = _places(rows)
    if not kept:
        left_out = ", ".join(f"{count} {reason}" for reason, count in rows.skipped.items()) or "it has no rows"
        raise SiteTwinError(f"no row of '{table}' can be used: {'; '.join([left_out, *rows.unreadable])}")
    with said_of(f"the package '{folder}'"):
        check_degrees(np.concatenate([*fixes, np.stack(list(stations.values()))]))
        power = linear_powers(_powers(rows, kept), power_unit)
        given = rows.labels(kept)
        label, notes = labels_from_zero(np.full(len(kept), -1) if given is None else given, power)
    place = np.stack(fixes)
    data = xr.Dataset(
        {
            "scenario": ("sample", np.array(scenario, dtype=np.str_)),
            "latitude": (("sample", "fix"), place[..., 0], {"units": "degree_north"}),
            "longitude": (("sample", "fix"), place[..., 1], {"units": "degree_east"}),
            "label": ("sample", label, {"long_name": "best beam of the last step, from 0; -1 for none"}),
            "power": (("sample", "beam"), power, {"units": "1", "long_name": "received power, linear"}),
            "index": ("sample", np.array([rows.whole(row, rows.order) for row in kept], dtype=np.int64)),
        }
    )
    data = data.assign(_local(place, scenario, stations)).assign(_paths(rows, kept))
    notes = [*(f"some files could not be read: {why}" for why in rows.unreadable), *notes]
    for note in notes:
        warnings.warn(f"{table.stem}: {note}", SiteTwinWarning, stacklevel=2)
    return data.assign_attrs(
        title=f"sequences of the beam prediction challenge, {table.stem}",
        layout="challenge",
        skipped=[f"{count} {reason}" for reason, count in sorted(rows.skipped.items())],
        stations=[f"{name}: {lat:.8f}, {lon:.8f}" for name, (lat, lon) in sorted(stations.items())],
        notes=notes,
        synthetic="no",
    )


def _tables(folder: Path) -> list[Path]:
    """Tables of sequences in a folder."""
    try:
        found = sorted(folder.glob("*.csv"))
    except OSError:
        return []
    return [table for table in found if _FIXES[0] in columns(table)]


def _table(folder: Path) -> Path:
    tables = _tables(folder)
    if len(tables) == 1:
        return tables[0]
    if not tables:
        raise SiteTwinError(
            f"'{folder}' holds no table of sequences with a column {_FIXES[0]}; give the folder of one package of the "
            "challenge"
        )
    names = ", ".join(table.name for table in tables)
    raise SiteTwinError(f"'{folder}' holds several tables of sequences ({names}); leave the one that is to be read")


def _places(
    rows: Rows,
) -> tuple[list[dict[str, str]], list[str], list[np.ndarray], dict[str, np.ndarray]]:
    """Usable rows with scenario, (2, 2) fixes, and the station of each scenario."""
    kept, scenarios, fixes = [], [], []
    stations: dict[str, np.ndarray] = {}
    for row in rows.table:
        named = Counter(match.group(1) for cell in row.values() if (match := _SCENARIO.search(cell)))
        if not named:
            rows.skipped["whose paths name no scenario"] += 1
            continue
        scenario = str(int(named.most_common(1)[0][0]))
        pair = np.stack([_fix(rows.numbers(row, name)) for name in _FIXES])
        if not np.isfinite(pair).all(axis=1).any():
            rows.skipped["without position"] += 1
            continue
        if scenario not in stations:
            station = _fix(rows.numbers(row, rows.station))
            if not np.isfinite(station).all():
                rows.skipped["without the position of its base station"] += 1
                continue
            stations[scenario] = station
        kept.append(row)
        scenarios.append(scenario)
        fixes.append(pair)
    return kept, scenarios, fixes, stations


def _fix(numbers: np.ndarray | None) -> np.ndarray:
    """(2,) latitude and longitude; NaN where they are no place on the globe."""
    if numbers is None or len(numbers) < 2:
        return np.full(2, np.nan)
    place = numbers[:2].astype(np.float64)
    return place if abs(place[0]) <= 90 and abs(place[1]) <= 180 else np.full(2, np.nan)


def _powers(rows: Rows, kept: list[dict[str, str]]) -> np.ndarray:
    """(N, 64) as written; NaN where a row has none, or of another number of beams."""
    power = np.full((len(kept), BEAMS), np.nan)
    if rows.power is None:
        return power
    for number, row in enumerate(kept):
        if rows.cell(row, rows.power):
            found = rows.numbers(row, rows.power)
            if found is not None and len(found) == BEAMS:
                power[number] = found
    return power


def _local(place: np.ndarray, scenario: list[str], stations: dict[str, np.ndarray]) -> dict[str, tuple]:
    """Metres east and north of each row's own station; NaN farther away than any site reaches."""
    local = np.full(place.shape, np.nan)
    for name, (lat, lon) in stations.items():
        rows = np.array(scenario) == name
        local[rows] = about_origin(place[rows].reshape(-1, 2), Georeference(float(lat), float(lon))).reshape(-1, 2, 2)
    local[np.hypot(local[..., 0], local[..., 1]) > LARGEST_COORDINATE] = np.nan
    metres = {"units": "m"}
    return {name: (("sample", "fix"), local[..., axis], metres) for axis, name in enumerate(("east", "north"))}


def _paths(rows: Rows, kept: list[dict[str, str]]) -> dict[str, tuple]:
    """Paths of each modality that the table has, of five steps."""
    found = {}
    for name, column in _SEEN.items():
        steps = [rows.column(f"{column}_{step + 1}") for step in range(STEPS)]
        if any(steps):
            cells = [[rows.cell(row, step) for step in steps] for row in kept]
            found[name] = (("sample", "step"), np.array(cells, dtype=np.str_))
    return found
