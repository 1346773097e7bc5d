"""How sure a structured twin may be: position error and ties, chosen by cross-validation inside the measured rows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.fitting import Fitter
from sitetwin.calibrate.rows import BeamRows
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.finite import best_finite

FEWEST_ROWS = 20
"""With fewer rows the defaults of `StructuredConfig` stand."""

_FOLDS = 5
_SPREADS_M = (0.3, 0.45, 0.6, 0.9, 1.3)
_TIES_DB = (0.25, 0.5, 1.0)


def certainty(fitter: Fitter, rows: BeamRows) -> tuple[Float[np.ndarray, " fits"], Float[np.ndarray, " fits"]]:
    """Position error in m and temperature of ties in dB that make left-out rows' best beams most likely.

    Every fit leaves out each of five parts of its own rows in turn, and chooses for itself: no fit sees a row of
    another.

    Args:
        fitter: The model.
        rows: Measured rows.

    Raises:
        SiteTwinError: The rows have no powers, or one of them no power at all.
    """
    power, config = rows.measured(fitter.model.beams), fitter.model.config
    fits, count = power.shape[:2]
    if count < FEWEST_ROWS:
        return np.full(fits, config.spread_m), np.full(fits, config.tie_db)
    total = np.zeros((fits, len(_SPREADS_M), len(_TIES_DB)))
    for fold in range(_FOLDS):
        out = np.arange(count) % _FOLDS == fold
        fitted = fitter.fit(rows.part(~out))
        asked = rows.part(out)
        left = asked.measured(fitter.model.beams)
        best = best_beams(left.reshape(-1, left.shape[-1])).reshape(left.shape[:2])
        for a, spread in enumerate(_SPREADS_M):
            for b, tie in enumerate(_TIES_DB):
                answer = fitter.probabilities(fitted, asked, np.full(fits, spread), np.full(fits, tie))
                chance = np.take_along_axis(answer, best[..., None], axis=-1)
                total[:, a, b] += np.log(np.maximum(chance, 1e-4)).sum(axis=(1, 2))
    best_pair = best_finite(total.reshape(fits, -1), "the chance of left-out rows")
    return np.array(_SPREADS_M)[best_pair // len(_TIES_DB)], np.array(_TIES_DB)[best_pair % len(_TIES_DB)]
