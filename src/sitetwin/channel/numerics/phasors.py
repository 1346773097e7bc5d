"""Unit phasors and combs of them, with phases reduced in float64."""

from __future__ import annotations

import math

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


def finest_factor(size: int, most: int = 16) -> int:
    """Largest divisor of `size` up to `most`: a comb is made as an outer product of so many phasors by the rest."""
    return next(n for n in range(min(size, most), 0, -1) if size % n == 0)


def comb(cycles: Tensor, first: float, size: int, dtype: torch.dtype) -> Tensor:
    """``e^{-j 2 pi k x}`` for ``k = first ... first + size - 1``.

    Few phasors are made, all from phases reduced in float64, and multiplied out.

    Args:
        cycles: (N,) float64, x.
        first: First k; need not be whole.
        size: Number of k.
        dtype: Complex type.

    Returns:
        (N, size).
    """
    few = finest_factor(size)
    coarse = first + few * torch.arange(size // few, dtype=torch.float64)
    fine = torch.arange(few, dtype=torch.float64)
    one, other = phasor(torch.outer(cycles, coarse), dtype), phasor(torch.outer(cycles, fine), dtype)
    return (one[:, :, None] * other[:, None, :]).flatten(1)
