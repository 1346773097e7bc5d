"""Which rows to measure: a Bayesian choice from positions, speeds and drives alone.

The direction in which the array sees a row is the geometry plus an error that the fit must learn. To first order that
error is Gaussian, linear in the unknowns, with the prior of the twin (`sitetwin.calibrate.effects`); its posterior
variance does not depend on what is measured, so that a choice can be made before any power is known. Greedily, the row
is taken that lowers the variance summed over the pool most (integrated variance reduction: D. Cohn, Z. Ghahramani,
M. Jordan, "Active learning with statistical models", J. Artif. Intell. Res. 4, 1996).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from sitetwin.calibrate.effects import Linear, covariance
from sitetwin.calibrate.geometry import BeamPriors, Seen, Street
from sitetwin.calibrate.track import Track
from sitetwin.learn.finite import best_finite

_MOST_ROWS = 600  # of the pool that are looked at: neighbours say the same
_POINTING_LENGTH_DEG = 3.0  # about the spacing of sixteen beams: rows in one beam share its gain and pointing
_NOISE_DEG = 1.0  # error of one row
_FIRST_ROWS = 10  # that are chosen under wider disturbances
_LANE_M, _SLOW_LAG, _DRIVE_LAG = 1.0, 0.6, 0.5


def choose_rows(
    track: Track, pool: Int[np.ndarray, " pool"], count: int, priors: BeamPriors | None = None
) -> Int[np.ndarray, " chosen"]:
    """Choose rows of the pool to measure, the most informative first.

    Args:
        track: All users; no powers.
        pool: Rows that may be measured, in random order.
        count: How many.
        priors: Priors of the twin that will be fitted.
    """
    rows = pool[: max(_MOST_ROWS, 2 * count)]
    if not len(rows):
        return np.zeros(0, dtype=np.int64)
    own = track.rows(rows)
    seen = Street.of(own).seen(own)
    taken: list[int] = []
    for p, until in _stages(priors or BeamPriors(), min(count, len(rows))):
        left = _uncertainty(p, seen)
        for best in taken:
            _measured(left, best)
        while len(taken) < until:
            gain = (left**2).sum(axis=0) / (left.diagonal() + _NOISE_DEG**2)
            gain[taken] = -1.0
            best = int(best_finite(gain, "what a row tells of the directions"))
            taken.append(best)
            _measured(left, best)
    return rows[np.array(taken, dtype=np.int64)].astype(np.int64)


def _stages(priors: BeamPriors, count: int) -> list[tuple[BeamPriors, int]]:
    """Priors, and how many rows are taken once they were used: the first rows are bought for what may be wrong."""
    wide = replace(priors, lane_m=_LANE_M, slow_lag=_SLOW_LAG, drive_lag=_DRIVE_LAG)
    return [(wide, min(count, _FIRST_ROWS)), (priors, count)]


def _uncertainty(priors: BeamPriors, seen: Seen) -> np.ndarray:
    """(P, P) prior covariance of directions, degrees squared, pointing errors of the beams included."""
    line = Linear.of(priors.mean, seen)
    angle = np.degrees(np.arctan2(seen.position[:, 1], seen.position[:, 0]))
    beams = np.exp(-0.5 * ((angle[:, None] - angle) / _POINTING_LENGTH_DEG) ** 2) * priors.pointing_deg**2
    return covariance(priors, line, line) + beams


def _measured(left: np.ndarray, row: int) -> None:
    """Take what a measured row tells off a covariance, in place."""
    column = left[:, row].copy()
    left -= np.outer(column, column) / (column[row] + _NOISE_DEG**2)
