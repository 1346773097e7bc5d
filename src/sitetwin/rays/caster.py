"""Ray casts against a site's mesh: the only module that passes the mesh to the ray-casting library.

The library works in single precision. Rays only decide *which facet is hit first*; the exact point is always computed
from the facet's plane in double precision.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.chains import FacetFrames
from sitetwin.rays.device import to_device
from sitetwin.site import Site
from sitetwin.site.mesh import check_origin_within

_SINGLE_EPSILON = float(np.finfo(np.float32).eps)
FACET_MARGIN = 1e-4  # m
ORIGIN_OFFSET_ULPS = 48.0
"""Rays that start on a facet start this many single-precision spacings above it (about 3 mm, 1 km from the origin)."""


class RayCaster:
    """A site's triangles, ready for ray casts.

    Attributes:
        scene: Mitsuba scene with one mesh; its primitive index is the site's triangle index.
        triangle_facet: Dr.Jit Int32, facet of each triangle.

    Args:
        site: The site.

    Raises:
        SiteTwinError: The site lies more than 10 km from its own origin.
    """

    def __init__(self, site: Site) -> None:
        check_origin_within(site)
        mi = mitsuba()
        mesh = mi.Mesh(
            "site",
            vertex_count=len(site.vertices),
            face_count=site.num_triangles,
            has_vertex_normals=False,
            has_vertex_texcoords=False,
        )
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = to_device(mi.Float, site.vertices.astype(np.float32))
        parameters["faces"] = to_device(mi.UInt32, site.triangles.astype(np.uint32))
        parameters.update()
        self.scene = mi.load_dict({"type": "scene", "mesh": mesh})
        self.triangle_facet = to_device(mi.Int32, site.triangle_facet)
        self._site = site

    @cached_property
    def frames(self) -> FacetFrames:
        """Bounding rectangles of the facets, a little wider than the facets, because ray casts decide at the edges."""
        return FacetFrames.of(self._site, FACET_MARGIN)

    @cached_property
    def penetrable(self) -> Any:
        """Dr.Jit Bool: whether each facet is a thin slab, which waves pass; half-spaces are opaque."""
        return to_device(mitsuba().Bool, penetrable_facets(self._site))

    @cached_property
    def planes(self) -> Any:
        """Dr.Jit Float64: normal and offset of each facet, four numbers each."""
        return to_device(mitsuba().Float64, np.column_stack([self._site.facet_normal, self._site.facet_offset]))

    def first_facet(self, origin: Any, target: Any, active: Any, *, before_target: bool = False) -> Any:
        """Find the facet that the ray from `origin` towards `target` hits first; -1 where nothing is hit.

        Args:
            origin: Starts of the rays, Dr.Jit Array3f64, metres.
            target: Points that give the directions, Dr.Jit Array3f64, metres.
            active: Which rays are cast, Dr.Jit Bool.
            before_target: Whether the rays end at their targets; by default only the directions matter.

        Returns:
            Dr.Jit Int32.
        """
        import drjit as dr

        mi = mitsuba()
        ray, distance = self._ray(origin, target)
        if before_target:
            ray.maxt = mi.Float(distance)
        hit = self.scene.ray_intersect_preliminary(ray, coherent=True, active=active)
        found = active & hit.is_valid()
        facet = dr.gather(mi.Int32, self.triangle_facet, hit.prim_index, found)
        return dr.select(found, facet, -1)

    def clear(self, origin: Any, target: Any, active: Any) -> Any:
        """Return whether nothing stands between two points; neither of them may lie on a surface.

        Args:
            origin: Dr.Jit Array3f64, metres.
            target: Dr.Jit Array3f64, metres.
            active: Dr.Jit Bool.

        Returns:
            Dr.Jit Bool.
        """
        mi = mitsuba()
        ray, distance = self._ray(origin, target)
        ray.maxt = mi.Float(distance)
        return active & ~self.scene.ray_test(ray, coherent=True, active=active)

    @staticmethod
    def _ray(origin: Any, target: Any) -> tuple[Any, Any]:
        import drjit as dr

        mi = mitsuba()
        step = target - origin
        distance = dr.norm(step)
        return mi.Ray3f(mi.Point3f(origin), mi.Vector3f(step / distance)), distance


def penetrable_facets(site: Site) -> np.ndarray:
    """Return (F,) bool: whether the material of each facet is a slab of finite thickness."""
    slab = np.array([m.thickness is not None for m in site.materials], dtype=bool)
    return slab[site.facet_material] if len(slab) else np.zeros(site.num_facets, dtype=bool)


def origin_offset(point: Any) -> Any:
    """Return how far above a surface a ray from `point` starts, metres (Dr.Jit)."""
    import drjit as dr

    largest = dr.maximum(dr.maximum(dr.abs(point.x), dr.abs(point.y)), dr.abs(point.z))
    return ORIGIN_OFFSET_ULPS * _SINGLE_EPSILON * (1 + largest)


def lift_off(point: Any, normal: Any, towards: Any) -> Any:
    """Move a point just above the facet on which it lies, to the side of `towards`.

    Args:
        point: Dr.Jit Array3f64 on the facet, metres.
        normal: Dr.Jit Array3f64, the facet's unit normal, either side.
        towards: Dr.Jit Array3f64, metres, a point on the wanted side.
    """
    import drjit as dr

    return point + normal * dr.mulsign(origin_offset(point), dr.dot(towards - point, normal))
