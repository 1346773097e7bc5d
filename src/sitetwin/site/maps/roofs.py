"""Make roofs: each shape is the lower envelope of planes over its footprint.

So one mechanism makes all shapes, over any polygon with any holes: z(x, y) = min over planes, between 0 at the eaves
and 1 at the highest point. Over a rectangle each is the roof of that name; over other footprints it is the roof of the
smallest rectangle (gabled, hipped) or of the convex hull (pyramidal) around it, cut along the walls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float

from sitetwin.site.facets import components
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import parse_count

SHAPES = ("flat", "gabled", "hipped", "pyramidal", "skillion")

STAND_INS = {
    "half-hipped": "gabled",
    "gambrel": "gabled",
    "saltbox": "gabled",
    "round": "gabled",
    "mansard": "hipped",
    "side_hipped": "hipped",
    "quadruple_saltbox": "hipped",
    "hipped-and-gabled": "hipped",
    "dome": "pyramidal",
    "onion": "pyramidal",
    "cone": "pyramidal",
    "spherical": "pyramidal",
    "lean_to": "skillion",
    "side_gabled": "gabled",
}
"""Shapes that are not modelled, and which is built instead; any other is built flat."""

_COMPASS = ("N", "NNE", "NE", "ENE", "E", "ESE", "SE", "SSE", "S", "SSW", "SW", "WSW", "W", "WNW", "NW", "NNW")
_SIMPLIFY = 0.1  # m: hull edges that deviate less share one roof plane
_SAME_CORNER = 1e-6  # m: corners of roof cells nearer than this are one


@dataclass(frozen=True, eq=False)
class RoofForm:
    """A roof of height 1 over its eaves.

    Attributes:
        planes: (K, 3) float64: z = planes[k] . (x, y, 1); the lowest plane counts; 0 at the eaves, 1 at the highest
            point.
        run: Horizontal distance from the eaves to the highest point, metres, for roofs given by their angle.
    """

    planes: Float[np.ndarray, "planes 3"]
    run: float


def roof_form(key: str, footprint: shapely.Polygon, tags: Mapping[str, str], ledger: Ledger) -> RoofForm | None:
    """Return the roof that `roof:shape` asks for; None for a flat roof.

    Args:
        key: Key of the feature.
        footprint: The polygon under the roof.
        tags: Tags of the feature: `roof:shape`, `roof:orientation` (ridge along or across), `roof:direction` (compass
            bearing towards which the roof, or one side of it, falls).
        ledger: Account of the import; it records substitutes for unknown shapes, and assumptions.
    """
    shape = tags.get("roof:shape", "flat").strip().lower()
    if shape not in SHAPES:
        built = STAND_INS.get(shape, "flat")
        what = (
            f"roof of shape {shape} built as {built}" if shape in STAND_INS else "roof of unknown shape built as flat"
        )
        ledger.note("assumed", what, key)
        shape = built
    if shape == "flat":
        return None
    hull = shapely.get_coordinates(shapely.orient_polygons(shapely.convex_hull(footprint)))[:-1]
    if shape == "gabled":
        return _gabled(hull, tags, key, ledger)
    if shape == "skillion":
        return _skillion(footprint, hull, tags, key, ledger)
    if shape == "pyramidal":
        return _pyramidal(hull)
    return _hipped(footprint, hull, key, ledger)


def _gabled(hull: np.ndarray, tags: Mapping[str, str], key: str, ledger: Ledger) -> RoofForm:
    """Two planes that meet in a ridge: along the longer side, across it, or square to a given direction."""
    across = _bearing(tags, key, ledger)
    if across is None:
        longer, shorter = _rectangle_axes(hull)
        across = longer if tags.get("roof:orientation") == "across" else shorter
    low, high = _extent(hull, across)
    half = 0.5 * (high - low)
    rising = np.array([across[0], across[1], -low]) / half
    falling = np.array([-across[0], -across[1], high]) / half
    return RoofForm(np.stack([rising, falling]), half)


def _skillion(
    footprint: shapely.Polygon, hull: np.ndarray, tags: Mapping[str, str], key: str, ledger: Ledger
) -> RoofForm:
    """One plane that falls in a given direction, else towards the longest wall."""
    down = _bearing(tags, key, ledger)
    if down is None:
        ledger.note("assumed", "lean-to roof falls towards its longest wall, as no direction is given", key)
        corners = shapely.get_coordinates(shapely.orient_polygons(footprint).exterior)
        sides = np.diff(corners, axis=0)
        longest = sides[int(np.argmax(np.hypot(sides[:, 0], sides[:, 1])))]
        down = np.array([longest[1], -longest[0]]) / np.hypot(longest[0], longest[1])
    low, high = _extent(hull, down)
    return RoofForm(np.array([[-down[0], -down[1], high]]) / (high - low), high - low)


def _pyramidal(hull: np.ndarray) -> RoofForm:
    """A plane from each side of the hull up to its centroid."""
    centre = shapely.get_coordinates(shapely.Polygon(hull).centroid)[0]
    sides = _side_distances(hull)
    reach = sides @ np.append(centre, 1.0)
    return RoofForm(sides / reach[:, None], float(reach.min()))


def _hipped(footprint: shapely.Polygon, hull: np.ndarray, key: str, ledger: Ledger) -> RoofForm:
    """Planes of equal slope from all sides: the straight skeleton of a convex footprint."""
    if footprint.area < 0.999 * shapely.Polygon(hull).area:
        ledger.note("assumed", "hipped roof over a footprint that is not convex: that of its smallest rectangle", key)
        longer, shorter = _rectangle_axes(hull)
        sides = np.array(
            [
                [sign * axis[0], sign * axis[1], -_extent(hull, sign * axis)[0]]
                for axis in (longer, shorter)
                for sign in (1, -1)
            ]
        )
    else:
        sides = _side_distances(hull)
    bounds = shapely.bounds(shapely.Polygon(hull))
    corners = np.concatenate([cell for cell, _ in envelope_cells(sides, bounds)])
    inradius = float((sides @ np.column_stack([corners, np.ones(len(corners))]).T).min(axis=0).max())
    return RoofForm(sides / inradius, inradius)


def _side_distances(hull: np.ndarray) -> np.ndarray:
    """(K, 3) functions: distance inwards from each side of a simplified hull, not negative anywhere in the hull."""
    polygon = shapely.Polygon(hull)
    tolerance = min(_SIMPLIFY, 0.02 * math.sqrt(polygon.area))
    corners = shapely.get_coordinates(shapely.orient_polygons(shapely.simplify(polygon, tolerance)))
    sides = np.diff(corners, axis=0)
    inwards = np.column_stack([-sides[:, 1], sides[:, 0]]) / np.hypot(sides[:, 0], sides[:, 1])[:, None]
    return np.column_stack([inwards, -(inwards @ hull.T).min(axis=1)])


def _rectangle_axes(hull: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the longer and the shorter side of the rectangle of least area around a convex polygon."""
    sides = np.roll(hull, -1, axis=0) - hull
    along = sides / np.hypot(sides[:, 0], sides[:, 1])[:, None]
    normal = np.column_stack([-along[:, 1], along[:, 0]])
    length, width = np.ptp(along @ hull.T, axis=1), np.ptp(normal @ hull.T, axis=1)
    area = length * width
    best = int(np.flatnonzero(area <= area.min() * (1 + 1e-9))[0])
    return (along[best], normal[best]) if length[best] >= width[best] else (normal[best], along[best])


def _extent(hull: np.ndarray, axis: np.ndarray) -> tuple[float, float]:
    along = hull @ axis
    return float(along.min()), float(along.max())


def _bearing(tags: Mapping[str, str], key: str, ledger: Ledger) -> np.ndarray | None:
    """Unit vector of `roof:direction`, degrees clockwise from north or a compass point."""
    text = tags.get("roof:direction")
    if text is None:
        return None
    point = text.strip().upper()
    degrees = 22.5 * _COMPASS.index(point) if point in _COMPASS else parse_count(point.replace("°", ""))
    if degrees is None or not math.isfinite(degrees):
        ledger.note("dropped", "roof:direction that is neither degrees nor a compass point", key)
        return None
    return np.array([math.sin(math.radians(degrees)), math.cos(math.radians(degrees))])


def envelope_cells(planes: np.ndarray, bounds: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Find where each plane is the lowest: convex cells within bounds.

    Args:
        planes: (K, 3) float64, z = plane . (x, y, 1), metres.
        bounds: (4,) float64: xmin, ymin, xmax, ymax, metres.

    Returns:
        For each plane its cell: corners (M, 2), counter-clockwise, M may be 0; and (M,) the plane beyond the side that
        begins at each corner, -1 for the bounds.
    """
    west, south, east, north = bounds
    cells = []
    for own in range(len(planes)):
        corners = np.array([[west, south], [east, south], [east, north], [west, north]])
        beyond = np.full(4, -1)
        for other in range(len(planes)):
            if other != own and len(corners):
                corners, beyond = _clip(corners, beyond, planes[other] - planes[own], other)
        cells.append((corners, beyond))
    return cells


def _clip(corners: np.ndarray, beyond: np.ndarray, function: np.ndarray, label: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of a convex polygon where a linear function is not negative (Sutherland and Hodgman)."""
    value = corners @ function[:2] + function[2]
    if (value >= 0).all():
        return corners, beyond
    kept: list[np.ndarray] = []
    labels: list[int] = []
    for i in range(len(corners)):
        j = (i + 1) % len(corners)
        if value[i] >= 0:
            kept.append(corners[i])
            labels.append(int(beyond[i]))
        if (value[i] >= 0) != (value[j] >= 0):
            t = value[i] / (value[i] - value[j])
            kept.append(corners[i] + t * (corners[j] - corners[i]))
            labels.append(label if value[i] >= 0 else int(beyond[i]))
    return np.array(kept).reshape(-1, 2), np.array(labels, dtype=np.int64)


def break_lines(planes: np.ndarray, footprint: shapely.Polygon, margin: float) -> np.ndarray:
    """Find the lines along which a roof changes its plane, cut a little outside the footprint.

    Args:
        planes: (K, 3) float64, z = plane . (x, y, 1), metres.
        footprint: The polygon under the roof.
        margin: How far the lines reach beyond the footprint, metres, so that they surely meet its outline.
    """
    west, south, east, north = shapely.bounds(footprint)
    box = np.array([west - margin, south - margin, east + margin, north + margin])
    segments = [
        (corners[i], corners[(i + 1) % len(corners)])
        for own, (corners, beyond) in enumerate(envelope_cells(planes, box))
        for i in range(len(corners))
        if beyond[i] > own
    ]
    if not segments:
        return np.empty(0, dtype=object)
    ends = _joined(np.array(segments).reshape(-1, 2)).reshape(-1, 2, 2)
    ends = ends[(ends[:, 0] != ends[:, 1]).any(axis=1)]
    lines = shapely.intersection(shapely.linestrings(ends), footprint.buffer(margin, join_style="mitre"))
    return np.asarray(shapely.get_parts(lines[~shapely.is_empty(lines)]))


def _joined(points: np.ndarray) -> np.ndarray:
    """Points nearer to each other than rounding errors reach become one: ridges that meet do so to the bit."""
    apart = np.abs(points[:, None] - points[None]).max(axis=-1)
    a, b = np.nonzero(apart <= _SAME_CORNER)
    return points[components(len(points), a, b)]
