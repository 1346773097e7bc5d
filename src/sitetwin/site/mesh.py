"""The mesh of a site: triangles with three labels each, and checks of meshes.

Each triangle belongs to a *facet* (a maximal set of coplanar triangles of one object, the unit of specular reflection),
to an *object* (a part of a building, or the ground) and, through the facet, to a material. Functions that need only a
mesh (wedges, placement, footprints, changes of the geometry) take a `Mesh`; a `Site` is a `Mesh`.
"""

# Annotations are objects here, not strings: those of the fields are inherited by a class in another module.
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import norm
from sitetwin.site.ground.air import OpenAir
from sitetwin.site.ground.rule import find_ground
from sitetwin.site.materials import Material
from sitetwin.site.objects import building_names, building_of_object, numbered, object_bounds

LARGEST_COORDINATE = 1e6
"""Metres; beyond it a mesh is taken for broken (projected coordinates without a local origin, or garbage)."""

LARGEST_WIDTH = 5e5
"""Metres: the widest terrain that radio links cross."""

LARGEST_RISE = 2e4
"""Metres: from the deepest sea to the highest mountain."""

FAR = 10_000.0
"""Metres from the origin: beyond it single-precision ray casters place surfaces worse than 1 mm."""

_GROUND_SHARE = 0.9

MOST_TRIANGLES = 10_000_000
"""A mesh has no more. Merging facets takes up to 0.6 kB of memory for each triangle: this many take some 6 GB."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles with their facets, objects and materials.

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
        object_building: (O,) int32: objects with equal numbers are one building, -1 is none (a vehicle); None where the
            source does not say, and shapes decide.
    """

    name: str
    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    triangle_facet: Int[np.ndarray, " triangles"]
    triangle_object: Int[np.ndarray, " triangles"]
    objects: tuple[str, ...]
    facet_normal: Float[np.ndarray, "facets 3"]
    facet_offset: Float[np.ndarray, " facets"]
    facet_material: Int[np.ndarray, " facets"]
    materials: tuple[Material, ...]
    object_building: Int[np.ndarray, " objects"] | None = None

    @property
    def num_triangles(self) -> int:
        return len(self.triangles)

    @property
    def num_facets(self) -> int:
        return len(self.facet_offset)

    @property
    def corners(self) -> Float[np.ndarray, "triangles 3 3"]:
        """(T, 3, 3) float64: the corners of each triangle, metres."""
        return self.vertices[self.triangles]

    @cached_property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """(2, 3) float64: lowest and highest corner of the mesh, metres."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])

    @cached_property
    def ground_objects(self) -> tuple[int, ...]:
        """Indices of the objects that are the ground: nine tenths of their area, or more, belong to it."""
        corners, count = self.corners, len(self.objects)
        area = norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
        total = np.bincount(self.triangle_object, area, count)
        ground = np.bincount(self.triangle_object, area * self.is_ground, count)
        return tuple(np.flatnonzero((total > 0) & (ground >= _GROUND_SHARE * total)).tolist())

    @cached_property
    def buildings(self) -> tuple[tuple[str, ...], Int[np.ndarray, " objects"]]:
        """Building names, and (O,) int32 building of each object; walls and roof belong to one building."""
        if self.object_building is not None:
            index = numbered(self.object_building)
        else:
            index = building_of_object(self.corners, self.triangle_object, len(self.objects), ~self.is_ground)
        return building_names(self.objects, index), index

    @property
    def object_bounds(self) -> Float[np.ndarray, "objects 2 3"]:
        """(O, 2, 3) float64: lowest and highest corner of each object, metres; inf, -inf where it has no triangle."""
        return object_bounds(self.corners, self.triangle_object, len(self.objects))

    @cached_property
    def is_ground(self) -> Bool[np.ndarray, " triangles"]:
        """(T,) bool: whether each triangle belongs to the ground, as `sitetwin.site.ground.find_ground` decides."""
        return find_ground(self.corners)

    @cached_property
    def open_air(self) -> OpenAir:
        """The surfaces, ready to be asked whether points are enclosed by them."""
        return OpenAir(self.corners, self.is_ground)


AnyMesh = TypeVar("AnyMesh", bound=Mesh)
"""A mesh or what is one, a site: functions that change the mesh alone give back what they were given."""


def check_triangle_count(count: int, where: str) -> None:
    """Refuse meshes that need too much memory.

    Raises:
        SiteTwinError: There are more than `MOST_TRIANGLES`.
    """
    if count > MOST_TRIANGLES:
        raise SiteTwinError(
            f"{where} has more than {MOST_TRIANGLES:,} triangles; cut out the area that matters, or simplify the mesh"
        )


def check_vertices(vertices: Float[np.ndarray, "*batch 3"], where: str) -> None:
    """Refuse vertices that cannot be metres in a local frame.

    Raises:
        SiteTwinError: A coordinate is NaN, infinite or beyond 1000 km, or the vertices spread over more than
            `LARGEST_WIDTH` or `LARGEST_RISE`.
    """
    bad = ~np.isfinite(vertices).all(axis=-1)
    if bad.any():
        raise SiteTwinError(f"{where}: vertex {int(np.argmax(bad))} is NaN or infinite; repair the mesh")
    if vertices.size and np.abs(vertices).max() > LARGEST_COORDINATE:
        raise SiteTwinError(
            f"{where}: a vertex lies {np.abs(vertices).max():.3g} m from the origin; use metres in a local frame "
            f"(at most {LARGEST_COORDINATE:g} m)"
        )
    if vertices.size:
        east, north, up = np.ptp(vertices.reshape(-1, 3), axis=0)
        if max(east, north) > LARGEST_WIDTH or up > LARGEST_RISE:
            raise SiteTwinError(
                f"{where}: it is {east / 1e3:,.3g} x {north / 1e3:,.3g} km wide and {up / 1e3:,.3g} km high, beyond "
                f"{LARGEST_WIDTH / 1e3:g} and {LARGEST_RISE / 1e3:g} km; check its coordinates and their unit, and "
                "leave out what lies astray"
            )


def check_origin_within(mesh: Mesh) -> None:
    """Refuse a mesh that lies far from its origin, where ray casts in single precision would go wrong.

    Raises:
        SiteTwinError: The mesh reaches more than 10 km from its origin, and its origin lies outside of it.
    """
    low, high = mesh.bounds
    outside = (low > 0) | (high < 0)
    far = np.abs(mesh.bounds).max(axis=0) > FAR
    if (far[:2].any() and outside[:2].any()) or (far[2] and outside[2]):
        middle = np.rint(low / 2 + high / 2)
        spacing = 1e3 * float(np.spacing(np.float32(np.abs(mesh.bounds).max())))
        raise SiteTwinError(
            f"the site '{mesh.name}' lies {float(np.abs(middle).max()) / 1e3:,.0f} km from its own origin, where rays "
            f"are cast with a precision of {spacing:.2g} mm; import its file again, which moves the origin into the "
            f"site, or subtract about {middle[0]:.0f}, {middle[1]:.0f}, {np.floor(low[2]):.0f} from its vertices"
        )
