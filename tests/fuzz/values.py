"""Numbers, texts and values that readers stumble over."""

from __future__ import annotations

import struct
from copy import deepcopy
from typing import Any

import numpy as np

LONG = b"9" * 5000

NUMBERS: tuple[bytes, ...] = (
    *(b"0", b"-0.0", b"1", b"-1", b"2", b"3", b"0.1", b"-0.5", b"7.25", b"1e-9", b"1e-320", b"89.999", b"90", b"180"),
    *(b"-180.5", b"360", b"1000", b"1e5", b"1e6", b"-1e7", b"1e9", b"1e19", b"1e20", b"3.4e38", b"1e300", b"-1e300"),
    *(b"1.7976931348623157e308", b"1e400", b"-1e400", b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"127", b"128"),
    *(b"255", b"256", b"-32768", b"65535", b"65536", b"2147483647", b"2147483648", b"-2147483649", b"4294967296"),
    *(b"9007199254740993", b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"1e31", b"0x10"),
    *(
        b"1_000",
        b"1,5",
        b"1.5.2",
        b"++1",
        b"1e",
        b"",
        b" ",
        b"true",
        b"null",
        b"007",
        "٣".encode(),
        "\uff11\uff12".encode(),
    ),
    *(LONG, b"-" + LONG, b"0." + b"1" * 5000, b"1e" + b"9" * 30),
)
"""Spellings of numbers, for texts."""

TEXTS: tuple[str, ...] = (
    *(
        "",
        " ",
        "x",
        "NaN",
        "none",
        "0",
        "-1",
        "1e400",
        "\0",
        "a\0b",
        "é",
        "\ufeff",
        "\ud800",
        "\udfff\ud800",
        "\U0001d538",
        "\n",
    ),
    *("a\nb", "\r\n", "\t", "..", "../x", "../../../../etc/passwd", "/dev/zero", "/dev/stdin", "/", "~", "file:///x"),
    *("http://x/", "data:,", "x" * 300, "y" * 70_000, "%s%n", "{0}", "${a}", "$a", "<b>", "&amp;", "'", '"', "\\", ","),
    *("9" * 5000, "\u202e", "İ", "ß" * 40, "[red]x[/red]", "[/]"),
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 7, 255, 2**31 - 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**30, -(10**400)),
    *(0.0, -0.0, 0.5, 1e-9, 5e-324, 89.9, 180.1, 1e3, 1e5, 1e7, 1e10, 1e19, 1e38, 1e300, -1e300, 1.7e308),
    *(float("nan"), float("inf"), float("-inf")),
    *(
        [],
        {},
        [[]],
        [None],
        [{}],
        {"": None},
        {"a": {"a": []}},
        [0],
        [0, 0],
        [0.0, 1e300, None],
        [[0, 0]] * 3,
        [1] * 70,
    ),
    *([[0.0, 0.0, 0.0]] * 4, [[[[0, 0]]]], {"type": "x"}, {"x": 1, "y": 2}, [True, "a"], ["a", "b"]),
)
"""Values of other types, for documents; `TEXTS` are taken too."""


def value(rng: np.random.Generator) -> Any:
    """One of `VALUES` or `TEXTS`."""
    if rng.random() < 0.35:
        return TEXTS[rng.integers(len(TEXTS))]
    return deepcopy(VALUES[rng.integers(len(VALUES))])


def near(old: Any, rng: np.random.Generator) -> Any:
    """A value that is like another, but not it."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return old + int(rng.integers(-2, 3)) if rng.random() < 0.5 else int(rng.integers(0, 12))
    if isinstance(old, float):
        return float(old * 10.0 ** int(rng.integers(-7, 8)) * (1 if rng.random() < 0.7 else -1))
    if isinstance(old, str) and old:
        at = int(rng.integers(len(old)))
        return [old[:at], old[at:], old * 3, old.upper(), old + "x", old[::-1]][rng.integers(6)]
    if isinstance(old, list) and old:
        return [old[::-1], old[:-1], old * 2, old[:1], [*old, old[0]], [old]][rng.integers(6)]
    return value(rng)


def packed(rng: np.random.Generator) -> bytes:
    """A number as a binary file holds it, of 1, 2, 4 or 8 bytes."""
    kind = "bBhHiIqQfd"[rng.integers(10)]
    order = "<>"[rng.integers(2)]
    if kind in "fd":
        chosen = (0.0, -1.0, 1e10, 3e38, float("nan"), float("inf"), 1e-40)[rng.integers(7)]
    else:
        bits = 8 * struct.calcsize(kind)
        low, high = (0, 2**bits - 1) if kind.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        chosen = (low, high, 0, 1, high // 2, 127, 16, high - 1)[rng.integers(8)]
    return struct.pack(order + kind, chosen)
