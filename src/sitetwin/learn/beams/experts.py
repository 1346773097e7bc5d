"""Baselines that an expert brings who knows no codebook: a robust curve, trees, a Gaussian process.

All take what a receiver of positions has: place and velocity. None is told where the beams of the array point. A row's
target is its best beam with a fraction: the vertex of the parabola through the root powers of that beam and its
neighbours, over the weakest power of the row. So a gain and a constant that is added to all powers change nothing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.stats import norm

from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.trees import ExtraTrees

_ROUNDS = 30  # of reweighting
_LEAST_SCALE = 0.5  # beams: finer than this no target is known
_RIDGE = (0.0, 1e-3, 0.1, 0.3, 0.1, 0.3)  # on each coefficient, in units of the noise: few rows bend no curve
_MOST_LIKELIHOOD = 200  # rows that the lengths of a process are fitted to
_MOST_PROCESS = 1500  # rows that a process is of: its cost grows with their cube
_FIRST = (np.log(10.0), 0.0, np.log(3.0), np.log(3.0), 0.0)  # variance, three lengths, noise
_BOUNDS = ((-2.3, 9.2), (-3.0, 4.6), (-3.0, 4.6), (-3.0, 4.6), (-4.6, 4.6))
_TREES = 100
_LARGER_LEAVES = 50  # rows from which a leaf has two
_OUTLIERS = 0.05  # share of a prediction that says nothing: of rows that no curve explains


def fractional_beams(power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, " rows"]:
    """Best beam of each row, with the fraction that its neighbours' root powers tell, at most half a beam.

    Args:
        power: Linear; NaN where not measured. Where a neighbour was not measured, the beam is whole.
    """
    best = best_beams(power)
    root = np.sqrt(power - np.nanmin(power, axis=1, keepdims=True))
    padded = np.pad(root, ((0, 0), (1, 1)), constant_values=np.nan)
    left, middle, right = (padded[np.arange(len(power)), best + k] for k in range(3))
    bend = left - 2 * middle + right
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    return best + np.nan_to_num(np.where(bend < 0, fraction, 0.0))


def cubic_lane(
    position: Float[np.ndarray, "rows 2"],
    velocity: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked 2"],
    asked_velocity: Float[np.ndarray, "asked 2"],
) -> Float[np.ndarray, "asked beams"]:
    """Probabilities by a cubic in the azimuth of the user and an offset of the lane: six robust coefficients.

    The lane is told by the heading, and its offset may change along the street. Coefficients are fitted by iterated
    least squares with Cauchy weights.

    Args:
        position: Metres east and north of the station.
        velocity: Of the same rows, in any unit: only its sign along the street counts.
        power: Linear; NaN where not measured.
        asked: Positions that are asked about.
        asked_velocity: Velocities there.
    """
    x, asked_x = _curve_inputs(position, velocity, asked, asked_velocity)
    target = fractional_beams(power)
    weight, scale = np.ones(len(target)), _LEAST_SCALE
    coefficient = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        weighted = x * weight[:, None]
        coefficient = np.linalg.solve(x.T @ weighted + np.diag(_RIDGE) + 1e-9 * np.eye(6), weighted.T @ target)
        off = target - x @ coefficient
        scale = max(_LEAST_SCALE, 1.4826 * float(np.median(np.abs(off))))
        weight = 1 / (1 + (off / (2 * scale)) ** 2)
    return _around(asked_x @ coefficient, np.full(len(asked), scale), power.shape[1])


def _curve_inputs(
    position: np.ndarray, velocity: np.ndarray, asked: np.ndarray, asked_velocity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(rows, 6) and (asked, 6): powers of the azimuth about its mean, and the heading, alone and times the azimuth."""
    middle = np.exp(1j * np.arctan2(position[:, 1], position[:, 0])).mean()
    azimuth = [np.angle((p[:, 0] + 1j * p[:, 1]) * np.conj(middle)) for p in (position, asked)]
    size = max(float(np.std(azimuth[0])), 1e-3)
    along = np.linalg.svd(position - position.mean(axis=0), full_matrices=False)[2][0]
    found = []
    for angle, speed in zip(azimuth, (velocity, asked_velocity), strict=True):
        a, lane = angle / size, np.sign(speed @ along)
        found.append(np.stack([np.ones_like(a), a, a**2, a**3, lane, lane * a], axis=1))
    return found[0], found[1]


def gaussian_process(
    position: Float[np.ndarray, "rows 2"],
    velocity: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked 2"],
    asked_velocity: Float[np.ndarray, "asked 2"],
) -> Float[np.ndarray, "asked beams"]:
    """Probabilities by a Gaussian process over the azimuth, the distance and the heading of the user.

    A Matern-3/2 process on the fractional beam; its variance, three lengths and the noise have the largest marginal
    likelihood (C. Rasmussen, C. Williams, "Gaussian Processes for Machine Learning", algorithm 2.1).

    Args:
        position: Metres east and north of the station.
        velocity: Of the same rows; the sign of its direction along the street counts.
        power: Linear; NaN where not measured.
        asked: Positions that are asked about.
        asked_velocity: Velocities there.
    """
    x, asked_x = _curve_inputs(position, velocity, asked, asked_velocity)
    size = max(float(np.std(np.hypot(*position.T))), 1e-3)
    x = np.column_stack([x[:, 1], np.hypot(*position.T) / size, x[:, 4]])
    asked_x = np.column_stack([asked_x[:, 1], np.hypot(*asked.T) / size, asked_x[:, 4]])
    target = fractional_beams(power)
    middle = float(target.mean())
    few = _some(len(x), _MOST_LIKELIHOOD)
    best = minimize(_nats, _FIRST, (x[few], target[few] - middle), method="L-BFGS-B", bounds=_BOUNDS)
    rows = _some(len(x), _MOST_PROCESS)
    x, target = x[rows], target[rows] - middle
    factor = cho_factor(_covariance(best.x, x, x) + np.exp(best.x[4]) * np.eye(len(x)), lower=True)
    across = _covariance(best.x, asked_x, x)
    mean = middle + across @ cho_solve(factor, target)
    known = (across * cho_solve(factor, across.T).T).sum(axis=1)
    variance = np.maximum(np.exp(best.x[0]) - known, 0.0) + np.exp(best.x[4])
    return _around(mean, np.sqrt(variance), power.shape[1])


def _some(rows: int, most: int) -> np.ndarray:
    """Rows spread evenly over all."""
    return np.linspace(0, rows - 1, min(rows, most)).astype(np.int64)


def _covariance(logs: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    away = np.sqrt(3) * cdist(a / np.exp(logs[1:4]), b / np.exp(logs[1:4]))
    covariance: np.ndarray = np.exp(logs[0]) * (1 + away) * np.exp(-away)
    return covariance


def _nats(logs: np.ndarray, x: np.ndarray, target: np.ndarray) -> float:
    """Negative logarithm of the marginal likelihood, up to a constant."""
    noisy = _covariance(logs, x, x) + (np.exp(logs[4]) + 1e-8) * np.eye(len(x))
    factor = cho_factor(noisy, lower=True)
    return float(0.5 * target @ cho_solve(factor, target) + np.log(np.diag(factor[0])).sum())


def _around(
    centre: Float[np.ndarray, " asked"], scale: Float[np.ndarray, " asked"], beams: int
) -> Float[np.ndarray, "asked beams"]:
    """Probability of each whole beam around a fractional one with a normal error, and outliers."""
    edges = np.arange(beams + 1) - 0.5
    share = np.diff(norm.cdf((edges - np.clip(centre, -0.5, beams - 0.5)[:, None]) / scale[:, None]), axis=1)
    share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)
    out: np.ndarray = (1 - _OUTLIERS) * share + _OUTLIERS / beams
    return out


def tree_powers(
    position: Float[np.ndarray, "rows 2"],
    velocity: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked 2"],
    asked_velocity: Float[np.ndarray, "asked 2"],
    seed: int = 0,
) -> Float[np.ndarray, "asked beams"]:
    """Relative powers by extremely randomised trees on position, heading and speed (`ExtraTrees`).

    Args:
        position: Metres east and north of the station.
        velocity: Metres between fixes.
        power: Linear; NaN counts as no power.
        asked: Positions that are asked about.
        asked_velocity: Velocities there.
        seed: Seed of the trees.
    """
    relative = np.nan_to_num(power / np.nanmax(power, axis=1, keepdims=True))
    forest = ExtraTrees(_TREES, 2 if len(power) >= _LARGER_LEAVES else 1, seed)
    return forest.fit(_tree_inputs(position, velocity), relative).predict(_tree_inputs(asked, asked_velocity))


def _tree_inputs(position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Position, azimuth, distance, heading and speed."""
    azimuth, heading = np.arctan2(position[:, 1], position[:, 0]), np.arctan2(velocity[:, 1], velocity[:, 0])
    distance, speed = np.hypot(*position.T), np.hypot(*velocity.T)
    more = (np.cos(azimuth), np.sin(azimuth), distance, np.cos(heading), np.sin(heading), speed)
    return np.column_stack([position, *more])
