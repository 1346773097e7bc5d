"""Place and orientation of a radio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True)
class Pose:
    """Place and orientation of a radio.

    Attributes:
        position: (x, y, z) in the site's frame, metres.
        yaw: Azimuth of the boresight, radians from east, counter-clockwise.
        pitch: Downtilt, radians; a positive value tilts the boresight below the horizon (3GPP TR 38.901, 7.1).
        roll: Rotation about the boresight, radians.

    Raises:
        SiteTwinError: A number is not finite.
    """

    position: tuple[float, float, float]
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", tuple(float(v) for v in self.position))
        numbers = (*self.position, *self.orientation)
        if len(self.position) != 3 or not all(map(math.isfinite, numbers)):
            raise SiteTwinError(f"a pose of {numbers} is none; give x, y, z in metres and angles in radians, finite")

    @property
    def orientation(self) -> tuple[float, float, float]:
        """(yaw, pitch, roll), radians, as `sitetwin.channel.Radio` takes it."""
        return self.yaw, self.pitch, self.roll

    def facing(self, point: Sequence[float] | np.ndarray) -> Pose:
        """Return a pose at the same place whose boresight points at (x, y, z), metres, without roll.

        Raises:
            SiteTwinError: The point is the position of the radio.
        """
        east, north, up = (float(p) - q for p, q in zip(point, self.position, strict=True))
        level = math.hypot(east, north)
        if level == 0.0 and up == 0.0:
            raise SiteTwinError("a radio cannot face the point at which it stands; give another point")
        return replace(self, yaw=math.atan2(north, east), pitch=-math.atan2(up, level), roll=0.0)
