"""The manifest: what a store should hold, what it holds already, and the checksum of each part."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import canonical_json, hash_bytes, hash_files, hash_folder, own_place
from sitetwin.untrusted import LARGEST_JSON, is_missing, parse_json, read_bytes

NAME = "manifest.json"
FORMAT = "sitetwin-store"
SCHEMA_VERSION = 1
CODE = "code"
"""Entry of a configuration: which code writes the store, as `sitetwin.version.code_version` names it."""
_WHOLE = "manifest_sha256"  # of all other entries; the first stores have none
METADATA = "zarr.json"
"""Name of the metadata of a group, or of an array."""

_TILES = "tiles/"
_GROUP_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


def tile_group(index: int) -> str:
    """Path of a tile's group below the root."""
    return f"{_TILES}{index:06d}"


@dataclass(frozen=True)
class Checksums:
    """What a group's files must be.

    Attributes:
        whole: SHA-256 over all of them.
        parts: SHA-256 over the chunks of each array, by its name, and over all metadata, by "zarr.json".
    """

    whole: str
    parts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path) -> Checksums:
        """Those of the files in a folder now."""
        files = hash_files(folder)
        return cls(hash_folder(folder, files), _by_part(folder, files))


def part_checksums(folder: Path, names: Collection[str]) -> dict[str, str]:
    """The checksums now of a folder's metadata and of some of its arrays; other arrays are not read."""
    return _by_part(folder, hash_files(folder, lambda name: _part_of(name) in (METADATA, *names)))


def _by_part(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    parts: dict[str, dict[str, str]] = {}
    for name, sha in files.items():
        parts.setdefault(_part_of(name), {})[name] = sha
    return {part: hash_folder(folder, known) for part, known in parts.items()}


def _part_of(name: str) -> str:
    return METADATA if name.rpartition("/")[2] == METADATA else name.partition("/")[0]


@dataclass(frozen=True)
class Manifest:
    """Immutable; `with_group` derives the next one.

    Attributes:
        configuration: What decides the content. Two runs with equal configurations write equal bytes.
        attributes: Facts for the reader of the data.
        tiles: User range [start, stop) of each tile, ascending, without gaps.
        checksums: SHA-256 of each finished group, by its path below the root.
        parts: SHA-256 of the parts of a tile, by its path and theirs, so that one array can be checked without the
            others; the first stores have none.
    """

    configuration: dict[str, Any]
    attributes: dict[str, Any]
    tiles: tuple[tuple[int, int], ...]
    checksums: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def configuration_hash(self) -> str:
        """SHA-256 of the configuration's canonical JSON."""
        return hash_bytes(canonical_json(self.configuration).encode())

    def with_group(self, group: str, sums: Checksums) -> Manifest:
        """The manifest after a group was written."""
        parts = {k: v for k, v in self.parts.items() if k != group}
        if group.startswith(_TILES) and sums.parts:
            parts[group] = dict(sums.parts)
        return replace(self, checksums={**self.checksums, group: sums.whole}, parts=parts)

    def without_groups(self, groups: list[str]) -> Manifest:
        """The manifest after groups were lost."""
        kept = {k: v for k, v in self.checksums.items() if k not in groups}
        return replace(self, checksums=kept, parts={k: v for k, v in self.parts.items() if k in kept})

    def to_bytes(self) -> bytes:
        """JSON for people and machines, keys sorted, no time in it."""
        value = {
            "format": FORMAT,
            "schema_version": SCHEMA_VERSION,
            "configuration": self.configuration,
            "configuration_hash": self.configuration_hash,
            "attributes": self.attributes,
            "tiles": [self._tile(tile_group(i), *edges) for i, edges in enumerate(self.tiles)],
            "groups": {name: sha for name, sha in self.checksums.items() if not name.startswith(_TILES)},
        }
        value[_WHOLE] = _hash_of(value)
        return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()

    def _tile(self, group: str, start: int, stop: int) -> dict[str, Any]:
        entry = {"group": group, "start": start, "stop": stop, "sha256": self.checksums.get(group)}
        return {**entry, "parts": self.parts[group]} if group in self.parts else entry


def _hash_of(value: Mapping[str, Any]) -> str:
    """SHA-256 of what a manifest says, without the hash itself."""
    return hash_bytes(canonical_json({name: entry for name, entry in value.items() if name != _WHOLE}).encode())


def check_tiles(tiles: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Tiles as tuples of plain integers.

    Raises:
        ValueError: They leave gaps, overlap, are empty or do not start at 0.
    """
    checked = tuple((int(start), int(stop)) for start, stop in tiles)
    edge = 0
    for start, stop in checked:
        if start != edge or stop <= start:
            raise ValueError(f"tile [{start}, {stop}) does not continue at user {edge}")
        edge = stop
    return checked


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of a store.

    Raises:
        SiteTwinError: The folder is no store, the manifest is damaged, or a later version wrote it.
    """
    file = folder / NAME
    if is_missing(file):
        if folder.is_file():
            raise SiteTwinError(f"{folder} is a file, not the folder of a sitetwin store; check the path")
        inside = sorted(found.parent.name for found in folder.glob(f"*/{NAME}"))
        if inside:
            some = ", ".join([*inside[:3], *(["..."] if len(inside) > 3 else [])])
            raise SiteTwinError(
                f"{folder} holds {len(inside)} stores ({some}), one for each transmitter; give one of them, such as "
                f"{folder / inside[0]}"
            )
        raise SiteTwinError(f"{folder} is not a sitetwin store: it has no {NAME}; check the path")
    data = read_bytes(own_place(folder, NAME), str(file), LARGEST_JSON)
    try:
        value = parse_json(data, str(file))
    except SiteTwinError as error:
        raise SiteTwinError(f"{file} is damaged (not JSON); delete the folder and write the store anew") from error
    return _parse(value, file)


def _parse(value: Any, file: Path) -> Manifest:
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise SiteTwinError(f"{file} is not the manifest of a sitetwin store; check the path")
    if value.get("schema_version") != SCHEMA_VERSION:
        raise SiteTwinError(
            f"{file} has schema version {value.get('schema_version')}, this sitetwin reads {SCHEMA_VERSION}; "
            "use the version of sitetwin that wrote it, or write the store anew"
        )
    try:
        checksums = {tile["group"]: tile["sha256"] for tile in value["tiles"] if tile["sha256"] is not None}
        _check_names(_dictionary(value["groups"]), [tile["group"] for tile in value["tiles"]])
        manifest = Manifest(
            configuration=_dictionary(value["configuration"]),
            attributes=_dictionary(value["attributes"]),
            tiles=check_tiles([_users(tile) for tile in value["tiles"]]),
            checksums={**checksums, **value["groups"]},
            parts={tile["group"]: _dictionary(tile["parts"]) for tile in value["tiles"] if "parts" in tile},
        )
        intact = manifest.configuration_hash == value["configuration_hash"]
        whole = value.get(_WHOLE) in (None, _hash_of(value))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SiteTwinError(f"{file} is damaged ({error!r}); delete the folder and write the store anew") from error
    if not intact:
        raise SiteTwinError(f"{file} was altered: its configuration does not match its hash; write the store anew")
    if not whole:
        raise SiteTwinError(f"{file} was altered: its entries do not match their hash; write the store anew")
    return manifest


def _users(tile: Any) -> tuple[int, int]:
    start, stop = tile["start"], tile["stop"]
    if type(start) is not int or type(stop) is not int:
        raise TypeError(f"a tile of users from {_short(start)} to {_short(stop)}")
    return start, stop


def _dictionary(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{_short(value)} where a table of names and values belongs")
    return value


def check_group_name(group: str) -> None:
    """Make sure that a group lies below the root: names come from files too, and damaged groups are deleted.

    Raises:
        ValueError: The name is absolute, climbs out of the store, is hidden, or is no name at all.
    """
    if not isinstance(group, str) or not _GROUP_NAME.fullmatch(group):
        raise ValueError(f"{group!r} cannot be the name of a group")


def _check_names(groups: Mapping[str, Any], tiles: list[str]) -> None:
    for group in groups:
        check_group_name(group)
    for index, group in enumerate(tiles):
        if group != tile_group(index):
            raise ValueError(f"{group!r} cannot be the name of tile {index}")


def differing_keys(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of the entries in which two configurations differ, with both values."""
    found = []
    for key in sorted(set(old) | set(new)):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differing_keys(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key} ({_short(before)} there, {_short(after)} asked)")
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]} ..."
