"""Arrays of numbers from MATLAB 5 files, by a reader of their own small part of the format.

Level 5 MAT-file format, MathWorks, "MAT-File Format" (2023). SciPy's reader is meant for files one trusts: a damaged
file can end the whole process inside it. Here every length is checked before it is used, a compressed element may not
grow beyond a bound, and cells, structures, objects and sparse arrays are passed over unread.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import inflate, read_bytes
from sitetwin.untrusted.arrays import as_float64

LARGEST_MAT = 1 << 30
"""Bytes of a MATLAB file."""

FREE_NUMBERS = 1 << 28
"""Bytes that the arrays of a MATLAB file may take, unpacked or as float64, whatever its size."""

MOST_NUMBERS = 16
"""Times its own size that those of a larger one may take: numbers of 8 bits become eight times larger."""

_MATRIX, _COMPRESSED, _INT8, _INT32, _UINT32 = 14, 15, 1, 5, 6
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MOST_ELEMENTS, _LAST_TYPE = 10_000, 18
_NUMERIC_CLASSES = range(6, 16)  # double, single, int8 ... uint64
_COMPLEX = 0x0800
_NOTHING = (0, memoryview(b""))


class _DamagedError(ValueError):
    """A length or type that cannot be."""


def read_mat(path: Path) -> np.ndarray:
    """The only array of real numbers in a MATLAB 5 file, as float64.

    Raises:
        SiteTwinError: The file is missing, damaged, too large, of another version, or holds no or several such arrays.
    """
    arrays = [array for array in read_mat_arrays(path).values() if array.dtype.kind == "f"]
    if len(arrays) != 1:
        raise SiteTwinError(f"'{path}' holds {len(arrays)} arrays of real numbers where one is expected; check it")
    return arrays[0]


def read_mat_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of numbers in a MATLAB 5 file by its name, as float64 or complex128.

    Raises:
        SiteTwinError: The file is missing, damaged, too large, of another version, or two of its arrays have one name.
    """
    content = read_bytes(path, f"'{path}'", LARGEST_MAT, "check it")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if not content.startswith(b"MATLAB 5.0 MAT-file") or order is None:
        raise SiteTwinError(f"'{path}' is no MATLAB 5 file; save it with -v7 or earlier")
    try:
        found = list(_arrays(memoryview(content)[128:], order, max(FREE_NUMBERS, MOST_NUMBERS * len(content))))
    except (ValueError, struct.error) as error:
        raise SiteTwinError(f"'{path}' is damaged or truncated ({str(error)[:80]}); copy it again") from error
    if len({name for name, _ in found}) < len(found):
        raise SiteTwinError(f"'{path}' holds two arrays of one name; save it again")
    return dict(found)


def _arrays(content: memoryview, order: str, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and numbers of every array at the top level; unpacked and as numbers they take at most so many bytes."""
    unpacked = numbers = 0
    for kind, data in _elements(content, order):
        if kind == _COMPRESSED:
            whole = memoryview(inflate(data, max(most - unpacked, 0)))
            unpacked += len(whole)
            inner = list(islice(_elements(whole, order), 2))
            if len(inner) != 1:
                raise _DamagedError("a compressed element holds other than one element")
            kind, data = inner[0]
        if kind == _MATRIX:
            found = _array(data, order, most - numbers)
            if found is not None:
                numbers += found[1].nbytes
                yield found


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of elements one after the other."""
    at = number = 0
    while at < len(content):
        number += 1
        if number > _MOST_ELEMENTS:
            raise _DamagedError(f"it has more than {_MOST_ELEMENTS} elements")
        if at + 8 > len(content):
            raise _DamagedError("an element's tag is cut off")
        kind, size = struct.unpack_from(order + "II", content, at)
        if kind >> 16:  # the short form: both in four bytes, and the data in the next four
            kind, size, begin, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if size > 4:
                raise _DamagedError("a short element is too long")
        else:
            begin = at + 8
            after = begin + size + (-size % 8 if kind != _COMPRESSED else 0)
        if not 1 <= kind <= _LAST_TYPE:
            raise _DamagedError("an element is of no known type")
        if begin + size > len(content):
            raise _DamagedError("an element is cut off")
        yield kind, content[begin : begin + size]
        at = after


def _array(content: memoryview, order: str, most: int) -> tuple[str, np.ndarray] | None:
    """Name and numbers of a matrix element; None where it is no full array of numbers."""
    parts = _elements(content, order)
    flags_kind, flags = next(parts, _NOTHING)
    if flags_kind != _UINT32 or len(flags) != 8:
        raise _DamagedError("an array has no flags")
    word = struct.unpack_from(order + "I", flags)[0]
    if word & 0xFF not in _NUMERIC_CLASSES:
        return None
    shape_kind, shape_data = next(parts, _NOTHING)
    if shape_kind != _INT32 or len(shape_data) % 4 or not 8 <= len(shape_data) <= 128:
        raise _DamagedError("an array has no shape")
    shape = struct.unpack(f"{order}{len(shape_data) // 4}i", shape_data)
    name_kind, name = next(parts, _NOTHING)
    if name_kind != _INT8:
        raise _DamagedError("an array has no name")
    values: np.ndarray = _numbers(next(parts, _NOTHING), shape, order, most)
    if word & _COMPLEX:
        with np.errstate(invalid="ignore"):  # infinities give NaN
            values = values + 1j * _numbers(next(parts, _NOTHING), shape, order, most)
    return bytes(name).decode("ascii", errors="replace"), values


def _numbers(element: tuple[int, memoryview], shape: tuple[int, ...], order: str, most: int) -> np.ndarray:
    """The real or imaginary parts of an array."""
    kind, data = element
    if kind not in _TYPES or min(shape) < 0 or 8 * math.prod(shape) > most:
        raise _DamagedError("an array's numbers are of no known type or size")
    values = np.frombuffer(data, dtype=order + _TYPES[kind]) if len(data) % int(_TYPES[kind][1]) == 0 else None
    if values is None or values.size != math.prod(shape):
        raise _DamagedError("an array has not as many numbers as its shape says")
    return as_float64(values).reshape(shape, order="F")
