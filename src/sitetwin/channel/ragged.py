"""Sums over each user's paths of products of two factors, the heart of every channel here.

``out[u] = sum_{p of u} left[p] (x) right[p]`` is a batched matrix product over ragged numbers of paths. A few
neighbouring users at a time are padded to the longest of them with paths of zero gain, so that products go straight
to their place: for channels of tens of kilobytes, writing them twice would cost more than the padding. Factors are
made piece by piece in buffers that stay in the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.parallel import in_parallel

NEIGHBOURS = 8
"""Users padded to a common number of paths."""

PIECE_ROWS = 8192
"""Most paths whose small factors (phases, combs) are made at once: enough to hide the cost of calling PyTorch."""

LEAST_ROWS, SHARES = 4096, 16
"""Smaller jobs are cut into about so many pieces of no fewer paths than that, for the threads to share."""

SPELLED_BYTES = 3 << 20
"""Size of the factors spelled out at once, bytes: they go from the cache into the product."""


class Run(NamedTuple):
    """Consecutive users with equally many paths, padding included.

    Attributes:
        first: First user.
        last: One past the last user.
        width: Paths of each.
        row: Place of the first path in the piece.
    """

    first: int
    last: int
    width: int
    row: int

    @property
    def num_rows(self) -> int:
        """Paths of all its users."""
        return (self.last - self.first) * self.width


@dataclass(frozen=True)
class Piece:
    """Consecutive users, their paths in order with padding between.

    Attributes:
        first: First user.
        last: One past the last user.
        rows: (n,) int64, paths; a padded place repeats some path.
        padded: (m,) int64, places in `rows` that are padding.
        runs: Runs of users with equal widths, in order.
    """

    first: int
    last: int
    rows: Tensor
    padded: Tensor
    runs: list[Run]

    def batches(self, most_rows: int) -> Iterator[list[Run]]:
        """Runs, long ones cut, gathered into batches of about `most_rows` paths."""
        batch: list[Run] = []
        filled = 0
        for whole in self.runs:
            users = max(1, most_rows // max(1, whole.width))
            for first in range(whole.first, whole.last, users):
                run = Run(
                    first, min(first + users, whole.last), whole.width, whole.row + (first - whole.first) * whole.width
                )
                if batch and filled + run.num_rows > most_rows:
                    yield batch
                    batch, filled = [], 0
                batch.append(run)
                filled += run.num_rows
        if batch:
            yield batch


def pieces(
    offsets: Tensor, most_rows: int, neighbours: int = NEIGHBOURS, order: Tensor | None = None
) -> Iterator[Piece]:
    """Cut users into pieces of about `most_rows` paths, padding included.

    Args:
        offsets: (U + 1,) int64.
        most_rows: Paths per piece (at least those of one block of neighbours).
        neighbours: Users padded to a common width.
        order: (N,) the users wanted, in this order; all by default. Pieces then count places in it, not users.
    """
    start, counts = offsets.numpy()[:-1], np.diff(offsets.numpy())
    if order is not None:
        start, counts = start[order.numpy()], counts[order.numpy()]
    users = len(counts)
    if not users:
        return
    starts = np.arange(0, users, neighbours)
    width = np.maximum.reduceat(counts, starts)
    width = np.repeat(width, np.diff(np.append(starts, users)))
    ends = np.cumsum(width)
    first = 0
    while first < users:
        done = ends[first - 1] if first else 0
        last = int(np.searchsorted(ends, done + most_rows, side="right"))
        last = min(users, max(last // neighbours * neighbours, first + neighbours))
        if users - last < neighbours:
            last = users
        yield _piece(start, counts, width, first, last)
        first = last


def _piece(start: np.ndarray, counts: np.ndarray, width: np.ndarray, first: int, last: int) -> Piece:
    own, wide = counts[first:last], width[first:last]
    begin = np.cumsum(wide) - wide
    slot = np.arange(int(wide.sum())) - np.repeat(begin, wide)
    rows = np.repeat(start[first:last], wide) + slot
    padding = np.flatnonzero(slot >= np.repeat(own, wide))
    rows[padding] = 0
    changes = np.flatnonzero(np.diff(wide)) + 1
    edges = [0, *changes.tolist(), last - first]
    runs = [Run(first + a, first + b, int(wide[a]), int(begin[a])) for a, b in pairwise(edges)]
    return Piece(first, last, torch.from_numpy(rows), torch.from_numpy(padding), runs)


Buffers = tuple[Tensor, Tensor] | None
Spell = Callable[..., tuple[Tensor, Tensor]]
Finish = Callable[[Tensor, int, int], None]


@dataclass(frozen=True)
class Factors:
    """The two factors of each path's share.

    Attributes:
        prepare: From path rows (n,) and the places among them that are padding, to a function that spells out the left
            and right factors of a slice of them, (m, inner * height) and (m, inner * columns), contiguous; at padding
            the left factor is zero (see `silence`). It may write them into two buffers, its second argument.
        height: M.
        columns: K.
        dtype: Type of both.
        inner: Terms per path.
    """

    prepare: Callable[[Tensor, Tensor], Spell]
    height: int
    columns: int
    dtype: torch.dtype
    inner: int = 1


def silence(factor: Tensor, padded: Tensor) -> Tensor:
    """A new factor zeroed at its rows of padding, in place where no gradient is recorded."""
    if not len(padded):
        return factor
    return factor.index_fill(0, padded, 0) if factor.requires_grad else factor.index_fill_(0, padded, 0)


def new_output(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Uninitialised memory for results; NumPy asks the kernel for large pages, PyTorch does not."""
    return torch.from_numpy(np.empty(shape, dtype=np.complex64 if dtype == torch.complex64 else np.complex128))


def sum_over_paths(
    offsets: Tensor,
    factors: Factors,
    out: Tensor | None = None,
    *,
    recorded: bool = False,
    neighbours: int = NEIGHBOURS,
    order: Tensor | None = None,
    finish: Finish | None = None,
) -> Tensor:
    """``out[u, m, k] = sum over paths p of user u, and i < inner, of left[p, i, m] right[p, i, k]``.

    Args:
        offsets: (U + 1,) int64.
        factors: Left and right factors.
        out: (U, M, K) to write into, contiguous; made if None, of the factors' type.
        recorded: Whether gradients are to be recorded; then nothing is written in place and `out` is not used.
        neighbours: Users padded to a common number of paths: more for small matrices.
        order: (N,) the users wanted, in this order; all by default. Users with equally many paths side by side need no
            padding.
        finish: Writes the sums (n, M, K) of the users at places first to last of the order, its three arguments, while
            they are in the cache; then `out` must be given and is left to it. Not with `recorded`.

    Returns:
        (U, M, K) or (N, M, K), or `out`.
    """
    if recorded:
        whole = _recorded(offsets, factors)
        return whole if order is None else whole.index_select(0, order)
    shape = (len(offsets) - 1 if order is None else len(order), factors.height, factors.columns)
    target = new_output(shape, factors.dtype) if out is None else out
    if not int(offsets[-1]):
        return target.zero_()
    work = _Products(factors, target, finish)
    rows = min(PIECE_ROWS, max(LEAST_ROWS, int(offsets[-1]) // SHARES))
    with torch.no_grad():
        for _ in in_parallel(work, pieces(offsets, rows, neighbours, order)):
            pass
    return target


class _Products:
    """Computes the sums of one piece at a time, on any thread."""

    def __init__(self, factors: Factors, target: Tensor, finish: Finish | None) -> None:
        self.factors, self.target, self.finish = factors, target, finish
        spelled = (factors.height + factors.columns) * factors.inner * factors.dtype.itemsize
        self.most = max(1, SPELLED_BYTES // spelled)
        self.local = threading.local()

    def buffers(self, rows: int) -> tuple[Tensor, Tensor]:
        """This thread's buffers for the two factors."""
        if not hasattr(self.local, "buffers") or len(self.local.buffers[0]) < rows:
            f = self.factors
            size, widths = max(self.most, rows), (f.inner * f.height, f.inner * f.columns)
            self.local.buffers = tuple(torch.empty(size, width, dtype=f.dtype) for width in widths)
        return self.local.buffers

    def __call__(self, piece: Piece) -> None:
        if self.finish is None:
            self.sum(piece, self.target, 0)
            return
        users = piece.last - piece.first
        if not hasattr(self.local, "sums") or len(self.local.sums) < users:
            self.local.sums = torch.empty(users, self.factors.height, self.factors.columns, dtype=self.factors.dtype)
        sums = self.local.sums[:users]
        self.sum(piece, sums, piece.first)
        self.finish(sums, piece.first, piece.last)

    def sum(self, piece: Piece, target: Tensor, origin: int) -> None:
        """Write the sums of a piece's users to the target, whose first row is user `origin`."""
        height, columns, inner = self.factors.height, self.factors.columns, self.factors.inner
        spell = self.factors.prepare(piece.rows, piece.padded)
        for batch in piece.batches(self.most):
            start, stop = batch[0].row, batch[-1].row + batch[-1].num_rows
            left, right = spell(slice(start, stop), self.buffers(stop - start))
            begin = left.storage_offset(), right.storage_offset()
            for run in batch:
                place = target[run.first - origin : run.last - origin]
                if not run.width:
                    place.zero_()
                    continue
                users, terms = run.last - run.first, run.width * inner
                at = (run.row - start) * inner
                size, step = (users, height, terms), (terms * height, 1, height)
                a = left.as_strided(size, step, begin[0] + at * height)
                size, step = (users, terms, columns), (terms * columns, columns, 1)
                b = right.as_strided(size, step, begin[1] + at * columns)
                torch.bmm(a, b, out=place)


def _recorded(offsets: Tensor, factors: Factors) -> Tensor:
    """The same, writing nothing in place."""
    parts = [torch.zeros(0, factors.height, factors.columns, dtype=factors.dtype)]
    for piece in pieces(offsets, PIECE_ROWS, neighbours=1):
        spell = factors.prepare(piece.rows, piece.padded) if len(piece.rows) else None
        for run in piece.runs:
            users = run.last - run.first
            if spell is None or not run.width:
                parts.append(parts[0].new_zeros(users, factors.height, factors.columns))
                continue
            a, b = spell(slice(run.row, run.row + run.num_rows))
            a = a.reshape(users, -1, factors.height).transpose(1, 2)
            parts.append(torch.bmm(a, b.reshape(users, -1, factors.columns)))
    return torch.cat(parts)
