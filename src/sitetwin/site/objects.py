"""Find which objects of a mesh are the ground, and which building each of the others belongs to."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Bool, Float, Int

_GROUND_NAME = re.compile(r"(?:^|[^a-z])(ground|terrain|floor|plane|street|road|earth)(?:[^a-z]|$)", re.IGNORECASE)
_GROUND_PART = re.compile(r"ground(?:-.+)?$")
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


def find_ground_objects(
    objects: tuple[str, ...],
    corners: Float[np.ndarray, "triangles 3 3"],
    triangle_object: Int[np.ndarray, " triangles"],
    whole: Float[np.ndarray, "2 3"],
) -> tuple[int, ...]:
    """Find the objects that are the ground: by name (ground, terrain, floor, plane, ...) or by shape.

    Objects named "ground" and "ground-<kind>" are the ground whatever their size (a lawn, a pond), if they are nowhere
    upright and all their triangles face the same way: up, or by mistake down. An object with another name of the ground
    must cover at least 5 % of the mesh's bounding rectangle and be wider than high. An object with any name must cover
    at least half of the rectangle and be flat to 1 % of its width. In both cases it must reach down to within 1 m of
    the lowest ground, because ceilings are not ground. Foundations may reach deeper than the ground.

    Args:
        objects: Names of the objects.
        corners: (T, 3, 3) triangle corners, metres.
        triangle_object: (T,) object of each triangle.
        whole: (2, 3) lowest and highest corner of the mesh, metres.

    Returns:
        Indices of the objects, ascending.
    """
    bounds = object_bounds(corners, triangle_object, len(objects))
    extent = np.maximum(bounds[:, 1] - bounds[:, 0], 0.0)
    size = whole[1] - whole[0]
    share = extent[:, 0] * extent[:, 1] / max(size[0] * size[1], 1e-12)
    width = np.minimum(extent[:, 0], extent[:, 1])
    named = np.array([bool(_GROUND_NAME.search(name)) for name in objects], dtype=bool)
    by_name = named & (share >= 0.05) & (extent[:, 2] <= 0.5 * width)
    by_shape = (share >= 0.5) & (extent[:, 2] <= 0.01 * width)
    grounds = by_name | by_shape
    surely = np.array([_GROUND_PART.match(name) is not None for name in objects], dtype=bool)
    surely &= _lies_one_way(corners, triangle_object, len(objects))
    lowest = bounds[grounds | surely, 0, 2].min(initial=np.inf)
    return tuple(int(i) for i in np.flatnonzero(surely | (grounds & (bounds[:, 0, 2] <= lowest + 1.0))))


def _lies_one_way(corners: np.ndarray, triangle_object: np.ndarray, count: int) -> Bool[np.ndarray, " objects"]:
    """(O,) bool: objects of which every triangle faces up, or every one down."""
    e1, e2 = (corners[:, k, :2] - corners[:, 0, :2] for k in (1, 2))
    facing = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    faces, up, down = (np.bincount(triangle_object, weight, count) for weight in (None, facing > 0, facing < 0))
    return (faces > 0) & ((up == faces) | (down == faces))
