"""Which cells a chain with a diffraction can reach at all: interval bounds over a cell, before any user is tried."""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.device import gather3, norm, split, to_device
from sitetwin.rays.edges.scene import FACET_ROW, EdgeScene

_MARGIN = 1e-3  # m; bounds are widened by this much against rounding, the exact test follows
_LANES = 1 << 22


class EdgeBounds:
    """Bounds for many (source, wedge, facet, box) combinations.

    Args:
        scene: The site and the transmitter, on the device.
        low: (B, 3) lowest corners of the boxes around the users of each cell, metres.
        high: (B, 3) highest corners.
    """

    def __init__(self, scene: EdgeScene, low: np.ndarray, high: np.ndarray) -> None:
        self.scene = scene
        self.centre = to_device(mitsuba().Float64, 0.5 * (low + high))
        self.half = to_device(mitsuba().Float64, 0.5 * (high - low))

    def reach(
        self, before: np.ndarray, wedge: np.ndarray, after: np.ndarray, lit: np.ndarray, box: np.ndarray
    ) -> np.ndarray:
        """(N,) bool, false only where no point of the box can end such a path.

        Args:
            before: (N,) facet before the wedge, or -1 in all rows.
            wedge: (N,) wedge.
            after: (N,) facet after it, or -1 in all rows.
            lit: (N, 2) part of the edge that the source lights.
            box: (N,) index of the box.
        """
        parts = [np.zeros(0, bool)]
        for first in range(0, len(wedge), _LANES):
            rows = slice(first, first + _LANES)
            parts.append(self._reach(before[rows], wedge[rows], after[rows], lit[rows], box[rows]))
        return np.concatenate(parts)

    def _reach(
        self, before: np.ndarray, wedge: np.ndarray, after: np.ndarray, lit: np.ndarray, box: np.ndarray
    ) -> np.ndarray:
        import drjit as dr

        mi = mitsuba()
        edge = self.scene.wedge(to_device(mi.UInt32, wedge))
        start, direction, normal = edge.start, edge.direction, edge.normal
        centre, half = (gather3(buffer, to_device(mi.UInt32, box) * 3) for buffer in (self.centre, self.half))
        source = (
            self.scene.source if before[0] < 0 else self.scene.mirror(self.scene.source, to_device(mi.UInt32, before))
        )
        low, high = to_device(mi.Float64, lit[:, 0]) - _MARGIN, to_device(mi.Float64, lit[:, 1]) + _MARGIN
        facet = to_device(mi.UInt32, np.maximum(after, 0))
        mirror = gather3(self.scene.facets, facet * FACET_ROW) if after[0] >= 0 else None
        middle = self.scene.mirror(centre, facet) if mirror is not None else centre

        def extent(axis: Any) -> Any:
            """Half the width of the box, mirrored where there is a facet after the wedge, along an axis."""
            turned = axis if mirror is None else axis - mirror * (2 * dr.dot(mirror, axis))
            return dr.dot(dr.abs(turned), half)

        along_s, across_s = split(source - start, direction)
        along_t, across_t = split(middle - start, direction)
        size_s, size_t, radius = norm(across_s), norm(across_t), norm(half)
        near, far = dr.maximum(size_t - radius, 0), size_t + radius
        spread = extent(direction)
        first, last = weighted(
            (along_t - spread, along_s), (along_t + spread, along_s), (near / (near + size_s), far / (far + size_s))
        )
        first, last = dr.maximum(first, low), dr.minimum(last, high)
        keep = first <= last
        tangent = dr.cross(normal, direction)
        other = tangent * dr.sin(edge.exterior) - normal * dr.cos(edge.exterior)
        sees = [dr.dot(n, across_t) + extent(n) > -_MARGIN for n in (normal, other)]
        keep &= sees[0] | sees[1]
        if mirror is not None:
            keep &= self._crosses(facet, centre, half, start + direction * first, start + direction * last)
        return np.asarray(keep.numpy())

    def _crosses(self, facet: Any, centre: Any, half: Any, one: Any, other: Any) -> Any:
        """Whether a reflection between a box and part of an edge can fall on the facet's rectangle."""
        import drjit as dr

        mi, facets, row = mitsuba(), self.scene.facets, facet * FACET_ROW
        normal, axis = gather3(facets, row), gather3(facets, row + 4)
        offset = dr.gather(mi.Float64, facets, row + 3)
        bounds = [dr.gather(mi.Float64, facets, row + 7 + k) for k in range(4)]
        height, thick = dr.dot(normal, centre) - offset, dr.dot(dr.abs(normal), half) + _MARGIN
        edge = [dr.dot(normal, point) - offset for point in (one, other)]
        result = dr.full(mi.Bool, False, dr.width(height))
        for side in (1.0, -1.0):
            user_low, user_high = dr.maximum(side * height - thick, 0), dr.maximum(side * height + thick, 0)
            edge_low = dr.maximum(dr.minimum(side * edge[0], side * edge[1]) - _MARGIN, 0)
            edge_high = dr.maximum(dr.maximum(side * edge[0], side * edge[1]) + _MARGIN, 0)
            weights = (user_low / (user_low + edge_high + 1e-12), user_high / (user_high + edge_low + 1e-12))
            hit = (user_high > 0) & (edge_high > 0)
            for vector, lowest, highest in (
                (axis, bounds[0], bounds[2]),
                (dr.cross(normal, axis), bounds[1], bounds[3]),
            ):
                at, wide = dr.dot(vector, centre), dr.dot(dr.abs(vector), half) + _MARGIN
                ends = [dr.dot(vector, point) for point in (one, other)]
                first, last = weighted(
                    (at - wide, dr.minimum(ends[0], ends[1]) - _MARGIN),
                    (at + wide, dr.maximum(ends[0], ends[1]) + _MARGIN),
                    weights,
                )
                hit &= (first <= highest) & (last >= lowest)
            result |= hit
        return result


def weighted(low: tuple[Any, Any], high: tuple[Any, Any], weights: tuple[Any, Any]) -> tuple[Any, Any]:
    """Bounds of (1 - w) a + w b for a and b between `low` and `high` and w between the two weights."""
    import drjit as dr

    lows = [(1 - w) * low[0] + w * low[1] for w in weights]
    highs = [(1 - w) * high[0] + w * high[1] for w in weights]
    return dr.minimum(*lows), dr.maximum(*highs)
