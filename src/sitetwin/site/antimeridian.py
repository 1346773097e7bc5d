"""Longitudes around the antimeridian: they repeat every 360 degrees, and GeoJSON cuts shapes in two there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry.base import BaseGeometry

FARTHEST_TURN = 540.0
"""Degrees: a longitude of up to half a turn may be written with a whole turn more or less."""


def wrapped(longitude: Any) -> Any:
    """Return longitudes as the same places within -180 to 180 degrees; those that are within stay as they are.

    Args:
        longitude: A number or an array of numbers, degrees; what is beyond `FARTHEST_TURN`, infinite or NaN stays.
    """
    value = np.asarray(longitude, dtype=np.float64)
    outside = (np.abs(value) > 180.0) & (np.abs(value) <= FARTHEST_TURN)
    turned = np.where(outside, value - 360.0 * np.sign(value) * outside, value)
    return turned if np.ndim(longitude) else float(turned)


def width(west: float, east: float) -> float:
    """Return the degrees from a western to an eastern side; a west greater than the east is over the antimeridian."""
    return east - west if west <= east else east + 360.0 - west


def side_by_side(lines: Sequence[Float[np.ndarray, "points 2"]]) -> list[Float[np.ndarray, "points 2"]]:
    """Return lines (N, 2) of longitude and latitude without the jump of 360 degrees at the antimeridian.

    Lines that together span more than half of the earth lie on both sides of the antimeridian: their western longitudes
    become 180 to 360 degrees.
    """
    known = [line[:, 0] for line in lines if len(line)]
    if not known or max(map(np.max, known)) - min(map(np.min, known)) <= 180.0:
        return list(lines)
    return [np.column_stack([np.where(line[:, 0] < 0, line[:, 0] + 360.0, line[:, 0]), line[:, 1]]) for line in lines]


def cut_in_two(shape: BaseGeometry) -> BaseGeometry:
    """Return a shape within -180 to 180 degrees, cut at the antimeridian where it crosses it (RFC 7946, 3.1.9).

    Args:
        shape: Points, lines or areas; longitude and latitude, degrees, without jumps, so that longitudes may pass 180.
    """
    if shape.is_empty:
        return shape
    west, south, east, north = shape.bounds
    first, last = math.floor((west + 180.0) / 360.0), math.ceil((east + 180.0) / 360.0) - 1
    last = max(first, last)
    if first == last:
        return _turned(shape, first)
    cut = [
        _turned(shapely.intersection(shape, shapely.box(360.0 * k - 180.0, south - 1, 360.0 * k + 180.0, north + 1)), k)
        for k in range(first, last + 1)
    ]
    dimension = int(shapely.get_dimensions(shape))
    parts = [p for piece in cut for p in shapely.get_parts(piece) if shapely.get_dimensions(p) == dimension]
    gather = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[dimension]
    return parts[0] if len(parts) == 1 else gather(parts)


def _turned(shape: BaseGeometry, turns: int) -> BaseGeometry:
    return shape if turns == 0 else shapely.transform(shape, lambda xy: xy - [360.0 * turns, 0.0])
