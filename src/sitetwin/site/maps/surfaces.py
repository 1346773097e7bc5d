"""The closed surface around the columns of a plan: walls over its edges, roofs and undersides over its faces.

Space is cut into cells: a face of the plan between two neighbouring surfaces of its column. The surface of the solid
cells is closed by construction if all walls at a corner are cut at the same heights. Therefore each vertical line of
the plan is cut at every height that occurs on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Bool, Float, Int

from sitetwin.site.facets import components
from sitetwin.site.maps.arrangement import Arrangement, directed_edges, find_points
from sitetwin.site.maps.columns import Columns, Volumes, heights_at
from sitetwin.site.maps.footprints import GRID
from sitetwin.site.maps.triangles import triangulate

SAME_HEIGHT = 16 * GRID
"""Metres: heights over one corner that differ by less between steps are one height."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles, counter-clockwise seen from outside.

    Attributes:
        corners: (T, 3, 3) float64, metres.
        owner: (T,) int64, volume that each triangle belongs to.
        is_roof: (T,) bool: whether the triangle belongs to a roof (not to a wall or an underside).
        is_shared: (T,) bool: whether the triangle is part of a wall between two buildings, solid on both sides.
    """

    corners: Float[np.ndarray, "triangles 3 3"]
    owner: Int[np.ndarray, " triangles"]
    is_roof: Bool[np.ndarray, " triangles"]
    is_shared: Bool[np.ndarray, " triangles"]


@dataclass(frozen=True, eq=False)
class _Levels:
    """Heights of planes over the points of a plan.

    Attributes:
        key: (M,) int64, ascending: point * number of planes + plane.
        level: (M,) int64, number of that height among `z`.
        z: (L,) float64, metres; the heights over one point are neighbours, ascending.
        planes: Number of planes.
    """

    key: Int[np.ndarray, " keys"]
    level: Int[np.ndarray, " keys"]
    z: Float[np.ndarray, " levels"]
    planes: int

    def at(self, point: np.ndarray, plane: np.ndarray) -> np.ndarray:
        """Level of each (point, plane)."""
        return self.level[np.searchsorted(self.key, point * self.planes + plane)]


def enclose(plan: Arrangement, columns: Columns, volumes: Volumes, *, keep_shared: bool) -> Surface:
    """Make the surface around all solid cells.

    Args:
        plan: The plan.
        columns: The columns over the faces of the plan.
        volumes: The volumes.
        keep_shared: Also make the walls between touching volumes of different buildings, as single surfaces.

    Raises:
        SiteTwinError: A face cannot be triangulated.
    """
    edges = np.flatnonzero(_kind(columns, plan.left) != _kind(columns, plan.right))
    row, side, interval = edge_intervals(plan, columns, edges)
    levels = _levels(plan, columns, volumes, edges[row], interval)
    walls = _walls(plan, columns, volumes, levels, edges, row, side, interval, keep_shared)
    roofs = _roofs(plan, columns, levels, edges)
    (corners, owner, shared), (roof_corners, roof_owner, is_roof) = walls, roofs
    return Surface(
        corners=np.concatenate([corners, roof_corners]),
        owner=np.concatenate([owner, roof_owner]),
        is_roof=np.concatenate([np.zeros(len(corners), dtype=bool), is_roof]),
        is_shared=np.concatenate([shared, np.zeros(len(roof_corners), dtype=bool)]),
    )


def _kind(columns: Columns, face: np.ndarray) -> np.ndarray:
    return np.where(face >= 0, columns.kind[face], -1) if len(columns.kind) else np.full(len(face), -1)


def edge_intervals(plan: Arrangement, columns: Columns, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the intervals of the columns on both sides of edges.

    Returns:
        (N,) row of `edges`, ascending; (N,) side, 0 for left and 1 for right; (N,) row of the columns.
    """
    face = np.concatenate([plan.left[edges], plan.right[edges]])
    begin = np.where(face >= 0, columns.offset[face], 0)
    count = np.where(face >= 0, columns.offset[face + 1] - begin, 0)
    which = np.repeat(np.arange(len(face)), count)
    interval = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    row, side = which % max(len(edges), 1), which // max(len(edges), 1)
    order = np.argsort(row, kind="stable")
    return row[order], side[order], interval[order]


def _levels(plan: Arrangement, columns: Columns, volumes: Volumes, edge: np.ndarray, interval: np.ndarray) -> _Levels:
    size = len(volumes.planes)
    key = np.unique(
        np.concatenate(
            [
                points[edge] * size + planes[interval]
                for points in (plan.low, plan.high)
                for planes in (columns.lower, columns.upper)
            ]
        )
    )
    point, plane = key // size, key % size
    z = np.rint(heights_at(volumes.planes[plane], plan.points[point]) / GRID) * GRID
    order = np.lexsort((z, point))
    apart = (np.diff(point[order], prepend=-1) != 0) | (np.diff(z[order], prepend=-np.inf) > SAME_HEIGHT)
    level = np.empty(len(key), dtype=np.int64)
    level[order] = np.cumsum(apart) - 1
    levels = _Levels(key, level, z[order][apart], size)
    followed = ~np.isin(interval + 1, columns.offset)  # by another interval over the same face
    pairs = []
    for end in (plan.low[edge], plan.high[edge]):
        lower, upper = levels.at(end, columns.lower[interval]), levels.at(end, columns.upper[interval])
        above = levels.at(end[followed], columns.lower[interval[followed] + 1])
        pairs += [np.column_stack([lower, upper]), np.column_stack([upper[followed], above])]
    return _in_order(levels, np.concatenate(pairs))


def _in_order(levels: _Levels, pairs: np.ndarray) -> _Levels:
    """Levels in which the first of each pair is not above the second.

    Where a steep roof meets another surface, the rounding of the corner in plan may exchange them by some micrometres;
    the levels from one to the other become one.
    """
    joined = np.zeros(len(levels.z), dtype=bool)  # with the level below
    for low, high in np.unique(pairs[pairs[:, 0] > pairs[:, 1]], axis=0):
        joined[high + 1 : low + 1] = True
    number = np.cumsum(~joined) - 1
    return _Levels(levels.key, number[levels.level], levels.z[~joined], levels.planes)


def _walls(
    plan: Arrangement,
    columns: Columns,
    volumes: Volumes,
    levels: _Levels,
    edges: np.ndarray,
    row: np.ndarray,
    side: np.ndarray,
    interval: np.ndarray,
    keep_shared: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Walls where only one side of an edge is solid: corners, owners, and which are solid on both sides after all."""
    low, high = plan.low[edges], plan.high[edges]
    bottoms = levels.at(low[row], columns.lower[interval]), levels.at(high[row], columns.lower[interval])
    tops = levels.at(low[row], columns.upper[interval]), levels.at(high[row], columns.upper[interval])
    steps, step_row, place = _steps(
        np.tile(row, 2), *(np.concatenate(both) for both in zip(bottoms, tops, strict=True))
    )
    first, last = np.split(place, 2)
    owner = np.full((2, len(steps)), -1)
    count = last - first
    strip = np.repeat(first, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    owner[np.repeat(side, count), strip] = np.repeat(columns.owner[interval], count)

    left, right = owner
    building = volumes.building
    between = (left >= 0) & (right >= 0) & (building[left] != building[right]) & keep_shared
    solid_left = ((left >= 0) & (right < 0)) | (between & (building[left] < building[right]))
    solid_right = ((left < 0) & (right >= 0)) | (between & (building[left] > building[right]))
    corners, owners, shared = [], [], []
    for rows, turned in ((np.flatnonzero(solid_left), False), (np.flatnonzero(solid_right), True)):
        ends, lower, upper = np.stack([low, high], axis=1)[step_row[rows]], steps[rows], steps[rows + 1]
        if turned:
            ends, lower, upper = ends[:, ::-1], lower[:, ::-1], upper[:, ::-1]
        triangles, source = _strip_triangles(plan.points[ends], lower, upper, levels.z)
        corners.append(triangles)
        owners.append(owner[int(turned)][rows[source]])
        shared.append(between[rows[source]])
    return np.concatenate(corners), np.concatenate(owners), np.concatenate(shared)


def _steps(row: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct pairs of levels at the two ends of edges, from bottom to top.

    Returns:
        The pairs (S, 2), edge after edge; the edge of each; and for each given pair its place among them.
    """
    order = np.lexsort((low, low + high, row))
    row, low, high = row[order], low[order], high[order]
    fresh = (np.diff(row, prepend=-1) != 0) | (np.diff(low, prepend=-1) != 0) | (np.diff(high, prepend=-1) != 0)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.cumsum(fresh) - 1
    return np.column_stack([low[fresh], high[fresh]]), row[fresh], place


def _strip_triangles(
    ends: np.ndarray, lower: np.ndarray, upper: np.ndarray, z: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles of wall strips whose upright sides are cut at every level between.

    A strip whose upper end is the lower one on one side (surfaces that cross within rounding) turns over there: what it
    shares with its neighbours stays the same.

    Args:
        ends: (S, 2, 2) points in plan, the solid on the left of the way from the first to the second, metres.
        lower: (S, 2) levels at both ends.
        upper: (S, 2) levels at both ends.
        z: (L,) heights of the levels, metres.

    Returns:
        Triangles (T, 3, 3), counter-clockwise seen from the right; and the strip of each.
    """
    made, source = [], []
    for end in (
        0,
        1,
    ):  # a fan from the second end's foot to the first side, one from the first end's head to the second
        rise = upper[:, end] - lower[:, end]
        count = np.abs(rise)
        strip = np.repeat(np.arange(len(ends)), count)
        step = np.arange(len(strip)) - np.repeat(np.cumsum(count) - count, count)
        up = np.sign(rise)[strip]
        level = lower[strip, end] + step * up
        apex = lower[strip, 1] if end == 0 else upper[strip, 0]
        here, there = ends[strip, end], ends[strip, 1 - end]
        foot = np.column_stack([here, z[level]])
        head = np.column_stack([here, z[level + up]])
        across = np.column_stack([there, z[apex]])
        made.append(np.stack([head, foot, across] if end == 0 else [foot, head, across], axis=1))
        source.append(strip)
    return np.concatenate(made), np.concatenate(source)


def _roofs(
    plan: Arrangement, columns: Columns, levels: _Levels, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roofs and undersides over faces of equal columns: corners, owners, and which are roofs."""
    polygons, face = _regions(plan, columns, edges)
    triangles, polygon = triangulate(polygons)
    point = find_points(plan.points, triangles.reshape(-1, 2)).reshape(-1, 3)
    begin = columns.offset[face[polygon]]
    count = columns.offset[face[polygon] + 1] - begin
    row = np.repeat(np.arange(len(point)), count)
    interval = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    first = np.isin(interval, columns.offset)
    last = np.isin(interval + 1, columns.offset)
    gap = np.append(columns.upper[:-1] != columns.lower[1:], True)  # to the next interval of the column
    open_above, open_below = last | gap[interval], first | np.append(True, gap[:-1])[interval]
    corners, owners = [], []
    for rows, plane, is_roof in ((open_above, columns.upper, True), (open_below, columns.lower, False)):
        corner = point[row[rows]]
        z = levels.z[levels.at(corner, plane[interval[rows]][:, None])]
        made = np.concatenate([plan.points[corner], z[..., None]], axis=-1)
        corners.append(made if is_roof else made[:, ::-1])
        owners.append(columns.owner[interval[rows]])
    return np.concatenate(corners), np.concatenate(owners), np.repeat([True, False], [len(made) for made in owners])


def _regions(plan: Arrangement, columns: Columns, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of neighbouring faces with equal columns, as one; and one of the faces of each."""
    inner = np.ones(len(plan.low), dtype=bool)
    inner[edges] = False
    inner &= _kind(columns, plan.left) >= 0
    region = components(len(plan.faces), plan.left[inner], plan.right[inner])
    merged = np.zeros(len(plan.faces), dtype=bool)
    merged[plan.left[inner]] = merged[plan.right[inner]] = True
    single = np.flatnonzero(~merged & (columns.kind >= 0))
    if not merged.any():
        return plan.faces[single], single
    left, right = plan.left[edges], plan.right[edges]
    around = edges[(merged[left] & (left >= 0)) | (merged[right] & (right >= 0))]
    lines = shapely.linestrings(plan.points[np.stack([plan.low[around], plan.high[around]], axis=1)])
    outlines = shapely.orient_polygons(shapely.get_parts(shapely.polygonize(lines)))
    begin, end, outline = directed_edges(outlines)
    start = np.flatnonzero(np.diff(outline, prepend=-1))
    low, high = find_points(plan.points, begin[start]), find_points(plan.points, end[start])
    size = len(plan.points)
    number = np.searchsorted(plan.low * size + plan.high, np.minimum(low, high) * size + np.maximum(low, high))
    face = np.where(low < high, plan.left[number], plan.right[number])
    wanted = merged[face] & (face >= 0)
    return np.concatenate([plan.faces[single], outlines[wanted]]), np.concatenate([single, region[face[wanted]]])
