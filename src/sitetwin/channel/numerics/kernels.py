"""Compiled inner loops of channel synthesis for complex64 on a CPU.

What PyTorch does in several passes over memory, one pass per operation, these do in registers and in the first cache:
phasors of evenly spaced elements or subcarriers as products of few, reciprocal kernels of the delay-angle domain, and
writing results past the caches (a channel is written once and read much later, so fetching its old contents first, as
ordinary stores do, wastes a third of the memory's bandwidth).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, types
from numba.extending import intrinsic

from sitetwin.compiled import compiled

_TURN = 2 * math.pi
_LINE = 64  # bytes of a cache line, and of one streaming store


@compiled(fastmath=True)
def comb_planes(cycles: float, first: float, size: int, real: np.ndarray, imaginary: np.ndarray) -> None:
    """``e^{-j 2 pi k cycles}`` for ``k = first ... first + size - 1``, without calls, so that the loop is vectorised.

    Sine and cosine of half the angle, at most a quarter turn, are the first terms of their Taylor series (the next is
    below 6e-8); the double-angle formulas follow.
    """
    for k in range(size):
        turns = (first + k) * cycles
        y = math.pi * (turns - math.floor(turns + 0.5))
        z = y * y
        sine = y * (1 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 - z / 39916800)))))
        cosine = 1 + z * (-1 / 2 + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z / 479001600)))))
        real[k] = 1 - 2 * sine * sine
        imaginary[k] = -2 * sine * cosine


@compiled(fastmath=True)
def write_combs(
    rows: np.ndarray,
    gains: np.ndarray,
    coarse: np.ndarray,
    fine: np.ndarray,
    coarse_first: float,
    fine_first: float,
    many: int,
    few: int,
    out: np.ndarray,
) -> None:
    """Outer products of two combs of phasors, ``gain e^{-j 2 pi (a coarse + b fine)}``, one row per path.

    Args:
        rows: (n,) int64, paths.
        gains: (P, 2) float32, real and imaginary; or (0, 2) for 1.
        coarse: (P,) float64 cycles between neighbours of the outer index a.
        fine: (P,) float64 cycles between neighbours of the inner index b.
        coarse_first: First a; need not be whole.
        fine_first: First b.
        many: Number of a.
        few: Number of b.
        out: (>= n, 2 a b) float32, pairs of real and imaginary parts.
    """
    outer_r, outer_i = np.empty(many), np.empty(many)
    inner_r, inner_i = np.empty(few), np.empty(few)
    turned = np.empty((2, 2 * few), np.float32)  # the inner comb, and j times it: sums of real multiples of them follow
    same, quarter = turned[0], turned[1]
    for i in range(len(rows)):
        path = rows[i]
        comb_planes(coarse[path], coarse_first, many, outer_r, outer_i)
        comb_planes(fine[path], fine_first, few, inner_r, inner_i)
        for b in range(few):
            same[2 * b], same[2 * b + 1] = inner_r[b], inner_i[b]
            quarter[2 * b], quarter[2 * b + 1] = -inner_i[b], inner_r[b]
        gain_r, gain_i = 1.0, 0.0
        if len(gains):
            gain_r, gain_i = gains[path, 0], gains[path, 1]
        line = out[i]
        for a in range(many):
            real = float32(outer_r[a] * gain_r - outer_i[a] * gain_i)
            imaginary = float32(outer_r[a] * gain_i + outer_i[a] * gain_r)
            place = line[2 * a * few : 2 * (a + 1) * few]
            for c in range(2 * few):
                place[c] = real * same[c] + imaginary * quarter[c]


@compiled(fastmath=True)
def write_both_combs(
    rows: np.ndarray,
    gains: np.ndarray,
    vertical: np.ndarray,
    horizontal: np.ndarray,
    num_rows: int,
    num_columns: int,
    left: np.ndarray,
    coarse: np.ndarray,
    fine: np.ndarray,
    first: float,
    size: int,
    few: int,
    right: np.ndarray,
) -> None:
    """Responses of a centred planar array times gains, and phasors over the subcarriers, in one call.

    Args:
        rows: (n,) int64, paths.
        gains: (P, 2) float32.
        vertical: (P,) float64 cycles from row to row of the array.
        horizontal: (P,) float64 cycles from column to column.
        num_rows: Rows of the array.
        num_columns: Columns.
        left: (>= n, 2 num_rows num_columns) float32, to be written.
        coarse: (P,) float64 cycles over `few` subcarriers.
        fine: (P,) float64 cycles from subcarrier to subcarrier.
        first: First subcarrier.
        size: Number of subcarriers.
        few: A divisor of `size`.
        right: (>= n, 2 size) float32, to be written.
    """
    top, side = -(num_rows - 1) / 2, -(num_columns - 1) / 2
    write_combs(rows, gains, vertical, horizontal, top, side, num_rows, num_columns, left)
    write_combs(rows, gains[:0], coarse, fine, first / few, 0.0, size // few, few, right)


@intrinsic  # type: ignore[untyped-decorator]
def _stream_line(_context: Any, to: Any, source: Any) -> Any:
    """Copy one cache line between addresses, past the caches; `to` must lie on a line's boundary."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        line = ir.VectorType(ir.FloatType(), _LINE // 4).as_pointer()
        value = builder.load(builder.inttoptr(arguments[1], line), align=4)
        store = builder.store(value, builder.inttoptr(arguments[0], line), align=_LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def fence(_context: Any) -> Any:
    """Make streamed lines visible to other threads."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


@compiled(fastmath=True)
def stream_rows(source: int, places: np.ndarray, to: int, size: int) -> None:
    """Write rows that lie one after the other to places of a larger array, past the caches.

    Args:
        source: Address of the first row.
        places: (n,) int64, row of the target for each.
        to: Address of the target, a multiple of 64.
        size: Bytes of a row, a multiple of 64.
    """
    for i in range(len(places)):
        begin, target = source + i * size, to + places[i] * size
        for at in range(0, size, 64):
            _stream_line(target + at, begin + at)
    fence()


@compiled(fastmath=True)
def write_dirichlet(
    rows: np.ndarray,
    cycles: np.ndarray,
    size: int,
    apart: float,
    sine: np.ndarray,
    cosine: np.ndarray,
    gains: np.ndarray,
    middle: float,
    out: np.ndarray,
) -> None:
    """``g sin(pi size y_q) / sin(pi y_q)`` with ``y_q = q / size - x`` at whole q, up to the sign ``(-1)^q``.

    The denominator comes from the addition theorem in double precision: two products instead of a sine per q.

    Args:
        rows: (n,) int64, paths.
        cycles: (P,) float64, x.
        size: Terms of the geometric series.
        apart: Closest that ``size x`` may come to a whole number.
        sine: (Q,) float64, ``sin(pi q / size)``.
        cosine: (Q,) float64, ``cos(pi q / size)``.
        gains: (P, 2) float32, real and imaginary part of a gain; g is then ``gain e^{-j 2 pi middle x} / size`` and the
            result complex. Or (0, 2): g is 1 and the result real.
        middle: Middle term of the series.
        out: (>= n, 2 Q) float32, pairs of real and imaginary parts, or (>= n, Q).
    """
    for i in range(len(rows)):
        path = rows[i]
        scaled = cycles[path] * size
        step = math.floor(scaled + 0.5)
        away = scaled - step
        if abs(away) < apart:
            away = apart
            scaled = step + apart
        odd = step - 2 * math.floor(step / 2)
        numerator = math.sin(math.pi * away) * (2 * odd - 1)
        angle = math.pi / size * scaled
        c, s = math.cos(angle), math.sin(angle)
        line = out[i]
        if not len(gains):
            single = float32(numerator)
            for q in range(len(sine)):
                line[q] = single / float32(sine[q] * c - cosine[q] * s)
            continue
        turns = middle * cycles[path]
        turns -= math.floor(turns)
        numerator /= size
        phase_r, phase_i = numerator * math.cos(_TURN * turns), -numerator * math.sin(_TURN * turns)
        real = float32(gains[path, 0] * phase_r - gains[path, 1] * phase_i)
        imaginary = float32(gains[path, 0] * phase_i + gains[path, 1] * phase_r)
        for q in range(len(sine)):
            inverse = float32(1) / float32(sine[q] * c - cosine[q] * s)
            line[2 * q] = real * inverse
            line[2 * q + 1] = imaginary * inverse
