"""Which parts of mesh edges are open, and which lie on the surface of a facet that has no part in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.site.facets import dot, unit
from sitetwin.site.mesh import Mesh

_COARSE = np.array([0.1, 0.5, 0.9])  # where every edge is looked at first
_FINE = 1.0  # m between samples of an edge that is covered somewhere
_MOST_SAMPLES = 64  # of one edge
_AT_ONCE = 1 << 15  # pairs of a point and a triangle, so that they stay in a core's cache
_NOWHERE = 1 << 20  # size class of a triangle that is no surface
_HALVINGS = 10  # of a sample spacing, to find where the cover ends: about 1 mm


def open_parts(
    surfaces: Surfaces,
    ends: Float[np.ndarray, "edges 2 3"],
    edge: Int[np.ndarray, " edges"],
    incident: Int[np.ndarray, " keys"],
) -> tuple[Int[np.ndarray, " parts"], Float[np.ndarray, "parts 2"], int]:
    """Find the parts of edges that no foreign facet covers.

    Each edge is sampled at three places. If one of them is covered, the edge is sampled every metre, and the ends of
    the cover are found by bisection. A cover that lies between two samples is not found; the surface that covers still
    stops rays there.

    Args:
        surfaces: The mesh's surfaces.
        ends: (N, 2, 3) float64, metres.
        edge: (N,) int64, number of each edge.
        incident: Sorted keys ``edge number * num_facets + facet`` of the facets that meet at each edge.

    Returns:
        (M,) int64 edge (a row of `ends`) of each open part, ascending; (M, 2) float64 its ends as shares of the edge's
        length; and the number of edges that are covered altogether.
    """

    def covered(row: np.ndarray, share: np.ndarray) -> np.ndarray:
        points = ends[row, 0] + share[:, None] * (ends[row, 1] - ends[row, 0])
        which, facet = surfaces.at(points)
        key = edge[row[which]] * surfaces.mesh.num_facets + facet
        foreign = incident[np.minimum(np.searchsorted(incident, key), len(incident) - 1)] != key
        result = np.zeros(len(row), dtype=bool)
        result[which[foreign]] = True
        return result

    count = len(ends)
    touched = covered(np.repeat(np.arange(count), len(_COARSE)), np.tile(_COARSE, count)).reshape(count, len(_COARSE))
    whole, partly = np.flatnonzero(~touched.any(axis=1)), np.flatnonzero(touched.any(axis=1))
    row, share = _uncovered_runs(partly, ends, covered)
    order = np.argsort(np.concatenate([whole, row]), kind="stable")
    parts = np.concatenate([np.tile([0.0, 1.0], (len(whole), 1)), share])[order]
    return np.concatenate([whole, row])[order], parts, len(partly) - len(np.unique(row))


def _uncovered_runs(
    rows: np.ndarray, ends: np.ndarray, covered: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Runs of uncovered samples on some edges, with their ends moved to where the cover begins."""
    step = ends[rows, 1] - ends[rows, 0]
    samples = np.clip(np.ceil(np.sqrt(dot(step, step)) / _FINE), 4, _MOST_SAMPLES).astype(np.int64)
    owner = np.repeat(np.arange(len(rows)), samples)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(samples) - samples, samples)
    free = ~covered(rows[owner], (number + 0.5) / samples[owner])
    first = free & ((number == 0) | ~np.roll(free, 1))
    last = free & ((number == samples[owner] - 1) | ~np.roll(free, -1))
    begin, end = np.flatnonzero(first), np.flatnonzero(last)
    row = rows[owner[begin]]
    size = 1.0 / samples[owner[begin]]
    share = np.column_stack([np.zeros(len(row)), np.ones(len(row))])
    for side, at, outermost in ((0, begin, number[begin] == 0), (1, end, number[end] == samples[owner[end]] - 1)):
        cut = np.flatnonzero(~outermost)
        good = (number[at[cut]] + 0.5) * size[cut]
        bad = good + (2 * side - 1) * size[cut]
        for _ in range(_HALVINGS):
            middle = 0.5 * (good + bad)
            free = ~covered(row[cut], middle)
            good, bad = np.where(free, middle, good), np.where(free, bad, middle)
        share[cut, side] = good
    return row, share


class Surfaces:
    """A mesh's triangles in the cells of a grid, sorted by size into classes with cells of their own.

    Args:
        mesh: The mesh.
        tolerance: Metres: a point this near to a surface lies on it.
        ignored: (F,) bool, facets that are no surface, none by default.
    """

    def __init__(self, mesh: Mesh, tolerance: float, ignored: Bool[np.ndarray, " facets"] | None = None) -> None:
        self.mesh, self.tolerance = mesh, tolerance
        self._corners = mesh.vertices[mesh.triangles]
        corners = self._corners
        low, high = corners.min(axis=1) - tolerance, corners.max(axis=1) + tolerance
        self._origin = low.min(axis=0) if len(corners) else np.zeros(3)
        self._normal = unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        sides = np.roll(corners, -1, axis=1) - corners
        self._inwards = unit(np.cross(self._normal[:, None], sides))
        size_class = np.frexp((high - low).max(axis=1, initial=0.0))[1]
        if ignored is not None:
            size_class = np.where(ignored[mesh.triangle_facet], _NOWHERE, size_class)
        self._levels = [
            (2.0 ** (number - 1), *self._list(np.flatnonzero(size_class == number), 2.0 ** (number - 1), low, high))
            for number in np.unique(size_class).tolist()
            if number != _NOWHERE
        ]

    def _list(
        self, members: np.ndarray, size: float, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Cells met by triangles, ascending; where the triangles of each begin, and the end; these; their planes."""
        first = np.floor((low[members] - self._origin) / size).astype(np.int64)
        span = np.floor((high[members] - self._origin) / size).astype(np.int64) - first + 1
        counts = span.prod(axis=1)
        owner = np.repeat(np.arange(len(members)), counts)
        place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        step = np.column_stack([place // (span[owner, 1] * span[owner, 2]), place // span[owner, 2], place])
        step[:, 1:] %= span[owner, 1:]
        cell, triangle = first[owner] + step, members[owner]
        centre = self._origin + (cell + 0.5) * size
        height = np.abs(dot(centre - self._corners[triangle, 0], self._normal[triangle]))
        meets = height <= 0.5 * size * np.abs(self._normal[triangle]).sum(axis=1) + self.tolerance
        key = _cell_key(cell[meets])
        order = np.argsort(key, kind="stable")
        key, triangle = key[order], triangle[meets][order]
        begin = np.flatnonzero(np.diff(key, prepend=key[0] - 1)) if len(key) else np.zeros(0, np.int64)
        facet = self.mesh.triangle_facet[triangle]
        planes = np.column_stack([self.mesh.facet_normal[facet], self.mesh.facet_offset[facet]])
        return key[begin], np.append(begin, len(key)), triangle, planes

    def at(self, points: Float[np.ndarray, "points 3"]) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """Pairs (point, facet) where a point lies on a facet's surface, within the tolerance; repeats are possible."""
        rows, facets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for size, key, first, triangle, planes in self._levels:
            wanted = _cell_key(np.floor((points - self._origin) / size).astype(np.int64))
            cell = np.searchsorted(key, wanted)
            met = np.flatnonzero(np.append(key, -1)[cell] == wanted)
            begin = first[cell[met]]
            held = first[cell[met] + 1] - begin
            owner = np.repeat(met, held)
            listed = np.arange(len(owner)) + np.repeat(begin - (np.cumsum(held) - held), held)
            close = self._close(points, owner, planes, listed)
            row, found = owner[close], triangle[listed[close]]
            inside = self._inside(points[row], found)
            rows.append(row[inside])
            facets.append(self.mesh.triangle_facet[found[inside]].astype(np.int64))
        return np.concatenate(rows), np.concatenate(facets)

    def again(
        self,
        points: Float[np.ndarray, "points 3"],
        before: tuple[Int[np.ndarray, " known"], Int[np.ndarray, " known"]],
        left: Bool[np.ndarray, " points"],
        ignored: Bool[np.ndarray, " facets"],
    ) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """Find the pairs once more after some points moved and some facets became no surface.

        Args:
            points: The points as they are now.
            before: The pairs before that.
            left: Points that are where they were.
            ignored: Facets that are no surface now.
        """
        which, facet = before
        same, moved = left[which] & ~ignored[facet], np.flatnonzero(~left)
        row, found = self.at(points[moved])
        return np.concatenate([which[same], moved[row]]), np.concatenate([facet[same], found])

    def _close(self, points: np.ndarray, row: np.ndarray, planes: np.ndarray, listed: np.ndarray) -> np.ndarray:
        """Which of some pairs (point, listed triangle) are within the tolerance of the triangle's plane."""
        found = [np.zeros(0, np.int64)]
        for start in range(0, len(row), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            where, plane = points[row[part]], planes[listed[part]]
            height = where[:, 0] * plane[:, 0]
            height += where[:, 1] * plane[:, 1]
            height += where[:, 2] * plane[:, 2]
            height -= plane[:, 3]
            found.append(start + np.flatnonzero(np.abs(height) <= self.tolerance))
        return np.concatenate(found)

    def _inside(self, points: np.ndarray, triangle: np.ndarray) -> np.ndarray:
        """(N,) bool: seen along its normal, each point lies in its triangle or within the tolerance of it."""
        result = np.ones(len(points), dtype=bool)
        for k in range(3):
            corner, inwards = self._corners[triangle, k], self._inwards[triangle, k]
            result &= dot(inwards, points - corner) >= -self.tolerance
        return result


def _cell_key(cell: np.ndarray) -> np.ndarray:
    """One number for each (N, 3) cell; cells 2^20 apart may share it, which costs time and nothing else."""
    wrapped = cell & ((1 << 21) - 1)
    return (wrapped[:, 0] << 42) | (wrapped[:, 1] << 21) | wrapped[:, 2]
