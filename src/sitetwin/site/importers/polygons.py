"""Triangulation of planar polygons in space, convex or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import mapbox_earcut
import numpy as np
from jaxtyping import Float, Int

from sitetwin.site.maps.crowding import count_crossings

_MANY = 500  # corners
_SAME_AREA = 1e-6  # share by which the triangles of an outline may differ from it
_COLLINEAR = 1e-9
"""Sine of the angle at a corner below which it is taken for straight."""


def triangulate(polygon: Float[np.ndarray, "corners 3"]) -> Int[np.ndarray, "triangles 3"] | None:
    """Cut a simple polygon into triangles that face the same way (ear clipping).

    The polygon is projected along its normal (M. E. Newell's sum over the edges: Sutherland, Sproull, Schumacker, ACM
    Computing Surveys 6, 1974), so that one that is not quite flat keeps its own vertices. The triangle with the widest
    smallest angle is cut off first, because slivers have no well-defined plane. A simple polygon always has a corner
    that can be cut (G. H. Meisters, "Polygons have ears", Amer. Math. Monthly 82, 1975).

    Args:
        polygon: (n, 3) float64 corners in order around the polygon, metres, n at least 3.

    Returns:
        (m, 3) int64 indices of corners; none for a polygon without area, and None for one that crosses itself.
    """
    normal = newell_normal(polygon)
    size = np.abs(normal).max()
    if size == 0:
        return np.zeros((0, 3), np.int64)
    axis = int(np.abs(normal).argmax())
    keep = [(axis + 1) % 3, (axis + 2) % 3]
    flat = polygon[:, keep] if normal[axis] > 0 else polygon[:, keep[::-1]]
    flat = flat - flat.mean(axis=0)
    if len(flat) > _MANY:
        return _of_many_corners(polygon, flat)
    if _crosses_itself(flat):
        return None
    left = list(range(len(flat)))
    rows: list[tuple[int, int, int]] = []
    while len(left) > 3:
        ear = _best_ear(flat[left])
        if ear is None:
            return None
        place, has_area = ear
        if has_area:
            rows.append((left[place - 1], left[place], left[(place + 1) % len(left)]))
        del left[place]
    rows.append((left[0], left[1], left[2]))
    return np.array(rows, dtype=np.int64)


def _of_many_corners(polygon: np.ndarray, flat: np.ndarray) -> Int[np.ndarray, "triangles 3"] | None:
    """Triangles of a polygon of many corners (n, 3), seen in its plane (n, 2); None if it crosses itself."""
    ends = np.stack([flat, np.roll(flat, -1, axis=0)], axis=1)
    if count_crossings(ends, np.zeros(len(ends), dtype=np.int64), 0).count:
        return None
    rows = triangulate_rings([polygon])
    a, b, c = (flat[rows[:, k]] for k in range(3))
    covered, due = np.abs(_cross(b - a, c - a)).sum(), abs(_cross(*ends.transpose(1, 0, 2)).sum())
    return rows if abs(covered - due) <= _SAME_AREA * due else None


def triangulate_rings(rings: Sequence[Float[np.ndarray, "_ 3"]]) -> Int[np.ndarray, "triangles 3"]:
    """Cut a planar polygon with holes into triangles that face the same way as its outer ring.

    Ears are clipped in the projection along the normal's largest axis (the library Mapbox Earcut), which is fast for
    many corners and always ends. The triangles of an outline that crosses itself cover another area than `rings_area`
    gives.

    Args:
        rings: Outer ring first, then the holes; each (n, 3) float64 corners in order around, metres, none repeated.

    Returns:
        (m, 3) int64 indices into the corners of all rings, one after the other; none for a polygon without area.
    """
    normal = newell_normal(rings[0])
    axis = int(np.abs(normal).argmax())
    if normal[axis] == 0:
        return np.zeros((0, 3), np.int64)
    keep = [(axis + 1) % 3, (axis + 2) % 3]
    flat = np.concatenate(rings)[:, keep] - rings[0][0, keep]
    ends = np.cumsum([len(ring) for ring in rings]).astype(np.uint32)
    rows = mapbox_earcut.triangulate_float64(np.ascontiguousarray(flat), ends).astype(np.int64).reshape(-1, 3)
    a, b, c = (flat[rows[:, k]] for k in range(3))
    turned = _cross(b - a, c - a) * normal[axis] < 0
    rows[turned] = rows[turned][:, ::-1]
    return rows


def rings_area(rings: Sequence[np.ndarray]) -> float:
    """Return the area of a planar polygon with holes, square metres: the outer ring's area minus the holes'."""
    sizes = [0.5 * math.hypot(*newell_normal(ring).tolist()) for ring in rings]
    return sizes[0] - sum(sizes[1:])


def newell_normal(polygon: Float[np.ndarray, "corners 3"]) -> Float[np.ndarray, " 3"]:
    """Return the (3,) normal of a polygon; its length is twice the polygon's area."""
    shifted = polygon - polygon[0]
    (x, y, z), (u, v, w) = shifted.T, np.concatenate([shifted[1:], shifted[:1]]).T
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1).sum(axis=0)


def _best_ear(ring: np.ndarray) -> tuple[int, bool] | None:
    """Place of the corner to cut from a counter-clockwise ring (n, 2), and whether its triangle has area."""
    before, after = np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0)
    sides = np.stack([ring - before, after - ring, before - after], axis=1)
    length = np.hypot(sides[..., 0], sides[..., 1])
    area = _cross(sides[:, 0], sides[:, 1])
    shortest_two = np.sort(length, axis=1)[:, :2]
    sine = area / np.maximum(length[:, 0] * length[:, 1], 1e-300)
    straight = (np.abs(sine) <= _COLLINEAR) | (length[:, :2].min(axis=1) == 0)
    if straight.any():
        return int(np.argmax(straight)), False
    # Twice the area over the two longer sides is the sine of the smallest angle.
    quality = area * shortest_two[:, 0] / np.maximum(length.prod(axis=1), 1e-300)
    for place in np.argsort(-quality, kind="stable"):
        if area[place] <= 0:
            break
        if not _holds_a_corner(ring, before[place], ring[place], after[place]):
            return int(place), True
    return None


def _holds_a_corner(ring: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> bool:
    """Whether a corner other than a, b and c lies in the closed counter-clockwise triangle."""
    inside = np.ones(len(ring), dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        inside &= _cross(end - start, ring - start) >= 0
    for corner in (a, b, c):
        inside &= (ring != corner).any(axis=1)
    return bool(inside.any())


def _crosses_itself(ring: np.ndarray) -> bool:
    """Whether two edges of a ring (n, 2) cross in their insides; rings that only touch themselves may be cut."""
    start, end = ring, np.roll(ring, -1, axis=0)
    for k in range(len(ring) - 2):
        others = slice(k + 2, len(ring) - (k == 0))
        a, b, c, d = start[k], end[k], start[others], end[others]
        apart = (_cross(b - a, c - a) * _cross(b - a, d - a) < 0) & (_cross(d - c, a - c) * _cross(d - c, b - c) < 0)
        if apart.any():
            return True
    return False


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
