"""Files of numbers from elsewhere (text, NumPy), read with care: never a pickle, never an unbounded array."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError

_MOST_BYTES = 1 << 30
_LONGEST_TEXT = 1 << 16


def read_text_numbers(path: Path) -> np.ndarray | None:
    """(N,) float64: the numbers of a small text file, one a line or apart by blanks or commas.

    Returns:
        The numbers, or None where the file is missing, too long for what it should hold or holds something else.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_LONGEST_TEXT + 1)
        if len(content) > _LONGEST_TEXT:
            return None
        return np.array([float(word) for word in content.decode("ascii").replace(",", " ").split()])
    except (OSError, ValueError):
        return None


def read_npy(path: Path) -> np.ndarray:
    """An array of real numbers from a ``.npy`` file, as float64.

    Raises:
        SiteTwinError: The file is missing, truncated, too large, or holds objects or other than real numbers.
    """
    try:
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(mapped, np.ndarray) or mapped.dtype.kind not in "fiu":
            raise SiteTwinError(f"'{path}' holds no array of real numbers; give the file as it was published")
        _check_size(path, mapped.shape)
        return np.array(mapped, dtype=np.float64)
    except SiteTwinError:
        raise
    except Exception as error:  # NumPy raises what its parser meets: SyntaxError, EOFError, UnicodeError, ...
        raise SiteTwinError(
            f"'{path}' cannot be read as a NumPy array ({_short(error)}); it is missing or damaged, copy it again"
        ) from error


def _check_size(path: Path, shape: tuple[int, ...]) -> None:
    if 8 * math.prod(int(n) for n in shape) > _MOST_BYTES:
        raise SiteTwinError(f"'{path}' claims an array of shape {tuple(shape)}, more than 1 GiB; check the file")


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
