"""A fixed grid of cells over the users' volume, which tells for which users a chain is tried."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

CELL_SIZE = 16.0  # m
_MOST_CELLS = 1 << 15  # beyond, cells grow: marks take memory in proportion to chains x cells
_POINTS_AT_ONCE = 1 << 18  # bounds the memory of temporary arrays


@dataclass(frozen=True, eq=False)
class CellGrid:
    """Cubic cells over the bounding box of all users, with a margin of one empty cell around.

    Attributes:
        origin: (3,) float64, lowest corner, metres.
        size: Edge of a cell, metres.
        shape: Number of cells along x, y, z.
    """

    origin: Float[np.ndarray, " 3"]
    size: float
    shape: tuple[int, int, int]

    @classmethod
    def over(cls, users: Float[np.ndarray, "users 3"]) -> CellGrid:
        """Make the grid over (U, 3) users, metres, U at least 1."""
        low, high = users.min(axis=0), users.max(axis=0)
        size = CELL_SIZE
        while True:
            shape = np.floor((high - low) / size).astype(int) + 3
            if shape.prod() <= _MOST_CELLS:
                break
            size *= 2
        return cls(low - size, size, (int(shape[0]), int(shape[1]), int(shape[2])))

    @property
    def num_cells(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def high(self) -> Float[np.ndarray, " 3"]:
        """(3,) float64, highest corner, metres."""
        return self.origin + self.size * np.asarray(self.shape)

    def cell_of(self, points: Float[np.ndarray, "points 3"]) -> Integer[np.ndarray, " points"]:
        """Return the cell of each (N, 3) point, (N,) int64; points outside get the nearest cell."""
        cell = np.empty(len(points), dtype=np.int64)
        for first in range(0, len(points), _POINTS_AT_ONCE):
            part = slice(first, first + _POINTS_AT_ONCE)
            index = ((points[part] - self.origin) / self.size).astype(np.int64)
            index = np.clip(index, 0, np.asarray(self.shape) - 1)
            cell[part] = (index[:, 0] * self.shape[1] + index[:, 1]) * self.shape[2] + index[:, 2]
        return cell

    def neighbours(self, cells: Integer[np.ndarray, " cells"]) -> Integer[np.ndarray, "cells 27"]:
        """Return each cell and the cells around it, (N, 27) int64; -1 outside the grid."""
        x, rest = np.divmod(cells, self.shape[1] * self.shape[2])
        y, z = np.divmod(rest, self.shape[2])
        steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        index = np.stack([x, y, z], axis=-1)[:, None] + steps
        inside = ((index >= 0) & (index < np.asarray(self.shape))).all(axis=2)
        flat = (index[..., 0] * self.shape[1] + index[..., 1]) * self.shape[2] + index[..., 2]
        return np.where(inside, flat, -1)

    def near(self, users: Float[np.ndarray, "users 3"]) -> Bool[np.ndarray, " cells"]:
        """Return (num_cells,) bool: which cells hold users or are neighbours of such cells."""
        result = np.zeros(self.num_cells, dtype=bool)
        result[self.cell_of(users)] = True
        around = self.neighbours(np.flatnonzero(result))
        result[around[around >= 0]] = True
        return result


@dataclass(frozen=True, eq=False)
class CellUsers:
    """Users sorted by cell.

    Attributes:
        order: (U,) int64, index of the user at each place of the sorted order.
        points: (U, 3) float64, sorted users, metres.
        cells: (B,) int64, the cells that hold users, ascending.
        offsets: (B + 1,) int64; the users of cell b are the sorted places ``offsets[b]:offsets[b + 1]``.
        low: (B, 3) float64, lowest corner of the users of each cell, metres.
        high: (B, 3) float64, highest corner of the users of each cell, metres.
    """

    order: Integer[np.ndarray, " users"]
    points: Float[np.ndarray, "users 3"]
    cells: Integer[np.ndarray, " cells"]
    offsets: Integer[np.ndarray, " cells+1"]
    low: Float[np.ndarray, "cells 3"]
    high: Float[np.ndarray, "cells 3"]

    @classmethod
    def of(cls, users: Float[np.ndarray, "users 3"], grid: CellGrid) -> CellUsers:
        """Sort (U, 3) users, metres, U at least 1, by the cells of a grid."""
        cell = grid.cell_of(users)
        order = np.argsort(cell, kind="stable")
        cells, starts = np.unique(cell[order], return_index=True)
        points = users[order]
        return cls(
            order=order,
            points=points,
            cells=cells,
            offsets=np.append(starts, len(users)),
            low=np.minimum.reduceat(points, starts, axis=0),
            high=np.maximum.reduceat(points, starts, axis=0),
        )
