"""Seeded planting of street trees, for cities whose scenes have none."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.places.placement import ground_height
from sitetwin.site.site import Site
from sitetwin.site.vegetation import Ellipsoid, Vegetation
from sitetwin.site.verticals import VerticalIndex

_RASTER = 0.5  # metres between the points at which building footprints are looked up
_LARGEST_RADIUS = 5.0
_BAND = 1.5  # metres: how much farther than its least distance from the facade a trunk may stand


@dataclass(frozen=True)
class StreetTrees:
    """How street trees are drawn; all lengths in metres.

    The defaults are round figures for mature broadleaved street trees in central Europe (limes, maples, planes), chosen
    by judgement and not fitted to an inventory: 9 to 16 m high, crowns about half as wide as the tree is high, stems
    free of branches up to 2.5 to 4 m so that people and cars pass. Trunks are not modelled.

    Attributes:
        height_mean: Mean of the normal distribution of tree heights.
        height_sigma: Standard deviation of tree heights; draws beyond two standard deviations are clipped.
        crown_radius_ratio: Ratio of crown radius to height.
        crown_radius_sigma: Standard deviation of the logarithm of the crown radius; radii are clipped to 1.5-5 m.
        crown_base: Lowest and highest height of the crown's lower end, which is drawn uniformly.
        facade_clearance: Least distance in plan between a crown and any building or other body.
    """

    height_mean: float = 12.0
    height_sigma: float = 2.0
    crown_radius_ratio: float = 0.26
    crown_radius_sigma: float = 0.15
    crown_base: tuple[float, float] = (2.5, 4.0)
    facade_clearance: float = 2.0


def plant_street_trees(
    site: Site,
    rng: np.random.Generator,
    area: tuple[float, float, float, float],
    spacing: float = 10.0,
    trees: StreetTrees | None = None,
) -> Site:
    """Plant trees along the facades of an area, as ellipsoidal crowns over the ground.

    Trunks stand outdoors in a band along the facades: from crown radius plus clearance up to 1.5 m farther, so that
    streets too narrow for trees stay bare and wide ones get a row on each side. Places are tried in random order and
    kept when no other tree stands within `spacing`; neighbours then stand one to two spacings apart. Every crown is
    checked against the plan distance of every triangle that is not ground: none meets or overhangs a building.

    Args:
        site: The site; its vegetation stays and keeps its indices.
        rng: Source of randomness.
        area: (xmin, ymin, xmax, ymax) of the area for the trunks, metres.
        spacing: Least distance between trunks, metres.
        trees: Sizes of the trees; by default those of `StreetTrees`.

    Returns:
        The site with the new crowns behind its own; ``provenance["planting"]`` lists what was assumed.

    Raises:
        SiteTwinError: The area or the spacing is not finite and positive, or the area is wider than 10 km.
    """
    trees = trees or StreetTrees()
    xmin, ymin, xmax, ymax = area
    if not all(math.isfinite(v) for v in (*area, spacing)) or spacing <= 0 or xmax <= xmin or ymax <= ymin:
        raise SiteTwinError(
            f"cannot plant trees in the area {tuple(area)} at a spacing of {spacing} m; both must be positive"
        )
    if max(xmax - xmin, ymax - ymin) > 10_000:
        raise SiteTwinError("the area to plant is larger than 10 km a side; plant it in parts")
    corners = site.vertices[site.triangles[~site.is_ground]]
    nearest = 1.5 + trees.facade_clearance
    places, distance = _places(site, corners, area, nearest, nearest + _LARGEST_RADIUS - 1.5 + _BAND)
    order = rng.permutation(len(places))
    places, distance = places[order], distance[order]
    height = trees.height_mean + trees.height_sigma * np.clip(rng.standard_normal(len(places)), -2.0, 2.0)
    spread = np.exp(trees.crown_radius_sigma * rng.standard_normal(len(places)))
    radius = np.clip(trees.crown_radius_ratio * height * spread, 1.5, _LARGEST_RADIUS)
    base = np.minimum(rng.uniform(*trees.crown_base, len(places)), 0.4 * height)
    needed = radius + trees.facade_clearance
    fits = np.flatnonzero((distance >= needed) & (distance <= needed + _BAND))
    chosen = _keep_apart(places, fits, spacing)
    chosen = chosen[_plan_distance(places[chosen], corners, float(needed.max(initial=0.0))) >= needed[chosen]]
    ground = ground_height(site, places[chosen])
    chosen, ground = chosen[~np.isnan(ground)], ground[~np.isnan(ground)]
    crowns = tuple(
        Ellipsoid((x, y, z + 0.5 * (low + high)), (r, r, 0.5 * (high - low)))
        for (x, y), z, low, high, r in zip(
            places[chosen].tolist(), ground.tolist(), base[chosen].tolist(), height[chosen].tolist(),
            radius[chosen].tolist(), strict=True,
        )
    )  # fmt: skip
    old = site.vegetation
    vegetation = Vegetation((*old.volumes, *crowns), old.scatter_centres, old.scatter_volume)
    note = {
        "area_m": [float(v) for v in area],
        "spacing_m": float(spacing),
        "trees": len(crowns),
        "sizes": {k: list(v) if isinstance(v, tuple) else v for k, v in vars(trees).items()},
        "crowns_sha256": hashlib.sha256(Vegetation(crowns).geometry_bytes()).hexdigest(),
        "assumption": "synthetic street trees, broadleaved and deciduous, sizes by judgement; trunks not modelled",
    }
    provenance = {**site.provenance, "planting": [*site.provenance.get("planting", []), note]}
    return replace(site, vegetation=vegetation, provenance=provenance)


def _places(
    site: Site, corners: np.ndarray, area: tuple[float, float, float, float], nearest: float, farthest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outdoor raster points with a rough distance (metres, to the raster) from what stands in the given range."""
    reach = math.ceil(farthest / _RASTER) + 1
    xmin, ymin, xmax, ymax = area
    nx, ny = (int((high - low) / _RASTER) + 1 for low, high in ((xmin, xmax), (ymin, ymax)))
    x = xmin + _RASTER * np.arange(-reach, nx + reach)
    y = ymin + _RASTER * np.arange(-reach, ny + reach)
    points = np.stack([a.ravel() for a in np.meshgrid(x, y, indexing="ij")], axis=1)
    taken = np.zeros(len(points), dtype=bool)
    taken[VerticalIndex(corners).hits(points).point] = True
    distance = _raster_distance(taken.reshape(len(x), len(y)), reach)[reach:-reach, reach:-reach].ravel()
    inner = points.reshape(len(x), len(y), 2)[reach:-reach, reach:-reach].reshape(-1, 2)
    fits = (distance >= nearest) & (distance <= farthest)  # nothing stands here, so the place is outdoors
    return inner[fits], distance[fits]


def _raster_distance(taken: np.ndarray, reach: int) -> np.ndarray:
    """Euclidean distance (metres) of each cell to the nearest taken one, infinite beyond `reach` cells; separable."""
    square = np.where(taken, 0.0, np.inf)
    for axis in (0, 1):
        best = square.copy()
        for step in range(1, reach + 1):
            ahead, behind = [slice(None)] * 2, [slice(None)] * 2
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            cost = float(step * step)
            best[tuple(behind)] = np.minimum(best[tuple(behind)], square[tuple(ahead)] + cost)
            best[tuple(ahead)] = np.minimum(best[tuple(ahead)], square[tuple(behind)] + cost)
        square = best
    return _RASTER * np.sqrt(square)


def _keep_apart(places: np.ndarray, candidates: np.ndarray, spacing: float) -> np.ndarray:
    """Candidates, in their order, that keep `spacing` from those kept before (hashed cells of that size)."""
    kept: list[int] = []
    cells: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for i in candidates.tolist():
        x, y = places[i].tolist()
        column, row = math.floor(x / spacing), math.floor(y / spacing)
        near = (
            p for c in range(column - 1, column + 2) for r in range(row - 1, row + 2) for p in cells.get((c, r), ())
        )
        if all((x - px) ** 2 + (y - py) ** 2 >= spacing**2 for px, py in near):
            kept.append(i)
            cells.setdefault((column, row), []).append((x, y))
    return np.array(kept, dtype=np.int64)


def _plan_distance(points: np.ndarray, corners: np.ndarray, limit: float) -> np.ndarray:
    """(N,) exact distance in plan from points to the nearest triangle's edge or area, `limit` at most."""
    low, high = corners[..., :2].min(axis=1) - limit, corners[..., :2].max(axis=1) + limit
    distance = np.full(len(points), limit)
    for i, point in enumerate(points):
        rows = np.flatnonzero(((low <= point) & (point <= high)).all(axis=1))
        flat = corners[rows][..., :2]
        for k in range(3):
            edge, q = flat[:, (k + 1) % 3] - flat[:, k], point - flat[:, k]
            square = np.maximum(edge[:, 0] ** 2 + edge[:, 1] ** 2, 1e-300)
            t = np.clip((q[:, 0] * edge[:, 0] + q[:, 1] * edge[:, 1]) / square, 0.0, 1.0)
            away = np.hypot(q[:, 0] - t * edge[:, 0], q[:, 1] - t * edge[:, 1])
            distance[i] = min(distance[i], float(away.min(initial=np.inf)))
    covered = VerticalIndex(corners).hits(points).point
    distance[covered] = 0.0
    return distance
