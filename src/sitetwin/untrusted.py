"""Bytes, JSON, TOML and NumPy archives from files that nobody vouches for.

Every reader of such files comes through here, so that the limits hold for all of them: a regular file of a bounded
size, a bounded growth when it is unpacked, no deep nesting, no number or text that later code cannot hold.
"""

from __future__ import annotations

import io
import json
import math
import re
import stat
import tomllib
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError

MOST_GROWTH = 100
"""Times that packed data may grow. City maps grow some twenty times; bombs grow from a thousand times on."""

FREE_GROWTH = 2**24
"""Bytes up to which data may grow any number of times."""

LARGEST_TOML = 2**20
"""Bytes of a table of settings."""

LARGEST_JSON = 2**28
"""Bytes of a JSON document that no reader limits further."""

LARGEST_ARRAYS = 2**30
"""Bytes of all arrays of one archive, unpacked, unless they are stored as they are."""

LARGEST_WHOLE = 2**63
"""Whole numbers of settings lie below it: no array holds larger ones."""

_DEEPEST_KEY = 16  # words of one dotted key of TOML, whose parser takes time by the square of them
_WORD = r"(?:[A-Za-z0-9_-]{1,99}|\"[^\"\n]{0,99}\"|'[^'\n]{0,99}')"
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_WORD}[ \t]{{0,9}}\.[ \t]{{0,9}}){{{_DEEPEST_KEY}}}")
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_ENCRYPTED = 1


def largest_unpacked(packed: int, largest: int) -> int:
    """Bytes to which packed data may grow: what a file of this size can mean, and never more than `largest`."""
    return min(largest, max(FREE_GROWTH, MOST_GROWTH * packed))


def read_bytes(path: Path, what: str, largest: int, mend: str = "check the path") -> bytes:
    """Read a regular file whole; a pipe or a device, which may never end, is none.

    Args:
        path: The file.
        what: Kind and name of the file, for messages: "recipe 'x.toml'".
        largest: Largest size, bytes.
        mend: What the user can do.

    Raises:
        SiteTwinError: The file is missing, no regular file, larger than the limit, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SiteTwinError(f"{what} is no file; {mend}")
        with path.open("rb") as stream:
            data = stream.read(largest + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte or half a character
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SiteTwinError(f"{what} cannot be read: {reason}; {mend}") from error
    if len(data) > largest:
        raise SiteTwinError(f"{what} is larger than {_size(largest)}, which no such file is; {mend}")
    return data


def parse_json(
    data: bytes,
    what: str,
    mend: str = "mend it, or export it again",
    *,
    largest: int = LARGEST_JSON,
    constant: Callable[[str], Any] | None = None,
    half_characters: bool = False,
) -> Any:
    """Parse a JSON document.

    Args:
        data: The text in UTF-8, with or without a byte-order mark, UTF-16 or UTF-32.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        largest: Largest size of the text, bytes.
        constant: What NaN and infinities become, from their names; floats by default.
        half_characters: Let lone surrogates pass, for a reader that replaces them.

    Raises:
        SiteTwinError: The text is too large, no JSON, nests too deeply, or holds a number of thousands of digits or
            half a character (a lone surrogate).
    """
    if len(data) > largest:
        raise SiteTwinError(f"{what} has more than {_size(largest)} of JSON; cut it into smaller files")
    try:
        value = json.loads(data.decode(json.detect_encoding(data)), parse_constant=constant)
        if not half_characters and _HALF_CHARACTER.search(data):
            _refuse_half_characters(value)
        return value
    except RecursionError as error:
        raise SiteTwinError(f"{what} nests the brackets of its JSON too deeply; {mend}") from error
    except (ValueError, MemoryError) as error:
        raise SiteTwinError(f"{what} is no well-formed JSON ({_short(error)}); {mend}") from error


def parse_toml(data: bytes, what: str, mend: str = "mend it") -> dict[str, Any]:
    """Parse a TOML document.

    Args:
        data: The text in UTF-8.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Raises:
        SiteTwinError: The text is too large, no TOML, nests too deeply, or holds a whole number of 64 bits or more.
    """
    if len(data) > LARGEST_TOML:
        raise SiteTwinError(f"{what} is larger than {_size(LARGEST_TOML)}, which no table of settings is; {mend}")
    try:
        text = data.decode("utf-8")
        if _LONG_KEY.search(text):
            raise SiteTwinError(f"{what} nests tables too deeply: it has a key of {_DEEPEST_KEY} words or more; {mend}")
        content = tomllib.loads(text)
        _refuse_large_numbers(content)
    except RecursionError as error:
        raise SiteTwinError(f"{what} nests brackets too deeply; {mend}") from error
    except ValueError as error:  # of TOML, of UTF-8, and of numbers with thousands of digits
        raise SiteTwinError(f"{what} is no TOML: {_short(error)}; {mend}") from error
    return content


def read_npz(source: Path | bytes, what: str, mend: str, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Read arrays from a NumPy archive: never a pickle, never more than its size can hold.

    Args:
        source: The file, or its content.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        names: Arrays that are wanted, all of which must be there; every array by default.

    Raises:
        SiteTwinError: It is missing, no archive, damaged, encrypted or packed in an unknown way, lacks an array, or
            would grow beyond reason.
    """
    try:
        size = len(source) if isinstance(source, bytes) else _regular_size(source)
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            items = {item.filename.removesuffix(".npy"): item for item in archive.infolist()}
            if len(items) < len(archive.infolist()):
                raise ValueError("two members have one name")
            missing = sorted(set(names or ()) - set(items))
            if missing:
                raise ValueError(f"it has no '{missing[0]}'")
            wanted = {name: items[name] for name in (items if names is None else names)}
            _check_members(wanted.values(), size)
            return {name: _read_member(archive, item) for name, item in wanted.items()}
    except Exception as error:  # NumPy and zipfile raise what their parsers meet: SyntaxError, EOFError, zlib.error ...
        raise SiteTwinError(f"{what} is missing, damaged or no NumPy archive ({_short(error)}); {mend}") from error


def _regular_size(path: Path) -> int:
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    return found.st_size


def _check_members(items: Collection[zipfile.ZipInfo], size: int) -> None:
    for item in items:
        if item.flag_bits & _ENCRYPTED:
            raise ValueError(f"'{item.filename[:60]}' is encrypted")
        if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"'{item.filename[:60]}' is packed by a method that NumPy does not write")
        if item.compress_type == zipfile.ZIP_STORED and item.file_size > size:
            raise ValueError(f"'{item.filename[:60]}' claims to be larger than the file")
    stored = sum(item.file_size for item in items if item.compress_type == zipfile.ZIP_STORED)
    packed = sum(item.file_size for item in items if item.compress_type == zipfile.ZIP_DEFLATED)
    if stored > size or packed > largest_unpacked(size, LARGEST_ARRAYS):
        raise ValueError(f"its {size} bytes claim to hold {_size(stored + packed)}")


def _read_member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header and length agree before any memory is asked for."""
    with archive.open(item) as stream:
        version = np.lib.format.read_magic(stream)
        headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in headers:
            raise ValueError(f"'{item.filename[:60]}' has an unknown version")
        shape, fortran, dtype = headers[version](stream)
        if dtype.hasobject:
            raise ValueError(f"'{item.filename[:60]}' holds objects")
        count, here = math.prod(shape), stream.tell()
        if min(shape, default=0) < 0 or here + count * dtype.itemsize != item.file_size:
            raise ValueError(f"'{item.filename[:60]}' has another length than its shape {shape} says")
        values = np.frombuffer(bytearray(stream.read()), dtype=dtype, count=count)
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)


def _refuse_large_numbers(content: Any) -> None:
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, int) and not -LARGEST_WHOLE <= value < LARGEST_WHOLE:
            raise ValueError("a whole number has more than 64 bits")


def _refuse_half_characters(content: Any) -> None:
    left = [content]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str) and not value.isascii():
            value.encode("utf-8")  # UnicodeEncodeError, a ValueError, says which


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__


def _size(count: int) -> str:
    return f"{count >> 20} MiB" if count >= 2**20 else f"{count} bytes"
