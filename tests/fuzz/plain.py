"""Mutations of bytes and of lines, which know nothing of the format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from tests.fuzz.values import NUMBERS, TEXTS, packed

MOST = 1 << 20
"""Bytes that a mutated file may have: a large file is slow for other reasons than its content."""

_NUMBER = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[A-Za-z_][A-Za-z_0-9:.-]*")
_OPEN = (b"[", b"{", b'{"a":', b"[[", b"<a>", b"(", b"a.", b'"', b"begin_<x>\n", b"[a]\n", b"\t", b"-")

Mutation = Callable[[bytes, Sequence[bytes], np.random.Generator], bytes]


def _range(data: bytes, rng: np.random.Generator, longest: int = 64) -> tuple[int, int]:
    begin = int(rng.integers(len(data) + 1))
    return begin, min(len(data), begin + int(rng.integers(1, longest + 1)))


def flip(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Change some bits or bytes."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if changed else 0):
        at = int(rng.integers(len(changed)))
        changed[at] = (changed[at] ^ (1 << int(rng.integers(8)))) if rng.random() < 0.6 else int(rng.integers(256))
    return bytes(changed)


def binary_number(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Write a number as binary files hold it over the bytes at a place, mostly a multiple of four."""
    new = packed(rng)
    at = int(rng.integers(len(data) + 1))
    at = at - at % 4 if rng.random() < 0.7 else at
    return data[:at] + new + data[at + len(new) :]


def truncate(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def cut(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    begin, end = _range(data, rng, 200)
    return data[:begin] + data[end:]


def double(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Repeat a block, now and then very often."""
    begin, end = _range(data, rng, 400)
    times = int((2, 3, 10, 300)[rng.choice(4, p=(0.5, 0.3, 0.15, 0.05))])
    return data[:end] + data[begin:end] * times + data[end:]


def splice(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Copy a block of the file to another place of it."""
    begin, end = _range(data, rng, 400)
    at, over = _range(data, rng, 200)
    return data[:at] + data[begin:end] + data[over if rng.random() < 0.5 else at :]


def token(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Put a word of the format in, or in the place of another word."""
    new = words[rng.integers(len(words))] if words else b"x"
    found = list(_WORD.finditer(data[:MOST]))
    if found and rng.random() < 0.6:
        old = found[rng.integers(len(found))]
        return data[: old.start()] + new + data[old.end() :]
    at = int(rng.integers(len(data) + 1))
    return data[:at] + new + data[at:]


def number(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Replace numbers by others, in their spelling as text."""
    found = list(_NUMBER.finditer(data[:MOST]))
    if not found:
        return data
    for _ in range(int(rng.integers(1, 4))):
        old = found[rng.integers(len(found))]
        new = NUMBERS[rng.integers(len(NUMBERS))]
        if rng.random() < 0.3:  # another one of the file, or a digit more
            other = found[rng.integers(len(found))].group()
            new = other if rng.random() < 0.6 else old.group() + other[:1]
        data = data[: old.start()] + new + data[old.end() :]
        found = list(_NUMBER.finditer(data[:MOST]))
        if not found:
            break
    return data


def number_everywhere(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Replace one number wherever it stands."""
    found = list(_NUMBER.finditer(data[:MOST]))
    if not found:
        return data
    return data.replace(found[rng.integers(len(found))].group(), NUMBERS[rng.integers(len(NUMBERS))])


def lines(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Swap, drop, double or turn lines."""
    rows = data.split(b"\n")
    a, b = (int(rng.integers(len(rows))) for _ in range(2))
    a, b = min(a, b), max(a, b)
    kind = int(rng.integers(6))
    if kind == 0:
        rows[a], rows[b] = rows[b], rows[a]
    elif kind == 1:
        del rows[a : a + int(rng.integers(1, 4))]
    elif kind == 2:
        rows[a:a] = rows[a : a + 3]
    elif kind == 3:
        rows[a:b] = rows[a:b][::-1]
    elif kind == 4:
        del rows[a : b + 1]
    else:
        rows[b:b] = rows[a : a + 1] * 50
    return b"\n".join(rows)


def columns(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Drop, double or swap a column of a table, or change what parts it."""
    mark = next((m for m in (b",", b";", b"\t", b" ") if m in data), b",")
    rows = [row.split(mark) for row in data.split(b"\n")]
    a, b = int(rng.integers(8)), int(rng.integers(8))
    kind = int(rng.integers(4))
    for row in rows:
        if kind == 0:
            del row[a : a + 1]
        elif kind == 1 and a < len(row):
            row.insert(b, row[a])
        elif kind == 2 and max(a, b) < len(row):
            row[a], row[b] = row[b], row[a]
    other = (b";", b",", b"\t", b" ", b", ", b"|")[rng.integers(6)] if kind == 3 else mark
    return b"\n".join(other.join(row) for row in rows)


def nest(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Put many opening brackets in."""
    at = int(rng.integers(len(data) + 1))
    return data[:at] + _OPEN[rng.integers(len(_OPEN))] * int((30, 1100, 30_000)[rng.integers(3)]) + data[at:]


def text(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Put an odd text in."""
    at = int(rng.integers(len(data) + 1))
    return data[:at] + TEXTS[rng.integers(len(TEXTS))].encode("utf-8", "surrogatepass") + data[at:]


def encoding(data: bytes, words: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """Write the text in another encoding, or with marks, line ends and half characters of others."""
    plain = data.decode("latin-1")
    return (
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data + b"\xef\xbb\xbf",
        lambda: plain.encode("utf-16"),
        lambda: plain.encode("utf-16-be"),
        lambda: plain.encode("utf-32"),
        lambda: plain.encode("utf-8").replace(b"e", b"\xe9"),
        lambda: data.replace(b"\n", b"\r"),
        lambda: data.replace(b"\n", b"\r\n"),
        lambda: data.replace(b"a", b"\xed\xa0\x80", 1),
        lambda: data.replace(b"e", b"\\ud800", 1),
        lambda: data.replace(b" ", b"\0", 2),
        lambda: data.replace(b" ", b"\xc2\xa0"),
        lambda: data.replace(b"\n", "\u2028".encode()),
        lambda: data.replace(b".", b","),
        lambda: data.upper(),
        lambda: b"",
        lambda: b"\n" * 1000,
        lambda: b"\0" * 300,
    )[rng.integers(18)]()


BYTES: tuple[Mutation, ...] = (flip, flip, binary_number, binary_number, truncate, cut, double, splice)
LINES: tuple[Mutation, ...] = (
    flip,
    truncate,
    cut,
    double,
    splice,
    token,
    token,
    number,
    number,
    number,
    lines,
    lines,
    nest,
)
LINES += (number_everywhere, text, encoding, columns)
