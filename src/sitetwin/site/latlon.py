"""Convert between geographic coordinates and the local frame of a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import FARTHEST_TURN, wrapped
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.site.projection import Georeference, LocalProjection, check_origin
from sitetwin.site.site import Site


def origin_of(site: Site) -> Georeference:
    """Return the site's georeference.

    Raises:
        SiteTwinError: The site has no georeference.
    """
    if site.georeference is None:
        raise SiteTwinError(
            f"the site '{site.name}' does not say where on earth it lies, so that latitude and longitude mean nothing "
            "in it; give x, y in metres"
        )
    return site.georeference


def to_local(
    site: Site,
    latitude: Shaped[np.ndarray, " points"] | Sequence[float],
    longitude: Shaped[np.ndarray, " points"] | Sequence[float],
) -> Float[np.ndarray, "points 2"]:
    """Convert latitudes and longitudes to local x and y.

    Args:
        site: The site; it needs a georeference.
        latitude: (N,) latitudes, WGS84 degrees.
        longitude: (N,) longitudes, WGS84 degrees; a turn of 360 degrees more or less is the same place.

    Returns:
        (N, 2) float64: x east and y north, metres.

    Raises:
        SiteTwinError: The site has no georeference, a number is not a latitude or longitude, or a point is more than
            1000 km from the origin.
    """
    origin = origin_of(site)
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    bad = ~((np.abs(lat) <= 90) & (np.abs(lon) <= FARTHEST_TURN))
    if bad.any():
        k = int(np.argmax(bad))
        raise SiteTwinError(
            f"{lat[k]:g}, {lon[k]:g} are no latitude and longitude; give degrees north (-90 to 90), then east "
            "(-180 to 180)"
        )
    plan = LocalProjection.of(origin).to_local(np.stack([wrapped(lon), lat], axis=-1))
    far = ~(np.abs(plan) <= LARGEST_COORDINATE).all(axis=-1)
    if far.any():
        k = int(np.argmax(far))
        raise SiteTwinError(
            f"{lat[k]:g}, {lon[k]:g} (latitude, longitude) lies more than {LARGEST_COORDINATE / 1e3:g} km from the "
            f"site '{site.name}' at {origin.latitude:g}, {origin.longitude:g}"
        )
    return plan


def to_geographic(
    site: Site, points_xy: Shaped[np.ndarray, "points 2"] | Sequence[Sequence[float]]
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"]]:
    """Convert points (N, 2) in metres to latitudes and longitudes, each (N,), WGS84 degrees.

    Raises:
        SiteTwinError: The site has no georeference.
    """
    lonlat = LocalProjection.of(origin_of(site)).to_wgs84(np.asarray(points_xy, dtype=np.float64))
    return lonlat[:, 1], lonlat[:, 0]


def with_georeference(site: Site, latitude: float, longitude: float, vertical_datum: str | None = None) -> Site:
    """Return the site with its local origin placed on earth.

    Nothing moves: x stays east and y north of the origin. Use it where the source of a site does not say where it lies
    (meshes), or says it wrongly. An earlier origin is listed in ``provenance["differences"]``.

    Args:
        site: The site.
        latitude: Latitude of the local origin, WGS84 degrees.
        longitude: Longitude of the local origin, WGS84 degrees.
        vertical_datum: Name of the height z = 0; by default the name that the site had before, or "local ground".

    Raises:
        SiteTwinError: A number is not finite, or the numbers are not a place on earth.
    """
    before = site.georeference
    datum = vertical_datum or (before.vertical_datum if before else "local ground")
    after = check_origin(latitude, longitude, datum)
    if before == after:
        return site
    provenance = site.provenance
    if before is not None:
        change = {"what": "georeference", "before": vars(before), "after": vars(after)}
        provenance = {**provenance, "differences": [*provenance.get("differences", []), change]}
    return replace(site, georeference=after, provenance=provenance)
