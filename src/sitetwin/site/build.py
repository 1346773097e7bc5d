"""From labelled triangles to a `Site`: checks, facets, provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import DEGENERATE_ALTITUDE, merge_facets
from sitetwin.site.materials import Material
from sitetwin.site.mesh import check_triangle_count, check_vertices
from sitetwin.site.projection import Georeference
from sitetwin.site.site import Site
from sitetwin.site.slivers import altitudes, without_slivers
from sitetwin.site.vegetation import Vegetation


def build_site(
    name: str,
    vertices: Shaped[np.ndarray, "vertices 3"],
    triangles: Shaped[np.ndarray, "triangles 3"],
    triangle_object: Shaped[np.ndarray, " triangles"],
    objects: Sequence[str],
    object_material: Int[np.ndarray, " objects"] | Sequence[int],
    materials: Sequence[Material],
    *,
    object_building: Int[np.ndarray, " objects"] | Sequence[int] | None = None,
    vegetation: Vegetation | None = None,
    georeference: Georeference | None = None,
    provenance: dict[str, Any] | None = None,
) -> Site:
    """Check a labelled triangle mesh, merge its facets and make a site from it.

    Triangles without area are taken out, and a surface that was closed stays closed (`sitetwin.site.slivers`).

    Args:
        name: Short name, for reports.
        vertices: (V, 3) float64, metres, local east-north-up.
        triangles: (T, 3) int, vertex indices.
        triangle_object: (T,) int, object of each triangle, an index into `objects`.
        objects: Names of the O objects.
        object_material: (O,) int, material of each object, an index into `materials`.
        materials: The materials.
        object_building: (O,) int: objects with equal numbers are one building, -1 is none; None lets shapes decide.
        vegetation: The canopies, or None for a site without vegetation.
        georeference: Where on earth the local origin lies, or None if it is unknown.
        provenance: Sources and assumptions; the number of dropped degenerate triangles is added.

    Raises:
        SiteTwinError: No triangle is left, there are more than ten million, an index points outside its table, or a
            vertex is NaN, infinite or more than 1000 km from the origin.
    """
    check_triangle_count(len(triangles), f"site '{name}'")
    vertices = np.ascontiguousarray(vertices, dtype=np.float64)
    triangles = np.ascontiguousarray(triangles, dtype=np.int32).reshape(-1, 3)
    triangle_object = np.ascontiguousarray(triangle_object, dtype=np.int32)
    object_material = np.asarray(object_material, dtype=np.int32)
    if not len(triangles):
        raise SiteTwinError(f"site '{name}' has no triangle; give a scene with at least one surface")
    _check_index(triangles, len(vertices), name, "a triangle names a vertex")
    _check_index(triangle_object, len(objects), name, "a triangle names an object")
    _check_index(object_material, len(materials), name, "an object names a material")
    check_vertices(vertices, f"site '{name}'")
    flat = np.count_nonzero(altitudes(vertices[triangles]) <= DEGENERATE_ALTITUDE)
    triangles, given = without_slivers(vertices, triangles)
    triangle_object = triangle_object[given]
    facets = merge_facets(vertices, triangles, triangle_object)
    if not len(facets.kept):
        raise SiteTwinError(f"site '{name}' has only triangles of zero area; check the units and the export")
    facts = {"source": {}, "assumptions": [], "differences": [], **(provenance or {})}
    facts["dropped_degenerate_triangles"] = int(
        flat - np.count_nonzero(altitudes(vertices[triangles[facets.kept]]) <= DEGENERATE_ALTITUDE)
    )
    return Site(
        name=name,
        vertices=vertices,
        triangles=triangles[facets.kept],
        triangle_facet=facets.triangle_facet,
        triangle_object=triangle_object[facets.kept],
        objects=tuple(objects),
        facet_normal=facets.normal,
        facet_offset=facets.offset,
        facet_material=object_material[facets.group],
        materials=tuple(materials),
        object_building=None if object_building is None else np.asarray(object_building, dtype=np.int32),
        vegetation=vegetation if vegetation is not None else Vegetation.none(),
        georeference=georeference,
        provenance=facts,
    )


def _check_index(index: np.ndarray, size: int, name: str, what: str) -> None:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise SiteTwinError(f"site '{name}': {what} outside 0..{size - 1}; the mesh is inconsistent")
