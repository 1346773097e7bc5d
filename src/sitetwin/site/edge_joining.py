"""Join edges that a mesh draws twice a little apart: a roof that does not quite meet its walls.

An edge beside another one is the same edge, or lies on the surface of the other's facet; nothing is in between. So one
length decides both: an edge within `Precision.cover` of a foreign surface is covered, and every edge that runs beside
another one within reach of that length is joined to it first. Edges at which a surface ends are joined from farther
away, because such a gap is no part of any building.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from sitetwin.site.facets import components, dot
from sitetwin.site.mesh import Mesh

CLOSED_GAP = 1e-3
"""Metres: an edge within this distance of another facet's surface is covered by it. No wave passes such a gap."""

OPEN_GAP = 1e-2
"""Metres: where surfaces end side by side, within this distance of each other along both, they meet."""

_SAME_WAY = 0.9  # cosine between two faces that leave their edges in the same direction
_QUERIES = 1 << 17  # midpoints looked up at a time


@dataclass(frozen=True)
class Precision:
    """How exactly corners of a mesh are where they should be.

    Attributes:
        step: Metres by which two copies of a coordinate may differ: the step of quantised positions, 0 for others.
    """

    step: float = 0.0

    @property
    def cover(self) -> float:
        """Metres: an edge this near to a foreign surface lies on it."""
        return max(CLOSED_GAP, self.step)

    @property
    def closed(self) -> float:
        """Metres: edges this near to each other are one; more than the diagonal of `cover`."""
        return 2.0 * self.cover

    @property
    def open(self) -> float:
        """Metres: the same for an edge at which a surface ends."""
        return max(OPEN_GAP, 2.0 * self.step)


@dataclass(frozen=True, eq=False)
class Outline:
    """The edges of a mesh, one row each.

    Attributes:
        ends: (E, 2) int64, indices of points.
        facet: (E,) int64, facet of an edge that has one alone, else -1.
        inward: (E, 3) unit vector from each edge into one of its faces.
    """

    ends: Int[np.ndarray, "edges 2"]
    facet: Int[np.ndarray, " edges"]
    inward: Float[np.ndarray, "edges 3"]


@dataclass(frozen=True, eq=False)
class Joined:
    """Points after a join.

    Attributes:
        points: (N, 3) float64, metres.
        place: (N,) int64, the point that stands for each.
        moved: (N,) float64, metres, how far the farthest of the points that each stands for was from it.
    """

    points: Float[np.ndarray, "points 3"]
    place: Int[np.ndarray, " points"]
    moved: Float[np.ndarray, " points"]


def join_edges(
    points: Float[np.ndarray, "points 3"], outline: Outline, loose: Int[np.ndarray, " loose"], precision: Precision
) -> Joined:
    """Join edges that run side by side.

    Two edges are one if they run within reach of each other as far as they go together, and longer together than twice
    that. Their ends become one point where they are within reach; an end beside the middle of the other edge moves onto
    it.

    Args:
        points: The points.
        outline: The edges.
        loose: Ends of edges that may have to be joined, ascending.
        precision: What decides the reach.
    """
    count = len(points)
    edge, at, share, reach = _beside(points, outline, loose, precision)
    length = np.sqrt(_square(points[outline.ends[edge, 1]] - points[outline.ends[edge, 0]]))
    end = np.where(share * length <= reach, 0, np.where((1 - share) * length <= reach, 1, -1))
    meets = end >= 0
    place = components(count, at[meets], outline.ends[edge[meets], end[meets]])
    moved_points = points.copy()
    order = np.flatnonzero(~meets)
    order = order[np.argsort(length[order], kind="stable")]  # the longest edge decides
    for _ in range(2):  # the ends of an edge may lie on another edge themselves
        first, last = (moved_points[place[outline.ends[edge[order], k]]] for k in (0, 1))
        moved_points[place[at[order]]] = first + share[order, None] * (last - first)
    distance = np.sqrt(_square(points - moved_points[place]))
    moved = np.zeros(count)
    np.maximum.at(moved, place, distance)
    return Joined(moved_points, place, moved)


def within(
    tree: cKDTree, centres: Float[np.ndarray, "centres 3"], radius: Float[np.ndarray, " centres"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Return the pairs (centre, point of the tree) no farther apart than the centre's radius."""
    rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first in range(0, len(centres), _QUERIES):
        chunk = slice(first, first + _QUERIES)
        lists = tree.query_ball_point(centres[chunk], radius[chunk], return_sorted=False)
        counts = np.fromiter(map(len, lists), np.int64, len(lists))
        rows.append(first + np.repeat(np.arange(len(lists)), counts))
        if counts.any():
            found.append(np.concatenate([x for x in lists if x]).astype(np.int64))
    return np.concatenate(rows), np.concatenate(found)


def collapsed_facets(
    mesh: Mesh, corners: Int[np.ndarray, "triangles 3"], precision: Precision
) -> Bool[np.ndarray, " facets"]:
    """(F,) bool: facets as narrow as the gaps that are closed, which have lost a corner by that."""
    lost = (corners[:, 0] == corners[:, 1]) | (corners[:, 1] == corners[:, 2]) | (corners[:, 2] == corners[:, 0])
    where = mesh.corners
    sides = np.roll(where, -1, axis=1) - where
    twice_area = np.sqrt(dot(cross := np.cross(sides[:, 0], -sides[:, 2]), cross))
    altitude = twice_area / np.maximum(np.sqrt(dot(sides, sides)).max(axis=1), 1e-300)
    widest, touched = np.zeros(mesh.num_facets), np.zeros(mesh.num_facets, dtype=bool)
    np.maximum.at(widest, mesh.triangle_facet, altitude)
    touched[mesh.triangle_facet[lost]] = True
    return touched & (widest <= 1.5 * precision.open)


def _beside(
    points: np.ndarray, outline: Outline, loose: np.ndarray, precision: Precision
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends of edges beside other edges.

    Returns:
        (M,) the other edge, (M,) the end, (M,) its place along the other edge (0..1), (M,) the reach, metres.
    """
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    ends, alone = outline.ends, outline.facet >= 0
    if not len(loose):
        return nothing
    begin, step = points[ends[:, 0]], points[ends[:, 1]] - points[ends[:, 0]]
    length = np.sqrt(_square(step))
    on_open = np.zeros(len(points), dtype=bool)
    on_open[ends[alone]] = True
    edge, at = within(cKDTree(points[loose]), begin + 0.5 * step, 0.5 * length + precision.open)
    at = loose[at]
    own = (at == ends[edge, 0]) | (at == ends[edge, 1])
    near = ~own & _near(points[at] - begin[edge], step[edge], np.where(on_open[at], precision.open, precision.closed))
    edge, at = edge[near], at[near]

    # Every edge that ends there, with the other edge beside which it may run.
    by_end = np.argsort(ends.reshape(-1), kind="stable")
    first, last = (np.searchsorted(ends.reshape(-1)[by_end], at, side) for side in ("left", "right"))
    held = last - first
    row = np.repeat(np.arange(len(at)), held)
    side = by_end[np.arange(held.sum()) - np.repeat(np.cumsum(held) - held, held) + first[row]] // 2
    # Two sheets that end side by side are two sides of something thin, which `thin_walls` looks after.
    doubled = alone[edge[row]] & (dot(outline.inward[side], outline.inward[edge[row]]) > _SAME_WAY)
    reach = np.where(alone[side] & ~doubled, precision.open, precision.closed)
    same = (side == edge[row]) | (alone[side] & (outline.facet[side] == outline.facet[edge[row]]))
    along = _runs_along(points, ends, side, edge[row], reach) & ~same
    row, reach = row[along], reach[along]
    widest = np.zeros(len(at))
    np.maximum.at(widest, row, reach)
    kept = np.flatnonzero(widest > 0)
    edge, at = edge[kept], at[kept]
    share = np.clip(dot(points[at] - begin[edge], step[edge]) / length[edge] ** 2, 0.0, 1.0)
    return edge, at, share, widest[kept]


def _runs_along(
    points: np.ndarray, ends: np.ndarray, side: np.ndarray, edge: np.ndarray, reach: np.ndarray
) -> Bool[np.ndarray, " pairs"]:
    """(N,) bool: edge `side` runs within reach of `edge` as far as both go, and longer than twice the reach."""
    begin, step = points[ends[edge, 0]], points[ends[edge, 1]] - points[ends[edge, 0]]
    length = np.sqrt(_square(step))
    axis = step / length[:, None]
    a, b = points[ends[side, 0]] - begin, points[ends[side, 1]] - begin
    along_a, along_b = dot(a, axis), dot(b, axis)
    off_a, off_b = a - along_a[:, None] * axis, b - along_b[:, None] * axis
    low = np.maximum(np.minimum(along_a, along_b), 0.0)
    high = np.minimum(np.maximum(along_a, along_b), length)
    span = np.where(np.abs(along_b - along_a) > 0, along_b - along_a, 1.0)
    result = high - low > 2.0 * reach
    for place in (low, high):
        share = ((place - along_a) / span)[:, None]
        result &= np.sqrt(_square(off_a + share * (off_b - off_a))) <= reach
    return np.asarray(result)


def _near(away: np.ndarray, step: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(N,) bool: points, given from the start of edges, within reach of them."""
    square = np.maximum(_square(step), 1e-300)
    share = np.clip(dot(away, step) / square, 0.0, 1.0)
    # An end is met within reach along the edge and across it, so the diagonal counts.
    return np.asarray(_square(away - share[:, None] * step) <= 2.0 * reach**2)


def _square(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(dot(vectors, vectors))
