"""Scores of predictions: root mean square errors of cells with intervals over blocks, and coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_DRAWS = 2000
_SEED = 7
INTERVAL = "95 % over blocks of space, drawn with replacement together for all methods, cells and seeds"


@dataclass(frozen=True, eq=False)
class Scorer:
    """Draws of blocks, the same for all methods.

    Attributes:
        cell: (N,) number of each row's cell.
        block: (N,) number of each row's block; blocks are shared by all cells.
    """

    cell: Int[np.ndarray, " rows"]
    block: Int[np.ndarray, " rows"]

    def rmse(
        self, square: Float[np.ndarray, " rows"]
    ) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " draws"]]:
        """RMSE of each cell, dB, and the mean over cells for each draw of blocks.

        Args:
            square: Squared error of each row, the mean over seeds, dB^2.
        """
        cells, blocks = int(self.cell.max()) + 1, int(self.block.max()) + 1
        place = self.cell * blocks + self.block
        total = np.bincount(place, square, cells * blocks).reshape(cells, blocks)
        count = np.bincount(place, minlength=cells * blocks).reshape(cells, blocks)
        rng = np.random.default_rng(_SEED)
        weight = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=_DRAWS).astype(np.float64)
        drawn = np.sqrt((weight @ total.T) / np.maximum(weight @ count.T, 1))
        return np.sqrt(total.sum(axis=1) / np.maximum(count.sum(axis=1), 1)), drawn.mean(axis=1)

    def estimate(self, square: Float[np.ndarray, " rows"]) -> dict[str, object]:
        """Mean RMSE of the cells with its interval."""
        own, drawn = self.rmse(square)
        return self._of(float(own.mean()), drawn)

    def difference(self, one: Float[np.ndarray, " rows"], other: Float[np.ndarray, " rows"]) -> dict[str, object]:
        """Mean RMSE of the first less that of the second, dB, on the same draws."""
        (a, drawn_a), (b, drawn_b) = self.rmse(one), self.rmse(other)
        return self._of(float((a - b).mean()), drawn_a - drawn_b)

    def _of(self, mean: float, drawn: np.ndarray) -> dict[str, object]:
        low, high = np.percentile(drawn, [2.5, 97.5])
        numbers = {"mean": mean, "low": float(low), "high": float(high)}
        return {**{k: round(v, 4) for k, v in numbers.items()}, "n": int(self.block.max()) + 1, "kind": INTERVAL}
