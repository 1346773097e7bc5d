"""Place a local frame on earth, and convert between WGS84 degrees and local metres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyproj
import shapely
from jaxtyping import Float, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import wrapped

FARTHEST = 50_000.0
"""Metres from the origin: farther away a plane map stands for a round earth no more (scale error 3e-5 there, and
ground 200 m below the tangent plane)."""


@dataclass(frozen=True)
class Georeference:
    """Origin of the local frame: WGS84 degrees, and the vertical datum of z = 0.

    x is east, y is north, z is up, in metres, by a transverse Mercator projection centred on the origin with scale 1.
    """

    latitude: float
    longitude: float
    vertical_datum: str = "local ground"


def check_origin(latitude: float, longitude: float, vertical_datum: str = "local ground") -> Georeference:
    """Make a georeference from numbers given by a user or by a file.

    Args:
        latitude: Latitude of the origin, WGS84 degrees, positive to the north.
        longitude: Longitude of the origin, WGS84 degrees, positive to the east; a turn of 360 degrees more
            or less is the same place.
        vertical_datum: Name of the height z = 0.

    Raises:
        SiteTwinError: A number is not finite, or the place is not on the earth or too close to a pole.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise SiteTwinError("a latitude or longitude is NaN or infinite; give WGS84 degrees")
    if abs(latitude) > 89.0 or abs(longitude) > 360.0:
        raise SiteTwinError(
            f"latitude {latitude:g}, longitude {longitude:g} is no origin of a site; give WGS84 degrees, latitude "
            "first, at most 89 degrees from the equator"
        )
    return Georeference(float(latitude), wrapped(float(longitude)), vertical_datum)


@dataclass(frozen=True)
class LocalProjection:
    """Transverse Mercator centred on a WGS84 point with scale 1: x east and y north of it, metres.

    The projection is conformal. Lengths are true near the origin; at distance x east or west they are too long by the
    factor 1 + x^2 / (2 R^2), 3e-7 at 5 km (Snyder, Map Projections: A Working Manual, USGS 1395, 1987, section 8).

    Attributes:
        latitude: Latitude of the origin, degrees, within +-90.
        longitude: Longitude of the origin, degrees, within +-180.

    Raises:
        SiteTwinError: The origin is not a point on the earth.
    """

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise SiteTwinError(
                f"the origin latitude {self.latitude:g}, longitude {self.longitude:g} is no point of the earth; give "
                "the latitude first, within 90 degrees, then the longitude, within 180"
            )

    @classmethod
    def of(cls, georeference: Georeference) -> LocalProjection:
        """Make the projection of a site's local frame."""
        return cls(georeference.latitude, georeference.longitude)

    @property
    def georeference(self) -> Georeference:
        """The origin as a `Georeference`."""
        return Georeference(self.latitude, self.longitude)

    @property
    def proj4(self) -> str:
        """The local frame as a PROJ string, for files that name their reference system."""
        return (
            f"+proj=tmerc +lat_0={self.latitude!r} +lon_0={self.longitude!r} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m "
            "+no_defs"
        )

    @cached_property
    def crs(self) -> pyproj.CRS:
        """The local frame as a reference system, for transformations from other systems."""
        return pyproj.CRS.from_proj4(self.proj4)

    @cached_property
    def _proj(self) -> pyproj.Proj:
        return pyproj.Proj(proj="tmerc", lat_0=self.latitude, lon_0=self.longitude, k_0=1, ellps="WGS84", units="m")

    def to_local(self, lonlat: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Project longitudes and latitudes to local metres.

        Args:
            lonlat: (N, 2) float64, longitude and latitude, degrees.

        Returns:
            (N, 2) float64, x east and y north, metres; infinite where the projection is not defined (a quarter of the
            earth away).
        """
        x, y = self._proj(lonlat[:, 0], lonlat[:, 1])
        return np.stack([x, y], axis=1)

    def to_wgs84(self, xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Convert local metres (N, 2) float64 back to longitude and latitude (N, 2), degrees."""
        longitude, latitude = self._proj(xy[:, 0], xy[:, 1], inverse=True)
        return np.stack([wrapped(longitude), latitude], axis=1)

    def project(self, geometries: Shaped[np.ndarray, " geometries"]) -> Shaped[np.ndarray, " geometries"]:
        """Project geometries to local metres, all their points in one call.

        Args:
            geometries: (N,) array of shapely geometries in degrees, longitude first.

        Returns:
            (N,) array of geometries in local metres.
        """
        return np.asarray(shapely.transform(geometries, self.to_local), dtype=object)
