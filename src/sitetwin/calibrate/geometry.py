"""The direction in which an array sees a user, from few unknowns, and the frame of the street of its unknowns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.calibrate.track import Track

UNKNOWNS = ("boresight_deg", "across_m", "along_m", "lever_m", "lag", "scale")
"""Direction of the boresight from the normal of the street; error of the station's position across and along the
street; place of the transmitter ahead of the GPS antenna; time between sweep and fix, in intervals between fixes; scale
of the codebook's angle axis."""

_NEAREST_M = 1.0  # a fix at the station itself would turn by any angle
_OF_MOTION_M = 5.0  # what the direction of travel weighs beside the spread of positions
_SCALES = (0.6, 1.4)


@dataclass(frozen=True)
class BeamPriors:
    """Priors (mean, standard deviation) of the unknowns, and sizes of what disturbs a direction: one set for all sites.

    Attributes:
        boresight_deg: See `UNKNOWNS`, as the five after it.
        across_m: Metres.
        along_m: Metres.
        lever_m: Metres.
        lag: Intervals between fixes.
        scale: The codebook's axis has two readings: 180/210 and 1 degree per sample.
        reading_deg: Error of a direction that is read from a row of powers.
        fix_m: Error of a fix along the street.
        freedom: Degrees of freedom of Student's t of both.
        lane_m: Displacement that is smooth along a lane.
        lane_length_m: Its correlation length.
        lane_common: Share of its variance that both directions of travel have in common.
        drive_m: Bias of the fixes of one drive.
        drive_lag: Change of the lag in one drive.
        slow_deg: Slow turning of the array from drive to drive.
        slow_lag: Slow change of the lag from drive to drive.
        slow_drives: Drives over which the slow changes stay alike.
        gain: Error of each beam's amplitude in the codebook, relative.
        pointing_deg: Error of each beam's pointing in the codebook.
    """

    boresight_deg: tuple[float, float] = (0.0, 25.0)
    across_m: tuple[float, float] = (0.0, 1.5)
    along_m: tuple[float, float] = (0.0, 1.5)
    lever_m: tuple[float, float] = (0.0, 1.0)
    lag: tuple[float, float] = (0.0, 4.0)
    scale: tuple[float, float] = (0.93, 0.08)
    reading_deg: float = 0.8
    fix_m: float = 0.35
    freedom: float = 3.0
    lane_m: float = 0.6
    lane_length_m: float = 10.0
    lane_common: float = 0.5
    drive_m: float = 0.3
    drive_lag: float = 0.2
    slow_deg: float = 0.5
    slow_lag: float = 0.2
    slow_drives: float = 8.0
    gain: float = 0.15
    pointing_deg: float = 0.7

    @property
    def mean(self) -> Float[np.ndarray, " unknowns"]:
        """Prior means."""
        return np.array([getattr(self, name)[0] for name in UNKNOWNS])

    @property
    def sd(self) -> Float[np.ndarray, " unknowns"]:
        """Prior standard deviations."""
        return np.array([getattr(self, name)[1] for name in UNKNOWNS])


@dataclass(frozen=True, eq=False)
class Street:
    """Axes of a street.

    Attributes:
        axes: Columns: across the street and away from the station, along it; east and north.
    """

    axes: Float[np.ndarray, "2 2"]

    @classmethod
    def of(cls, track: Track) -> Street:
        """The street along which the positions spread and the users travel."""
        centred = track.position - np.median(track.position, axis=0)
        speed = np.hypot(*track.velocity.T)[:, None]
        travel = track.velocity / np.maximum(speed, 1e-9)
        spread = centred.T @ centred + _OF_MOTION_M**2 * travel.T @ travel
        along = np.linalg.eigh(spread)[1][:, -1]
        across = np.array([along[1], -along[0]])
        if across @ np.median(track.position, axis=0) < 0:
            across = -across
        return cls(np.stack([across, np.array([-across[1], across[0]])], axis=1))

    @property
    def axis_rad(self) -> float:
        """Direction across the street and away from the station, from east, counter-clockwise."""
        return float(np.arctan2(self.axes[1, 0], self.axes[0, 0]))

    def seen(self, track: Track) -> Seen:
        """Users in the frame of the street."""
        position, velocity = track.position @ self.axes, track.velocity @ self.axes
        return Seen(position, velocity, np.where(velocity[:, 1] < 0, -1.0, 1.0), track.drive.astype(np.float64))


@dataclass(frozen=True, eq=False)
class Seen:
    """Users in the frame of their street.

    Attributes:
        position: Metres from the station: across, along.
        velocity: Metres between fixes.
        heading: +1 or -1: along the street or against it.
        drive: Numbers of the drives.
    """

    position: Float[np.ndarray, "users 2"]
    velocity: Float[np.ndarray, "users 2"]
    heading: Float[np.ndarray, " users"]
    drive: Float[np.ndarray, " users"]

    def rows(self, index: np.ndarray) -> Seen:
        """Some of the users."""
        return Seen(self.position[index], self.velocity[index], self.heading[index], self.drive[index])

    @property
    def range_m(self) -> Float[np.ndarray, " users"]:
        """Distance from the station."""
        return np.maximum(np.hypot(*self.position.T), _NEAREST_M)


def direction(
    unknowns: Float[np.ndarray, "*modes unknowns"], seen: Seen
) -> tuple[Float[np.ndarray, "*modes users"], Float[np.ndarray, "*modes users unknowns"]]:
    """Degrees on the codebook's axis, and their derivatives by the unknowns.

    Args:
        unknowns: Of `UNKNOWNS`.
        seen: The users.
    """
    boresight, across, along, lever, lag, scale = (unknowns[..., None, k] for k in range(len(UNKNOWNS)))
    x = seen.position[:, 0] + across + lag * seen.velocity[:, 0]
    y = seen.position[:, 1] + along + lever * seen.heading + lag * seen.velocity[:, 1]
    squared = np.maximum(x * x + y * y, _NEAREST_M**2)
    angle = (np.degrees(np.arctan2(y, x)) - boresight + 180) % 360 - 180
    by_along, by_across = scale * np.degrees(x / squared), -scale * np.degrees(y / squared)
    by_lag = by_across * seen.velocity[:, 0] + by_along * seen.velocity[:, 1]
    slope = np.stack(
        [-scale + 0 * angle, by_across, by_along, by_along * seen.heading, by_lag, angle + 0 * by_lag], axis=-1
    )
    return scale * angle, slope


def held(unknowns: Float[np.ndarray, "*modes unknowns"]) -> Float[np.ndarray, "*modes unknowns"]:
    """The unknowns with a scale that a codebook can have."""
    out = unknowns.copy()
    out[..., -1] = np.clip(out[..., -1], *_SCALES)
    return out
