"""What is to be looked at: sites, the paths traced in them, and values of users from files."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.channel.io import KIND as CHANNELS
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.jobs.io import (
    arrays_to_paths,
    check_finished,
    concatenate,
    geometry_of,
    merge_attributes,
    open_paths,
    transmitter_of,
)
from sitetwin.rays.jobs.scene import site_of_paths
from sitetwin.rays.paths import Paths
from sitetwin.site import Site, open_site
from sitetwin.store import TileStore
from sitetwin.untrusted import read_table
from sitetwin.untrusted.arrays import as_float64, read_npz
from sitetwin.view.quantities import Quantity

MOST_USERS = 300_000
"""Users shown of one transmitter; of more, every n-th."""

_MANIFEST = "manifest.json"
_MOST_BYTES = 1 << 30  # of a file of values
_POSITION = {"x", "y", "z", "x_m", "y_m", "z_m", "user", "index"}  # columns that are no values


@dataclass(eq=False)
class Link:
    """The paths from one transmitter, read when they are first looked at.

    Attributes:
        name: Name in the menu.
        store: Store that holds them.
    """

    name: str
    store: TileStore

    @property
    def stride(self) -> int:
        """Every how many users one is shown."""
        return max(1, math.ceil(self.store.num_users / MOST_USERS))

    @cached_property
    def paths(self) -> Paths:
        """The paths of the users that are shown.

        Raises:
            SiteTwinError: A tile is missing or damaged, or there are no users.
        """
        transmitter = transmitter_of(self.store)
        parts = []
        for index, (start, stop) in enumerate(self.store.tiles):
            group = self.store.read_tile(index)
            part = arrays_to_paths(group, transmitter, group.attributes)
            first = -start % self.stride
            parts.append(part if self.stride == 1 else part.select_users(np.arange(first, stop - start, self.stride)))
        if not parts:
            raise SiteTwinError(f"{self.store.path} holds no users; trace again with users in the area")
        joined = concatenate(parts)
        joined.attributes.update(merge_attributes([part.attributes for part in parts]))
        return joined

    @property
    def transmitter(self) -> Float[np.ndarray, " 3"]:
        """Position of the transmitter, metres."""
        return transmitter_of(self.store)


@dataclass(frozen=True, eq=False)
class World:
    """One variant of a place.

    Attributes:
        name: Name on the slider, unique.
        site: What stands there.
        links: Paths from its transmitters, possibly none.
    """

    name: str
    site: Site
    links: tuple[Link, ...]


def open_worlds(targets: Sequence[str], stores: Sequence[Path], scene: str | None) -> tuple[World, ...]:
    """Open sites and stores of paths.

    Args:
        targets: Sites, or stores of paths (or folders of such), which name their sites.
        stores: More stores of paths; each belongs to the target whose geometry it was traced in.
        scene: The site of the stores among the targets, in place of the one that they name.

    Raises:
        SiteTwinError: One cannot be opened, a store is unfinished or of another geometry, or nothing is a site.
    """
    worlds = []
    for target in targets:
        links = _links(Path(target))
        site = _site_of(links, target, scene)
        worlds.append(World(Path(target).name or target, site, _fitting(links, site)))
    return with_stores(worlds, stores)


def with_stores(worlds: Sequence[World], stores: Sequence[Path]) -> tuple[World, ...]:
    """Give worlds the paths of stores beside their own.

    Args:
        worlds: At least one.
        stores: Each belongs to the world in whose geometry it was traced.

    Raises:
        SiteTwinError: A store is unfinished, of another geometry than all worlds, or no store of paths.
    """
    worlds = list(worlds)
    extra = [link for path in stores for link in _links(path) or _refuse_store(path)]
    used: set[Path] = set()
    names = [world.name for world in worlds]
    for index, world in enumerate(worlds):
        own = tuple(link for link in extra if geometry_of(link.store) == world.site.geometry_hash)
        used |= {link.store.path for link in own}
        worlds[index] = World(_unique(names, index), world.site, (*world.links, *own))
    for link in extra:
        if link.store.path not in used:
            raise SiteTwinError(
                f"the paths in {link.store.path} were traced in another geometry than that of "
                f"{', '.join(world.site.name for world in worlds)}; give the site in which they were traced"
            )
    for world in worlds:
        _note_strides(world)
    return tuple(worlds)


def _links(path: Path) -> tuple[Link, ...]:
    """The stores of paths at a place: itself, or those in the folder."""
    folders = [path] if (path / _MANIFEST).is_file() else sorted(f.parent for f in path.glob(f"*/{_MANIFEST}"))
    links = []
    for folder in folders:
        if TileStore.open(folder).configuration.get("kind") == CHANNELS:
            raise SiteTwinError(
                f"{folder} is a data set of channels, which holds no rays; give the store of paths that it was made "
                f"from, and the channels beside it (--channels {folder})"
            )
        store = open_paths(folder)
        check_finished(store)
        x, y, z = transmitter_of(store)
        links.append(Link(f"{folder.name} ({x:g}, {y:g}, {z:g})", store))
    return tuple(links)


def _site_of(links: tuple[Link, ...], target: str, scene: str | None) -> Site:
    if not links:
        return open_site(target)
    return site_of_paths(links[0].store) if scene is None else open_site(scene)


def _refuse_store(path: Path) -> tuple[Link, ...]:
    raise SiteTwinError(f"{path} is no store of paths and holds none; give a folder that `sitetwin trace` wrote")


def _fitting(links: tuple[Link, ...], site: Site) -> tuple[Link, ...]:
    for link in links:
        stated = geometry_of(link.store)
        if stated != site.geometry_hash:
            raise SiteTwinError(
                f"the paths in {link.store.path} were traced in another geometry ({(stated or 'unknown')[:12]}) than "
                f"that of site '{site.name}' ({site.geometry_hash[:12]}); give the site in which they were "
                "traced (--scene)"
            )
    return links


def _unique(names: list[str], index: int) -> str:
    return f"{names[index]} ({index + 1})" if names.count(names[index]) > 1 else names[index]


def _note_strides(world: World) -> None:
    for link in world.links:
        if link.stride > 1:
            warnings.warn(
                f"{link.store.path} has {link.store.num_users:,} users; every {link.stride}th is shown",
                SiteTwinWarning,
                stacklevel=3,
            )


def read_values(file: Path) -> dict[str, Float[np.ndarray, " rows"]]:
    """Read numbers per user from a file, by name: one row for each user, in the order of the users of a store.

    Args:
        file: ``.npz`` with one or more arrays of numbers, or ``.csv`` whose first line names the columns; columns
            with positions are left out, empty fields are NaN.

    Raises:
        SiteTwinError: The file cannot be read, or holds no numbers.
    """
    try:
        found = _read_npz(file) if file.suffix.lower() == ".npz" else _read_csv(file)
    except (ValueError, MemoryError) as error:
        raise SiteTwinError(
            f"the values in {file} cannot be read ({type(error).__name__}); give a .npz without pickles, or a .csv "
            "with a line of names and numbers below it"
        ) from error
    if not found:
        raise SiteTwinError(f"{file} holds no numbers per user; give an array, or a column, with one for each")
    return found


def _read_npz(file: Path) -> dict[str, np.ndarray]:
    arrays = read_npz(file, f"the file of values {file}", "give a .npz of plain arrays, or a .csv")
    flat = {name: a for name, a in arrays.items() if a.ndim == 1 and a.size and a.dtype.kind in "bifu"}
    return {name: as_float64(array) for name, array in flat.items()}


def _read_csv(file: Path) -> dict[str, np.ndarray]:
    names, *rows = read_table(file, f"the file of values {file}", _MOST_BYTES, "leave out what is not shown") or [[]]
    table = [row for row in rows if row]
    if any(len(row) != len(names) for row in table):
        raise ValueError("rows of different lengths")
    columns: dict[str, np.ndarray] = {}
    for name, column in zip(names, zip(*table, strict=True), strict=False):
        if name.strip().lower() in _POSITION:
            continue
        try:
            columns[name.strip()] = np.array([float(text) if text.strip() else math.nan for text in column])
        except ValueError:
            continue  # a column of words
    return columns


def value_quantities(values: dict[str, np.ndarray], link: Link) -> dict[str, Quantity]:
    """Take those values that have one row for each user of a store, as quantities of the users that are shown."""
    return {
        name: Quantity(name, array[:: link.stride])
        for name, array in values.items()
        if len(array) == link.store.num_users
    }
