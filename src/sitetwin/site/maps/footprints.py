"""Make footprints: valid polygons on a fixed grid from the outlines that a map draws."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.site.maps.crowding import refuse_crowds
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.mesh import LARGEST_COORDINATE

GRID = 2.0**-20
"""Metres (about one micrometre): every corner of a building lies on this grid, in plan and in height.

A power of two, so that coordinates on it are exact. It is this fine because a wall that is cut where its neighbour ends
is bent by up to one step there, and roof corners move by as much times the slope: both stay far below the flatness that
is asked of a facet.
"""

SMALLEST_AREA = 0.01
"""Square metres: a footprint of less is none."""

SPIKE_ANGLE = np.radians(0.1)
"""Rad: an outline that turns back on itself at a smaller angle has a spike there, which is no wall."""

_SHELL_KINDS = (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)


def footprints(features: Sequence[Feature], ledger: Ledger) -> list[tuple[shapely.Polygon, ...]]:
    """Make valid polygons of each feature, with their corners on the grid.

    The following are repaired, with an entry in the ledger: outlines drawn as a line (they are closed), holes outside
    their outline and holes with impossible coordinates (they are left out), repeated corners, spikes, and outlines that
    cross themselves. For outlines that cross themselves, the rings are made valid first; then holes are cut from shells
    (GEOS `make_valid`, method "structure"). A bow tie becomes its two triangles. Corners are only moved to the grid,
    and a corner on a straight line is kept.

    Args:
        features: The features of buildings.
        ledger: Account of the import; it records what is repaired, and drops of features without an area.

    Returns:
        For each feature its polygons, in GEOS's normal order; none where the feature has no area.

    Raises:
        SiteTwinError: Outlines cross themselves more often than anybody can mean.
    """
    shapes = np.array([_as_area(feature, ledger) for feature in features], dtype=object)
    far = _is_far(shapes)
    clean = shapes.copy()
    clean[~far] = shapely.remove_repeated_points(shapes[~far])
    for row in np.flatnonzero(shapely.get_num_coordinates(clean) < shapely.get_num_coordinates(shapes)).tolist():
        ledger.note("repaired", "building outline with repeated corners", features[row].key)
    sound = ~far & shapely.is_valid(clean)
    sound[sound] = ~_has_spike(clean[sound])
    clean[sound] = shapely.set_precision(clean[sound], GRID, mode="pointwise")
    sound &= shapely.is_valid(clean)
    unsound = np.flatnonzero(~sound & ~shapely.is_missing(clean)).tolist()
    refuse_crowds(shapes[unsound], [features[row].key for row in unsound], "outlines of buildings")
    for row in unsound:
        clean[row] = _mended(clean[row], features[row].key, ledger)
    polygons, owner = shapely.get_parts(shapely.normalize(clean), return_index=True)
    large = shapely.area(polygons) >= SMALLEST_AREA
    ends = np.cumsum(np.bincount(owner[large], minlength=len(features)))
    result = [tuple(group) for group in np.split(polygons[large], ends[:-1])] if len(features) else []
    for row in np.flatnonzero(~shapely.is_missing(shapes)).tolist():
        if not result[row]:
            ledger.note("dropped", f"building with a footprint of less than {SMALLEST_AREA:g} m2", features[row].key)
    for row in owner[~large].tolist():
        if result[row]:
            ledger.note("dropped", f"piece of a building of less than {SMALLEST_AREA:g} m2", features[row].key)
    return result


def _as_area(feature: Feature, ledger: Ledger) -> BaseGeometry | None:
    geometry = feature.geometry
    if shapely.get_type_id(geometry) in _SHELL_KINDS and not geometry.is_empty:
        return geometry
    if shapely.get_type_id(geometry) in (shapely.GeometryType.LINESTRING, shapely.GeometryType.LINEARRING):
        corners = shapely.get_coordinates(geometry)
        if len(np.unique(corners, axis=0)) >= 3:
            ledger.note("repaired", "building outline drawn as a line, closed", feature.key)
            return shapely.Polygon(corners)
    ledger.note("dropped", "building without an outline", feature.key)
    return None


def _is_far(shapes: np.ndarray) -> np.ndarray:
    """Whether a shape has a coordinate that cannot be metres in a local frame."""
    coordinates, owner = shapely.get_coordinates(shapes, return_index=True)
    result = np.zeros(len(shapes), dtype=bool)
    result[owner[~_credible(coordinates)]] = True
    return result


def _credible(coordinates: np.ndarray) -> np.ndarray:
    return np.asarray((np.abs(coordinates) <= LARGEST_COORDINATE).all(axis=1))


def _has_spike(shapes: np.ndarray) -> np.ndarray:
    result = np.zeros(len(shapes), dtype=bool)
    polygons, owner = shapely.get_parts(shapes, return_index=True)
    if not len(polygons):
        return result
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    corners, ring = shapely.get_coordinates(rings, return_index=True)
    last = np.append(ring[1:] != ring[:-1], True)  # repeats the first
    corners, ring = corners[~last], ring[~last]
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    following = np.arange(1, len(ring) + 1)
    following[np.append(first[1:], len(ring)) - 1] = first
    before = np.empty_like(following)
    before[following] = np.arange(len(ring))
    sharp = _turns_back(corners[before], corners, corners[following])
    result[owner[polygon[ring[sharp]]]] = True
    return result


def _turns_back(before: np.ndarray, corner: np.ndarray, after: np.ndarray) -> np.ndarray:
    u, v = before - corner, after - corner
    cross = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    dot = u[..., 0] * v[..., 0] + u[..., 1] * v[..., 1]
    return np.asarray((dot > 0) & (np.abs(cross) < np.tan(SPIKE_ANGLE) * dot))


def _mended(shape: BaseGeometry, key: str, ledger: Ledger) -> BaseGeometry | None:
    """A valid shape on the grid, or None if nothing is left."""
    polygons = []
    for polygon in shapely.get_parts(shape):
        shell = _ring(polygon.exterior, key, ledger)
        if shell is None:
            continue
        holes = []
        for hole in polygon.interiors:
            ring = _ring(hole, key, ledger)
            if ring is None or not shapely.intersects(_hull(shell), _hull(ring)):
                ledger.note("repaired", "hole outside its building's outline, left out", key)
            else:
                holes.append(ring)
        polygons.append(shapely.Polygon(shell, holes))
    drawn = shapely.MultiPolygon(polygons)
    valid = drawn
    if not drawn.is_valid:
        ledger.note("repaired", "building outline that crosses or overlaps itself", key)
        valid = shapely.make_valid(drawn, method="structure", keep_collapsed=False)
    parts = shapely.get_parts(shapely.set_precision(valid, GRID))
    areas = [p for p in parts if shapely.get_type_id(p) == shapely.GeometryType.POLYGON and not p.is_empty]
    return shapely.MultiPolygon(areas) if areas else None


def _hull(ring: np.ndarray) -> BaseGeometry:
    return shapely.convex_hull(shapely.MultiPoint(ring))


def _ring(ring: shapely.LinearRing, key: str, ledger: Ledger) -> np.ndarray | None:
    """(N, 2) corners, the last not repeated, without spikes; None if fewer than three or not credible."""
    corners = shapely.get_coordinates(ring)[:-1]
    if not _credible(corners).all():
        return None
    sharp = _turns_back(np.roll(corners, 1, axis=0), corners, np.roll(corners, -1, axis=0))
    if sharp.any():
        corners = _without_spikes(corners, np.flatnonzero(sharp).tolist(), key, ledger)
    return corners if len(corners) >= 3 else None


def _without_spikes(corners: np.ndarray, sharp: list[int], key: str, ledger: Ledger) -> np.ndarray:
    """Corners without spikes and repeated corners: the first spike is cut, then the first of those left, and so on.

    A cut changes its two neighbours alone, so that each corner is looked at a few times however many spikes there are.
    """
    count = len(corners)
    before, after = [i - 1 for i in range(count)], [*range(1, count), 0]
    before[0] = count - 1
    alive, left = [True] * count, count

    def drop(corner: int) -> None:
        nonlocal left
        alive[corner], left = False, left - 1
        after[before[corner]], before[after[corner]] = after[corner], before[corner]

    def turns_back(corner: int) -> bool:
        return bool(_turns_back(corners[before[corner]], corners[corner], corners[after[corner]]))

    def repeats(corner: int) -> bool:
        return bool((corners[corner] == corners[before[corner]]).all())

    repeated = [i for i in range(count) if repeats(i)]  # they go with the first cut
    heapq.heapify(sharp)
    while sharp and left >= 3:
        corner = heapq.heappop(sharp)
        if not alive[corner] or not turns_back(corner):
            continue
        ledger.note("repaired", "spike of a building outline, cut off", key)
        looked_at = {before[corner], after[corner]}
        drop(corner)
        for other in [*repeated, after[before[corner]]]:
            if left > 1 and alive[other] and repeats(other):
                looked_at |= {before[other], after[other]}
                drop(other)
        repeated = []
        for other in looked_at:
            if left >= 3 and alive[other] and turns_back(other):
                heapq.heappush(sharp, other)
    return corners[alive]
