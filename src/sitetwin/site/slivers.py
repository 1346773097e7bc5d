"""Take triangles without area out of a mesh such that a closed surface stays closed.

A triangle thinner than `DEGENERATE_ALTITUDE` has no plane, so that it cannot be a part of a facet. Where it is merely
left out, its neighbours no longer share their edges: the surface that was closed has a slit. Here the edges go with it.
A corner in the middle of the longest side becomes a corner of the neighbours across that side; a side of some
micrometres becomes a point.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from sitetwin.site.facets import DEGENERATE_ALTITUDE, NO_ALTITUDE, components, dot, norm

SHORTEST_SIDE = 1e-5
"""Metres: a shorter side of a thin triangle becomes a point, which bends a facet by less than its flatness."""

_MOST_ROUNDS = 32
_IDLE_ROUNDS = 4  # in which no triangle less is thin: those that are left cannot be cut otherwise


def altitudes(corners: Float[np.ndarray, "triangles 3 3"]) -> Float[np.ndarray, " triangles"]:
    """Return the thickness of triangles (T, 3, 3): twice the area over the longest side, metres."""
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    longest = _lengths(corners).max(axis=1, initial=0.0)
    return np.sqrt(dot(cross, cross)) / np.where(longest > 0, longest, 1.0)


def without_slivers(
    vertices: Float[np.ndarray, "vertices 3"], triangles: Int[np.ndarray, "triangles 3"]
) -> tuple[Int[np.ndarray, "kept 3"], Int[np.ndarray, " kept"]]:
    """Take out triangles without area, and join what they lay between.

    Corners are the same where their coordinates are equal to the bit. No vertex moves; a triangle may get another
    corner that is less than `SHORTEST_SIDE` away from its old one, or be cut in two. An edge that was passed as
    often one way as the other before is so afterwards. Where every way to cut a narrow strip has a thin triangle, such
    triangles stay.

    Args:
        vertices: (V, 3) float64, metres.
        triangles: (T, 3) int, vertex indices.

    Returns:
        Triangles (K, 3), and (K,) int64 the given triangle that each of them is or is cut from, ascending.
    """
    source = np.arange(len(triangles))
    if not len(triangles) or (altitudes(vertices[triangles]) > DEGENERATE_ALTITUDE).all():
        return triangles, source
    place = _first_of_equal(vertices)
    given, triangles = triangles, place[triangles]
    for least in (DEGENERATE_ALTITUDE, NO_ALTITUDE):
        triangles, source = _without_thin(vertices, triangles, source, least)
    unchanged = (place[given[source]] == triangles).all(axis=1)
    triangles = np.where(unchanged[:, None], given[source], triangles).astype(given.dtype)
    order = np.argsort(source, kind="stable")
    return triangles[order], source[order]


def _without_thin(
    vertices: np.ndarray, triangles: np.ndarray, source: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Take triangles thinner than `least` out, as far as they become fewer."""
    fewest, idle = len(triangles) + 1, 0
    for _ in range(_MOST_ROUNDS):
        triangles = _join_near_corners(vertices, triangles)
        real = (triangles != np.roll(triangles, 1, axis=1)).all(axis=1)
        triangles, source = triangles[real], source[real]
        thin = np.flatnonzero(altitudes(vertices[triangles]) <= least)
        idle = 0 if len(thin) < fewest else idle + 1
        fewest = min(fewest, len(thin))
        if not len(thin) or idle > _IDLE_ROUNDS:
            break
        triangles, source = _cut_neighbours(vertices, triangles, source, thin)
    return triangles, source


def _lengths(corners: np.ndarray) -> np.ndarray:
    """(T, 3) lengths of the sides opposite to each corner."""
    return np.stack([norm(corners[:, (k + 2) % 3] - corners[:, (k + 1) % 3]) for k in range(3)], axis=1)


def _first_of_equal(vertices: np.ndarray) -> np.ndarray:
    """(V,) int64: the first vertex in the same place as each."""
    _, first, place = np.unique(vertices + 0.0, axis=0, return_index=True, return_inverse=True)
    return first[place.reshape(-1)].astype(np.int64)


def _join_near_corners(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Triangles in which the ends of very short sides of thin triangles are one corner, everywhere in the mesh."""
    corners = vertices[triangles]
    thin = np.flatnonzero(altitudes(corners) <= DEGENERATE_ALTITUDE)
    row, side = np.nonzero(_lengths(corners[thin]) <= SHORTEST_SIDE)
    a, b = triangles[thin[row], (side + 1) % 3], triangles[thin[row], (side + 2) % 3]
    if (a == b).all():
        return triangles
    ends, index = np.unique(np.concatenate([a, b]), return_inverse=True)
    joined = np.arange(len(vertices))
    joined[ends] = ends[components(len(ends), *np.split(index.reshape(-1), 2))]
    return joined[triangles]


def _cut_neighbours(
    vertices: np.ndarray, triangles: np.ndarray, source: np.ndarray, thin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Leave thin triangles out and cut the triangles across their longest sides at their third corners.

    Thin triangles that share a neighbour with one before them wait for the next round.
    """
    apex = _lengths(vertices[triangles[thin]]).argmax(axis=1)
    ends = np.sort(np.stack([triangles[thin, (apex + k) % 3] for k in (1, 2)], axis=1), axis=1)
    size = len(vertices)
    wanted = ends[:, 0] * size + ends[:, 1]
    sides = np.stack([np.roll(triangles, -k, axis=1)[:, 1:] for k in range(3)], axis=1)  # opposite to each corner
    key = sides.min(axis=2) * size + sides.max(axis=2)
    across: dict[int, list[tuple[int, int]]] = {}
    for row, corner in np.argwhere(np.isin(key, wanted)).tolist():
        across.setdefault(int(key[row, corner]), []).append((row, corner))
    busy = np.zeros(len(triangles), dtype=bool)
    gone: list[int] = []
    fresh: list[np.ndarray] = []
    parents: list[int] = []
    for row, corner, edge in zip(thin.tolist(), apex.tolist(), wanted.tolist(), strict=True):
        if any(busy[other] for other, _ in across[edge]):
            continue
        third = triangles[row, corner]
        for other, opposite in across[edge]:
            busy[other] = True
            gone.append(other)
            if other == row or third in triangles[other]:  # a second thin triangle of the same corners goes as well
                continue
            head, start, end = np.roll(triangles[other], -opposite)
            fresh += [np.array([head, start, third]), np.array([head, third, end])]
            parents += [source[other]] * 2
    left = np.ones(len(triangles), dtype=bool)
    left[gone] = False
    return (
        np.concatenate([triangles[left], np.array(fresh, dtype=triangles.dtype).reshape(-1, 3)]),
        np.concatenate([source[left], np.array(parents, dtype=np.int64)]),
    )
