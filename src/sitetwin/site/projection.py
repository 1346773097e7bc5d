"""Where on earth a local frame lies, and its projection: from WGS84 degrees to local metres and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyproj
import shapely
from jaxtyping import Float, Shaped

from sitetwin.errors import SiteTwinError

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
    """A georeference from numbers given by hand or by a file.

    Args:
        latitude: WGS84 degrees, positive to the north.
        longitude: WGS84 degrees, positive to the east; 180 to 360 is taken for the western half.
        vertical_datum: What z = 0 is.

    Raises:
        SiteTwinError: A number is not finite, or no place on earth that a transverse Mercator projection can centre on.
    """
    if not (math.isfinite(latitude) and math.isfinite(longitude)):
        raise SiteTwinError("a latitude or longitude is NaN or infinite; give WGS84 degrees")
    if abs(latitude) > 89.0 or not -180.0 <= longitude <= 360.0:
        raise SiteTwinError(
            f"latitude {latitude:g}, longitude {longitude:g} is no origin of a site; give WGS84 degrees, latitude "
            "first, at most 89 degrees from the equator"
        )
    return Georeference(float(latitude), float(longitude - 360.0 * (longitude > 180.0)), vertical_datum)


@dataclass(frozen=True)
class LocalProjection:
    """Transverse Mercator centred on a WGS84 point with scale 1: x east and y north of it, metres.

    Conformal; lengths near the origin are true, at distance x east or west they are long by x^2 / (2 R^2), 3e-7 at 5 km
    (Snyder, Map Projections: A Working Manual, USGS 1395, 1987, section 8).

    Attributes:
        latitude: Latitude of the origin, degrees, within +-90.
        longitude: Longitude of the origin, degrees, within +-180.

    Raises:
        SiteTwinError: The origin is no point of the earth.
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
        """The local frame of a site."""
        return cls(georeference.latitude, georeference.longitude)

    @property
    def georeference(self) -> Georeference:
        """The origin, as a site keeps it."""
        return Georeference(self.latitude, self.longitude)

    @property
    def proj4(self) -> str:
        """The local frame in the words of PROJ, for files that name their reference system."""
        return (
            f"+proj=tmerc +lat_0={self.latitude!r} +lon_0={self.longitude!r} +k=1 +x_0=0 +y_0=0 +datum=WGS84 +units=m "
            "+no_defs"
        )

    @cached_property
    def crs(self) -> pyproj.CRS:
        """The local frame as a reference system, for transformations from other ones."""
        return pyproj.CRS.from_proj4(self.proj4)

    @cached_property
    def _proj(self) -> pyproj.Proj:
        return pyproj.Proj(proj="tmerc", lat_0=self.latitude, lon_0=self.longitude, k_0=1, ellps="WGS84", units="m")

    def to_local(self, lonlat: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """Project points.

        Args:
            lonlat: (N, 2) float64, longitude and latitude, degrees.

        Returns:
            (N, 2) float64, x east and y north, metres; infinite where the projection has no answer (a quarter of the
            earth away).
        """
        x, y = self._proj(lonlat[:, 0], lonlat[:, 1])
        return np.stack([x, y], axis=1)

    def to_wgs84(self, xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        """The inverse: (N, 2) float64 metres to (N, 2) longitude and latitude, degrees."""
        longitude, latitude = self._proj(xy[:, 0], xy[:, 1], inverse=True)
        return np.stack([longitude, latitude], axis=1)

    def project(self, geometries: Shaped[np.ndarray, " geometries"]) -> Shaped[np.ndarray, " geometries"]:
        """Project geometries, all their points in one call.

        Args:
            geometries: (N,) array of shapely geometries in degrees, longitude first.

        Returns:
            (N,) array of geometries in local metres.
        """
        return np.asarray(shapely.transform(geometries, self.to_local), dtype=object)
