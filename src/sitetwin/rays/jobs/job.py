"""A long trace as one object, which can be run into a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.rays.dense import TraceSettings
from sitetwin.rays.jobs.engines import DENSE, check_engine
from sitetwin.rays.jobs.io import root_attributes, split_users, trace_configuration
from sitetwin.rays.jobs.run import TileSolver, fill_stores
from sitetwin.rays.jobs.scene import keep_scene
from sitetwin.rays.jobs.workers import check_workers
from sitetwin.rays.positions import Positions, checked_positions, checked_transmitters, position_array
from sitetwin.site import Site, check_transmitter
from sitetwin.site.mesh import check_origin_within
from sitetwin.site.places.extent import refuse_far_users
from sitetwin.store import TileStore, begin_collection, finish_collection

Progress = Callable[[str, float], None]
"""Called with the stage ("discover", then "solve") and the finished share of it, 0 to 1."""


@dataclass(frozen=True, eq=False, init=False)
class TraceJob:
    """A trace from one or several transmitters to many users, in tiles, into stores on disk.

    Attributes:
        site: The site.
        transmitters: (T, 3) float64 positions, metres. A single position of shape (3,) may be given for one
            transmitter.
        users: (U, 3) float64 positions of the users, metres, the same for all transmitters.
        settings: What to trace, and how completely.
        tile_users: Users per tile.
        engine: Name of the engine, ``sitetwin`` or ``sionna`` (which has no chain list).
        allow_indoors: Whether transmitters may stand inside buildings, as in rooms.

    Raises:
        SiteTwinError: A position is not finite, there is no transmitter or no user, or `tile_users` is not positive.
    """

    site: Site
    transmitters: Float[np.ndarray, "transmitters 3"]
    users: Float[np.ndarray, "users 3"]
    settings: TraceSettings
    tile_users: int
    engine: str
    allow_indoors: bool

    def __init__(
        self,
        site: Site,
        transmitters: Positions,
        users: Positions,
        settings: TraceSettings | None = None,
        tile_users: int = 50_000,
        engine: str = DENSE,
        *,
        allow_indoors: bool = False,
    ) -> None:
        places, receivers = checked_transmitters(transmitters), position_array(users)
        for place in places:
            checked_positions(place, receivers)
        split_users(len(receivers), tile_users)
        values = {
            "site": site,
            "transmitters": places,
            "users": receivers,
            "settings": settings or TraceSettings(),
            "tile_users": tile_users,
            "engine": engine,
            "allow_indoors": allow_indoors,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        many = len(self.transmitters)
        return (
            f"TraceJob: {many} transmitter{'' if many == 1 else 's'}, {len(self.users):,} users, tiles of "
            f"{self.tile_users:,}, engine {self.engine}, in site '{self.site.name}'"
        )

    def run(
        self,
        folder: str | Path,
        progress: Progress | None = None,
        resume: bool = True,
        *,
        workers: int = 1,
        scheduler: str | None = None,
    ) -> list[TileStore]:
        """Trace all users into a folder; an interrupted run continues where it stopped.

        The chain list of a transmitter is found once for all users, by the calling process, and kept in its store:
        workers and resumed runs solve the same chains. The bytes written do not depend on where a run was
        interrupted, nor on the number of workers, nor on the order in which they finish.

        Args:
            folder: Folder of the store for one transmitter. With several transmitters, it holds their stores ``tx000``,
                ``tx001``, ..., and opens as one tree. Workers on other machines must see it under the same name.
            progress: Called with the stage and its finished share over all transmitters.
            resume: Whether to continue an existing store of the same configuration.
            workers: Number of processes that solve tiles; with 1 the calling process solves them.
            scheduler: Address of a Dask scheduler whose workers are used instead, such as ``tcp://10.0.0.1:8786``.

        Returns:
            The finished stores, in the order of the transmitters.

        Raises:
            SiteTwinError: The engine cannot do what is asked for, the site lies far from its origin, a transmitter
                stands inside a building, below the ground or on a surface, all users are far off the site, the folder
                holds something else or was begun by another version of the code, the disk cannot be written, the
                scheduler does not answer, or workers die repeatedly.
        """
        check_workers(workers)
        check_engine(self.engine, self.site, self.settings)
        check_origin_within(self.site)
        refuse_far_users(self.site, self.users)
        for transmitter in self.transmitters:
            check_transmitter(self.site, transmitter, allow_indoors=self.allow_indoors)
        several = len(self.transmitters) > 1
        names = [f"tx{number:03d}" for number in range(len(self.transmitters))]
        places = begin_collection(folder, names) if several else [Path(folder)]
        stores = [self._begin(place, number, resume) for number, place in enumerate(places)]
        solver = TileSolver(self.site, self.settings, self.engine)
        tell = progress or (lambda stage, share: None)
        fill_stores(solver, stores, self.transmitters, self.users, tell, workers, scheduler)
        if several:
            title = {"title": f"propagation paths from {len(stores)} transmitters, geometry only"}
            finish_collection(folder, title, stores)
        return stores

    def configuration(self, number: int = 0) -> dict[str, Any]:
        """Return everything that determines the bytes of a transmitter's store; a run is resumed only if it is equal.

        Args:
            number: Index of the transmitter.
        """
        engine = {} if self.engine == DENSE else {"engine": self.engine}
        transmitter = self.transmitters[number]
        return trace_configuration(self.site, transmitter, self.users, self.settings, self.tile_users) | engine

    def _begin(self, place: Path, number: int, resume: bool) -> TileStore:
        site = self.site
        attributes = {
            **root_attributes(self.transmitters[number]),
            "site": site.name,
            "site_hash": site.hash,
            "geometry_hash": site.geometry_hash,
        }
        tiles = split_users(len(self.users), self.tile_users)
        store = TileStore.create(place, self.configuration(number), attributes, tiles, resume=resume)
        keep_scene(store, site)
        return store
