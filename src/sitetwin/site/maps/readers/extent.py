"""Where a map lies: its origin, the area that its files say they cover, and what reaches too far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import side_by_side, wrapped
from sitetwin.site.maps.clipping import Box, cut_to
from sitetwin.site.maps.drawn import Drawn, bounds, is_building, pieces
from sitetwin.site.maps.even_odd import valid_area
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.projection import FARTHEST, LocalProjection

Extent = tuple[float, float, float, float]
"""West, south, east, north, degrees; a west greater than the east is over the antimeridian."""

_METRES_PER_DEGREE = 111_195.0  # on the mean sphere
_ALONE = 20.0  # times the distance of the nine tenths that are nearest: what is farther lies far from all others
_NEVER_ALONE = 2000.0  # metres
_MOST_FAR = 0.05  # share of the buildings that may lie too far and be left out
_CUT = 0.9 * FARTHEST  # metres from the origin to which long lines and large areas go on


def middle_of(things: Sequence[Drawn], extents: Sequence[Extent], ledger: Ledger) -> tuple[float, float]:
    """Return latitude and longitude of the origin of a map, degrees.

    It is the middle of the area that the files say they cover, if the buildings lie in it; else the middle of the
    buildings (of all things, if there are none), but for those far from all others.

    Args:
        things: All things on the map, in degrees.
        extents: What the files say they cover.
        ledger: Account of the import; it records what was not regarded.
    """
    centres, typical = _typical(things)
    whole = _united(extents, typical)
    if whole is not None:
        west, south, east, north = whole
        return (south + north) / 2, wrapped((west + east) / 2)
    distance = _metres(centres, typical)
    near = distance <= max(_ALONE * float(np.percentile(distance, 90)), _NEVER_ALONE)
    if not near.all():
        what = "thing far from all others, which the origin does not regard"
        ledger.note("assumed", what, _built(things)[int(np.argmax(distance))].key, int((~near).sum()))
    low, high = centres[near].min(axis=0), centres[near].max(axis=0)
    longitude, latitude = (low + high) / 2
    return float(latitude), wrapped(float(longitude))


def local_bounds(
    extents: Sequence[Extent], things: Sequence[Drawn], projection: LocalProjection
) -> tuple[float, float, float, float] | None:
    """Return the rectangle that the files say they cover, metres; None if they say nothing that can be.

    Args:
        extents: What the files say they cover.
        things: What lies on the map, in local metres.
        projection: The local frame.
    """
    if not extents:
        return None
    middles = [shapely.centroid(thing.geometry) for thing in _built(things)]
    x, y = np.median(shapely.get_coordinates(np.array(middles, dtype=object)), axis=0)
    whole = _united(extents, projection.to_wgs84(np.array([[x, y]]))[0])
    if whole is None:
        return None
    west, south, east, north = Box(whole[0], whole[1], whole[2], whole[3]).region(projection).bounds
    return float(west), float(south), float(east), float(north)


def _built(things: Sequence[Drawn]) -> list[Drawn]:
    """The buildings, or all things if there are none."""
    return [thing for thing in things if is_building(thing.tags)] or list(things)


def _typical(things: Sequence[Drawn]) -> tuple[Float[np.ndarray, "things 2"], Float[np.ndarray, " 2"]]:
    """Longitudes and latitudes of the middles of the buildings, without a jump, and their median."""
    box = bounds(_built(things))
    corners = side_by_side([box[:, :2], box[:, 2:]])
    centres = (corners[0] + corners[1]) / 2
    return centres, np.median(centres, axis=0)


def _united(extents: Sequence[Extent], typical: Float[np.ndarray, " 2"]) -> Extent | None:
    """The box around all extents, its longitudes near those of a typical place; None if it cannot be that of a site."""
    if not extents:
        return None
    corners = side_by_side([np.array(extents, dtype=float).reshape(-1, 2)])[0]
    (west, south), (east, north) = corners.min(axis=0), corners.max(axis=0)
    try:
        Box(wrapped(float(west)), float(south), wrapped(float(east)), float(north))
    except SiteTwinError:
        return None
    off = abs(wrapped(float(typical[0]) - float(west + east) / 2))
    holds = off <= (east - west) / 2 and south <= typical[1] <= north
    return (float(west), float(south), float(east), float(north)) if holds else None


def _metres(lonlat: Float[np.ndarray, "points 2"], place: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " points"]:
    """Distances on a sphere, to within some per cent."""
    away = lonlat - place
    east = wrapped(away[:, 0]) * np.cos(np.radians(place[1]))
    return np.hypot(east, away[:, 1]) * _METRES_PER_DEGREE


def within_reach(things: Sequence[Drawn], projection: LocalProjection, where: str, ledger: Ledger) -> list[Drawn]:
    """Return the things that lie within `FARTHEST` of the origin; long lines and large areas are cut.

    Args:
        things: All things on the map, in degrees.
        projection: The local frame.
        where: Name of the map, for messages.
        ledger: Account of the import; it records what was left out.

    Raises:
        SiteTwinError: More than a few of the buildings (of all things, if there are none) lie farther.
    """
    place = np.array([projection.longitude, projection.latitude])
    box = bounds(list(things))
    reach = np.max([_metres(box[:, [i, j]], place) for i in (0, 2) for j in (1, 3)], axis=0)
    far = reach > _CUT
    if not far.any():
        return list(things)
    built = np.array([is_building(thing.tags) for thing in things])
    counted = built if built.any() else np.ones(len(things), dtype=bool)
    if (reach[counted] > FARTHEST).mean() > _MOST_FAR:
        worst = int(np.argmax(np.where(counted, reach, 0)))
        raise SiteTwinError(
            f"'{things[worst].key}' of '{where}' lies {reach[worst] / 1000:.0f} km from the origin (latitude "
            f"{projection.latitude:.5f}, longitude {projection.longitude:.5f}), and a site reaches "
            f"{FARTHEST / 1000:.0f} km at most; clip the map by a box or a radius"
        )
    high = _CUT / _METRES_PER_DEGREE
    wide = high / np.cos(np.radians(place[1]))
    kept: list[Drawn] = []
    for thing, is_far, is_built in zip(things, far, built, strict=True):
        if not is_far:
            kept.append(thing)
            continue
        parts: list[BaseGeometry] = []
        geometry = thing.geometry if is_built else valid_area(thing.geometry, thing.key)
        for turn in () if is_built else (-360.0, 0.0, 360.0):
            frame = shapely.box(place[0] - wide - turn, place[1] - high, place[0] + wide - turn, place[1] + high)
            parts += cut_to(geometry, frame)
        what = "the part farther than 45 km from the origin" if parts else "thing farther than 45 km from the origin"
        ledger.note("dropped", what, thing.key)
        kept += pieces(thing.key, parts, thing.tags)
    return kept


def coastlines(things: Sequence[Drawn], projection: LocalProjection) -> tuple[BaseGeometry, ...]:
    """Return the coastlines of a map in local metres, whole, in the direction in which they are drawn."""
    lines = []
    for thing in things:
        is_drawn = (
            "relation/" not in thing.key and shapely.get_dimensions(thing.geometry) > 0
        )  # areas have no direction
        if is_drawn and thing.tags.get("natural") == "coastline":
            lines += [shapely.get_exterior_ring(p) or p for p in shapely.get_parts(thing.geometry)]
    placed = [shapely.LineString(projection.to_local(shapely.get_coordinates(line))) for line in lines]
    return tuple(line for line in placed if np.isfinite(shapely.get_coordinates(line)).all())
