"""Make a `Site` from a map: ground, buildings and vegetation, with the account of what was assumed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.site.assumed import assumed_record
from sitetwin.site.build import build_site
from sitetwin.site.maps.bodies import Body, buildings_of
from sitetwin.site.maps.buildings import build_buildings
from sitetwin.site.maps.drawn import is_building
from sitetwin.site.maps.features import MapData
from sitetwin.site.maps.ground import build_ground, ground_extent
from sitetwin.site.maps.heights import BuildingOptions
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.rules import MaterialRules
from sitetwin.site.maps.terrain import SPACING, Terrain, load_terrain
from sitetwin.site.maps.tree_sizes import TreeOptions
from sitetwin.site.maps.trees import build_vegetation, plant_kinds
from sitetwin.site.site import Site


@dataclass(frozen=True)
class MapOptions:
    """How a map becomes a site.

    Attributes:
        rules: Rules that choose materials by tags.
        buildings: What is assumed about buildings.
        trees: What is assumed about trees, or None to leave all vegetation out.
        terrain: Path of a raster of heights, or None for flat ground at z = 0.
        terrain_spacing: Metres between the nodes of the terrain.
        seed: Seed of the random draws: heights and sizes that the map does not tell, if a spread is set.
    """

    rules: MaterialRules = field(default_factory=MaterialRules.default)
    buildings: BuildingOptions = field(default_factory=BuildingOptions)
    trees: TreeOptions | None = field(default_factory=TreeOptions)
    terrain: Path | None = None
    terrain_spacing: float = SPACING
    seed: int = 0


def site_from_map(map_data: MapData, ledger: Ledger, options: MapOptions | None = None) -> Site:
    """Build a site from a map.

    Args:
        map_data: The map, as `read_maps` returns it.
        ledger: The account that `read_maps` began; what is built, repaired, assumed and dropped is added to it.
        options: How the map becomes a site.

    Returns:
        The site; its provenance holds the source with its hash and, under "import", the whole account.

    Raises:
        SiteTwinError: The map holds no ground, building or vegetation, or a builder refuses the map.
    """
    options = options or MapOptions()
    extent = ground_extent(map_data, ledger)
    georeference, terrain = map_data.georeference, None
    if options.terrain is not None:
        terrain = load_terrain(options.terrain, georeference, extent, ledger, spacing=options.terrain_spacing)
        georeference = replace(georeference, vertical_datum=terrain.vertical_datum)
    heights, sizes = (np.random.default_rng(s) for s in np.random.SeedSequence(options.seed).spawn(2))
    ground, surface = build_ground(map_data, options.rules, ledger, terrain, extent=extent)
    buildings = build_buildings(
        map_data.features, options.rules, ledger, surface.height, options=options.buildings, rng=heights
    )
    vegetation = None
    if options.trees is not None:
        vegetation = build_vegetation(
            map_data.features, ledger, surface.height, options=options.trees, extent=extent, rng=sizes
        )
    _note_unused(map_data, options, ledger)
    bodies = [*ground, *buildings]
    options.rules.note_assumptions(ledger, [body.material for body in bodies])
    vertices, triangles, owner = index_corners(bodies)
    names = sorted({body.material for body in bodies})
    return build_site(
        map_data.name,
        vertices,
        triangles,
        owner,
        [body.name for body in bodies],
        [names.index(body.material) for body in bodies],
        [options.rules.materials[name] for name in names],
        object_building=buildings_of(bodies),
        vegetation=vegetation,
        georeference=georeference,
        provenance={
            **_provenance(map_data, ledger, options, terrain),
            **assumed_record(options.rules.assumed((b.material for b in bodies), (b.material for b in ground))),
        },
    )


def index_corners(
    bodies: Sequence[Body],
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "triangles 3"], Int[np.ndarray, " triangles"]]:
    """Make vertices from the corners of bodies; corners that are equal to the bit share a vertex.

    Args:
        bodies: At least one.

    Returns:
        vertices (V, 3) float64 in ascending order, triangles (T, 3) int32, and (T,) int32 the body of each.

    Raises:
        SiteTwinError: There is no body.
    """
    if not bodies:
        raise SiteTwinError("there is neither ground nor building; check the map and the area that was asked for")
    corners = np.concatenate([body.corners for body in bodies]).reshape(-1, 3) + 0.0  # no negative zeros
    order = np.lexsort(corners.T[::-1])
    ordered = corners[order]
    fresh = np.ones(len(ordered), dtype=bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    number = np.empty(len(order), dtype=np.int32)
    number[order] = np.cumsum(fresh) - 1
    owner = np.repeat(np.arange(len(bodies), dtype=np.int32), [len(body.corners) for body in bodies])
    return ordered[fresh], number.reshape(-1, 3), owner


def _note_unused(map_data: MapData, options: MapOptions, ledger: Ledger) -> None:
    """Put what no builder takes into the account, by the key that says what it is."""
    for feature in map_data.features:
        if is_building(feature.tags) or feature.tags.get("natural") == "coastline":
            continue
        covers = feature.geometry.geom_type != "Point" and options.rules.ground(feature.tags) is not None
        grows = bool(plant_kinds(feature))
        if grows and options.trees is None:
            ledger.note("dropped", "vegetation, left out as asked", feature.key)
        elif not (grows or covers):
            kind = next((key for key in _KINDS if key in feature.tags), "other")
            ledger.note("dropped", f"kind of thing that is not built: {kind}", feature.key)


_KINDS = (
    "barrier", "power", "man_made", "highway", "railway", "public_transport", "aeroway", "waterway", "natural",
    "landuse", "leisure", "amenity", "shop", "office", "craft", "tourism", "historic", "emergency", "entrance", "place",
    "boundary", "addr:housenumber",
)  # fmt: skip


def _provenance(map_data: MapData, ledger: Ledger, options: MapOptions, terrain: Terrain | None) -> dict[str, Any]:
    return {
        "source": {
            "kind": "map",
            **map_data.source,
            "clip_m": None if map_data.clip is None else list(map_data.clip),
            "material_rules": options.rules.name,
            "terrain": None if terrain is None else dict(terrain.source),
            "seed": options.seed,
        },
        "assumptions": [f"{e.what} ({e.count:,} times)" for e in ledger.entries if e.kind == "assumed"],
        "import": ledger.to_list(),
    }
