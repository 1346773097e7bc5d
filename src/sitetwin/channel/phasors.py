"""Unit phasors and combs of them, with phases reduced in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def phasor(cycles: Tensor, dtype: torch.dtype, size: Tensor | None = None) -> Tensor:
    """``size e^{-j 2 pi cycles}``, with whole cycles removed in float64 before the cast.

    Args:
        cycles: (...) float64.
        dtype: Complex type of the result.
        size: (...) or None for 1.
    """
    real = torch.float32 if dtype == torch.complex64 else torch.float64
    angle = cycles.sub(cycles.round()).to(real).mul_(-2 * math.pi)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    if size is not None:
        size = size.to(real)
        cosine, sine = size * cosine, size * sine
    return torch.complex(cosine, sine)


def levels(size: int, finest: int = 16, others: int = 8) -> tuple[int, ...]:
    """Factors of `size`, coarsest first, as small as its primes allow.

    Args:
        size: At least 1.
        finest: Most of the last factor.
        others: Most of the factors before it.
    """
    found: list[int] = []
    most = finest
    while size > most:
        factor = next((n for n in range(most, 1, -1) if size % n == 0), size)
        found.insert(0, factor)
        size //= factor
        most = others
    return (size, *found) if size > 1 or not found else tuple(found)


def combs(cycles: Tensor, first: float, sizes: tuple[int, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """``e^{-j 2 pi k x}`` for ``k = first .. first + prod(sizes) - 1``, as factors of an outer product.

    Few phasors are made, all from phases reduced in float64; `outer` multiplies them out.

    Args:
        cycles: (N,) float64, x.
        first: First k; need not be whole.
        sizes: Lengths of the factors, coarsest first.
        dtype: Complex type.

    Returns:
        One (N, n) per size n.
    """
    steps, stride = [], math.prod(sizes)
    for size in sizes:
        stride //= size
        steps.append(stride * torch.arange(size, dtype=torch.float64))
    steps[0] = steps[0] + first
    joined = torch.cat(steps)
    if dtype == torch.complex64 and not cycles.requires_grad and float(2 * first).is_integer():
        return _fixed_point(cycles, joined).split(sizes, dim=1)
    return phasor(torch.outer(cycles, joined), dtype).split(sizes, dim=1)


def _fixed_point(cycles: Tensor, steps: Tensor) -> Tensor:
    """(N, S) complex64 ``e^{-j 2 pi k x}`` for half-whole k, with phases as 32-bit fractions of a turn.

    Whole turns fall off the top of the integers by themselves. x / 2 is held to 2^-33 turns, so that phases are right
    to ``pi k 2^-31`` radian, some 1e-6 for k of a few hundred.
    """
    half = 0.5 * cycles
    fraction = ((half - half.round()) * 2.0**32).round().to(torch.int64).to(torch.int32)
    turns = fraction[:, None] * (2 * steps).round().to(torch.int32)
    angle = turns.to(torch.float32).mul_(-2 * math.pi / 2.0**32)
    return torch.complex(torch.cos(angle), torch.sin(angle))


def outer(factors: Sequence[Tensor], out: Tensor | None = None) -> Tensor:
    """Row-wise outer product of (N, a), (N, b), ... as (N, a b ...), from the right, where long rows are fastest.

    Args:
        factors: At least one.
        out: Buffer of at least N rows of (a b ...) for the product; it is used only where there is something to
            multiply.
    """
    product = factors[-1].contiguous()
    for i in reversed(range(len(factors) - 1)):
        a, b = factors[i][:, :, None], product[:, None, :]
        if i == 0 and out is not None:
            place = out[: len(product)]
            torch.mul(a, b, out=place.view(len(product), a.shape[1], b.shape[2]))
            return place
        product = (a * b).flatten(1)
    return product
