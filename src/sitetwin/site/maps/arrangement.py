"""Arrangements: lines in plan are cut where they meet, and the faces between them are found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from sitetwin.site.maps.footprints import GRID


@dataclass(frozen=True, eq=False)
class Arrangement:
    """Faces of a plane graph whose edges meet only at their ends.

    Attributes:
        points: (N, 2) float64, metres, ascending by x, then y.
        low: (E,) int64, the edge's end that comes first in `points`.
        high: (E,) int64, the edge's other end.
        left: (E,) int64, face on the left of the edge seen from low to high, -1 for none.
        right: (E,) int64, face on the right of the edge seen from low to high, -1 for none.
        faces: (F,) polygons, shells counter-clockwise and holes clockwise.
    """

    points: Float[np.ndarray, "points 2"]
    low: Int[np.ndarray, " edges"]
    high: Int[np.ndarray, " edges"]
    left: Int[np.ndarray, " edges"]
    right: Int[np.ndarray, " edges"]
    faces: Shaped[np.ndarray, " faces"]


def arrange(lines: Shaped[np.ndarray, " lines"]) -> Arrangement:
    """Cut lines on the grid where they meet, and find the faces that they enclose.

    Lines are snap-rounded (GEOS OverlayNG): a line that passes within half a grid step of a corner or of a crossing is
    bent to meet it. So lines that should touch do touch. Ends of lines that enclose nothing are left out.

    Args:
        lines: (L,) lines or rings, metres.
    """
    noded = shapely.get_parts(shapely.union_all(lines, grid_size=GRID))
    faces = shapely.orient_polygons(shapely.get_parts(shapely.polygonize(noded)))
    begin, end, face = directed_edges(faces)
    points, index = distinct_points(np.concatenate([begin, end]))
    first, second = index[: len(begin)], index[len(begin) :]
    low, high = np.minimum(first, second), np.maximum(first, second)
    edge, number = np.unique(low * len(points) + high, return_inverse=True)
    left, right = np.full(len(edge), -1), np.full(len(edge), -1)
    forward = first < second
    left[number[forward]] = face[forward]
    right[number[~forward]] = face[~forward]
    size = max(len(points), 1)
    return Arrangement(points, edge // size, edge % size, left, right, faces)


def directed_edges(
    polygons: Shaped[np.ndarray, " polygons"],
) -> tuple[Float[np.ndarray, "edges 2"], Float[np.ndarray, "edges 2"], Int[np.ndarray, " edges"]]:
    """Return the edges of polygons, inside on the left: begin (M, 2), end (M, 2), polygon (M,).

    Args:
        polygons: Polygons with counter-clockwise shells and clockwise holes.
    """
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    joined = np.flatnonzero(ring[1:] == ring[:-1])
    return corners[joined], corners[joined + 1], polygon[ring[joined]]


def distinct_points(
    coordinates: Float[np.ndarray, "rows 2"],
) -> tuple[Float[np.ndarray, "points 2"], Int[np.ndarray, " rows"]]:
    """Return the distinct rows of (M, 2) coordinates, ascending by x, then y, and each row's index among them."""
    values, index = np.unique(_as_complex(coordinates), return_inverse=True)
    return np.column_stack([values.real, values.imag]), index


def find_points(
    points: Float[np.ndarray, "points 2"], coordinates: Float[np.ndarray, "rows 2"]
) -> Int[np.ndarray, " rows"]:
    """Find the indices of (M, 2) coordinates among `points`, which hold them all, ascending by x, then y."""
    return np.searchsorted(_as_complex(points), _as_complex(coordinates))


def _as_complex(coordinates: np.ndarray) -> np.ndarray:
    """Complex x + j y, which NumPy orders by x, then y. Negative zeros become zeros."""
    return np.ascontiguousarray(coordinates + 0.0, dtype=np.float64).view(np.complex128)[:, 0]
