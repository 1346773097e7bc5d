"""Energies of complex tensors, on their real view: several times faster than by absolute values."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float, Shaped
from torch import Tensor


def power(x: Complex[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """``|x|^2`` of a complex tensor, element by element."""
    return torch.view_as_real(x).square().sum(-1)


def energy(x: Shaped[Tensor, "*axes last"]) -> Float[Tensor, "*axes"]:
    """Sum of ``|x|^2`` over the last axis, in one pass over the memory."""
    real = torch.view_as_real(x.contiguous()).flatten(-2) if x.is_complex() else x
    return torch.linalg.vector_norm(real, dim=-1).square()
