"""Exact specular paths of known chains to many users at once.

Image method in double precision for every (chain, user) pair that the beams allow, then ray casts that confirm each
segment: the right facet is hit first and nothing stands in between. Reference: J. W. McKown, R. L. Hamilton, "Ray
tracing as a design tool for radio networks", IEEE Network 5(6), 1991 (image method).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Integer

from sitetwin.backend import mitsuba
from sitetwin.rays.caster import RayCaster, lift_off
from sitetwin.rays.cells import CellUsers
from sitetwin.rays.chains import ChainList, source_images
from sitetwin.rays.course import Geometry, cross_rectangle, unfolded
from sitetwin.rays.device import array3, gather3, gather_points, surviving, to_device
from sitetwin.rays.specular.reach import all_pairs, beam_planes, reaches
from sitetwin.site import Site

_ROW = 16  # doubles per bounce in the chain table
_LANES = 1 << 23  # (chain, user) pairs tested in one kernel


@dataclass(frozen=True, eq=False)
class SpecularPaths:
    """Verified specular paths, unordered.

    Attributes:
        user: (P,) int64, user index.
        chain: (P,) int32, index into the chain list, -1 for line of sight.
        crossed: (P, N) int32, facets that the path passes through, from the user on, -1 beyond the last; N is 0 where
            no transmission was allowed.
        leg: (P, N) int8, the segment of each crossing, counted from the user.
    """

    user: Integer[np.ndarray, " paths"]
    chain: Integer[np.ndarray, " paths"]
    crossed: Integer[np.ndarray, "paths crossings"]
    leg: Integer[np.ndarray, "paths crossings"]


@dataclass(frozen=True, eq=False)
class DepthGroup:
    """The chains of one depth, with what the kernels need of them."""

    first: int
    facets: np.ndarray
    images: np.ndarray
    planes: np.ndarray
    table: Any

    @property
    def depth(self) -> int:
        return self.facets.shape[1]


class SpecularSolver:
    """Chains of one transmitter prepared for any number of users.

    Args:
        site: The site.
        caster: Ray caster of the same site.
        chains: The chains to try.
        max_transmissions: Most slabs that a path may pass through.
    """

    def __init__(self, site: Site, caster: RayCaster, chains: ChainList, max_transmissions: int = 0) -> None:
        self.site, self.caster, self.chains = site, caster, chains
        self.max_transmissions = max_transmissions
        self.groups = [
            self._prepare(depth) for depth in range(1, chains.facets.shape[1] + 1) if (chains.depth == depth).any()
        ]

    def _prepare(self, depth: int) -> DepthGroup:
        mi = mitsuba()
        index = np.flatnonzero(self.chains.depth == depth)
        facets = np.ascontiguousarray(self.chains.facets[index, :depth])
        images = source_images(self.site, self.chains.transmitter, facets)
        frames = self.caster.frames
        table = np.zeros((len(facets), depth, _ROW))
        table[:, :, 0:3] = images[:, 1:]
        table[:, :, 3:6] = self.site.facet_normal[facets]
        table[:, :, 6] = self.site.facet_offset[facets]
        table[:, :, 7:10] = frames.axis[facets]
        table[:, :, 10:12] = frames.low[facets]
        table[:, :, 12:14] = frames.high[facets]
        table[:, :, 14] = facets
        planes = beam_planes(self.site, frames, images, facets)
        return DepthGroup(int(index[0]), facets, images, planes, to_device(mi.Float64, table))

    def solve(
        self, users: np.ndarray, *, everywhere: bool = False, progress: Callable[[float], None] | None = None
    ) -> SpecularPaths:
        """All valid paths to some users.

        Args:
            users: (U, 3) float64, positions of the users, metres.
            everywhere: Try each chain on every user its beam can reach, not only in the cells marked for it.
            progress: Called with the share of the work done, 0..1.
        """
        if not len(users):
            return SpecularPaths(np.zeros(0, np.int64), np.zeros(0, np.int32), *no_crossings(0, self.max_transmissions))
        cells = CellUsers.of(users, self.chains.grid)
        points = array3(cells.points)
        found = [self._line_of_sight(points, len(users))]
        for number, group in enumerate(self.groups, start=1):
            chain, cell = all_pairs(group.planes, cells) if everywhere else self._marked_pairs(group, cells)
            for lane_chain, lane_user in lanes(chain, cell, cells):
                found.append(self._solve_lanes(group, points, lane_chain, lane_user))
            if progress:
                progress(number / len(self.groups))
        user = cells.order[np.concatenate([f.user for f in found])]
        chain, crossed, leg = (np.concatenate([getattr(f, n) for f in found]) for n in ("chain", "crossed", "leg"))
        return SpecularPaths(user, chain, crossed, leg)

    def holding(self, users: np.ndarray, chain: np.ndarray, user: np.ndarray) -> SpecularPaths:
        """Those of given (chain, user) pairs that are valid paths.

        Args:
            users: (U, 3) float64, positions of the users, metres.
            chain: (N,) index into the chain list, -1 for line of sight.
            user: (N,) index into the users.
        """
        none = no_crossings(0, self.max_transmissions)
        found = [SpecularPaths(np.zeros(0, np.int64), np.zeros(0, np.int32), *none)]
        direct = user[chain < 0]
        if len(direct):
            sight = self._line_of_sight(array3(users[direct]), len(direct))
            found.append(replace(sight, user=direct[sight.user]))
        points = array3(users)
        for group in self.groups:
            own = np.flatnonzero((chain >= group.first) & (chain < group.first + len(group.facets)))
            for first in range(0, len(own), _LANES):
                rows = own[first : first + _LANES]
                lanes = (chain[rows] - group.first).astype(np.uint32), user[rows].astype(np.uint32)
                found.append(self._solve_lanes(group, points, *lanes))
        columns = ("user", "chain", "crossed", "leg")
        return SpecularPaths(*(np.concatenate([getattr(f, name) for f in found]) for name in columns))

    def _marked_pairs(self, group: DepthGroup, cells: CellUsers) -> tuple[np.ndarray, np.ndarray]:
        """(chain, cell) pairs of a group that are marked, hold users and lie in the chain's beam."""
        marks = slice(self.chains.mark_offsets[group.first], self.chains.mark_offsets[group.first + len(group.facets)])
        counts = np.diff(self.chains.mark_offsets)[group.first : group.first + len(group.facets)]
        chain = np.repeat(np.arange(len(group.facets)), counts)
        marked = self.chains.mark_cells[marks]
        place = np.searchsorted(cells.cells, marked)
        held = cells.cells[np.minimum(place, len(cells.cells) - 1)] == marked
        chain, place = chain[held], place[held]
        keep = reaches(group.planes, chain, cells, place)
        return chain[keep], place[keep]

    def _line_of_sight(self, points: Any, count: int) -> SpecularPaths:
        import drjit as dr

        mi = mitsuba()
        source = array3(self.chains.transmitter[None]) + dr.zeros(type(points), count)
        record = Crossings(count, self.max_transmissions)
        seen = self._passes(points, source, dr.full(mi.Int32, -1, count), record, 0)
        place = np.flatnonzero(seen.numpy())
        record.keep(place)
        return SpecularPaths(place, np.full(len(place), -1, np.int32), record.crossed, record.leg)

    def _solve_lanes(self, group: DepthGroup, points: Any, chain: np.ndarray, user: np.ndarray) -> SpecularPaths:
        """Test (chain, user) pairs; users are places in the sorted order, here and in the result."""
        import drjit as dr

        mi = mitsuba()
        lane_chain, lane_user = to_device(mi.UInt32, chain), to_device(mi.UInt32, user)
        _, _, inside = backtrack(group, lane_chain, gather_points(points, lane_user), group.depth)
        lane_chain, lane_user = surviving(inside, lane_chain, lane_user)
        record = Crossings(dr.width(lane_chain), self.max_transmissions)
        for stage in range(group.depth + 1):
            if not dr.width(lane_chain):
                break
            good = self._segment_holds(group, points, lane_chain, lane_user, stage, record)
            lane_chain, lane_user = surviving(good, lane_chain, lane_user)
            if self.max_transmissions:
                record.keep(np.flatnonzero(good.numpy()))
        global_chain = (lane_chain.numpy().astype(np.int32) + group.first).astype(np.int32)
        count = len(global_chain)
        crossings = (record.crossed, record.leg) if self.max_transmissions else no_crossings(count, 0)
        return SpecularPaths(lane_user.numpy().astype(np.int64), global_chain, *crossings)

    def _segment_holds(
        self, group: DepthGroup, points: Any, chain: Any, user: Any, stage: int, record: Crossings
    ) -> Any:
        """Whether the segment `stage` bounces before the user passes and ends on the right facet."""
        import drjit as dr

        mi = mitsuba()
        receiver = gather_points(points, user)
        vertices, rows, _ = backtrack(group, chain, receiver, min(stage + 1, group.depth))
        last = stage == group.depth
        target = array3(self.chains.transmitter[None]) if last else vertices[stage]
        origin = receiver
        if stage:
            origin = lift_off(vertices[stage - 1], gather3(group.table, rows[stage - 1] + 3), target)
        if last:
            wanted = dr.full(mi.Int32, -1, dr.width(chain))
        else:
            wanted = mi.Int32(dr.gather(mi.Float64, group.table, rows[stage] + 14))
        return self._passes(origin, target, wanted, record, stage, free_end=last)

    def _passes(
        self, origin: Any, target: Any, wanted: Any, record: Crossings, leg: int, *, free_end: bool = True
    ) -> Any:
        """Whether segments are free but for slabs that they may pass.

        Args:
            origin: Dr.Jit Array3f64, metres, on no surface any more.
            target: Dr.Jit Array3f64, metres.
            wanted: Dr.Jit Int32, the facet that the target lies on, -1 at a free end.
            record: What the paths passed so far; what they pass here is added.
            leg: Number of the segment.
            free_end: Whether the target lies on no surface.
        """
        import drjit as dr

        mi = mitsuba()
        active = dr.full(mi.Bool, True, dr.width(wanted))
        if not self.max_transmissions:
            if free_end:
                return self.caster.clear(origin, target, active)
            return self.caster.first_facet(origin, target, active) == wanted
        good, left = dr.full(mi.Bool, False, dr.width(wanted)), to_device(mi.Int32, record.left)
        while True:
            facet = self.caster.first_facet(origin, target, active, before_target=free_end)
            good |= active & (facet == wanted)
            active &= (facet != wanted) & (facet >= 0) & (left > 0)
            active &= dr.gather(mi.Bool, self.caster.penetrable, mi.UInt32(dr.maximum(facet, 0)), active)
            plane = 4 * mi.UInt32(dr.maximum(facet, 0))
            normal, offset = gather3(self.caster.planes, plane), dr.gather(mi.Float64, self.caster.planes, plane + 3)
            here, there = dr.dot(normal, origin) - offset, dr.dot(normal, target) - offset
            active &= here * there < 0  # else the facet lies beyond the target
            point = origin + (target - origin) * (here / (here - there))
            origin = dr.select(active, lift_off(point, normal, target), origin)
            left = dr.select(active, left - 1, left)
            dr.eval(good, active, left, origin)
            if not dr.any(active):
                return good
            record.add(np.flatnonzero(active.numpy()), facet.numpy(), leg)

    def geometry(self, group: DepthGroup, chain: np.ndarray, users: np.ndarray) -> Geometry:
        """Reflection points, lengths and directions of chains of one group.

        Args:
            group: The chains of one depth.
            chain: (N,) chain index within the whole list.
            users: (N, 3) positions of the users, metres.
        """
        mi = mitsuba()
        user, source = array3(users), array3(self.chains.transmitter[None])
        points, _, _ = backtrack(
            group, to_device(mi.UInt32, (chain - group.first).astype(np.uint32)), user, group.depth
        )
        return unfolded(source, list(reversed(points)), user)


def no_crossings(count: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Crossed facets and their segments of paths that pass through nothing."""
    return np.full((count, most), -1, dtype=np.int32), np.full((count, most), -1, dtype=np.int8)


class Crossings:
    """What paths passed through so far, while they are verified from the user on.

    Args:
        count: Number of paths.
        most: Most crossings of a path.
    """

    def __init__(self, count: int, most: int) -> None:
        self.crossed, self.leg = no_crossings(count, most)

    @property
    def left(self) -> np.ndarray:
        """(P,) int32: crossings that each path may still make."""
        return np.count_nonzero(self.crossed < 0, axis=1).astype(np.int32)

    def add(self, index: np.ndarray, facet: np.ndarray, leg: int) -> None:
        """Paths `index` pass `facet[index]` on a segment."""
        place = self.crossed.shape[1] - self.left[index]
        self.crossed[index, place], self.leg[index, place] = facet[index], leg

    def keep(self, index: np.ndarray) -> None:
        """Drop all other paths."""
        self.crossed, self.leg = self.crossed[index], self.leg[index]


def backtrack(group: DepthGroup, chain: Any, user: Any, steps: int) -> tuple[list[Any], list[Any], Any]:
    """Reflection points of a chain, from the user back towards the transmitter.

    Args:
        group: Chains of one depth.
        chain: Dr.Jit UInt32, chain within the group.
        user: Dr.Jit Array3f64, metres.
        steps: How many points are wanted, the one nearest to the user first.

    Returns:
        The points (Array3f64), the table rows of their bounces (UInt32), and whether each point lies between its
        neighbours' planes and inside the bounding rectangle of its facet.
    """
    import drjit as dr

    mi = mitsuba()
    vertices, rows = [], []
    point, inside = user, mi.Bool(True)
    for bounce in range(group.depth - 1, group.depth - 1 - steps, -1):
        row = (chain * group.depth + bounce) * _ROW
        image, normal, axis = (gather3(group.table, row + column) for column in (0, 3, 7))
        offset = dr.gather(mi.Float64, group.table, row + 6)
        bounds = [dr.gather(mi.Float64, group.table, row + 10 + k) for k in range(4)]
        point, between, on_facet = cross_rectangle(point, image, (normal, offset), axis, bounds)
        inside &= between & on_facet
        vertices.append(point)
        rows.append(row)
    return vertices, rows, inside


def lanes(chain: np.ndarray, cell: np.ndarray, cells: CellUsers) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every user of each (chain, cell) pair, in batches of about `_LANES`."""
    counts = np.diff(cells.offsets)[cell]
    total = np.cumsum(counts)
    cuts = np.searchsorted(total, np.arange(_LANES, total[-1] if len(total) else 0, _LANES))
    for start, stop in pairwise([0, *cuts.tolist(), len(chain)]):
        if start == stop:
            continue  # no pair at this depth, or one cell with more users than a batch
        count = counts[start:stop]
        first = np.cumsum(count) - count
        user = np.arange(count.sum()) + np.repeat(cells.offsets[cell[start:stop]] - first, count)
        yield np.repeat(chain[start:stop], count).astype(np.uint32), user.astype(np.uint32)
