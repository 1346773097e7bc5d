"""Arrays from NumPy's files: never a pickle, never more than the file can hold."""

from __future__ import annotations

import math
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted.files import opened, short, size_text
from sitetwin.untrusted.packed import checked_members, opened_zip

LARGEST_ARRAY = 2**30
"""Bytes of one array as float64."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
    found: dict[str, np.ndarray] = {}
    with opened_zip(source, what, mend) as archive:
        for item in checked_members(archive, None if names is None else [f"{name}.npy" for name in names]):
            with archive.open(item) as stream:
                shape, fortran, dtype = _header(stream, item.file_size)
                values = np.frombuffer(bytearray(stream.read()), dtype=dtype, count=math.prod(shape))
            name = item.filename.removesuffix(".npy")
            if name in found:
                raise ValueError("two arrays have one name")
            found[name] = _shaped(values, shape, fortran)
    return found


def read_npy(path: Path, what: str, mend: str) -> np.ndarray:
    """Read one array of real numbers from a ``.npy`` file, as float64.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Raises:
        SiteTwinError: The file is missing, no regular file, truncated or damaged, holds objects or other than real
            numbers, or more than `LARGEST_ARRAY`.
    """
    with opened(path, what, mend) as stream:
        try:
            shape, fortran, dtype = _header(stream, os.fstat(stream.fileno()).st_size)
            if dtype.kind not in "fiu":
                raise ValueError("it holds other than real numbers")
            if 8 * math.prod(shape) > LARGEST_ARRAY:
                raise ValueError(f"its shape {shape} is that of more than {size_text(LARGEST_ARRAY)}")
            values = np.fromfile(stream, dtype=dtype, count=math.prod(shape))
        except Exception as error:  # NumPy raises what its parser meets: SyntaxError, EOFError, UnicodeError, ...
            raise SiteTwinError(f"{what} cannot be read as a NumPy array ({short(error)}); {mend}") from error
    found = _shaped(values, shape, fortran)
    return found if found.dtype == np.float64 else as_float64(found)


def as_float64(values: np.ndarray) -> np.ndarray:
    """A copy of a file's numbers as float64; processors warn of NaNs with the bits of an alarm (signalling)."""
    with np.errstate(invalid="ignore"):
        return values.astype(np.float64)


def _header(stream: Any, size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of an array, whose header and length agree before any memory is asked for."""
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError("the array has an unknown version")
    shape, fortran, dtype = _HEADERS[version](stream)
    if dtype.hasobject:
        raise ValueError("the array holds objects")
    if min(shape, default=0) < 0 or stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"the array has another length than its shape {shape} says")
    return shape, fortran, dtype


def _shaped(values: np.ndarray, shape: tuple[int, ...], fortran: bool) -> np.ndarray:
    return values.reshape(shape[::-1]).T if fortran else values.reshape(shape)
