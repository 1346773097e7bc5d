"""Packed data: gzip, bzip2, zlib and ZIP, whose growth is bounded before memory is asked for."""

from __future__ import annotations

import bz2
import io
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted.files import opened, short, size_text

MOST_GROWTH = 100
"""Times that packed data may grow. City maps grow some twenty times; bombs grow from a thousand times on."""

FREE_GROWTH = 2**24
"""Bytes up to which data may grow any number of times."""

LARGEST_ARCHIVE = 2**30
"""Bytes of all members of one archive, unpacked, unless they are stored as they are."""

MOST_STREAMS = 2**16
"""Streams of gzip or bzip2 in one file. Packers in parallel make one for each 64 KiB or more."""

_FED, _BLOCK = 2**16, 2**20  # bytes given to an unpacker, and taken from it, at once
_ENCRYPTED = 1


class GrowthError(ValueError):
    """Packed data grow beyond `largest_unpacked`."""


def largest_unpacked(packed: int, largest: int) -> int:
    """Bytes to which packed data may grow: what a file of this size can mean, and never more than `largest`."""
    return min(largest, max(FREE_GROWTH, MOST_GROWTH * packed))


def inflate(data: bytes | memoryview, largest: int) -> bytes:
    """Unpack one stream of zlib.

    Raises:
        GrowthError: It grows beyond reason.
        ValueError: It is damaged or cut short.
    """
    unpacker, bound = zlib.decompressobj(), largest_unpacked(len(data), largest)
    try:
        whole = unpacker.decompress(data, bound)
    except zlib.error as error:
        raise ValueError(short(error)) from error
    if unpacker.eof:
        return whole
    if len(whole) == bound:
        raise GrowthError(f"it grows beyond {size_text(bound)}")
    raise ValueError("the end is missing")


def gunzip(data: bytes, largest: int) -> bytes:
    """Unpack all streams of a gzip file, one after the other.

    Raises:
        GrowthError: They grow beyond reason.
        ValueError: One is damaged or cut short, or there are more than `MOST_STREAMS`.
    """
    return _unpacked(data, largest, _Gunzip)


def bunzip(data: bytes, largest: int) -> bytes:
    """Unpack all streams of a bzip2 file, one after the other.

    Raises:
        GrowthError: They grow beyond reason.
        ValueError: One is damaged or cut short, or there are more than `MOST_STREAMS`.
    """
    return _unpacked(data, largest, bz2.BZ2Decompressor)


class _Gunzip:
    """An unpacker of one gzip stream that is used as that of bzip2."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, most)


def _unpacked(data: bytes, largest: int, new_unpacker: Callable[[], Any]) -> bytes:
    """The content of all streams; they are fed in pieces, so that the rest is not copied for each of them."""
    parts, size, bound, at, streams = [], 0, largest_unpacked(len(data), largest), 0, 0
    while at < len(data):
        streams += 1
        if streams > MOST_STREAMS:
            raise ValueError(f"it has more than {MOST_STREAMS} streams")
        unpacker = new_unpacker()
        while not unpacker.eof:
            piece = b""
            if unpacker.needs_input:
                if at >= len(data):
                    raise ValueError("the end is missing")
                piece = data[at : at + _FED]
                at += len(piece)
            try:
                parts.append(unpacker.decompress(piece, _BLOCK))
            except (zlib.error, OSError, EOFError) as error:
                raise ValueError(short(error)) from error
            size += len(parts[-1])
            if size > bound:
                raise GrowthError(f"it grows beyond {size_text(bound)}")
        at -= len(unpacker.unused_data)
    return b"".join(parts)


def read_zip(source: Path | bytes, what: str, mend: str, names: Collection[str] | None = None) -> dict[str, bytes]:
    """Read members of a ZIP archive, which together may not grow beyond reason.

    Args:
        source: The file, or its content.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        names: Members that are wanted, all of which must be there; every member by default.

    Raises:
        SiteTwinError: It is missing, no archive, damaged, encrypted or packed by another method than deflate, has two
            members of one name or lacks one that is wanted, or would grow beyond reason.
    """
    with opened_zip(source, what, mend) as archive:
        return {item.filename: archive.read(item) for item in checked_members(archive, names)}


@contextmanager
def opened_zip(source: Path | bytes, what: str, mend: str) -> Iterator[zipfile.ZipFile]:
    """An archive that is open; whatever its parsers raise while it is read becomes one sentence.

    Args:
        source: The file, or its content.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Raises:
        SiteTwinError: It is missing, no archive or damaged, or what is done with it fails.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else opened(source, what, mend) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except SiteTwinError:
            raise
        except Exception as error:  # zipfile and NumPy raise what their parsers meet: SyntaxError, zlib.error, ...
            raise SiteTwinError(f"{what} is damaged or no archive of its kind ({short(error)}); {mend}") from error


def checked_members(archive: zipfile.ZipFile, names: Collection[str] | None = None) -> list[zipfile.ZipInfo]:
    """Members of an archive, all by default, after a look at how they are packed and how much they claim to hold.

    Raises:
        ValueError: Two members have one name, one is missing, is encrypted or packed by another method than deflate, or
            they would grow beyond reason.
    """
    items = {item.filename: item for item in archive.infolist()}
    if len(items) < len(archive.infolist()):
        raise ValueError("two members have one name")
    missing = sorted(set(names or ()) - set(items))
    if missing:
        raise ValueError(f"it has no '{missing[0]}'")
    wanted = [items[name] for name in (items if names is None else names)]
    assert archive.fp is not None  # it is open
    size = archive.fp.seek(0, io.SEEK_END)
    for item in wanted:
        if item.flag_bits & _ENCRYPTED:
            raise ValueError(f"'{item.filename[:60]}' is encrypted")
        if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"'{item.filename[:60]}' is packed by a method other than deflate")
    stored = sum(item.file_size for item in wanted if item.compress_type == zipfile.ZIP_STORED)
    packed = sum(item.file_size for item in wanted if item.compress_type == zipfile.ZIP_DEFLATED)
    if stored > size or packed > largest_unpacked(size, LARGEST_ARCHIVE):
        raise ValueError(f"its {size} bytes claim to hold {size_text(stored + packed)}")
    return wanted
