"""Build the ground, flat or on terrain, with roads, water, lawns and paving as separate surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from jaxtyping import Float
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.bodies import Body
from sitetwin.site.maps.coast import find_sea
from sitetwin.site.maps.drawn import is_building
from sitetwin.site.maps.features import MapData
from sitetwin.site.maps.ground_areas import ground_areas
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.partition import GRID, Cells, bodies, partition
from sitetwin.site.maps.rules import MaterialRules
from sitetwin.site.maps.terrain import Terrain
from sitetwin.site.verticals import VerticalIndex

MARGIN = 30.0
"""Metres of ground around what stands, where no rectangle was asked for."""

LARGEST_SIDE = 100_000.0
"""Metres."""

Extent = tuple[float, float, float, float]

_FLAT_CELL = 500.0  # metres: large polygons are cut here, for cutting into triangles takes the square of their size


@dataclass(frozen=True, eq=False)
class Ground:
    """The surface that everything stands on.

    Attributes:
        extent: (west, south, east, north) of the ground, metres.
        corners: (T, 3, 3) float64, corners of all triangles of the ground, metres.
        terrain: The net of heights, or None for flat ground at z = 0.
    """

    extent: Extent
    corners: Float[np.ndarray, "triangles 3 3"]
    terrain: Terrain | None = None

    @cached_property
    def _index(self) -> VerticalIndex:
        return VerticalIndex(self.corners)

    def height(self, points: np.ndarray) -> np.ndarray:
        """Return the height of the ground's triangles under points.

        Args:
            points: (N, 2) metres; those outside the extent take the height of the nearest point of its rim.

        Returns:
            (N,) float64, metres.
        """
        points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if self.terrain is None:
            return np.zeros(len(points))
        points = np.clip(points, np.array(self.extent[:2]), np.array(self.extent[2:]))
        height = np.full(len(points), -np.inf)
        hits = self._index.hits(points)
        np.maximum.at(height, hits.point, hits.z)
        return np.where(np.isfinite(height), height, self.terrain.height(points))


def ground_extent(map_data: MapData, ledger: Ledger, margin: float = MARGIN) -> Extent:
    """Choose the rectangle of the ground.

    It is the one asked for, else the one that the files say they cover, with all buildings; else one around the
    buildings, else around everything.

    Args:
        map_data: The map.
        ledger: Account of the import; it records the assumption.
        margin: Metres between the buildings and the rim of the ground.

    Returns:
        (west, south, east, north), metres on a grid of 1 mm.

    Raises:
        SiteTwinError: The map has no feature, the rectangle is empty, or a side is longer than 100 km.
    """
    built = _bounds([f.geometry for f in map_data.features if is_building(f.tags)])
    given = map_data.clip if map_data.clip is not None else map_data.bounds
    if given is not None:
        if map_data.clip is None:
            ledger.note("read", "ground reaches to the bounds that the file names")
        low, high = np.array(given[:2]), np.array(given[2:])
        if len(built) and (low < high).all():  # buildings at the rim are whole and must not stand beyond the ground
            low, high = np.minimum(low, built[:, :2].min(axis=0)), np.maximum(high, built[:, 2:].max(axis=0))
    else:
        bounds = built if len(built) else _bounds([f.geometry for f in map_data.features])
        if not len(bounds):
            raise SiteTwinError(f"the map '{map_data.name}' has no feature; choose an area with something in it")
        low, high = bounds[:, :2].min(axis=0) - margin, bounds[:, 2:].max(axis=0) + margin
        ledger.note("assumed", f"ground reaches {margin:g} m beyond the {'buildings' if len(built) else 'features'}")
    extent = (*low, *high)
    west, south, east, north = (float(np.round(v / GRID) * GRID) for v in extent)
    if not (0 < east - west <= LARGEST_SIDE and 0 < north - south <= LARGEST_SIDE):
        raise SiteTwinError(
            f"the ground of the map '{map_data.name}' would be {east - west:g} m x {north - south:g} m; cut out a "
            f"rectangle with sides above 0 and up to {LARGEST_SIDE / 1e3:g} km"
        )
    return west, south, east, north


def _bounds(geometries: list[BaseGeometry]) -> np.ndarray:
    """(N, 4) west, south, east, north of those that are not empty."""
    bounds = shapely.bounds(np.array(geometries, dtype=object)).reshape(-1, 4)
    return bounds[np.isfinite(bounds).all(axis=1)]


def build_ground(
    map_data: MapData,
    rules: MaterialRules,
    ledger: Ledger,
    terrain: Terrain | None = None,
    *,
    extent: Extent | None = None,
) -> tuple[list[Body], Ground]:
    """Build the surfaces of the ground; they continue under the buildings.

    Areas lie on top of each other in this order, highest first: roads (wider before narrower); road areas and piers;
    water, with the sea on the right of coastlines; everything else (smaller areas on larger ones). Where the map has no
    area, the rules' base ground remains. Neighbouring surfaces share their corners to the bit, and together they cover
    the rectangle exactly once.

    Args:
        map_data: The map.
        rules: Rules for the materials; `rules.ground(tags)` decides which features are ground.
        ledger: Account of the import; it records assumed widths, repairs, and what was left out.
        terrain: Heights from `load_terrain` for the same extent, or None for flat ground at z = 0.
        extent: (west, south, east, north) metres, `ground_extent` by default.

    Returns:
        Bodies "ground" and "ground-<material>" that face up, and the ground that gives heights.

    Raises:
        SiteTwinError: The terrain does not cover the extent, or `ground_extent` refuses the map.
    """
    extent = extent or ground_extent(map_data, ledger)
    if terrain is not None:
        _check_reach(terrain, extent)
    built = [f.geometry for f in map_data.features if is_building(f.tags) and "Polygon" in f.geometry.geom_type]
    sea = find_sea(map_data.coast, extent, built, ledger, map_data.bounds)
    features = map_data.features if sea is None else (*map_data.features, sea)
    found = ground_areas(features, rules, ledger, extent)
    if all(area.material == rules.base_ground for area in found):
        found = []
    materials = [rules.base_ground, *sorted({a.material for a in found} - {rules.base_ground})]
    names = ["ground", *(f"ground-{name}" for name in materials[1:])]
    if terrain is not None:
        cells: Cells | None = terrain.cells
    else:
        cells = Cells.over(extent, _FLAT_CELL, diagonal=False) if found else None
    kinds = [materials.index(a.material) for a in found]
    flat, kind = partition(extent, [a.geometry for a in found], kinds, cells)
    height = np.zeros(flat.shape[:2]) if terrain is None else terrain.height(flat.reshape(-1, 2)).reshape(-1, 3)
    corners = np.concatenate([flat, height[..., None]], axis=2)
    return bodies(corners, kind, names, materials), Ground(extent, corners, terrain)


def _check_reach(terrain: Terrain, extent: Extent) -> None:
    x, y = terrain.cells.x, terrain.cells.y
    if x[0] > extent[0] or y[0] > extent[1] or x[-1] < extent[2] or y[-1] < extent[3]:
        raise SiteTwinError(
            "the terrain does not reach over the whole ground; load it for the extent that the ground has"
        )
