"""Light of day, dusk and night."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True)
class Light:
    """What lights a street.

    Attributes:
        name: Name, for results.
        sun_elevation: Radians over the horizon; below it there is no sun, and `sky_glow` stands for the sky.
        sun_azimuth: Radians from east, counter-clockwise.
        turbidity: Of the air, 1 (clear) to 10 (hazy).
        lamps: Whether street lamps, lamps of vehicles and some windows are on.
        sky_glow: Luminance of the sky without sun, cd/m2.

    Raises:
        SiteTwinError: A number is out of its range.
    """

    name: str
    sun_elevation: float
    sun_azimuth: float = 0.8
    turbidity: float = 3.0
    lamps: bool = False
    sky_glow: float = 0.05

    def __post_init__(self) -> None:
        if not (-math.pi / 2 <= self.sun_elevation <= math.pi / 2 and math.isfinite(self.sun_azimuth)):
            raise SiteTwinError(f"the sun of light '{self.name}' stands nowhere; give its angles in radians")
        if not (1 <= self.turbidity <= 10 and 0 <= self.sky_glow < 1e5):
            raise SiteTwinError(
                f"light '{self.name}' has a turbidity of {self.turbidity} and a glow of {self.sky_glow} cd/m2; "
                "give 1 to 10, and no negative glow"
            )

    @property
    def sun_up(self) -> bool:
        """Whether the sun stands over the horizon."""
        return self.sun_elevation > 0

    @property
    def towards_sun(self) -> tuple[float, float, float]:
        """Unit vector in the site's frame."""
        flat = math.cos(self.sun_elevation)
        return (
            flat * math.cos(self.sun_azimuth),
            flat * math.sin(self.sun_azimuth),
            math.sin(self.sun_elevation),
        )


DAY = Light("day", math.radians(48.0))
DUSK = Light("dusk", math.radians(1.5), lamps=True)
NIGHT = Light("night", math.radians(-20.0), lamps=True)

LIGHTS = {light.name: light for light in (DAY, DUSK, NIGHT)}
"""Lights by their names."""


@dataclass(frozen=True)
class Lamp:
    """A small source of light.

    Attributes:
        position: (x, y, z), metres.
        candela: Luminous intensity along its axis, cd.
        axis: Unit vector along which it shines; None shines in all directions alike.
        focus: Exponent of the cosine of the angle off the axis.
    """

    position: tuple[float, float, float]
    candela: float
    axis: tuple[float, float, float] | None = None
    focus: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", tuple(float(v) for v in self.position))
