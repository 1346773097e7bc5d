"""What is known of rows before any power: where the user was, how fast, and in which drive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_PAST = 5  # steps between fixes that the speed is the median of
_FASTEST = 1.5  # metres between fixes: more means that rows in between were left out


@dataclass(frozen=True, eq=False)
class BeamRows:
    """R sets of n rows, in the street's frame: x across the street and away from the station, y along it.

    Attributes:
        position: (R, n, 2) float32, metres from the station.
        velocity: (R, n, 2) float32, metres between fixes.
        drive: (R, n) int64.
        echo_offset: (R, n, L) float32, degrees that the twin's L strongest echoes leave apart from the line of sight.
        echo_ratio: (R, n, L) float32, their power over that of the line of sight.
    """

    position: Tensor
    velocity: Tensor
    drive: Tensor
    echo_offset: Tensor
    echo_ratio: Tensor

    @property
    def heading(self) -> Tensor:
        """(R, n) +1 or -1: along the street or against it."""
        return torch.where(self.velocity[..., 1] < 0, -1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Street:
    """Positions of a scenario in the frame of its street, from GPS alone.

    Attributes:
        position: (N, 2) metres: across, along.
        velocity: (N, 2) metres between fixes, from this fix and those before it in the drive.
        drive: (N,) int64.
        axis_rad: Direction of the x axis (away from the station, across the street), from east, counter-clockwise.
    """

    position: np.ndarray
    velocity: np.ndarray
    drive: np.ndarray
    axis_rad: float

    @classmethod
    def of(cls, east_north: np.ndarray, drive: np.ndarray) -> Street:
        """The street along which most of the spread of the positions lies.

        Args:
            east_north: (N, 2) metres from the station, drive by drive in the order of time.
            drive: (N,) int64.
        """
        centred = east_north - np.median(east_north, axis=0)
        along = np.linalg.svd(centred, full_matrices=False)[2][0]
        across = np.array([along[1], -along[0]])
        if across @ np.median(east_north, axis=0) < 0:
            across = -across
        along = np.array([-across[1], across[0]])
        position = np.stack([east_north @ across, east_north @ along], axis=1)
        return cls(position, _velocity(position, drive), drive, float(np.arctan2(across[1], across[0])))

    def rows(self, index: np.ndarray, echoes: tuple[np.ndarray, np.ndarray] | None = None) -> BeamRows:
        """The rows of index (R, n); `echoes` are offsets in degrees and power ratios, each (N, L)."""
        offset, ratio = echoes if echoes is not None else (np.zeros((len(self.drive), 0)),) * 2

        def chosen(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values[index])).float()

        return BeamRows(
            chosen(self.position),
            chosen(self.velocity),
            torch.from_numpy(self.drive[index].astype(np.int64)),
            chosen(offset),
            chosen(ratio),
        )


def _velocity(position: np.ndarray, drive: np.ndarray) -> np.ndarray:
    """(N, 2) median step of the last fixes of the drive; its first two fixes look ahead instead."""
    velocity = np.zeros_like(position)
    for number in np.unique(drive):
        rows = np.flatnonzero(drive == number)
        steps = np.diff(position[rows], axis=0)
        for k, row in enumerate(rows):
            near = steps[max(0, k - _PAST) : k] if k >= 2 else steps[:_PAST]
            if len(near):
                velocity[row] = np.median(near, axis=0)
    speed = np.hypot(*velocity.T)[:, None]
    return velocity * np.minimum(1, _FASTEST / np.maximum(speed, 1e-9))
