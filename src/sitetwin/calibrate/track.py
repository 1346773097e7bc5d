"""The track of users: positions in metres, the speed between fixes, the drive of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError

_PAST = 9  # steps between fixes that the speed is the median of: a fix jitters more than a car does
_FIRST = 5  # steps ahead, for the first two fixes of a drive


@dataclass(frozen=True, eq=False)
class Track:
    """Users of a street, or some of them.

    Attributes:
        position: Metres east and north of the station.
        velocity: Metres east and north from one fix to the next.
        drive: Number of the drive; the order of the numbers is the order of time.
    """

    position: Float[np.ndarray, "users 2"]
    velocity: Float[np.ndarray, "users 2"]
    drive: Int[np.ndarray, " users"]

    @classmethod
    def of(
        cls,
        position: Float[np.ndarray, "users 2"],
        drive: Int[np.ndarray, " users"] | None = None,
        time: Float[np.ndarray, " users"] | None = None,
    ) -> Track:
        """The track with the velocity of each user, from this fix and those before it in the drive.

        Args:
            position: Metres east and north of the station, drive by drive in the order of time.
            drive: Drive of each position; one drive by default.
            time: Seconds; rows are sorted by them in each drive, and speeds are per median interval. By default rows
                stand in the order of time, one interval apart.

        Raises:
            SiteTwinError: There is no position, or one or a time is not finite.
        """
        drive = np.zeros(len(position), dtype=np.int64) if drive is None else drive.astype(np.int64)
        known = np.isfinite(position).all() and (time is None or np.isfinite(time).all())
        if not len(position) or not known:
            raise SiteTwinError("a track needs positions, and all of them finite; drop the rows without a position")
        return cls(position, _velocity(position, drive, time), drive)

    def __len__(self) -> int:
        return len(self.drive)

    def rows(self, index: Int[np.ndarray, " rows"]) -> Track:
        """Some of the users."""
        return Track(self.position[index], self.velocity[index], self.drive[index])

    def joined(self, other: Track) -> Track:
        """The users of both."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("position", "velocity", "drive"))
        return Track(*(np.concatenate(pair) for pair in pairs))


def _velocity(position: np.ndarray, drive: np.ndarray, time: np.ndarray | None) -> np.ndarray:
    """(N, 2) median step of the last fixes of the drive; its first two fixes look ahead instead."""
    velocity = np.zeros_like(position, dtype=np.float64)
    for number in np.unique(drive):
        rows = np.flatnonzero(drive == number)
        if time is not None:
            rows = rows[np.argsort(time[rows], kind="stable")]
        steps = np.diff(position[rows], axis=0)
        if time is not None:
            between = np.diff(time[rows])
            usual = np.median(between[between > 0]) if (between > 0).any() else 1.0
            steps = steps / np.maximum(between / usual, 1e-3)[:, None]
        for k, row in enumerate(rows):
            near = steps[max(0, k - _PAST) : k] if k >= 2 else steps[:_FIRST]
            if len(near):
                velocity[row] = np.median(near, axis=0)
    return velocity
