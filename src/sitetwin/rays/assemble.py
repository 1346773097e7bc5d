"""Turn verified (chain, user) pairs into rows of `Paths` in canonical order."""

from __future__ import annotations

import numpy as np

from sitetwin.rays.course import Geometry
from sitetwin.rays.edge_chains import EdgeChains
from sitetwin.rays.edges.solving import EdgePaths, EdgeSolver
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.specular.solving import SpecularPaths, SpecularSolver


def assemble(
    specular: SpecularSolver,
    reflected: SpecularPaths,
    edges: EdgeSolver | None,
    diffracted: EdgePaths | None,
    users: np.ndarray,
    attributes: dict[str, object],
) -> tuple[Paths, np.ndarray]:
    """Assemble paths in canonical order: by user, number of interactions, kinds, facets.

    Args:
        specular: Solver of the specular chains.
        reflected: Paths that the solver of specular chains found.
        edges: Solver of the chains with a diffraction, if there are any.
        diffracted: Paths that the solver of chains with a diffraction found.
        users: (U, 3) float64 positions of the users, metres.
        attributes: Attributes of the result.

    Returns:
        The paths, and the row of each specular path.
    """
    chains = specular.chains
    ranks, edge_ranks = _ranks(chains.depth, edges.chains if edges else None)
    user, rank = reflected.user, ranks[reflected.chain + 1]
    if diffracted is not None:
        user, rank = np.concatenate([user, diffracted.user]), np.concatenate([rank, edge_ranks[diffracted.chain]])
    order = np.argsort(user * (len(ranks) + len(edge_ranks)) + rank, kind="stable")
    place = np.empty(len(user), dtype=np.int64)
    place[order] = np.arange(len(user))
    table = _Table(len(user), chains.facets.shape[1])
    _fill_specular(table, place[: len(reflected.user)], specular, reflected, users)
    if edges is not None and diffracted is not None:
        _fill_diffracted(table, place[len(reflected.user) :], edges, diffracted, users)
    paths = Paths(
        transmitter=chains.transmitter,
        users=users,
        offsets=np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(users)))]),
        **vars(table),
        crossing_offsets=np.zeros(len(user) + 1, np.int64),
        crossing_volume=np.zeros(0, np.int32),
        crossing_entry=np.zeros(0),
        crossing_exit=np.zeros(0),
        attributes=attributes,
    )
    return paths, place[: len(reflected.user)]


class _Table:
    """The columns of a path table, to be filled."""

    def __init__(self, count: int, width: int) -> None:
        self.kinds = np.zeros((count, width), dtype=np.uint8)
        self.facets = np.full((count, width), -1, dtype=np.int32)
        self.vertices = np.full((count, width, 3), np.nan)
        self.length, self.departure, self.arrival = np.empty(count), np.empty((count, 3)), np.empty((count, 3))

    def place(self, row: np.ndarray, geometry: Geometry) -> None:
        for number, points in enumerate(geometry.vertices):
            self.vertices[row, number] = points
        self.length[row], self.departure[row], self.arrival[row] = geometry.length, geometry.departure, geometry.arrival


def _ranks(depth: np.ndarray, edges: EdgeChains | None) -> tuple[np.ndarray, np.ndarray]:
    """Place of each chain in the canonical order of all: line of sight and the specular ones, then the others.

    Chains of one depth stand in the order of their kinds: reflections alone come before those with a diffraction.
    """
    depth = np.concatenate([[0], depth])
    if edges is None:
        return np.arange(len(depth)), np.zeros(0, np.int64)
    edge_depth = 1 + (edges.before >= 0) + (edges.after >= 0)
    kind = np.concatenate([np.zeros(len(depth), np.int64), 1 + (edges.after >= 0)])
    order = np.lexsort((kind, np.concatenate([depth, edge_depth])))  # stable: each list is in order already
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank[: len(depth)], rank[len(depth) :]


def _fill_specular(
    table: _Table, place: np.ndarray, solver: SpecularSolver, paths: SpecularPaths, users: np.ndarray
) -> None:
    direct = np.flatnonzero(paths.chain < 0)
    row = place[direct]
    step = users[paths.user[direct]] - solver.chains.transmitter
    table.length[row] = np.sqrt(step[:, 0] * step[:, 0] + step[:, 1] * step[:, 1] + step[:, 2] * step[:, 2])
    table.departure[row] = step / table.length[row][:, None]
    table.arrival[row] = -table.departure[row]
    for group in solver.groups:
        found = np.flatnonzero((paths.chain >= group.first) & (paths.chain < group.first + len(group.facets)))
        if not len(found):
            continue
        row, chain = place[found], paths.chain[found]
        table.kinds[row, : group.depth] = Interaction.REFLECTION
        table.facets[row, : group.depth] = group.facets[chain - group.first]
        table.place(row, solver.geometry(group, chain, users[paths.user[found]]))


def _fill_diffracted(table: _Table, place: np.ndarray, solver: EdgeSolver, paths: EdgePaths, users: np.ndarray) -> None:
    chains = solver.chains
    for group in chains.groups():
        found = np.flatnonzero((paths.chain >= group.start) & (paths.chain < group.stop))
        if not len(found):
            continue
        row, chain = place[found], paths.chain[found]
        before, after = chains.shape_of(group)
        at = int(before)
        if before:
            table.kinds[row, 0], table.facets[row, 0] = Interaction.REFLECTION, chains.before[chain]
        table.kinds[row, at], table.facets[row, at] = Interaction.DIFFRACTION, chains.wedge[chain]
        if after:
            table.kinds[row, at + 1], table.facets[row, at + 1] = Interaction.REFLECTION, chains.after[chain]
        table.place(row, solver.geometry(group, chain, users[paths.user[found]]))
