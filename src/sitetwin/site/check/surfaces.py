"""Surfaces of a mesh: bodies turned inside out, and surfaces that lie in one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Int

from sitetwin.site.check.edges import corner_range, weld
from sitetwin.site.facets import dot
from sitetwin.site.site import Site

LEAST_AREA = 0.01
"""m2: surfaces that share less are neighbours."""

_APART = 5e-3  # metres: of two planes that count as one
_NORMAL_GRID, _OFFSET_GRID = 1e-3, 0.02  # metres: for the search alone
_LEAST_VOLUME = 1e-3  # m3: less is rounding
_PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class SharedPlane:
    """Pairs of facets that cover the same place.

    Attributes:
        same: (N, 2) int64, pairs of facets that face the same way; which of them a ray meets is undefined.
        opposite: (M, 2) int64, pairs of facets back to back, such as the two walls of houses that touch.
    """

    same: Int[np.ndarray, "same 2"]
    opposite: Int[np.ndarray, "opposite 2"]


def inverted_bodies(corners: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Find bodies whose surface faces inwards.

    The volume above a body's lowest point is the sum of the prisms under its triangles; prisms under triangles that
    face up count as positive. A missing flat bottom or missing upright walls do not change this sum.

    Args:
        corners: (T, 3, 3) float64, metres.
        body: (T,) int64, 0..B-1.

    Returns:
        (B,) bool.
    """
    size = int(body.max()) + 1 if len(body) else 0
    lowest = np.full(size, np.inf)
    np.minimum.at(lowest, body, corner_range(corners[..., 2])[0])
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = 0.5 * (e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0])
    prism = area * (corners[..., 2].mean(axis=1) - lowest[body])
    return np.bincount(body, weights=prism, minlength=size) < -_LEAST_VOLUME


def duplicate_triangles(points: np.ndarray) -> np.ndarray:
    """Find triangles, (T,) bool, that have the same three corners as an earlier one, whichever way they face.

    Args:
        points: (T, 3) int, labels of the corners, equal for equal places.
    """
    place = weld(np.sort(points, axis=1).astype(np.float64))
    again = np.ones(len(points), dtype=bool)
    again[np.unique(place, return_index=True)[1]] = False
    return again


def shared_planes(site: Site, rows: np.ndarray, facing: np.ndarray) -> SharedPlane:
    """Find pairs of facets that lie within 5 mm of one plane and overlap in it by more than 0.01 m2.

    Args:
        site: The site.
        rows: (K,) int64, the triangles that are compared.
        facing: (K, 3) float64, unit normals of these triangles.
    """
    facets, facet = np.unique(site.triangle_facet[rows], return_inverse=True)
    normal = site.facet_normal[facets]
    leading = np.abs(normal).argmax(axis=1)
    sign = np.sign(normal[np.arange(len(facets)), leading])
    normal, offset = normal * sign[:, None], site.facet_offset[facets] * sign
    corners = site.vertices[site.triangles[rows]]
    outwards = dot(facing, normal[facet]) > 0
    pairs = [np.zeros((0, 3), dtype=np.int64)]
    for shift in (0.0, 0.5):  # planes on two sides of one grid's line share a cell of the other
        key = [np.floor(normal / _NORMAL_GRID + shift), np.floor(offset / _OFFSET_GRID + shift), leading]
        plane = weld(np.column_stack(key))
        a, b = _near_pairs(corners, facet, plane, leading)
        a, b = _coplanar(corners, facet, normal, offset, a, b)
        area = _shared_area(corners, leading[facet], a, b)
        opposite = outwards[a] != outwards[b]
        pairs.append(_enough(facet[a], facet[b], opposite, area))
    found = np.unique(np.concatenate(pairs), axis=0)
    return SharedPlane(facets[found[found[:, 2] == 0, :2]], facets[found[found[:, 2] == 1, :2]])


def _near_pairs(
    corners: np.ndarray, facet: np.ndarray, plane: np.ndarray, leading: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (a, b) of different facets of one plane whose bounding boxes in the plane overlap."""
    rows = np.flatnonzero((np.bincount(plane)[plane] > 1)[facet])
    if not len(rows):
        return rows, rows
    flat = _in_plane(corners[rows], leading[facet[rows]])
    # Planes are laid out side by side, so that one tree serves all of them.
    flat[..., 0] += plane[facet[rows], None] * (2 * np.ptp(corners.reshape(-1, 3), axis=0).max() + 1)
    low, high = corner_range(flat)
    members, item = np.unique(facet[rows], return_inverse=True)
    lowest, highest = np.full((len(members), 2), np.inf), np.full((len(members), 2), -np.inf)
    np.minimum.at(lowest, item, low)
    np.maximum.at(highest, item, high)
    crowded = np.unique(np.concatenate(_boxes_that_overlap(lowest, highest)))
    left = np.flatnonzero(np.isin(item, crowded))
    a, b = _boxes_that_overlap(low[left], high[left])
    differ = item[left[a]] != item[left[b]]
    return rows[left[a[differ]]], rows[left[b[differ]]]


def _in_plane(corners: np.ndarray, leading: np.ndarray) -> np.ndarray:
    """(T, 3, 2) corners without the coordinate along which the plane is seen best."""
    axes = np.stack([(leading + 1) % 3, (leading + 2) % 3], axis=1)
    return np.take_along_axis(corners, np.repeat(axes[:, None], 3, axis=1), axis=2)


def _boxes_that_overlap(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs a < b of rectangles that share more than a line."""
    boxes = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    a, b = shapely.STRtree(boxes).query(boxes)
    a, b = a[a < b], b[a < b]
    shared = np.minimum(high[a], high[b]) - np.maximum(low[a], low[b])
    real = (shared > 1e-6).all(axis=1)
    return a[real], b[real]


def _coplanar(
    corners: np.ndarray, facet: np.ndarray, normal: np.ndarray, offset: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of which one triangle lies in the other's plane."""
    apart = [
        np.abs(dot(corners[one], normal[facet[other]][:, None]) - offset[facet[other]][:, None]).max(axis=1)
        for one, other in ((a, b), (b, a))
    ]
    near = np.minimum(*apart) <= _APART
    return a[near], b[near]


def _shared_area(corners: np.ndarray, leading: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(N,) m2 that two triangles of one plane share, seen along one axis."""
    area = np.zeros(len(a))
    for start in range(0, len(a), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        one, other = (shapely.polygons(_in_plane(corners[rows[part]], leading[a[part]])) for rows in (a, b))
        area[part] = shapely.area(shapely.intersection(one, other))
    return area


def _enough(a: np.ndarray, b: np.ndarray, opposite: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(N, 3) pairs of facets, and whether they are back to back, that share enough in all their triangles."""
    label = np.column_stack([np.minimum(a, b), np.maximum(a, b), opposite]).astype(np.int64)
    pairs, inverse = np.unique(label, axis=0, return_inverse=True)
    total = np.bincount(inverse.reshape(-1), weights=area, minlength=len(pairs))
    return pairs[total > LEAST_AREA]
