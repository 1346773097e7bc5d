"""Channels of users with equally many paths in one compiled call: factors, their products and the sums over paths.

Small complex matrix products between an antenna factor and a subcarrier factor are the whole work of synthesis. Factors
are kept as planes of real and of imaginary parts, so that a sum over paths is fused multiply-adds on vectors alone; a
tile of the result stays in registers until it is finished and is then written once, past the caches if it is large.
One call makes many users, so that threads do not meet at Python's lock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, types
from numba.core import cgutils
from numba.extending import intrinsic

from sitetwin.channel.numerics.kernels import comb_planes, fence
from sitetwin.compiled import compiled

TILE_ROWS = 4
"""Antennas of a tile: with one vector of subcarriers, eight accumulators, which hides the latency of additions."""

TILE_COLUMNS = 16
"""Subcarriers of a tile, single precision: the widest vector of any processor of today; others split it."""

_LINE = 64  # bytes of a cache line


def _constant(values: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), values)


def _tile(streamed: bool) -> Any:
    """A tile of the result, ``sum_p left[p, a] right[p, k]``, to memory; all arguments are addresses or bytes."""

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(
        _context: Any,
        left_r: Any,
        left_i: Any,
        left_step: Any,
        right_r: Any,
        right_i: Any,
        right_step: Any,
        paths: Any,
        to: Any,
        to_step: Any,
    ) -> Any:
        return types.void(*[types.intp] * 9), _generator(streamed)

    return tile


_NUMBER, _VECTOR = ir.FloatType(), ir.VectorType(ir.FloatType(), TILE_COLUMNS)
_UNDEFINED, _ADDRESS = ir.Constant(_VECTOR, ir.Undefined), ir.IntType(64)


def load_vector(builder: Any, at: Any) -> Any:
    """A vector of `TILE_COLUMNS` numbers at an address."""
    return builder.load(builder.inttoptr(at, _VECTOR.as_pointer()), align=4)


def spread(builder: Any, at: Any) -> Any:
    """One number, in every place of a vector."""
    single = builder.load(builder.inttoptr(at, _NUMBER.as_pointer()), align=4)
    first = builder.insert_element(_UNDEFINED, single, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, _UNDEFINED, _constant([0] * TILE_COLUMNS))


def add_product(builder: Any, total: Any, one: Any, other: Any, sign: int) -> None:
    """Add a product of vectors to a sum, or take it away."""
    product = builder.fmul(one, other, flags=("fast",))
    combine = builder.fadd if sign > 0 else builder.fsub
    builder.store(combine(builder.load(total), product, flags=("fast",)), total)


def write_pairs(builder: Any, real: Any, imaginary: Any, to: Any, streamed: bool) -> None:
    """Pairs of real and imaginary parts, half a tile's row at a time."""
    half = TILE_COLUMNS // 2
    for part in range(2):
        places = [p for k in range(half * part, half * (part + 1)) for p in (k, TILE_COLUMNS + k)]
        pairs = builder.shuffle_vector(real, imaginary, _constant(places))
        at = builder.add(to, ir.Constant(_ADDRESS, part * TILE_COLUMNS * 4))
        store = builder.store(pairs, builder.inttoptr(at, _VECTOR.as_pointer()), align=_LINE if streamed else 4)
        if streamed:
            store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))


def _generator(streamed: bool) -> Any:
    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left_r, left_i, left_step, right_r, right_i, right_step, paths, to, to_step = arguments
        zero = ir.Constant(_VECTOR, [0.0] * TILE_COLUMNS)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(TILE_ROWS)]
        for pair in sums:
            for total in pair:
                builder.store(zero, total)
        with cgutils.for_range(builder, paths) as loop:
            across, along = builder.mul(loop.index, right_step), builder.mul(loop.index, left_step)
            x, y = (
                load_vector(builder, builder.add(right_r, across)),
                load_vector(builder, builder.add(right_i, across)),
            )
            for row, (real, imaginary) in enumerate(sums):
                at = builder.add(along, ir.Constant(_ADDRESS, 4 * row))
                a, b = spread(builder, builder.add(left_r, at)), spread(builder, builder.add(left_i, at))
                add_product(builder, real, a, x, 1)
                add_product(builder, real, b, y, -1)
                add_product(builder, imaginary, a, y, 1)
                add_product(builder, imaginary, b, x, 1)
        for row, (real, imaginary) in enumerate(sums):
            place = builder.add(to, builder.mul(to_step, ir.Constant(_ADDRESS, row)))
            write_pairs(builder, builder.load(real), builder.load(imaginary), place, streamed)
        return context.get_dummy_value()

    return generate


_tile_in_cache, _tile_past_caches = _tile(False), _tile(True)


@compiled(fastmath=True)
def _outer(
    gain_r: float,
    gain_i: float,
    coarse: float,
    fine: float,
    coarse_first: float,
    fine_first: float,
    many: int,
    few: int,
    work: np.ndarray,
    real: np.ndarray,
    imaginary: np.ndarray,
) -> None:
    """``gain e^{-j 2 pi (a coarse + b fine)}`` as planes, the outer index a first."""
    outer_r, outer_i, inner_r, inner_i = work[0], work[1], work[2], work[3]
    comb_planes(coarse, coarse_first, many, outer_r, outer_i)
    comb_planes(fine, fine_first, few, inner_r, inner_i)
    for a in range(many):
        r = float32(outer_r[a] * gain_r - outer_i[a] * gain_i)
        i = float32(outer_r[a] * gain_i + outer_i[a] * gain_r)
        for b in range(few):
            p, q = float32(inner_r[b]), float32(inner_i[b])
            real[a * few + b] = r * p - i * q
            imaginary[a * few + b] = r * q + i * p


@compiled(fastmath=True)
def write_responses(
    start: np.ndarray,
    width: int,
    places: np.ndarray,
    gains: np.ndarray,
    vertical: np.ndarray,
    horizontal: np.ndarray,
    num_rows: int,
    num_columns: int,
    coarse: np.ndarray,
    fine: np.ndarray,
    first: float,
    size: int,
    few: int,
    to: int,
    streamed: bool,
) -> None:
    """Frequency responses of a centred planar array for users with `width` paths each.

    Args:
        start: (n,) int64, first path of each user.
        width: Paths of each.
        places: (n,) int64, where in the target each user's response belongs.
        gains: (P, 2) float32, real and imaginary.
        vertical: (P,) float64 cycles from row to row of the array.
        horizontal: (P,) float64 cycles from column to column.
        num_rows: Rows of the array; the number of elements is a multiple of `TILE_ROWS`.
        num_columns: Columns.
        coarse: (P,) float64 cycles over `few` subcarriers.
        fine: (P,) float64 cycles from subcarrier to subcarrier.
        first: First subcarrier.
        size: Number of subcarriers, a multiple of `TILE_COLUMNS`.
        few: A divisor of `size`.
        to: Address of the target, (N, elements, size) complex64.
        streamed: Whether to write past the caches; `to` must then be a multiple of 64.
    """
    elements = num_rows * num_columns
    top, side = -(num_rows - 1) / 2, -(num_columns - 1) / 2
    work = np.empty((4, max(num_rows, num_columns, few, size // few)))
    left = np.empty((2, width, elements), np.float32)
    right = np.empty((2, width, size), np.float32)
    left_r, left_i = left[0].ctypes.data, left[1].ctypes.data
    right_r, right_i = right[0].ctypes.data, right[1].ctypes.data
    left_step, right_step, to_step = 4 * elements, 4 * size, 8 * size
    for u in range(len(start)):
        for p in range(width):
            path = start[u] + p
            gain_r, gain_i = gains[path, 0], gains[path, 1]
            across = vertical[path], horizontal[path], top, side, num_rows, num_columns
            _outer(gain_r, gain_i, *across, work, left[0, p], left[1, p])
            band = coarse[path], fine[path], first / few, 0.0, size // few, few
            _outer(1.0, 0.0, *band, work, right[0, p], right[1, p])
        place = to + places[u] * elements * to_step
        for k in range(0, size, TILE_COLUMNS):
            factor = right_r + 4 * k, right_i + 4 * k, right_step, width
            for a in range(0, elements, TILE_ROWS):
                other = left_r + 4 * a, left_i + 4 * a, left_step
                at = place + a * to_step + 8 * k
                if streamed:
                    _tile_past_caches(*other, *factor, at, to_step)
                else:
                    _tile_in_cache(*other, *factor, at, to_step)
    if streamed:
        fence()
