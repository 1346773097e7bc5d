"""Where channels come from: paths in memory, or a store of them on disk that is read tile by tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.face.places import checked_site
from sitetwin.rays import Paths
from sitetwin.rays.jobs.io import arrays_to_paths, check_finished, concatenate, geometry_of, open_paths, transmitter_of
from sitetwin.site import Site
from sitetwin.store import TileStore


class PathsInMemory:
    """Paths that are already in memory.

    Attributes:
        transmitter: (3,) position of the transmitter, metres.
        positions: (users, 3) positions of the users, metres.
        geometry_hash: Hash of the geometry in which they were traced, if they state it.
        tiles: Ranges of users that are cheap to take at once.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self.transmitter, self.positions = paths.transmitter, paths.users
        self.geometry_hash = paths.attributes.get("geometry_hash")
        self.tiles = ((0, paths.num_users),)

    def take(self, users: Int[np.ndarray, " chosen"]) -> Paths:
        """Return the paths of some users, in the given order."""
        return self._paths.select_users(users)


class PathsOnDisk:
    """A finished store of paths, with the attributes of `PathsInMemory`; the tile that was read last is kept.

    Raises:
        SiteTwinError: The folder is not a store of paths, or the store is not finished.
    """

    def __init__(self, folder: str | Path) -> None:
        self._store = open_paths(folder)
        check_finished(self._store)
        self.transmitter = transmitter_of(self._store)
        self.geometry_hash = geometry_of(self._store)
        self.tiles = self._store.tiles
        self._kept: tuple[int, Paths] | None = None

    @property
    def positions(self) -> Float[np.ndarray, "users 3"]:
        """Positions of the users, metres, read from all tiles."""
        return np.concatenate([self._store.read_tile(index)["users"] for index in range(len(self.tiles))])

    def take(self, users: Int[np.ndarray, " chosen"]) -> Paths:
        """Return the paths of some users, in the given order."""
        tile = np.searchsorted([stop for _, stop in self.tiles], users, side="right")
        parts, places = [], []
        for index in np.unique(tile):
            rows = np.flatnonzero(tile == index)
            parts.append(self._tile(int(index)).select_users(users[rows] - self.tiles[index][0]))
            places.append(rows)
        if len(parts) == 1:
            return parts[0]
        back = np.argsort(np.concatenate(places), kind="stable")
        return concatenate(parts).select_users(back)

    def _tile(self, index: int) -> Paths:
        kept = self._kept
        if kept is None or kept[0] != index:
            group = self._store.read_tile(index)
            kept = self._kept = index, arrays_to_paths(group, self.transmitter, group.attributes)
        return kept[1]


PathSource = PathsInMemory | PathsOnDisk
"""The paths of some users from one transmitter."""


PathsOf = Paths | TileStore | str | Path
"""Paths in memory, a store of them, or its folder."""


def stores_in(folder: str | Path) -> list[Path]:
    """The stores tx000, tx001, ... that a trace from several transmitters put into a folder; none in a store itself."""
    return sorted(manifest.parent for manifest in Path(folder).glob("tx[0-9]*/manifest.json"))


def path_source(paths: PathsOf, site: Site) -> PathSource:
    """Open paths that are given as `Paths`, a store or a folder.

    Args:
        paths: `Paths`, or the store or folder that `TraceJob.run` made.
        site: The site in which the paths were traced, or a variant with the same geometry.

    Raises:
        SiteTwinError: The folder is not a finished store of paths, or the paths have another geometry.
    """
    site = checked_site(site)
    source: PathSource
    if not isinstance(paths, (Paths, TileStore, str, Path)):
        raise SiteTwinError(f"the paths are of the type {type(paths).__name__}; give paths, or the folder of a store")
    if isinstance(paths, Paths):
        source = PathsInMemory(paths)
    else:
        source = PathsOnDisk(paths.path if isinstance(paths, TileStore) else paths)
    stated = source.geometry_hash
    if stated is not None and stated != site.geometry_hash:
        raise SiteTwinError(
            f"the paths were traced in another geometry ({stated[:12]}) than that of site '{site.name}' "
            f"({site.geometry_hash[:12]}); give the site in which they were traced"
        )
    return source
