"""Energies of complex tensors, on their real view: several times faster than by absolute values."""

from __future__ import annotations

import torch
from torch import Tensor


def power(x: Tensor) -> Tensor:
    """``|x|^2`` of a complex tensor, element by element."""
    return torch.view_as_real(x).square().sum(-1)


def energy(x: Tensor) -> Tensor:
    """Sum of ``|x|^2`` over the last axis, in one pass over the memory."""
    real = torch.view_as_real(x.contiguous()).flatten(-2) if x.is_complex() else x
    return torch.linalg.vector_norm(real, dim=-1).square()
