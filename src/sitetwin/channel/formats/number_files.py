"""Files of numbers from elsewhere (text, NumPy), read with care: never a pickle, never an unbounded array."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import arrays as untrusted_arrays
from sitetwin.untrusted import read_bytes

_LONGEST_TEXT = 1 << 16
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?")


def read_text_numbers(path: Path) -> Float[np.ndarray, " numbers"]:
    """Read the numbers of a small text file: one a line, or apart by blanks, commas or semicolons.

    Returns:
        float64; NaN and infinities where the file says so.

    Raises:
        SiteTwinError: The file is missing, too long for what it should hold, or holds something else: words, decimal
            commas, or a second column that numbers the lines. The message says which.
    """
    content = read_bytes(path, f"'{path}'", _LONGEST_TEXT)
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise SiteTwinError(f"'{path}' is no text") from error
    if len(lines) > 1 and all(_DECIMAL_COMMA.fullmatch(line) for line in lines):
        raise SiteTwinError(f"'{path}' has decimal commas ('{lines[0]}'); write decimal points")
    rows = [_words(path, number, line) for number, line in enumerate(lines, start=1)]
    if len(rows) > 1 and {len(row) for row in rows} == {2}:
        first = [row[0] for row in rows]
        if first in ([float(n) for n in range(len(rows))], [n + 1.0 for n in range(len(rows))]):
            raise SiteTwinError(f"'{path}' has two columns, of which the first numbers the lines; leave that out")
    return np.array([number for row in rows for number in row], dtype=np.float64)


def _words(path: Path, number: int, line: str) -> list[float]:
    """The numbers of one line."""
    try:
        return [float(word) for word in line.replace(",", " ").replace(";", " ").split()]
    except ValueError as error:
        raise SiteTwinError(f"line {number} of '{path}' is no number: '{line[:30]}'") from error


def read_npy(path: Path) -> np.ndarray:
    """An array of real numbers from a ``.npy`` file, as float64.

    Raises:
        SiteTwinError: The file is missing, truncated, too large, or holds objects or other than real numbers.
    """
    return untrusted_arrays.read_npy(path, f"'{path}'", "it is missing or damaged, copy it again")
