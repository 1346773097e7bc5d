"""Delay-angle channels of users with equally many paths in one compiled call: Dirichlet kernels and their products.

The kernel of a path at ``x = (step + away) / size`` is ``sin(pi size y) / sin(pi y)`` at ``y = (q - step - away) /
size``. The denominator is the difference of an angle of the grid and of a small one, ``pi away / size``: with sine and
cosine of the grid from a table and those of the small angle from their series, neither of its two products cancels the
other by more than half, so that single precision suffices, next to a grid point as well.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import float32, types
from numba.core import cgutils
from numba.extending import intrinsic

from sitetwin.channel.numerics.kernels import fence
from sitetwin.channel.numerics.products import (
    TILE_COLUMNS,
    TILE_ROWS,
    add_product,
    load_vector,
    spread,
    write_pairs,
)
from sitetwin.compiled import compiled

APART = 1e-7
"""Closest that a path may come to a grid point, in grid steps: it is moved off, so that 0 / 0 never arises."""


def _tile(streamed: bool) -> Any:
    """A tile of the result, ``phase[a] sum_p left[p, a] right[p, k]`` with real left factors, to memory."""

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(
        _context: Any,
        left: Any,
        left_step: Any,
        right_r: Any,
        right_i: Any,
        right_step: Any,
        paths: Any,
        phase_r: Any,
        phase_i: Any,
        to: Any,
        to_step: Any,
    ) -> Any:
        return types.void(*[types.intp] * 10), _generator(streamed)

    return tile


def _generator(streamed: bool) -> Any:
    vector, fast = ir.VectorType(ir.FloatType(), TILE_COLUMNS), ("fast",)

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        left, left_step, right_r, right_i, right_step, paths, phase_r, phase_i, to, to_step = arguments
        zero, bytes_of = ir.Constant(vector, [0.0] * TILE_COLUMNS), ir.IntType(64)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(2)] for _ in range(TILE_ROWS)]
        for pair in sums:
            for total in pair:
                builder.store(zero, total)
        with cgutils.for_range(builder, paths) as loop:
            across, along = builder.mul(loop.index, right_step), builder.mul(loop.index, left_step)
            x = load_vector(builder, builder.add(right_r, across))
            y = load_vector(builder, builder.add(right_i, across))
            for row, (real, imaginary) in enumerate(sums):
                a = spread(builder, builder.add(builder.add(left, along), ir.Constant(bytes_of, 4 * row)))
                add_product(builder, real, a, x, 1)
                add_product(builder, imaginary, a, y, 1)
        for row, pair in enumerate(sums):
            r, i = (builder.load(total) for total in pair)
            c, s = (spread(builder, builder.add(at, ir.Constant(bytes_of, 4 * row))) for at in (phase_r, phase_i))
            real = builder.fsub(builder.fmul(r, c, flags=fast), builder.fmul(i, s, flags=fast), flags=fast)
            imaginary = builder.fadd(builder.fmul(r, s, flags=fast), builder.fmul(i, c, flags=fast), flags=fast)
            place = builder.add(to, builder.mul(to_step, ir.Constant(bytes_of, row)))
            write_pairs(builder, real, imaginary, place, streamed)
        return context.get_dummy_value()

    return generate


_tile_in_cache, _tile_past_caches = _tile(False), _tile(True)


def grid_table(size: int, first: int, count: int) -> np.ndarray:
    """Sines and cosines of the distances, in steps of ``pi / size``, from any of `size` points to `count` grid points.

    Args:
        size: Terms of the geometric series.
        first: First grid point.
        count: Number of grid points.

    Returns:
        (2, size - 1 + count) float32; the first distance is ``first - size + 1``.
    """
    angle = math.pi / size * np.arange(first - size + 1, first + count)
    return np.stack([np.sin(angle), np.cos(angle)]).astype(np.float32)


@compiled(fastmath=True)
def _split(cycles: np.ndarray, size: int, work: np.ndarray, steps: np.ndarray) -> None:
    """Split places ``cycles`` of paths into the nearest grid point and the way from there; without calls.

    Args:
        cycles: (n,) float64.
        size: Terms of the geometric series.
        work: (>= 3, n) float64, gets the numerator ``sin(pi size y)`` with the signs of grid point and period, and
            cosine and sine of ``pi away / size``.
        steps: (n,) int64, gets the nearest grid point, 0 to size - 1.
    """
    for p in range(len(cycles)):
        scaled = cycles[p] * size
        step = math.floor(scaled + 0.5)
        away = scaled - step
        if abs(away) < APART:
            away = APART
        period = math.floor(step / size)
        point = step - period * size
        if point >= size:  # the quotient may be rounded across a whole number
            point, period = point - size, period + 1
        elif point < 0:
            point, period = point + size, period - 1
        odd = step + period - 2 * math.floor((step + period) / 2)
        y = math.pi * away
        z = y * y
        sine = y * (1 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 - z / 39916800)))))
        work[0, p] = sine * (2 * odd - 1)
        y /= size
        z = y * y
        work[1, p] = 1 + z * (-1 / 2 + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 - z / 3628800))))
        work[2, p] = y * (1 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z / 362880))))
        steps[p] = min(max(int(point), 0), size - 1)  # whatever the cycles are, no number leads out of the table


@compiled(fastmath=True)
def _turn(cycles: np.ndarray, middle: float, size: int, gains: np.ndarray, work: np.ndarray) -> None:
    """Write ``gain e^{-j 2 pi middle cycles}`` times the numerators over `size` into two rows of `work`, 3 and 4."""
    for p in range(len(cycles)):
        turns = middle * cycles[p]
        y = math.pi * (turns - math.floor(turns + 0.5))
        z = y * y
        sine = y * (1 + z * (-1 / 6 + z * (1 / 120 + z * (-1 / 5040 + z * (1 / 362880 - z / 39916800)))))
        cosine = 1 + z * (-1 / 2 + z * (1 / 24 + z * (-1 / 720 + z * (1 / 40320 + z * (-1 / 3628800 + z / 479001600)))))
        real, imaginary = (1 - 2 * sine * sine) * work[0, p] / size, -2 * sine * cosine * work[0, p] / size
        work[3, p] = gains[p, 0] * real - gains[p, 1] * imaginary
        work[4, p] = gains[p, 0] * imaginary + gains[p, 1] * real


@compiled(fastmath=True)
def write_delay_angles(
    start: np.ndarray,
    width: int,
    places: np.ndarray,
    gains: np.ndarray,
    turns: np.ndarray,
    bins: np.ndarray,
    bin_phase: np.ndarray,
    fractions: np.ndarray,
    taps: np.ndarray,
    tap_phase: np.ndarray,
    middle: float,
    to: int,
    streamed: bool,
) -> None:
    """Delay-angle channels of a linear array for users with `width` paths each.

    Args:
        start: (n,) int64, first path of each user.
        width: Paths of each.
        places: (n,) int64, where in the target each user's channel belongs.
        gains: (P, 2) float32, real and imaginary.
        turns: (P,) float64 cycles from element to element.
        bins: `grid_table` of the angle bins, of which there are as many as elements, a multiple of `TILE_ROWS`.
        bin_phase: (2, elements) float32, phases of the bins.
        fractions: (P,) float64 cycles from subcarrier to subcarrier.
        taps: `grid_table` of the delay taps, of which there are a multiple of `TILE_COLUMNS`.
        tap_phase: (2, taps) float32, phases of the taps.
        middle: Middle subcarrier, not whole if their number is even.
        to: Address of the target, (N, elements, taps) complex64.
        streamed: Whether to write past the caches; `to` must then be a multiple of 64.
    """
    elements, count = bin_phase.shape[1], tap_phase.shape[1]
    size = taps.shape[1] + 1 - count
    work, steps = np.empty((5, width)), np.empty(width, np.int64)
    left = np.empty((width, elements), np.float32)
    right = np.empty((2, width, count), np.float32)
    left_at, right_r, right_i = left.ctypes.data, right[0].ctypes.data, right[1].ctypes.data
    phase_r, phase_i = bin_phase[0].ctypes.data, bin_phase[1].ctypes.data
    left_step, right_step, to_step = 4 * elements, 4 * count, 8 * count
    for u in range(len(start)):
        first, last = start[u], start[u] + width
        _split(turns[first:last], elements, work, steps)
        for p in range(width):
            begin = elements - 1 - steps[p]
            sine, cosine = bins[0, begin : begin + elements], bins[1, begin : begin + elements]
            numerator, c, s = float32(work[0, p]), float32(work[1, p]), float32(work[2, p])
            for q in range(elements):
                left[p, q] = numerator / (sine[q] * c - cosine[q] * s)
        _split(fractions[first:last], size, work, steps)
        _turn(fractions[first:last], middle, size, gains[first:last], work)
        for p in range(width):
            begin = size - 1 - steps[p]
            sine, cosine = taps[0, begin : begin + count], taps[1, begin : begin + count]
            c, s, real, imaginary = float32(work[1, p]), float32(work[2, p]), float32(work[3, p]), float32(work[4, p])
            for q in range(count):
                inverse = float32(1) / (sine[q] * c - cosine[q] * s)
                right[0, p, q] = inverse * (real * tap_phase[0, q] - imaginary * tap_phase[1, q])
                right[1, p, q] = inverse * (real * tap_phase[1, q] + imaginary * tap_phase[0, q])
        place = to + places[u] * elements * to_step
        for k in range(0, count, TILE_COLUMNS):
            factor = right_r + 4 * k, right_i + 4 * k, right_step, width
            for a in range(0, elements, TILE_ROWS):
                other = left_at + 4 * a, left_step
                at = phase_r + 4 * a, phase_i + 4 * a, place + a * to_step + 8 * k, to_step
                if streamed:
                    _tile_past_caches(*other, *factor, *at)
                else:
                    _tile_in_cache(*other, *factor, *at)
    if streamed:
        fence()
