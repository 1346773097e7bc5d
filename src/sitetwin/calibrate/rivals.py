"""What else may answer where a beam is asked for: neighbours, a cubic in azimuth, trees; from measured rows alone.

Each gives probabilities, learnt from the same targets: each row's beams by how near they come to its best.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import least_squares

from sitetwin.calibrate.geometry import Seen
from sitetwin.learn.beams.baselines import mean_of_nearest
from sitetwin.learn.beams.trees import ExtraTrees

_TIE_DB = 0.5
_LEAST_SHARE = 1e-3
_CUBIC_ROBUST = 1.0  # beams
_CUBIC_RIDGE = 0.03


def targets(power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, "rows beams"]:
    """Share of each beam in each row: beams within half a decibel of the best are nearly as good."""
    level = 10 * np.log10(np.where(power > 0, power, np.nan))
    level = np.nan_to_num(level - np.nanmax(level, axis=1, keepdims=True), nan=-np.inf)
    share = np.exp(level / _TIE_DB)
    return share / share.sum(axis=1, keepdims=True)


def neighbours(
    seen: Seen, target: Float[np.ndarray, "rows beams"], asked: Seen, count: int
) -> Float[np.ndarray, "asked beams"]:
    """Mean target of the nearest rows."""
    return _positive(mean_of_nearest(seen.position, target, asked.position, min(count, len(target))))


def cubic(seen: Seen, best: Int[np.ndarray, " rows"], beams: int, asked: Seen) -> Float[np.ndarray, "asked beams"]:
    """The best beam as a cubic in azimuth with an offset and a slope for the direction of travel, robustly fitted."""
    middle = np.arctan2(*np.median(seen.position, axis=0)[::-1])

    def columns(of: Seen) -> np.ndarray:
        turned = (np.arctan2(of.position[:, 1], of.position[:, 0]) - middle + np.pi) % (2 * np.pi) - np.pi
        powers = [turned**k for k in range(4)]
        return np.stack([*powers, of.heading, of.heading * turned], axis=1)

    known = columns(seen)
    ridge = _CUBIC_RIDGE * np.diag([0.0, 0.0, 1.0, 1.0, 1.0, 1.0])

    def off(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([(known @ weights - best) / _CUBIC_ROBUST, ridge @ weights])

    first = np.linalg.lstsq(np.concatenate([known, ridge]), np.concatenate([best, np.zeros(6)]), rcond=None)[0]
    weights = least_squares(off, first, loss="cauchy").x
    width = max(0.5, 1.4826 * float(np.median(np.abs(known @ weights - best))))
    apart = (np.arange(beams) - (columns(asked) @ weights)[:, None]) / width
    return _positive(1 / (1 + apart**2) ** 2)


def trees(
    feature: Float[np.ndarray, "rows features"],
    target: Float[np.ndarray, "rows beams"],
    asked: Float[np.ndarray, "asked features"],
    seed: int = 0,
) -> Float[np.ndarray, "asked beams"]:
    """Extremely randomised trees."""
    return _positive(ExtraTrees(100, 5, seed).fit(feature, target).predict(asked))


def places(seen: Seen) -> Float[np.ndarray, "users features"]:
    """Position, direction and speed, as trees take them."""
    return np.concatenate([seen.position, seen.velocity], axis=1)


def _positive(share: np.ndarray) -> np.ndarray:
    """Rows that sum to one, no beam ruled out."""
    share = share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12) + _LEAST_SHARE
    return share / share.sum(axis=1, keepdims=True)
