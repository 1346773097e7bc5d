"""DeepSense 6G: measured beam powers in two layouts, a pick by geometry alone, and the study's headline on few rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr
from pyproj import Proj
from scipy.stats import spearmanr

from sitetwin.calibrate import CalibratedBeams, Track, choose_rows
from sitetwin.learn.beams.metrics import distance_based_accuracy, rank_of_best
from sitetwin.learn.beams.splits import drive_folds
from sitetwin.measured import read_codebook, read_deepsense
from sitetwin.vision.profiles import ProfileCodebook, Reconstruction, interpolated_scores
from tests.real_data.cases import Case, at_least, at_most, between, exactly

PAPER, GATHERED = "deepsense_scenario1", "deepsense_position_beam"
CODEBOOK = f"{PAPER}/codebook_beams"
ROWS_OF = {1: 2422, 3: 1487, 5: 2300, 6: 915}
LEFT_OUT = slice(1529, 1540)
"""Rows of the gathered scenario 1 that the paper's release has not."""

PUBLISHED_BEAMS = np.arange(1, 64, 4)
BORESIGHT_DEG = 12.0
"""Counter-clockwise from east on the grid of UTM, as the release has it."""

MEASURED_ROWS, FOLDS = 40, 5


def _file(data: Path, scenario: int) -> Path:
    count = ROWS_OF[scenario]
    return data / GATHERED / f"scenario{scenario}_unit1_pwr_60ghz_1-{count}.npy"


def _rows(data: Path) -> dict[str, float]:
    paper = read_deepsense(data / PAPER)
    gathered = {number: read_deepsense(_file(data, number)) for number in ROWS_OF}
    first, kept = gathered[1], np.delete(np.arange(ROWS_OF[1]), LEFT_OUT)
    distance = np.hypot(*(paper[axis].values - first[axis].values[kept] for axis in ("east", "north")))
    calibrated = np.load(data / GATHERED / f"scenario3_unit2_loc_cal_1-{ROWS_OF[3]}.npy")
    read = np.column_stack([gathered[3].latitude.values, gathered[3].longitude.values])
    return {
        **{f"rows of scenario {number}": rows.sizes["sample"] for number, rows in gathered.items()},
        "rows of the paper's release": paper.sizes["sample"],
        "its powers against the gathered ones (largest ratio minus 1)": float(
            np.abs(paper.power.values / first.power.values[kept] - 1).max()
        ),
        "its places against the gathered ones (m)": float(distance.max()),
        "drives of the paper's release, told by U-turns": len(np.unique(paper.drive)),
        "drives of scenario 1, as numbered": len(np.unique(first.drive)),
        "scenario 3, off the calibrated places (degrees)": float(np.abs(read - calibrated).max()),
        "azimuth against strongest beam, rank correlation at worst": max(
            _order(rows) for rows in (paper, *gathered.values())
        ),
    }


def _order(rows: xr.Dataset) -> float:
    """Rank correlation of azimuth and strongest beam: near -1 in the official order, near +1 in reverse."""
    azimuth = np.arctan2(rows.north.values, rows.east.values)
    middle = np.angle(np.exp(1j * azimuth).mean())
    turned = np.angle(np.exp(1j * (azimuth - middle)))
    return float(spearmanr(turned, rows.power.values.argmax(axis=1)).statistic)


def _pick(data: Path) -> dict[str, float]:
    rows = read_deepsense(data / PAPER)
    book = read_codebook(data / CODEBOOK, rows.sizes["beam"])
    peak = book.azimuth.values[book.values.argmax(axis=1)][PUBLISHED_BEAMS]
    # The release's grid is that of UTM; ours is true north.
    turn = Proj("EPSG:32612").get_factors(rows.station_longitude, rows.station_latitude).meridian_convergence
    direction = np.arctan2(rows.north.values, rows.east.values) - np.radians(BORESIGHT_DEG - turn)
    rank = rank_of_best(-np.abs(direction[:, None] - peak), rows.power.values[:, PUBLISHED_BEAMS])
    return {f"top-{k}": float((rank < k).mean()) for k in (1, 2, 3)}


def headline(rows: xr.Dataset, book: xr.DataArray) -> float:
    """Top-1 of the calibrated twin with line of sight alone, one deal of whole drives, on chosen rows."""
    torch.set_num_threads(1)
    place = np.column_stack([rows.east.values, rows.north.values])
    track, power = Track.of(place, rows.drive.values), rows.power.values[:, PUBLISHED_BEAMS]
    model, hits = CalibratedBeams(book.values[PUBLISHED_BEAMS], book.azimuth.values), []
    for split in drive_folds(rows.drive.values, FOLDS, 0):
        bought = choose_rows(track, split.pool, MEASURED_ROWS)
        answer = model.fit(track.rows(bought), power[bought]).predict_proba(track.rows(split.test))
        hits.append(rank_of_best(answer, power[split.test]) == 0)
    return float(np.concatenate(hits).mean())


def _headline(data: Path) -> dict[str, float]:
    book = read_codebook(data / CODEBOOK, 64)
    return {
        "scenario 1, top-1": headline(read_deepsense(data / PAPER), book),
        "scenario 5, top-1": headline(read_deepsense(_file(data, 5)), book),
    }


def _explained(data: Path) -> dict[str, float]:
    """Distance-based accuracy of all working beams, ranked by profiles that were found from their powers."""
    found = {}
    for number, path in ((1, data / PAPER), (5, _file(data, 5))):
        rows = read_deepsense(path)
        book = ProfileCodebook.of(read_codebook(data / CODEBOOK, rows.sizes["beam"]), rows.dead.values)
        power = book.measured(rows.power.values)
        scores = {
            "equations 1 and 2": book.scores(Reconstruction().profiles(power, book)),
            "least squares without negatives": book.scores(Reconstruction("nnls").profiles(power, book)),
            "control, interpolated between every second beam": interpolated_scores(_every_second(power, book), book),
        }
        found |= {
            f"scenario {number}, {name}": float(distance_based_accuracy(score, power).mean())
            for name, score in scores.items()
        }
    return found


def _every_second(power: np.ndarray, book: ProfileCodebook) -> np.ndarray:
    """Powers of every second working beam, by the azimuth of its peak."""
    order = np.argsort(np.where(book.alive, book.peak_deg, np.inf), kind="stable")[: int(book.alive.sum()) : 2]
    out = np.full(power.shape, np.nan)
    out[:, order] = power[:, order]
    return out


_PUBLISHED = {1: 0.5836, 2: 0.9170, 3: 0.9900}

CASES = (
    Case(
        "DeepSense 6G, layouts",
        (f"{PAPER}/data", GATHERED),
        (
            *(exactly(f"rows of scenario {number}", count, "the release") for number, count in ROWS_OF.items()),
            exactly("rows of the paper's release", 2411, "the release"),
            at_most("its powers against the gathered ones (largest ratio minus 1)", 1e-6, "the same measurement"),
            at_most("its places against the gathered ones (m)", 0.02, "the same measurement, in two projections"),
            exactly("drives of the paper's release, told by U-turns", 29, "the numbered drives"),
            exactly("drives of scenario 1, as numbered", 29, "the release"),
            at_most("scenario 3, off the calibrated places (degrees)", 0, "the raw ones are biased"),
            at_most(
                "azimuth against strongest beam, rank correlation at worst", -0.5, "beams fall in azimuth; +1 reversed"
            ),
        ),
        _rows,
    ),
    Case(
        "DeepSense 6G scenario 1, geometry alone",
        (f"{PAPER}/data", CODEBOOK),
        tuple(
            between(f"top-{k}", share - 0.005, share + 0.005, "the data's makers, boresight 12 degrees")
            for k, share in _PUBLISHED.items()
        ),
        _pick,
    ),
    Case(
        "Vision study, profiles of measured powers",
        (f"{PAPER}/data", CODEBOOK, GATHERED),
        tuple(
            at_least(f"scenario {number}, {name}", least, why)
            for name, of, why in (
                ("equations 1 and 2", {1: 0.935, 5: 0.925}, "the ceiling of a profile that smooths twice"),
                ("least squares without negatives", {1: 0.95, 5: 0.95}, "a profile that explains the powers"),
                ("control, interpolated between every second beam", {1: 0.92, 5: 0.92}, "no profile at all"),
            )
            for number, least in of.items()
        ),
        _explained,
    ),
    Case(
        "Beam study, 40 rows, whole drives",
        (f"{PAPER}/data", CODEBOOK, GATHERED),
        (
            at_least("scenario 1, top-1", 0.80, "the kept run: 0.837 over five deals"),
            at_least("scenario 5, top-1", 0.78, "the kept run: 0.830 [0.791, 0.860] over five deals"),
        ),
        _headline,
    ),
)
