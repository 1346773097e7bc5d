"""Place base stations on masts or lamp posts, or by coordinates (roofs: `sitetwin.site.places.roofs`).

Every function returns a `Pose` whose place was checked: not inside a building, not below the ground, not on a surface.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.latlon import to_local
from sitetwin.site.places.placement import CLEARANCE, check_transmitter, ground_height, surface_height
from sitetwin.site.places.pose import Pose
from sitetwin.site.plan import plan_shapes, standing_buildings
from sitetwin.site.site import Site

Above = Literal["ground", "roof", "datum"]
_STEP = 1.0  # metres between the places that are tried along an edge
_MOST_TRIES = 2000
_WALL_GAP = 0.3  # metres in plan, at least, between a lamp post and a building


def place(
    site: Site, x: float, y: float, height: float, above: Above = "ground", *, allow_indoors: bool = False
) -> Pose:
    """Place a radio at x and y, at a height above the ground, the roof or z = 0.

    Args:
        site: The site.
        x: Metres east.
        y: Metres north.
        height: Height of the radio, metres, counted from `above`.
        above: What the height counts from: "ground"; "roof", the highest surface there; or "datum", the site's z = 0.
        allow_indoors: Accept a place inside a building.

    Raises:
        SiteTwinError: The site has no ground or roof at the place, or a radio cannot stand there.
    """
    point = np.array([[x, y]], dtype=np.float64)
    if above not in ("ground", "roof", "datum"):
        raise SiteTwinError(f"heights do not count from '{above}'; choose ground, roof or datum")
    find = {"ground": ground_height, "roof": surface_height}
    foot = float(find[above](site, point)[0]) if above in find else 0.0
    if above == "roof" and foot <= float(ground_height(site, point)[0]) + CLEARANCE:
        raise SiteTwinError(
            f"at ({x:g}, {y:g}) m the site '{site.name}' has no roof, but open ground; choose a place on a "
            "building, or a height above the ground"
        )
    if math.isnan(foot):
        raise SiteTwinError(f"at ({x:g}, {y:g}) m the site '{site.name}' has no {above}; choose a place within it")
    position = check_transmitter(site, np.array([x, y, foot + height]), allow_indoors=allow_indoors)
    return Pose(tuple(position.tolist()))


def place_latlon(
    site: Site,
    latitude: float,
    longitude: float,
    height: float,
    above: Above = "ground",
    *,
    allow_indoors: bool = False,
) -> Pose:
    """Place a radio at geographic coordinates.

    Args:
        site: The site; it needs a georeference.
        latitude: Latitude of the radio, WGS84 degrees.
        longitude: Longitude of the radio, WGS84 degrees.
        height: Metres.
        above: What the height counts from: "ground"; "roof", the highest surface there; or "datum", the site's z = 0.
        allow_indoors: Accept a place inside a building.

    Raises:
        SiteTwinError: The site has no georeference, the coordinates are not near it, or `place` refuses the place.
    """
    x, y = to_local(site, [latitude], [longitude])[0].tolist()
    return place(site, x, y, height, above, allow_indoors=allow_indoors)


def mast(site: Site, at: tuple[float, float], height: float) -> Pose:
    """Place a radio at the top of a mast that stands on the ground.

    Args:
        site: The site.
        at: (x, y) of the mast, metres.
        height: Metres above the ground.

    Raises:
        SiteTwinError: The height is not positive, or `place` refuses the place.
    """
    if not height > 0:
        raise SiteTwinError(f"a mast of {height} m has no height; give more than 0 m")
    return place(site, *at, height)


def lamp_post(
    site: Site,
    near: tuple[float, float],
    street: BaseGeometry,
    *,
    height: float = 8.0,
    setback: float = 0.5,
    within: float = 50.0,
) -> Pose:
    """Place a radio at the top of a lamp post on the pavement nearest to a point.

    Args:
        site: The site.
        near: (x, y) of the point, metres.
        street: Area of the carriageways in plan, metres, as `street_area` or `ground_area` returns it.
        height: Metres above the ground; street lighting stands some 6 to 10 m high.
        setback: Distance of the post from the kerb, metres.
        within: Largest distance of the post from the point, metres.

    Returns:
        The pose; its boresight is level and faces the nearest point of the street.

    Raises:
        SiteTwinError: A number is not positive, the street is empty, or no pavement within reach has room for it.
    """
    if not (height > 0 and setback > 0 and within > 0):
        raise SiteTwinError(f"a lamp post of {height} m, {setback} m off the kerb, cannot be; give more than 0 m each")
    if street.is_empty or not street.area > 0:
        raise SiteTwinError("the street of the lamp post covers nothing; give the area of its carriageway")
    kerb = street.buffer(setback).boundary.intersection(shapely.Point(near).buffer(within))
    built = _built(site, shapely.Point(near).buffer(within + 1.0))
    for point in points_along(kerb, np.asarray(near, dtype=np.float64)) if kerb.length else ():
        spot = shapely.Point(point)
        if built.distance(spot) < _WALL_GAP:
            continue
        try:
            pose = mast(site, (float(point[0]), float(point[1])), height)
        except SiteTwinError:
            continue  # no ground, or under a roof
        over = shapely.get_coordinates(shapely.shortest_line(spot, street))[1] - point
        return replace(pose, yaw=math.atan2(over[1], over[0]))
    raise SiteTwinError(
        f"no pavement within {within:g} m of ({near[0]:g}, {near[1]:g}) m has room for a lamp post {setback:g} m off "
        "the kerb; choose another place, or reduce the setback"
    )


def street_area(lines: Sequence[BaseGeometry], width: float) -> BaseGeometry:
    """Return the area that streets cover in plan, metres.

    Args:
        lines: Centre lines, metres.
        width: Width of the carriageway, metres.

    Raises:
        SiteTwinError: There is no line, or the width is not positive.
    """
    if not (math.isfinite(width) and width > 0):
        raise SiteTwinError(f"a street of {width} m has no width; give more than 0 m")
    kept = [line for line in lines if line.length > 0]
    if not kept:
        raise SiteTwinError("there is no street among the lines; give at least one of some length")
    return shapely.union_all(shapely.buffer(kept, width / 2, cap_style="flat"), grid_size=1e-6)


def ground_area(site: Site, surfaces: Sequence[str]) -> BaseGeometry:
    """Return the area that ground surfaces cover in plan, such as the carriageways of an imported map.

    Args:
        site: The site.
        surfaces: Names of objects of the site, such as "ground-asphalt".

    Raises:
        SiteTwinError: The site has no object of one of these names.
    """
    for name in surfaces:
        if name not in site.objects:
            raise SiteTwinError(f"the site '{site.name}' has no object '{name}'")
    rows = np.isin(site.triangle_object, [k for k, name in enumerate(site.objects) if name in surfaces])
    return shapely.union_all(plan_shapes(site.vertices[site.triangles[rows]]), grid_size=1e-6)


def _built(site: Site, area: BaseGeometry) -> BaseGeometry:
    """What buildings cover in plan, within an area."""
    shapes = plan_shapes(
        site.vertices[site.triangles[standing_buildings(site)[site.buildings[1][site.triangle_object]]]]
    )
    return shapely.union_all(shapes[shapely.intersects(shapes, area)], grid_size=1e-6)


def points_along(edge: BaseGeometry, near: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "points 2"]:
    """(N, 2) places along lines, the nearest to a point first: its foot, then every metre or more."""
    foot = shapely.get_coordinates(shapely.shortest_line(edge, shapely.Point(near)))[:1]
    step = max(_STEP, edge.length / _MOST_TRIES)
    parts = [foot]
    for line in shapely.get_parts(edge):
        at = step * np.arange(int(line.length / step) + 1)
        parts.append(shapely.get_coordinates(shapely.line_interpolate_point(line, at)))
    places = np.concatenate(parts)
    return places[np.argsort(((places - near) ** 2).sum(axis=1), kind="stable")]
