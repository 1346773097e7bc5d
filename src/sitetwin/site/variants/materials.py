"""Change materials: everywhere by name, or building by building at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import ConfigDict

from sitetwin.errors import SiteTwinError
from sitetwin.site.materials import Material, itu_material
from sitetwin.site.mesh import AnyMesh
from sitetwin.site.plan import standing_buildings
from sitetwin.site.variants.draws import digest

STEEPEST_ROOF = 0.5  # of a unit normal's z: facets with less are walls (more than 60 degrees from level)


def exchange_materials(site: AnyMesh, exchange: Mapping[str, Material | str]) -> tuple[AnyMesh, list[dict[str, Any]]]:
    """Exchange materials everywhere in a site; return the new site and an entry for each difference.

    Args:
        site: The site.
        exchange: For names of materials in the site, what takes their place: a `Material`, or an ITU name (then
            thickness and scattering stay unchanged).

    Raises:
        SiteTwinError: A name is neither in the site nor in the tables of the ITU.
    """
    known = [m.name for m in site.materials]
    for name in exchange:
        if name not in known:
            raise SiteTwinError(f"the site '{site.name}' has no material '{name}'; it has {', '.join(known)}")
    materials, differences = [], []
    for old in site.materials:
        new = exchange.get(old.name, old)
        if isinstance(new, str):
            new = replace(old, itu=itu_material(new).itu, relative_permittivity=None, conductivity=None)
        if new != old:
            differences.append({"what": "material", "before": old.to_dict(), "after": new.to_dict()})
        materials.append(new)
    return replace(site, materials=tuple(materials)), differences


@dataclass(frozen=True)
class HiddenMaterials:
    """True materials of the walls of buildings, which the map does not tell.

    The default weights are round figures by judgement for a European town, not fitted to an inventory.

    Attributes:
        weights: Relative frequency of each material, by its name in ITU-R P.2040-4.
        share: Share of the buildings whose walls are redrawn, rounded to a whole number of them.

    Raises:
        SiteTwinError: A material is unknown, a weight is negative or not finite, or the share is outside 0 to 1.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"brick": 0.5, "concrete": 0.3, "glass": 0.1, "wood": 0.1}
    )
    share: float = 1.0

    def __post_init__(self) -> None:
        total = 0.0
        for name, weight in self.weights.items():
            itu_material(name)
            if not (np.isfinite(weight) and weight >= 0):
                raise SiteTwinError(f"the weight {weight} of '{name}' is no frequency; give 0 or more, finite")
            total += weight
        if not (total > 0 and np.isfinite(total)):
            raise SiteTwinError("the weights of hidden materials add up to nothing; give at least one above 0")
        if not 0 <= self.share <= 1:
            raise SiteTwinError(f"a share of {self.share} buildings is none; give a number from 0 to 1")


def redraw_walls(site: AnyMesh, hidden: HiddenMaterials, rng: np.random.Generator) -> tuple[AnyMesh, dict[str, Any]]:
    """Draw a material for the walls of each building; return the new site and the entry for its list of differences.

    Thickness and scattering of the walls stay unchanged. Walls are facets steeper than 60 degrees; roofs, ground and
    vehicles keep their materials. The mesh stays as it is, so that one trace serves both worlds.

    Args:
        site: The site.
        hidden: The distribution of the materials.
        rng: Source of randomness.
    """
    rows = np.flatnonzero(standing_buildings(site))
    names = sorted(hidden.weights)
    weights = np.array([hidden.weights[name] for name in names])
    drawn = rng.choice(len(names), size=len(rows), p=weights / weights.sum())
    chosen = rng.permutation(len(rows))[: round(hidden.share * len(rows))]
    of_building = np.full(len(site.buildings[0]), -1, dtype=np.int64)
    of_building[rows[chosen]] = drawn[chosen]
    of_facet = np.full(site.num_facets, -1, dtype=np.int64)
    of_facet[site.triangle_facet] = of_building[site.buildings[1][site.triangle_object]]
    of_facet[np.abs(site.facet_normal[:, 2]) >= STEEPEST_ROOF] = -1
    materials, number = list(site.materials), site.facet_material.copy()
    pairs = np.unique(np.stack([site.facet_material[of_facet >= 0], of_facet[of_facet >= 0]], axis=1), axis=0)
    for old, new in pairs.tolist():
        index = index_of(made_of(site.materials[old], names[new]), materials)
        number[(site.facet_material == old) & (of_facet == new)] = index
    counts = np.bincount(drawn[chosen], minlength=len(names))
    difference = {
        "what": "hidden materials",
        "buildings": len(rows),
        "redrawn": len(chosen),
        "by_material": {name: int(count) for name, count in zip(names, counts, strict=True)},
        "facets": int((of_facet >= 0).sum()),
        "sha256": digest(of_building),
    }
    return replace(site, materials=tuple(materials), facet_material=number.astype(np.int32)), difference


def made_of(old: Material, itu: str) -> Material:
    """A material of the table with the thickness and scattering of another."""
    itu = itu_material(itu).itu or ""
    return old if old.itu == itu else replace(old, name=itu, itu=itu, relative_permittivity=None, conductivity=None)


def index_of(material: Material, materials: list[Material]) -> int:
    """Index of a material in a table that it may have to be added to, under a name of its own."""
    for index, known in enumerate(materials):
        if replace(known, name=material.name) == material:
            return index
    name, names, number = material.name, {m.name for m in materials}, 1
    while name in names:
        number += 1
        name = f"{material.name}_{number}"
    materials.append(replace(material, name=name))
    return len(materials) - 1
