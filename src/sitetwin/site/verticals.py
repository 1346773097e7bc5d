"""Find what lies above or below points: vertical rays against a triangle mesh, in NumPy, on a grid in plan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

_PAIRS_PER_BLOCK = 1 << 18
_MOST_CELLS = 1 << 21
_MOST_ENTRIES = 1 << 23
_CELLS, _FINE_CELLS = 4, 64  # for each triangle: of the grid of all, and of that of small ones
_MANY = 1000  # small triangles that are worth a grid of their own
_UPRIGHT = 1e-9  # m2 in plan: a triangle of less has no height at a point
_EDGE = 1e-9  # barycentric slack: a point on a shared edge hits both triangles and never slips between them


@dataclass(frozen=True)
class Hits:
    """Where vertical lines through points meet triangles.

    Attributes:
        point: (H,) int64, index of the point, ascending.
        triangle: (H,) int64, number of the triangle in the `VerticalIndex`.
        z: (H,) float64, height of the triangle there, metres.
    """

    point: Int[np.ndarray, " hits"]
    triangle: Int[np.ndarray, " hits"]
    z: Float[np.ndarray, " hits"]


class VerticalIndex:
    """Triangles in plan on uniform grids, ready for vertical lines.

    Small triangles have a finer grid of their own: in the detailed parts of a city (domes, trees), thousands of them
    share one cell of the other.

    Args:
        corners: (T, 3, 3) triangle corners, metres. Vertical triangles are never hit.
    """

    def __init__(self, corners: Float[np.ndarray, "triangles 3 3"]) -> None:
        flat = corners[..., :2]
        e1, e2 = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
        area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
        rows = np.flatnonzero(np.abs(area) > _UPRIGHT)
        self._grids: list[_Grid] = []
        if not len(rows):
            return
        low, high = flat[rows].min(axis=1), flat[rows].max(axis=1)
        span = np.maximum(high.max(axis=0) - low.min(axis=0), 1e-3)
        small = (high - low).max(axis=1) <= 0.5 * np.sqrt(span.prod() / (_CELLS * len(rows)))
        if small.sum() < _MANY:
            small[:] = False
        for chosen, cells in ((rows[~small], _CELLS), (rows[small], _FINE_CELLS)):
            if len(chosen):
                self._grids.append(_Grid(corners[chosen], area[chosen], chosen, cells))

    def hits(self, points_xy: Float[np.ndarray, "points 2"]) -> Hits:
        """Find all triangles on the vertical lines through points.

        Args:
            points_xy: (N, 2) x and y of the points, metres.
        """
        found = [part for grid in self._grids for part in grid.hits(points_xy)] if len(points_xy) else []
        if not found:
            return Hits(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        point, triangle, z = (np.concatenate(columns) for columns in zip(*found, strict=True))
        if len(self._grids) > 1:
            order = np.argsort(
                point * (int(triangle.max(initial=0)) + 1) + triangle, kind="stable"
            )  # merges sorted runs
            point, triangle, z = point[order], triangle[order], z[order]
        return Hits(point, triangle, z)


class _Grid:
    """Triangles that are not vertical, on one uniform grid."""

    def __init__(self, corners: np.ndarray, area: np.ndarray, rows: np.ndarray, cells: int) -> None:
        self._corners, self._area, self._rows = corners, area, rows
        low, high = self._corners[..., :2].min(axis=1), self._corners[..., :2].max(axis=1)
        self._origin = low.min(axis=0)
        span = np.maximum(high.max(axis=0) - self._origin, 1e-3)
        self._cell = max(float(np.sqrt(span[0] * span[1] / (cells * len(low)))), float(span.max()) / 4096, 1e-3)
        while True:
            self._shape = (span / self._cell).astype(np.int64) + 1
            first = self._cell_of(low)
            counts = self._cell_of(high) - first + 1
            entries = counts[:, 0] * counts[:, 1]
            if self._shape.prod() <= _MOST_CELLS and entries.sum() <= max(_MOST_ENTRIES, 4 * len(low)):
                break
            self._cell *= 1.5
        triangle = np.repeat(np.arange(len(low)), entries)
        rank = np.arange(len(triangle)) - np.repeat(np.cumsum(entries) - entries, entries)
        column = first[triangle, 0] + rank // counts[triangle, 1]
        cell = column * self._shape[1] + first[triangle, 1] + rank % counts[triangle, 1]
        order = np.argsort(cell, kind="stable")
        self._members = triangle[order]
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=int(self._shape.prod())))])

    def _cell_of(self, xy: np.ndarray) -> np.ndarray:
        return np.clip(((xy - self._origin) / self._cell).astype(np.int64), 0, self._shape - 1)

    def hits(self, points_xy: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
        """Points, triangles and heights of the hits, in blocks."""
        cell = self._cell_of(points_xy)
        flat = cell[:, 0] * self._shape[1] + cell[:, 1]
        begin, count = self._offsets[flat], self._offsets[flat + 1] - self._offsets[flat]
        total = np.cumsum(count)
        cut = 0
        while cut < len(count):
            done = total[cut - 1] if cut else 0
            stop = max(int(np.searchsorted(total, done + _PAIRS_PER_BLOCK, side="right")), cut + 1)
            yield self._block(points_xy, cut, stop, begin, count)
            cut = stop

    def _block(
        self, xy: np.ndarray, cut: int, stop: int, begin: np.ndarray, count: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hits of the points ``cut`` to ``stop``."""
        counts = count[cut:stop]
        point = np.repeat(np.arange(cut, stop), counts)
        rank = np.arange(len(point)) + np.repeat(begin[cut:stop] - np.cumsum(counts) + counts, counts)
        triangle = self._members[rank]
        a = self._corners[triangle, 0]
        e1, e2 = self._corners[triangle, 1] - a, self._corners[triangle, 2] - a
        px, py = xy[point, 0] - a[:, 0], xy[point, 1] - a[:, 1]
        area = self._area[triangle]
        u = (px * e2[:, 1] - py * e2[:, 0]) / area
        v = (e1[:, 0] * py - e1[:, 1] * px) / area
        inside = (u >= -_EDGE) & (v >= -_EDGE) & (u + v <= 1.0 + _EDGE)
        z = a[:, 2] + u * e1[:, 2] + v * e2[:, 2]
        return point[inside], self._rows[triangle[inside]], z[inside]
