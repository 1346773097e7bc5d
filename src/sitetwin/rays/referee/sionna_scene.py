"""Make a Sionna RT scene from a site: meshes, materials, and endpoints from arrays."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinError
from sitetwin.rays.device import to_device
from sitetwin.rays.paths import SPEED_OF_LIGHT
from sitetwin.site.materials import Material
from sitetwin.site.mesh import check_origin_within
from sitetwin.site.site import Site

GEOMETRY_FREQUENCY = 3.5e9
"""Sionna RT needs a carrier even where only the geometry is asked, Hz."""

SKIN_DEPTHS = 8.0
"""A half-space is handed over as a slab this many skin depths thick: its back side answers at e^-16 of the field."""

THICKEST_SLAB = 1e4
"""Metres; a half-space with less loss cannot be handed over."""

VACUUM_PERMITTIVITY = 8.8541878188e-12  # F/m, CODATA 2022
_METAL = (1.0, 1e7, 0.1)
_HALF_MIRROR = (5.83, 0.0, 0.0089)
"""Permittivity (1 + sqrt(2))^2, a quarter of a wavelength thick at 3.5 GHz: reflects half of the power head on."""


def build_scene(site: Site, frequency: float | None) -> tuple[Any, dict[int, np.ndarray]]:
    """Build a Sionna RT scene with one mesh per material, and list the site's triangle of each primitive.

    Args:
        site: The site.
        frequency: Carrier in Hz at which materials are evaluated; None for geometry alone: half-spaces become metal,
            and slabs reflect about half of the power.

    Returns:
        The scene, and the site's triangles by Sionna RT's number of the mesh.

    Raises:
        SiteTwinError: The site has no triangles or lies far from its origin, or a material cannot be expressed.
    """
    check_origin_within(site)
    mi = mitsuba()
    import drjit as dr
    from sionna import rt

    material_of_triangle = site.facet_material[site.triangle_facet]
    shapes: dict[str, Any] = {}
    triangles_of: dict[int, np.ndarray] = {}
    for index, material in enumerate(site.materials):
        triangles = np.flatnonzero(material_of_triangle == index)
        if not len(triangles):
            continue
        used, corner = np.unique(site.triangles[triangles], return_inverse=True)
        properties = mi.Properties()
        properties["face_normals"] = True
        mesh = mi.Mesh(f"mesh-{index}", vertex_count=len(used), face_count=len(triangles), props=properties)
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = to_device(mi.Float, site.vertices[used].astype(np.float32))
        parameters["faces"] = to_device(mi.UInt32, corner.astype(np.uint32))
        parameters.update()
        permittivity, conductivity, thickness = _slab(material, frequency)
        mesh.set_bsdf(
            rt.RadioMaterial(
                f"material-{index}",
                thickness=thickness,
                relative_permittivity=permittivity,
                conductivity=conductivity,
                **({} if frequency is None else _scattering(material)),
            )
        )
        shapes[f"mesh-{index}"] = mesh
        number: Any = dr.reinterpret_array(mi.UInt32, mi.ShapePtr(mesh))
        triangles_of[int(number[0])] = triangles
    if not shapes:
        raise SiteTwinError(f"site '{site.name}' has no triangles; there is nothing to trace")
    scene = _scene_class()(mi.load_dict({"type": "scene", **shapes}))
    scene.frequency = frequency or GEOMETRY_FREQUENCY
    for array in ("tx_array", "rx_array"):
        setattr(scene, array, rt.PlanarArray(num_rows=1, num_cols=1, pattern="iso", polarization="V"))
    return scene, triangles_of


def _scattering(material: Material) -> dict[str, Any]:
    """How Sionna RT is told of a material's diffuse scattering."""
    lobes: dict[str, Any] = {}
    if material.scattering_pattern != "lambertian":
        lobes["alpha_r"] = material.alpha_r
    if material.scattering_pattern == "backscattering":
        lobes |= {"alpha_i": material.alpha_i, "lambda_": material.forward_share}
    return {
        "scattering_coefficient": material.scattering_coefficient,
        "xpd_coefficient": material.xpd_coefficient,
        "scattering_pattern": material.scattering_pattern,
        **lobes,
    }


def _slab(material: Material, frequency: float | None) -> tuple[float, float, float]:
    """Relative permittivity, conductivity in S/m and thickness in metres for Sionna RT, which knows slabs only."""
    if frequency is None:
        return _METAL if material.thickness is None else _HALF_MIRROR
    permittivity, conductivity = material.evaluate(frequency)
    if material.thickness is not None:
        return permittivity, conductivity, float(material.thickness)
    loss = conductivity / (2 * np.pi * frequency * VACUUM_PERMITTIVITY)
    attenuation = -2 * np.pi * frequency / SPEED_OF_LIGHT * np.sqrt(permittivity - 1j * loss).imag
    thickness = SKIN_DEPTHS / attenuation if attenuation > 0 else np.inf
    if thickness > THICKEST_SLAB:
        raise SiteTwinError(
            f"material '{material.name}' is a half-space with too little loss for Sionna RT, which knows slabs only; "
            "give it a thickness or a conductivity"
        )
    return permittivity, conductivity, float(thickness)


@cache
def path_solver() -> Any:
    """Return Sionna RT's `PathSolver`, which is made once."""
    mitsuba()
    from sionna import rt

    return rt.PathSolver()


@cache
def _scene_class() -> type:
    """`sionna.rt.Scene` that takes its endpoints from arrays.

    A thousand `Receiver` objects cost seconds before the first ray. The solver only asks a scene for `sources` and
    `targets`, so those answer from arrays here; everything else is Sionna RT's own code.
    """
    mi = mitsuba()
    import drjit as dr
    from sionna import rt

    class ArrayScene(rt.Scene):
        def place(self, transmitter: np.ndarray, users: np.ndarray) -> None:
            self._endpoint_positions = (np.atleast_2d(transmitter), np.atleast_2d(users))

        @property
        def transmitters(self) -> range:
            return range(len(self._endpoint_positions[0]))

        @property
        def receivers(self) -> range:
            return range(len(self._endpoint_positions[1]))

        def sources(self, synthetic_array: bool, return_velocities: bool) -> tuple[Any, ...]:
            return self._endpoint_arrays(0)

        def targets(self, synthetic_array: bool, return_velocities: bool) -> tuple[Any, ...]:
            return self._endpoint_arrays(1)

        def _endpoint_arrays(self, which: int) -> tuple[Any, ...]:
            positions = self._endpoint_positions[which].astype(np.float32)
            count = len(positions)
            orientation, element = dr.zeros(mi.Point3f, count), dr.zeros(mi.Point3f, count)
            places = mi.Point3f(*(to_device(mi.Float, axis) for axis in positions.T))
            return places, orientation, element, dr.zeros(mi.Vector3f, count)

    return ArrayScene
