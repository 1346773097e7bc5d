"""What an expert would try first on position-aided beam prediction: geometry, look-up tables, neighbours, majority."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Shaped
from scipy.spatial import cKDTree

from sitetwin.learn.beams.metrics import best_beams, rank_of_best


def geometric(
    position: Float[np.ndarray, "rows 2"],
    pattern: Float[np.ndarray, "beams angles"],
    azimuth: Float[np.ndarray, " angles"],
    boresight: float,
) -> Float[np.ndarray, "rows beams"]:
    """Power of each beam's measured pattern in the direction of the user: line of sight, nothing fitted.

    Args:
        position: Metres east and north of the station.
        pattern: Linear power.
        azimuth: Radians from boresight, rising.
        boresight: Radians from east, counter-clockwise.
    """
    local = np.arctan2(position[:, 1], position[:, 0]) - boresight
    local = (local + np.pi) % (2 * np.pi) - np.pi
    return np.stack([np.interp(local, azimuth, row) for row in pattern], axis=1)


def majority(power: Float[np.ndarray, "rows beams"], rows: int) -> Float[np.ndarray, "asked beams"]:
    """How often each beam was the best of the measured rows; the same for every one of `rows` users."""
    count = np.bincount(best_beams(power), minlength=power.shape[1]).astype(np.float64)
    return np.tile(count / count.sum(), (rows, 1))


def nearest(
    position: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked 2"],
    neighbours: int = 5,
) -> Float[np.ndarray, "asked beams"]:
    """Mean power, each row relative to its strongest beam, of the nearest measured rows.

    Args:
        position: Metres, of the measured rows.
        power: Linear; NaN counts as no power.
        asked: Metres.
        neighbours: k.
    """
    relative = np.nan_to_num(power / np.nanmax(power, axis=1, keepdims=True))
    return mean_of_nearest(position, relative, asked, neighbours)


def mean_of_nearest(
    position: Float[np.ndarray, "rows 2"],
    values: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked 2"],
    neighbours: int,
) -> Float[np.ndarray, "asked beams"]:
    """Mean values of the nearest rows.

    Args:
        position: Metres, of the rows.
        values: Of the rows.
        asked: Metres.
        neighbours: k, at most the number of rows.
    """
    chosen = cKDTree(position).query(asked, k=list(range(1, neighbours + 1)))[1]
    return values[chosen].mean(axis=1)


def chosen_neighbours(
    position: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    group: Shaped[np.ndarray, " rows"],
    tried: tuple[int, ...],
) -> int:
    """The number of neighbours with the highest top-1 accuracy in cross-validation, the smallest among equals.

    Args:
        position: Metres, of the measured rows.
        power: Linear.
        group: Rows of one group are left out together.
        tried: Numbers of neighbours; those beyond the rows that are left are passed over.
    """
    hits = dict.fromkeys(tried, 0)
    for number in np.unique(group):
        out = group == number
        for count in (count for count in tried if count <= np.count_nonzero(~out)):
            score = nearest(position[~out], power[~out], position[out], count)
            hits[count] += int((rank_of_best(score, power[out]) == 0).sum())
    return max(tried, key=lambda count: (hits[count], -count))


def lookup_table(
    position: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked 2"],
    cells: int = 25,
) -> Float[np.ndarray, "asked beams"]:
    """Counts of best beams in the cell of a table over the measured area (arXiv 2205.09054).

    Cells split the range of the measured positions evenly, `cells` by `cells`. Empty cells answer with the counts of
    all rows, and these break ties.

    Args:
        position: Metres.
        power: Linear.
        asked: Metres; outside the range, the cell at the rim answers.
        cells: Along each axis.
    """
    low, high = position.min(axis=0), position.max(axis=0)
    width = np.maximum((high - low) / cells, 1e-9)

    def cell(points: np.ndarray) -> np.ndarray:
        index = np.clip(np.floor((points - low) / width).astype(np.int64), 0, cells - 1)
        return index[:, 0] * cells + index[:, 1]

    best = best_beams(power)
    table = np.zeros((cells * cells, power.shape[1]))
    np.add.at(table, (cell(position), best), 1.0)
    return table[cell(asked)] + majority(power, 1) * 0.5
