"""Whether the files of an array are such as are written here, which is seen before any of them is unpacked.

Zarr lets metadata choose codecs, chunks and values for absent chunks, so that a few bytes may declare gigabytes. Arrays
here are always of one kind: plain numbers, chunks along the first axis, each in a file of its own, Zstandard.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import canonical_json
from sitetwin.untrusted import LARGEST_WHOLE, largest_unpacked, opened, read_json

CHUNK_BYTES = 4 * 2**20  # of one chunk before compression: small enough to stream, large enough for cloud storage
LARGEST_METADATA = 2**24  # bytes of a zarr.json
MEND = "verify the store, and resume the run that makes it or restore it from a copy"

_LARGEST_ROW = 2**26  # bytes of a row that may be of nothing but zeros
_TYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
}
_CHUNK_NAMES = {"name": "default", "configuration": {"separator": "/"}}

# RFC 8878, section 3.1.1: how a frame of Zstandard begins.
_MAGIC = b"\x28\xb5\x2f\xfd"
_LONGEST_HEADER = 18
_SIZE_OF_ID = (0, 1, 2, 4)
_SIZE_OF_LENGTH = (0, 2, 4, 8)


def read_metadata(file: Path) -> Any:
    """Parse a `zarr.json`.

    Raises:
        SiteTwinError: It is missing, no regular file, too large, no JSON, or holds numbers that are not finite.
    """
    metadata = read_json(file, str(file), LARGEST_METADATA, MEND)
    try:
        canonical_json(metadata)
    except ValueError as error:
        raise SiteTwinError(f"{file} holds numbers that are not finite; {MEND}") from error
    return metadata


@dataclass(frozen=True)
class ArrayLayout:
    """What the metadata of an array say of it.

    Attributes:
        dims: Name of each axis.
        shape: Length of each axis.
        dtype: Type of its numbers.
        chunk: Shape of a chunk.
        attributes: Its attributes.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    chunk: tuple[int, ...]
    attributes: dict[str, Any]


def check_array_files(folder: Path) -> None:
    """Check the metadata of an array and the lengths that its chunks state, before memory is asked for.

    Every chunk is written, so that a chunk without a file is a loss and not a wish for zeros.

    Raises:
        SiteTwinError: The metadata cannot be read.
        ValueError: They are none that are written here, or the chunks do not fill the array that they declare.
    """
    layout = array_layout(read_metadata(folder / "zarr.json"), folder.name)
    unpacked = layout.dtype.itemsize * math.prod(layout.chunk)
    sizes = [_packed_size(file, unpacked) for file in _chunk_files(folder, layout)]
    declared, row = (layout.dtype.itemsize * math.prod(shape) for shape in (layout.shape, layout.shape[1:]))
    most = len(sizes) * min(max(CHUNK_BYTES, row), _LARGEST_ROW)
    if declared > max(largest_unpacked(sum(sizes), declared), most):
        raise ValueError(f"'{folder.name}' declares {declared} bytes, and its files hold {sum(sizes)}")


def array_layout(metadata: Any, name: str) -> ArrayLayout:
    """What metadata say of an array, if they are such as are written here.

    Raises:
        ValueError: They are not.
    """
    try:
        shape, chunk = metadata["shape"], metadata["chunk_grid"]["configuration"]["chunk_shape"]
        dtype = _TYPES[metadata["data_type"]]
        codecs = [codec["name"] for codec in metadata["codecs"]]
        endian = metadata["codecs"][0].get("configuration", {}).get("endian", "little" if dtype.itemsize == 1 else None)
        dims = metadata["dimension_names"]
        plain = (
            metadata["zarr_format"] == 3
            and metadata["node_type"] == "array"
            and metadata["chunk_grid"]["name"] == "regular"
            and metadata["chunk_key_encoding"] == _CHUNK_NAMES
            and (codecs, endian) == (["bytes", "zstd"], "little")
            and not metadata.get("storage_transformers")
            and isinstance(metadata["attributes"], dict)
            and all(isinstance(dim, str) for dim in dims)
            and len(dims) == len(shape) == len(chunk) > 0
            and all(type(size) is int and 0 <= size < LARGEST_WHOLE for size in [*shape, *chunk])
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"the metadata of '{name}' lack what they should say") from error
    if not plain:
        raise ValueError(f"the metadata of '{name}' are none that are written here")
    # What chunks may be, whatever CHUNK_BYTES was when they were written: whole rows, and not larger than it is now.
    whole = chunk[1:] == [max(1, size) for size in shape[1:]] and 1 <= chunk[0] <= max(1, shape[0])
    if not whole or (chunk[0] > 1 and dtype.itemsize * math.prod(chunk) > CHUNK_BYTES):
        raise ValueError(f"the chunks of '{name}' are of a shape that is not written here")
    return ArrayLayout(tuple(dims), tuple(shape), dtype, tuple(chunk), metadata["attributes"])


def _chunk_files(folder: Path, layout: ArrayLayout) -> Iterator[Path]:
    """The file of each chunk, once it is known that there are as many files as chunks."""
    numbers = [range(-(-size // step)) for size, step in zip(layout.shape, layout.chunk, strict=True)]
    expected, below = math.prod(len(each) for each in numbers), folder / "c"
    found = sum(len(files) for _, _, files in os.walk(below))
    if found != expected:
        raise ValueError(f"'{folder.name}' has {found} chunks, and {expected} are due")
    return (below.joinpath(*map(str, place)) for place in product(*numbers)) if expected else iter(())


def _packed_size(file: Path, unpacked: int) -> int:
    """Bytes of a chunk's file, whose content must say that it unpacks to the chunk."""
    found, stated = file.lstat(), None
    if stat.S_ISREG(found.st_mode):  # a pipe would never end
        with opened(file, str(file)) as stream:
            stated = _stated_length(stream.read(_LONGEST_HEADER))
    if stated != unpacked:
        raise ValueError(f"{'/'.join(file.parts[-3:])} does not unpack to the {unpacked} bytes of a chunk")
    return found.st_size


def _stated_length(header: bytes) -> int | None:
    """Length of the content as a frame of Zstandard states it; None where it is no frame, or does not say."""
    if len(header) < 6 or header[:4] != _MAGIC:
        return None
    flags = header[4]
    single = flags >> 5 & 1
    size = _SIZE_OF_LENGTH[flags >> 6] or single
    begin = 5 + (1 - single) + _SIZE_OF_ID[flags & 3]
    if not size or len(header) < begin + size:
        return None
    return int.from_bytes(header[begin : begin + size], "little") + (256 if size == 2 else 0)
