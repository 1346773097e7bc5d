"""Scores that are not finite decide nothing: they are counted and named."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from sitetwin.errors import SiteTwinError


def check_finite(values: Shaped[Tensor, "*rows_and_figures"], what: str, of: str = "users") -> None:
    """Check that every value is a finite number.

    Args:
        values: The values, one row for each of `of`.
        what: What they are, for the message, such as "the NMSE".
        of: What the rows are.

    Raises:
        SiteTwinError: Some are not; the message says how many, and the first of them.
    """
    bad = ~torch.isfinite(values).reshape(len(values), -1).all(dim=1)
    if bool(bad.any()):
        first = int(bad.nonzero()[0])
        raise SiteTwinError(
            f"{what} of {int(bad.sum())} of {len(values)} {of} is not finite (first: number {first}), so that nothing "
            "can be concluded from all of them; mend what gave it, or leave these out of every method that is compared"
        )


def best_finite(values: Float[np.ndarray, "*choices candidates"], what: str) -> Int[np.ndarray, "*choices"] | np.int64:
    """Index of the largest value along the last axis, among those that are finite: what is not a number never wins.

    Args:
        values: What each candidate is worth; the first of equals is taken.
        what: What they are, for the message.

    Raises:
        SiteTwinError: A choice has no finite value.
    """
    finite = np.isfinite(values)
    if not finite.any(axis=-1).all():
        raise SiteTwinError(
            f"{what} is not finite for any of {values.shape[-1]} candidates, so that none can be chosen; mend the rows "
            "that gave it, or leave them out"
        )
    return np.where(finite, values, -np.inf).argmax(axis=-1)
