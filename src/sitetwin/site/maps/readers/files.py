"""Read a map file, unpack it within limits, and tell its format."""

from __future__ import annotations

import bz2
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sitetwin import untrusted
from sitetwin.errors import SiteTwinError
from sitetwin.site.foreign import refuse_foreign
from sitetwin.store.files import hash_bytes

LARGEST_MAP = 2**28
"""Bytes of a map, unpacked. A city of a million people has about half as many as .osm.pbf."""

Format = Literal["OpenStreetMap XML", "OpenStreetMap PBF", "JSON"]

_BLOCK = 2**20
_MARKS = {b"\x1f\x8b": "gzip", b"BZh": "bzip2"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class MapFile:
    """A file that was read.

    Attributes:
        path: Path of the file.
        data: Content of the file, unpacked.
        sha256: SHA-256 of the file as it is on the disk.
        format: Format of the content.
    """

    path: Path
    data: bytes
    sha256: str
    format: Format

    @property
    def where(self) -> str:
        """Name of the file, for messages."""
        return self.path.name


def read_map_file(path: str | Path) -> MapFile:
    """Read a file and tell its format from its content; .gz and .bz2 are unpacked.

    Raises:
        SiteTwinError: The file does not exist, cannot be read, is empty, is larger than `LARGEST_MAP` (packed or
            unpacked), is damaged, or is not in a map format.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise SiteTwinError(f"'{path}' does not exist or is no file; check the path")
        refuse_foreign(path)
        if path.stat().st_size > LARGEST_MAP:
            raise _too_large(path, LARGEST_MAP)
        packed = path.read_bytes()
    except (OSError, ValueError) as error:
        raise SiteTwinError(f"'{path}' cannot be read ({type(error).__name__}); check its permissions") from error
    data = _unpack(packed, path)
    return MapFile(path, data, hash_bytes(packed), _format_of(data, path))


def _too_large(path: Path, largest: int) -> SiteTwinError:
    if largest < LARGEST_MAP:
        return SiteTwinError(
            f"'{path.name}' grows more than {untrusted.MOST_GROWTH} times when it is unpacked, which no map does; "
            "unpack it yourself if you know what it holds"
        )
    return SiteTwinError(
        f"'{path.name}' holds more than {LARGEST_MAP >> 20} MB; cut the area out of it first, for example with "
        "`osmium extract --bbox west,south,east,north`"
    )


def _unpack(data: bytes, path: Path) -> bytes:
    kind = next((kind for mark, kind in _MARKS.items() if data.startswith(mark)), None)
    if kind is None:
        return data
    try:
        return _gunzip(data, path) if kind == "gzip" else _bunzip(data, path)
    except (zlib.error, OSError, EOFError) as error:
        raise SiteTwinError(f"'{path.name}' is damaged or cut short ({kind}: {error}); download it again") from error


def _gunzip(data: bytes, path: Path) -> bytes:
    """All members of a gzip file, one after the other."""
    parts, size, largest = [], 0, untrusted.largest_unpacked(len(data), LARGEST_MAP)
    while data:
        unpacker = zlib.decompressobj(wbits=31)
        while data and not unpacker.eof:
            parts.append(unpacker.decompress(data, _BLOCK))
            size += len(parts[-1])
            if size > largest:
                raise _too_large(path, largest)
            data = unpacker.unconsumed_tail
        if not unpacker.eof:
            raise EOFError("the end is missing")
        data = unpacker.unused_data
    return b"".join(parts)


def _bunzip(data: bytes, path: Path) -> bytes:
    """All streams of a bzip2 file, one after the other."""
    parts, size, largest = [], 0, untrusted.largest_unpacked(len(data), LARGEST_MAP)
    while data:
        unpacker = bz2.BZ2Decompressor()
        while not unpacker.eof:
            if unpacker.needs_input and not data:
                raise EOFError("the end is missing")
            parts.append(unpacker.decompress(data, _BLOCK))
            data = b""
            size += len(parts[-1])
            if size > largest:
                raise _too_large(path, largest)
        data = unpacker.unused_data
    return b"".join(parts)


def _format_of(data: bytes, path: Path) -> Format:
    """By the first bytes; a PBF starts with the length of a header that says "OSMHeader"."""
    head = data[:64]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise SiteTwinError(f"'{path.name}' is empty; download or export it again")
    if head.startswith(b"\x00\x00") or b"OSMHeader" in head:
        return "OpenStreetMap PBF"
    if text.startswith((b"{", b"[")):
        return "JSON"
    if text.startswith(b"<") or head.startswith(_UTF16):
        return "OpenStreetMap XML"
    if head.startswith(b"PK"):
        raise SiteTwinError(f"'{path.name}' is a packed archive; unpack it and give the file inside")
    raise SiteTwinError(
        f"'{path.name}' is no map that can be read; give OpenStreetMap .osm or .osm.pbf, an Overpass answer in JSON, "
        "or GeoJSON"
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
