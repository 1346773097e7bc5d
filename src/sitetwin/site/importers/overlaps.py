"""Find bodies that share a part of a plane: a ray meets either of two coincident facets, so they must be one."""

from __future__ import annotations

from itertools import product

import numpy as np
import shapely
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

_NORMAL_GRID = 1e-3
_OFFSET_GRID = 1e-2  # m; coarse, because only facets that are truly coplanar are merged later
_LEAST_AREA = 1e-4  # m^2


def overlapping_bodies(
    corners: Float[np.ndarray, "triangles 3 3"],
    body: Int[np.ndarray, " triangles"],
    material: Int[np.ndarray, " triangles"],
) -> np.ndarray:
    """Group bodies that share a part of a plane and have one material there.

    Args:
        corners: (T, 3, 3) float64, corners of the triangles, metres.
        body: (T,) int, body of each triangle, 0..B-1.
        material: (T,) int, material of each triangle.

    Returns:
        (B,) int64, the lowest body of each body's group.
    """
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice_area = np.linalg.norm(cross, axis=1)
    normal = cross / np.maximum(twice_area, 1e-300)[:, None]
    leading = np.abs(normal).argmax(axis=1)
    normal *= np.sign(normal[np.arange(len(normal)), leading] + (twice_area == 0))[:, None]
    offset = (normal * corners.mean(axis=1)).sum(axis=1)
    solid = twice_area > 2 * _LEAST_AREA
    pairs = [np.zeros((0, 2), np.int64)]
    for shift in product((0.0, 0.5), repeat=2):  # planes near the edge of one grid's cell share a cell of another
        key = np.column_stack(
            [np.floor(normal / _NORMAL_GRID + shift[0]), np.floor(offset / _OFFSET_GRID + shift[1]), leading, material]
        )
        plane = np.unique(key, axis=0, return_inverse=True)[1].reshape(-1)
        order = np.argsort(plane[solid], kind="stable")
        rows = np.flatnonzero(solid)[order]
        for group in np.split(rows, np.flatnonzero(np.diff(plane[rows])) + 1):
            if len(group) and (body[group] != body[group[0]]).any():
                pairs.append(_pairs_in_plane(corners[group], body[group], int(leading[group[0]])))
    edges = np.concatenate(pairs)
    size = int(body.max()) + 1
    graph = coo_array((np.ones(len(edges), np.int8), edges.T), shape=(size, size))
    label = connected_components(graph, directed=False)[1]
    _, first = np.unique(label, return_index=True)
    return first[label].astype(np.int64)


def _pairs_in_plane(corners: np.ndarray, body: np.ndarray, axis: int) -> np.ndarray:
    """(N, 2) bodies whose triangles overlap, seen along an axis that the plane does not hold."""
    flat = shapely.polygons(np.delete(corners, axis, axis=2))
    a, b = shapely.STRtree(flat).query(flat, predicate="intersects")
    other = body[a] < body[b]
    a, b = a[other], b[other]
    shared = shapely.area(shapely.intersection(flat[a], flat[b])) > _LEAST_AREA
    return np.unique(np.column_stack([body[a[shared]], body[b[shared]]]).astype(np.int64), axis=0)
