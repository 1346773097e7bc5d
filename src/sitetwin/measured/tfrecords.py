"""Records of TensorFlow (TFRecord files of tf.train.Example) without TensorFlow.

A record is its length (8 bytes, little-endian), a checksum of the length, the data, and a checksum of the data; both
are CRC-32C, masked as the format's documentation says. The data are a protocol buffer `tf.train.Example`: a map from
names to lists of bytes, floats or whole numbers. A bytes value may hold a serialised `TensorProto`.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c
import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import opened

LARGEST_RECORD = 1 << 24
"""Bytes of one record; a channel of 64 antennas and 1024 subcarriers takes half a mebibyte."""

MOST_FIELDS = 1 << 18
"""Fields of one message of a record, and whole numbers of one feature: each of them is read by itself."""

_TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8"}  # DataType of TensorFlow: float, double, int32, int64
_VALUES = {5: "<f4", 6: "<f8"}  # fields of TensorProto: float_val, double_val
_MOST_AXES = 8


class _DamagedError(Exception):
    """Bytes that are no record, or no message."""


def read_records(path: Path, most: int | None = None) -> Iterator[dict[str, np.ndarray]]:
    """The examples of a file, one after the other; each maps the names of its features to arrays.

    A feature of bytes that is a serialised tensor becomes that tensor; other bytes are left out.

    Args:
        path: The file.
        most: If given, the number of records after which it stops.

    Raises:
        SiteTwinError: The file is missing or no regular file, or the next record is truncated or damaged; the message
            gives its number.
    """
    number = 0
    with opened(path, f"the records '{path}'") as stream:
        size = os.fstat(stream.fileno()).st_size
        while (most is None or number < most) and stream.tell() < size:
            try:
                example = dict(_features(_record(stream, size)))
            except _DamagedError as error:
                raise SiteTwinError(
                    f"record {number + 1} of '{path}' is truncated or damaged ({error}); copy the file again"
                ) from error
            yield example
            number += 1


def _record(stream: BinaryIO, size: int) -> bytes:
    """Data of the next record of a file of some size."""
    head = stream.read(12)
    if len(head) < 12:
        raise _DamagedError("its length is cut off")
    length, checksum = struct.unpack("<QI", head)
    if _masked(head[:8]) != checksum:
        raise _DamagedError("the checksum of its length is wrong")
    if length > LARGEST_RECORD or length + 4 > size - stream.tell():
        raise _DamagedError("it is longer than the rest of the file, or than a record can be")
    data, tail = stream.read(length), stream.read(4)
    if len(tail) < 4 or _masked(data) != struct.unpack("<I", tail)[0]:
        raise _DamagedError("the checksum of its data is wrong")
    return data


def _masked(data: bytes) -> int:
    """CRC-32C, rotated right by 15 bits and moved by a constant, as the format wants it."""
    value = google_crc32c.value(data)
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _features(example: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Name and value of each feature that holds numbers."""
    for features in _of(example, 1):
        for entry in _of(features, 1):
            names, values = list(_of(entry, 1)), list(_of(entry, 2))
            if len(names) != 1 or len(values) != 1:
                raise _DamagedError("a feature has no name or no value")
            found = _value(values[0])
            if found is not None:
                yield names[0].decode("utf-8", errors="replace"), found


def _value(feature: bytes) -> np.ndarray | None:
    """Numbers of a feature; None where it holds bytes that are no tensor."""
    for field, content in _fields(feature):
        if field == 1 and isinstance(content, bytes):  # a list of bytes
            texts = list(_of(content, 1))
            return _tensor(texts[0]) if len(texts) == 1 else None
        if field == 2 and isinstance(content, bytes):  # a list of floats, packed or one by one
            return np.concatenate([_numbers(part, "<f4") for part in _of(content, 1)] or [np.zeros(0)])
        if field == 3 and isinstance(content, bytes):  # a list of whole numbers
            return np.array([n for part in _each(content, 1) for n in _whole(part)], dtype=np.int64)
    return None


def _tensor(message: bytes) -> np.ndarray | None:
    """The array of a serialised `TensorProto`; None where the bytes are none of floats or whole numbers."""
    try:
        parts = list(_fields(message))
    except _DamagedError:
        return None  # a text, say
    kind = next((value for field, value in parts if field == 1 and isinstance(value, int)), None)
    if kind not in _TYPES:
        return None
    shape = [_size(dim) for field, value in parts if field == 2 and isinstance(value, bytes) for dim in _of(value, 2)]
    if len(shape) > _MOST_AXES:
        raise _DamagedError("a tensor has too many axes")
    content = [value for field, value in parts if field == 4 and isinstance(value, bytes)]
    listed = [(field, value) for field, value in parts if field in _VALUES and isinstance(value, bytes)]
    if content:
        flat = _numbers(content[0], _TYPES[kind])
    else:
        flat = np.concatenate([_numbers(value, _VALUES[field]) for field, value in listed] or [np.zeros(0)])
    count = math.prod(shape)
    if flat.size == 1 and 1 < count <= LARGEST_RECORD // 8:
        flat = np.repeat(flat, count)  # the format writes a constant tensor as one value
    if flat.size != count:
        raise _DamagedError("a tensor has another number of values than its shape says")
    return flat.reshape(shape)


def _numbers(content: bytes, dtype: str) -> np.ndarray:
    if len(content) % np.dtype(dtype).itemsize:
        raise _DamagedError("numbers are cut off")
    return np.frombuffer(content, dtype=dtype)


def _size(dimension: bytes) -> int:
    """Length of one axis of a tensor; the format leaves out a length of zero."""
    for field, value in _fields(dimension):
        if field == 1 and isinstance(value, int):
            if value > LARGEST_RECORD:
                raise _DamagedError("a tensor has an axis that no record can hold")
            return value
    return 0


def _of(message: bytes, wanted: int) -> Iterator[bytes]:
    """The values of one field that have a length: messages, texts, packed numbers and single floats."""
    return (value for field, value in _fields(message) if field == wanted and isinstance(value, bytes))


def _each(message: bytes, wanted: int) -> Iterator[int | bytes]:
    return (value for field, value in _fields(message) if field == wanted)


def _whole(part: int | bytes) -> list[int]:
    """Signed 64-bit numbers, packed or alone."""
    values = [part] if isinstance(part, int) else []
    at = 0
    while isinstance(part, bytes) and at < len(part):
        value, at = _varint(part, at)
        values.append(value)
        if len(values) > MOST_FIELDS:
            raise _DamagedError(f"a feature has more than {MOST_FIELDS} whole numbers")
    return [value - (1 << 64) if value >> 63 else value for value in values]


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of every field of a protocol-buffer message."""
    at = number = 0
    while at < len(message):
        number += 1
        if number > MOST_FIELDS:
            raise _DamagedError(f"a message has more than {MOST_FIELDS} fields")
        key, at = _varint(message, at)
        field, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(message, at)
            yield field, value
            continue
        if wire == 2:
            length, at = _varint(message, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _DamagedError("a field is of no known kind")
        if at + length > len(message):
            raise _DamagedError("a field is cut off")
        yield field, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of 1 to 10 bytes, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise _DamagedError("a number is cut off")
        byte, at = message[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
    raise _DamagedError("a number has too many bytes")
