"""Place users over areas of any shape and along streets, at a height above the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import width, wrapped
from sitetwin.site.latlon import to_local
from sitetwin.site.places.placement import MOST_USERS, inside_building, over_ground
from sitetwin.site.places.radios import street_area
from sitetwin.site.site import Site

_POINTS_AT_ONCE = 1 << 18
_WIDEST_BOX = 180.0  # degrees
_BOX_STEP = 1e-3  # degrees (some 100 m) between the points of a box's sides, which are curved in the local frame


def area_grid(
    site: Site, area: BaseGeometry, spacing: float, height: float, *, allow_indoors: bool = False
) -> tuple[Float[np.ndarray, "users 3"], int]:
    """Place users on a regular grid over an area of any shape, without positions inside buildings.

    Args:
        site: The site.
        area: Polygon or polygons in plan, metres; the grid begins at the south-western corner of its bounds.
        spacing: Metres between neighbouring users.
        height: Height of the users in metres above the ground (above the site's lowest point where there is no ground).
        allow_indoors: Keep positions inside buildings.

    Returns:
        (N, 3) float64 positions in metres, row by row from the south, each row from the west; and the number of
        positions that were dropped inside buildings.

    Raises:
        SiteTwinError: A number is not finite, the spacing is not positive, the area is empty, its bounds hold too many
            points, no point lies in it, or all its points are inside buildings.
    """
    _check(spacing, height)
    if area.is_empty or not area.area > 0:
        raise SiteTwinError("the users' area covers nothing; give a polygon in metres")
    west, south, east, north = area.bounds
    columns, rows = (int((high - low) / spacing + 1e-9) + 1 for low, high in ((west, east), (south, north)))
    if columns * rows > MOST_USERS:
        raise SiteTwinError(
            f"a grid of {columns} x {rows} points over the users' area is too large (at most {MOST_USERS:,} in all); "
            "choose a wider spacing, or a smaller area"
        )
    shapely.prepare(area)
    x, y = west + spacing * np.arange(columns), south + spacing * np.arange(rows)
    step, found = max(1, _POINTS_AT_ONCE // columns), []
    for first in range(0, rows, step):
        block = np.stack(np.meshgrid(x, y[first : first + step]), axis=-1).reshape(-1, 2)
        found.append(block[shapely.intersects_xy(area, block[:, 0], block[:, 1])])
    return _outdoors(site, np.concatenate(found), height, allow_indoors)


def street_grid(
    site: Site, lines: Sequence[BaseGeometry], width: float, spacing: float, height: float
) -> tuple[Float[np.ndarray, "users 3"], int]:
    """Place users on a regular grid over streets, without positions inside buildings.

    Args:
        site: The site.
        lines: Centre lines, metres.
        width: Width of the streets, metres.
        spacing: Metres between neighbouring users.
        height: Height of the users above the ground, metres.

    Returns:
        (N, 3) float64 positions in metres, and the number of positions that were dropped inside buildings.

    Raises:
        SiteTwinError: There is no street, or `area_grid` refuses the grid.
    """
    return area_grid(site, street_area(lines, width), spacing, height)


def lane_users(
    site: Site, lines: Sequence[BaseGeometry], offsets: Sequence[float], spacing: float, height: float
) -> tuple[Float[np.ndarray, "users 3"], int]:
    """Place users along the lanes of streets, one line after the other, without positions inside buildings.

    Args:
        site: The site.
        lines: Centre lines, metres.
        offsets: Distances of the lanes from the centre line, metres to the left of its direction.
        spacing: Metres between neighbouring users along a lane.
        height: Height of the users above the ground, metres.

    Returns:
        (N, 3) float64 positions in metres; and the number of positions that were dropped inside buildings.

    Raises:
        SiteTwinError: A number is not finite, the spacing is not positive, or no user stands outdoors.
    """
    _check(spacing, height)
    if not np.isfinite(offsets).all():
        raise SiteTwinError("the offset of a lane is NaN or infinite; give finite metres")
    lanes = [
        lane for line in lines for offset in offsets for lane in shapely.get_parts(line.offset_curve(float(offset)))
    ]
    if sum(lane.length for lane in lanes) / spacing > MOST_USERS:
        raise SiteTwinError(f"the lanes hold more than {MOST_USERS:,} users; choose a wider spacing")
    points = [np.zeros((0, 2))]
    for lane in lanes:
        if lane.length > 0:
            at = spacing * np.arange(int(lane.length / spacing + 1e-9) + 1)
            points.append(shapely.get_coordinates(shapely.line_interpolate_point(lane, at)))
    return _outdoors(site, np.concatenate(points), height, False)


def latlon_box(site: Site, south: float, west: float, north: float, east: float) -> BaseGeometry:
    """Make the area between two latitudes and two longitudes.

    Args:
        site: The site; it needs a georeference.
        south: Lowest latitude, WGS84 degrees.
        west: Western longitude, WGS84 degrees; a west greater than the east is over the antimeridian.
        north: Highest latitude, WGS84 degrees.
        east: Eastern longitude, WGS84 degrees.

    Returns:
        A polygon in the local frame, metres.

    Raises:
        SiteTwinError: The box is empty, or a corner is too far from the site.
    """
    to_local(site, [south, north], [west, east])  # refuses what is far away before it is cut into pieces
    begin, wide = wrapped(west), width(wrapped(west), wrapped(east))
    if not (south < north and 0 < wide <= _WIDEST_BOX):
        raise SiteTwinError(
            f"the box of latitudes {south:.10g} to {north:.10g} and longitudes {west:.10g} to {east:.10g} is "
            f"{'empty' if wide == 0 or not south < north else f'{wide:.10g} degrees wide'}; give south, west, north, "
            "east with south < north and west < east (west > east is over the antimeridian)"
        )
    box = shapely.segmentize(shapely.box(begin, south, begin + wide, north), _BOX_STEP)
    ring = shapely.get_coordinates(box)
    return shapely.Polygon(to_local(site, ring[:, 1], ring[:, 0]))


def _check(spacing: float, height: float) -> None:
    if not (math.isfinite(spacing) and spacing > 0 and math.isfinite(height)):
        raise SiteTwinError(f"users {spacing} m apart and {height} m above the ground cannot be; give finite metres")


def _outdoors(site: Site, points_xy: np.ndarray, height: float, allow_indoors: bool) -> tuple[np.ndarray, int]:
    users = over_ground(site, points_xy, height)
    kept = users if allow_indoors else users[~inside_building(site, users)]
    if not len(kept):
        raise SiteTwinError(
            f"of {len(users)} places for users none is outdoors; choose a finer spacing, or an area outdoors"
        )
    return kept, len(users) - len(kept)
