"""Cut polygons in plan into triangles between their corners."""

from __future__ import annotations

import mapbox_earcut
import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from sitetwin.errors import SiteTwinError


def triangulate(
    polygons: Shaped[np.ndarray, " polygons"],
) -> tuple[Float[np.ndarray, "triangles 3 2"], Int[np.ndarray, " triangles"]]:
    """Cut polygons into triangles between their corners.

    The method is constrained Delaunay triangulation (GEOS), which avoids thin triangles. Where it does not give the
    right number of triangles for a polygon, ear clipping takes its place.

    Args:
        polygons: (N,) valid polygons.

    Returns:
        (T, 3, 2) float64 corners, counter-clockwise, polygon after polygon; and (T,) int64 the polygon of each
        triangle.

    Raises:
        SiteTwinError: Neither method covers a polygon.
    """
    parts, polygon = shapely.get_parts(_delaunay(polygons), return_index=True)
    triangles = shapely.get_coordinates(parts).reshape(-1, 4, 2)[:, :3]
    twice = _twice_area(triangles)
    triangles = np.where((twice < 0)[:, None, None], triangles[:, ::-1], triangles)
    due = _triangles_due(polygons)
    area = shapely.area(polygons)
    covered = 0.5 * np.bincount(polygon, np.abs(twice), len(polygons))
    good = (np.bincount(polygon, minlength=len(polygons)) == due) & (np.abs(covered - area) <= 1e-9 * area + 1e-9)
    again = [(_clip_ears(polygons[number]), number) for number in np.flatnonzero(~good)]
    kept = good[polygon]
    triangles = np.concatenate([triangles[kept], *(made for made, _ in again)])
    polygon = np.concatenate([polygon[kept], *(np.full(len(made), number) for made, number in again)])
    order = np.argsort(polygon, kind="stable")
    return triangles[order], polygon[order]


def _delaunay(polygons: np.ndarray) -> np.ndarray:
    """A collection of triangles for each polygon; an empty one where GEOS gives up, as it does over chains of holes."""
    try:
        return np.asarray(shapely.constrained_delaunay_triangles(polygons))
    except shapely.errors.GEOSException:
        if len(polygons) == 1:
            return np.array([shapely.GeometryCollection()], dtype=object)
        half = len(polygons) // 2
        return np.concatenate([_delaunay(polygons[:half]), _delaunay(polygons[half:])])


def _triangles_due(polygons: np.ndarray) -> np.ndarray:
    """How many triangles cover a polygon without further corners: 2 V - E - 2 + 2 H by Euler's formula.

    V counts distinct corners: a hole may touch another ring at a corner.
    """
    coordinates, polygon = shapely.get_coordinates(polygons, return_index=True)
    order = np.lexsort((coordinates[:, 1], coordinates[:, 0], polygon))
    table = np.column_stack([polygon, coordinates])[order]
    fresh = (np.diff(table, axis=0, prepend=np.nan) != 0).any(axis=1)
    distinct = np.bincount(polygon[order][fresh], minlength=len(polygons))
    holes = shapely.get_num_interior_rings(polygons)
    sides = shapely.get_num_coordinates(polygons) - 1 - holes
    return np.asarray(2 * distinct - sides - 2 + 2 * holes)


def _twice_area(triangles: np.ndarray) -> np.ndarray:
    u, v = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def _clip_ears(polygon: shapely.Polygon) -> np.ndarray:
    rings = [shapely.get_coordinates(ring)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
    corners = np.concatenate(rings)
    ends = np.cumsum([len(ring) for ring in rings]).astype(np.uint32)
    triangles = corners[mapbox_earcut.triangulate_float64(corners, ends).reshape(-1, 3)]
    twice = _twice_area(triangles)
    due = _triangles_due(np.array([polygon], dtype=object))[0]
    if len(triangles) != due or abs(0.5 * np.abs(twice).sum() - polygon.area) > 1e-9 * polygon.area + 1e-9:
        x, y = polygon.exterior.coords[0]
        raise SiteTwinError(
            f"the surface at ({x:.2f}, {y:.2f}) m cannot be cut into triangles; simplify the outlines there"
        )
    return np.where((twice < 0)[:, None, None], triangles[:, ::-1], triangles)
