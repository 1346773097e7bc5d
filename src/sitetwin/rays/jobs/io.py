"""Paths on disk: one tile of users after another, in a `TileStore`."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.rays.caster import penetrable_facets
from sitetwin.rays.chains import ChainList
from sitetwin.rays.dense import TraceSettings
from sitetwin.rays.layout import FRAME, LAYOUT, TITLE
from sitetwin.rays.paths import Paths
from sitetwin.rays.scatter.account import ACCOUNT, DiffuseAccount
from sitetwin.rays.scatter.roughness import Roughness
from sitetwin.rays.soundness import check_values
from sitetwin.rays.unseen import UNSEEN_KEYS
from sitetwin.site import Site
from sitetwin.store import CODE, Array, Group, TileStore
from sitetwin.version import code_version

KIND = "paths"
ROOMS = ("backend.py", "compiled.py", "site", "rays", "store")
"""Folders of the package whose code decides the bytes of a store of paths."""
CHAINS = "chains"  # group of the chain list, beside the tiles

_DTYPES = {
    "users": "<f8", "offsets": "<i8", "kinds": "|u1", "facets": "<i4", "vertices": "<f8", "length": "<f8",
    "departure": "<f8", "arrival": "<f8", "crossing_offsets": "<i8", "crossing_volume": "<i4",
    "crossing_entry": "<f8", "crossing_exit": "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class TraceSummary:
    """A summary of a store of paths in a few numbers.

    Attributes:
        users: Number of users.
        users_without_path: Users that no path reaches.
        paths: Number of paths.
        line_of_sight_share: Share of the users with a line-of-sight path (no interaction).
        unseen_share: Estimated share of (chain, user) pairs that discovery missed; None if the store does not tell it.
        unseen_share_diffracted: Estimated share of (chain, user) pairs with a diffraction that discovery missed; None
            if diffraction was not traced.
        unseen_high: Upper limit of `unseen_share` at 95 % confidence; None if the store does not tell it.
        unseen_high_diffracted: The same of `unseen_share_diffracted`.
        probe_users: Number of users on whom `unseen_share` was estimated; None if the store does not tell it.
        probe_users_diffracted: The same of `unseen_share_diffracted`.
        diffuse: Account of the diffuse paths; None if none were asked for.
    """

    users: int
    users_without_path: int
    paths: int
    line_of_sight_share: float
    unseen_share: float | None
    unseen_share_diffracted: float | None = None
    unseen_high: float | None = None
    unseen_high_diffracted: float | None = None
    probe_users: int | None = None
    probe_users_diffracted: int | None = None
    diffuse: DiffuseAccount | None = None


def paths_to_arrays(paths: Paths) -> dict[str, Array]:
    """Make labelled arrays of paths, without the transmitter and the attributes, which a whole store shares."""
    return {
        name: Array(dims, np.ascontiguousarray(getattr(paths, name), dtype=_DTYPES[name]), attributes)
        for name, (dims, attributes) in LAYOUT.items()
    }


def arrays_to_paths(group: Group, transmitter: Float[np.ndarray, " 3"], attributes: dict[str, Any]) -> Paths:
    """Make paths from labelled arrays, as the inverse of `paths_to_arrays`.

    Raises:
        SiteTwinError: An array is missing, of another type, or holds what no path can have.
    """
    absent = sorted(set(LAYOUT) - set(group.arrays))
    if absent:
        raise SiteTwinError(f"the tile holds no array {absent[0]!r}, so it holds no paths; check the path of the store")
    for name, dtype in _DTYPES.items():
        if group[name].dtype != dtype:
            raise SiteTwinError(f"'{name}' of the tile is {group[name].dtype}, not {np.dtype(dtype)}; trace again")
    paths = Paths(transmitter=transmitter, **{name: group[name] for name in LAYOUT}, attributes=attributes)
    check_values(paths)
    return paths


def write_paths_tile(store: TileStore, index: int, paths: Paths) -> None:
    """Write the paths of one tile of users, with their attributes; errors are those of `TileStore.write_tile`."""
    start, stop = store.tiles[index]
    if paths.num_users != stop - start:
        raise ValueError(f"tile {index} is for {stop - start} users, not {paths.num_users}")
    store.write_tile(index, paths_to_arrays(paths), paths.attributes)


def save_paths(paths: Paths, path: str | Path, tile_users: int = 50_000) -> TileStore:
    """Write paths from memory into a new store, or finish an interrupted store.

    Args:
        paths: The paths.
        path: Folder of the store.
        tile_users: Users per tile.

    Raises:
        SiteTwinError: There is no user, the folder holds something else, or the disk cannot be written.
    """
    if not paths.num_users:
        raise SiteTwinError("these paths are of no user, so that there is nothing to save; select at least one user")
    digest = hashlib.sha256()
    for name, array in paths_to_arrays(paths).items():
        digest.update(f"{name}{array.data.shape}".encode())
        digest.update(array.data.tobytes())
    configuration = {
        "kind": KIND,
        CODE: code_version(*ROOMS),
        "transmitter": _position(paths.transmitter),
        "content": digest.hexdigest(),
        "attributes": paths.attributes,
        "tile_users": tile_users,
    }
    tiles = split_users(paths.num_users, tile_users)
    store = TileStore.create(path, configuration, root_attributes(paths.transmitter), tiles)
    for index in store.missing_tiles():
        write_paths_tile(store, index, paths.select_users(np.arange(*store.tiles[index])))
    return store


def load_paths(path: str | Path, users: slice | None = None) -> Paths:
    """Read the paths of some users, or of all.

    Args:
        path: Folder of the store.
        users: Indices of the users; only tiles with some of them are read. A slice may have a step.

    Raises:
        SiteTwinError: The folder is not a store of paths, or a tile is missing or damaged.
    """
    store = open_paths(path)
    if not store.tiles:
        raise SiteTwinError(f"{path} holds no users; trace again with users in the area")
    chosen = sorted(index for index, _ in store.tiles_of(users))
    groups = [store.read_tile(i) for i in chosen]
    transmitter = transmitter_of(store)
    attributes = merge_attributes([group.attributes for group in groups])
    loaded = concatenate([arrays_to_paths(group, transmitter, attributes) for group in groups])
    first = store.tiles[chosen[0]][0]
    wanted = np.arange(*store.range_of(users))
    if wanted.size == loaded.num_users and np.array_equal(wanted - first, np.arange(loaded.num_users)):
        return loaded
    return loaded.select_users(wanted - first)


def open_paths(path: str | Path) -> TileStore:
    """Open a store and check that it holds paths.

    Raises:
        SiteTwinError: The folder is not a store, or the store does not hold paths.
    """
    store = TileStore.open(path)
    if store.configuration.get("kind") != KIND:
        raise SiteTwinError(f"{path} is a store, but not of paths; check the path")
    traced = store.configuration.get("users")
    if isinstance(traced, dict) and traced.get("count") != store.num_users:
        raise SiteTwinError(
            f"{path} holds tiles of {store.num_users} users, and was traced for {traced.get('count')}; trace again"
        )
    return store


def transmitter_of(store: TileStore) -> Float[np.ndarray, " 3"]:
    """Return the position of the transmitter of a store of paths, metres.

    Raises:
        SiteTwinError: The store does not say it.
    """
    place = store.configuration.get("transmitter")
    plain = isinstance(place, list) and len(place) == 3 and all(type(x) in (int, float) for x in place)
    if not plain or not np.isfinite(found := np.asarray(place, dtype=np.float64)).all():
        raise SiteTwinError(f"{store.path} does not say where the transmitter of its paths stands; trace again")
    return found


def check_finished(store: TileStore) -> None:
    """Check that a store of paths holds all of its tiles, and at least one.

    Raises:
        SiteTwinError: It does not.
    """
    missing = store.missing_tiles()
    if missing or not store.tiles:
        raise SiteTwinError(
            f"{store.path} is not finished: {len(missing)} of {len(store.tiles)} tiles of paths are missing; "
            "resume the trace that makes it"
        )


def geometry_of(store: TileStore) -> str | None:
    """Return the hash of the geometry in which the paths of a store were traced, if it says."""
    given = store.configuration.get("attributes", {})  # of paths that were in memory
    found = store.configuration.get("geometry_hash") or given.get("geometry_hash")
    return None if found is None else str(found)


def concatenate(parts: list[Paths]) -> Paths:
    """Join the paths of consecutive groups of users; transmitter and attributes come from the first part."""
    if len(parts) == 1:
        return parts[0]
    if len({part.max_depth for part in parts}) > 1:
        raise SiteTwinError("tiles of the paths differ in the number of interactions that they hold; trace again")
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in LAYOUT}
    for name in ("offsets", "crossing_offsets"):
        joined[name] = _join_offsets([getattr(part, name) for part in parts])
    return replace(parts[0], **joined)


def _join_offsets(parts: list[np.ndarray]) -> np.ndarray:
    counts = np.concatenate([np.diff(part) for part in parts])
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])


def merge_attributes(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge attributes: equal values are kept once, and differing values become a list."""
    merged = {}
    for name in sorted(set().union(*parts)):
        values = [part.get(name) for part in parts]
        merged[name] = values[0] if all(value == values[0] for value in values) else values
    return merged


def split_users(users: int, tile_users: int) -> list[tuple[int, int]]:
    """Split users into ranges of at most `tile_users` users each.

    Raises:
        SiteTwinError: `tile_users` is not positive.
    """
    if tile_users < 1:
        raise SiteTwinError(f"a tile of {tile_users} users is impossible; give 1 or more users per tile")
    edges = [*range(0, users, tile_users), users]
    return list(pairwise(edges))


def trace_configuration(
    site: Site,
    transmitter: Float[np.ndarray, " 3"],
    users: Float[np.ndarray, "users 3"],
    settings: TraceSettings,
    tile_users: int,
) -> dict[str, Any]:
    """Return everything that determines the paths of a trace; a run is resumed only if it is equal.

    Of the materials, only their opacity matters, if transmissions are traced, and how they scatter, if diffuse paths
    are; a common factor of all scattering coefficients does not.
    """
    positions = np.ascontiguousarray(users, dtype="<f8")
    slabs = hashlib.sha256(penetrable_facets(site).tobytes()).hexdigest()
    return {
        **({"slab_facets_sha256": slabs} if settings.max_transmissions else {}),
        **({"scattering_sha256": Roughness.of(site).key} if settings.diffuse_paths else {}),
        "kind": KIND,
        CODE: code_version(*ROOMS),
        "geometry_hash": site.geometry_hash,
        "transmitter": _position(transmitter),
        "users": {"count": len(users), "sha256": hashlib.sha256(positions.reshape(-1).data).hexdigest()},
        "settings": json.loads(json.dumps(asdict(settings))),
        "tile_users": tile_users,
    }


def path_width(site: Site, chains: ChainList, settings: TraceSettings) -> int:
    """Return the largest number of interactions of any path, equal for all tiles, so that tiles can be joined."""
    scatters = settings.canopy_paths > 0 and len(site.vegetation.scatter_centres) > 0
    return max(chains.facets.shape[1] + settings.max_transmissions, int(scatters), int(settings.diffuse_paths > 0))


def widen(paths: Paths, width: int) -> Paths:
    """Return the paths with room for at least `width` interactions each."""
    more = width - paths.max_depth
    if more <= 0:
        return paths
    return replace(
        paths,
        kinds=np.pad(paths.kinds, ((0, 0), (0, more))),
        facets=np.pad(paths.facets, ((0, 0), (0, more)), constant_values=-1),
        vertices=np.pad(paths.vertices, ((0, 0), (0, more), (0, 0)), constant_values=np.nan),
    )


def label_arrays(arrays: dict[str, np.ndarray]) -> dict[str, Array]:
    """Label each axis of arrays; scalars become arrays with one entry."""
    return {
        name: Array(
            tuple(f"{name}_{axis}" for axis in range(max(value.ndim, 1))),
            np.atleast_1d(value),
            {"scalar": value.ndim == 0},
        )
        for name, value in arrays.items()
    }


def unlabel_arrays(group: Group) -> dict[str, np.ndarray]:
    """Remove the labels that `label_arrays` added."""
    return {
        name: array.data.reshape(()) if array.attributes.get("scalar") and array.data.size == 1 else array.data
        for name, array in group.arrays.items()
    }


def summarise(path: str | Path) -> TraceSummary:
    """Summarise a finished store of paths, with one tile in memory at a time.

    Raises:
        SiteTwinError: The folder is not a store of paths, or a tile is missing or damaged.
    """
    store = open_paths(path)
    empty = paths = sighted = 0
    accounts: list[dict[str, Any]] = []
    for index in range(len(store.tiles)):
        tile = store.read_tile(index)
        offsets = tile["offsets"]
        direct = np.concatenate([[0], np.cumsum(~tile["kinds"].any(axis=1))])
        empty += int(np.count_nonzero(np.diff(offsets) == 0))
        sighted += int(np.count_nonzero(np.diff(direct[offsets])))
        paths += int(offsets[-1])
        accounts.append({name: value for name, value in tile.attributes.items() if name == ACCOUNT})
    users, sight = store.num_users, sighted / max(store.num_users, 1)
    diffuse = DiffuseAccount.of(merge_attributes(accounts))
    return TraceSummary(users, empty, paths, sight, **_unseen(store), diffuse=diffuse)


def _unseen(store: TileStore) -> dict[str, Any]:
    """What the store tells of the paths that it lacks, by the names of `TraceSummary`."""
    if not store.has_group(CHAINS):
        return {"unseen_share": None}
    group = store.read_group(CHAINS)
    diffracted = {f"{name}_diffracted": value for name, value in stated_unseen(group, "edges_").items()}
    return stated_unseen(group) | diffracted


def stated_unseen(group: Group, prefix: str = "") -> dict[str, Any]:
    """Return the unseen share of stored chains, its upper limit and the users that it rests on; None if not stored."""
    keys = {name: f"{prefix}completeness_{name}" for name in UNSEEN_KEYS}
    return {name: group[key][0].item() if key in group.arrays else None for name, key in keys.items()}


def _position(point: np.ndarray) -> list[float]:
    return [float(x) for x in point]


def root_attributes(transmitter: Float[np.ndarray, " 3"]) -> dict[str, Any]:
    """Return the attributes that describe a store of paths to its readers."""
    return {
        "title": TITLE,
        "frame": FRAME,
        "transmitter": _position(transmitter),
    }
