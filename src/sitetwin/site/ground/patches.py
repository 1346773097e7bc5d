"""Lying patches of a mesh: surfaces without a fold or a wall in them, and what hangs on their rims.

Nothing here looks at winding or at objects. Triangles are joined where they share two corners by position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from sitetwin.site.facets import components, dot, norm
from sitetwin.site.winding import edge_number, weld

STEEPEST = 0.17
"""Of a unit normal's z: what has less is a wall (more than 80 degrees from level)."""

_UPRIGHT = 1e-9  # m2 in plan: as for `VerticalIndex`, a triangle of less has no height at a point
_WALL_STEP = 0.05  # metres: a wall that reaches no farther from a rim neither hangs on it nor rises from it
_REACH = 1.0  # metres: a rim that is not welded to a wall has the walls below the eaves that end this near
_LEVEL = 0.3  # metres of height within which such a wall ends
_ON_EDGE = 1e-3  # metres: a corner nearer to an edge lies on it
_SPACING = 0.5  # metres between the points at which rims are compared
_MOST_SAMPLES = 64  # of one edge


@dataclass(frozen=True, eq=False)
class Patches:
    """What is known of the surfaces of a mesh, before anything is called ground.

    Attributes:
        lying: (T,) bool, triangles that are no walls.
        body: (T,) int64, equal for triangles that hang together by edges, walls included.
        patch: (T,) int64, equal for lying triangles of one patch; the number of a triangle of it. Walls are alone.
        walled_down: (T,) float64, share of its patch's rim from which walls go down, weighted by length.
        walled_up: (T,) float64, share of its patch's rim from which walls rise.
        foot: (T,) float64, metres, lowest point of the walls that hang on its patch; its own lowest without walls.
        cluster: (T,) int64, as `patch`, for patches whose rims lie on one another (tiles of one surface).
    """

    lying: Bool[np.ndarray, " triangles"]
    body: Int[np.ndarray, " triangles"]
    patch: Int[np.ndarray, " triangles"]
    walled_down: Float[np.ndarray, " triangles"]
    walled_up: Float[np.ndarray, " triangles"]
    foot: Float[np.ndarray, " triangles"]
    cluster: Int[np.ndarray, " triangles"]

    @classmethod
    def of(cls, corners: Float[np.ndarray, "triangles 3 3"]) -> Patches:
        """Find the patches of triangles (T, 3, 3), metres."""
        lying = _lying(corners)
        edges = _Edges.of(corners)
        joined = [edges.owner[rows] for rows in edges.chained(np.ones(len(edges.owner), dtype=bool))]
        joined = [np.concatenate(two) for two in zip(joined, edges.ending_on_others(), strict=True)]
        body = components(len(corners), *joined)
        first, second = edges.chained(lying[edges.owner])
        flat = _unfolded(corners, edges, first, second)
        patch = components(len(corners), edges.owner[first[flat]], edges.owner[second[flat]])
        rim = _Rim.of(corners, lying, edges, patch)
        down, up, foot = rim.walls(corners, patch)
        cluster = components(len(corners), *rim.seams(patch))[patch]
        return cls(lying, body, patch, down[patch], up[patch], foot[patch], cluster)


def _lying(corners: np.ndarray) -> np.ndarray:
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray((np.abs(cross[:, 2]) > STEEPEST * norm(cross)) & (np.abs(cross[:, 2]) > _UPRIGHT))


@dataclass(frozen=True, eq=False)
class _Edges:
    """Half-edges, sorted by the edge that they belong to: owner is the triangle, third its corner off the edge."""

    number: np.ndarray
    owner: np.ndarray
    start: np.ndarray
    end: np.ndarray
    third: np.ndarray

    @classmethod
    def of(cls, corners: np.ndarray) -> _Edges:
        _, place = weld(corners)
        first, second = place.T.reshape(-1), np.roll(place, -1, axis=1).T.reshape(-1)
        number = edge_number(np.minimum(first, second), np.maximum(first, second))
        order = np.argsort(number, kind="stable")
        owner, corner = order % len(corners), order // len(corners)
        ends = (corners[owner, (corner + k) % 3] for k in range(3))
        return cls(number[order], owner, *ends)

    def chained(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows of neighbouring chosen half-edges of the same edge."""
        rows = np.flatnonzero(chosen)
        same = self.number[rows[1:]] == self.number[rows[:-1]]
        return rows[:-1][same], rows[1:][same]

    def ending_on_others(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of triangles that join those of which an edge without a neighbour ends within such an edge of another.

        Where thousands of edges end at one place, each is paired with the first of them there, not with all.
        """
        single = np.flatnonzero(np.bincount(self.number)[self.number] == 1)
        start, step = self.start[single], self.end[single] - self.start[single]
        length, ends = norm(step), np.concatenate([start, self.end[single]])
        places, first, at = np.unique(ends, axis=0, return_index=True, return_inverse=True)
        near = cKDTree(places).query_ball_point(start + 0.5 * step, 0.5 * length) if len(single) else []
        edge = np.repeat(np.arange(len(single)), [len(found) for found in near])
        point = np.concatenate([np.asarray(found, dtype=np.int64) for found in near] or [np.zeros(0, dtype=np.int64)])
        away = places[point] - start[edge]
        along = dot(away, step[edge]) / length[edge]
        off = norm(away - (along / length[edge])[:, None] * step[edge])
        inside = (off <= _ON_EDGE) & (along > _ON_EDGE) & (along < length[edge] - _ON_EDGE)
        edge, point = edge[inside], point[inside]
        there = np.flatnonzero(np.isin(at.reshape(-1), point))
        owner = self.owner[np.concatenate([single, single])]  # of each end
        joined = np.concatenate([first[point], first[at.reshape(-1)[there]]])
        return np.concatenate([owner[edge], owner[there]]), owner[joined]


def _unfolded(corners: np.ndarray, edges: _Edges, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether two lying triangles are on different sides of their edge in plan: else the surface is folded there."""
    step = (edges.end[first] - edges.start[first])[:, :2]
    one, other = ((edges.third[rows] - edges.start[first])[:, :2] for rows in (first, second))
    side = [step[:, 0] * away[:, 1] - step[:, 1] * away[:, 0] for away in (one, other)]
    return np.asarray(side[0] * side[1] < 0)


@dataclass(frozen=True, eq=False)
class _Rim:
    """Half-edges of lying triangles at which their patch ends.

    Attributes:
        owner: (R,) triangle. start, end: (R, 3) metres. goes_down, goes_up: (R,) bool, walls welded to the edge.
        foot: (R,) lowest point of these walls, metres. free_walls: (W, 3) points on unwelded rims of walls, with the
            lowest and highest point of each one's wall.
    """

    owner: np.ndarray
    start: np.ndarray
    end: np.ndarray
    goes_down: np.ndarray
    goes_up: np.ndarray
    foot: np.ndarray
    free_walls: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def of(cls, corners: np.ndarray, lying: np.ndarray, edges: _Edges, patch: np.ndarray) -> _Rim:
        count = int(edges.number.max(initial=-1)) + 1
        low, high = corners[..., 2].min(axis=1), corners[..., 2].max(axis=1)
        walls = np.flatnonzero(~lying[edges.owner])
        bottom, top = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(bottom, edges.number[walls], low[edges.owner[walls]])
        np.maximum.at(top, edges.number[walls], high[edges.owner[walls]])
        rows = np.flatnonzero(lying[edges.owner])
        key = edges.number[rows] * (len(corners) + 1) + patch[edges.owner[rows]]
        _, where, times = np.unique(key, return_inverse=True, return_counts=True)
        rim = rows[times[where.reshape(-1)] == 1]
        number, z = edges.number[rim], np.stack([edges.start[rim, 2], edges.end[rim, 2]])
        single = np.bincount(edges.number, minlength=count)[edges.number] == 1
        free = walls[single[walls]]
        points, source = _along(edges.start[free], edges.end[free])
        owner = edges.owner[free][source]
        return cls(
            edges.owner[rim],
            edges.start[rim],
            edges.end[rim],
            bottom[number] < z.min(axis=0) - _WALL_STEP,
            top[number] > z.max(axis=0) + _WALL_STEP,
            np.minimum(bottom[number], z.min(axis=0)),
            (points, low[owner], high[owner]),
        )

    def walls(self, corners: np.ndarray, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """By number of the patch: shares of the rim from which walls go down and up, and the lowest point of those."""
        down, up, foot = self.goes_down.copy(), self.goes_up.copy(), self.foot.copy()
        points, low, high = self.free_walls
        loose = np.flatnonzero(~down & ~up)
        if len(points) and len(loose):
            middle = 0.5 * (self.start[loose] + self.end[loose])
            away, near = cKDTree(points).query(middle, distance_upper_bound=_REACH)
            found = np.flatnonzero(np.isfinite(away))
            found = found[np.abs(points[near[found], 2] - middle[found, 2]) <= _LEVEL]
            row, wall = loose[found], near[found]
            down[row] = low[wall] < middle[found, 2] - _LEVEL - _WALL_STEP
            up[row] = high[wall] > middle[found, 2] + _LEVEL + _WALL_STEP
            foot[row] = np.minimum(foot[row], low[wall])
        length, owner = norm(self.end - self.start), patch[self.owner]
        total = np.bincount(owner, length, len(patch))
        shares = (np.bincount(owner, length * yes, len(patch)) / np.maximum(total, 1e-12) for yes in (down, up))
        lowest = np.full(len(patch), np.inf)
        np.minimum.at(lowest, patch, corners[..., 2].min(axis=1))
        np.minimum.at(lowest, owner, foot)
        return (*shares, lowest)  # type: ignore[return-value]

    def seams(self, patch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of patches of which a piece of rim lies on one another."""
        points, source = _along(self.start, self.end)
        if not len(points):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        pairs = cKDTree(points).query_pairs(0.3 * _SPACING, output_type="ndarray")
        owner = patch[self.owner[source]]
        return owner[pairs[:, 0]], owner[pairs[:, 1]]


def _along(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points inside edges, and the edge of each: at the middles of equal pieces on a raster of heights that all share.

    An edge has `_MOST_SAMPLES` points at most. The points of two edges that lie on one another coincide only where the
    edges are equal; the others are near one another.
    """
    count = np.clip(np.ceil(norm(end - start) / _SPACING), 1, _MOST_SAMPLES).astype(np.int64)
    edge = np.repeat(np.arange(len(start)), count)
    rank = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count)
    share = (rank + 0.5) / count[edge]
    return start[edge] + share[:, None] * (end - start)[edge], edge
