"""Edges of a mesh: where a surface ends, and where two triangles disagree about its outside.

A closed, consistently wound surface runs along each of its edges as often one way as the other. Edges are matched by
the coordinates of their ends over all triangles, whatever objects they belong to, so that buildings whose shared walls
were removed are judged as one body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from sitetwin.site.facets import dot, norm

ON_EDGE = 1e-3
"""Metres: a vertex nearer to an edge lies on it (a T-junction)."""


_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio, odd: Fibonacci hashing (Knuth, TAOCP 3, 6.4)


@dataclass(frozen=True)
class EdgeDefects:
    """Edges at which a mesh is not a closed, consistently wound surface.

    Attributes:
        hole: (H,) int64, half-edges along which the surface ends. A half-edge is 3 * triangle + the corner at which it
            starts.
        bottom: (B,) int64, half-edges along which the surface ends on the ground.
        flipped: (W,) int64, half-edges at which two triangles run the same way: one of them faces inwards.
        t_junctions: Number of edges that are closed only by several shorter ones.
        crowded: Number of edges where more than two triangles meet and all are paired.
    """

    hole: Int[np.ndarray, " holes"]
    bottom: Int[np.ndarray, " bottoms"]
    flipped: Int[np.ndarray, " flipped"]
    t_junctions: int
    crowded: int


def weld(points: Float[np.ndarray, "points columns"]) -> Int[np.ndarray, " points"]:
    """Label the rows of a table, (N,) int64; equal rows have equal labels.

    Rows are sorted by a 64-bit hash of the coordinates, which is faster than sorting by three columns. Where hashes of
    different points are equal (one chance in 10^7 for a million points), one place may get two labels, but two places
    never share a label.
    """
    if not len(points):
        return np.zeros(0, dtype=np.int64)
    bits = np.ascontiguousarray(points + 0.0, dtype=np.float64).view(np.uint64)  # -0.0 becomes 0.0
    mixed = np.zeros(len(points), dtype=np.uint64)
    for column in bits.T:
        mixed = (mixed ^ column) * _MULTIPLIER
        mixed ^= mixed >> np.uint64(32)
    order = np.argsort(mixed, kind="stable")
    fresh = (points[order[1:]] != points[order[:-1]]).any(axis=1)
    label = np.empty(len(points), dtype=np.int64)
    label[order] = np.concatenate([[0], np.cumsum(fresh)])
    return label


def corner_range(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates (T, D) of triangles (T, 3, D)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    return np.minimum(np.minimum(a, b), c), np.maximum(np.maximum(a, b), c)


def edge_defects(
    points: np.ndarray, triangles: np.ndarray, grounded: Callable[[np.ndarray], np.ndarray]
) -> EdgeDefects:
    """Match the edges of triangles and find those that stay open.

    Args:
        points: (N, 3) float64, distinct points, metres.
        triangles: (T, 3) int64, indices of `points`.
        grounded: Function from indices (K,) of `points` to (K,) bool: whether each point is on or in the ground. An
            open edge between two such points is a building's open bottom.
    """
    start, end = triangles.reshape(-1), np.roll(triangles, -1, axis=1).reshape(-1)
    half = np.flatnonzero(start != end)
    start, end = start[half], end[half]
    low, high = np.minimum(start, end), np.maximum(start, end)
    key, edge = np.unique(low * len(points) + high, return_inverse=True)
    way = np.where(start < end, 1, -1)
    net = np.bincount(edge, weights=way, minlength=len(key)).astype(np.int64)
    count = np.bincount(edge, minlength=len(key))
    low, high = key // len(points), key % len(points)
    open_edges = np.flatnonzero(net)
    ends, place = np.unique(np.concatenate([low[open_edges], high[open_edges]]), return_inverse=True)
    below = grounded(ends)[place].reshape(2, -1).all(axis=0)
    at_ground, loose = open_edges[below], open_edges[~below]
    is_hole, is_flipped, joined = _after_splitting(points, low[loose], high[loose], net[loose], count[loose])
    kind = np.zeros(len(key), dtype=np.int8)
    kind[at_ground] = 1
    kind[loose[is_flipped]] = 2
    kind[loose[is_hole]] = 3
    return EdgeDefects(
        hole=half[kind[edge] == 3],
        bottom=half[kind[edge] == 1],
        flipped=half[kind[edge] == 2],
        t_junctions=joined,
        crowded=int(np.count_nonzero((net == 0) & (count > 2))),
    )


def _after_splitting(
    points: np.ndarray, low: np.ndarray, high: np.ndarray, net: np.ndarray, count: np.ndarray
) -> tuple[np.ndarray, np.ndarray, int]:
    """Cut unpaired edges where other ones end on them, and pair the pieces.

    Returns:
        Which edges are holes and which are wound two ways, (L,) bool each, and how many edges found their pairs.
    """
    size = len(low)
    if not size:
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=bool), 0
    edge, first, second = _split(points, low, high)
    way = np.where(first < second, 1, -1)
    a, b = np.minimum(first, second), np.maximum(first, second)
    _, piece = np.unique(a * len(points) + b, return_inverse=True)
    left = np.bincount(piece, weights=way * net[edge]).astype(np.int64)[piece]
    together = np.bincount(piece, weights=count[edge]).astype(np.int64)[piece]
    hole, flipped = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    hole[edge[(left != 0) & (together % 2 == 1)]] = True
    flipped[edge[(left != 0) & (together % 2 == 0)]] = True
    flipped &= ~hole
    return hole, flipped, int(np.count_nonzero(~hole & ~flipped))


def _split(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pieces of edges between the ends of other edges that lie on them: edge, first and second point of each."""
    ends = np.unique(np.concatenate([low, high]))
    a, b = points[low], points[high]
    length = norm(b - a)
    near = cKDTree(points[ends]).query_ball_point(0.5 * (a + b), 0.5 * length * (1 + 1e-9))
    edge = np.repeat(np.arange(len(low)), [len(found) for found in near])
    vertex = ends[np.concatenate([np.asarray(found, dtype=np.int64) for found in near])]
    direction = (b - a)[edge] / length[edge, None]
    away = points[vertex] - a[edge]
    along = dot(away, direction)
    off = norm(away - along[:, None] * direction)
    inside = (off <= ON_EDGE) & (along > ON_EDGE) & (along < length[edge] - ON_EDGE)
    edges = np.concatenate([np.arange(len(low)), edge[inside], np.arange(len(low))])
    stops = np.concatenate([low, vertex[inside], high])
    places = np.concatenate([np.zeros(len(low)), along[inside], length])
    order = np.lexsort((places, edges))
    edges, stops = edges[order], stops[order]
    same = edges[1:] == edges[:-1]
    return edges[:-1][same], stops[:-1][same], stops[1:][same]
