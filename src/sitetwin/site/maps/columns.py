"""Columns of solid intervals over each face of the plan, from bottom to top."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.arrangement import Arrangement

MOST_OVERLAPS = 10_000_000
"""Pairs of a face of the plan and a building over it that are looked at: some ten seconds of work."""

_SAMPLE = 2_000  # faces by which the number of pairs is judged beforehand
_PAIRS_AT_ONCE = 1_000_000


@dataclass(frozen=True, eq=False)
class Volumes:
    """Bodies between a level underside and a roof of one or more planes, over a polygon.

    Attributes:
        footprint: (V,) polygon of each volume in plan.
        planes: (P, 3) float64, all planes: z = plane . (x, y, 1), metres.
        bottom: (V,) int64, index of the plane of the underside.
        roof: (K,) int64, planes of all roofs; the lowest counts at each place.
        roof_offset: (V + 1,) int64, rows of `roof` of each volume.
        building: (V,) int64, building of each volume; no wall separates the volumes of one building.
    """

    footprint: Shaped[np.ndarray, " volumes"]
    planes: Float[np.ndarray, "planes 3"]
    bottom: Int[np.ndarray, " volumes"]
    roof: Int[np.ndarray, " roofs"]
    roof_offset: Int[np.ndarray, " volumes+1"]
    building: Int[np.ndarray, " volumes"]


@dataclass(frozen=True, eq=False)
class Columns:
    """Solid intervals over each face, ascending and disjoint; each interval is one row.

    Attributes:
        offset: (F + 1,) int64, rows of each face.
        lower: (I,) int64, plane of the interval's lower end.
        upper: (I,) int64, plane of its upper end.
        owner: (I,) int64, the volume that the interval belongs to.
        kind: (F,) int64, equal for faces whose columns are equal; -1 where nothing stands.
        ceded: (V,) float64, m2 over which each volume had to give way to one that reaches higher.
    """

    offset: Int[np.ndarray, " offsets"]
    lower: Int[np.ndarray, " intervals"]
    upper: Int[np.ndarray, " intervals"]
    owner: Int[np.ndarray, " intervals"]
    kind: Int[np.ndarray, " faces"]
    ceded: Float[np.ndarray, " volumes"]


def heights_at(planes: Float[np.ndarray, "*#batch 3"], points: Float[np.ndarray, "*#batch 2"]) -> np.ndarray:
    """Return the heights of planes (..., 3) at points (..., 2), metres."""
    return np.asarray(planes[..., 0] * points[..., 0] + planes[..., 1] * points[..., 1] + planes[..., 2])


def find_columns(plan: Arrangement, volumes: Volumes) -> Columns:
    """Find the columns over a plan whose lines hold all outlines, breaks of roofs and crossings of surfaces.

    Where volumes overlap, the space at each height belongs to the volume that reaches highest there (to the first of
    equal ones). So nothing is solid twice.

    Raises:
        SiteTwinError: More than `MOST_OVERLAPS` volumes lie over the faces, counted for each face.
    """
    inside = shapely.point_on_surface(plan.faces)
    centres, areas = shapely.get_coordinates(inside), shapely.area(plan.faces)
    ceded = np.zeros(len(volumes.footprint))
    rows = [np.zeros((0, 4), dtype=np.int64)]
    step = _faces_at_once(inside, volumes.footprint)
    for begin in range(0, len(inside), step):
        part = inside[begin : begin + step]
        volume, face = shapely.STRtree(part).query(volumes.footprint, predicate="contains")
        order = np.lexsort((volume, face))
        face, volume = face[order] + begin, volume[order]
        lower, upper, top = volumes.bottom[volume], *_roof_plane(volumes, volume, centres[face])
        bottom = heights_at(volumes.planes[lower], centres[face])
        kept, end, whole = _stack(face, lower, upper, bottom, top)
        rows.append(np.column_stack([face[kept], lower[kept], end, volume[kept]]))
        np.add.at(ceded, volume[~whole], areas[face[~whole]])
    table = np.concatenate(rows)
    offset = np.concatenate([[0], np.cumsum(np.bincount(table[:, 0], minlength=len(plan.faces)))])
    return Columns(offset, table[:, 1], table[:, 2], table[:, 3], _kinds(offset, table[:, 1:]), ceded)


def _faces_at_once(inside: np.ndarray, footprint: np.ndarray) -> int:
    """How many faces are looked at together, so that their pairs with volumes fit into memory.

    Raises:
        SiteTwinError: So many volumes lie over one another that their pairs with faces cannot be looked at.
    """
    sample = inside[:: -(-len(inside) // _SAMPLE)] if len(inside) else inside
    pairs = shapely.STRtree(sample).query(footprint, predicate="contains").shape[1]
    deep = pairs / max(len(sample), 1)
    if deep * len(inside) > MOST_OVERLAPS:
        raise SiteTwinError(
            f"the buildings' outlines cut one another into {len(inside):,} pieces, and about {deep:,.0f} of them "
            f"lie over each: {deep * len(inside):,.0f} in all, and at most {MOST_OVERLAPS:,} can be built; remove "
            "buildings that are drawn over others, or import a smaller part of the map"
        )
    return max(int(_PAIRS_AT_ONCE / max(deep, 1.0)), 1)


def _roof_plane(volumes: Volumes, volume: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest plane of each volume's roof at a point, and its height there."""
    begin, count = volumes.roof_offset[volume], np.diff(volumes.roof_offset)[volume]
    row = np.repeat(np.arange(len(volume)), count)
    plane = volumes.roof[np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)]
    z = heights_at(volumes.planes[plane], points[row])
    order = np.lexsort((z, row))
    first = order[np.cumsum(count) - count]
    return plane[first], z[first]


def _stack(
    face: np.ndarray, lower: np.ndarray, upper: np.ndarray, bottom: np.ndarray, top: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each volume keeps over a face: one interval, from its own bottom to where a higher volume begins.

    Of the volumes over a face, taken from the highest top to the lowest, each keeps what lies below the lowest bottom
    of those before it: these reach at least as high, so that they hold everything from their bottoms to its top.
    A volume that is alone over its face is kept as it is, even where its bottom is above its top.

    Args:
        face: (N,) face of each row, ascending; the rows of one face are ordered by volume.
        lower: (N,) plane of each volume's bottom.
        upper: (N,) plane of each volume's top over the face.
        bottom: (N,) height of the bottom there, metres.
        top: (N,) height of the top there, metres.

    Returns:
        (K,) rows of which something is kept, ordered by face and height; (K,) plane at which it ends; and (N,) bool,
        whether all of a row is kept.
    """
    plane, height = np.concatenate([lower, upper]), np.concatenate([bottom, top])
    order = np.lexsort((plane, height))
    ordered, fresh = plane[order], np.ones(len(order), dtype=bool)
    fresh[1:] = (np.diff(height[order]) != 0) | (np.diff(ordered) != 0)
    level = np.empty(len(order), dtype=np.int64)
    level[order] = np.cumsum(fresh) - 1
    low, high = np.split(level, 2)
    first = np.searchsorted(face, face)
    alone = np.searchsorted(face, face, side="right") - first == 1
    solid = (low < high) | alone
    falling = np.lexsort((-high, face))
    size = len(order) + 1
    floor = (np.where(solid, low, size - 1) - size * face)[falling]  # less in each face than in those before
    before = np.concatenate([[0], np.minimum.accumulate(floor)])[:-1] + size * face[falling]
    before[first] = size - 1  # sorted by face alike: a face begins where it began
    limit = np.empty(len(face), dtype=np.int64)
    limit[falling] = before
    end = np.minimum(high, limit)
    kept = np.flatnonzero((solid & (low < end)) | alone)
    kept = kept[np.lexsort((low[kept], face[kept]))]
    whole = np.zeros(len(face), dtype=bool)
    whole[kept] = end[kept] == high[kept]
    return kept, np.where(alone[kept], upper[kept], ordered[fresh][end[kept]]), whole


def _kinds(offset: np.ndarray, intervals: np.ndarray) -> np.ndarray:
    count = np.diff(offset)
    kind = np.full(len(count), -1)
    single = np.flatnonzero(count == 1)
    if len(single):
        kind[single] = np.unique(intervals[offset[single]], axis=0, return_inverse=True)[1].reshape(-1)
    known: dict[bytes, int] = {}
    for face in np.flatnonzero(count > 1):
        stack = intervals[offset[face] : offset[face + 1]].tobytes()
        kind[face] = known.setdefault(stack, len(intervals) + len(known))
    return kind
