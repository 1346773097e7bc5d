"""Columns of solid intervals over each face of the plan, from bottom to top."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from sitetwin.site.maps.arrangement import Arrangement


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
    """
    inside = shapely.point_on_surface(plan.faces)
    face, volume = shapely.STRtree(volumes.footprint).query(inside, predicate="within")
    order = np.lexsort((volume, face))
    face, volume = face[order], volume[order]
    lower, upper, top = volumes.bottom[volume], *_roof_plane(volumes, volume, shapely.get_coordinates(inside)[face])
    count = np.bincount(face, minlength=len(plan.faces))
    alone = count[face] == 1
    rows = [np.column_stack([face, lower, upper, volume])[alone]]
    ceded = np.zeros(len(volumes.footprint))
    crowded = np.flatnonzero(~alone)
    centres, areas = shapely.get_coordinates(inside), shapely.area(plan.faces)
    for group in np.split(crowded, np.flatnonzero(np.diff(face[crowded])) + 1) if len(crowded) else ():
        number = int(face[group[0]])
        bottom = heights_at(volumes.planes[lower[group]], centres[number])
        stack = _stack(lower[group], upper[group], bottom, top[group])
        rows.append(np.array([(number, low, high, volume[group[own]]) for low, high, own in stack]).reshape(-1, 4))
        held = {(low, high, own) for low, high, own in stack}
        for i, row in enumerate(group):
            if (lower[row], upper[row], i) not in held:
                ceded[volume[row]] += areas[number]
    table = np.concatenate(rows)
    table = table[np.argsort(table[:, 0], kind="stable")].astype(np.int64)
    offset = np.concatenate([[0], np.cumsum(np.bincount(table[:, 0], minlength=len(plan.faces)))])
    return Columns(offset, table[:, 1], table[:, 2], table[:, 3], _kinds(offset, table[:, 1:]), ceded)


def _roof_plane(volumes: Volumes, volume: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest plane of each volume's roof at a point, and its height there."""
    begin, count = volumes.roof_offset[volume], np.diff(volumes.roof_offset)[volume]
    row = np.repeat(np.arange(len(volume)), count)
    plane = volumes.roof[np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)]
    z = heights_at(volumes.planes[plane], points[row])
    order = np.lexsort((z, row))
    first = order[np.cumsum(count) - count]
    return plane[first], z[first]


def _stack(lower: np.ndarray, upper: np.ndarray, bottom: np.ndarray, top: np.ndarray) -> list[tuple[int, int, int]]:
    """Disjoint intervals (lower plane, upper plane, which volume), ascending, of volumes that share a face."""
    levels = sorted(
        {*zip(bottom.tolist(), lower.tolist(), strict=True), *zip(top.tolist(), upper.tolist(), strict=True)}
    )
    rank = {plane: number for number, (_, plane) in enumerate(levels)}
    result: list[tuple[int, int, int]] = []
    for (_, low), (_, high) in pairwise(levels):
        covering = [
            i for i in range(len(lower)) if rank[int(lower[i])] <= rank[low] and rank[high] <= rank[int(upper[i])]
        ]
        if not covering:
            continue
        own = max(covering, key=lambda i: (rank[int(upper[i])], -i))
        if result and result[-1][1:] == (low, own):
            result[-1] = (result[-1][0], high, own)
        else:
            result.append((low, high, own))
    return result


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
