"""The study of calibrated power: each row of a drive test is held out once and predicted from others."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.calibrate.power.azimuths import azimuth_notes
from sitetwin.calibrate.power.clutter import Plan
from sitetwin.calibrate.power.layout import Layout, sectors_of
from sitetwin.channel.stations import GeographicStation, Station
from sitetwin.errors import SiteTwinError
from sitetwin.measured.powers import Powers, powers_on_site
from sitetwin.site import Site
from sitetwin.studies.calibration.config import (
    KRIGING,
    NO_MAP,
    NO_MAP_TOGETHER,
    REGRESSION,
    TOGETHER,
    TWIN,
    TWIN_TOGETHER,
    CalibrationStudy,
)
from sitetwin.studies.calibration.methods import Rows, predict
from sitetwin.studies.calibration.results import SCHEMA, CalibrationStudyResults
from sitetwin.studies.calibration.scores import Scorer
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.records import checked_record

_LIBRARIES = ("numpy", "scipy", "shapely")
_ROOMS = ("site", "measured", "calibrate/power", "studies/calibration")
_FACTOR_90 = 1.6449  # standard deviations of the 90 % interval
_FEWEST_BLOCKS = 10
_PAIRS = ((TWIN, NO_MAP), (TWIN, KRIGING), (TWIN, REGRESSION), (TWIN_TOGETHER, NO_MAP_TOGETHER), (TWIN_TOGETHER, TWIN))
_NOTES = (
    "Readings of one square, cell and receiver are one row; errors count against its mean.",
    "RMSE is that of each cell over its left-out rows, squared errors meaned over seeds, then the mean over cells.",
    "Blocks of space are held out whole and are the same for all cells: no cell is measured where another is judged. "
    "Their grid begins at the first station.",
    "Intervals are over blocks; of the map's own fit nothing is chosen by the left-out rows.",
)


def run_calibration_study(
    study: CalibrationStudy,
    site: Site,
    measured: str | Path,
    stations: Sequence[Station | GeographicStation],
    folder: str | Path,
    progress: Progress = silent,
) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        site: The site.
        measured: File of measured power.
        stations: One for each cell, with the name that the cell has in the file.
        folder: Folder for configuration.json, results.json, run.json and the finished parts.
        progress: Is told the stage and the share of it that is done.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study, the rows are of other cells or another place, or too few to be
            held out in blocks.
    """
    folder, started = Path(folder), time.perf_counter()
    sectors = sectors_of(stations, site)
    powers = powers_on_site(measured, site).of_cells([sector.name for sector in sectors]).merged(study.square_m)
    layout = Layout(sectors, tuple(map(str, np.unique(powers.receiver))))
    cell = layout.numbers(powers.cell)
    key = claim_folder(folder, study, _ROOMS, _data_hash(site, powers, layout))
    progress("features", 0.0)
    shares = layout.shares(powers.receiver, len(powers))
    plan = powers.positions[:, :2]
    rows = Rows(layout, layout.design(Plan(site), plan, cell, shares), powers.power_dbm, cell)
    progress("features", 1.0)
    block = _squares(plan - np.array(sectors[0].plan), study.block_m)
    _check_rows(study, layout, cell, block)
    errors: dict[tuple[str, int, str], list[Any]] = {}
    seconds = {}
    runs = [(split, count, seed) for split in study.splits for count in study.rows for seed in study.seeds]
    for done, (split, count, seed) in enumerate(runs):
        progress("fit and test", done / len(runs))
        part = folder / "parts" / f"{split}-{count}-{seed}.json"
        kept = read_part(part, key)
        if kept is None:
            begun = time.perf_counter()
            kept = _one_run(study, rows, block if split == "blocks" else np.arange(len(plan)), count, seed)
            seconds[part.stem] = time.perf_counter() - begun
            write_part(part, key, kept)
        for method, found in kept.items():
            errors.setdefault((split, count, method), []).append(found)
    progress("fit and test", 1.0)
    document = {
        "schema_name": SCHEMA,
        "title": f"Calibrated power: {site.name}",
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": key,
        "versions": versions(*_LIBRARIES),
        "data": _about(powers, layout, block),
        **_tables(study, rows, block, errors),
        "residuals": _residuals(study, rows, errors),
        "notes": [*_NOTES, *_fewer_rows(study, layout, cell), *powers.notes, *azimuth_notes(sectors, powers)],
    }
    run = {"seconds": {**seconds, "all": time.perf_counter() - started}}
    return write_results(folder, checked_record(CalibrationStudyResults, document), run)


def _one_run(
    study: CalibrationStudy, rows: Rows, unit: np.ndarray, count: int, seed: int
) -> dict[str, dict[str, list[float | None]]]:
    """Error and standard deviation of every row by every method, with folds of whole units."""
    rng = np.random.default_rng(seed)
    units = int(unit.max()) + 1
    fold = rng.permutation(np.arange(units) % study.folds)[unit]
    found = {method: np.full((2, len(unit)), np.nan) for method in study.methods}
    cells = range(len(rows.layout.sectors))
    for held in range(study.folds):
        train = [rng.permutation(np.flatnonzero((fold != held) & (rows.cell == k)))[:count] for k in cells]
        for method in study.methods:
            if method in TOGETHER:
                test = np.flatnonzero(fold == held)
                found[method][:, test] = _errors(method, rows, np.concatenate(train), test, rng)
                continue
            for k in cells:
                test = np.flatnonzero((fold == held) & (rows.cell == k))
                if len(test):
                    found[method][:, test] = _errors(method, rows, train[k], test, rng)
    return {
        method: {
            "error_db": [round(float(v), 3) for v in values[0]],
            "sd_db": [None if np.isnan(v) else round(float(v), 3) for v in values[1]],
        }
        for method, values in found.items()
    }


def _errors(method: str, rows: Rows, train: np.ndarray, test: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    mean, spread = predict(method, rows, train, test, rng)
    return np.stack([mean - rows.power[test], spread])


def _tables(
    study: CalibrationStudy, rows: Rows, block: np.ndarray, errors: dict[tuple[str, int, str], list[Any]]
) -> dict[str, Any]:
    """The table of methods and the paired differences."""
    scorer = Scorer(rows.cell, block)
    square = {key: np.mean([np.square(one["error_db"]) for one in found], axis=0) for key, found in errors.items()}
    table = []
    for (split, count, method), values in square.items():
        own, _ = scorer.rmse(values)
        row = {"split": split, "rows": count, "method": method, "rmse_db": scorer.estimate(values)}
        row |= {"cells_db": [round(float(v), 4) for v in own], "covered": _covered(errors[split, count, method])}
        table.append(row)
    pairs = [
        {
            "split": split,
            "rows": count,
            "a": a,
            "b": b,
            "difference_db": scorer.difference(square[split, count, a], square[split, count, b]),
        }
        for split in study.splits
        for count in study.rows
        for a, b in _PAIRS
        if a in study.methods and b in study.methods
    ]
    return {"rows": table, "pairs": pairs}


def _covered(found: list[Any]) -> float | None:
    """Share of rows within 90 % intervals."""
    if any(value is None for one in found for value in one["sd_db"]):
        return None
    inside = [np.abs(one["error_db"]) <= _FACTOR_90 * np.array(one["sd_db"]) for one in found]
    return round(float(np.mean(inside)), 4)


def _residuals(study: CalibrationStudy, rows: Rows, errors: dict[tuple[str, int, str], list[Any]]) -> list[Any]:
    """What the twin missed at the first seed, with the rows nearest to 200."""
    count = min(study.rows, key=lambda one: abs(one - 200))
    error = np.array(errors[study.splits[0], count, TWIN][0]["error_db"])
    found = []
    for k, sector in enumerate(rows.layout.sectors):
        own = rows.cell == k
        east, north = np.round(rows.design.plan[own] - np.array(sector.plan), 1).T.tolist()
        found.append({"cell": sector.name, "east_m": east, "north_m": north, "error_db": error[own].tolist()})
    return found


def _about(powers: Powers, layout: Layout, block: np.ndarray) -> dict[str, Any]:
    return {
        "rows": {name: int((powers.cell == name).sum()) for name in layout.cells},
        "readings": int(powers.readings.sum()),
        "receivers": list(layout.receivers),
        "blocks": int(block.max()) + 1,
        "left_out": powers.left_out,
    }


def _check_rows(study: CalibrationStudy, layout: Layout, cell: np.ndarray, block: np.ndarray) -> None:
    for k, name in enumerate(layout.cells):
        count, blocks = int((cell == k).sum()), len(np.unique(block[cell == k]))
        if blocks < _FEWEST_BLOCKS or count < 2 * min(study.rows):
            raise SiteTwinError(
                f"cell {name} was measured at {count} places in {blocks} squares of {study.block_m:g} m; give "
                f"{2 * min(study.rows)} places in {_FEWEST_BLOCKS} squares or more, or fewer rows (--rows)"
            )


def _fewer_rows(study: CalibrationStudy, layout: Layout, cell: np.ndarray) -> list[str]:
    """Say which cells have fewer rows outside a fold than methods should be given."""
    notes = []
    for k, name in enumerate(layout.cells):
        outside = int((cell == k).sum() * (study.folds - 1) / study.folds)
        asked = [count for count in study.rows if count > outside]
        if asked:
            notes.append(
                f"Cell {name} has about {outside} rows outside a fold: where {' and '.join(map(str, asked))} are asked "
                "for, its methods are given all of these."
            )
    return notes


def _squares(plan: np.ndarray, side: float) -> np.ndarray:
    """Numbers of the squares of a grid that begins at (0, 0)."""
    number = np.unique(np.floor(plan / side), axis=0, return_inverse=True)[1]
    return np.asarray(number.reshape(-1))


def _data_hash(site: Site, powers: Powers, layout: Layout) -> str:
    """SHA-256 of the site's geometry, the measured rows and the stations."""
    digest = hashlib.sha256(f"{site.geometry_hash} {layout.sectors} {layout.receivers}".encode())
    for values in (powers.positions, powers.power_dbm, powers.readings):
        digest.update(np.ascontiguousarray(values).tobytes())
    digest.update(" ".join([*powers.cell, *powers.receiver]).encode())
    return digest.hexdigest()
