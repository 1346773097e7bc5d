"""Where on earth a site lies: origins given by hand."""

from __future__ import annotations

import math
from dataclasses import replace

from sitetwin.errors import SiteTwinError
from sitetwin.site.model import Georeference, Site


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


def with_georeference(site: Site, latitude: float, longitude: float, vertical_datum: str | None = None) -> Site:
    """The same site with its local origin placed on earth.

    Nothing moves: x stays east and y north of the origin. Use it where the source of a site says nothing of its place
    (meshes), or says it wrongly; an origin that was there before is listed in ``provenance["differences"]``.

    Args:
        site: The site.
        latitude: Of the local origin, WGS84 degrees.
        longitude: Likewise.
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
