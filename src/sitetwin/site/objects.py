"""Find which building each object of a mesh belongs to, and how far it reaches.

What an object is called decides nothing. An importer that knows which objects are one building says so
(`Mesh.object_building`). Otherwise shapes decide: walls and a roof that are two objects close each other along their
open edges.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.site.facets import components, dot, norm

_PART_SUFFIX = re.compile(r"-(?:itu[_-].*|part_.*|walls?|roofs?|[0-9a-f]{6})$", re.IGNORECASE)
_DECIMALS = 3  # of metres: corners that agree so far are one place
_WITHIN = 0.05  # m in plan, by which a part may reach out of the whole
_MOST_AT_EDGE = 16  # open triangles at one edge, as where each wall of four houses is an object; more tell nothing
_FOLDED = 0.9999  # cosine between triangles at an edge: they lie on each other, as the walls of two houses in a row do


def building_of_object(
    corners: Float[np.ndarray, "triangles 3 3"],
    triangle_object: Int[np.ndarray, " triangles"],
    count: int,
    standing: Bool[np.ndarray, " triangles"],
) -> Int[np.ndarray, " objects"]:
    """Group objects into buildings by their shapes.

    An open edge belongs to one triangle of its object. Each object goes with that other one with which it shares the
    greatest length of open edges, where one of the two lies within the extent of the other in plan: a roof with the
    walls under it, a window with its wall, but no house with its neighbour. Triangles that lie on each other close
    nothing, nor do edges at which more than sixteen open triangles meet.

    Args:
        corners: (T, 3, 3) triangle corners, metres.
        triangle_object: (T,) object of each triangle.
        count: Number of objects.
        standing: (T,) bool, triangles that are not the ground.

    Returns:
        (O,) int32 the building of each object, numbered in the order of the first objects.
    """
    rows = np.flatnonzero(standing)
    one, other, length = _shared_edges(corners[rows], triangle_object[rows].astype(np.int64))
    bounds = object_bounds(corners[rows], triangle_object[rows], count)[:, :, :2]
    inside = _within(bounds[one], bounds[other]) | _within(bounds[other], bounds[one])
    one, other, length = one[inside], other[inside], np.tile(length[inside], 2)
    pairs, place = np.unique(np.append(one * count + other, other * count + one), return_inverse=True)
    together = np.bincount(place, length, len(pairs))
    order = np.lexsort((pairs, -together, pairs // count))
    first = np.unique(pairs[order] // count, return_index=True)[1]
    best = pairs[order][first]
    return numbered(components(count, best // count, best % count))


def _within(inner: np.ndarray, outer: np.ndarray) -> np.ndarray:
    """(N,) whether boxes (N, 2, 2) lie within others."""
    return np.asarray(((inner[:, 0] >= outer[:, 0] - _WITHIN) & (inner[:, 1] <= outer[:, 1] + _WITHIN)).all(axis=1))


def _shared_edges(corners: np.ndarray, owner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of objects (N,), (N,) that share an open edge, and its length (N,) in metres."""
    places = np.unique(corners.reshape(-1, 3).round(_DECIMALS) + 0.0, axis=0, return_inverse=True)[1].reshape(-1, 3)
    ends = np.sort(np.stack([places, np.roll(places, -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    edge = ends[:, 0] * np.int64(places.max(initial=0) + 1) + ends[:, 1]
    order = np.lexsort((np.repeat(owner, 3), edge))
    edge, of = edge[order], np.repeat(owner, 3)[order]
    same = (edge[1:] == edge[:-1]) & (of[1:] == of[:-1])
    alone = ~(np.append(same, False) | np.append(False, same))[: len(edge)]
    edge, of, row = edge[alone], of[alone], order[alone]
    _, each, meeting = np.unique(edge, return_inverse=True, return_counts=True)
    few = meeting[each.reshape(-1)] <= _MOST_AT_EDGE
    edge, of, row = edge[few], of[few], row[few]
    a, b, c = (corners[row // 3, (row + k) % 3] for k in range(3))
    size = norm(b - a)
    along = (b - a) / np.maximum(size, 1e-300)[:, None]
    inward = (c - a) - dot(c - a, along)[:, None] * along
    inward /= np.maximum(norm(inward), 1e-300)[:, None]
    pairs: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(0, np.int64),) * 2]
    for step in range(1, min(_MOST_AT_EDGE, len(edge))):
        first = np.flatnonzero(edge[step:] == edge[:-step])
        pairs.append((first, first + step))
    one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
    closing = dot(inward[one], inward[other]) < _FOLDED
    one, other = one[closing], other[closing]
    return of[one], of[other], size[one]


def numbered(label: Int[np.ndarray, " objects"]) -> Int[np.ndarray, " objects"]:
    """Return labels as (O,) int32 numbers in the order of their first appearance; each -1 gets a number of its own."""
    label = np.where(label < 0, label.max(initial=0) + 1 + np.arange(len(label)), label)
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[place.reshape(-1)]


def join_objects(*labels: Int[np.ndarray, " objects"]) -> Int[np.ndarray, " objects"]:
    """Join objects that have an equal label in any of some labellings: (O,) int32, numbered by the first objects."""
    count = len(labels[0])
    first = [np.unique(label, return_index=True, return_inverse=True)[1:] for label in labels]
    each = np.tile(np.arange(count), len(labels))
    return numbered(components(count, each, np.concatenate([at[place.reshape(-1)] for at, place in first])))


def building_name(object_name: str) -> str:
    """Return the name of an object without what says which part of a building it is; for labels only.

    City scenes call a building's walls and roof ``X-itu_marble`` and ``X-itu_metal``, ``X-wall`` and ``X-roof`` (or a
    colour, ``X-e0e0e0``). An importer that splits a body by material calls its objects ``X-part_material``.
    """
    return _PART_SUFFIX.sub("", object_name)


def building_names(objects: Sequence[str], building: Int[np.ndarray, " objects"]) -> tuple[str, ...]:
    """Name buildings by their objects: no two alike.

    Args:
        objects: Object names.
        building: (O,) building of each object, numbered from 0 without gaps.

    Returns:
        What the names of a building's objects have in common, without the part; else the name of its first object.
    """
    members: list[list[str]] = [[] for _ in range(int(building.max(initial=-1)) + 1)]
    for name, number in zip(objects, building.tolist(), strict=True):
        members[number].append(name)
    common = [_common_name(names) for names in members]
    often, taken = Counter(common), Counter[str]()
    result: list[str] = []
    for label, names in zip(common, members, strict=True):
        wanted = label if often[label] == 1 else names[0]
        taken[wanted] += 1
        result.append(wanted if taken[wanted] == 1 else f"{wanted} ({taken[wanted]})")
    return tuple(result)


def _common_name(names: Sequence[str]) -> str:
    """What the names of parts have in common."""
    if len(names) == 1:
        return names[0].removesuffix("-walls").removesuffix("-roof")  # of a map's building that is open, or but a roof
    stems = {building_name(name) for name in names}
    return stems.pop() if len(stems) == 1 else names[0]


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
