"""Find where surfaces of different volumes cross: lines inside common areas, points on common walls."""

from __future__ import annotations

import numpy as np
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.arrangement import Arrangement
from sitetwin.site.maps.columns import Columns, Volumes, heights_at
from sitetwin.site.maps.footprints import GRID
from sitetwin.site.maps.surfaces import SAME_HEIGHT, edge_intervals

MARGIN = 0.01
"""Metres that lines reach beyond the area they are to divide."""

MOST_NEIGHBOURS = 500_000
"""Pairs of a sloping roof and a building that touches or overlaps it."""

MOST_OVERLAPS = 20_000
"""Such pairs that overlap: some ten seconds of work."""

_LEAST_COMMON = 1e-6  # m2
_TICK = 1e-3  # m: half length of the short line that cuts an edge


def crossing_lines(volumes: Volumes) -> np.ndarray:
    """Find the lines in plan along which surfaces of overlapping volumes cross.

    The lines are cut to the area that two volumes have in common. Only volumes with a sloping surface are examined,
    because level surfaces do not cross.

    Raises:
        SiteTwinError: More volumes touch or overlap than `MOST_NEIGHBOURS` or `MOST_OVERLAPS`.
    """
    sloping = (volumes.planes[:, :2] != 0).any(axis=1)
    sloped = np.unique(
        np.repeat(np.arange(len(volumes.footprint)), np.diff(volumes.roof_offset))[sloping[volumes.roof]]
    )
    one, other = shapely.STRtree(volumes.footprint).query(volumes.footprint[sloped], predicate="intersects")
    pairs = np.column_stack([sloped[one], other])
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    _refuse_more(len(pairs), MOST_NEIGHBOURS)
    common = shapely.intersection(*volumes.footprint[pairs].T)
    real = shapely.area(common) > _LEAST_COMMON
    _refuse_more(int(np.count_nonzero(real)), MOST_OVERLAPS)
    lines: list[shapely.LineString] = []
    for (a, b), area in zip(pairs[real].tolist(), common[real], strict=True):
        lines += _common_lines(_planes_of(volumes, a), _planes_of(volumes, b), area)
    return np.array(lines, dtype=object)


def _refuse_more(count: int, most: int) -> None:
    if count > most:
        raise SiteTwinError(
            f"sloping roofs lie over {count:,} other buildings that they touch or overlap, and at most {most:,} can be "
            "cut at one another; remove buildings that are drawn over others, or import a smaller part of the map"
        )


def _planes_of(volumes: Volumes, volume: int) -> np.ndarray:
    roof = volumes.roof[volumes.roof_offset[volume] : volumes.roof_offset[volume + 1]]
    return volumes.planes[np.append(roof, volumes.bottom[volume])]


def _common_lines(ours: np.ndarray, theirs: np.ndarray, common: shapely.Geometry) -> list[shapely.LineString]:
    """Where two sets of planes are equal in pairs, within an area."""
    difference = (ours[:, None] - theirs[None]).reshape(-1, 3)
    steepness = np.hypot(difference[:, 0], difference[:, 1])
    difference, steepness = difference[steepness > 1e-9], steepness[steepness > 1e-9]
    if not len(difference):
        return []
    normal = difference[:, :2] / steepness[:, None]
    west, south, east, north = common.bounds
    centre, reach = np.array([0.5 * (west + east), 0.5 * (south + north)]), np.hypot(east - west, north - south)
    away = heights_at(difference, centre) / steepness
    foot = centre - away[:, None] * normal
    along = np.column_stack([-normal[:, 1], normal[:, 0]]) * (reach + MARGIN)
    lines = shapely.linestrings(np.stack([foot - along, foot + along], axis=1)[np.abs(away) <= reach])
    cut = shapely.intersection(lines, common.buffer(MARGIN, join_style="mitre"))
    return [part for part in shapely.get_parts(cut) if not part.is_empty and part.length > 0]


def crossing_ticks(plan: Arrangement, columns: Columns, volumes: Volumes) -> np.ndarray:
    """Make short lines across those edges of a plan where a surface on one side crosses one on the other side.

    Arranged together with the lines of the plan they make a corner there: between corners no two surfaces cross, so
    that the wall between them is one strip.
    """
    edges = np.flatnonzero(plan.left >= 0)
    edges = edges[plan.right[edges] >= 0]
    edges = edges[columns.kind[plan.left[edges]] != columns.kind[plan.right[edges]]]
    row, side, interval = edge_intervals(plan, columns, edges)
    row, side = np.tile(row, 2), np.tile(side, 2)
    plane = np.concatenate([columns.lower[interval], columns.upper[interval]])
    left = np.flatnonzero(side == 0)
    order = np.argsort(row[left], kind="stable")
    left = left[order]
    right = np.flatnonzero(side == 1)
    begin, end = np.searchsorted(row[left], row[right], "left"), np.searchsorted(row[left], row[right], "right")
    count = end - begin
    second = np.repeat(right, count)
    first = left[np.arange(len(second)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)]
    edge = edges[row[first]]
    low, high = plan.points[plan.low[edge]], plan.points[plan.high[edge]]
    ours, theirs = volumes.planes[plane[first]], volumes.planes[plane[second]]
    at_low = heights_at(ours, low) - heights_at(theirs, low)
    at_high = heights_at(ours, high) - heights_at(theirs, high)
    steepness = np.hypot(*(ours - theirs)[:, :2].T)
    resolved = 0.5 * SAME_HEIGHT + GRID * steepness  # what a corner on the grid leaves
    cross = (np.sign(at_low) * np.sign(at_high) < 0) & (np.minimum(np.abs(at_low), np.abs(at_high)) > resolved)
    low, high = low[cross], high[cross]
    share = at_low[cross] / (at_low[cross] - at_high[cross])
    middle = low + share[:, None] * (high - low)
    step = high - low
    across = np.column_stack([-step[:, 1], step[:, 0]]) / np.hypot(step[:, 0], step[:, 1])[:, None] * _TICK
    return np.asarray(shapely.linestrings(np.unique(np.stack([middle - across, middle + across], axis=1), axis=0)))
