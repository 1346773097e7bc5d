"""Discovery of chains with one diffraction, without any receiver but the users' cells.

Three things are found by sampling, once for all users: which wedges the transmitter lights (`edge_light`), which
facets Keller's cones strike from there, and which facets users see (`edge_views`): rays in all directions find the
large ones, rays aimed at each facet that a cone struck find the small ones too. A chain R..D..R is tried in a cell
where all three agree and where interval bounds over the cell allow it (`edge_bounds`); no ray is shot from a wedge to a
cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sitetwin.rays.caster import RayCaster
from sitetwin.rays.cells import CellGrid, CellUsers
from sitetwin.rays.edge_chains import EdgeChains, EdgeCompleteness
from sitetwin.rays.edges.bounds import EdgeBounds
from sitetwin.rays.edges.light import LitWedges, lit_wedges
from sitetwin.rays.edges.scene import EdgeScene
from sitetwin.rays.edges.solving import EdgeSolver
from sitetwin.rays.edges.views import SETS, facets_from_cells, facets_from_wedges, facets_in_sight, sides_struck
from sitetwin.rays.unseen import Sampling, unseen_pairs
from sitetwin.site import Site

_PROBE_USERS = 4096
_TRY_ALL_PAIRS = 2_000_000  # (lit wedge, facet, user) combinations up to which every facet is tried after every wedge
_TRIPLES = 1 << 22  # (chain, cell) combinations bounded at a time


@dataclass(frozen=True)
class EdgeSettings:
    """Which diffracted paths are sought.

    Attributes:
        depth: Most interactions of a path, the diffraction included.
        before: Most reflections before the wedge, 0 or 1.
        after: Most reflections after it, 0 or 1.
        lit_region: Whether a user who sees past the edge straight on keeps the diffracted path.
        seed: Seed of all draws.
    """

    depth: int
    before: int
    after: int
    lit_region: bool
    seed: int


@dataclass(frozen=True, eq=False)
class _Views:
    """Pairs (row, facet), ascending, each with a bit for every set of rays that met it."""

    row: np.ndarray
    facet: np.ndarray
    sets: np.ndarray

    def sets_of(self, row: np.ndarray, facet: np.ndarray, facets: int) -> np.ndarray:
        """Number of sets that met each of some pairs, which must be among these."""
        place = np.searchsorted(self.row * facets + self.facet, row.astype(np.int64) * facets + facet)
        return np.bitwise_count(self.sets[place])


@dataclass(frozen=True, eq=False)
class _Trials:
    """Chains to try: rows of the lit wedges with a facet after each (-1 without), and the places of cells for each."""

    lit: np.ndarray
    after: np.ndarray
    chain: np.ndarray
    cell: np.ndarray


def discover_edges(
    site: Site,
    caster: RayCaster,
    transmitter: np.ndarray,
    users: np.ndarray,
    grid: CellGrid,
    settings: EdgeSettings,
    progress: Callable[[float], None] | None = None,
) -> EdgeChains:
    """Find the chains with one diffraction of a transmitter once for all its users.

    Args:
        site: The site.
        caster: Ray caster of the same site.
        transmitter: (3,) position of the transmitter, metres.
        users: (U, 3) float64, positions of the users, metres, U at least 1.
        grid: Cells over the users.
        settings: What is sought.
        progress: Called with the share of the work done, 0..1.
    """
    tell = progress or (lambda share: None)
    scene, cells = EdgeScene(site, caster, transmitter), CellUsers.of(users, grid)
    lit = lit_wedges(scene, settings.before if settings.depth > 1 else 0, settings.seed)
    tell(0.3)
    bounds = EdgeBounds(scene, cells.low, cells.high)
    straight, mirrored = np.flatnonzero(lit.before < 0), np.flatnonzero(lit.before >= 0)
    trials = [_without_facet(bounds, lit, rows, len(cells.cells)) for rows in (straight, mirrored)]
    tell(0.4)
    from_wedges = from_cells = None
    if settings.after and settings.depth > 1:
        from_wedges, from_cells = _views(scene, lit, cells, grid, len(users), settings.seed)
        tell(0.7)
        trials.append(_with_facet(bounds, lit, straight, from_wedges, from_cells))
        if settings.depth > 2:
            trials.append(_with_facet(bounds, lit, mirrored, from_wedges, from_cells))
    tell(0.9)
    chains = _collect(lit, trials, cells, grid)
    rng = np.random.default_rng([settings.seed, 4])
    probes = users[np.sort(rng.choice(len(users), size=min(_PROBE_USERS, len(users)), replace=False))]
    found = EdgeSolver(scene, chains, settings.lit_region).solve(probes)
    measured = _measure(scene, chains, lit, found.chain, found.user, probes, cells, from_wedges, from_cells)
    tell(1.0)
    return replace(chains, completeness=measured)


def _without_facet(bounds: EdgeBounds, lit: LitWedges, rows: np.ndarray, num_cells: int) -> _Trials:
    """Chains that end with the diffraction."""
    chain, cell = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    at_once = max(1, _TRIPLES // num_cells)
    for first in range(0, len(rows), at_once):
        which = np.repeat(np.arange(first, min(first + at_once, len(rows))), num_cells)
        where = np.tile(np.arange(num_cells), len(which) // num_cells)
        met = _bounded(bounds, lit, rows[which], np.full(len(which), -1, np.int32), where)
        chain.append(which[met])
        cell.append(where[met])
    return _compact(rows, np.full(len(rows), -1, np.int32), np.concatenate(chain), np.concatenate(cell))


def _with_facet(
    bounds: EdgeBounds, lit: LitWedges, rows: np.ndarray, from_wedges: _Views, from_cells: _Views
) -> _Trials:
    """Chains that end with a reflection: facets that both the wedge and a cell see."""
    wanted = np.isin(from_wedges.row, rows)
    wanted &= bounds.scene.apart(lit.wedge[from_wedges.row], from_wedges.facet)
    source, facet = from_wedges.row[wanted], from_wedges.facet[wanted]
    order = np.argsort(from_cells.facet, kind="stable")
    by_facet, cell_of = from_cells.facet[order], from_cells.row[order]
    begin = np.searchsorted(by_facet, facet, "left")
    count = np.searchsorted(by_facet, facet, "right") - begin
    total = np.cumsum(count)
    cuts = np.searchsorted(total, np.arange(_TRIPLES, total[-1] if len(total) else 0, _TRIPLES)).tolist()
    chain, cell = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for first, last in zip([0, *cuts], [*cuts, len(source)], strict=True):
        held = count[first:last]
        which = np.repeat(np.arange(first, last), held)
        where = cell_of[np.arange(held.sum()) - np.repeat(np.cumsum(held) - held, held) + begin[which]]
        met = _bounded(bounds, lit, source[which], facet[which], where)
        chain.append(which[met])
        cell.append(where[met])
    return _compact(source, facet, np.concatenate(chain), np.concatenate(cell))


def _bounded(bounds: EdgeBounds, lit: LitWedges, row: np.ndarray, after: np.ndarray, cell: np.ndarray) -> np.ndarray:
    return np.flatnonzero(bounds.reach(lit.before[row], lit.wedge[row], after, lit.lit[row], cell))


def _compact(lit: np.ndarray, after: np.ndarray, chain: np.ndarray, cell: np.ndarray) -> _Trials:
    """Only the chains that have a cell, numbered anew."""
    used, chain = np.unique(chain, return_inverse=True)
    return _Trials(lit[used], after[used], chain.reshape(-1), cell)


def _views(
    scene: EdgeScene, lit: LitWedges, cells: CellUsers, grid: CellGrid, users: int, seed: int
) -> tuple[_Views, _Views]:
    """Facets seen from lit wedges and from cells; all of them where there are few."""
    facets = scene.site.num_facets
    if len(lit.wedge) * facets * users <= _TRY_ALL_PAIRS:
        return _everything(len(lit.wedge), facets), _everything(len(cells.cells), facets)
    from_wedges = _Views(*facets_from_wedges(scene, lit, seed))
    looked = facets_from_cells(scene, cells, seed)
    sides = sides_struck(scene, lit.wedge[from_wedges.row], from_wedges.facet)
    aimed = facets_in_sight(scene, cells, sides, seed)
    row, facet, sets = (np.concatenate(columns) for columns in zip(looked, aimed, strict=True))
    from_cells = _union(row, facet, sets, facets)
    return _shared_by_wedge(from_wedges, lit, facets), _widened(from_cells, cells, grid, facets)


def _everything(rows: int, facets: int) -> _Views:
    return _Views(
        np.repeat(np.arange(rows), facets),
        np.tile(np.arange(facets, dtype=np.int32), rows),
        np.full(rows * facets, (1 << SETS) - 1, np.uint8),
    )


def _shared_by_wedge(views: _Views, lit: LitWedges, facets: int) -> _Views:
    """What a wedge sees by the light of one source it may see by the light of another."""
    of_wedge = _union(lit.wedge[views.row].astype(np.int64), views.facet, views.sets, facets)
    begin = np.searchsorted(of_wedge.row, lit.wedge, "left")
    count = np.searchsorted(of_wedge.row, lit.wedge, "right") - begin
    row = np.repeat(np.arange(len(lit.wedge)), count)
    place = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + begin[row]
    return _Views(row, of_wedge.facet[place], of_wedge.sets[place])


def _widened(views: _Views, cells: CellUsers, grid: CellGrid, facets: int) -> _Views:
    """What a cell sees its neighbours may see."""
    place_of = np.full(grid.num_cells + 1, -1, dtype=np.int64)  # the last entry answers for cells outside the grid
    place_of[cells.cells] = np.arange(len(cells.cells))
    around = place_of[grid.neighbours(cells.cells)][views.row]
    inside = around >= 0
    facet = np.broadcast_to(views.facet[:, None], around.shape)[inside]
    sets = np.broadcast_to(views.sets[:, None], around.shape)[inside]
    return _union(around[inside], facet, sets, facets)


def _union(row: np.ndarray, facet: np.ndarray, sets: np.ndarray, facets: int) -> _Views:
    """Distinct pairs, ascending, with the bits of all their repeats."""
    key = row * facets + facet
    order = np.argsort(key, kind="stable")
    key, sets = key[order], sets[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    bits = np.bitwise_or.reduceat(sets, first) if len(first) else sets
    return _Views(key[first] // facets, (key[first] % facets).astype(np.int32), bits)


def _collect(lit: LitWedges, trials: list[_Trials], cells: CellUsers, grid: CellGrid) -> EdgeChains:
    """One canonical list: by depth, kinds, facets."""
    source = np.concatenate([t.lit for t in trials])
    after = np.concatenate([t.after for t in trials])
    first = np.cumsum([0, *(len(t.lit) for t in trials)])
    chain = np.concatenate([t.chain + f for t, f in zip(trials, first[:-1], strict=True)])
    cell = cells.cells[np.concatenate([t.cell for t in trials])]
    before, wedge = lit.before[source], lit.wedge[source]
    label = (before >= 0) + 2 * (after >= 0)
    order = np.lexsort((after, wedge, before, label))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    pairs = np.sort(place[chain] * grid.num_cells + cell)
    return EdgeChains(
        before=before[order],
        wedge=wedge[order],
        after=after[order].astype(np.int32),
        source=source[order].astype(np.int32),
        mark_offsets=np.searchsorted(pairs, np.arange(len(order) + 1) * grid.num_cells),
        mark_cells=(pairs % grid.num_cells).astype(np.int32),
        grid=grid,
        completeness=EdgeCompleteness(SETS, 0, 0, 1.0),
    )


def _measure(
    scene: EdgeScene,
    chains: EdgeChains,
    lit: LitWedges,
    chain: np.ndarray,
    user: np.ndarray,
    probes: np.ndarray,
    cells: CellUsers,
    from_wedges: _Views | None,
    from_cells: _Views | None,
) -> EdgeCompleteness:
    """Unseen share for each of the three samplings, on the valid paths of the probe users."""
    found, source = len(chain), chains.source[chain].astype(np.int64)
    samplings = [Sampling(source, lit.seen_in[source], SETS)]
    reflected = chains.after[chain] >= 0
    chain, user, source = chain[reflected], user[reflected], source[reflected]
    if from_wedges is not None and from_cells is not None:
        facets = scene.site.num_facets
        after = chains.after[chain].astype(np.int64)
        place = np.searchsorted(cells.cells, chains.grid.cell_of(probes[user]))
        for views, row in ((from_wedges, source), (from_cells, place)):
            samplings.append(Sampling(row * facets + after, views.sets_of(row, after, facets).astype(np.int64), SETS))
    unseen = unseen_pairs(found, samplings)
    high = unseen.high if len(scene.site.wedges) else 0.0  # nothing is sought where nothing diffracts
    return EdgeCompleteness(SETS, len(probes), found, unseen.share, high)
