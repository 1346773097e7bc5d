"""Exact paths with one diffraction at known wedges to many users at once.

The transmitter is mirrored in the facet before the wedge, the user in the facet after it. The point of diffraction is
the one at which both make equal angles with the edge (J. B. Keller, "Geometrical theory of diffraction", J. Opt. Soc.
Am. 52(2), 1962): unfolded about the edge the path is straight, which gives it in closed form. Ray casts then confirm
each segment, as in `solve`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Integer

from sitetwin.backend import mitsuba
from sitetwin.rays.cells import CellUsers
from sitetwin.rays.course import Geometry, unfolded
from sitetwin.rays.device import array3, gather_points, norm, split, surviving, to_device
from sitetwin.rays.edge_chains import EdgeChains
from sitetwin.rays.edges.scene import EdgeScene
from sitetwin.rays.specular.solving import lanes


@dataclass(frozen=True, eq=False)
class EdgePaths:
    """Verified diffracted paths, unordered.

    Attributes:
        user: (P,) int64, user index.
        chain: (P,) int32, index into the edge chains.
    """

    user: Integer[np.ndarray, " paths"]
    chain: Integer[np.ndarray, " paths"]


@dataclass(frozen=True, eq=False)
class Bend:
    """The course of diffracted paths, all Dr.Jit, one lane each.

    Attributes:
        before: Reflection point between transmitter and wedge (Array3f64), None without one.
        point: Point of diffraction (Array3f64).
        after: Reflection point between wedge and user, None without one.
        lit: The point of diffraction moved off both faces, where the ray from the source ends (Array3f64).
        seen: The same for the ray to the user.
        inside: Whether the points lie on their edge and rectangles, and both ends in the wedge's open space.
    """

    before: Any
    point: Any
    after: Any
    lit: Any
    seen: Any
    inside: Any


class EdgeSolver:
    """Chains with one diffraction, prepared for any number of users.

    Args:
        scene: The site, the transmitter, on the device.
        chains: The chains to try.
        lit_region: Whether a user who sees past the edge straight on keeps the diffracted path; else only users in the
            edge's shadow do.
    """

    def __init__(self, scene: EdgeScene, chains: EdgeChains, lit_region: bool) -> None:
        mi = mitsuba()
        self.scene, self.chains, self.lit_region = scene, chains, lit_region
        self._before, self._wedge, self._after = (
            to_device(mi.Int32, x) for x in (chains.before, chains.wedge, chains.after)
        )

    def solve(self, users: np.ndarray, *, progress: Callable[[float], None] | None = None) -> EdgePaths:
        """All valid paths to some users.

        Args:
            users: (U, 3) float64, positions of the users, metres.
            progress: Called with the share of the work done, 0..1.
        """
        if not len(users) or not len(self.chains):
            return EdgePaths(np.zeros(0, np.int64), np.zeros(0, np.int32))
        cells = CellUsers.of(users, self.chains.grid)
        points = array3(cells.points)
        found = [EdgePaths(np.zeros(0, np.int64), np.zeros(0, np.int32))]
        groups = self.chains.groups()
        for number, group in enumerate(groups, start=1):
            chain, cell = self.chains.marked_pairs(group, cells)
            for lane_chain, lane_user in lanes(chain, cell, cells):
                found.append(self._solve_lanes(group, points, lane_chain, lane_user))
            if progress:
                progress(number / len(groups))
        user = cells.order[np.concatenate([f.user for f in found])]
        return EdgePaths(user, np.concatenate([f.chain for f in found]))

    def _solve_lanes(self, group: range, points: Any, chain: np.ndarray, user: np.ndarray) -> EdgePaths:
        """Test (chain, user) pairs; users are places in the sorted order, here and in the result."""
        import drjit as dr

        mi = mitsuba()
        lane_chain, lane_user = to_device(mi.UInt32, chain), to_device(mi.UInt32, user)
        inside = self.bend(group, lane_chain, gather_points(points, lane_user)).inside
        lane_chain, lane_user = surviving(inside, lane_chain, lane_user)
        for stage in self._stages(group):
            if not dr.width(lane_chain):
                break
            good = stage(group, lane_chain, gather_points(points, lane_user))
            lane_chain, lane_user = surviving(good, lane_chain, lane_user)
        return EdgePaths(lane_user.numpy().astype(np.int64), lane_chain.numpy().astype(np.int32))

    def _stages(self, group: range) -> list[Callable[[range, Any, Any], Any]]:
        """Segment tests, the most selective first: from the user to the wedge, then from the wedge to the source."""
        before, after = self.chains.shape_of(group)
        stages: list[Callable[[range, Any, Any], Any]] = []
        if after:
            stages.append(self._user_sees_facet)
        stages.append(self._wedge_is_seen)
        if before:
            stages.append(self._wedge_sees_facet)
        stages.append(self._source_is_seen)
        return stages

    def _user_sees_facet(self, group: range, chain: Any, user: Any) -> Any:
        bend = self.bend(group, chain, user)
        return self._first_facet(user, bend.after) == self._gather(self._after, chain)

    def _wedge_is_seen(self, group: range, chain: Any, user: Any) -> Any:
        bend = self.bend(group, chain, user)
        origin = user
        if bend.after is not None:
            origin = self.scene.lift_off(bend.after, self._gather(self._after, chain), bend.seen)
        return self._clear(origin, bend.seen)

    def _wedge_sees_facet(self, group: range, chain: Any, user: Any) -> Any:
        bend = self.bend(group, chain, user)
        return self._first_facet(bend.lit, bend.before) == self._gather(self._before, chain)

    def _source_is_seen(self, group: range, chain: Any, user: Any) -> Any:
        bend = self.bend(group, chain, user)
        origin = bend.lit
        if bend.before is not None:
            origin = self.scene.lift_off(bend.before, self._gather(self._before, chain), self.scene.source)
        return self._clear(origin, self.scene.source)

    def _first_facet(self, origin: Any, target: Any) -> Any:
        import drjit as dr

        return self.scene.caster.first_facet(origin, target, dr.full(mitsuba().Bool, True, dr.width(origin)))

    def _clear(self, origin: Any, target: Any) -> Any:
        import drjit as dr

        return self.scene.caster.clear(origin, target, dr.full(mitsuba().Bool, True, dr.width(origin)))

    @staticmethod
    def _gather(values: Any, chain: Any) -> Any:
        import drjit as dr

        return dr.gather(type(values), values, chain)

    def bend(self, group: range, chain: Any, user: Any) -> Bend:
        """Where paths of one group of chains bend.

        Args:
            group: Chains alike in their number of reflections before and after.
            chain: Dr.Jit UInt32, index into all chains.
            user: Dr.Jit Array3f64, metres.
        """
        before, after = self.chains.shape_of(group)
        wedge = self.scene.wedge(self._gather(self._wedge, chain))
        facet_before, facet_after = self._gather(self._before, chain), self._gather(self._after, chain)
        source = self.scene.mirror(self.scene.source, facet_before) if before else self.scene.source
        target = self.scene.mirror(user, facet_after) if after else user
        along_s, across_s = split(source - wedge.start, wedge.direction)
        along_t, across_t = split(target - wedge.start, wedge.direction)
        line = wedge.start
        if wedge.aside is not None:
            away = wedge.moved(across_s, across_t)
            line, across_s, across_t = line + away, across_s - away, across_t - away
        size_s, size_t = norm(across_s), norm(across_t)
        at = (along_s * size_t + along_t * size_s) / (size_s + size_t)
        point = line + wedge.direction * at
        phi_s, phi_t = wedge.angle(across_s), wedge.angle(across_t)
        inside = (at > 0) & (at < wedge.length) & wedge.open(phi_s) & wedge.open(phi_t)
        if not self.lit_region:
            inside &= abs(phi_t - phi_s) > np.pi
        mirrored, reflected = None, None
        if before:
            mirrored, on_facet = self.scene.crossing(point, source, facet_before)
            inside &= on_facet
        if after:
            reflected, on_facet = self.scene.crossing(target, point, facet_after)
            inside &= on_facet
        base = wedge.start + wedge.direction * at
        return Bend(mirrored, point, reflected, wedge.lifted(base, phi_s), wedge.lifted(base, phi_t), inside)

    def geometry(self, group: range, chain: np.ndarray, users: np.ndarray) -> Geometry:
        """Vertices, lengths and directions of paths of one group.

        Args:
            group: Chains alike in their number of reflections before and after.
            chain: (N,) index into all chains.
            users: (N, 3) positions of the users, metres.
        """
        user = array3(users)
        bend = self.bend(group, to_device(mitsuba().UInt32, chain.astype(np.uint32)), user)
        points = [p for p in (bend.before, bend.point, bend.after) if p is not None]
        return unfolded(self.scene.source, points, user)
