"""Where the buildings of a city model meet the ground, and how their feet are drawn down to it.

The foot of a building is what lies on its ground surface, whether the corners of the walls are corners of that surface
or lie within its edges, as they do where a wall was split and the ground surface was not. A building without a ground
surface stands where its walls end with nothing below them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import shapely
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from sitetwin.site.check.edges import edge_defects, weld
from sitetwin.site.check.places import GROUND_TOLERANCE
from sitetwin.site.facets import dot, norm
from sitetwin.site.footprints import footprint
from sitetwin.site.importers.cityjson_surfaces import GROUND, WALL, Surfaces
from sitetwin.site.verticals import VerticalIndex

TOUCHES = 0.01
"""Metres: coordinates of city models are rounded to a millimetre or a centimetre."""

_BELOW = 0.05  # m under a corner: a surface there goes on downwards
_UPRIGHT = 0.1  # upward part of a unit normal up to which a surface is a wall: within 6 degrees of upright
_SPACING = 5.0  # m between the points of an outline at which the ground is looked at
_PAIRS_AT_ONCE = 1 << 20


def draw_down(pieces: list[Surfaces], level: float) -> tuple[list[Surfaces], float]:
    """Draw the feet of a building down to a level.

    Args:
        pieces: The surfaces of the building and its parts, in local metres.
        level: Height of the ground, metres.

    Returns:
        The surfaces, and the greatest height of a foot above the level before, metres.
    """
    corners = np.concatenate([piece.corners for piece in pieces])
    role = np.concatenate([piece.role for piece in pieces])
    points, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    foot = feet(points, index.reshape(-1, 3), role) & (points[:, 2] > level)
    drop = float((points[foot, 2] - level).max(initial=0.0))
    points[foot, 2] = level
    stop = np.cumsum([len(piece.corners) for piece in pieces])[:-1]
    moved = np.split(points[index.reshape(-1, 3)], stop)
    return [replace(piece, corners=c) for piece, c in zip(pieces, moved, strict=True)], drop


def ground_to_reach(pieces: list[Surfaces], ground: VerticalIndex) -> float | None:
    """Return the lowest ground along the outline of a building whose foot hangs over it, metres; None for all others.

    Args:
        pieces: The surfaces of the building and its parts, in local metres.
        ground: The triangles of the ground.
    """
    corners = np.concatenate([piece.corners for piece in pieces])
    role = np.concatenate([piece.role for piece in pieces])
    points, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    foot = points[feet(points, index.reshape(-1, 3), role)]
    under = ground.hits(np.ascontiguousarray(foot[:, :2]))
    if not (foot[under.point, 2] > under.z + GROUND_TOLERANCE).any():
        return None
    outline = shapely.get_coordinates(shapely.segmentize(footprint(corners), _SPACING))
    return float(np.min([under.z.min(), ground.hits(np.ascontiguousarray(outline)).z.min(initial=np.inf)]))


def feet(points: Float[np.ndarray, "points 3"], triangles: np.ndarray, role: np.ndarray) -> Bool[np.ndarray, " points"]:
    """Find the corners of a building that stand on the ground.

    Args:
        points: (V, 3) different points, metres.
        triangles: (T, 3) int, indices of points.
        role: (T,) what each triangle is: wall, roof or ground.
    """
    ground, walls = triangles[role == GROUND], triangles[role == WALL]
    foot = np.zeros(len(points), dtype=bool)
    foot[ground] = True
    left = np.zeros(len(points), dtype=bool)
    left[walls] = True
    if len(ground):
        rows = np.flatnonzero(left & ~foot)
        foot[rows[_on_surface(points[rows], points[ground])]] = True
        left &= _on_outline(points, ground)
    rows = np.flatnonzero(left & ~foot)
    rest = points[triangles[role != GROUND]]
    foot[rows[_ends_there(points[rows], rest)]] = True
    return foot


def open_above(pieces: list[Surfaces], level: float) -> int:
    """Count the edges of a building, without its ground surface, at which it is open above a level.

    Args:
        pieces: The surfaces of the building and its parts, in local metres.
        level: Height of the ground, metres.
    """
    corners = np.concatenate([piece.corners[piece.role != GROUND] for piece in pieces])
    if not len(corners):
        return 0
    label = weld(corners.reshape(-1, 3))
    _, first, index = np.unique(label, return_index=True, return_inverse=True)
    points = corners.reshape(-1, 3)[first]
    found = edge_defects(points, index.reshape(-1, 3), lambda chosen: points[chosen, 2] <= level + GROUND_TOLERANCE)
    return len(found.hole)


def _on_surface(points: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """(N,) bool: whether points lie on triangles (T, 3, 3), their edges included."""
    near = np.zeros(len(points), dtype=bool)
    hits = VerticalIndex(ground).hits(np.ascontiguousarray(points[:, :2]))
    near[hits.point[np.abs(points[hits.point, 2] - hits.z) <= TOUCHES]] = True
    begin, end = ground.reshape(-1, 3), np.roll(ground, -1, axis=1).reshape(-1, 3)
    point, edge = _near_edges(points, begin, end)
    near[point[_off_segment(points[point], begin[edge], end[edge]) <= TOUCHES]] = True
    return near


def _on_outline(points: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """(V,) bool: whether points lie above or below the edges of the ground surface."""
    flat = points * np.array([1.0, 1.0, 0.0])
    begin, end = flat[ground].reshape(-1, 3), flat[np.roll(ground, -1, axis=1)].reshape(-1, 3)
    point, edge = _near_edges(flat, begin, end)
    near = np.zeros(len(points), dtype=bool)
    near[point[_off_segment(flat[point], begin[edge], end[edge]) <= TOUCHES]] = True
    return near


def _near_edges(points: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and edges that may touch: pairs of their rows."""
    if not len(points):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    reach = 0.5 * norm(end - begin) + TOUCHES
    found = cKDTree(points).query_ball_point(0.5 * (begin + end), reach)
    edge = np.repeat(np.arange(len(begin)), [len(rows) for rows in found])
    return np.concatenate([np.asarray(rows, dtype=np.int64) for rows in found]), edge


def _off_segment(points: np.ndarray, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N,) distance of points from segments, metres."""
    way = end - begin
    share = dot(points - begin, way) / np.maximum(dot(way, way), 1e-300)
    return norm(points - begin - np.clip(share, 0, 1)[:, None] * way)


def _ends_there(points: np.ndarray, surfaces: np.ndarray) -> np.ndarray:
    """(N,) bool: whether nothing goes on below points, and no roof, floor or ceiling meets them."""
    cross = np.cross(surfaces[:, 1] - surfaces[:, 0], surfaces[:, 2] - surfaces[:, 0])
    level = np.abs(cross[:, 2]) > _UPRIGHT * norm(cross)
    below = points - np.array([0.0, 0.0, _BELOW])
    return ~(_touched(below, surfaces) | _touched(points, surfaces[level]))


def _touched(points: np.ndarray, surfaces: np.ndarray) -> np.ndarray:
    """(N,) bool: whether points lie within `TOUCHES` of triangles (T, 3, 3)."""
    touched = np.zeros(len(points), dtype=bool)
    step = max(_PAIRS_AT_ONCE // max(len(surfaces), 1), 1)
    for start in range(0, len(points) if len(surfaces) else 0, step):
        rows = slice(start, start + step)
        touched[rows] = (_off_triangles(points[rows, None], surfaces[None]) <= TOUCHES).any(axis=1)
    return touched


def _off_triangles(points: np.ndarray, surfaces: np.ndarray) -> np.ndarray:
    """Distance of points (N, 1, 3) from triangles (1, T, 3, 3): (N, T) metres."""
    a, b, c = (surfaces[..., k, :] for k in range(3))
    normal = np.cross(b - a, c - a)
    square = np.maximum(dot(normal, normal), 1e-300)
    away = points - a
    height = np.abs(dot(away, normal)) / np.sqrt(square)
    v = dot(np.cross(away, c - a), normal) / square
    w = dot(np.cross(b - a, away), normal) / square
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    shape = np.broadcast_shapes(points.shape, a.shape)
    rim = np.min(
        [
            _off_segment(*(np.broadcast_to(x, shape).reshape(-1, 3) for x in (points, p, q))).reshape(shape[:-1])
            for p, q in ((a, b), (b, c), (c, a))
        ],
        axis=0,
    )
    return np.where(inside, np.minimum(height, rim), rim)
