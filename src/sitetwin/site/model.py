"""The site: what stands in a place, as the tracer and the field models see it.

A `Site` is immutable. Its triangle mesh carries three labels per triangle: the *facet* (a maximal set of coplanar
triangles of one object, the unit of specular reflection), the *object* (which building) and, through the facet, the
material. Vegetation is kept out of the mesh: it is a medium, not a surface.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sitetwin.site.materials import Material
from sitetwin.site.vegetation import Vegetation

if TYPE_CHECKING:
    from sitetwin.site.wedges import Wedges


@dataclass(frozen=True)
class Georeference:
    """Origin of the local frame: WGS84 degrees, and the vertical datum of z = 0.

    x is east, y is north, z is up, in metres, by a transverse Mercator projection centred on the origin with scale 1.
    """

    latitude: float
    longitude: float
    vertical_datum: str = "local ground"


@dataclass(frozen=True, eq=False)
class Site:
    """Geometry, materials and vegetation of one place.

    Attributes:
        name: Short name, for reports.
        vertices: (V, 3) float64, metres, local east-north-up.
        triangles: (T, 3) int32, vertex indices.
        triangle_facet: (T,) int32, facet of each triangle.
        triangle_object: (T,) int32, object of each triangle, an index into `objects`.
        objects: Names of the objects.
        facet_normal: (F, 3) float64, unit normal of each facet's plane.
        facet_offset: (F,) float64, metres: points x of the plane satisfy ``normal . x = offset``.
        facet_material: (F,) int32, index into `materials`.
        materials: The materials in use.
        vegetation: Canopy volumes, possibly none.
        georeference: Where on earth the local origin lies, if known.
        provenance: Sources with their hashes, every default that was assumed, and the differences to the parent site
            for a variant. JSON-serialisable; holds no timestamps.
    """

    name: str
    vertices: np.ndarray
    triangles: np.ndarray
    triangle_facet: np.ndarray
    triangle_object: np.ndarray
    objects: tuple[str, ...]
    facet_normal: np.ndarray
    facet_offset: np.ndarray
    facet_material: np.ndarray
    materials: tuple[Material, ...]
    vegetation: Vegetation = field(default_factory=Vegetation.none)
    georeference: Georeference | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def num_triangles(self) -> int:
        return len(self.triangles)

    @property
    def num_facets(self) -> int:
        return len(self.facet_offset)

    @cached_property
    def bounds(self) -> np.ndarray:
        """(2, 3) float64: lowest and highest corner of the mesh, metres."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @cached_property
    def geometry_hash(self) -> str:
        """SHA-256 of what the tracer depends on: mesh, facets and vegetation volumes, but no material."""
        digest = hashlib.sha256(b"sitetwin-geometry-1")
        arrays = (
            np.ascontiguousarray(self.vertices, "<f8"),
            np.ascontiguousarray(self.triangles, "<i4"),
            np.ascontiguousarray(self.triangle_facet, "<i4"),
            np.ascontiguousarray(self.facet_normal, "<f8"),
            np.ascontiguousarray(self.facet_offset, "<f8"),
        )
        for array in arrays:
            digest.update(str(array.shape).encode())
            digest.update(array.tobytes())
        digest.update(self.vegetation.geometry_bytes())
        return digest.hexdigest()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of everything: geometry, objects, materials, vegetation attributes, georeference, provenance."""
        digest = hashlib.sha256(self.geometry_hash.encode())
        digest.update(np.ascontiguousarray(self.triangle_object, "<i4").tobytes())
        digest.update(np.ascontiguousarray(self.facet_material, "<i4").tobytes())
        labels = {
            "objects": self.objects,
            "materials": [m.to_dict() for m in self.materials],
            "vegetation": self.vegetation.to_dict(),
            "georeference": vars(self.georeference) if self.georeference else None,
            "provenance": self.provenance,
        }
        digest.update(json.dumps(labels, sort_keys=True).encode())
        return digest.hexdigest()

    @cached_property
    def ground_objects(self) -> tuple[int, ...]:
        """Objects that are the ground, by name or shape; see `sitetwin.site.objects.find_ground_objects`."""
        from sitetwin.site.objects import find_ground_objects  # objects need the model

        return find_ground_objects(self)

    @cached_property
    def buildings(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Building names and (O,) int32 the building of each object: walls and roof of one building go together."""
        from sitetwin.site.objects import building_of_object

        return building_of_object(self.objects)

    @cached_property
    def wedges(self) -> Wedges:
        """The edges at which a wave is diffracted; see `sitetwin.site.wedges.find_wedges`."""
        from sitetwin.site.wedges import find_wedges  # wedges need the model

        return find_wedges(self)

    def variant(self, **changes: Any) -> Site:
        """Another world made from this one; see `sitetwin.site.variants.derive` for the changes."""
        from sitetwin.site.variants import derive  # variants need the model

        return derive(self, **changes)
