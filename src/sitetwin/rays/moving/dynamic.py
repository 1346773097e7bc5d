"""Moving objects in a site that was traced once: only paths that they affect are traced again.

The site at rest is traced without any object. For every placement of the objects,

1. paths at rest with a segment near an object are verified again, against the mesh with the objects in it; an object
   can only take away paths between surfaces at rest;
2. chains that involve a facet of an object are found by rays aimed at the objects: straight, and over every chain at
   rest whose beam reaches them, to points drawn on their surfaces. From there the rays continue as in discovery, so
   that chains over several objects, and back over the walls, are found too;
3. these chains are solved and verified for all users, like all other chains.

When a path is verified again, the slabs that it passes through are found again too (an object may be a slab). The
result equals a new trace with the objects in the mesh, up to the unseen share that each of the two traces states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sitetwin.backend import mitsuba
from sitetwin.rays.assemble import assemble
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.cells import CellUsers
from sitetwin.rays.chains import ChainList
from sitetwin.rays.dense import TraceSettings, discover, refuse_all_but_specular, trace_attributes
from sitetwin.rays.device import to_device
from sitetwin.rays.paths import Paths
from sitetwin.rays.scatter.vegetation import add_vegetation, path_points
from sitetwin.rays.specular.crossings import insert_crossings
from sitetwin.rays.specular.discovery import Sightings, follow, merge_sightings
from sitetwin.rays.specular.exact import exact_vertices
from sitetwin.rays.specular.reach import reaches
from sitetwin.rays.specular.solving import SpecularPaths, SpecularSolver
from sitetwin.rays.unseen import Sampling, Unseen, unseen_pairs
from sitetwin.site import MovingObject, Site, place_objects

_MARGIN = 0.01  # m around an object, within which a segment is verified anew
_ROUNDS = 6  # independent draws of aimed rays, which tell by comparison how much they all missed
_RAYS = 512  # aimed at an object over one chain, in one round
_PATHS_AT_ONCE = 1 << 18
_COLUMNS = ("kinds", "facets", "vertices", "length", "departure", "arrival")


@dataclass(frozen=True, eq=False)
class _Bounces:
    """Specular paths without vegetation, and apart from them the slabs that they pass through.

    Attributes:
        paths: P paths with their reflections alone.
        crossed: (P, N) int32, facets passed through, -1 for none.
        leg: (P, N) int8, the segment of each crossing, counted from the user.
    """

    paths: Paths
    crossed: np.ndarray
    leg: np.ndarray

    @classmethod
    def of(
        cls, solver: SpecularSolver, found: SpecularPaths, users: np.ndarray, attributes: dict[str, object]
    ) -> _Bounces:
        """What a solver found."""
        paths, place = assemble(solver, found, None, None, users, attributes)
        crossed, leg = np.empty_like(found.crossed), np.empty_like(found.leg)
        crossed[place], leg[place] = found.crossed, found.leg
        return cls(paths, crossed, leg)

    def with_crossings(self, site: Site) -> Paths:
        """The paths with their crossings among the interactions."""
        return insert_crossings(site, self.paths, self.crossed, self.leg) if self.crossed.shape[1] else self.paths

    def rows(self, kept: np.ndarray) -> _Bounces:
        """Some of them, by a mask (P,)."""
        return _Bounces(self.paths.take(kept), self.crossed[kept], self.leg[kept])

    def merged(self, other: _Bounces) -> _Bounces:
        """With others of the same users, in canonical order. Both bring the line of sight: that of the others goes."""
        other = other.rows((other.paths.kinds != 0).any(axis=1))
        pair = self.paths, other.paths
        both: dict[str, Any] = {name: np.concatenate([getattr(paths, name) for paths in pair]) for name in _COLUMNS}
        user, depth = (
            np.concatenate(columns) for columns in zip(*((p.user_of_path, p.depth) for p in pair), strict=True)
        )
        order = np.lexsort((*both["facets"].T[::-1], depth, user))
        paths = replace(
            self.paths,
            offsets=np.searchsorted(user[order], np.arange(self.paths.num_users + 1)),
            crossing_offsets=np.zeros(len(order) + 1, np.int64),
            **{name: column[order] for name, column in both.items()},
        )
        crossed, leg = np.concatenate([self.crossed, other.crossed]), np.concatenate([self.leg, other.leg])
        return _Bounces(paths, crossed[order], leg[order])


class DynamicTrace:
    """A trace of a site at rest, from which traces with moving objects are made.

    Args:
        site: The site without moving objects.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) positions of the users, metres.
        settings: What to trace; only reflections and transmissions are possible.
        places: (N, 3) points near which objects will be (a road's ends and bends), metres, so that discovery also finds
            the chains that lead there. Without them, objects must be near users.

    Attributes:
        site: The site.
        users: (U, 3) float64, positions of the users, metres.
        at_rest: The paths without objects and without vegetation.
    """

    def __init__(
        self,
        site: Site,
        transmitter: ArrayLike,
        users: ArrayLike,
        settings: TraceSettings | None = None,
        places: ArrayLike | None = None,
    ) -> None:
        self.site, self._settings = site, settings or TraceSettings()
        refuse_all_but_specular(self._settings, "a trace with moving objects")
        self.users = np.ascontiguousarray(users, dtype=np.float64)
        where = self.users if places is None else np.concatenate([self.users, np.asarray(places, dtype=np.float64)])
        caster = RayCaster(site)
        self._chains = discover(site, transmitter, where, self._settings, caster=caster)
        self._near = self._chains.grid.near(where)
        solver = SpecularSolver(site, caster, self._chains, self._settings.max_transmissions)
        attributes = trace_attributes(site, self._chains, self._settings)
        self._rest = _Bounces.of(solver, solver.solve(self.users), self.users, attributes)
        self.at_rest = self._rest.with_crossings(site)
        number = {row.tobytes(): index for index, row in enumerate(self._chains.facets)}
        facets = self._rest.paths.facets
        self._chain_of_path = np.array([number.get(row.tobytes(), -1) for row in facets], dtype=np.int64)

    def with_objects(self, objects: Sequence[MovingObject]) -> tuple[Paths, Site]:
        """Trace with objects at their present positions.

        Args:
            objects: The bodies.

        Returns:
            The paths in canonical order, and the site with the objects in its mesh; the paths name facets of this site.
        """
        placed = place_objects(self.site, objects)
        caster = RayCaster(placed)
        kept = self._still_there(placed, caster, objects)
        chains, times = self._chains_over(placed, caster, objects)
        solver = SpecularSolver(placed, caster, chains, self._settings.max_transmissions)
        new = _Bounces.of(solver, solver.solve(self.users, everywhere=True), self.users, {})
        unseen = _unseen(chains, times, new.paths) if objects and self._settings.max_depth else Unseen(0.0, 0.0)
        attributes = {
            **trace_attributes(placed, self._chains, self._settings),
            "objects": {
                "names": [body.name for body in objects],
                "chains": len(chains),
                "unseen_share": unseen.share,
                "unseen_high": unseen.high,
                "probe_users": len(self.users),
            },
        }
        merged = replace(kept.merged(new).with_crossings(placed), attributes=attributes)
        return add_vegetation(placed, merged, self._settings.canopy_paths, caster), placed

    def _still_there(self, placed: Site, caster: RayCaster, objects: Sequence[MovingObject]) -> _Bounces:
        """Paths at rest that no object interrupts, with what they pass through now."""
        rest = self._rest.paths
        doubtful = np.zeros(rest.num_paths, dtype=bool)
        user = rest.user_of_path
        for first in range(0, rest.num_paths, _PATHS_AT_ONCE):
            rows = slice(first, first + _PATHS_AT_ONCE)
            points = path_points(rest.transmitter, rest.users[user[rows]], rest.vertices[rows])
            for body in objects:
                doubtful[rows] |= _enters(points, body.bounds[0] - _MARGIN, body.bounds[1] + _MARGIN)
        asked = np.flatnonzero(doubtful)
        if not len(asked):
            return self._rest
        solver = SpecularSolver(placed, caster, self._chains, self._settings.max_transmissions)
        held = solver.holding(self.users, self._chain_of_path[asked], user[asked])
        width = len(self._chains) + 1
        key, order = user[asked] * width + self._chain_of_path[asked] + 1, np.argsort(held.user * width + held.chain)
        found = (held.user * width + held.chain + 1)[order]
        good = np.isin(key, found)
        row, place = asked[good], order[np.searchsorted(found, key[good])]
        crossed, leg = self._rest.crossed.copy(), self._rest.leg.copy()
        crossed[row], leg[row] = held.crossed[place], held.leg[place]
        kept = ~doubtful
        kept[row] = True
        return _Bounces(rest, crossed, leg).rows(kept)

    def _chains_over(
        self, placed: Site, caster: RayCaster, objects: Sequence[MovingObject]
    ) -> tuple[ChainList, np.ndarray]:
        """Chains that involve an object, and (C,) in how many rounds each was hit."""
        grid, depth, source = self._chains.grid, self._settings.max_depth, self._chains.transmitter
        passes = self._settings.max_transmissions
        rng = np.random.default_rng(self._settings.seed)
        sightings = [Sightings(np.zeros((0, depth), np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))]
        if depth and objects:
            aims = self._aims(placed, caster, objects)
            for _ in range(_ROUNDS):
                direction = self._directions(placed, aims, objects, rng).astype(np.float32)
                rays = mitsuba().Vector3f(*(to_device(mitsuba().Float, axis) for axis in direction.T))
                sightings.append(follow(placed, caster, source, grid, self._near, rays, depth, passes))
        merged = merge_sightings(sightings, source, grid, depth, self.users)
        over = (merged.facets >= self.site.num_facets).any(axis=1)
        chains = replace(
            merged,
            facets=merged.facets[over],
            seen_in=merged.seen_in[over],
            mark_offsets=np.zeros(int(over.sum()) + 1, dtype=np.int64),
            mark_cells=np.zeros(0, dtype=np.int64),
        )
        return chains, merged.seen_in[over]

    def _aims(self, placed: Site, caster: RayCaster, objects: Sequence[MovingObject]) -> tuple[np.ndarray, np.ndarray]:
        """(A, D) facets of the chains at rest over which an object may be reached, and (A,) the object of each."""
        depth = self._settings.max_depth
        prefixes = [np.full((len(objects), depth), -1, dtype=np.int32)]
        targets = [np.arange(len(objects))]
        low, high = (np.stack([body.bounds[k] for body in objects]) for k in (0, 1))
        every = np.arange(len(objects))
        boxes = CellUsers(every, low, every, np.append(every, len(every)), low - _MARGIN, high + _MARGIN)
        for group in SpecularSolver(placed, caster, self._chains).groups:
            if group.depth >= depth:
                continue
            chain = np.repeat(np.arange(len(group.facets)), len(objects))
            target = np.tile(every, len(group.facets))
            keep = reaches(group.planes, chain, boxes, target)
            facets = np.full((int(keep.sum()), depth), -1, dtype=np.int32)
            facets[:, : group.depth] = group.facets[chain[keep]]
            prefixes.append(facets)
            targets.append(target[keep])
        return np.concatenate(prefixes), np.concatenate(targets)

    def _directions(
        self,
        placed: Site,
        aims: tuple[np.ndarray, np.ndarray],
        objects: Sequence[MovingObject],
        rng: np.random.Generator,
    ) -> np.ndarray:
        """(A * _RAYS, 3) directions from the transmitter that lead over the chains to points on the objects."""
        prefixes, targets = aims
        source = self._chains.transmitter
        points = np.concatenate([_points_on(objects[target], _RAYS, rng) for target in targets])
        facets = np.repeat(prefixes, _RAYS, axis=0)
        guess = np.broadcast_to(points[:, None], (*facets.shape, 3))
        vertices = exact_vertices(placed, source, points, facets, guess)
        step = np.where(np.isnan(vertices[:, 0]), points, vertices[:, 0]) - source
        length = np.sqrt((step * step).sum(axis=1))
        return step[length > 0] / length[length > 0, None]


def _enters(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(P,) bool: whether a segment between consecutive points (P, N, 3) meets a box (slab test)."""
    entered = np.zeros(len(points), dtype=bool)
    for k in range(points.shape[1] - 1):
        start, step = points[:, k], points[:, k + 1] - points[:, k]
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (low - start) / step, (high - start) / step
        # A segment level with a pair of faces is between them all along, or never.
        level = step == 0
        between = (start >= low) & (start <= high)
        near = np.where(level, np.where(between, -np.inf, np.inf), np.minimum(one, other)).max(axis=1)
        far = np.where(level, np.where(between, np.inf, -np.inf), np.maximum(one, other)).min(axis=1)
        entered |= (near <= far) & (near <= 1) & (far >= 0)
    return entered


def _points_on(body: MovingObject, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) points on the surface: half spread by area, half by triangle, so that small faces are not left out."""
    corners = np.asarray(body.vertices)[body.triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.sqrt((cross * cross).sum(axis=1))
    share = 0.5 * area / area.sum() + 0.5 / len(area)
    triangle = rng.choice(len(area), size=count, p=share)
    u, v = rng.random((2, count))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = (corners[triangle, k] for k in range(3))
    return a + u[:, None] * (b - a) + v[:, None] * (c - a)


def _unseen(chains: ChainList, times: np.ndarray, paths: Paths) -> Unseen:
    """Share of the paths over objects that no round found; see `sitetwin.rays.unseen`."""
    number = {row.tobytes(): index for index, row in enumerate(chains.facets)}
    over = paths.kinds.any(axis=1)
    chain = np.array([number[row.tobytes()] for row in paths.facets[over]], dtype=np.int64)
    return unseen_pairs(len(chain), [Sampling(chain, times[chain], _ROUNDS)])
