"""Make a variant of a site: any number of changes, made in a fixed order and listed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.materials import Material
from sitetwin.site.mesh import AnyMesh
from sitetwin.site.variants.distort import GeometryError, distort
from sitetwin.site.variants.draws import digest
from sitetwin.site.variants.materials import HiddenMaterials, exchange_materials, redraw_walls
from sitetwin.site.variants.missing import MissingBuildings, remove_buildings
from sitetwin.site.variants.surfaces import SurfaceMaterials, choose_surfaces
from sitetwin.site.variants.trees import TreeError, disturb_trees
from sitetwin.site.variants.values import MaterialValues, set_values
from sitetwin.site.variants.vehicles import ParkedVehicles, park_vehicles
from sitetwin.site.vegetation import Vegetation


@dataclass(frozen=True, eq=False, kw_only=True)
class Changes:
    """The changes that `Site.variant` makes; they are drawn and made in the order of the attributes.

    Attributes:
        vegetation: Canopies that replace those of the site; ``Vegetation.none()`` removes all canopies.
        trees: Errors of position and size of the canopies, and the share that is missing.
        missing: Buildings that are left out. Then facets are renumbered; otherwise facets keep their numbers.
        walls: Horizontal displacement of each building as a rigid whole, walls and roof together.
        heights: Error of each building's roof height: the building is stretched above its lowest point. A building
            never shrinks below a fifth of its height.
        together: Buildings that touch in plan are displaced and stretched as one, so that no crack opens between them.
        vehicles: Vehicles parked along streets or buildings.
        materials: For names of materials in the site, what takes their place: a `Material`, or an ITU name (then
            thickness and scattering stay unchanged).
        surfaces: Materials of the ground, the walls and the roofs.
        hidden_materials: Materials of walls that are drawn building by building.
        material_values: For names of materials in the site, numbers that they have from now on: permittivity,
            conductivity, thickness, scattering. Names are those after all other changes.
        scatter_centres: Number of scatter centres that are drawn in each canopy volume and replace the existing ones.

    Raises:
        SiteTwinError: `together` is given without walls or heights.
    """

    vegetation: Vegetation | None = None
    trees: TreeError | None = None
    missing: MissingBuildings | None = None
    walls: GeometryError | None = None
    heights: GeometryError | None = None
    together: bool = False
    vehicles: ParkedVehicles | None = None
    materials: Mapping[str, Material | str] | None = None
    surfaces: SurfaceMaterials | None = None
    hidden_materials: HiddenMaterials | None = None
    material_values: Mapping[str, MaterialValues | Mapping[str, Any]] | None = None
    scatter_centres: int | None = None

    def __post_init__(self) -> None:
        if self.together and self.walls is None and self.heights is None:
            raise SiteTwinError("together says how walls and heights change; give one of them, or leave it out")

    @property
    def random(self) -> bool:
        """Whether any change is drawn at random."""
        drawn = (self.trees, self.walls, self.heights, self.vehicles, self.hidden_materials, self.scatter_centres)
        return any(change is not None for change in drawn) or (self.missing is not None and self.missing.random)


def apply_changes(
    mesh: AnyMesh, vegetation: Vegetation, changes: Changes, rng: np.random.Generator | None = None
) -> tuple[AnyMesh, Vegetation, list[dict[str, Any]]]:
    """Apply changes: return a changed mesh, changed canopies, and an entry for each difference.

    Args:
        mesh: The mesh to start from; it is not modified. For a site, a site with its own canopies is returned.
        vegetation: The canopies to start from.
        changes: The changes.
        rng: Source of randomness for all changes that are drawn.

    Raises:
        SiteTwinError: A change is random and `rng` is not given, or a name of a material or building is unknown.
    """
    if rng is None:
        if changes.random:
            raise SiteTwinError(
                "moved walls, wrong heights, trees, missing buildings, vehicles, hidden materials and scatter centres "
                "are drawn at random; give a generator as rng"
            )
        rng = np.random.default_rng(0)  # nothing is drawn from it
    canopies, differences = _change_canopies(vegetation, changes, rng)
    mesh, found = _change_mesh(mesh, changes, rng)
    differences += found
    if changes.scatter_centres is not None:
        canopies = canopies.with_scatter_centres(changes.scatter_centres, rng)
        entry = {"what": "scatter centres", "per_volume": changes.scatter_centres}
        differences.append({**entry, "sha256": digest(canopies.scatter_centres)})
    return mesh, canopies, differences


def _change_canopies(
    vegetation: Vegetation, changes: Changes, rng: np.random.Generator
) -> tuple[Vegetation, list[dict[str, Any]]]:
    """Canopies exchanged and disturbed, and what was changed."""
    differences: list[dict[str, Any]] = []
    if changes.vegetation is not None:
        differences.append(_exchanged(vegetation, changes.vegetation))
        vegetation = changes.vegetation
    if changes.trees is not None:
        vegetation, difference = disturb_trees(vegetation, changes.trees, rng)
        differences.append(difference)
    return vegetation, differences


def _change_mesh(mesh: AnyMesh, changes: Changes, rng: np.random.Generator) -> tuple[AnyMesh, list[dict[str, Any]]]:
    """Buildings, vehicles and materials changed, and what was changed."""
    differences: list[dict[str, Any]] = []
    if changes.missing is not None:
        mesh, difference = remove_buildings(mesh, changes.missing, rng)
        differences.append(difference)
    if changes.walls is not None or changes.heights is not None:
        mesh, found = distort(mesh, changes.walls, changes.heights, rng, together=changes.together)
        differences += found
    if changes.vehicles is not None:
        mesh, difference = park_vehicles(mesh, changes.vehicles, rng)
        differences.append(difference)
    if changes.materials:
        mesh, found = exchange_materials(mesh, changes.materials)
        differences += found
    if changes.surfaces is not None:
        mesh, found = choose_surfaces(mesh, changes.surfaces)
        differences += found
    if changes.hidden_materials is not None:
        mesh, difference = redraw_walls(mesh, changes.hidden_materials, rng)
        differences.append(difference)
    if changes.material_values:
        mesh, found = set_values(mesh, changes.material_values)
        differences += found
    return mesh, differences


def _exchanged(old: Vegetation, new: Vegetation) -> dict[str, Any]:
    return {
        "what": "vegetation",
        "volumes_before": old.num_volumes,
        "volumes": new.num_volumes,
        "scatter_centres": new.num_scatter_centres,
        "sha256": hashlib.sha256(new.geometry_bytes()).hexdigest(),
    }
