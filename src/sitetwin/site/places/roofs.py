"""Place radios over the edges of roofs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.places.placement import check_transmitter, ground_height
from sitetwin.site.places.pose import Pose
from sitetwin.site.places.radios import points_along
from sitetwin.site.places.sight import sees
from sitetwin.site.plan import lying, plan_shapes, standing_buildings
from sitetwin.site.site import Site
from sitetwin.site.verticals import VerticalIndex

SIDES = {"east": 0.0, "north": 0.5 * math.pi, "west": math.pi, "south": -0.5 * math.pi}
"""Azimuth of each side of a building, radians."""

_EYE = 1.5  # metres over the ground at which a target given by x, y alone is seen


def nearest_building(site: Site, near: tuple[float, float]) -> str:
    """Return the name of the building that is nearest to a point in plan.

    Args:
        site: The site.
        near: (x, y) of the point, metres.

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
    """Place a radio over the edge of a roof, facing a target or a side.

    Args:
        site: The site.
        building: Name of the building, or (x, y) in metres for the building nearest to this point.
        towards: A target or a side. A target is (x, y, z) in metres, or (x, y) for a point 1.5 m over the ground; the
            radio stands at the place of the roof's edge that sees the target and is nearest to it in plan, and faces
            it. A side is "north", "east", "south" or "west"; the radio stands in the middle of the longest edge on that
            side, and faces away from the roof.
        above: Height over the roof at that place, metres.
        inset: Distance of the place from the outer edge, metres.

    Returns:
        The pose of the radio.

    Raises:
        SiteTwinError: There is no such building or side, the roof is narrower than twice the inset, no place at the
            edge sees the target, or a radio cannot stand there.
    """
    name = building if isinstance(building, str) else nearest_building(site, building)
    roof, edge = _roof_and_edge(site, name, inset)
    if isinstance(towards, str):
        point, azimuth = _middle_of_side(edge, towards, name)
        pose = _over_roof(site, roof, point, above)
        return replace(pose, yaw=azimuth)
    target = _target(site, towards)
    tried = points_along(edge, target[:2])
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
    """Find places along the edge of a roof at which a radio can stand; the poses have no orientation.

    Args:
        site: The site.
        building: Name of the building.
        spacing: Metres between neighbouring places.
        above: Height over the roof at that place, metres.
        inset: Distance of the places from the outer edge, metres.

    Raises:
        SiteTwinError: There is no such building, the roof is narrower than twice the inset, or the spacing is not
            positive.
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
