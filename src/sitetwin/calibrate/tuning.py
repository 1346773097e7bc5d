"""How sure a structured twin may be: position error and ties, chosen by cross-validation inside the measured rows."""

from __future__ import annotations

import numpy as np

from sitetwin.calibrate.rows import Street
from sitetwin.calibrate.structured import StructuredTwin
from sitetwin.learn.beams.metrics import best_beams

FEWEST_ROWS = 20
"""With fewer rows the defaults of `StructuredConfig` stand."""

_FOLDS = 5
_SPREADS_M = (0.3, 0.45, 0.6, 0.9, 1.3)
_TIES_DB = (0.25, 0.5, 1.0)


def calibrate(
    model: StructuredTwin,
    street: Street,
    rows: np.ndarray,
    power: np.ndarray,
    echoes: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Position error (R,) in m and temperature of ties (R,) in dB that make left-out rows' best beams most likely.

    Every fit leaves out each of five parts of its own rows in turn, and chooses for itself: no fit sees a row of
    another.

    Args:
        model: The twin.
        street: Positions.
        rows: (R, k) measured rows.
        power: (N, B) linear, of all rows of the street; only those of `rows` are read.
        echoes: As in `Street.rows`.
    """
    fits, count = rows.shape
    if count < FEWEST_ROWS:
        return np.full(fits, model.config.spread_m), np.full(fits, model.config.tie_db)
    total = np.zeros((fits, len(_SPREADS_M), len(_TIES_DB)))
    for fold in range(_FOLDS):
        out = np.arange(count) % _FOLDS == fold
        kept, left = rows[:, ~out], rows[:, out]
        fitted = model.fit(street.rows(kept, echoes), power[kept])
        best = best_beams(power[left.ravel()]).reshape(left.shape)
        asked = street.rows(left, echoes)
        for a, spread in enumerate(_SPREADS_M):
            for b, tie in enumerate(_TIES_DB):
                answer = model.probabilities(fitted, asked, np.full(fits, spread), np.full(fits, tie))
                chance = np.take_along_axis(answer, best[..., None], axis=-1)
                total[:, a, b] += np.log(np.maximum(chance, 1e-4)).sum(axis=(1, 2))
    best_pair = total.reshape(fits, -1).argmax(axis=1)
    return np.array(_SPREADS_M)[best_pair // len(_TIES_DB)], np.array(_TIES_DB)[best_pair % len(_TIES_DB)]
