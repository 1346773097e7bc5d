"""Facets: sets of coplanar triangles of one object, the unit of specular reflection.

A reflection is traced by mirroring a point in a plane, so a facet must be truly flat: a loose merge moves path lengths
by a good part of a wavelength. Merging too little costs only repeated work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

FLATNESS = 5e-5
"""Largest distance of a facet's vertex from its plane, metres: 0.4 degrees of phase per reflection at 3.5 GHz."""

DEGENERATE_ALTITUDE = 1e-6
"""Triangles thinner than this, metres, have no plane in a single-precision mesh: facets do not start with them."""

NO_ALTITUDE = 1e-9
"""Metres: thinner triangles have no area but the rounding of double precision, 1000 km from the origin."""

_SLIVER_ALTITUDE = 0.01  # a thinner triangle may start a facet only when no better one is left
_LARGE_GROUP = 4096  # larger groups are first split into connected coplanar patches


@dataclass(frozen=True)
class Facets:
    """Result of `merge_facets`.

    Attributes:
        kept: (K,) int64, rows of the input triangles that are in a facet, ascending.
        triangle_facet: (K,) int32, facet of each kept triangle.
        normal: (F, 3) float64, unit normals.
        offset: (F,) float64, metres, ``normal . x = offset`` on the plane.
        group: (F,) int64, group of each facet.
        dropped: Number of degenerate triangles.
    """

    kept: Int[np.ndarray, " kept"]
    triangle_facet: Int[np.ndarray, " kept"]
    normal: Float[np.ndarray, "facets 3"]
    offset: Float[np.ndarray, " facets"]
    group: Int[np.ndarray, " facets"]
    dropped: int


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the scalar product along the last axis of length 3, with the same bits for any batch."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def norm(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
    """Return the length along the last axis of length 3, with the same bits for any batch."""
    return np.asarray(np.sqrt(dot(vectors, vectors)))


def unit(vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Scale vectors along the last axis of length 3 to length 1; a vector of length zero stays zero."""
    size = norm(vectors)
    return vectors / np.where(size > 0, size, 1.0)[..., None]


def mesh_tolerance(coordinates: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch"]:
    """Return the flatness tolerance of vertices: 0.05 mm, or the single-precision spacing where that is larger.

    Args:
        coordinates: (..., 3) vertices, metres.

    Returns:
        (...,) float64, metres.
    """
    spacing = np.spacing(np.abs(coordinates).max(axis=-1).astype(np.float32)).astype(np.float64)
    return np.maximum(FLATNESS, spacing)


def merge_facets(
    vertices: Float[np.ndarray, "vertices 3"],
    triangles: Int[np.ndarray, "triangles 3"],
    group: Int[np.ndarray, " triangles"],
) -> Facets:
    """Merge the coplanar triangles of each group into facets.

    In each group the largest triangle not yet placed (slivers last) spans a plane and takes every triangle whose three
    vertices lie within `mesh_tolerance` of it, whichever way it faces: two-sided and inverted duplicates share the
    facet of their plane. The plane keeps the direction of the spanning triangle; its offset is the midpoint of its
    vertices' offsets, which makes the largest deviation as small as possible. A group of more than 4096 triangles
    (terrain) is merged only along shared edges. The input order changes only the numbering: facets are numbered by
    their first triangle. A triangle thinner than `DEGENERATE_ALTITUDE` joins the nearest facet of its group that holds
    its vertices, or else is a facet of its own, the last ones; it is dropped where it has no area but rounding.

    Args:
        vertices: (V, 3) float64, metres.
        triangles: (T, 3) int, vertex indices.
        group: (T,) int, group of each triangle; triangles of different groups are never merged.

    Returns:
        The facets, and the triangles in them.
    """
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    twice_area = np.sqrt(dot(cross, cross))
    longest = np.sqrt(np.max([dot(e, e) for e in _edges(corners)], axis=0)) if len(corners) else twice_area
    altitude = twice_area / np.where(longest > 0, longest, 1.0)
    thin = np.flatnonzero((altitude > NO_ALTITUDE) & (altitude <= DEGENERATE_ALTITUDE))
    slits, slit_normals = corners[thin], unit(cross[thin])
    kept = np.flatnonzero(altitude > DEGENERATE_ALTITUDE)
    corners, cross, twice_area, altitude = corners[kept], cross[kept], twice_area[kept], altitude[kept]
    normals = cross / twice_area[:, None]
    tolerance = mesh_tolerance(corners).max(axis=1) if len(kept) else np.zeros(0)
    patch = _split_large_groups(corners, normals, tolerance, twice_area, np.asarray(group)[kept])
    seed = _greedy(corners, normals, tolerance, np.lexsort((-twice_area, altitude < _SLIVER_ALTITUDE, patch)), patch)
    seeds, first, facet = np.unique(seed, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    facet = rank[facet].astype(np.int32)
    normal = normals[seeds[order]]
    offset = plane_offsets(corners, facet, normal)
    of_facet = np.asarray(group)[kept][seeds[order]]
    if len(thin):
        nearest = _nearest_facets(slits, np.asarray(group)[thin], normal, offset, of_facet)
        alone = np.flatnonzero(nearest < 0)
        nearest[alone] = len(normal) + np.arange(len(alone))
        normal = np.concatenate([normal, slit_normals[alone]])
        of_facet = np.concatenate([of_facet, np.asarray(group)[thin[alone]]])
        offset = np.concatenate([offset, dot(slits[alone, 0], slit_normals[alone])])
        order = np.argsort(np.concatenate([kept, thin]))
        facet = np.concatenate([facet, nearest.astype(np.int32)])[order]
        kept = np.concatenate([kept, thin])[order]
    return Facets(kept, facet, normal, offset, of_facet, dropped=len(triangles) - len(kept))


def _nearest_facets(
    corners: np.ndarray, group: np.ndarray, normal: np.ndarray, offset: np.ndarray, of_facet: np.ndarray
) -> np.ndarray:
    """(S,) int64: for each triangle the facet of its group whose plane is nearest; -1 where none is flat with it."""
    nearest = np.full(len(corners), -1)
    tolerance = mesh_tolerance(corners).max(axis=1, initial=FLATNESS)
    for label in np.unique(group):
        rows, facets = np.flatnonzero(group == label), np.flatnonzero(of_facet == label)
        for row in rows.tolist() if len(facets) else ():
            away = np.abs(dot(corners[row][None], normal[facets][:, None]) - offset[facets][:, None]).max(axis=1)
            best = int(away.argmin())
            nearest[row] = facets[best] if away[best] <= tolerance[row] else -1
    return nearest


def plane_offsets(
    corners: Float[np.ndarray, "triangles 3 3"],
    facet: Int[np.ndarray, " triangles"],
    normal: Float[np.ndarray, "facets 3"],
) -> Float[np.ndarray, " facets"]:
    """Return the offset of each facet's plane: midway between its lowest and highest vertex along the normal.

    Args:
        corners: (K, 3, 3) float64, triangle corners, metres.
        facet: (K,) int, facet of each triangle.
        normal: (F, 3) float64, unit normal of each facet.

    Returns:
        (F,) float64, metres.
    """
    height = dot(corners, normal[facet][:, None, :])
    low, high = np.full(len(normal), np.inf), np.full(len(normal), -np.inf)
    np.minimum.at(low, facet, height.min(axis=1))
    np.maximum.at(high, facet, height.max(axis=1))
    return 0.5 * (low + high)


def flatness_excess(
    corners: Float[np.ndarray, "triangles 3 3"],
    facet: Int[np.ndarray, " triangles"],
    normal: Float[np.ndarray, "facets 3"],
    offset: Float[np.ndarray, " facets"],
) -> Float[np.ndarray, " facets"]:
    """(F,) largest ratio of a facet's vertex distance from its plane to the tolerance there; above 1 is not flat."""
    distance = np.abs(dot(corners, normal[facet][:, None, :]) - offset[facet][:, None])
    worst = np.zeros(len(normal))
    np.maximum.at(worst, facet, (distance / mesh_tolerance(corners)).max(axis=1))
    return worst


def _edges(corners: np.ndarray) -> list[np.ndarray]:
    return [corners[:, (k + 1) % 3] - corners[:, k] for k in range(3)]


def _greedy(
    corners: np.ndarray, normals: np.ndarray, tolerance: np.ndarray, order: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """Seed triangle of each triangle; all groups advance together, one facet each per round."""
    seed = np.full(len(corners), -1, dtype=np.int64)
    left = order  # by group, best seed first
    while len(left):
        starts = np.flatnonzero(np.concatenate([[True], group[left[1:]] != group[left[:-1]]]))
        counts = np.diff(np.concatenate([starts, [len(left)]]))
        spanning = np.repeat(left[starts], counts)
        away = dot(corners[left] - corners[spanning, 0][:, None, :], normals[spanning][:, None, :])
        joins = np.abs(away).max(axis=1) <= tolerance[left]
        joins[starts] = True
        seed[left[joins]] = spanning[joins]
        left = left[~joins]
    return seed


def _split_large_groups(
    corners: np.ndarray, normals: np.ndarray, tolerance: np.ndarray, area: np.ndarray, group: np.ndarray
) -> np.ndarray:
    """(K,) int64 labels: the group, or for large groups the connected patch of pairwise coplanar triangles."""
    _, label, counts = np.unique(group, return_inverse=True, return_counts=True)
    label = label.astype(np.int64)
    for big in np.flatnonzero(counts > _LARGE_GROUP):
        rows = np.flatnonzero(label == big)
        a, b = _neighbours(corners[rows])
        larger = np.where(area[rows[a]] >= area[rows[b]], a, b)
        smaller = a + b - larger
        away = dot(corners[rows[smaller]] - corners[rows[larger], 0][:, None, :], normals[rows[larger]][:, None, :])
        flat = np.abs(away).max(axis=1) <= tolerance[rows[smaller]]
        component = components(len(rows), a[flat], b[flat])
        label[rows] = label.max() + 1 + component
    return label


def _neighbours(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of triangles that share an edge (equal coordinates; successive ones where more than two meet)."""
    _, weld = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    weld = weld.reshape(-1, 3).astype(np.int64)
    ends = np.concatenate([weld[:, [0, 1]], weld[:, [1, 2]], weld[:, [2, 0]]])
    key = ends.min(axis=1) * (weld.max() + 1) + ends.max(axis=1)
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    triangle = order % len(corners)
    return triangle[:-1][same], triangle[1:][same]


def components(size: int, a: Int[np.ndarray, " pairs"], b: Int[np.ndarray, " pairs"]) -> Int[np.ndarray, " nodes"]:
    """Label each node with the lowest node of its connected component, by hooking and pointer jumping."""
    parent = np.arange(size)
    while True:
        low = np.minimum(parent[a], parent[b])
        before = parent.copy()
        np.minimum.at(parent, parent[a], low)
        np.minimum.at(parent, parent[b], low)
        while True:
            jumped = parent[parent]
            if np.array_equal(jumped, parent):
                break
            parent = jumped
        if np.array_equal(before, parent):
            return parent
