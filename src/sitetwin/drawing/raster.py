"""Values of users as an image."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

_MOST_CELLS = 1200  # along the longer side: more than the pixels of the printed figure


class Raster:
    """Users' values as an image: one cell per user of a regular grid, the mean where several users share a cell.

    Args:
        users_xy: (U, 2) metres.
    """

    def __init__(self, users_xy: Float[np.ndarray, "users 2"]) -> None:
        low, high = users_xy.min(axis=0), users_xy.max(axis=0)
        cell = max(_spacing(users_xy), float((high - low).max()) / _MOST_CELLS, 1e-3)
        self.shape = tuple(int(n) for n in np.floor((high - low) / cell + 0.5 + 1e-6) + 1)[::-1]  # rows, columns
        columns = np.floor((users_xy - low) / cell + 0.5 + 1e-6).astype(np.int64)
        self._index = columns[:, 1] * self.shape[1] + columns[:, 0]
        corner = low - cell / 2
        self.extent = (
            float(corner[0]),
            float(corner[0] + cell * self.shape[1]),
            float(corner[1]),
            float(corner[1] + cell * self.shape[0]),
        )

    def mean(self, values: Float[np.ndarray, " users"]) -> Float[np.ndarray, "rows columns"]:
        """(rows, columns) mean of the finite values in each cell, NaN where there is none; row 0 is south."""
        known = np.isfinite(values)
        cells = self.shape[0] * self.shape[1]
        count = np.bincount(self._index[known], minlength=cells)
        total = np.bincount(self._index[known], weights=values[known], minlength=cells)
        with np.errstate(invalid="ignore"):
            return (total / np.where(count, count, np.nan)).reshape(self.shape)

    def last(self, values: Float[np.ndarray, " users"]) -> Float[np.ndarray, "rows columns"]:
        """(rows, columns) value of the last user in each cell, NaN where there is none: for labels."""
        image = np.full(self.shape[0] * self.shape[1], np.nan)
        image[self._index] = values
        return image.reshape(self.shape)


def _spacing(users_xy: Float[np.ndarray, "users 2"]) -> float:
    """Distance between neighbours in metres: the step of a regular grid, else about that of scattered users."""
    extent = users_xy.max(axis=0) - users_xy.min(axis=0)
    scattered = 1.3 * math.sqrt(max(float(extent[0] * extent[1]), 0.0) / len(users_xy))
    steps = []
    for axis in range(2):
        lines = np.unique(np.round(users_xy[:, axis], 3))
        if 1 < len(lines) <= max(len(users_xy) / 4, 2):
            steps.append(float(np.median(np.diff(lines))))
    return max(steps) if steps else max(scattered, float(extent.max()) / max(len(users_xy) - 1, 1), 1e-3)
