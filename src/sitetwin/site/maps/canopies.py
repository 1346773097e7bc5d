"""Make closed canopies: polygons with holes over uneven ground become prisms over simple polygons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import shapely

from sitetwin.site.vegetation import ExtrudedPolygon

HeightOf = Callable[[np.ndarray], np.ndarray]
"""(N, 2) metres to (N,) metres above the origin, NaN where there is no ground."""

LARGEST_STEP = 2.0
"""Metres that the ground under one prism may rise, where it can be cut further."""

SIMPLIFY = 0.5
"""Metres by which the outline of a canopy may be straightened (Douglas-Peucker)."""

_SMALLEST = 10.0  # metres: pieces no longer than this are not cut for the sake of the ground
_LEAST_AREA = 0.5  # m2: crumbs of cutting


def prisms(
    area: shapely.Geometry, base: float, top: float, ground_height: HeightOf, leaf_type: str, leaf_cycle: str
) -> list[ExtrudedPolygon]:
    """Fill an area with prisms, from one height above the ground to another.

    Polygons are halved across their longer side, or through a hole, until no piece has a hole and the ground under each
    rises by no more than `LARGEST_STEP`. Neighbouring pieces share a face, so that a chord through both counts in full.

    Args:
        area: Polygon or MultiPolygon, metres.
        base: Lower end above the ground, metres.
        top: Upper end above the ground, metres.
        ground_height: Function from points (N, 2) to the ground's heights (N,), metres.
        leaf_type: "broadleaved" or "needleleaved".
        leaf_cycle: "deciduous" or "evergreen".
    """
    found: list[ExtrudedPolygon] = []
    parts = shapely.get_parts(shapely.get_parts(shapely.simplify(area, SIMPLIFY)))  # twice: areas in a collection
    waiting = [part for part in parts[::-1] if part.geom_type == "Polygon"]
    while waiting:
        piece = waiting.pop()
        if piece.area < _LEAST_AREA:
            continue
        ground = ground_height(_samples(piece))
        ground = ground[np.isfinite(ground)]
        if not len(ground):
            continue
        west, south, east, north = piece.bounds
        uneven = np.ptp(ground) > LARGEST_STEP and max(east - west, north - south) > _SMALLEST
        if uneven or piece.interiors:
            waiting.extend(reversed(_halves(piece)))
            continue
        z = float(np.mean(ground))
        ring = tuple((float(x), float(y)) for x, y in piece.exterior.coords[:-1])
        found.append(ExtrudedPolygon(ring, z + base, z + top, leaf_type, leaf_cycle))
    return found


def _samples(piece: shapely.Polygon) -> np.ndarray:
    """Corners and some points between, at which the ground is looked at."""
    dense = shapely.get_coordinates(shapely.segmentize(piece, _SMALLEST))
    return np.concatenate([dense, shapely.get_coordinates(shapely.point_on_surface(piece))])


def _halves(piece: shapely.Polygon) -> list[shapely.Polygon]:
    """Both sides of a cut across the longer side: through the first hole, or the middle."""
    west, south, east, north = piece.bounds
    x, y = 0.5 * (west + east), 0.5 * (south + north)
    if piece.interiors:
        low_x, low_y, high_x, high_y = piece.interiors[0].bounds
        x, y = 0.5 * (low_x + high_x), 0.5 * (low_y + high_y)
    if east - west >= north - south:
        boxes = (shapely.box(west, south, x, north), shapely.box(x, south, east, north))
    else:
        boxes = (shapely.box(west, south, east, y), shapely.box(west, y, east, north))
    sides = [part for b in boxes for part in shapely.get_parts(shapely.intersection(piece, b))]
    return [part for part in sides if part.geom_type == "Polygon"]


def lattice(area: shapely.Geometry, spacing: float, rng: np.random.Generator | None) -> np.ndarray:
    """Return places (N, 2) in an area, one per square of a grid: its middle, or a draw from its inner half.

    Args:
        area: Polygon or MultiPolygon, metres.
        spacing: Side of the squares, metres.
        rng: Source of randomness, or None for the middles of the squares.
    """
    west, south, east, north = area.bounds
    x = np.arange(np.floor(west / spacing), np.floor(east / spacing) + 1) * spacing
    y = np.arange(np.floor(south / spacing), np.floor(north / spacing) + 1) * spacing
    corner = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
    place = corner + spacing * (0.5 if rng is None else rng.uniform(0.25, 0.75, corner.shape))
    shapely.prepare(area)
    return place[shapely.contains_xy(area, place)]
