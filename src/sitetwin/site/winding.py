"""Prepare a mesh for the search of edges: share corners by position, turn faces of closed bodies outwards."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from sitetwin.site.facets import components, dot, mesh_tolerance


def weld(
    corners: Float[np.ndarray, "triangles 3 3"],
) -> tuple[Float[np.ndarray, "points 3"], Int[np.ndarray, "triangles 3"]]:
    """Return distinct corner positions (N, 3), ascending by x, y, z, and the position's index of each corner (T, 3)."""
    flat = corners.reshape(-1, 3)
    order = np.lexsort(flat.T[::-1])
    ordered = flat[order]
    fresh = np.ones(len(flat), dtype=bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    points = ordered[fresh]
    place = np.empty(len(flat), dtype=np.int64)
    place[order] = np.cumsum(fresh) - 1
    if len(points):
        near = cKDTree(points).query_pairs(float(mesh_tolerance(points).max()), output_type="ndarray")
        place = components(len(points), near[:, 0], near[:, 1])[place]
    return points, place.reshape(-1, 3)


def edge_number(low: Int[np.ndarray, " edges"], high: Int[np.ndarray, " edges"]) -> Int[np.ndarray, " edges"]:
    """Number the edges, one per row; equal edges have equal numbers, ascending with the edge's ends."""
    key = low * (int(high.max(initial=0)) + 1) + high
    order = np.argsort(key, kind="stable")
    number = np.empty(len(key), dtype=np.int64)
    number[order] = np.cumsum(np.diff(key[order], prepend=-1) != 0) - 1
    return number


def turned_outwards(
    points: Float[np.ndarray, "points 3"], corners: Int[np.ndarray, "triangles 3"]
) -> Int[np.ndarray, "triangles 3"]:
    """Turn triangles (T, 3) of closed bodies, so that all faces of a body look outwards.

    Triangles that share an edge with just one other are one body; copies of a triangle count once. A body's faces are
    turned to agree with its first one; if its volume is then negative, all are turned. The volume is computed about the
    body's middle, so that a body without a floor counts too. A body whose faces look mostly one way is not closed and
    stays unchanged.
    """
    whole = corners
    corners, copy, contradicted = _distinct(whole)
    count = len(corners)
    one, other, agree = _pairs_across_edges(corners)
    body = components(count, one, other)
    # Two copies of each triangle, as it is and turned; joined are those that agree across an edge.
    copies = components(
        2 * count,
        np.concatenate([one, one + count]),
        np.concatenate([np.where(agree, other, other + count), np.where(agree, other + count, other)]),
    )
    turned = copies[:count] > copies[count:]
    where = points[corners]
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, body, where.min(axis=1))
    np.maximum.at(high, body, where.max(axis=1))
    where = where - 0.5 * (low[body] + high[body])[:, None]
    area = np.cross(where[:, 1] - where[:, 0], where[:, 2] - where[:, 0]) * np.where(turned, -1.0, 1.0)[:, None]
    volume = np.bincount(body, dot(area, where[:, 0]) / 6.0, count)
    surface = np.bincount(body, np.sqrt(dot(area, area)) / 2.0, count)
    looks = np.column_stack([np.bincount(body, area[:, axis] / 2.0, count) for axis in range(3)])
    closed = np.sqrt(dot(looks, looks)) < 0.5 * surface
    lowest, highest = low.min(axis=0, initial=np.inf), high.max(axis=0, initial=-np.inf)
    disagreed = np.bincount(body, turned | contradicted, count) > 0
    room = ((low <= lowest) & (high >= highest)).all(axis=1) & ~disagreed
    inside_out = ~room & (volume < -1e-6 * surface**1.5)
    turned = turned ^ inside_out[body]
    outwards = np.where(turned[:, None], corners[:, ::-1], corners)
    return np.where(closed[body][copy][:, None], outwards[copy], whole)


def _distinct(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different ones of triangles (T, 3), which of them each is, and (D,) bool: its copies face both ways."""
    a, b, c = corners.T
    forward = (b > a) ^ (c > b) ^ (a > c)  # for any rotation of the same three corners the same
    ordered = np.sort(corners, axis=1)
    span = int(corners.max(initial=0)) + 1
    edge = edge_number(ordered[:, 0], ordered[:, 1])
    _, first, copy = np.unique(edge * span + ordered[:, 2], return_index=True, return_inverse=True)
    copy = copy.reshape(-1)
    count, ahead = np.bincount(copy), np.bincount(copy, forward)
    return corners[first], copy, (ahead > 0) & (ahead < count)


def _pairs_across_edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of triangles that share an edge with no third, and whether both are wound the same way there."""
    first, second = corners.T.reshape(-1), np.roll(corners, -1, axis=1).T.reshape(-1)
    edge = edge_number(np.minimum(first, second), np.maximum(first, second))
    order = np.argsort(edge, kind="stable")
    begin = np.flatnonzero(np.diff(edge[order], prepend=-1))
    double = begin[np.diff(begin, append=len(edge)) == 2]
    a, b = order[double], order[double + 1]
    return a % len(corners), b % len(corners), (first[a] < second[a]) != (first[b] < second[b])
