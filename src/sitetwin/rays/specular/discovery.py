"""Discovery: which chains exist at all, found by shooting rays from the transmitter without any receiver.

Each lattice of rays is an independent sample of the chains, so what the lattices share tells how much they all missed
(`sitetwin.rays.unseen`): a member of the family of I. J. Good's estimators (Biometrika 40, 1953), applied to (chain,
user) pairs.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinWarning
from sitetwin.rays.caster import RayCaster, lift_off
from sitetwin.rays.cells import CellGrid
from sitetwin.rays.chains import ChainList, Completeness
from sitetwin.rays.device import to_device
from sitetwin.rays.lattice import fibonacci_directions, random_rotation
from sitetwin.rays.specular.solving import SpecularSolver
from sitetwin.rays.unseen import Sampling, unseen_in_words, unseen_pairs
from sitetwin.site import Site

FIRST_LATTICES = 6
_MOST_LATTICES = 64
PROBE_USERS = 4096
_RAYS_AT_ONCE = 4_000_000  # with their branches behind slabs
_TRY_ALL_PAIRS = 2_000_000  # (chain, user) pairs up to which every chain is tried on every user


@dataclass(frozen=True, eq=False)
class Sightings:
    """What one lattice saw: distinct (chain, cell) pairs.

    `facets` (C, D) int32 holds distinct chains, -1 padded; `chain` (N,) and `cell` (N,) are the pairs.
    """

    facets: np.ndarray
    chain: np.ndarray
    cell: np.ndarray


def discover_chains(
    site: Site,
    caster: RayCaster,
    transmitter: np.ndarray,
    users: np.ndarray,
    *,
    depth: int,
    rays_per_lattice: int,
    unseen_bound: float,
    seed: int,
    max_transmissions: int = 0,
    progress: Callable[[float], None] | None = None,
) -> ChainList:
    """Shoot lattices until the estimated unseen share of valid (chain, user) pairs is within the bound.

    Args:
        site: The site.
        caster: Ray caster of the same site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) float64, metres, U at least 1; all users of the run, whatever tiles it is cut into.
        depth: Most reflections of a chain.
        rays_per_lattice: Rays in each lattice.
        unseen_bound: Share of valid pairs that may stay unseen.
        seed: Seed of the lattices' rotations and of the choice of probe users.
        max_transmissions: Slabs that a ray may pass through besides its reflections; it then goes both ways.
        progress: Called with the share of the work done, 0..1; the work ends early once the bound is met.
    """
    rng = np.random.default_rng(seed)
    grid = CellGrid.over(users)
    near = grid.near(users)
    probes = users[np.sort(rng.choice(len(users), size=min(PROBE_USERS, len(users)), replace=False))]
    sightings: list[Sightings] = []
    wanted = FIRST_LATTICES
    while True:
        while len(sightings) < wanted:
            rotation = random_rotation(rng)
            sightings.append(
                shoot_lattice(
                    site, caster, transmitter, grid, near, rays_per_lattice, depth, max_transmissions, rotation
                )
            )
            if progress:
                progress(len(sightings) / _MOST_LATTICES)
        chains = merge_sightings(sightings, transmitter, grid, depth, users)
        solver = SpecularSolver(site, caster, chains, max_transmissions)
        measured = _measure(solver, probes, len(users), wanted, rays_per_lattice, unseen_bound)
        if measured.unseen_share <= unseen_bound or wanted >= _MOST_LATTICES:
            break
        wanted = min(wanted + wanted // 2, _MOST_LATTICES)
    if measured.unseen_share > unseen_bound:
        warnings.warn(
            f"discovery stopped at {wanted} lattices with an unseen share above the bound of {unseen_bound:.1e}: "
            f"{unseen_in_words(measured.unseen_share, measured.unseen_high, len(probes))}; raise rays_per_lattice",
            SiteTwinWarning,
            stacklevel=2,
        )
    if progress:
        progress(1.0)
    return replace(chains, completeness=measured)


def shoot_lattice(
    site: Site,
    caster: RayCaster,
    transmitter: np.ndarray,
    grid: CellGrid,
    near: np.ndarray,
    rays: int,
    depth: int,
    max_transmissions: int,
    rotation: np.ndarray,
) -> Sightings:
    """Follow the rays of one lattice."""
    directions = fibonacci_directions(rays, rotation)
    return follow(site, caster, transmitter, grid, near, directions, depth, max_transmissions)


def follow(
    site: Site,
    caster: RayCaster,
    transmitter: np.ndarray,
    grid: CellGrid,
    near: np.ndarray,
    directions: Any,
    depth: int,
    max_transmissions: int,
) -> Sightings:
    """Follow the specular bounces of rays that leave the transmitter in given directions (Mitsuba Vector3f).

    So many are followed at once that their branches behind slabs fit into the memory.
    """
    import drjit as dr

    mi = mitsuba()
    rays = dr.width(directions)
    at_once = max(1000, _RAYS_AT_ONCE // math.comb(depth + max_transmissions, depth)) if max_transmissions else rays
    parts = []
    for first in range(0, rays, at_once):
        count = min(at_once, rays - first)
        some = directions if count == rays else dr.gather(mi.Vector3f, directions, first + dr.arange(mi.UInt32, count))
        start = mi.Point3f(*(dr.opaque(mi.Float, float(x)) for x in transmitter)) + dr.zeros(mi.Point3f, count)
        wave = _Rays(start, some, np.zeros(count, dtype=np.int64), np.full(count, max_transmissions))
        parts.append(_follow(site, caster, grid, near, wave, depth))
    return _joined(parts, grid) if max_transmissions else parts[0]


def _joined(parts: list[Sightings], grid: CellGrid) -> Sightings:
    """What the parts of one lattice saw, each chain and each (chain, cell) pair once, whatever slabs lay between."""
    facets, number = np.unique(np.concatenate([p.facets for p in parts]), axis=0, return_inverse=True)
    first = np.cumsum([0, *(len(p.facets) for p in parts)])
    chain = np.concatenate([number.ravel()[start + p.chain] for start, p in zip(first[:-1], parts, strict=True)])
    pairs = distinct(chain * grid.num_cells + np.concatenate([p.cell for p in parts]))
    return Sightings(facets, pairs // grid.num_cells, pairs % grid.num_cells)


def _follow(site: Site, caster: RayCaster, grid: CellGrid, near: np.ndarray, wave: _Rays, depth: int) -> Sightings:
    """Follow the specular bounces of some rays; note every cell near users that a ray enters after a bounce."""
    import drjit as dr

    mi = mitsuba()
    rows = np.zeros((1, 0), dtype=np.int32)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for bounce in range(depth + 1):
        hits: list[_Hits] = []
        while True:
            hit = caster.scene.ray_intersect_preliminary(mi.Ray3f(wave.origin, wave.direction), coherent=bounce == 0)
            valid = hit.is_valid()
            dr.eval(hit.t, hit.prim_index, valid)
            if bounce:
                reach = dr.select(valid, hit.t, np.inf)
                chain, cell = _cells_entered(grid, near, len(rows), wave.sequence, wave.origin, wave.direction, reach)
                found.append((rows, chain, cell))
            alive = dr.compress(valid)
            if not dr.width(alive) or (bounce == depth and not wave.left.any()):
                break
            here = _Hits.of(site, caster, wave, hit, alive)
            if bounce < depth:
                hits.append(here)
            passing = here.passing(caster)
            if not len(passing):
                break
            wave = here.behind(passing)
        if not hits:
            break
        wave, facet = _reflected(hits)
        keys, sequence = _number(wave.sequence * site.num_facets + facet, site.num_facets * len(rows))
        rows = np.column_stack([rows[keys // site.num_facets], (keys % site.num_facets).astype(np.int32)])
        wave = replace(wave, sequence=sequence)
    return _collect(found, depth)


@dataclass(frozen=True, eq=False)
class _Rays:
    """Rays under way: origin and direction (Dr.Jit), their chain so far, and the slabs that they may still pass."""

    origin: Any
    direction: Any
    sequence: np.ndarray
    left: np.ndarray


@dataclass(frozen=True, eq=False)
class _Hits:
    """Where rays met a facet: their starts, directions, points and normals (Dr.Jit), facets, chains, slabs left."""

    start: Any
    direction: Any
    point: Any
    normal: Any
    facet: np.ndarray
    sequence: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, site: Site, caster: RayCaster, rays: _Rays, hit: Any, alive: Any) -> _Hits:
        import drjit as dr

        mi = mitsuba()
        normals = to_device(mi.Float, site.facet_normal.astype(np.float32))
        facet = dr.gather(mi.Int32, caster.triangle_facet, dr.gather(mi.UInt32, hit.prim_index, alive))
        normal = mi.Vector3f(*(dr.gather(mi.Float, normals, 3 * facet + k) for k in range(3)))
        start = mi.Point3f(*(dr.gather(mi.Float, component, alive) for component in rays.origin))
        direction = mi.Vector3f(*(dr.gather(mi.Float, component, alive) for component in rays.direction))
        point = start + direction * dr.gather(mi.Float, hit.t, alive)
        dr.eval(start, direction, point, normal, facet)
        index = alive.numpy()
        return cls(
            start, direction, point, normal, facet.numpy().astype(np.int64), rays.sequence[index], rays.left[index]
        )

    def passing(self, caster: RayCaster) -> np.ndarray:
        """Which of them go on behind the facet."""
        if not self.left.any():
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero((self.left > 0) & caster.penetrable.numpy()[self.facet])

    def behind(self, index: np.ndarray) -> _Rays:
        """The rays that go on behind the facet."""
        import drjit as dr

        mi = mitsuba()
        taken = to_device(mi.UInt32, index.astype(np.uint32))
        point, normal, direction = (dr.gather(type(v), v, taken) for v in (self.point, self.normal, self.direction))
        origin = mi.Point3f(lift_off(point, normal, point + direction))
        return _Rays(origin, direction, self.sequence[index], self.left[index] - 1)

    def reflected(self) -> tuple[Any, Any]:
        """Origins and directions of the reflected rays."""
        import drjit as dr

        mi = mitsuba()
        origin = mi.Point3f(lift_off(self.point, self.normal, self.start))
        return origin, dr.normalize(self.direction - 2 * dr.dot(self.normal, self.direction) * self.normal)


def _reflected(hits: list[_Hits]) -> tuple[_Rays, np.ndarray]:
    """All reflected rays, still with the chains of the incident ones, and the facets that they leave."""
    import drjit as dr

    origins, directions = zip(*(hit.reflected() for hit in hits), strict=True)
    origin, direction = origins[0], directions[0]
    if len(hits) > 1:
        origin = type(origin)(*(dr.concat(parts) for parts in zip(*origins, strict=True)))
        direction = type(direction)(*(dr.concat(parts) for parts in zip(*directions, strict=True)))
    dr.eval(origin, direction)
    facet, sequence, left = (np.concatenate([getattr(h, name) for h in hits]) for name in ("facet", "sequence", "left"))
    return _Rays(origin, direction, sequence, left), facet


def _number(keys: np.ndarray, bound: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct keys, ascending, and the place of each key among them; like `np.unique` but without a sort if it can."""
    if bound > 8 * len(keys):
        return np.unique(keys, return_inverse=True)
    present = np.zeros(bound, dtype=bool)
    present[keys] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[keys]


def distinct(values: np.ndarray) -> np.ndarray:
    """Distinct integers, ascending. A sort is several times faster here than the hash table inside `np.unique`."""
    ordered = np.sort(values)
    fresh = np.ones(len(ordered), dtype=bool)
    fresh[1:] = ordered[1:] != ordered[:-1]
    return ordered[fresh]


def _cells_entered(
    grid: CellGrid, near: np.ndarray, sequences: int, sequence: np.ndarray, origin: Any, direction: Any, reach: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (sequence, cell) pairs of ray segments, only cells near users.

    Segments count within half a cell of the users' cells. They are sampled every half cell, so a corner that is only
    grazed may be left out; the marks are widened by a neighbour later.
    """
    import drjit as dr

    mi = mitsuba()
    near_cells = np.flatnonzero(near)
    place = np.full(grid.num_cells, -1, dtype=np.int32)
    place[near_cells] = np.arange(len(near_cells))
    places, ray_sequence = to_device(mi.Int32, place), to_device(mi.UInt32, sequence.astype(np.uint32))
    low = [dr.opaque(mi.Float, float(x)) for x in grid.origin]
    inner = [dr.opaque(mi.Float, float(x)) for x in grid.origin + grid.size / 2]
    outer = [dr.opaque(mi.Float, float(x)) for x in grid.high - grid.size / 2]
    shape = [dr.opaque(mi.Int32, n) for n in grid.shape]
    size, width = dr.opaque(mi.Float, grid.size), dr.opaque(mi.UInt32, len(near_cells))
    enter, leave = mi.Float(0), reach
    for axis in range(3):
        one, other = (inner[axis] - origin[axis]) / direction[axis], (outer[axis] - origin[axis]) / direction[axis]
        enter = dr.maximum(enter, dr.minimum(one, other))
        leave = dr.minimum(leave, dr.maximum(one, other))
    marks = dr.zeros(mi.Bool, sequences * len(near_cells))

    def visit(distance: Any) -> tuple[Any]:
        point = origin + direction * dr.minimum(distance, leave)
        x, y, z = (dr.clip(mi.Int32((point[a] - low[a]) / size), 0, shape[a] - 1) for a in range(3))
        cell = dr.gather(mi.Int32, places, (x * shape[1] + y) * shape[2] + z)
        dr.scatter(marks, mi.Bool(True), ray_sequence * width + mi.UInt32(cell), cell >= 0)
        return (distance + size / 2,)

    dr.while_loop((enter,), lambda distance: distance < leave + size / 2, visit)
    pairs = np.flatnonzero(marks.numpy())
    return pairs // len(near_cells), near_cells[pairs % len(near_cells)]


def _collect(found: list[tuple[np.ndarray, np.ndarray, np.ndarray]], depth: int) -> Sightings:
    """Sequences of every length under one numbering, without those that enter no cell near users."""
    facets, chains, cells, first = [], [], [], 0
    for rows, chain, cell in found:
        used, place = np.unique(chain, return_inverse=True)
        padded = np.full((len(used), depth), -1, dtype=np.int32)
        padded[:, : rows.shape[1]] = rows[used]
        facets.append(padded)
        chains.append(place + first)
        cells.append(cell)
        first += len(used)
    if not facets:
        return Sightings(np.zeros((0, depth), np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    return Sightings(np.concatenate(facets), np.concatenate(chains), np.concatenate(cells))


def merge_sightings(
    sightings: list[Sightings], transmitter: np.ndarray, grid: CellGrid, depth: int, users: np.ndarray
) -> ChainList:
    """One canonical list out of all lattices, each chain's cells widened by their neighbours."""
    facets = np.concatenate([s.facets for s in sightings])
    length = np.count_nonzero(facets >= 0, axis=1)
    order = np.lexsort((*facets.T[::-1], length))
    sorted_facets = facets[order]
    fresh = np.ones(len(facets), dtype=bool)
    fresh[1:] = (sorted_facets[1:] != sorted_facets[:-1]).any(axis=1)
    number = np.empty(len(facets), dtype=np.int64)
    number[order] = np.cumsum(fresh) - 1
    chain_facets = sorted_facets[fresh]
    start = np.cumsum([0, *(len(s.facets) for s in sightings)])
    chain = np.concatenate([number[first + s.chain] for first, s in zip(start[:-1], sightings, strict=True)])
    cell = np.concatenate([s.cell for s in sightings])
    if len(chain_facets) * len(users) <= _TRY_ALL_PAIRS:
        occupied = np.unique(grid.cell_of(users))
        pairs = (np.arange(len(chain_facets))[:, None] * grid.num_cells + occupied).ravel()
    else:
        pairs = distinct(chain * grid.num_cells + cell)
        around = grid.neighbours(pairs % grid.num_cells)
        pairs = distinct(((pairs // grid.num_cells)[:, None] * grid.num_cells + around)[around >= 0])
    return ChainList(
        transmitter=transmitter,
        facets=chain_facets,
        seen_in=np.bincount(number, minlength=len(chain_facets)).astype(np.int32),
        mark_offsets=np.searchsorted(pairs, np.arange(len(chain_facets) + 1) * grid.num_cells),
        mark_cells=pairs % grid.num_cells,
        grid=grid,
        completeness=Completeness(0, 0, 0, 0, 1.0, 0.0),
    )


def _measure(
    solver: SpecularSolver, probes: np.ndarray, users: int, lattices: int, rays: int, bound: float
) -> Completeness:
    """Try every chain on the probe users: what did a single lattice see alone, what lies outside the marked cells?"""
    chains = solver.chains
    found = solver.solve(probes, everywhere=True)
    reflected = found.chain >= 0
    chain, user = found.chain[reflected].astype(np.int64), found.user[reflected]
    marked = _pair_keys(chains, np.repeat(np.arange(len(chains)), np.diff(chains.mark_offsets)), chains.mark_cells)
    tried = _among(_pair_keys(chains, chain, chains.grid.cell_of(probes[user])), marked)
    unseen = unseen_pairs(
        len(chain),
        [Sampling(chain, chains.seen_in[chain], lattices)],
        np.bincount(user[~tried], minlength=len(probes)),
        sampled=len(probes) < users,
    )
    return Completeness(
        lattices=lattices,
        rays_per_lattice=rays,
        probe_users=len(probes),
        probe_paths=len(chain),
        unseen_share=unseen.share,
        bound=bound,
        unseen_high=unseen.high if chains.facets.shape[1] else 0.0,  # nothing is sought where nothing may reflect
    )


def _among(values: np.ndarray, ascending: np.ndarray) -> np.ndarray:
    """Whether each value is one of those; like `np.isin`, but they are in order already."""
    if not len(ascending):
        return np.zeros(len(values), dtype=bool)
    place = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[place] == values)


def _pair_keys(chains: ChainList, chain: np.ndarray, cell: np.ndarray) -> np.ndarray:
    """One number for each (chain, cell) pair."""
    return chain * chains.grid.num_cells + cell
