"""NumPy arrays for the ray caster's device."""

from __future__ import annotations

from typing import Any

import numpy as np

SLACK = 1024
"""Bytes behind an array that the device may read. Dr.Jit 1.5 does not copy a NumPy array but reads it where it lies, in
whole packets of up to 16 lanes: past the end of an array whose size is no multiple of that, into whatever lies there.
Where that is the end of a memory mapping, the process dies."""


def to_device(kind: Any, values: np.ndarray) -> Any:
    """A Dr.Jit array of NumPy values, in memory that may be read a little past its end.

    Args:
        kind: Dr.Jit type, such as ``mi.UInt32``.
        values: Any shape; flattened, the last axis fastest.
    """
    roomy = np.empty(values.size + SLACK // values.itemsize, values.dtype)
    roomy[: values.size] = values.ravel()
    roomy[values.size :] = 0
    return kind(roomy[: values.size])
