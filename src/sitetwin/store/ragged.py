"""Ragged arrays: groups of rows of unequal size, one after the other, and the offsets at which they begin."""

from __future__ import annotations

import numpy as np
from jaxtyping import Integer
from numpy.typing import ArrayLike

from sitetwin.errors import SiteTwinError


def take_groups(
    offsets: Integer[np.ndarray, " edges"], groups: Integer[np.ndarray, " taken"]
) -> tuple[Integer[np.ndarray, " taken_edges"], Integer[np.ndarray, " rows"]]:
    """Take some groups of a ragged array, in the given order: offsets and rows.

    Args:
        offsets: (G + 1,) ascending from 0; the rows of group g are ``offsets[g]:offsets[g + 1]``.
        groups: (N,) indices of the groups, which may repeat.

    Returns:
        The (N + 1,) offsets of the taken groups, and the rows of the old arrays that they consist of.
    """
    counts = np.diff(offsets)[groups]
    taken = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
    rows = np.arange(taken[-1]) + np.repeat(offsets[groups] - taken[:-1], counts)
    return taken, rows


def checked_selection(chosen: ArrayLike, size: int, what: str) -> Integer[np.ndarray, " taken"]:
    """Check a selection, given by index or as a mask, and return its indices.

    Args:
        chosen: (N,) whole numbers from 0 to ``size - 1``, or (size,) bool.
        size: Number of things to choose from.
        what: Name of the things in the plural, for messages.

    Returns:
        (N,) int64.

    Raises:
        SiteTwinError: A mask has another length, an index lies outside, or `chosen` is neither.
    """
    index = np.asarray(chosen)
    if index.ndim == 1 and index.dtype == np.bool_:
        if len(index) != size:
            raise SiteTwinError(f"a mask of {len(index)} entries cannot select among {size} {what}; give one for each")
        return np.flatnonzero(index)
    if index.ndim == 1 and not index.size:
        return np.zeros(0, dtype=np.int64)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise SiteTwinError(
            f"{what} are selected by an array of whole numbers or a mask of one dimension, not by "
            f"{index.dtype} of shape {index.shape}"
        )
    if index.min() < 0 or index.max() >= size:
        wrong = index[(index < 0) | (index >= size)][0]
        raise SiteTwinError(f"there is no number {wrong} among {size} {what}; they count from 0 to {size - 1}")
    return index.astype(np.int64)
