"""Mutations of what lies within others: arrays in .npy, .npz and .mat, parts of GLB and PBF, packed files."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import scipy.io

from sitetwin.errors import SiteTwinError
from sitetwin.store.mat_files import read_mat
from tests.fuzz import documents, plain

_KINDS = ("<f4", "<f8", ">f8", "<i2", "<i4", "<i8", "<u8", "?", "<c8", "<c16", "<U3", "S4", "<f2", "<M8[s]")
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def array(old: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An array with other numbers, of another shape or of another kind."""
    kind = int(rng.integers(9))
    new = np.array(old)
    if kind <= 2 and new.size and new.dtype.kind in "fiuc":
        places = rng.integers(new.size, size=int((1, 2, new.size)[rng.integers(3)]))
        limits = np.iinfo(new.dtype) if new.dtype.kind in "iu" else None
        special = (np.nan, np.inf, -np.inf, 1e300, -1.0, 0.0, 1e-300, 90.0, 1e19)
        whole = (0, -1, 1, 2**31 - 1, 2**63 - 1, -(2**63), int(new.size), 7, 2)
        with np.errstate(all="ignore"):
            if limits is None:
                new.reshape(-1)[places] = special[rng.integers(9)]
            else:
                new.reshape(-1)[places] = np.clip(whole[rng.integers(9)], int(limits.min), int(limits.max))
        return new
    if kind == 3:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return new.astype(_KINDS[rng.integers(len(_KINDS))])
            except (TypeError, ValueError):
                return np.array(["x"])
    if kind == 4:
        return (new[None], new.reshape(-1), new[..., None], new.reshape(-1)[:0], new.reshape(-1)[:1])[rng.integers(5)]
    if kind == 5:
        return new.T if new.ndim > 1 else new[::-1] if new.ndim else new
    if kind == 6 and new.ndim and len(new):
        return new[: int(rng.integers(len(new)))] if rng.random() < 0.5 else np.concatenate([new, new[:1]])
    if kind == 7:
        return np.array([None, "x"], dtype=object) if rng.random() < 0.3 else np.array(1.5)
    if new.size and new.ndim:
        rng.shuffle(new)
    return new


def npy(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A NumPy file with another array, header or content."""
    kind = int(rng.integers(4))
    if kind == 0:
        return plain.flip(data, words, rng)
    if kind == 1:  # the header, a literal of Python
        end = data.find(b"\n") + 1
        return plain.number(data[:end], words, rng) + data[end:]
    try:
        old = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception:
        return data
    return _npy_bytes(array(old, rng))


def _npy_bytes(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=True)
    return stream.getvalue()


def archive(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A ZIP archive with other members, packed in another way, or with claims that do not hold."""
    if rng.random() < 0.3:
        return _forged(data, rng)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(item.filename, old.read(item)) for item in old.infolist()]
    except Exception:
        return data
    if not members:
        return data
    at, kind = int(rng.integers(len(members))), int(rng.integers(8))
    name, content = members[at]
    if kind <= 3:
        inner = npy if name.endswith(".npy") else documents.json_document
        members[at] = (name, inner(content, words, rng))
    elif kind == 4:
        del members[at]
    elif kind == 5:
        members.append((name, content))
    elif kind == 6:
        members[at] = (("../x.npy", "x.npy", "", "/x", name + "x", "ü.npy", "a/b.npy")[rng.integers(7)], content)
    else:
        members[at] = (name, b"\0" * (1 << 20) if rng.random() < 0.2 else plain.truncate(content, words, rng))
    stream = io.BytesIO()
    packing = _PACKINGS[rng.integers(4)] if rng.random() < 0.2 else zipfile.ZIP_STORED
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", packing) as new:
        warnings.simplefilter("ignore")
        for name, content in members:
            new.writestr(zipfile.ZipInfo(name), content, packing)
    return stream.getvalue()


def _forged(data: bytes, rng: np.random.Generator) -> bytes:
    """Another number in one of the archive's own headers."""
    changed = bytearray(data)
    marks = [i for mark in (b"PK\1\2", b"PK\3\4", b"PK\5\6") for i in _finds(data, mark)]
    if marks:
        at = marks[rng.integers(len(marks))] + 4 + int(rng.integers(42))
        new = struct.pack("<I", (0, 1, 9, 99, 0xFFFF, 0xFFFFFFFF, 0x7FFFFFFF, 1 << 20)[rng.integers(8)])
        width = (1, 2, 4)[rng.integers(3)]
        changed[at : at + width] = new[:width]
    return bytes(changed)


def _finds(data: bytes, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


def mat(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A MATLAB file with another array, packed or not, or other bytes where it is packed."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "x.mat").write_bytes(data)
        try:  # SciPy's reader ends the process over files that an earlier mutation has damaged
            content = {"x": read_mat(Path(folder) / "x.mat")}
        except SiteTwinError:
            return data
    if rng.random() < 0.15:
        content["more"] = np.eye(2)
    if rng.random() < 0.8:
        content["x"] = array(content["x"], rng)
    stream = io.BytesIO()
    try:
        scipy.io.savemat(stream, content, do_compression=bool(rng.random() < 0.5))
    except Exception:
        return data
    made = stream.getvalue()
    if made[128:129] == b"\x0f" and rng.random() < 0.5:
        inner = plain.binary_number(zlib.decompress(made[136:]), words, rng)
        repacked = zlib.compress(inner)
        made = made[:128] + struct.pack("<II", 15, len(repacked)) + repacked
    return made


def glb(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A GLB file with another document."""
    if len(data) < 20:
        return data
    (length,) = struct.unpack_from("<I", data, 12)
    text = documents.json_document(data[20 : 20 + length], words, rng)
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    return data[:4] + struct.pack("<III4s", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest


def pbf(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """An OSM PBF file of which one block, unpacked, is changed and put back."""
    blocks, at = [], 0
    while at + 4 < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        header = data[at + 4 : at + 4 + size]
        kind, length = header[2 : 2 + header[1]], _varint(header[header.find(b"\x18") + 1 :])
        body = data[at + 4 + size : at + 4 + size + length]
        blocks.append((kind, body))
        at += 4 + size + length
    chosen = int(rng.integers(len(blocks))) if blocks else 0
    out = b""
    for number, (kind, body) in enumerate(blocks):
        inner = _unpacked_blob(body)
        if number == chosen and inner is not None:
            inner = plain.BYTES[rng.integers(len(plain.BYTES))](inner, words, rng)
        blob = body if inner is None else b"\x0a" + _to_varint(len(inner)) + inner
        header = b"\x0a" + bytes([len(kind)]) + kind + b"\x18" + _to_varint(len(blob))
        out += struct.pack(">I", len(header)) + header + blob
    return out or data


def _unpacked_blob(body: bytes) -> bytes | None:
    """Content of a blob, of raw data or of `raw_size` and zlib data."""
    try:
        if body[:1] == b"\x0a":
            size = _varint(body[1:])
            return body[len(body) - size :]
        return zlib.decompress(body[body.index(b"\x78") :])
    except (ValueError, IndexError, zlib.error):
        return None


def _varint(data: bytes) -> int:
    value = 0
    for place, byte in enumerate(data[:9]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            break
    return value


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def records(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A TFRecord file of which one record's data are changed, with checksums that are right again."""
    rows, at = [], 0
    while at + 16 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        rows.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    if not rows:
        return data
    chosen = int(rng.integers(len(rows)))
    rows[chosen] = plain.BYTES[rng.integers(len(plain.BYTES))](rows[chosen], words, rng)
    out = b""
    for row in rows:
        head = struct.pack("<Q", len(row))
        out += head + _masked(head) + row + _masked(row)
    return out


def _masked(data: bytes) -> bytes:
    value = google_crc32c.value(data)
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def packed(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """A packed text: other content, or a bomb."""
    pack, unpack = (gzip.compress, gzip.decompress) if data[:2] == b"\x1f\x8b" else (bz2.compress, bz2.decompress)
    try:
        inner = unpack(data)
    except Exception:
        return data
    if len(inner) > plain.MOST:
        return data  # a bomb already
    if rng.random() < 0.05:
        return pack(inner + b" " * (1 << 25))
    if rng.random() < 0.1:
        return pack(inner) + pack(inner)
    inner = plain.LINES[rng.integers(len(plain.LINES))](inner, words, rng)
    if rng.random() < 0.1:
        return pack(pack(inner))
    return pack(inner)


def json_text(document: Any) -> bytes:
    """A document as a file holds it."""
    return json.dumps(document).encode()
