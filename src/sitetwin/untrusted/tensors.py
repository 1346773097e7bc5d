"""Tensors from safetensors files: a header of JSON and plain numbers, every length checked before it is used.

The format: eight bytes with the length of the header (little-endian), the header, the numbers. The header names for
each tensor its type, shape, and where its bytes begin and end behind the header; ``__metadata__`` holds texts.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted.files import read_bytes, short
from sitetwin.untrusted.texts import parse_json

LARGEST_TENSORS = 2**32
"""Bytes of a safetensors file."""

LARGEST_TENSOR_HEADER = 2**24
"""Bytes of its header."""

TYPES = {"F32": "<f4", "F64": "<f8", "I64": "<i8", "U8": "|u1"}
"""Types of numbers that are read, by their names in the header."""

_METADATA = "__metadata__"
_FIELDS = {"dtype", "shape", "data_offsets"}


def read_safetensors(path: Path, what: str, mend: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """Read the texts and tensors of a safetensors file.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Returns:
        Texts of the header by name, and tensors by name, which follow each other without gaps.

    Raises:
        SiteTwinError: The file is missing, truncated or damaged, claims what its bytes do not hold, or has a tensor of
            another type than `TYPES`.
    """
    content = read_bytes(path, what, LARGEST_TENSORS, mend)
    try:
        return _parsed(content, what, mend)
    except SiteTwinError:
        raise
    except (ValueError, TypeError, struct.error, OverflowError) as error:
        raise SiteTwinError(f"{what} is damaged, truncated or no such file ({short(error)}); {mend}") from error


def _parsed(content: bytes, what: str, mend: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    (length,) = struct.unpack_from("<Q", content)
    if not 2 <= length <= min(LARGEST_TENSOR_HEADER, len(content) - 8):
        raise ValueError("its header is longer than the file")
    header = parse_json(content[8 : 8 + length], what, mend, largest=LARGEST_TENSOR_HEADER)
    if not isinstance(header, dict):
        raise ValueError("its header is no table")
    texts = header.pop(_METADATA, {})
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its texts are none")
    data, end = memoryview(content)[8 + length :], 0
    found: dict[str, np.ndarray] = {}
    for name, about in sorted(header.items(), key=_begins):
        dtype, shape, (begin, stop) = _described(about)
        if begin != end or stop > len(data) or stop - begin != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"the bytes of the tensor '{name[:40]}' are not where its header says")
        found[name] = np.frombuffer(data[begin:stop], dtype=dtype).reshape(shape).copy()
        end = stop
    if end != len(data):
        raise ValueError("it is longer than its tensors")
    return texts, found


def _begins(entry: tuple[str, Any]) -> tuple[int, int]:
    """Where a tensor begins and ends, for sorting; whatever is no such place is refused."""
    _, _, (begin, stop) = _described(entry[1])
    return begin, stop


def _described(about: Any) -> tuple[np.dtype, tuple[int, ...], tuple[int, int]]:
    """Type, shape and place of a tensor."""
    if not isinstance(about, dict) or set(about) != _FIELDS or about["dtype"] not in TYPES:
        raise ValueError("a tensor has an unknown type")
    shape, place = about["shape"], about["data_offsets"]
    numbers = [*shape, *place] if isinstance(shape, list) and isinstance(place, list) else [-1]
    if len(place) != 2 or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a tensor has an impossible shape or place")
    return np.dtype(TYPES[about["dtype"]]), tuple(shape), (place[0], place[1])
