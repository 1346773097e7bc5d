"""Resolve a selection of users to indices."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from sitetwin.errors import SiteTwinError


def chosen_users(users: Any, num_users: int) -> Int[Tensor, " chosen"]:
    """Return the indices of selected users, in the given order.

    Args:
        users: (N,) whole numbers from 0 to `num_users` - 1, or (num_users,) booleans; None for all.
        num_users: Number of users.

    Returns:
        (N,) int64.

    Raises:
        SiteTwinError: The selection is neither whole numbers nor a mask, or an index is out of range.
    """
    if users is None:
        return torch.arange(num_users)
    given = torch.as_tensor(users)
    if given.ndim != 1:
        raise SiteTwinError(f"users of shape {tuple(given.shape)} were chosen; give (N,) indices or booleans")
    if given.dtype == torch.bool:
        if len(given) != num_users:
            raise SiteTwinError(f"{len(given)} booleans choose among {num_users} users; give one for each user")
        return torch.nonzero(given).flatten()
    if not given.numel():
        return given.long()
    if given.is_floating_point() or given.is_complex():
        raise SiteTwinError(f"users were chosen by numbers of type {given.dtype}; give whole numbers or booleans")
    if not 0 <= int(given.min()) <= int(given.max()) < num_users:
        raise SiteTwinError(
            f"user indices must lie in 0..{num_users - 1}; these reach from {given.min()} to {given.max()}"
        )
    return given.long()
