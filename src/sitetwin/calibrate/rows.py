"""Rows before any power is known: position, velocity and drive of the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sitetwin.errors import SiteTwinError

_PAST = 5  # steps between fixes that the speed is the median of
_FASTEST = 1.5  # metres between fixes: more means that rows in between were left out


@dataclass(frozen=True, eq=False)
class BeamRows:
    """Several sets of rows, in the street's frame: x across the street and away from the station, y along it.

    Sets are fitted side by side, each for itself: one set for each split of a study, one alone otherwise.

    Attributes:
        position: float32, metres from the station.
        velocity: float32, metres between fixes.
        drive: int64.
        echo_offset: float32, degrees that the twin's strongest echoes leave apart from the line of sight.
        echo_ratio: float32, power of the twin's strongest echoes over that of the line of sight.
        power: Linear powers of all beams, NaN where not measured; None for rows that were not measured.
    """

    position: Float[Tensor, "fits rows 2"]
    velocity: Float[Tensor, "fits rows 2"]
    drive: Int[Tensor, "fits rows"]
    echo_offset: Float[Tensor, "fits rows echoes"]
    echo_ratio: Float[Tensor, "fits rows echoes"]
    power: Float[np.ndarray, "fits rows beams"] | None = None

    @property
    def heading(self) -> Tensor:
        """(R, n) +1 or -1: along the street or against it."""
        return torch.where(self.velocity[..., 1] < 0, -1.0, 1.0)

    def measured(self, beams: int) -> Float[np.ndarray, "fits rows beams"]:
        """The powers.

        Raises:
            SiteTwinError: The rows were not measured, or on another number of beams.
        """
        if self.power is None:
            raise SiteTwinError("these rows have no powers; give the measured powers to Street.rows")
        if self.power.shape[-1] != beams:
            raise SiteTwinError(
                f"these rows have powers of {self.power.shape[-1]} beams and the model's codebook has {beams}; choose "
                "the same beams of both"
            )
        return self.power

    def part(self, kept: Bool[np.ndarray, " rows"]) -> BeamRows:
        """Take some rows of every set."""
        mask = torch.from_numpy(kept)
        return BeamRows(
            position=self.position[:, mask],
            velocity=self.velocity[:, mask],
            drive=self.drive[:, mask],
            echo_offset=self.echo_offset[:, mask],
            echo_ratio=self.echo_ratio[:, mask],
            power=None if self.power is None else self.power[:, kept],
        )

    def joined(self, others: BeamRows) -> BeamRows:
        """Join the rows of two objects, set by set.

        Raises:
            SiteTwinError: They are not of equally many sets, beams or echoes, or one was not measured.
        """
        if self.power is None or others.power is None:
            raise SiteTwinError("rows can be joined where both are measured; give the powers to Street.rows")
        names = ("position", "velocity", "drive", "echo_offset", "echo_ratio")
        pairs = [(getattr(self, name), getattr(others, name)) for name in names]
        powers = (self.power, others.power)
        if any(a.shape[::2] != b.shape[::2] for a, b in (*pairs, powers)):
            raise SiteTwinError("rows can be joined where sets, beams and echoes are equally many; make both alike")
        joined = {name: torch.cat(pair, dim=1) for name, pair in zip(names, pairs, strict=True)}
        return BeamRows(**joined, power=np.concatenate(powers, axis=1))


@dataclass(frozen=True, eq=False)
class Street:
    """Positions of a scenario in the frame of its street, from GPS alone.

    Attributes:
        position: Metres: across, along.
        velocity: Metres between fixes, from this fix and those before it in the drive.
        drive: int64.
        axis_rad: Direction of the x axis (away from the station, across the street), from east, counter-clockwise.
    """

    position: Float[np.ndarray, "users 2"]
    velocity: Float[np.ndarray, "users 2"]
    drive: Int[np.ndarray, " users"]
    axis_rad: float

    @classmethod
    def of(cls, east_north: Float[np.ndarray, "users 2"], drive: Int[np.ndarray, " users"]) -> Street:
        """The street along which most of the spread of the positions lies.

        Args:
            east_north: Metres from the station, drive by drive in the order of time.
            drive: Drive of each position.

        Raises:
            SiteTwinError: There is no position, or one is not finite.
        """
        if not len(east_north) or not np.isfinite(east_north).all():
            raise SiteTwinError("a street needs positions, and all of them finite; drop the rows without a position")
        centred = east_north - np.median(east_north, axis=0)
        along = np.linalg.svd(centred, full_matrices=False)[2][0]
        across = np.array([along[1], -along[0]])
        if across @ np.median(east_north, axis=0) < 0:
            across = -across
        along = np.array([-across[1], across[0]])
        position = np.stack([east_north @ across, east_north @ along], axis=1)
        return cls(position, _velocity(position, drive), drive, float(np.arctan2(across[1], across[0])))

    def rows(
        self,
        index: Int[np.ndarray, "fits rows"],
        echoes: tuple[Float[np.ndarray, "users echoes"], Float[np.ndarray, "users echoes"]] | None = None,
        power: Float[np.ndarray, "users beams"] | None = None,
    ) -> BeamRows:
        """Take some of the street's users as rows.

        Args:
            index: Indices of the users, for each of several sets.
            echoes: Offsets in degrees and power ratios of the twin's echoes at all users; none by default.
            power: Linear powers of all users' beams; only those of the asked rows are read.
        """
        offset, ratio = echoes if echoes is not None else (np.zeros((len(self.drive), 0)),) * 2

        def chosen(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values[index])).float()

        return BeamRows(
            chosen(self.position),
            chosen(self.velocity),
            torch.from_numpy(self.drive[index].astype(np.int64)),
            chosen(offset),
            chosen(ratio),
            None if power is None else power[index],
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
