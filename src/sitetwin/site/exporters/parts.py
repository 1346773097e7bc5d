"""The mesh of a site cut into parts of one object and one material each, as other programs keep them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sitetwin.site.site import Site


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles of one object and one material.

    Attributes:
        object: Index into `Site.objects`.
        material: Index into `Site.materials`.
        vertices: (V, 3) float64, metres; only vertices that the triangles use.
        triangles: (T, 3) int64, facing as in the site.
    """

    object: int
    material: int
    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]


def parts_of(site: Site) -> list[Part]:
    """Cut a site into parts, ordered by object and then by material."""
    material = site.facet_material[site.triangle_facet]
    order = np.lexsort((material, site.triangle_object))
    label = site.triangle_object[order].astype(np.int64) * len(site.materials) + material[order]
    parts = []
    for rows in np.split(order, np.flatnonzero(np.diff(label)) + 1):
        used, index = np.unique(site.triangles[rows], return_inverse=True)
        first = int(rows[0])
        parts.append(
            Part(int(site.triangle_object[first]), int(material[first]), site.vertices[used], index.reshape(-1, 3))
        )
    return parts


def part_name(site: Site, part: Part, alone: bool) -> str:
    """Return a part's name: the object's, plus ``-part_<material>`` if the object has several materials."""
    name = site.objects[part.object]
    return name if alone else f"{name}-part_{site.materials[part.material].name}"


def unique_name(name: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, with a number if needed, and mark it as taken."""
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name} {count}"
    taken.add(found)
    return found
