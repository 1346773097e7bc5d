"""Where on earth a site lies, and geographic coordinates in its local frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.site.projection import Georeference, LocalProjection, check_origin
from sitetwin.site.site import Site


def origin_of(site: Site) -> Georeference:
    """The site's georeference.

    Raises:
        SiteTwinError: It has none.
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
    """Plan coordinates of geographic ones.

    Args:
        site: The site; it needs a georeference.
        latitude: (N,) WGS84 degrees.
        longitude: (N,) WGS84 degrees.

    Returns:
        (N, 2) float64: x east and y north, metres.

    Raises:
        SiteTwinError: The site has no georeference, a number is no latitude or longitude, or a point is more than
            1000 km from the origin.
    """
    origin = origin_of(site)
    lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
    bad = ~((np.abs(lat) <= 90) & (np.abs(lon) <= 180))
    if bad.any():
        k = int(np.argmax(bad))
        raise SiteTwinError(
            f"{lat[k]:g}, {lon[k]:g} are no latitude and longitude; give degrees north (-90 to 90), then east "
            "(-180 to 180)"
        )
    plan = LocalProjection.of(origin).to_local(np.stack([lon, lat], axis=-1))
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
    """Latitude and longitude, each (N,) WGS84 degrees, of points (N, 2) in metres.

    Raises:
        SiteTwinError: The site has no georeference.
    """
    lonlat = LocalProjection.of(origin_of(site)).to_wgs84(np.asarray(points_xy, dtype=np.float64))
    return lonlat[:, 1], lonlat[:, 0]


def with_georeference(site: Site, latitude: float, longitude: float, vertical_datum: str | None = None) -> Site:
    """The same site with its local origin placed on earth.

    Nothing moves: x stays east and y north of the origin. Use it where the source of a site says nothing of its place
    (meshes), or says it wrongly; an origin that was there before is listed in ``provenance["differences"]``.

    Args:
        site: The site.
        latitude: Latitude of the local origin, WGS84 degrees.
        longitude: Longitude of the local origin, WGS84 degrees.
        vertical_datum: What z = 0 is; by default what the site said before, or "local ground".

    Raises:
        SiteTwinError: A number is not finite or no place on earth.
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
