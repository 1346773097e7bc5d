"""Read a map file, unpack it within limits, and tell its format."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sitetwin import untrusted
from sitetwin.errors import SiteTwinError
from sitetwin.site.foreign import refuse_foreign
from sitetwin.site.maps.readers import shapefiles
from sitetwin.store.files import canonical_json, hash_bytes

LARGEST_MAP = 2**28
"""Bytes of a map, unpacked. A city of a million people has about half as many as .osm.pbf."""

Format = Literal["OpenStreetMap XML", "OpenStreetMap PBF", "JSON", "shapefile", "GeoPackage"]

_MARKS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SQLITE = b"SQLite format 3\x00"
_JOURNALS = ("-wal", "-journal")


@dataclass(frozen=True)
class MapFile:
    """A file that was read.

    Attributes:
        path: Path of the file.
        data: Content of the file, unpacked; of shapefiles and GeoPackages empty.
        sha256: SHA-256 of the file as it is on the disk; of a shapefile over those of its parts.
        format: Format of the content.
        layers: Content of shapefiles and GeoPackages, as `read_layers` takes it.
    """

    path: Path
    data: bytes
    sha256: str
    format: Format
    layers: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """Name of the file, for messages."""
        return self.path.name


def read_map_file(path: str | Path) -> MapFile:
    """Read a file and tell its format from its content; .gz and .bz2 are unpacked.

    A shapefile is its .shp with the parts beside it, a folder of shapefiles, or a zip archive of them.

    Raises:
        SiteTwinError: The file does not exist, cannot be read, is empty, is larger than `LARGEST_MAP` (packed or
            unpacked), is damaged, or is not in a map format.
    """
    path = Path(path)
    if os.path.isdir(path):
        return _of_shapefiles(path, shapefiles.in_folder(path, LARGEST_MAP))
    if not os.path.isfile(path):  # False also for a name that is too long
        raise SiteTwinError(f"'{path}' does not exist or is no file; check the path")
    refuse_foreign(path)
    if untrusted.regular_size(path, f"'{path}'") > LARGEST_MAP:
        raise _too_large(path)
    packed = untrusted.read_bytes(path, f"'{path}'", LARGEST_MAP, "check its permissions")
    data = _unpack(packed, path)
    kind = _format_of(data, path)
    if kind == "shapefile":
        packed_layers = data.startswith(b"PK")
        found = shapefiles.in_archive(data, path.name, LARGEST_MAP) if packed_layers else _beside(path, data)
        return _of_shapefiles(path, found, hash_bytes(packed) if packed_layers else None)
    if kind == "GeoPackage":
        _refuse_unfinished(path)
        return MapFile(path, b"", hash_bytes(packed), kind, {"": {".gpkg": data}})
    return MapFile(path, data, hash_bytes(packed), kind)


def _beside(path: Path, data: bytes) -> dict[str, dict[str, bytes]]:
    if path.suffix.lower() != ".shp":
        raise SiteTwinError(f"'{path.name}' is a part of a shapefile; give the .shp, with its other parts beside it")
    return shapefiles.beside(path, LARGEST_MAP)


def _of_shapefiles(path: Path, found: dict[str, dict[str, bytes]], digest: str | None = None) -> MapFile:
    """Shapefiles; the hash is that of their archive, or over the hashes of their parts."""
    if digest is None:
        digests = {name + suffix: hash_bytes(data) for name, parts in found.items() for suffix, data in parts.items()}
        digest = hash_bytes(canonical_json(digests).encode())
    return MapFile(path, b"", digest, "shapefile", found)


def _refuse_unfinished(path: Path) -> None:
    """Refuse a GeoPackage beside which a program keeps changes that are not in the file yet."""
    for ending in _JOURNALS:
        journal = path.with_name(path.name + ending)
        if journal.is_file() and any(
            untrusted.read_head(journal, 8)
        ):  # a journal that is done with is empty, or begins with zeros
            raise SiteTwinError(
                f"'{path.name}' has changes that stand in '{journal.name}' only; close the program that has it open"
            )


def _too_large(path: Path) -> SiteTwinError:
    return SiteTwinError(
        f"'{path.name}' holds more than {LARGEST_MAP >> 20} MB; cut the area out of it first, for example with "
        "`osmium extract --bbox west,south,east,north`"
    )


def _unpack(data: bytes, path: Path) -> bytes:
    kind = next((kind for mark, kind in _MARKS.items() if data.startswith(mark)), None)
    if kind is None:
        return data
    try:
        return (untrusted.gunzip if kind == "gzip" else untrusted.bunzip)(data, LARGEST_MAP)
    except untrusted.GrowthError as error:
        if untrusted.largest_unpacked(len(data), LARGEST_MAP) == LARGEST_MAP:
            raise _too_large(path) from error
        raise SiteTwinError(
            f"'{path.name}' grows more than {untrusted.MOST_GROWTH} times when it is unpacked, which no map does; "
            "unpack it yourself if you know what it holds"
        ) from error
    except ValueError as error:
        raise SiteTwinError(f"'{path.name}' is damaged or cut short ({kind}: {error}); download it again") from error


def _format_of(data: bytes, path: Path) -> Format:
    """By the first bytes; a PBF starts with the length of a header that says "OSMHeader"."""
    head = data[:64]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise SiteTwinError(f"'{path.name}' is empty; download or export it again")
    if (head.startswith(shapefiles.MAGIC) and b"OSMHeader" not in head) or head.startswith(b"PK"):
        return "shapefile"
    if head.startswith(_SQLITE):
        return "GeoPackage"
    if head.startswith(b"\x00\x00") or b"OSMHeader" in head:
        return "OpenStreetMap PBF"
    if text.startswith((b"{", b"[")):
        return "JSON"
    if text.startswith(b"<") or head.startswith(_UTF16):
        return "OpenStreetMap XML"
    raise SiteTwinError(
        f"'{path.name}' is no map that can be read; give OpenStreetMap .osm or .osm.pbf, an Overpass answer in JSON, "
        "GeoJSON, a shapefile or a GeoPackage"
    )


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        data: JSON text in UTF-8 (with or without a byte-order mark), UTF-16 or UTF-32.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: The text is not valid JSON, nests too deeply, or is not an object.
    """
    mend = "download or export it again"
    value = untrusted.parse_json(data, f"'{where}'", mend, largest=LARGEST_MAP, half_characters=True)
    if not isinstance(value, dict):
        raise SiteTwinError(
            f"'{where}' is no map: its outermost value is no object; give GeoJSON or an Overpass answer"
        )
    return value
