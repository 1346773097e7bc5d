"""Places on the command line: in metres, by latitude and longitude, over streets, or along a recorded drive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError

LATLON = "latlon:"
"""With this a transmitter given by latitude and longitude begins."""

_ROOF = "roof+"


@dataclass(frozen=True)
class LatLon:
    """A transmitter by geographic coordinates: degrees, and metres above the ground or the roof there."""

    latitude: float
    longitude: float
    height: float
    above: str


def parse_latlon(text: str) -> LatLon:
    """A transmitter from ``latlon:LAT,LON,HEIGHT`` (above the ground) or ``latlon:LAT,LON,roof+HEIGHT``.

    Raises:
        SiteTwinError: The text is neither.
    """
    words = text.removeprefix(LATLON).split(",")
    above = "roof" if words[-1].startswith(_ROOF) else "ground"
    try:
        latitude, longitude, height = (float(word.removeprefix(_ROOF)) for word in words)
    except ValueError:
        latitude = longitude = height = math.nan
    if not all(map(math.isfinite, (latitude, longitude, height))):
        raise SiteTwinError(
            f"--tx is {text!r}; write latlon:LAT,LON,HEIGHT with degrees north and east and metres above the ground, "
            "or latlon:LAT,LON,roof+HEIGHT"
        )
    return LatLon(latitude, longitude, height, above)


def transmitter_position(site: Any, place: list[float] | LatLon, *, allow_indoors: bool) -> Any:
    """(3,) metres: where a transmitter stands, checked.

    Raises:
        SiteTwinError: As `sitetwin.site.check_transmitter` and `sitetwin.site.place_latlon`.
    """
    import numpy as np

    from sitetwin.site import check_transmitter, place_latlon

    if not isinstance(place, LatLon):
        return check_transmitter(site, np.array(place), allow_indoors=allow_indoors)
    above: Any = place.above
    pose = place_latlon(site, place.latitude, place.longitude, place.height, above, allow_indoors=allow_indoors)
    return np.array(pose.position)


@dataclass(frozen=True)
class UserPlaces:
    """Where users are: exactly one of a rectangle in metres, a box of latitudes and longitudes, a map and a GPX file.

    Attributes:
        area: (xmin, ymin, xmax, ymax), metres.
        box: (south, west, north, east), degrees.
        streets: Map whose streets they stand on.
        gpx: File of a drive or walk.
        spacing: Metres between users.
        height: Metres above the ground.
    """

    area: tuple[float, float, float, float] | None
    box: tuple[float, float, float, float] | None
    streets: Path | None
    gpx: Path | None
    spacing: float
    height: float

    def users(self, site: Any, *, allow_indoors: bool) -> tuple[Any, int]:
        """(N, 3) positions in metres, and how many were dropped inside buildings.

        Raises:
            SiteTwinError: As `user_grid`, `area_grid`, `read_streets` and `trajectories_from_gpx`.
        """
        from sitetwin.site import area_grid, latlon_box, user_grid

        if self.area is not None:
            return user_grid(self.area, self.spacing, self.height, site, allow_indoors=allow_indoors)
        if self.box is not None:
            area = latlon_box(site, *self.box)
            return area_grid(site, area, self.spacing, self.height, allow_indoors=allow_indoors)
        if self.streets is not None:
            from sitetwin.site.maps import read_streets

            area = read_streets(self.streets, site).area(site)
            return area_grid(site, area, self.spacing, self.height, allow_indoors=allow_indoors)
        return self._along_drives(site, allow_indoors)

    def _along_drives(self, site: Any, allow_indoors: bool) -> tuple[Any, int]:
        import numpy as np

        from sitetwin.rays.drives import places_along, trajectories_from_gpx
        from sitetwin.site import inside_building

        assert self.gpx is not None
        drives = trajectories_from_gpx(self.gpx, site, height=self.height, speed=1.0)  # a speed moves no place
        users = np.concatenate([places_along(drive, site, self.spacing, self.height) for drive in drives])
        kept = users if allow_indoors else users[~inside_building(site, users)]
        if not len(kept):
            raise SiteTwinError(f"all {len(users)} users along {self.gpx} are inside buildings; check the georeference")
        return kept, len(users) - len(kept)
