"""How the ends of paths are moved and turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sitetwin.calibrate.channels.parameters import Parameter
from sitetwin.calibrate.channels.properties import PROPERTIES

MATERIALS = frozenset(one.what for one in PROPERTIES)
"""What parameters of materials change."""


@dataclass(frozen=True)
class Geometry:
    """Where the ends of the paths are and how the array is turned.

    Attributes:
        clock_ns: Constant of the delays, ns.
        yaw_deg: Turn of the array about the vertical, degrees.
        tilt_deg: More downtilt, degrees.
        station: (x, y, z) offset of the station, metres.
        users: (x, y) bias of all positions, metres: users stand that far from where the data say.
        beamwidth: Logarithm of the factor on the beam width.
    """

    clock_ns: float = 0.0
    yaw_deg: float = 0.0
    tilt_deg: float = 0.0
    station: tuple[float, float, float] = (0.0, 0.0, 0.0)
    users: tuple[float, float] = (0.0, 0.0)
    beamwidth: float = 0.0

    @classmethod
    def of(cls, parameters: Sequence[Parameter], theta: np.ndarray) -> Geometry:
        """The geometry at changes of the parameters."""
        known = {p.what: float(v) for p, v in zip(parameters, theta, strict=True) if p.what not in MATERIALS}
        return cls(
            known.get("clock_ns", 0.0),
            known.get("yaw_deg", 0.0),
            known.get("tilt_deg", 0.0),
            (known.get("station_x", 0.0), known.get("station_y", 0.0), known.get("station_z", 0.0)),
            (known.get("users_x", 0.0), known.get("users_y", 0.0)),
            known.get("beamwidth_deg", 0.0),
        )

    @property
    def bias(self) -> tuple[float, float, float]:
        """(x, y, z) offset of the users, metres."""
        return (*self.users, 0.0)

    @property
    def moves(self) -> bool:
        """Whether an end of the paths is moved."""
        return any(self.station) or any(self.users)
