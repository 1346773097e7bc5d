"""Tell the open air from what is enclosed: a flood from covered points towards the sky or the site's side."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from sitetwin.errors import SiteTwinError

_LARGEST_CELL = 50.0  # metres
_SMALLEST_CELL = 1.0
_MOST_CELLS = 1 << 20
_MOST_ENTRIES = 1 << 24


class OpenAir:
    """The surfaces of a mesh, ready to be asked whether points are enclosed by them.

    A point is in the open air if there is nothing above it but the ground's own surfaces, or if someone who walks from
    it over whatever lies below, in steps of a metre and at the point's height (at most 2 m), comes to a place under
    open sky or beyond the mesh. A gap must be 0.4 m wide and more than a slit high to be passed, and one narrower than
    about a metre may be missed. So a sheet encloses nothing, whatever its winding; a house without a floor is closed by
    the ground; and the cracks of a careless mesh let nobody out.

    Args:
        corners: (T, 3, 3) triangle corners, metres.
        is_ground: (T,) bool, triangles of the ground.
    """

    def __init__(self, corners: Float[np.ndarray, "triangles 3 3"], is_ground: Bool[np.ndarray, " triangles"]) -> None:
        self._corners, self._is_ground = np.ascontiguousarray(corners), np.ascontiguousarray(is_ground)
        low, high = corners[..., :2].min(axis=1), corners[..., :2].max(axis=1)
        self._low, self._high = low.min(axis=0), high.max(axis=0)
        span = np.maximum(self._high - self._low, 1e-3)
        cell = float(np.clip(np.sqrt(span.prod() / (4 * len(corners))), _SMALLEST_CELL, _LARGEST_CELL))
        while True:
            shape = (span / cell).astype(np.int64) + 1
            first = np.clip(((low - self._low) / cell).astype(np.int64), 0, shape - 1)
            counts = np.clip(((high - self._low) / cell).astype(np.int64), 0, shape - 1) - first + 1
            entries = counts.prod(axis=1)
            if shape.prod() <= _MOST_CELLS and entries.sum() <= max(_MOST_ENTRIES, 4 * len(corners)):
                break
            cell *= 1.5
        triangle = np.repeat(np.arange(len(corners)), entries)
        rank = np.arange(len(triangle)) - np.repeat(np.cumsum(entries) - entries, entries)
        number = (first[triangle, 0] + rank // counts[triangle, 1]) * shape[1]
        number += first[triangle, 1] + rank % counts[triangle, 1]
        self._members = triangle[np.argsort(number, kind="stable")]
        self._levels = np.stack([corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)], axis=1)[self._members]
        self._offsets = np.concatenate([[0], np.cumsum(np.bincount(number, minlength=int(shape.prod())))])
        self._shape, self._cell = shape, cell

    def enclosed(self, points: Float[np.ndarray, "points 3"]) -> Bool[np.ndarray, " points"]:
        """Return (N,) bool: which points (N, 3), metres, are not in the open air."""
        from sitetwin.site.ground import walking

        return self._openness(points) == walking.ENCLOSED

    def covered(self, points: Float[np.ndarray, "points 3"]) -> Bool[np.ndarray, " points"]:
        """Return (N,) bool: which points (N, 3), metres, are in the open air, but below a deck or another cover."""
        from sitetwin.site.ground import walking

        return self._openness(points) == walking.COVERED

    def _openness(self, points: np.ndarray) -> np.ndarray:
        from sitetwin.site.ground import walking  # Numba is slow to import, and most of what asks for a mesh needs none

        points = np.ascontiguousarray(points, dtype=np.float64)
        if not len(points):
            return np.zeros(0, dtype=np.int8)
        if points.shape != (len(points), 3) or not np.isfinite(points).all():
            raise SiteTwinError("points in the air of a site need three finite coordinates each; give metres")
        mesh = walking.Surfaces(
            self._corners,
            self._is_ground,
            self._low,
            self._high,
            self._cell,
            self._shape,
            self._offsets,
            self._members,
            self._levels,
        )
        return np.asarray(walking.openness(points, mesh))
