"""Rigid bodies in a mesh: things that move, such as cars, or things that the map does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.site.facets import merge_facets
from sitetwin.site.materials import Material, itu_material
from sitetwin.site.mesh import AnyMesh, check_vertices


@dataclass(frozen=True, eq=False)
class MovingObject:
    """A rigid body in translation.

    Attributes:
        name: Name of the body, for reports.
        vertices: (V, 3) float64, metres, in the site's frame, at the moment for which the site is made.
        triangles: (T, 3) int32, vertex indices, facing outwards.
        material: The material of all its surfaces.
        velocity: (3,) velocity in m/s.
    """

    name: str
    vertices: Float[np.ndarray, "vertices 3"]
    triangles: Int[np.ndarray, "triangles 3"]
    material: Material
    velocity: np.ndarray

    def __post_init__(self) -> None:
        check_vertices(np.asarray(self.vertices, dtype=np.float64), f"object '{self.name}'")
        triangles = np.asarray(self.triangles)
        if not len(triangles) or triangles.min() < 0 or triangles.max() >= len(self.vertices):
            raise SiteTwinError(f"object '{self.name}' has no triangles, or they name vertices that it lacks")
        if np.shape(self.velocity) != (3,) or not np.isfinite(self.velocity).all():
            raise SiteTwinError(f"object '{self.name}' has the velocity {self.velocity}; give three finite m/s")

    def moved(self, seconds: float) -> MovingObject:
        """Return the body after it has moved at its velocity for `seconds`."""
        return replace(self, vertices=self.vertices + np.asarray(self.velocity) * seconds)

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """(2, 3) float64: lowest and highest corner, metres."""
        return np.stack([self.vertices.min(axis=0), self.vertices.max(axis=0)])


def box_object(
    name: str,
    centre: Sequence[float] | np.ndarray,
    size: Sequence[float] | np.ndarray,
    *,
    yaw: float = 0.0,
    speed: float = 0.0,
    material: Material | None = None,
) -> MovingObject:
    """Make a box that stands for a car and drives in the direction of its heading.

    Args:
        name: Name of the body, for reports.
        centre: (3,) middle of the underside, metres.
        size: (3,) metres: length, width and height.
        yaw: Heading in radians, from east, counter-clockwise.
        speed: Speed along the heading, m/s.
        material: Material of the surfaces; metal by default.

    Raises:
        SiteTwinError: A number is not finite, or a side is not positive.
    """
    if len(size) != 3 or not all(np.isfinite(side) and side > 0 for side in size):
        raise SiteTwinError(f"object '{name}' has the size {tuple(size)}; give length, width and height in metres")
    heading = np.array([np.cos(yaw), np.sin(yaw), 0.0])
    left = np.array([-heading[1], heading[0], 0.0])
    half_length, half_width = 0.5 * size[0] * heading, 0.5 * size[1] * left
    ring = [-half_length - half_width, half_length - half_width, half_length + half_width, half_width - half_length]
    lower = np.asarray(centre, dtype=np.float64) + np.array(ring)
    walls = [[k, (k + 1) % 4, 4 + (k + 1) % 4] for k in range(4)] + [[k, 4 + (k + 1) % 4, 4 + k] for k in range(4)]
    return MovingObject(
        name=name,
        vertices=np.concatenate([lower, lower + np.array([0.0, 0.0, size[2]])]),
        triangles=np.array([*walls, [4, 5, 6], [4, 6, 7], [0, 2, 1], [0, 3, 2]], dtype=np.int32),
        material=material or itu_material("metal"),
        velocity=speed * heading,
    )


def add_bodies(mesh: AnyMesh, objects: Sequence[MovingObject]) -> AnyMesh:
    """Add bodies to a mesh; existing facets and objects keep their numbers.

    Args:
        mesh: The mesh. If it is a site, the result is a site.
        objects: The bodies. Their facets follow the facets of the mesh, in this order.
    """
    vertices, triangles, facets, owners = [mesh.vertices], [mesh.triangles], [mesh.triangle_facet], []
    normal, offset, material = [mesh.facet_normal], [mesh.facet_offset], [mesh.facet_material]
    owners.append(mesh.triangle_object)
    materials = list(mesh.materials)
    for number, body in enumerate(objects):
        merged = merge_facets(
            np.asarray(body.vertices, dtype=np.float64), body.triangles, np.zeros(len(body.triangles), dtype=np.int64)
        )
        kept = np.asarray(body.triangles)[merged.kept].astype(np.int32)
        triangles.append(kept + np.int32(sum(map(len, vertices))))
        facets.append(merged.triangle_facet + np.int32(sum(map(len, offset))))
        vertices.append(np.asarray(body.vertices, dtype=np.float64))
        owners.append(np.full(len(kept), len(mesh.objects) + number, dtype=np.int32))
        if body.material not in materials:
            materials.append(body.material)
        material.append(np.full(len(merged.offset), materials.index(body.material), dtype=np.int32))
        normal.append(merged.normal)
        offset.append(merged.offset)
    return replace(
        mesh,
        vertices=np.concatenate(vertices),
        triangles=np.concatenate(triangles),
        triangle_facet=np.concatenate(facets),
        triangle_object=np.concatenate(owners),
        objects=(*mesh.objects, *(body.name for body in objects)),
        facet_normal=np.concatenate(normal),
        facet_offset=np.concatenate(offset),
        facet_material=np.concatenate(material),
        materials=tuple(materials),
        object_building=_with_more(mesh.object_building, len(objects)),
    )


def _with_more(building: np.ndarray | None, more: int) -> np.ndarray | None:
    """Buildings of objects, and of `more` objects after them, each of which is a thing of its own."""
    if building is None:
        return None
    return np.append(building, int(building.max(initial=-1)) + 1 + np.arange(more)).astype(np.int32)
