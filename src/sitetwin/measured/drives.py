"""Drives of measured channels: as a file numbers them, or as gaps in its times tell them apart."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Int

_PAUSE_S = 30.0  # a pause that begins a new drive
_STEPS = 20.0  # median steps that it must be longer than, too
_FEWEST = 10  # samples of a drive


def drives_of(data: xr.Dataset) -> tuple[Int[np.ndarray, " samples"] | None, str]:
    """Number of the drive of each sample, and how it is known.

    Args:
        data: What `sitetwin.measured.read_csi` or `read_dichasus` returns.

    Returns:
        Numbers from 0 on, or None where no two drives of ten samples or more can be told apart; and a sentence that
        says by what drives were told, or why they cannot be.
    """
    if "drive" in data:
        number, said = data["drive"].values, "drives are those that the file numbers"
    else:
        time = data["time"].values if "time" in data else np.full(data.sizes["sample"], np.nan)
        if not np.isfinite(time).all() or not len(time):
            return None, "the file says neither the drive nor the time of each sample"
        order = np.argsort(time, kind="stable")
        steps = np.diff(time[order])
        pause = max(_PAUSE_S, _STEPS * float(np.median(steps))) if len(steps) else _PAUSE_S
        number = np.empty(len(time), dtype=np.int64)
        number[order] = np.concatenate([[0], np.cumsum(steps > pause)])
        said = f"drives were told apart by pauses of more than {pause:.3g} s in the times of the file"
    _, each, counts = np.unique(number, return_inverse=True, return_counts=True)
    if (counts >= _FEWEST).sum() < 2:
        return None, f"{said}, and there are no two of {_FEWEST} samples or more"
    return each.reshape(-1).astype(np.int64), f"{said}: {len(counts)} drives"
