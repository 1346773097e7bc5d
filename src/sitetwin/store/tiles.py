"""A store of tiles: many groups of the same arrays, one per range of users, each written whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.store import manifest as manifests
from sitetwin.store.array_files import ArrayLayout, array_layout, read_metadata
from sitetwin.store.files import (
    PARTIAL,
    canonical_json,
    disk_errors,
    folder_in_the_making,
    hash_folder,
    holds_links,
    locked,
    own_place,
    sweep_partials,
    write_file,
)
from sitetwin.store.groups import Array, Group, check_arrays, collect_metadata, consolidated, read_group, write_group
from sitetwin.store.manifest import (
    CODE,
    Checksums,
    Manifest,
    check_tiles,
    differing_keys,
    part_checksums,
    read_manifest,
    tile_group,
)
from sitetwin.store.manifest import METADATA as _ROOT
from sitetwin.untrusted import LARGEST_JSON, read_bytes

_AXES_OF_USERS = {"user": 0, "user_edge": 1}  # of a tile, and how much longer than the number of its users they are
_SHOWN = 4  # differences between two configurations that a message lists


class TileStore:
    """A folder with one Zarr v3 group per tile and a manifest with the SHA-256 of each.

    A group is finished when, and only when, the manifest lists it, so a kill at any moment loses at most the groups
    in the making. Equal content gives equal bytes: no times, no process ids, fixed codecs and chunks. The folder opens
    with ``xarray.open_datatree(path, engine="zarr")``; every axis is named.

    Several processes may write different tiles of one store at the same time (on POSIX systems; the manifest is
    changed under a lock). Where locks cannot be trusted, as between machines, the writers write tiles aside and a
    single process lists them.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._manifest = manifest
        self._metadata: dict[str, dict[str, Any]] = {}  # of the finished groups, by group and checksum

    def __repr__(self) -> str:
        kind = self.configuration.get("kind", "arrays")
        done = len(self.tiles) - len(self.missing_tiles())
        return f"TileStore '{self.path}': {kind}, {self.num_users:,} users, {done} of {len(self.tiles)} tiles finished"

    @classmethod
    def create(
        cls,
        path: str | Path,
        configuration: Mapping[str, Any],
        attributes: Mapping[str, Any],
        tiles: Sequence[tuple[int, int]],
        resume: bool = True,
    ) -> TileStore:
        """Begin a store, or continue a store of the same configuration.

        Args:
            path: Folder of the store; it is made with its parents if it does not exist.
            configuration: JSON-serialisable; whatever decides the content. The entry "code" names the code that
                writes it, and has a refusal of its own.
            attributes: JSON-serialisable facts for the reader.
            tiles: User range [start, stop) of each tile, ascending, from 0, without gaps.
            resume: Whether to continue an existing store. All of it is read: groups that fail their checksum are
                dropped and count as missing from then on.

        Raises:
            SiteTwinError: The folder holds something else, a store of another configuration, or cannot be written.
            ValueError: Tiles with gaps, or a configuration that JSON cannot hold.
        """
        path = Path(path)
        refuse_inside_store(path)
        wanted = Manifest(
            configuration=json.loads(canonical_json(configuration)),
            attributes=json.loads(canonical_json(attributes)),
            tiles=check_tiles(tiles),
        )
        with disk_errors("beginning a store", path):
            path.mkdir(parents=True, exist_ok=True)
            with locked(path):
                if (path / manifests.NAME).exists():
                    store = cls.open(path)
                    store._check_same(wanted, resume)
                    sweep_partials(path)
                    store._mend()
                    return store
                sweep_partials(path)
                strangers = sorted(child.name for child in path.iterdir() if child.name not in (PARTIAL, _ROOT))
                if strangers:
                    raise SiteTwinError(
                        f"{path} is not empty and not a sitetwin store (it holds {strangers[0]!r}); "
                        "choose another folder"
                    )
                store = cls(path, wanted)
                store._write_root()
        return store

    @classmethod
    def open(cls, path: str | Path) -> TileStore:
        """Open an existing store, finished or not.

        Raises:
            SiteTwinError: The folder is no store, or its manifest is damaged.
        """
        path = Path(path)
        return cls(path, read_manifest(path))

    @property
    def configuration(self) -> dict[str, Any]:
        return self._manifest.configuration

    @property
    def configuration_hash(self) -> str:
        return self._manifest.configuration_hash

    @property
    def attributes(self) -> dict[str, Any]:
        return self._manifest.attributes

    @property
    def tiles(self) -> tuple[tuple[int, int], ...]:
        return self._manifest.tiles

    @property
    def groups(self) -> list[str]:
        """Paths of the finished groups below the root, tiles included, sorted."""
        return sorted(self._manifest.checksums)

    @property
    def num_users(self) -> int:
        return self.tiles[-1][1] if self.tiles else 0

    def missing_tiles(self) -> list[int]:
        """Indices of the tiles that the manifest does not list as finished."""
        return [i for i in range(len(self.tiles)) if not self.has_group(tile_group(i))]

    def range_of(self, users: slice | None) -> tuple[int, int, int]:
        """Start, stop and step of the users that a slice means, all by default."""
        return (slice(None) if users is None else users).indices(self.num_users)

    def tiles_of(self, users: slice | None) -> list[tuple[int, range]]:
        """The tiles that hold some users, in the users' order, and which users of each; one without any if none is.

        No memory is taken for users who are only said to be there.
        """
        wanted = range(*self.range_of(users))
        rising = wanted if wanted.step > 0 else wanted[::-1]
        found = []
        for index, (start, stop) in enumerate(self.tiles):
            first, last = (max(0, -((rising.start - edge) // rising.step)) for edge in (start, stop))
            inside = rising[first:last][:: 1 if wanted.step > 0 else -1]
            if len(inside):
                found.append((index, range(inside.start - start, inside.stop - start, inside.step)))
        if wanted.step < 0:
            found.reverse()
        return found or [(0, range(0))][: len(self.tiles)]

    def has_group(self, group: str) -> bool:
        """Whether the manifest lists a group as finished."""
        return group in self._manifest.checksums

    def verify(self) -> list[str]:
        """Names of what is damaged or gone: finished groups, and the root's `zarr.json`; empty if all is well.

        Raises:
            SiteTwinError: A file cannot be read.
        """
        damaged = [group for group in self.groups if self._is_damaged(group)]
        # The root repeats the metadata of the groups; with a damaged one, what it should say cannot be told.
        return damaged if damaged or self._root_is_right() else [_ROOT]

    def write_tile(self, index: int, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None = None) -> None:
        """Write one tile whole: beside its place, synced to the disk, renamed, and only then listed in the manifest.

        Every array runs along its first axis from one user (or path, or crossing) to the next, so that tiles can be
        put end to end.

        Raises:
            SiteTwinError: The disk refuses; nothing half-written is left.
            ValueError: The arrays' labels contradict each other.
            IndexError: There is no such tile.
        """
        self.tiles[index]
        self.write_group(tile_group(index), arrays, attributes)

    def write_tile_aside(
        self, index: int, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None = None
    ) -> Checksums:
        """Write one tile into its place without listing it; `list_tile` finishes it, in any process.

        Returns:
            The checksums that `list_tile` takes.

        Raises:
            As `write_tile`.
        """
        self.tiles[index]
        return self._write_aside(tile_group(index), arrays, attributes)

    def list_tile(self, index: int, checksums: Checksums) -> None:
        """List a tile that `write_tile_aside` wrote in the manifest.

        Raises:
            SiteTwinError: The tile is not there (its writer sees another disk), or the disk cannot be written.
            IndexError: There is no such tile.
        """
        self.tiles[index]
        group = tile_group(index)
        with disk_errors(f"listing {group}", self.path):
            if not (own_place(self.path, group) / _ROOT).is_file():
                raise SiteTwinError(
                    f"{group} of {self.path} was written where this process cannot see it; "
                    "put the store on a disk that all workers share"
                )
            self._list(group, checksums)

    def sweep(self) -> None:
        """Remove unfinished files of dead writers."""
        with disk_errors("tidying up", self.path):
            sweep_partials(self.path)

    def read_tile(self, index: int, check: bool = True, names: Collection[str] | None = None) -> Group:
        """Read one tile, or the arrays of some names; `check` compares the checksum of what is read first.

        Raises:
            SiteTwinError: The tile is missing, truncated or altered.
            IndexError: There is no such tile.
        """
        start, stop = self.tiles[index]
        group = self.read_group(tile_group(index), check, names)
        for name, array in group.arrays.items():
            for dim, size in zip(array.dims, array.data.shape, strict=True):
                users = size - _AXES_OF_USERS.get(dim, size - (stop - start))
                if users != stop - start:
                    raise SiteTwinError(
                        f"{tile_group(index)} of {self.path} is damaged: '{name}' is of {users} users, and the "
                        f"manifest says {stop - start}; write the store anew"
                    )
        return group

    def tile_layout(self, index: int) -> dict[str, ArrayLayout]:
        """What a tile holds, by its checked metadata; no array is read. Raises as `read_tile` does."""
        group = tile_group(index)
        self._refuse_absent(group)
        self._refuse_damaged(group, ())
        with self._reading(group):
            folder = own_place(self.path, group)
            names = sorted(child.name for child in folder.iterdir() if child.is_dir())
            return {name: array_layout(read_metadata(folder / name / _ROOT), name) for name in names}

    def write_group(self, group: str, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None = None) -> None:
        """Write a group beside the tiles: what all tiles share. Raises as `write_tile` does."""
        checksums = self._write_aside(group, arrays, attributes)
        with disk_errors(f"writing {group}", self.path):
            self._list(group, checksums)

    def _write_aside(self, group: str, arrays: Mapping[str, Array], attributes: Mapping[str, Any] | None) -> Checksums:
        check_arrays(arrays)
        manifests.check_group_name(group)
        with (
            disk_errors(f"writing {group}", self.path),
            folder_in_the_making(self.path, self.path / group) as folder,
        ):
            write_group(folder, arrays, attributes or {})
            return Checksums.of(folder)

    def _list(self, group: str, checksums: Checksums) -> None:
        with locked(self.path):
            # Read again: another process may have listed its own groups meanwhile.
            self._manifest = read_manifest(self.path).with_group(group, checksums)
            self._write_root()

    def read_group(self, group: str, check: bool = True, names: Collection[str] | None = None) -> Group:
        """Read a group, or the arrays of some names, by its path below the root. Raises as `read_tile` does."""
        self._refuse_absent(group)
        if check:
            self._refuse_damaged(group, names)
        with self._reading(group):
            return read_group(own_place(self.path, group), names)

    def _refuse_absent(self, group: str) -> None:
        if not self.has_group(group):
            raise SiteTwinError(f"{group} of {self.path} was not written yet; resume the run that makes this store")

    def _refuse_damaged(self, group: str, names: Collection[str] | None) -> None:
        if self._is_damaged(group, names):
            raise SiteTwinError(
                f"{group} of {self.path} is damaged (its SHA-256 is not the manifest's); "
                "resume the run that makes this store, which rewrites damaged groups"
            )

    @contextmanager
    def _reading(self, group: str) -> Iterator[None]:
        """Say of any error that what lies there is damaged: a library that parses it raises what it meets."""
        with disk_errors(f"reading {group}", self.path):
            try:
                if holds_links(own_place(self.path, group)):
                    raise ValueError("it holds links")
                yield
            except (OSError, SiteTwinError):
                raise
            except Exception as error:
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                raise SiteTwinError(
                    f"{group} of {self.path} is damaged ({reason}); write the store anew, or restore it from a copy"
                ) from error

    def _is_damaged(self, group: str, names: Collection[str] | None = None) -> bool:
        """Whether the files of a group, or of its metadata and some of its arrays, are others than were written."""
        folder = own_place(self.path, group)
        parts = None if names is None else self._manifest.parts.get(group)
        with disk_errors(f"reading {group}", self.path):
            if not folder.is_dir() or holds_links(folder):
                return True
            if parts is None or names is None:
                return hash_folder(folder) != self._manifest.checksums[group]
            return part_checksums(folder, names) != {k: v for k, v in parts.items() if k in (_ROOT, *names)}

    def _mend(self) -> None:
        """Drop damaged groups, from the manifest first: a kill then leaves nothing listed. Renew a damaged root."""
        damaged = [group for group in self.groups if self._is_damaged(group)]
        self._manifest = self._manifest.without_groups(damaged)
        if damaged or not self._root_is_right():
            self._write_root()
        for group in damaged:
            shutil.rmtree(own_place(self.path, group), ignore_errors=True)

    def _check_same(self, wanted: Manifest, resume: bool) -> None:
        there, asked = self.configuration.get("kind"), wanted.configuration.get("kind")
        if there != asked:
            raise SiteTwinError(f"{self.path} holds a store of {there}, not of {asked}; choose another folder")
        held, current = dict(self.configuration), dict(wanted.configuration)
        begun_by, this = held.pop(CODE, None), current.pop(CODE, None)
        differences = differing_keys(held, current)
        if not differences and self.tiles != wanted.tiles:
            differences.append(f"tiles ({_describe_tiles(self.tiles)} there, {_describe_tiles(wanted.tiles)} asked)")
        if differences:
            more = f"; and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
            raise SiteTwinError(
                f"{self.path} holds a store of another configuration: {'; '.join(differences[:_SHOWN])}{more}; "
                "choose another folder, or ask for the same configuration"
            )
        if begun_by != this:
            raise SiteTwinError(
                f"{self.path} was begun by other code ({begun_by or 'unknown'}) than this ({this or 'unknown'}), which "
                "may compute other numbers; begin again in another folder, or go on with the code that began it"
            )
        if not resume:
            raise SiteTwinError(
                f"{self.path} holds a store already; resume it (--resume), or resume=True in Python, or choose "
                "another folder"
            )

    def _write_root(self) -> None:
        """Write the manifest, then the root's `zarr.json`, which follows from it."""
        write_file(self.path / manifests.NAME, self._manifest.to_bytes())
        write_file(self.path / _ROOT, self._root_bytes())

    def _root_is_right(self) -> bool:
        """Whether the root's `zarr.json` is what the manifest asks for; a kill can leave it one group behind."""
        with disk_errors(f"reading {_ROOT}", self.path):
            file = self.path / _ROOT
            return file.is_file() and read_bytes(file, str(file), LARGEST_JSON) == self._root_bytes()

    def _root_bytes(self) -> bytes:
        manifest = self._manifest
        attributes = {**manifest.attributes, "configuration_hash": manifest.configuration_hash}
        known = {f"{group} {manifest.checksums[group]}": group for group in self.groups}
        self._metadata = {
            key: self._metadata.get(key) or collect_metadata(self.path, group) for key, group in known.items()
        }
        root = consolidated(attributes, {k: v for found in self._metadata.values() for k, v in found.items()})
        return canonical_json(root).encode()


def refuse_inside_store(path: Path) -> None:
    """Refuse a folder inside a store: what is written there would change the checksum of a group.

    Raises:
        SiteTwinError: One of the folders above the path is a store.
    """
    for parent in path.absolute().parents:
        if (parent / manifests.NAME).is_file() and (parent / _ROOT).is_file():
            raise SiteTwinError(f"{path} lies inside the store {parent}; choose a folder outside of it")


def _describe_tiles(tiles: Sequence[tuple[int, int]]) -> str:
    users = tiles[-1][1] if tiles else 0
    return f"{users} users in {len(tiles)} tiles of up to {max((b - a for a, b in tiles), default=0)}"
