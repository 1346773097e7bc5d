"""Which rows to measure: a Bayesian choice from positions, and from the powers of rows that are bought already.

The direction in which the array sees a row is the geometry plus an error that the fit must learn. To first order that
error is Gaussian, linear in the unknowns, with the prior of the structured model; its posterior variance does not
depend on what is measured, so that a choice can be made before any power is known. Greedily, the row is taken that
lowers the variance summed over the pool most (integrated variance reduction: D. Cohn, Z. Ghahramani, M. Jordan,
"Active learning with statistical models", J. Artif. Intell. Res. 4, 1996).

Turns of the array between drives are not Gaussian: whether there was one is in the powers. So the last quarter of the
rows is bought one by one, where the rows so far leave a drive's turn in doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from sitetwin.calibrate.priors import StructuredConfig
from sitetwin.calibrate.rows import Street
from sitetwin.calibrate.structured import StructuredTwin
from sitetwin.calibrate.turns import TURNS_DEG, turn_posterior
from sitetwin.learn.finite import best_finite

FEWEST_IN_TURN = 20
"""With fewer rows all are chosen before the first is measured."""

_SHARE_IN_TURN = 0.25
_MOST_ROWS = 600  # of the pool that are looked at: neighbours say the same
_POINTING_LENGTH_DEG = 3.0  # about the spacing of sixteen beams: rows in one beam share its gain and pointing
_TURN_SD_DEG = 2.0  # of a random walk of the array's orientation, from drive to drive
_DRIVES_APART = 10.0  # drives over which orientations stay alike
_NOISE_DEG = 1.2  # error of a fix, seen from the station
_DOUBT_DEG = 3.0  # standard deviation of a drive's turn: two sides of a change, not the error of a fix


def choose_rows(
    street: Street, pool: Int[np.ndarray, " pool"], count: int, config: StructuredConfig | None = None
) -> Int[np.ndarray, " chosen"]:
    """Choose rows of the pool to measure, the most informative first.

    Args:
        street: Positions, velocities and drives; no powers.
        pool: Rows that may be measured, in random order.
        count: How many.
        config: Priors of the model that will be fitted.
    """
    design = _Design(street, pool[:_MOST_ROWS], config or StructuredConfig())
    taken = [design.take(np.arange(len(design.rows))) for _ in range(min(count, len(design.rows)))]
    return np.array(taken, dtype=np.int64)


def choose_in_turn(
    twin: StructuredTwin,
    street: Street,
    pools: Sequence[np.ndarray],
    power: Float[np.ndarray, "users beams"],
    count: int,
    echoes: tuple[np.ndarray, np.ndarray] | None = None,
) -> Int[np.ndarray, "fits chosen"]:
    """Choose rows to measure in each of several pools: three quarters at once, then a quarter one by one.

    The first are those of `choose_rows`. Each further one is of the drive whose turn has the widest posterior given
    the rows so far, so that a row that hints at a turn is followed by a second one; while no drive is in doubt by more
    than 3 degrees, it is what `choose_rows` would take next.

    Args:
        twin: The twin that will be fitted; it is not changed.
        street: Positions.
        pools: Pools of at least `count` rows, each in random order.
        power: Linear powers; the powers of a row are read only after the row was chosen.
        count: How many; with fewer than `FEWEST_IN_TURN` all are chosen at once.
        echoes: Offsets in degrees and power ratios of the twin's echoes at all users; none by default.
    """
    later = int(count * _SHARE_IN_TURN) if count >= FEWEST_IN_TURN else 0
    first = np.stack([choose_rows(street, pool, count - later, twin.config) for pool in pools])
    if not later:
        return first
    fitted = twin.fitter.fit(street.rows(first, echoes, power))
    out = []
    for fit, pool in enumerate(pools):
        design = _Design(street, pool[:_MOST_ROWS], twin.config)
        for row in first[fit]:
            design.take(np.flatnonzero(design.rows == row))
        chosen, cost, alone = first[fit], fitted.turn_cost[fit], fitted.alone(fit)
        for _ in range(later):
            row = design.take(_in_doubt(street, design.rows, chosen, cost))
            one = np.array([[row]])
            chosen = np.append(chosen, row)
            cost = np.concatenate([cost, twin.fitter.turn_costs(alone, street.rows(one, echoes, power))[0]])
        out.append(chosen)
    return np.stack(out)


class _Design:
    """Rows of a pool, and what is still uncertain of their directions once some are measured.

    Args:
        street: Positions.
        rows: (P,) rows.
        config: Priors.
    """

    def __init__(self, street: Street, rows: np.ndarray, config: StructuredConfig) -> None:
        self.rows = rows
        self._variance = _kernel(street, rows, config)
        self._taken = np.zeros(len(rows), dtype=bool)

    def take(self, among: np.ndarray) -> int:
        """Take the most telling free row of those at the places `among`; of all rows, where none of these is free."""
        gain = (self._variance**2).sum(axis=0) / (self._variance.diagonal() + _NOISE_DEG**2)
        free = among[~self._taken[among]]
        free = free if len(free) else np.flatnonzero(~self._taken)
        best = int(free[best_finite(gain[free], "what a row tells of the directions")])
        self._taken[best] = True
        column = self._variance[:, best].copy()
        self._variance -= np.outer(column, column) / (column[best] + _NOISE_DEG**2)
        return int(self.rows[best])


def _in_doubt(street: Street, rows: np.ndarray, chosen: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Places among `rows` of the drive whose turn is most in doubt, given the cost (k, T) of turns to chosen rows."""
    drive = street.drive[rows]
    share = turn_posterior(street.drive[chosen][None], TURNS_DEG, cost[None], drive[None])[0]
    deviation = np.sqrt(np.maximum(share @ TURNS_DEG**2 - (share @ TURNS_DEG) ** 2, 0))
    worst = best_finite(deviation, "the doubt about the turn of a drive")
    if deviation[worst] <= _DOUBT_DEG:
        return np.arange(len(rows))
    return np.flatnonzero(drive == drive[worst])


def _kernel(street: Street, rows: np.ndarray, config: StructuredConfig) -> np.ndarray:
    """(P, P) prior covariance, degrees squared, of the direction's error."""
    x, y = street.position[rows].T
    heading = np.where(street.velocity[rows, 1] < 0, -1.0, 1.0)
    squared = np.maximum(x**2 + y**2, 1.0)  # a fix at the station itself would be all that matters
    metre = np.degrees(x / squared)  # degrees of direction for a metre along the street
    across = np.degrees(-y / squared)
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
