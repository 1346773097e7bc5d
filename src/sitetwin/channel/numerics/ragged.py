"""Sums over each user's paths of products of two factors, the heart of every channel here.

``out[u] = sum_{p of u} left[p] (x) right[p]`` is a batched matrix product over ragged numbers of paths. Users with
equally many paths are taken together, whatever order they stand in: nothing is padded. Factors and sums are made batch
by batch in buffers that stay in the cache; finished sums go to their users' places past the caches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.numerics import kernels
from sitetwin.channel.numerics.parallel import in_parallel

PIECE_BYTES = 8 << 20
"""Sums that a thread makes at once before it asks for more work."""

BATCH_BYTES = 2 << 20
"""Factors, and sums, of one batched product: few enough for the caches, enough to hide the cost of calls."""

STREAMED_BYTES = 32 << 20
"""Smaller results may be read again while they are in the cache, and are written in the ordinary way."""

_LINE = 64  # bytes of a cache line


class Buffers:
    """Memory for the two factors of a batch of paths.

    Attributes:
        left: (n, inner * height).
        right: (n, inner * columns).
        left_real: The left factors' memory for compiled loops, (n, inner * height) or, if complex, twice as wide.
        right_real: The right factors' memory for compiled loops, (n, inner * columns) or, if complex, twice as wide.
    """

    def __init__(self, left: Tensor, right: Tensor) -> None:
        self.left, self.right = left, right
        self.left_real, self.right_real = (
            (torch.view_as_real(b).flatten(1) if b.is_complex() else b).numpy() for b in (left, right)
        )


Spell = Callable[[np.ndarray, Buffers | None], tuple[Tensor, Tensor]]
Finish = Callable[[Tensor], object]


@dataclass(frozen=True)
class Factors:
    """The two factors of each path's share.

    Attributes:
        spell: From path rows (n,) int64 and buffers of at least n rows, or None, to the left and right factors
            (>= n, inner * height) and (>= n, inner * columns), contiguous, in the buffers or in memory of their own.
        height: M.
        columns: K.
        dtype: Type of both.
        rows: Number of paths that `spell` and `write` know.
        inner: Terms per path.
        write: Makes the sums of a piece itself, given it, the address of all the sums (users, height, columns), and
            whether to write past the caches, in place of `spell` and a batched product; or None.
    """

    spell: Spell
    height: int
    columns: int
    dtype: torch.dtype
    rows: int
    inner: int = 1
    write: Callable[[Piece, int, bool], None] | None = None


@dataclass(frozen=True)
class Piece:
    """Users with equally many paths.

    Attributes:
        places: (n,) int64, where their sums belong.
        start: (n,) int64, first path of each.
        width: Paths of each.
    """

    places: np.ndarray
    start: np.ndarray
    width: int

    @property
    def rows(self) -> np.ndarray:
        """(n * width,) int64, paths of the users, one user after the other."""
        rows: np.ndarray = (self.start[:, None] + np.arange(self.width)).ravel()
        return rows


def pieces(offsets: Tensor, most_users: int, order: Tensor | None = None) -> Iterator[Piece]:
    """Sort users by their number of paths and cut them into pieces of equal numbers.

    Args:
        offsets: (U + 1,) int64.
        most_users: Users per piece.
        order: (N,) the users wanted, in this order; all by default. Places count in it.
    """
    start, counts = offsets.numpy()[:-1], np.diff(offsets.numpy())
    if order is not None:
        start, counts = start[order.numpy()], counts[order.numpy()]
    if not len(counts):
        return
    sorted_places = np.argsort(counts, kind="stable")
    widths = counts[sorted_places]
    edges = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]
    for first, last in pairwise(edges):
        for begin in range(first, last, most_users):
            places = sorted_places[begin : min(begin + most_users, last)]
            yield Piece(places, start[places], int(widths[first]))


def new_output(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Uninitialised memory for results, on a cache line's boundary.

    NumPy asks the kernel for large pages, PyTorch does not.
    """
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.empty(size + _LINE, dtype=np.uint8)
    begin = -raw.ctypes.data % _LINE
    return torch.from_numpy(raw[begin : begin + size]).view(dtype).view(shape)


def sum_over_paths(
    offsets: Tensor,
    factors: Factors,
    out: Tensor | None = None,
    *,
    recorded: bool = False,
    order: Tensor | None = None,
    finish: Finish | None = None,
) -> Tensor:
    """``out[u, m, k] = sum over paths p of user u, and i < inner, of left[p, i, m] right[p, i, k]``.

    Args:
        offsets: (U + 1,) int64.
        factors: Left and right factors.
        out: (U, M, K) to write into, contiguous; made if None, of the factors' type.
        recorded: Whether gradients are to be recorded; then nothing is written in place and `out` is not used.
        order: (N,) the users wanted, in this order; all by default.
        finish: Changes the sums (n, M, K) of some users in place while they are in the cache. Not with `recorded`.

    Returns:
        (U, M, K) or (N, M, K), or `out`.

    Raises:
        ValueError: Offsets, order or `out` would lead compiled loops past an array's end, or leave a part of the sums
            unwritten.
    """
    _check_places(offsets, factors.rows, order)
    shape = (len(offsets) - 1 if order is None else len(order), factors.height, factors.columns)
    if recorded:
        return _recorded(offsets, factors, shape, order)
    target = new_output(shape, factors.dtype) if out is None else out
    if tuple(target.shape) != shape or target.dtype != factors.dtype or not target.is_contiguous():
        raise ValueError(
            f"sums of shape {shape}, {factors.dtype}, do not fit into {tuple(target.shape)}, {target.dtype}"
        )
    work = _Products(factors, target, finish)
    most = max(work.users_at_once, PIECE_BYTES // max(1, work.row_bytes))
    threads = max(1, torch.get_num_threads())
    most = max(1, min(most, -(-shape[0] // (4 * threads))))
    with torch.no_grad():
        written = sum(in_parallel(work, pieces(offsets, most, order)))
    if written != shape[0]:
        raise ValueError(f"sums of {written} users were written, and {shape[0]} are due")
    return target


def _check_places(offsets: Tensor, rows: int, order: Tensor | None) -> None:
    """Offsets must rise from 0 to the number of rows, and users be among theirs."""
    edges = offsets.numpy()
    if not len(edges) or edges[0] != 0 or edges[-1] != rows or bool((edges[1:] < edges[:-1]).any()):
        raise ValueError(f"offsets do not rise from 0 to {rows}, the number of paths")
    if order is not None and len(order) and not 0 <= int(order.min()) <= int(order.max()) < len(edges) - 1:
        raise ValueError(f"users {int(order.min())} to {int(order.max())} are not all among {len(edges) - 1}")


class _Products:
    """Computes the sums of one piece at a time, on any thread."""

    def __init__(self, factors: Factors, target: Tensor, finish: Finish | None) -> None:
        self.factors, self.target, self.finish = factors, target, finish
        self.row_bytes = factors.height * factors.columns * factors.dtype.itemsize
        self.path_bytes = (factors.height + factors.columns) * factors.inner * factors.dtype.itemsize
        self.users_at_once = max(1, BATCH_BYTES // max(1, self.row_bytes))
        large = len(target) * self.row_bytes >= STREAMED_BYTES
        self.streams = large and not target.data_ptr() % _LINE and not self.row_bytes % _LINE
        self.local = threading.local()

    def memory(self, rows: int) -> tuple[Buffers, Tensor]:
        """This thread's buffers for at least so many rows of factors, and for sums."""
        f = self.factors
        if not hasattr(self.local, "buffers") or len(self.local.buffers.left) < rows:
            widths = f.inner * f.height, f.inner * f.columns
            self.local.buffers = Buffers(*(new_output((rows, width), f.dtype) for width in widths))
            self.local.sums = new_output((self.users_at_once, f.height, f.columns), f.dtype)
        return self.local.buffers, self.local.sums

    def __call__(self, piece: Piece) -> int:
        """Write the sums of a piece; returns of how many users."""
        if not piece.width:
            self.target[torch.from_numpy(piece.places)] = 0
            return len(piece.places)
        if self.factors.write is not None and self.finish is None:
            self.factors.write(piece, self.target.data_ptr(), self.streams)
            return len(piece.places)
        f, terms, rows = self.factors, piece.width * self.factors.inner, piece.rows
        most = max(1, min(self.users_at_once, BATCH_BYTES // (piece.width * self.path_bytes)))
        buffers, room = self.memory(most * piece.width)
        left_shape, left_step = (most, f.height, terms), (terms * f.height, 1, f.height)
        right_shape, right_step = (most, terms, f.columns), (terms * f.columns, f.columns, 1)
        for first in range(0, len(piece.places), most):
            places = piece.places[first : first + most]
            users = len(places)
            left, right = f.spell(rows[first * piece.width : (first + users) * piece.width], buffers)
            left = left.as_strided((users, *left_shape[1:]), left_step)
            right = right.as_strided((users, *right_shape[1:]), right_step)
            sums = room[:users]
            torch.bmm(left, right, out=sums)
            if self.finish is not None:
                self.finish(sums)
            if self.streams:
                kernels.stream_rows(room.data_ptr(), places, self.target.data_ptr(), self.row_bytes)
            else:
                self.target[torch.from_numpy(places)] = sums
        return len(piece.places)


def _recorded(offsets: Tensor, factors: Factors, shape: tuple[int, ...], order: Tensor | None) -> Tensor:
    """Compute the sums without writing in place, so that gradients can be recorded."""
    parts, places = [torch.zeros(0, *shape[1:], dtype=factors.dtype)], [np.zeros(0, np.int64)]
    for piece in pieces(offsets, max(1, shape[0]), order):
        users = len(piece.places)
        places.append(piece.places)
        if not piece.width:
            parts.append(parts[0].new_zeros(users, *shape[1:]))
            continue
        left, right = factors.spell(piece.rows, None)
        left = left.reshape(users, -1, factors.height).transpose(1, 2)
        parts.append(torch.bmm(left, right.reshape(users, -1, factors.columns)))
    return in_place_order(parts, places)


def in_place_order(parts: list[Tensor], places: list[np.ndarray]) -> Tensor:
    """Rows of all parts, each at its place."""
    back = torch.from_numpy(np.argsort(np.concatenate(places), kind="stable"))
    return torch.cat(parts).index_select(0, back)
