"""Outlines in plan of the bodies that stand on the ground."""

from __future__ import annotations

import numpy as np
import shapely
from jaxtyping import Float

GRID = 1e-4
"""Metres to which outlines are snapped, so that neighbouring triangles close up."""

_LEAST_AREA = 1e-2  # m^2 of a piece
_UPRIGHT = 1e-6  # m^2, twice the area of the projection of a triangle that is a wall


def footprint(corners: Float[np.ndarray, "triangles 3 3"]) -> shapely.Geometry:
    """Project triangles onto the ground and unite the projections.

    Args:
        corners: (T, 3, 3) corners of the triangles, metres.

    Returns:
        Polygon or MultiPolygon in canonical order, with courtyards as holes; empty where all triangles are upright.
    """
    a, b, c = (corners[:, k, :2] for k in range(3))
    flat = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) > _UPRIGHT
    union = shapely.union_all(shapely.polygons(corners[flat][..., :2]), grid_size=GRID)
    # Only corners in a straight line go: no area is lost that a map could show.
    pieces = [p for p in shapely.get_parts(shapely.simplify(union, 10 * GRID)) if p.area > _LEAST_AREA]
    return shapely.normalize(shapely.union_all(pieces)) if pieces else shapely.Polygon()
