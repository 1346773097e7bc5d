"""Choose materials by what a surface is: ground, wall or roof."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool
from pydantic import ConfigDict

from sitetwin.site.materials import itu_material
from sitetwin.site.mesh import AnyMesh, Mesh
from sitetwin.site.plan import standing_buildings
from sitetwin.site.variants.materials import STEEPEST_ROOF, index_of, made_of


@dataclass(frozen=True)
class SurfaceMaterials:
    """One material of ITU-R P.2040-4 each for the ground, the walls and the roofs of a site.

    Thickness and scattering of a surface stay unchanged.

    Attributes:
        ground: Material of the ground, as geometry finds it.
        wall: Material of the facets of buildings that are steeper than 60 degrees.
        roof: Material of the other facets of buildings.

    Raises:
        SiteTwinError: A material is unknown.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    ground: str
    wall: str
    roof: str

    def __post_init__(self) -> None:
        for name in (self.ground, self.wall, self.roof):
            itu_material(name)


MATERIAL_CHOICES = {
    "MC1": SurfaceMaterials("concrete", "marble", "metal"),
    "MC2": SurfaceMaterials("concrete", "marble", "wood"),
    "MC3": SurfaceMaterials("concrete", "brick", "wood"),
}
"""Published choices of ground, wall and roof (arXiv 2501.16504, Table II)."""


def surface_kinds(site: Mesh) -> dict[str, Bool[np.ndarray, " facets"]]:
    """Which facets are ground, wall or roof; those of vehicles are none of them."""
    ground, of_building = np.zeros(site.num_facets, dtype=bool), np.zeros(site.num_facets, dtype=bool)
    ground[site.triangle_facet[site.is_ground]] = True
    of_building[site.triangle_facet] = standing_buildings(site)[site.buildings[1][site.triangle_object]]
    level = np.abs(site.facet_normal[:, 2]) >= STEEPEST_ROOF
    return {"ground": ground, "wall": ~ground & of_building & ~level, "roof": ~ground & of_building & level}


def choose_surfaces(site: AnyMesh, chosen: SurfaceMaterials) -> tuple[AnyMesh, list[dict[str, Any]]]:
    """Give ground, walls and roofs their materials; return the new site and an entry for each kind.

    Args:
        site: The site.
        chosen: The materials.
    """
    materials, number = list(site.materials), site.facet_material.copy()
    differences = []
    for kind, facets in surface_kinds(site).items():
        name = getattr(chosen, kind)
        for old in np.unique(site.facet_material[facets]).tolist():
            index = index_of(made_of(site.materials[old], name), materials)
            number[facets & (site.facet_material == old)] = index
        differences.append({"what": f"{kind} material", "after": name, "facets": int(facets.sum())})
    return replace(site, materials=tuple(materials), facet_material=number.astype(np.int32)), differences
