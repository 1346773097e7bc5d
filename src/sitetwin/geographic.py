"""Places by latitude and longitude, as texts say them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sitetwin.errors import SiteTwinError

LATLON = "latlon:"
"""With this a place given by latitude and longitude begins."""

_ROOF = "roof+"


@dataclass(frozen=True)
class LatLon:
    """A radio by geographic coordinates.

    Attributes:
        latitude: WGS84, degrees.
        longitude: WGS84, degrees.
        height: Metres above the ground or the roof there.
        above: "ground" or "roof".
    """

    latitude: float
    longitude: float
    height: float
    above: Literal["ground", "roof"] = "ground"


def parse_latlon(text: str, said: str = "tx") -> LatLon:
    """A place from ``latlon:LAT,LON,HEIGHT`` (above the ground) or ``latlon:LAT,LON,roof+HEIGHT``.

    Args:
        text: The text.
        said: Name of what holds it, for the sentence.

    Raises:
        SiteTwinError: The text is neither.
    """
    words = text.removeprefix(LATLON).split(",")
    try:
        latitude, longitude, height = (float(word.removeprefix(_ROOF)) for word in words)
    except ValueError:
        latitude = longitude = height = math.nan
    if not all(map(math.isfinite, (latitude, longitude, height))):
        raise SiteTwinError(
            f"{said} is {text!r}; write latlon:LAT,LON,HEIGHT with degrees north and east and metres above the ground, "
            "or latlon:LAT,LON,roof+HEIGHT"
        )
    return LatLon(latitude, longitude, height, "roof" if words[-1].startswith(_ROOF) else "ground")
