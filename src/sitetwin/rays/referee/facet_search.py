"""Find the facets on which the vertices of another engine's paths lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.specular.exact import exact_vertices
from sitetwin.site import Site

_CELL = 16.0  # m, side of the cells in which vertices and triangles are brought together
_MOST_CANDIDATES = 4  # facets tried for one vertex, the nearest ones


@dataclass(frozen=True, eq=False)
class FacetSearch:
    """The facets found for P paths of at most D reflections.

    Attributes:
        facets: (P, D) int32, -1 beyond the last reflection and where no facet is near enough.
        distance: (P, D) float64, distance of each vertex from its facet's triangles, metres; NaN beyond the last
            reflection, infinite where no facet is near enough.
        displacement: (P, D) float64, distance of each vertex from the exact reflection point of the path's facets
            (image method in double precision), metres; NaN beyond the last reflection and for paths that miss a facet.
        vertices: (P, D, 3) float64, metres, the exact reflection points; NaN beyond the last reflection and for paths
            that miss a facet.
    """

    facets: np.ndarray
    distance: np.ndarray
    displacement: np.ndarray
    vertices: np.ndarray

    @property
    def complete(self) -> np.ndarray:
        """(P,) bool: whether every reflection has a facet."""
        return ~np.isinf(self.distance).any(axis=1)


def search_facets(paths: Paths, site: Site, tolerance: float = 0.05) -> FacetSearch:
    """Find the facet chain of each path from the points of its reflections.

    Near an edge several facets are within the tolerance. Of all chains of such facets (at most four at each vertex),
    the chain with exact reflection points nearest to the given ones is taken; of coincident facets, the one with the
    lowest number.

    Args:
        paths: P paths; their `facets` are ignored.
        site: The site.
        tolerance: Largest distance of a vertex from its facet, metres.
    """
    bounce = paths.kinds == Interaction.REFLECTION
    row, column = np.nonzero(bounce)
    facet, distance = _candidates(paths.vertices[row, column], site, tolerance)
    width = facet.shape[1]
    options = np.full((*bounce.shape, width), -1, np.int64)
    away = np.full((*bounce.shape, width), np.nan)
    options[row, column], away[row, column] = facet, distance
    best = np.zeros(bounce.shape, np.int64)  # which candidate
    error = np.full(paths.num_paths, np.inf)
    usable = (options[..., 0] >= 0) | ~bounce
    whole = np.flatnonzero(usable.all(axis=1))
    ends = paths.users[paths.user_of_path]
    exact = np.full(paths.vertices.shape, np.nan)
    for pick in product(range(width), repeat=bounce.shape[1]):
        chosen = np.array(pick)
        chain = np.take_along_axis(options, np.broadcast_to(chosen, bounce.shape)[..., None], axis=2)[..., 0]
        rows = whole[((chain >= 0) | (~bounce & (chosen == 0)))[whole].all(axis=1)]
        if not len(rows):
            continue
        points = exact_vertices(site, paths.transmitter, ends[rows], chain[rows], paths.vertices[rows])
        off = _displacement(points, paths.vertices[rows])
        worst = np.where(bounce[rows], off, 0.0).max(axis=1, initial=0.0)
        better = worst < error[rows] - 1e-9
        error[rows[better]], best[rows[better]], exact[rows[better]] = worst[better], chosen, points[better]
    facets = np.take_along_axis(options, best[..., None], axis=2)[..., 0]
    found = np.take_along_axis(away, best[..., None], axis=2)[..., 0]
    return FacetSearch(
        facets=facets.astype(np.int32),
        distance=found,
        displacement=_displacement(exact, paths.vertices),
        vertices=exact,
    )


def _displacement(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.sqrt(((a - b) ** 2).sum(axis=-1))


def _candidates(points: np.ndarray, site: Site, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Facets near points, nearest first, and their distances: (N, K) each, padded with -1 and infinity."""
    pairs = [_near(points, site, *cell, tolerance) for cell in _cells(points, site, tolerance)]
    point = np.concatenate([p[0] for p in pairs]) if pairs else np.zeros(0, np.int64)
    facet = np.concatenate([p[1] for p in pairs]) if pairs else np.zeros(0, np.int64)
    distance = np.concatenate([p[2] for p in pairs]) if pairs else np.zeros(0)
    order = np.lexsort((distance, facet, point))  # the nearest triangle of each facet
    point, facet, distance = point[order], facet[order], distance[order]
    fresh = np.ones(len(point), bool)
    fresh[1:] = (point[1:] != point[:-1]) | (facet[1:] != facet[:-1])
    point, facet, distance = point[fresh], facet[fresh], distance[fresh]
    order = np.lexsort((facet, distance, point))
    point, facet, distance = point[order], facet[order], distance[order]
    place = np.arange(len(point)) - np.searchsorted(point, point)
    width = min(int(place.max(initial=0)) + 1, _MOST_CANDIDATES)
    kept = place < width
    facets, distances = np.full((len(points), width), -1, np.int64), np.full((len(points), width), np.inf)
    facets[point[kept], place[kept]] = facet[kept]
    distances[point[kept], place[kept]] = distance[kept]
    return facets, distances


def _cells(points: np.ndarray, site: Site, tolerance: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Points of each occupied cell, and the triangles whose bounding boxes come near them."""
    corners = site.vertices[site.triangles]
    low, high = corners.min(axis=1) - tolerance, corners.max(axis=1) + tolerance
    _, cell = np.unique(np.floor(points / _CELL), axis=0, return_inverse=True)
    order = np.argsort(cell.reshape(-1), kind="stable")
    edges = np.searchsorted(cell.reshape(-1)[order], np.arange(cell.max(initial=-1) + 2))
    for start, stop in pairwise(edges):
        inside = order[start:stop]
        least, most = points[inside].min(axis=0), points[inside].max(axis=0)
        yield inside, np.flatnonzero(((low <= most) & (high >= least)).all(axis=1))


def _near(
    points: np.ndarray, site: Site, inside: np.ndarray, triangles: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(point, facet, distance) of the pairs within the tolerance."""
    corners = site.vertices[site.triangles[triangles]]
    distance = np.stack([point_triangle_distance(point, corners) for point in points[inside]])
    row, column = np.nonzero(distance <= tolerance)
    return inside[row], site.triangle_facet[triangles[column]].astype(np.int64), distance[row, column]


def point_triangle_distance(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Return distances of a point (3,) from triangles (T, 3, 3), metres: to the plane if inside, else to an edge."""
    edges = np.roll(corners, -1, axis=1) - corners
    gap = point - corners
    normal = np.cross(edges[:, 0], edges[:, 1])
    size = np.maximum((normal**2).sum(axis=1), 1e-300)
    side = np.einsum("tkc,tc->tk", np.cross(edges, gap), normal)
    height = np.abs((gap[:, 0] * normal).sum(axis=1)) / np.sqrt(size)
    along = (gap * edges).sum(axis=2) / np.maximum((edges**2).sum(axis=2), 1e-300)
    rim = np.linalg.norm(gap - np.clip(along, 0.0, 1.0)[..., None] * edges, axis=2).min(axis=1)
    return np.where((side >= 0).all(axis=1), height, rim)
