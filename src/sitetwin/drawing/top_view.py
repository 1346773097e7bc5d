"""Looking straight down on triangles: which one is seen in each cell of a raster, and how high it is there."""

from __future__ import annotations

import numpy as np

_CELLS_AT_ONCE = 1 << 21
_UPRIGHT = 1e-9  # m2 in plan: a triangle of less is not seen from above


def top_view(
    corners: np.ndarray, origin: tuple[float, float], cell: float, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A depth buffer from above, sampled at the centres of square cells.

    Args:
        corners: (T, 3, 3) triangles, metres.
        origin: (x, y) of the raster's south-western corner, metres.
        cell: Side of a cell, metres.
        shape: (rows, columns); row 0 is south.

    Returns:
        Height (rows, columns) float64 in metres, NaN where there is nothing, and the triangle (rows, columns) int64
        that is seen, -1 there.
    """
    height, seen = np.full(shape[0] * shape[1], -np.inf), np.full(shape[0] * shape[1], -1, dtype=np.int64)
    at = (corners[..., :2] - np.asarray(origin)) / cell - 0.5  # in cells, whole numbers at their centres
    e1, e2 = at[:, 1] - at[:, 0], at[:, 2] - at[:, 0]
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    least = np.minimum(np.minimum(at[:, 0], at[:, 1]), at[:, 2])
    most = np.maximum(np.maximum(at[:, 0], at[:, 1]), at[:, 2])
    limit = np.array([shape[1], shape[0]])
    first = np.clip(np.ceil(least - 1e-9), 0, limit).astype(np.int64)
    counts = np.clip(np.floor(most + 1e-9) + 1, first, limit).astype(np.int64) - first
    counts[np.abs(area) * cell**2 <= _UPRIGHT] = 0
    for rows, skip, take in _portions(counts.prod(axis=1)):
        triangle = np.repeat(rows, take)
        rank = np.arange(len(triangle)) + np.repeat(skip - np.cumsum(take) + take, take)
        column = first[triangle, 0] + rank % counts[triangle, 0]
        row = first[triangle, 1] + rank // counts[triangle, 0]
        px, py = column - at[triangle, 0, 0], row - at[triangle, 0, 1]
        u = (px * e2[triangle, 1] - py * e2[triangle, 0]) / area[triangle]
        v = (e1[triangle, 0] * py - e1[triangle, 1] * px) / area[triangle]
        inside = (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9)
        triangle, u, v = triangle[inside], u[inside], v[inside]
        base = corners[triangle, 0, 2]
        z = base + u * (corners[triangle, 1, 2] - base) + v * (corners[triangle, 2, 2] - base)
        _keep_highest(height, seen, (row * shape[1] + column)[inside], triangle, z)
    return np.where(seen >= 0, height, np.nan).reshape(shape), seen.reshape(shape)


def _portions(cells: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Triangles with cells to look at, at most `_CELLS_AT_ONCE` together: rows, cells already done, cells to do."""
    rows = np.flatnonzero(cells)
    ends = np.cumsum(cells[rows])
    portions = []
    for begin in range(0, int(ends[-1]) if len(ends) else 0, _CELLS_AT_ONCE):
        stop = min(begin + _CELLS_AT_ONCE, int(ends[-1]))
        i, j = np.searchsorted(ends, [begin, stop - 1], side="right")
        part = np.arange(i, j + 1)
        starts = ends[part] - cells[rows[part]]
        skip = np.maximum(begin - starts, 0)
        take = np.minimum(ends[part], stop) - np.maximum(starts, begin)
        portions.append((rows[part], skip, take))
    return portions


def _keep_highest(height: np.ndarray, seen: np.ndarray, cell: np.ndarray, triangle: np.ndarray, z: np.ndarray) -> None:
    """Put the highest of the new samples of each cell into the buffers, where it is higher than what is there."""
    before = height[cell]
    np.maximum.at(height, cell, z)
    wins = np.flatnonzero((z > before) & (z == height[cell]))[::-1]  # written last: of equal heights the first triangle
    seen[cell[wins]] = triangle[wins]
