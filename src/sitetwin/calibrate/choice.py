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
from sitetwin.calibrate.geometry import BeamPriors, Street
from sitetwin.calibrate.track import Track
from sitetwin.learn.finite import best_finite

_MOST_ROWS = 600  # of the pool that are looked at: neighbours say the same
_POINTING_LENGTH_DEG = 3.0  # about the spacing of sixteen beams: rows in one beam share its gain and pointing
_NOISE_DEG = 1.0  # error of one row
_LANE_M, _SLOW_LAG, _DRIVE_LAG = 1.0, 0.6, 0.5  # wider than the priors: rows are bought for what may be wrong


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
    p = replace(priors or BeamPriors(), lane_m=_LANE_M, slow_lag=_SLOW_LAG, drive_lag=_DRIVE_LAG)
    own = track.rows(rows)
    seen = Street.of(own).seen(own)
    line = Linear.of(p.mean, seen)
    angle = np.degrees(np.arctan2(seen.position[:, 1], seen.position[:, 0]))
    beams = np.exp(-0.5 * ((angle[:, None] - angle) / _POINTING_LENGTH_DEG) ** 2) * p.pointing_deg**2
    left = covariance(p, line, line) + beams
    taken: list[int] = []
    free = np.ones(len(rows), dtype=bool)
    for _ in range(min(count, len(rows))):
        gain = (left**2).sum(axis=0) / (left.diagonal() + _NOISE_DEG**2)
        places = np.flatnonzero(free)
        best = int(places[best_finite(gain[places], "what a row tells of the directions")])
        free[best] = False
        taken.append(best)
        column = left[:, best].copy()
        left -= np.outer(column, column) / (column[best] + _NOISE_DEG**2)
    return rows[np.array(taken, dtype=np.int64)].astype(np.int64)
