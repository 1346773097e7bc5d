"""Solve tiles of users, in this process or on Dask workers, into stores that can be resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.rays import dense
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.chain_soundness import sound_chains
from sitetwin.rays.chains import ChainList
from sitetwin.rays.dense import TraceSettings
from sitetwin.rays.jobs.engines import DENSE, SIONNA
from sitetwin.rays.jobs.io import (
    CHAINS,
    label_arrays,
    path_width,
    paths_to_arrays,
    transmitter_of,
    unlabel_arrays,
    widen,
    write_paths_tile,
)
from sitetwin.rays.jobs.workers import WorkerPool
from sitetwin.rays.paths import Paths
from sitetwin.rays.referee.scope import trace_as_asked
from sitetwin.rays.referee.sionna import ReferenceEngine
from sitetwin.site import Site
from sitetwin.store import TileStore
from sitetwin.store.manifest import Checksums

Progress = Callable[[str, float], None]
"""Called with the stage ("discover", then "solve") and the finished share of it, 0 to 1."""


def fill_stores(
    solver: TileSolver,
    stores: Sequence[TileStore],
    transmitters: np.ndarray,
    users: np.ndarray,
    tell: Progress,
    workers: int = 1,
    scheduler: str | None = None,
) -> None:
    """Find the chains and solve the tiles that are missing in stores.

    Workers are shared: while they solve the last tiles of one transmitter, the chains of the next are found.

    Args:
        solver: Solver of tiles, with the site, the settings and the engine.
        stores: The stores, one for each transmitter.
        transmitters: (T, 3) metres.
        users: (U, 3) positions of all users of the stores, metres, independent of tiles.
        tell: Called with the stage and its finished share over all transmitters.
        workers: Number of processes that solve tiles; with 1 the calling process solves them.
        scheduler: Address of a Dask scheduler whose workers are used instead.

    Raises:
        SiteTwinError: The disk cannot be written, the scheduler does not answer, or workers die repeatedly.
    """
    wants_chains = solver.engine == DENSE
    unfinished = [
        i for i, store in enumerate(stores) if store.missing_tiles() or (wants_chains and not store.has_group(CHAINS))
    ]
    total = sum(len(store.missing_tiles()) for store in stores)

    def tasks() -> Iterator[tuple[TileStore, int]]:
        for number, i in enumerate(unfinished):

            def tell_found(share: float, number: int = number) -> None:
                tell("discover", (number + share) / len(unfinished))

            if wants_chains:
                solver.find_chains(stores[i], transmitters[i], users, tell_found)
            for index in stores[i].missing_tiles():
                yield stores[i], index

    if workers == 1 and scheduler is None:
        _solve_here(solver, tasks(), users, total, tell)
    elif unfinished:
        _solve_on_workers(solver, tasks(), users, total, tell, workers, scheduler)
    tell("solve", 1.0)


class TileSolver:
    """Solver of tiles for one site and settings; it is made once in each process.

    Args:
        site: The site.
        settings: What to trace, and how completely.
        engine: Name of the engine.
    """

    def __init__(self, site: Site, settings: TraceSettings, engine: str = DENSE) -> None:
        self.site, self.settings, self.engine = site, settings, engine
        self._chains: tuple[Path, ChainList] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return TileSolver, (self.site, self.settings, self.engine)  # what was made from them stays in its process

    @cached_property
    def caster(self) -> RayCaster:
        return RayCaster(self.site)

    @cached_property
    def referee(self) -> ReferenceEngine:
        return ReferenceEngine(self.site)

    def find_chains(
        self, store: TileStore, transmitter: np.ndarray, users: np.ndarray, tell: Callable[[float], None]
    ) -> None:
        """Find the chain list of a store and write it there, unless the store has one."""
        if not store.has_group(CHAINS):
            chains = dense.discover(self.site, transmitter, users, self.settings, tell, self.caster)
            store.write_group(CHAINS, label_arrays(chains.to_arrays()), {"hash": chains.hash})
        tell(1.0)

    def chains_of(self, store: TileStore) -> ChainList:
        """Read the chain list of a store, so that all runs and all workers solve the same chains.

        Raises:
            SiteTwinError: The list is damaged, or no trace in this site can have written it.
        """
        if self._chains is None or self._chains[0] != store.path:
            group, transmitter = store.read_group(CHAINS), transmitter_of(store)
            what = f"the chains of {store.path}"
            chains = sound_chains(unlabel_arrays(group), group.attributes.get("hash"), self.site, transmitter, what)
            self._chains = store.path, chains
        return self._chains[1]

    def solve(self, store: TileStore, users: np.ndarray, progress: Callable[[float], None] | None = None) -> Paths:
        """Find the paths of the users of one tile."""
        if self.engine == SIONNA:
            transmitter = transmitter_of(store)

            def tell(done: int, total: int) -> None:
                if progress:
                    progress(done / total)

            return trace_as_asked(self.referee, transmitter, users, self.settings, tell)
        chains = self.chains_of(store)
        solved = dense.solve(self.site, chains, users, self.settings, progress, self.caster)
        return widen(solved, path_width(self.site, chains, self.settings))


def _solve_here(
    solver: TileSolver, tasks: Iterator[tuple[TileStore, int]], users: np.ndarray, total: int, tell: Progress
) -> None:
    """Solve tile after tile; while one is written the next is solved, so that two are held at a time."""
    written: Future[None] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="sitetwin-store") as writer:
        for done, (store, index) in enumerate(tasks):

            def tell_solved(share: float, done: int = done) -> None:
                tell("solve", (done + share) / total)

            paths = solver.solve(store, users[slice(*store.tiles[index])], tell_solved)
            if written is not None:
                written.result()
            written = writer.submit(write_paths_tile, store, index, paths)
            tell("solve", (done + 1) / total)
        if written is not None:
            written.result()


def _solve_on_workers(
    solver: TileSolver,
    tasks: Iterator[tuple[TileStore, int]],
    users: np.ndarray,
    total: int,
    tell: Progress,
    workers: int,
    scheduler: str | None,
) -> None:
    """Have tiles solved and written elsewhere; their listing in the manifest is done here, by one process alone."""
    stores: dict[str, TileStore] = {}

    def pieces() -> Iterator[tuple[tuple[str, int], tuple[Any, ...]]]:
        for store, index in tasks:
            path = str(store.path.absolute())
            stores[path] = store
            yield (path, index), (path, index, users[slice(*store.tiles[index])])

    with WorkerPool(solver, workers, scheduler) as pool:
        for done, ((path, index), checksums) in enumerate(pool.run(_solve_tile_aside, pieces())):
            stores[path].list_tile(index, checksums)
            tell("solve", (done + 1) / total)
    for store in stores.values():
        store.sweep()  # what workers left that died in the middle of a tile


def _solve_tile_aside(solver: TileSolver, path: str, index: int, users: np.ndarray) -> Checksums:
    """A worker's part: solve a tile and write it into its place; returns its checksums.

    Raises:
        SiteTwinError: The worker does not see the store, or cannot write.
    """
    store = TileStore.open(path)
    paths = solver.solve(store, users)
    return store.write_tile_aside(index, paths_to_arrays(paths), paths.attributes)
