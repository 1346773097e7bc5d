"""Which edges are only where a drawing ends: the rim of the ground, which goes on in reality."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.site.ground.rule import WIDE
from sitetwin.site.mesh import Mesh
from sitetwin.site.verticals import VerticalIndex

_BEYOND = 0.05  # m past an edge, where the ground must go on if the edge is one of its steps
_SAMPLES = np.array([0.1, 0.3, 0.5, 0.7, 0.9])  # of an edge's length
_LEVEL = 0.3  # an edge that faces less sideways than this has ground on both sides of it, or is an upright sheet's


def ground_rims(
    mesh: Mesh,
    ends: Float[np.ndarray, "edges 2 3"],
    facets: Int[np.ndarray, "edges 2"],
    tangents: Float[np.ndarray, "edges 2 3"],
    normals: Float[np.ndarray, "edges 2 3"],
) -> Bool[np.ndarray, " edges"]:
    """Find the edges at which the ground was cut, so that nothing of it is left beyond them.

    The faces of such an edge belong to the ground, and in plan there is no ground just past it along most of its
    length. A step in the ground, with lower ground past it, is an edge like any other; so are the free edges of what is
    no ground (a sheet, a roof, a bridge). A surface narrower than `WIDE` on which nothing stands is a plate or a deck.

    Args:
        mesh: The mesh.
        ends: (N, 2, 3) metres.
        facets: (N, 2) faces of each edge, -1 for the second of a free one.
        tangents: (N, 2, 3) unit vectors in the faces, away from the edge.
        normals: (N, 2, 3) unit normals of the faces.
    """
    result = np.zeros(len(ends), dtype=bool)
    is_ground = mesh.is_ground
    if is_ground.all() and (mesh.bounds[1] - mesh.bounds[0])[:2].min() < WIDE:
        return result
    ground = np.zeros(mesh.num_facets + 1, dtype=bool)
    ground[mesh.triangle_facet[is_ground]] = True
    ground[-1] = True  # the missing face of a free edge
    rows = np.flatnonzero(ground[facets].all(axis=1))
    if not len(rows):
        return result
    sideways = -tangents[rows].sum(axis=1)[:, :2]
    size = np.sqrt((sideways**2).sum(axis=1))
    face = normals[rows, 0, :2]
    upright = size < _LEVEL
    sideways = np.where(upright[:, None], face, sideways)
    size = np.sqrt((sideways**2).sum(axis=1))
    rows, sideways, upright, size = (x[size >= _LEVEL] for x in (rows, sideways, upright, size))
    if not len(rows):
        return result
    index = VerticalIndex(mesh.corners[is_ground])
    step = _BEYOND * sideways / size[:, None]
    start, end = ends[rows, 0, :2], ends[rows, 1, :2]
    on_edge = start[:, None] + _SAMPLES[:, None] * (end - start)[:, None]
    bare = _bare(index, on_edge + step[:, None])
    result[rows] = bare | (upright & _bare(index, on_edge - step[:, None]))
    return result


def _bare(index: VerticalIndex, points: np.ndarray) -> np.ndarray:
    """(N,) bool: no ground above or below most of the points (N, S, 2)."""
    held = np.zeros(points.shape[0] * points.shape[1], dtype=bool)
    held[index.hits(points.reshape(-1, 2)).point] = True
    return np.asarray((~held).reshape(points.shape[:2]).mean(axis=1) > 0.5)
