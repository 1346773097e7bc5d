"""One variant of a site: every change in one call, each listed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.materials import Material
from sitetwin.site.model import Site
from sitetwin.site.variants.distort import GeometryError, distort
from sitetwin.site.variants.draws import digest
from sitetwin.site.variants.materials import HiddenMaterials, exchange_materials, redraw_walls
from sitetwin.site.variants.missing import MissingBuildings, remove_buildings
from sitetwin.site.variants.trees import TreeError, disturb_trees
from sitetwin.site.variants.vehicles import ParkedVehicles, park_vehicles
from sitetwin.site.vegetation import Vegetation


def derive(
    site: Site,
    *,
    name: str | None = None,
    vegetation: Vegetation | None = None,
    trees: TreeError | None = None,
    missing: MissingBuildings | None = None,
    walls: GeometryError | None = None,
    heights: GeometryError | None = None,
    together: bool = False,
    vehicles: ParkedVehicles | None = None,
    materials: Mapping[str, Material | str] | None = None,
    hidden_materials: HiddenMaterials | None = None,
    scatter_centres: int | None = None,
    rng: np.random.Generator | None = None,
) -> Site:
    """Another world made from a site; ``provenance["differences"]`` lists each difference.

    Changes are made, and drawn, in the order of the arguments.

    Args:
        site: The site to start from; it is not changed.
        name: Name of the variant, the site's own by default.
        vegetation: Canopies in place of the site's; ``Vegetation.none()`` fells them all.
        trees: Errors of position and size of the canopies, and which are missing.
        missing: Buildings that are left out. Facets are numbered anew then; without this their numbers stay.
        walls: Horizontal displacement of each building as a rigid whole, its walls and roof together.
        heights: Error of each building's roof height: it is stretched above its own lowest point. A building never
            shrinks below a fifth of its height.
        together: Buildings that touch in plan are displaced and stretched as one, so that no crack opens between them.
        vehicles: Vehicles parked along streets or buildings.
        materials: By the name of a material in the site, what takes its place: a `Material`, or an ITU name (then
            thickness and scattering stay as they were).
        hidden_materials: Materials of the walls, drawn building by building.
        scatter_centres: Number of scatter centres drawn in each canopy volume, in place of those that are there.
        rng: Source of randomness for all that is drawn.

    Raises:
        SiteTwinError: A random change without `rng`, an unknown name of a material or building, or `together` without
            walls or heights.
    """
    drawn = (trees, walls, heights, vehicles, hidden_materials, scatter_centres)
    if rng is None and (any(change is not None for change in drawn) or (missing is not None and missing.random)):
        raise SiteTwinError(
            "moved walls, wrong heights, trees, missing buildings, vehicles, hidden materials and scatter centres are "
            "drawn at random; give a generator as rng"
        )
    if together and walls is None and heights is None:
        raise SiteTwinError("together says how walls and heights change; give one of them, or leave it out")
    parent = site.hash
    differences: list[dict[str, Any]] = []
    if vegetation is not None:
        differences.append(_vegetation_difference(site.vegetation, vegetation))
        site = replace(site, vegetation=vegetation)
    if trees is not None:
        assert rng is not None
        disturbed, difference = disturb_trees(site.vegetation, trees, rng)
        site = replace(site, vegetation=disturbed)
        differences.append(difference)
    if missing is not None:
        site, difference = remove_buildings(site, missing, rng)
        differences.append(difference)
    if walls is not None or heights is not None:
        assert rng is not None
        site, found = distort(site, walls, heights, rng, together=together)
        differences += found
    if vehicles is not None:
        assert rng is not None
        site, difference = park_vehicles(site, vehicles, rng)
        differences.append(difference)
    if materials:
        site, found = exchange_materials(site, materials)
        differences += found
    if hidden_materials is not None:
        assert rng is not None
        site, difference = redraw_walls(site, hidden_materials, rng)
        differences.append(difference)
    if scatter_centres is not None:
        assert rng is not None
        planted = site.vegetation.with_scatter_centres(scatter_centres, rng)
        site = replace(site, vegetation=planted)
        differences.append(
            {"what": "scatter centres", "per_volume": scatter_centres, "sha256": digest(planted.scatter_centres)}
        )
    provenance = {
        **site.provenance,
        "parent": parent,
        "differences": [*site.provenance.get("differences", []), *differences],
    }
    return replace(site, name=name or site.name, provenance=provenance)


def _vegetation_difference(old: Vegetation, new: Vegetation) -> dict[str, Any]:
    return {
        "what": "vegetation",
        "volumes_before": old.num_volumes,
        "volumes": new.num_volumes,
        "scatter_centres": new.num_scatter_centres,
        "sha256": hashlib.sha256(new.geometry_bytes()).hexdigest(),
    }
