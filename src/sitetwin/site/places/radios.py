"""Where base stations stand: on a mast, a roof edge or a lamp post, by a rule or by coordinates.

Every rule returns a `Pose` whose place was checked: not inside a building, not below the ground, not on a surface.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.latlon import to_local
from sitetwin.site.places.placement import check_transmitter, ground_height, surface_height
from sitetwin.site.places.pose import Pose
from sitetwin.site.places.sight import sees
from sitetwin.site.plan import lying, plan_shapes, standing_buildings
from sitetwin.site.site import Site
from sitetwin.site.verticals import VerticalIndex

Above = Literal["ground", "roof", "datum"]
SIDES = {"east": 0.0, "north": 0.5 * math.pi, "west": math.pi, "south": -0.5 * math.pi}
"""Azimuth of each side of a building, radians."""

_STEP = 1.0  # metres between the places that are tried along an edge
_EYE = 1.5  # metres over the ground at which a target given by x, y alone is seen
_MOST_TRIES = 2000
_WALL_GAP = 0.3  # metres in plan, at least, between a lamp post and a building


def place(
    site: Site, x: float, y: float, height: float, above: Above = "ground", *, allow_indoors: bool = False
) -> Pose:
    """A radio at a place in plan.

    Args:
        site: The site.
        x: Metres east.
        y: Metres north.
        height: Metres.
        above: What the height counts from: "ground"; "roof", the highest surface there; or "datum", the site's z = 0.
        allow_indoors: Accept a place inside a building.

    Raises:
        SiteTwinError: Nothing lies under the place that the height could count from, or a radio cannot stand there.
    """
    point = np.array([[x, y]], dtype=np.float64)
    if above not in ("ground", "roof", "datum"):
        raise SiteTwinError(f"heights do not count from '{above}'; choose ground, roof or datum")
    find = {"ground": ground_height, "roof": surface_height}
    foot = float(find[above](site, point)[0]) if above in find else 0.0
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
    """A radio at geographic coordinates.

    Args:
        site: The site; it needs a georeference.
        latitude: WGS84, degrees.
        longitude: WGS84, degrees.
        height: Metres.
        above: As for `place`.
        allow_indoors: As there.

    Raises:
        SiteTwinError: As for `place`; or the site has no georeference, or the coordinates are not near it.
    """
    x, y = to_local(site, [latitude], [longitude])[0].tolist()
    return place(site, x, y, height, above, allow_indoors=allow_indoors)


def mast(site: Site, at: tuple[float, float], height: float) -> Pose:
    """The top of a mast on the ground.

    Args:
        site: The site.
        at: (x, y), metres.
        height: Metres above the ground.

    Raises:
        SiteTwinError: As for `place`.
    """
    if not height > 0:
        raise SiteTwinError(f"a mast of {height} m has no height; give more than 0 m")
    return place(site, *at, height)


def nearest_building(site: Site, near: tuple[float, float]) -> str:
    """Name of the building that is nearest in plan.

    Args:
        site: The site.
        near: (x, y), metres.

    Raises:
        SiteTwinError: The site has no building.
    """
    chosen = standing_buildings(site)
    of_triangle = site.buildings[1][site.triangle_object]
    corners = site.vertices[site.triangles]
    rows = np.flatnonzero(chosen[of_triangle] & lying(corners))
    if not len(rows):
        raise SiteTwinError(f"the site '{site.name}' has no building with a roof")
    distance = shapely.distance(plan_shapes(corners[rows]), shapely.Point(near))
    return site.buildings[0][of_triangle[rows[int(np.argmin(distance))]]]


def roof_edge(
    site: Site,
    building: str | tuple[float, float],
    towards: Sequence[float] | str,
    *,
    above: float = 2.0,
    inset: float = 0.3,
) -> Pose:
    """A radio over the edge of a roof, facing what it serves.

    Args:
        site: The site.
        building: Name of the building, or (x, y) in metres: then the one nearest to it.
        towards: A target, (x, y) in metres and 1.5 m over the ground or (x, y, z): the radio stands at the place of
            the roof's edge that is nearest to it in plan among those that see it, and faces it. Or a side, "north",
            "east", "south" or "west": then in the middle of the longest edge on that side, facing away from the roof.
        above: Height over the roof at that place, metres.
        inset: Distance of the place from the outer edge, metres.

    Returns:
        The pose.

    Raises:
        SiteTwinError: No such building or side, the roof is narrower than twice the inset, no place at the edge sees
            the target, or a radio cannot stand there.
    """
    name = building if isinstance(building, str) else nearest_building(site, building)
    roof, edge = _roof_and_edge(site, name, inset)
    if isinstance(towards, str):
        point, azimuth = _middle_of_side(edge, towards, name)
        pose = _over_roof(site, roof, point, above)
        return replace(pose, yaw=azimuth)
    target = _target(site, towards)
    tried = _along(edge, target[:2])
    for point in tried:
        try:
            pose = _over_roof(site, roof, point, above)
        except SiteTwinError:
            continue  # under another roof, or against a higher part of this one
        if sees(site, np.array(pose.position), target[None])[0]:
            return pose.facing(target)
    raise SiteTwinError(
        f"none of {len(tried)} places at the roof edge of '{name}' sees ({', '.join(f'{v:g}' for v in target)}) m; "
        "raise the radio with above, or choose another building"
    )


def roof_places(site: Site, building: str, spacing: float, *, above: float = 2.0, inset: float = 0.3) -> list[Pose]:
    """Places along the edge of a roof at which a radio can stand, without orientation.

    Args:
        site: The site.
        building: Name of the building.
        spacing: Metres between them.
        above: As for `roof_edge`.
        inset: As there.

    Raises:
        SiteTwinError: No such building, the roof is narrower than twice the inset, or the spacing is not positive.
    """
    if not (math.isfinite(spacing) and spacing > 0):
        raise SiteTwinError(f"places {spacing} m apart cannot be; give a positive number")
    roof, edge = _roof_and_edge(site, building, inset)
    poses = []
    for line in shapely.get_parts(edge):
        at = spacing * np.arange(max(1, int(line.length / spacing)))
        for point in shapely.get_coordinates(shapely.line_interpolate_point(line, at)):
            try:
                poses.append(_over_roof(site, roof, point, above))
            except SiteTwinError:
                continue  # under another roof, or against a higher part of this one
    return poses


def lamp_post(
    site: Site,
    near: tuple[float, float],
    street: BaseGeometry,
    *,
    height: float = 8.0,
    setback: float = 0.5,
    within: float = 50.0,
) -> Pose:
    """The top of a lamp post on the pavement, at the place nearest to a point.

    Args:
        site: The site.
        near: (x, y), metres.
        street: What the carriageways cover in plan, metres: `street_area` or `ground_area` make it.
        height: Metres above the ground; street lighting stands some 6 to 10 m high.
        setback: Distance of the post from the kerb, metres.
        within: Farthest distance from the point, metres.

    Returns:
        The pose; it faces the nearest point of the street, level.

    Raises:
        SiteTwinError: A number is not positive, the street is empty, or no pavement within reach has room for it.
    """
    if not (height > 0 and setback > 0 and within > 0):
        raise SiteTwinError(f"a lamp post of {height} m, {setback} m off the kerb, cannot be; give more than 0 m each")
    if street.is_empty or not street.area > 0:
        raise SiteTwinError("the street of the lamp post covers nothing; give the area of its carriageway")
    kerb = street.buffer(setback).boundary.intersection(shapely.Point(near).buffer(within))
    built = _built(site, shapely.Point(near).buffer(within + 1.0))
    for point in _along(kerb, np.asarray(near, dtype=np.float64)) if kerb.length else ():
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
    """What streets cover in plan.

    Args:
        lines: Centre lines, metres.
        width: Of the carriageway, metres.

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
    """What ground surfaces cover in plan, such as the carriageways of an imported map.

    Args:
        site: The site.
        surfaces: Names of its objects, such as "ground-asphalt".

    Raises:
        SiteTwinError: The site has no such object.
    """
    for name in surfaces:
        if name not in site.objects:
            raise SiteTwinError(f"the site '{site.name}' has no object '{name}'")
    rows = np.isin(site.triangle_object, [k for k, name in enumerate(site.objects) if name in surfaces])
    return shapely.union_all(plan_shapes(site.vertices[site.triangles[rows]]), grid_size=1e-6)


def _roof_and_edge(site: Site, name: str, inset: float) -> tuple[VerticalIndex, BaseGeometry]:
    """The lying triangles of a building, and the line `inset` inside its outline."""
    names, building = site.buildings
    stands = standing_buildings(site)
    found = [k for k, known in enumerate(names) if known == name and stands[k]]
    if not found:
        raise SiteTwinError(f"the site '{site.name}' has no building '{name}'; Site.buildings names them")
    if not inset >= 0:
        raise SiteTwinError(f"an inset of {inset} m from the roof's edge cannot be; give 0 or more")
    corners = site.vertices[site.triangles[building[site.triangle_object] == found[0]]]
    outline = shapely.union_all(plan_shapes(corners), grid_size=1e-6)
    edge = outline.buffer(-inset, join_style="mitre")
    if edge.is_empty:
        raise SiteTwinError(f"the roof of '{name}' is not wide enough to stand {inset:g} m from its edge")
    shells = [shapely.Polygon(part.exterior) for part in shapely.get_parts(edge)]
    return VerticalIndex(corners), shapely.union_all(shells).boundary


def _over_roof(site: Site, roof: VerticalIndex, point: np.ndarray, above: float) -> Pose:
    """A radio over the highest surface of a building at a place in plan."""
    hits = roof.hits(point[None])
    if not len(hits.z):
        raise SiteTwinError(f"there is no roof at ({point[0]:g}, {point[1]:g}) m")
    position = np.array([*point, hits.z.max() + above])
    return Pose(tuple(check_transmitter(site, position).tolist()))


def _target(site: Site, towards: Sequence[float]) -> np.ndarray:
    target = np.asarray(towards, dtype=np.float64)
    if target.shape not in ((2,), (3,)) or not np.isfinite(target).all():
        raise SiteTwinError(f"the target {towards} is no place; give x, y or x, y, z in finite metres")
    if len(target) == 3:
        return target
    ground = float(ground_height(site, target[None])[0])
    return np.array([*target, (site.bounds[0, 2] if math.isnan(ground) else ground) + _EYE])


def _along(edge: BaseGeometry, near: np.ndarray) -> np.ndarray:
    """(N, 2) places along lines, the nearest to a point first: its foot, then every metre or more."""
    foot = shapely.get_coordinates(shapely.shortest_line(edge, shapely.Point(near)))[:1]
    step = max(_STEP, edge.length / _MOST_TRIES)
    parts = [foot]
    for line in shapely.get_parts(edge):
        at = step * np.arange(int(line.length / step) + 1)
        parts.append(shapely.get_coordinates(shapely.line_interpolate_point(line, at)))
    places = np.concatenate(parts)
    return places[np.argsort(((places - near) ** 2).sum(axis=1), kind="stable")]


def _middle_of_side(edge: BaseGeometry, side: str, name: str) -> tuple[np.ndarray, float]:
    """Middle of the longest straight edge that faces a side, and the azimuth of its outward normal."""
    if side not in SIDES:
        raise SiteTwinError(f"a roof has no side '{side}'; choose one of {', '.join(SIDES)}")
    outward = np.array([math.cos(SIDES[side]), math.sin(SIDES[side])])
    shells = shapely.get_parts(shapely.polygonize(list(shapely.get_parts(edge))))
    rings = [
        shapely.get_coordinates(shapely.geometry.polygon.orient(shell).exterior.simplify(1e-3)) for shell in shells
    ]
    starts, steps = np.concatenate([r[:-1] for r in rings]), np.concatenate([np.diff(r, axis=0) for r in rings])
    length = np.hypot(steps[:, 0], steps[:, 1])
    normal = np.stack([steps[:, 1], -steps[:, 0]], axis=1) / length[:, None]
    facing = normal @ outward >= math.cos(math.pi / 4) - 1e-9
    if not facing.any():
        raise SiteTwinError(f"the roof of '{name}' has no edge on its {side} side; choose another side or a target")
    best = int(np.argmax(np.where(facing, length, -1.0)))
    return starts[best] + 0.5 * steps[best], math.atan2(normal[best, 1], normal[best, 0])


def _built(site: Site, area: BaseGeometry) -> BaseGeometry:
    """What buildings cover in plan, within an area."""
    shapes = plan_shapes(
        site.vertices[site.triangles[standing_buildings(site)[site.buildings[1][site.triangle_object]]]]
    )
    return shapely.union_all(shapes[shapely.intersects(shapes, area)], grid_size=1e-6)
