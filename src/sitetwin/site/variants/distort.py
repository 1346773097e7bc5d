"""Displace and stretch buildings, or groups of touching buildings, as rigid wholes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import ConfigDict

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import dot, flatness_excess, merge_facets, plane_offsets
from sitetwin.site.mesh import AnyMesh, Mesh
from sitetwin.site.plan import standing_buildings, touching_groups
from sitetwin.site.slivers import without_slivers
from sitetwin.site.variants.draws import digest

_LEAST_SCALE = 0.2  # a building never loses more than four fifths of its height


LARGEST_ERROR = 1000.0
"""Metres: an error beyond it moves things out of their site."""


@dataclass(frozen=True)
class GeometryError:
    """Size of the errors of a map, drawn once per building.

    Attributes:
        sigma: Standard deviation, metres (of each horizontal coordinate for walls); 0 with a `largest` means uniform.
        largest: Bound of the error, metres (of the horizontal distance for walls), or None for no bound.

    Raises:
        SiteTwinError: A number is negative or not finite.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    sigma: float = 0.0
    largest: float | None = None

    def __post_init__(self) -> None:
        for value in (self.sigma, self.largest):
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise SiteTwinError(f"a geometry error of {value} m is no distance; give 0 or more, finite")
            if value is not None and value > LARGEST_ERROR:
                raise SiteTwinError(
                    f"a geometry error of {value:g} m is no error of a map; give 0 to {LARGEST_ERROR:g} m"
                )

    def draw(self, count: int, dimensions: int, rng: np.random.Generator) -> Float[np.ndarray, "count dimensions"]:
        """Draw (count, dimensions) float64 errors, metres; normal draws beyond the bound are scaled back to it."""
        if self.sigma == 0.0:
            direction = rng.standard_normal((count, dimensions))
            direction /= np.sqrt(np.sum(direction**2, axis=1, keepdims=True))
            return direction * (self.largest or 0.0) * rng.random((count, 1)) ** (1.0 / dimensions)
        errors = self.sigma * rng.standard_normal((count, dimensions))
        if self.largest is None:
            return errors
        size = np.sqrt(np.sum(errors**2, axis=1, keepdims=True))
        return errors * np.minimum(1.0, self.largest / np.maximum(size, 1e-300))


def distort(
    site: AnyMesh,
    walls: GeometryError | None,
    heights: GeometryError | None,
    rng: np.random.Generator,
    *,
    together: bool = False,
) -> tuple[AnyMesh, list[dict[str, Any]]]:
    """Displace and stretch the buildings of a site; return the new site and its entries for the list of differences.

    Planes transform with their vertices. Each body is stretched above its foot, its lowest point; the foot of a group
    is the foot of its highest house, so that the houses further down a slope stay on the ground. If a house of the
    group ends below that foot, the foot of the group is its lowest point.

    Args:
        site: The site.
        walls: Horizontal displacement of each body, or None.
        heights: Error of each body's height, or None.
        rng: Source of randomness.
        together: Whether a body is a group of touching buildings instead of one building, so that party walls stay
            closed.
    """
    building = site.buildings[1]
    moves = standing_buildings(site)
    vertices, triangles, owner = _own_vertices(site, building)
    base, top = np.full(len(moves), np.inf), np.full(len(moves), -np.inf)
    np.minimum.at(base, owner, vertices[:, 2])
    np.maximum.at(top, owner, vertices[:, 2])
    body = np.arange(len(moves))
    if together:
        body = touching_groups(site, moves)
        base, top = _of_groups(body, base, top)
        moves &= body == np.arange(len(moves))  # the first of a group stands for it
    height = np.subtract(top, base, out=np.zeros(len(moves)), where=moves & (top > base))
    shift, scale = np.zeros((len(moves), 2)), np.ones(len(moves))
    differences = []
    if walls is not None:
        shift[moves] = walls.draw(int(moves.sum()), 2, rng)
        distance = np.hypot(shift[moves, 0], shift[moves, 1])
        differences.append(_summary("walls moved", walls, shift, distance))
    if heights is not None:
        error = heights.draw(len(moves), 1, rng)[:, 0]
        tall = height > 0
        scale[tall] = np.maximum(1.0 + error[tall] / height[tall], _LEAST_SCALE)
        differences.append(_summary("building heights", heights, scale, np.abs((scale - 1.0) * height)[tall]))
    if together:
        differences = [{**entry, "together": True} for entry in differences]
    shift, scale, base = shift[body], scale[body], base[body]
    moved = vertices.copy()
    moved[:, :2] += shift[owner]
    foot = base[owner]
    stretched = (scale[owner] != 1.0) & (vertices[:, 2] > foot)
    moved[:, 2] = np.where(stretched, foot + (vertices[:, 2] - foot) * scale[owner], vertices[:, 2])
    return _with_geometry(site, moved, triangles, _facet_scale(site, building, scale)), differences


def _of_groups(body: np.ndarray, base: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Foot and top of each group of buildings, at the row of its first."""
    lowest, foot = np.full(len(body), np.inf), np.full(len(body), -np.inf)
    lowest_top, highest = np.full(len(body), np.inf), np.full(len(body), -np.inf)
    np.minimum.at(lowest, body, base)
    np.maximum.at(foot, body, base)
    np.minimum.at(lowest_top, body, top)
    np.maximum.at(highest, body, top)
    return np.where(foot < lowest_top, foot, lowest), highest


def _summary(what: str, asked: GeometryError, drawn: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    return {
        "what": what,
        "buildings": len(size),
        "sigma_m": asked.sigma,
        "bound_m": asked.largest,
        "rms_m": float(np.sqrt(np.mean(size**2))) if len(size) else 0.0,
        "largest_m": float(size.max(initial=0.0)),
        "sha256": digest(drawn),
    }


def _own_vertices(site: Mesh, building: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices that belong to one building each: those shared between buildings are doubled, unused ones dropped.

    Returns:
        vertices (V', 3), triangles (T, 3) int32, and the building (V',) of each vertex.
    """
    corner_building = np.repeat(building[site.triangle_object].astype(np.int64), 3)
    key = corner_building * len(site.vertices) + site.triangles.reshape(-1)
    unique, inverse = np.unique(key, return_inverse=True)
    vertices = site.vertices[unique % len(site.vertices)]
    return vertices, inverse.reshape(-1, 3).astype(np.int32), unique // len(site.vertices)


def _facet_scale(site: Mesh, building: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(F,) vertical scale of each facet: that of the building it belongs to."""
    of_facet = np.zeros(site.num_facets, dtype=np.int64)
    of_facet[site.triangle_facet] = building[site.triangle_object]
    return scale[of_facet]


def _with_geometry(site: AnyMesh, vertices: np.ndarray, triangles: np.ndarray, facet_scale: np.ndarray) -> AnyMesh:
    """The site with transformed vertices; its facets are kept while they stay flat, else merged anew.

    Under a vertical stretch by s the normal (x, y, z) becomes (x, y, z / s), normalised.
    """
    corners = vertices[triangles]
    normal = site.facet_normal.copy()
    stretched = facet_scale != 1.0
    normal[stretched, 2] /= facet_scale[stretched]
    normal[stretched] /= np.sqrt(dot(normal[stretched], normal[stretched]))[:, None]
    offset = plane_offsets(corners, site.triangle_facet, normal)
    if (flatness_excess(corners, site.triangle_facet, normal, offset) <= 1.5).all():
        return replace(site, vertices=vertices, triangles=triangles, facet_normal=normal, facet_offset=offset)
    group = site.triangle_object.astype(np.int64) * len(site.materials) + site.facet_material[site.triangle_facet]
    triangles, given = without_slivers(vertices, triangles)
    facets = merge_facets(vertices, triangles, group[given])
    return replace(
        site,
        vertices=vertices,
        triangles=triangles[facets.kept],
        triangle_object=site.triangle_object[given][facets.kept],
        triangle_facet=facets.triangle_facet,
        facet_normal=facets.normal,
        facet_offset=facets.offset,
        facet_material=(facets.group % len(site.materials)).astype(np.int32),
    )
