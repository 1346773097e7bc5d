"""Sums over each user's paths of products of two factors, the heart of every channel here.

``out[u] = sum_{p of u} left[p] (x) right[p]``: users are grouped by their number of paths, so that a group is one batched
matrix product without padding, done in pieces that stay in the cache, factors and all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from sitetwin.channel.parallel import in_parallel

PIECE_BYTES = 2 << 20
"""Size of the right factors made at once, bytes."""

PRODUCT_BYTES = 1 << 19
"""Size of the products made at once before they are sent to their users' places, bytes."""


@dataclass(frozen=True)
class Piece:
    """Users with equally many paths.

    Attributes:
        count: Paths of each.
        users: (n,) int64.
        rows: (n * count,) int64, their paths.
        consecutive: Whether the users follow one another.
    """

    count: int
    users: Tensor
    rows: Tensor
    consecutive: bool


def pieces(offsets: Tensor, most_paths: int) -> Iterator[Piece]:
    """Users grouped by their number of paths, fewest first.

    Args:
        offsets: (U + 1,) int64.
        most_paths: Paths per piece (at least one user's).
    """
    counts = torch.diff(offsets)
    order = torch.argsort(counts, stable=True)
    values, sizes = torch.unique_consecutive(counts[order], return_counts=True)
    start = 0
    for count, size in zip(values.tolist(), sizes.tolist(), strict=True):
        members = order[start : start + size]
        start += size
        steps = torch.arange(count)
        for users in members.split(size if count == 0 else max(1, most_paths // count)):
            consecutive = int(users[-1]) - int(users[0]) == len(users) - 1
            yield Piece(count, users, (offsets[users][:, None] + steps).flatten(), consecutive)


@dataclass(frozen=True)
class Factors:
    """The two factors of each path's share.

    Attributes:
        left: From path rows (n,) to (n, inner * height).
        right: From path rows (n,) to (n, inner * columns).
        height: M.
        columns: K.
        dtype: Complex type of both.
        inner: Terms per path.
    """

    left: Callable[[Tensor], Tensor]
    right: Callable[[Tensor], Tensor]
    height: int
    columns: int
    dtype: torch.dtype
    inner: int = 1

    def of(self, piece: Piece) -> tuple[Tensor, Tensor]:
        """(n, M, c) and (n, c, K) of a piece."""
        users, terms = len(piece.users), piece.count * self.inner
        left = self.left(piece.rows).reshape(users, terms, self.height).transpose(1, 2)
        return left, self.right(piece.rows).reshape(users, terms, self.columns)


def sum_over_paths(offsets: Tensor, factors: Factors, out: Tensor | None = None, *, recorded: bool = False) -> Tensor:
    """``out[u, m, k] = sum over paths p of user u, and i < inner, of left[p, i, m] right[p, i, k]``.

    Args:
        offsets: (U + 1,) int64.
        factors: Left and right factors.
        out: (U, M, K) to write into, contiguous; made if None.
        recorded: Whether gradients are to be recorded; then nothing is written in place and `out` is not used.

    Returns:
        (U, M, K).
    """
    cell = factors.dtype.itemsize
    most = max(1, PIECE_BYTES // (factors.columns * factors.inner * cell))
    if recorded:
        return gathered(offsets, most, lambda piece: torch.bmm(*factors.of(piece)), (factors.height, factors.columns))
    if out is None:
        out = torch.empty(len(offsets) - 1, factors.height, factors.columns, dtype=factors.dtype)
    at_once = max(1, PRODUCT_BYTES // (factors.height * factors.columns * cell))
    local = threading.local()

    def work(piece: Piece) -> None:
        if piece.count == 0:
            out[piece.users] = 0
            return
        left, right = factors.of(piece)
        if piece.consecutive:
            first = int(piece.users[0])
            torch.bmm(left, right, out=out[first : first + len(piece.users)])
            return
        if not hasattr(local, "scratch"):
            local.scratch = torch.empty(at_once, factors.height, factors.columns, dtype=factors.dtype)
        for start in range(0, len(piece.users), at_once):
            users = piece.users[start : start + at_once]
            product = local.scratch[: len(users)]
            torch.bmm(left[start : start + at_once], right[start : start + at_once], out=product)
            out[users] = product

    with torch.no_grad():
        for _ in in_parallel(work, pieces(offsets, most)):
            pass
    return out


def gathered(offsets: Tensor, most_paths: int, make: Callable[[Piece], Tensor], shape: tuple[int, ...]) -> Tensor:
    """(U, ...) from pieces (n, ...) without writing in place, so that gradients are recorded.

    Args:
        offsets: (U + 1,) int64.
        most_paths: Paths per piece.
        make: From a piece with paths to its users' results.
        shape: Of a user's result; zero where there is no path.
    """
    users, results, empty = [], [], []
    for piece in pieces(offsets, most_paths):
        if piece.count == 0:
            empty.append(piece.users)
        else:
            users.append(piece.users)
            results.append(make(piece))
    if not results:
        return torch.zeros(len(offsets) - 1, *shape, dtype=torch.complex64)
    users += empty
    results += [results[0].new_zeros(len(e), *shape) for e in empty]
    return torch.cat(results).index_select(0, torch.argsort(torch.cat(users)))
