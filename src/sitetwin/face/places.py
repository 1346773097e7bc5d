"""Sites by name, folder or file, and users in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, area_grid, latlon_box, user_grid
from sitetwin.site import open_site as open_scene
from sitetwin.site.maps import Clip, MapOptions, Radius, read_maps, site_from_map
from sitetwin.site.opening import is_map


def open_site(
    source: str | Path,
    *,
    around: tuple[float, float] | None = None,
    radius: float | None = None,
    clip: Clip | None = None,
    options: MapOptions | None = None,
) -> Site:
    """Open a site: a built-in scene, a saved site, a map, a scene file or a mesh.

    Args:
        source: Name of a built-in Sionna RT scene ("munich"), folder of a saved site, or file: a map (OpenStreetMap
            .osm or .osm.pbf, Overpass .json, .geojson), CityJSON, Mitsuba XML, glTF, OBJ, PLY, or a Wireless InSite
            project.
        around: (latitude, longitude) in degrees: the part of a map about this point, with `radius`.
        radius: Metres about `around`.
        clip: Another part of a map, such as `sitetwin.site.maps.Box`; instead of `around` and `radius`.
        options: What is assumed of buildings, trees, ground and materials of a map.

    Returns:
        The site. `site.provenance` says what was read and assumed.

    Raises:
        SiteTwinError: There is no such place, the file is damaged, or a choice says nothing for this kind of file.
    """
    path = Path(source)
    if path.is_file() and is_map(path):
        data, ledger = read_maps([path], clip=_clip(around, radius, clip))
        return site_from_map(data, ledger, options)
    given = {"around": around, "radius": radius, "clip": clip, "options": options}
    idle = [name for name, value in given.items() if value is not None]
    if idle:
        raise SiteTwinError(f"'{source}' is no map, so {idle[0]} says nothing for it; leave it out")
    return open_scene(source)


def _clip(around: tuple[float, float] | None, radius: float | None, clip: Clip | None) -> Clip | None:
    if (around is None) != (radius is None):
        raise SiteTwinError("around and radius go together; give both, or neither")
    if around is None or radius is None:
        return clip
    if clip is not None:
        raise SiteTwinError("around and clip both cut the map; give one of them")
    return Radius(*around, radius)


def grid(
    site: Site,
    area: tuple[float, float, float, float],
    spacing: float = 1.0,
    height: float = 1.5,
    *,
    degrees: bool = False,
    allow_indoors: bool = False,
) -> Float[np.ndarray, "users 3"]:
    """Users on a regular grid over a rectangle; those inside buildings are left out.

    Args:
        site: The site.
        area: (xmin, ymin, xmax, ymax) in metres; with `degrees`, (south, west, north, east).
        spacing: Metres between neighbours.
        height: Metres above the ground.
        degrees: Whether the area is a box of latitudes and longitudes; the site needs a georeference then.
        allow_indoors: Keep users inside buildings.

    Returns:
        (users, 3) positions in metres, row by row from the south, each from the west.

    Raises:
        SiteTwinError: The area is empty or too large, a number is impossible, or nobody stands outdoors.
    """
    if degrees:
        box = latlon_box(site, *area)
        return area_grid(site, box, spacing, height, allow_indoors=allow_indoors)[0]
    return user_grid(area, spacing, height, site, allow_indoors=allow_indoors)[0]
