"""Recipes of variants: the differences of a world in one frozen value, for files and for loops in studies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from sitetwin.errors import SiteTwinError
from sitetwin.site.places.pose import Pose
from sitetwin.site.site import Site
from sitetwin.site.variants.distort import GeometryError
from sitetwin.site.variants.draws import children
from sitetwin.site.variants.materials import HiddenMaterials
from sitetwin.site.variants.missing import MissingBuildings
from sitetwin.site.variants.pose import PoseError, pose_error
from sitetwin.site.variants.splitting import Grouping, split_materials
from sitetwin.site.variants.surfaces import SurfaceMaterials
from sitetwin.site.variants.trees import TreeError
from sitetwin.site.variants.values import MaterialValues
from sitetwin.site.variants.vehicles import ParkedVehicles
from sitetwin.site.vegetation import Vegetation
from sitetwin.untrusted.models import read_model

LARGEST_RECIPE = 2**20
"""Bytes of a recipe file."""

_MOST_CENTRES = 10_000


class VariantRecipe(BaseModel):
    """How a variant differs from the site it is made from; what a recipe does not name stays unchanged.

    Attributes:
        name: Name of the recipe; the variant is called "SITE, NAME".
        no_trees: Whether all canopies are felled.
        trees: Errors of the canopies.
        missing_buildings: Buildings that are left out.
        walls: Horizontal displacement of the buildings.
        heights: Errors of the buildings' heights.
        together: Whether touching buildings move and grow as one body.
        parked_vehicles: Vehicles that are parked along the streets.
        materials: For names of materials in the site, the ITU names that take their place everywhere.
        surfaces: Materials of the ground, the walls and the roofs.
        hidden_materials: Materials of walls that are drawn building by building.
        split_materials: Whether each "building" or "facet" gets a material entry of its own, after all changes above.
        material_values: For names of materials, after all changes above, numbers that they have from now on.
        scatter_centres: Number of scatter centres in each canopy volume.
        pose: Errors of the base stations' poses, which `apply_pose` draws.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="variant", min_length=1, max_length=80)
    no_trees: bool = False
    trees: TreeError | None = None
    missing_buildings: MissingBuildings | None = None
    walls: GeometryError | None = None
    heights: GeometryError | None = None
    together: bool = False
    parked_vehicles: ParkedVehicles | None = None
    materials: Mapping[str, str] = Field(default_factory=dict)
    surfaces: SurfaceMaterials | None = None
    hidden_materials: HiddenMaterials | None = None
    split_materials: Grouping | None = None
    material_values: Mapping[str, MaterialValues] | None = None
    scatter_centres: int | None = Field(default=None, ge=0, le=_MOST_CENTRES)
    pose: PoseError | None = None

    def apply(self, site: Site, rng: np.random.Generator) -> Site:
        """Make the variant of a site.

        Each kind of change draws from a generator of its own, made from `rng`: with equal generators, recipes that
        differ in one kind of change agree in all others, and displacements of other sizes have the same directions.

        Args:
            site: The site.
            rng: Source of randomness; every recipe takes the same amount of random numbers from it.

        Raises:
            SiteTwinError: `Site.variant` refuses a change.
        """
        grouped = {"together": True} if self.together else {}
        materials = {
            "materials": self.materials,
            "surfaces": self.surfaces,
            "hidden_materials": self.hidden_materials,
        }
        steps: list[tuple[Any, dict[str, Any]]] = [
            (self.trees, {"trees": self.trees}),
            (self.missing_buildings, {"missing": self.missing_buildings}),
            (self.heights, {"heights": self.heights, **grouped}),  # before walls: who touches whom is as in the site
            (self.walls, {"walls": self.walls, **grouped}),
            (self.parked_vehicles, {"vehicles": self.parked_vehicles}),
            (self.surfaces or self.hidden_materials, materials),
            (self.scatter_centres, {"scatter_centres": self.scatter_centres}),
        ]
        variant = site.variant(vegetation=Vegetation.none()) if self.no_trees else site
        for (change, arguments), stream in zip(steps, children(rng, len(steps)), strict=True):
            if change is not None or arguments.get("materials"):
                variant = variant.variant(**arguments, rng=stream)
        if self.split_materials is not None:
            variant = split_materials(variant, self.split_materials)
        if self.material_values:
            variant = variant.variant(material_values=self.material_values)
        provenance = {**variant.provenance, "parent": site.hash, "recipe": self._facts()}
        return replace(variant, name=f"{site.name}, {self.name}", provenance=provenance)

    def _facts(self) -> dict[str, Any]:
        """The recipe for a list of differences; a change that came later stands there only where it is made."""
        later = ("surfaces", "split_materials", "material_values")
        return self.model_dump(mode="json", exclude={name for name in later if getattr(self, name) is None})

    def apply_pose(self, pose: Pose, rng: np.random.Generator, site: Site | None = None) -> tuple[Pose, dict[str, Any]]:
        """Return a base station's pose with the recipe's error, and what was changed (as `pose_error` returns it)."""
        return pose_error(pose, self.pose or PoseError(), rng, site)


def read_recipe(path: str | Path) -> VariantRecipe:
    """Read a recipe from a TOML file (docs/how-to/variants.md describes the format).

    Raises:
        SiteTwinError: The file cannot be read, is not TOML, or has an unknown key or a wrong value.
    """
    keys = "see docs/how-to/variants.md for what a recipe holds"
    return read_model(path, VariantRecipe, f"recipe {path}", LARGEST_RECIPE, keys)


def _lod(number: int, accuracy: float) -> VariantRecipe:
    error = GeometryError(sigma=accuracy)
    return VariantRecipe(name=f"lod{number}", walls=error, heights=error, together=True)


FIDELITY: Mapping[str, VariantRecipe] = MappingProxyType(
    {
        "exact": VariantRecipe(name="exact"),
        "lod4": _lod(4, 0.2),
        "lod3": _lod(3, 0.5),
        "lod2": _lod(2, 2.0),
        "lod1": _lod(1, 5.0),
        "no-trees": VariantRecipe(name="no-trees", no_trees=True),
        "trees-surveyed-roughly": VariantRecipe(
            name="trees-surveyed-roughly",
            trees=TreeError(position=GeometryError(sigma=1.0), size_sigma=0.2, missing=0.1),
        ),
        "missing-buildings": VariantRecipe(name="missing-buildings", missing_buildings=MissingBuildings(share=0.05)),
        "parked-vehicles": VariantRecipe(name="parked-vehicles", parked_vehicles=ParkedVehicles()),
        "hidden-materials": VariantRecipe(name="hidden-materials", hidden_materials=HiddenMaterials()),
    }
)
"""Named levels of fidelity.

lod4 to lod1 have the absolute accuracies of position and height that OGC 12-019, CityGML 2.0, Table 1, asks of its
levels of detail (0.2, 0.5, 2 and 5 m, standard deviations of a coordinate). The others change one thing each, by
round figures of our own.
"""


def fidelity_recipe(level: str) -> VariantRecipe:
    """Return a recipe of `FIDELITY` by its name.

    Raises:
        SiteTwinError: There is no recipe of this name.
    """
    if level not in FIDELITY:
        raise SiteTwinError(f"there is no level of fidelity '{level}'; choose one of {', '.join(FIDELITY)}")
    return FIDELITY[level]


def fidelity_sweep(
    site: Site, rng: np.random.Generator, recipes: Mapping[str, VariantRecipe] = FIDELITY
) -> Iterator[tuple[str, Site]]:
    """Make one variant of a site for each recipe, all drawn from the same random numbers.

    So buildings move in the same directions at every level, and farther at coarser levels. Differences between levels
    come from their fidelity, not from other draws.

    Args:
        site: The site.
        rng: Source of randomness; one number is taken from it.
        recipes: Recipes by their names.
    """
    seed = int(rng.integers(2**63))
    for name, recipe in recipes.items():
        yield name, recipe.apply(site, np.random.default_rng(seed))
