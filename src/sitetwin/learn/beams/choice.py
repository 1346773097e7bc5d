"""Which rows to measure: a Bayesian choice from positions alone.

The direction in which the array sees a row is the geometry plus an error that the fit must learn. To first order that
error is Gaussian, linear in the unknowns, with the prior of the structured model; its posterior variance does not
depend on what is measured, so that the whole choice can be made before any power is known. Greedily, the row is taken
that lowers the variance summed over the pool most (integrated variance reduction: D. Cohn, Z. Ghahramani, M. Jordan,
"Active learning with statistical models", J. Artif. Intell. Res. 4, 1996).
"""

from __future__ import annotations

import numpy as np

from sitetwin.learn.beams.rows import Street
from sitetwin.learn.beams.structured import StructuredConfig

_MOST_ROWS = 600  # of the pool that are looked at: neighbours say the same
_POINTING_LENGTH_DEG = 3.0  # about the spacing of sixteen beams: rows in one beam share its gain and pointing
_TURN_SD_DEG = 2.0  # of a random walk of the array's orientation, from drive to drive
_DRIVES_APART = 10.0  # drives over which orientations stay alike
_NOISE_DEG = 1.2  # error of a fix, seen from the station


def choose_rows(street: Street, pool: np.ndarray, count: int, config: StructuredConfig | None = None) -> np.ndarray:
    """(count,) rows of the pool to measure, the most telling first.

    Args:
        street: Positions, velocities and drives; no powers.
        pool: (P,) rows that may be measured, in random order.
        count: How many.
        config: Priors of the model that will be fitted.
    """
    rows = pool[:_MOST_ROWS]
    kernel = _kernel(street, rows, config or StructuredConfig())
    variance = kernel.copy()
    chosen: list[int] = []
    for _ in range(min(count, len(rows))):
        gain = (variance**2).sum(axis=0) / (variance.diagonal() + _NOISE_DEG**2)
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        column = variance[:, best].copy()
        variance -= np.outer(column, column) / (column[best] + _NOISE_DEG**2)
    return rows[np.array(chosen, dtype=np.int64)]


def _kernel(street: Street, rows: np.ndarray, config: StructuredConfig) -> np.ndarray:
    """(P, P) prior covariance, degrees squared, of the direction's error."""
    x, y = street.position[rows].T
    heading = np.where(street.velocity[rows, 1] < 0, -1.0, 1.0)
    metre = np.degrees(x / (x**2 + y**2))  # degrees of direction for a metre along the street
    across = np.degrees(-y / (x**2 + y**2))
    direction = np.degrees(np.arctan2(y, x))
    columns = np.stack(
        [
            np.full(len(rows), config.boresight_deg[1]),
            across * config.across_m[1],
            metre * config.along_m[1],
            metre * heading * config.lever_m[1],
            metre * street.velocity[rows, 1] * config.lag[1],
            direction * config.scale[1],
        ]
    )
    drift = np.exp(-0.5 * ((y[:, None] - y) / config.drift_length_m) ** 2) * config.drift_m**2
    lanes = config.drift_common + (1 - config.drift_common) * heading[:, None] * heading
    beams = np.exp(-0.5 * ((direction[:, None] - direction) / _POINTING_LENGTH_DEG) ** 2) * config.pointing_deg**2
    drive = street.drive[rows].astype(np.float64)
    turns = np.exp(-np.abs(drive[:, None] - drive) / _DRIVES_APART) * _TURN_SD_DEG**2
    return columns.T @ columns + metre[:, None] * metre * drift * lanes + beams + turns
