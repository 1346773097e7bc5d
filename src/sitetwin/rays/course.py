"""Geometry that reflected and diffracted paths share."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.rays.device import norm, rows_of


@dataclass(frozen=True, eq=False)
class Geometry:
    """Geometry of N paths of one depth k.

    Attributes:
        vertices: k arrays (N, 3) float64, metres, from the transmitter on.
        length: (N,) float64, metres.
        departure: (N, 3) float64, unit vectors away from the transmitter.
        arrival: (N, 3) float64, unit vectors away from the user.
    """

    vertices: list[np.ndarray]
    length: Float[np.ndarray, " paths"]
    departure: Float[np.ndarray, "paths 3"]
    arrival: Float[np.ndarray, "paths 3"]


def unfolded(source: Any, points: list[Any], user: Any) -> Geometry:
    """Compute lengths and directions of paths over given points (all Dr.Jit Array3f64).

    Args:
        source: The transmitter.
        points: Interaction points, from the transmitter on.
        user: The users.
    """
    import drjit as dr

    corners = [source, *points, user]
    steps = [end - start for start, end in pairwise(corners)]
    norms = [norm(step) for step in steps]
    length = norms[0]
    for size in norms[1:]:
        length = length + size
    departure, arrival = steps[0] / norms[0], -steps[-1] / norms[-1]
    dr.eval(length, departure, arrival, *points)
    return Geometry(
        vertices=[rows_of(point) for point in points],
        length=length.numpy(),
        departure=rows_of(departure),
        arrival=rows_of(arrival),
    )


def cross_rectangle(
    point: Any, image: Any, plane: tuple[Any, Any], axis: Any, bounds: list[Any]
) -> tuple[Any, Any, Any]:
    """Intersect lines from points to images with the planes of facets (Dr.Jit, one lane each).

    Args:
        point: One end of each line.
        image: Other end of each line.
        plane: Unit normals and offsets of the planes.
        axis: First axes of the bounding rectangles.
        bounds: Low u, low v, high u and high v of the rectangles.

    Returns:
        The crossings, whether each lies between its two ends, and whether it lies on its rectangle.
    """
    import drjit as dr

    normal, offset = plane
    here, there = dr.dot(normal, point) - offset, dr.dot(normal, image) - offset
    crossing = point + (image - point) * (here / (here - there))
    u, v = dr.dot(axis, crossing), dr.dot(dr.cross(normal, axis), crossing)
    low_u, low_v, high_u, high_v = bounds
    return crossing, here * there < 0, (u >= low_u) & (v >= low_v) & (u <= high_u) & (v <= high_v)
