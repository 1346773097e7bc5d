"""Find which building each object of a mesh belongs to, and how far it reaches."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Float, Int

_PART_SUFFIX = re.compile(r"-(?:itu[_-].*|part_.*|walls?|roofs?|[0-9a-f]{6})$", re.IGNORECASE)


def building_name(object_name: str) -> str:
    """Return the name of the building that an object is a part of.

    City scenes keep a building's walls and roof as two objects, named alike up to a suffix: ``X-itu_marble`` and
    ``X-itu_metal``, ``X-wall`` and ``X-roof`` (or a colour, ``X-e0e0e0``). An importer that splits a body by
    material calls its objects ``X-part_material``.
    """
    return _PART_SUFFIX.sub("", object_name)


def building_of_object(objects: tuple[str, ...]) -> tuple[tuple[str, ...], Int[np.ndarray, " objects"]]:
    """Group objects into buildings by their names.

    Args:
        objects: Object names.

    Returns:
        The building names in order of first appearance, and (O,) int32 the building of each object.
    """
    names: dict[str, int] = {}
    index = [names.setdefault(building_name(name), len(names)) for name in objects]
    return tuple(names), np.asarray(index, dtype=np.int32)


def object_bounds(
    corners: Float[np.ndarray, "triangles 3 3"], triangle_object: Int[np.ndarray, " triangles"], count: int
) -> Float[np.ndarray, "objects 2 3"]:
    """Return lowest and highest corner of each object; inf and -inf for an object without a triangle.

    Args:
        corners: (T, 3, 3) triangle corners, metres.
        triangle_object: (T,) object of each triangle.
        count: Number of objects.

    Returns:
        (O, 2, 3) float64, metres.
    """
    bounds = np.empty((count, 2, 3))
    bounds[:, 0], bounds[:, 1] = np.inf, -np.inf
    np.minimum.at(bounds[:, 0], triangle_object, corners.min(axis=1))
    np.maximum.at(bounds[:, 1], triangle_object, corners.max(axis=1))
    return bounds
