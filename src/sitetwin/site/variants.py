"""Variants of a site: other worlds derived from one, each difference listed.

A *target* (the stand-in for reality) and its *twin* are variants of one site. Buildings move and grow as rigid wholes;
the ground stays. Facet ids survive, so that materials and figures stay comparable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import dot, flatness_excess, merge_facets, plane_offsets
from sitetwin.site.materials import Material, itu_material
from sitetwin.site.model import Site
from sitetwin.site.vegetation import Vegetation

_LEAST_SCALE = 0.2  # a building never loses more than four fifths of its height


@dataclass(frozen=True)
class GeometryError:
    """How far a map is wrong, drawn once per building.

    Attributes:
        sigma: Standard deviation, metres (of each horizontal coordinate for walls); 0 with a `largest` means uniform.
        largest: Bound of the error, metres (of the horizontal distance for walls), or None for no bound.

    Raises:
        SiteTwinError: A number is negative or not finite.
    """

    sigma: float = 0.0
    largest: float | None = None

    def __post_init__(self) -> None:
        for value in (self.sigma, self.largest):
            if value is not None and not (np.isfinite(value) and value >= 0):
                raise SiteTwinError(f"a geometry error of {value} m is no distance; give 0 or more, finite")

    def draw(self, count: int, dimensions: int, rng: np.random.Generator) -> np.ndarray:
        """(count, dimensions) float64 errors, metres; normal draws beyond the bound are scaled back to it."""
        if self.sigma == 0.0:
            direction = rng.standard_normal((count, dimensions))
            direction /= np.sqrt(np.sum(direction**2, axis=1, keepdims=True))
            return direction * (self.largest or 0.0) * rng.random((count, 1)) ** (1.0 / dimensions)
        errors = self.sigma * rng.standard_normal((count, dimensions))
        if self.largest is None:
            return errors
        size = np.sqrt(np.sum(errors**2, axis=1, keepdims=True))
        return errors * np.minimum(1.0, self.largest / np.maximum(size, 1e-300))


def derive(
    site: Site,
    *,
    name: str | None = None,
    vegetation: Vegetation | None = None,
    walls: GeometryError | None = None,
    heights: GeometryError | None = None,
    materials: Mapping[str, Material | str] | None = None,
    scatter_centres: int | None = None,
    rng: np.random.Generator | None = None,
) -> Site:
    """Another world made from a site; ``provenance["differences"]`` lists each difference.

    Args:
        site: The site to start from; it is not changed.
        name: Name of the variant, the site's own by default.
        vegetation: Canopies in place of the site's; ``Vegetation.none()`` fells them all.
        walls: Horizontal displacement of each building as a rigid whole, its walls and roof together.
        heights: Error of each building's roof height: it is stretched above its own lowest point. A building never
            shrinks below a fifth of its height.
        materials: By the name of a material in the site, what takes its place: a `Material`, or an ITU name (then
            thickness and scattering stay as they were).
        scatter_centres: Number of scatter centres drawn in each canopy volume, in place of those that are there.
        rng: Source of randomness for walls, heights and scatter centres.

    Raises:
        SiteTwinError: A random change without `rng`, or an unknown material name.
    """
    if rng is None and (walls is not None or heights is not None or scatter_centres is not None):
        raise SiteTwinError(
            "moved walls, wrong heights and scatter centres are drawn at random; give a generator as rng"
        )
    parent = site.hash
    differences: list[dict[str, Any]] = []
    if vegetation is not None:
        differences.append(_vegetation_difference(site.vegetation, vegetation))
        site = replace(site, vegetation=vegetation)
    if walls is not None or heights is not None:
        assert rng is not None
        site = _distort(site, walls, heights, rng, differences)
    if materials:
        site = _exchange_materials(site, materials, differences)
    if scatter_centres is not None:
        assert rng is not None
        planted = site.vegetation.with_scatter_centres(scatter_centres, rng)
        site = replace(site, vegetation=planted)
        differences.append(
            {"what": "scatter centres", "per_volume": scatter_centres, "sha256": _digest(planted.scatter_centres)}
        )
    provenance = {
        **site.provenance,
        "parent": parent,
        "differences": [*site.provenance.get("differences", []), *differences],
    }
    return replace(site, name=name or site.name, provenance=provenance)


def _vegetation_difference(old: Vegetation, new: Vegetation) -> dict[str, Any]:
    return {
        "what": "vegetation",
        "volumes_before": old.num_volumes,
        "volumes": new.num_volumes,
        "scatter_centres": new.num_scatter_centres,
        "sha256": hashlib.sha256(new.geometry_bytes()).hexdigest(),
    }


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, "<f8").tobytes()).hexdigest()


def _distort(
    site: Site,
    walls: GeometryError | None,
    heights: GeometryError | None,
    rng: np.random.Generator,
    differences: list[dict[str, Any]],
) -> Site:
    """Displace and stretch the buildings; planes transform with their vertices."""
    names, building = site.buildings
    moves = np.ones(len(names), dtype=bool)
    moves[building[list(site.ground_objects)]] = False
    vertices, triangles, owner = _own_vertices(site, building)
    base, top = np.full(len(names), np.inf), np.full(len(names), -np.inf)
    np.minimum.at(base, owner, vertices[:, 2])
    np.maximum.at(top, owner, vertices[:, 2])
    height = np.where(moves & (top > base), top - base, 0.0)
    shift, scale = np.zeros((len(names), 2)), np.ones(len(names))
    if walls is not None:
        shift[moves] = walls.draw(int(moves.sum()), 2, rng)
        distance = np.hypot(shift[moves, 0], shift[moves, 1])
        differences.append(_summary("walls moved", walls, shift, distance))
    if heights is not None:
        error = heights.draw(len(names), 1, rng)[:, 0]
        tall = height > 0
        scale[tall] = np.maximum(1.0 + error[tall] / height[tall], _LEAST_SCALE)
        differences.append(_summary("building heights", heights, scale, np.abs((scale - 1.0) * height)[tall]))
    moved = vertices.copy()
    moved[:, :2] += shift[owner]
    stretched = scale[owner] != 1.0
    foot = base[owner]
    moved[:, 2] = np.where(stretched, foot + (vertices[:, 2] - foot) * scale[owner], vertices[:, 2])
    return _with_geometry(site, moved, triangles, _facet_scale(site, building, scale))


def _summary(what: str, asked: GeometryError, drawn: np.ndarray, size: np.ndarray) -> dict[str, Any]:
    return {
        "what": what,
        "buildings": len(size),
        "sigma_m": asked.sigma,
        "bound_m": asked.largest,
        "rms_m": float(np.sqrt(np.mean(size**2))) if len(size) else 0.0,
        "largest_m": float(size.max(initial=0.0)),
        "sha256": _digest(drawn),
    }


def _own_vertices(site: Site, building: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices that belong to one building each: those shared between buildings are doubled, unused ones dropped.

    Returns:
        vertices (V', 3), triangles (T, 3) int32, and the building (V',) of each vertex.
    """
    corner_building = np.repeat(building[site.triangle_object].astype(np.int64), 3)
    key = corner_building * len(site.vertices) + site.triangles.reshape(-1)
    unique, inverse = np.unique(key, return_inverse=True)
    vertices = site.vertices[unique % len(site.vertices)]
    return vertices, inverse.reshape(-1, 3).astype(np.int32), unique // len(site.vertices)


def _facet_scale(site: Site, building: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(F,) vertical scale of each facet: that of the building it belongs to."""
    of_facet = np.zeros(site.num_facets, dtype=np.int64)
    of_facet[site.triangle_facet] = building[site.triangle_object]
    return scale[of_facet]


def _with_geometry(site: Site, vertices: np.ndarray, triangles: np.ndarray, facet_scale: np.ndarray) -> Site:
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
    facets = merge_facets(vertices, triangles, group)
    return replace(
        site,
        vertices=vertices,
        triangles=triangles[facets.kept],
        triangle_object=site.triangle_object[facets.kept],
        triangle_facet=facets.triangle_facet,
        facet_normal=facets.normal,
        facet_offset=facets.offset,
        facet_material=(facets.group % len(site.materials)).astype(np.int32),
    )


def _exchange_materials(site: Site, exchange: Mapping[str, Material | str], differences: list[dict[str, Any]]) -> Site:
    known = [m.name for m in site.materials]
    for name in exchange:
        if name not in known:
            raise SiteTwinError(f"the site '{site.name}' has no material '{name}'; it has {', '.join(known)}")
    materials = []
    for old in site.materials:
        new = exchange.get(old.name, old)
        if isinstance(new, str):
            new = replace(old, itu=itu_material(new).itu, relative_permittivity=None, conductivity=None)
        if new != old:
            differences.append({"what": "material", "before": old.to_dict(), "after": new.to_dict()})
        materials.append(new)
    return replace(site, materials=tuple(materials))
