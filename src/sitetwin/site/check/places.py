"""Where buildings and trees stand: in one another, above the ground, below it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped

from sitetwin.site.check.edges import corner_range
from sitetwin.site.places.placement import inside_building
from sitetwin.site.site import Site
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon, Volume
from sitetwin.site.verticals import VerticalIndex

GROUND_TOLERANCE = 0.3
"""Metres: what is no higher above the ground stands on it."""

LEAST_OVERLAP = 1.0
"""m2 in plan: buildings that share less have only been drawn carelessly."""

LEAST_HEIGHT = 0.1
"""Metres of height that overlapping buildings share."""

_UPRIGHT = 1e-6  # m2 in plan: triangles of less have no footprint


@dataclass(frozen=True, eq=False)
class Bodies:
    """The buildings of a site, each with its triangles.

    Attributes:
        names: Names of the B buildings.
        corners: (T, 3, 3) float64, corners of all triangles of the buildings, metres.
        owner: (T,) int64, building of each triangle.
        low: (B,) float64, metres, lowest point; infinite for a building without triangles.
        high: (B,) float64, metres, highest point.
        hulls: (B,) convex hull of each building in plan.
    """

    names: tuple[str, ...]
    corners: Float[np.ndarray, "triangles 3 3"]
    owner: Int[np.ndarray, " triangles"]
    low: Float[np.ndarray, " buildings"]
    high: Float[np.ndarray, " buildings"]
    hulls: Shaped[np.ndarray, " buildings"]

    @classmethod
    def of(cls, names: tuple[str, ...], corners: np.ndarray, owner: np.ndarray) -> Bodies:
        """Measure the buildings of a site."""
        low, high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
        lowest, highest = corner_range(corners[..., 2])
        np.minimum.at(low, owner, lowest)
        np.maximum.at(high, owner, highest)
        order = np.argsort(owner, kind="stable")
        present, item = np.unique(owner[order], return_inverse=True)
        hulls = np.full(len(names), shapely.Polygon())
        if len(present):  # of a line through all corners, which is made faster than a set of points
            lines = shapely.linestrings(corners[order, :, :2].reshape(-1, 2), indices=np.repeat(item, 3))
            hulls[present] = shapely.convex_hull(lines)
        return cls(names, corners, owner, low, high, hulls)

    def footprints(self, wanted: np.ndarray) -> np.ndarray:
        """(N,) plan of some buildings (N,): the union of their triangles."""
        flat = self.corners[..., :2]
        e1, e2 = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
        lying = np.abs(e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]) > 2 * _UPRIGHT
        rows = np.flatnonzero(lying & np.isin(self.owner, wanted))
        rows = rows[np.argsort(self.owner[rows], kind="stable")]
        parts = shapely.polygons(flat[rows])
        owner = self.owner[rows]
        first, last = np.searchsorted(owner, wanted), np.searchsorted(owner, wanted, side="right")
        return np.array([shapely.union_all(parts[i:j]) for i, j in zip(first, last, strict=True)], dtype=object)


def overlapping_buildings(bodies: Bodies) -> tuple[np.ndarray, np.ndarray]:
    """Find pairs of buildings that overlap in plan (by their polygons) and in height (from lowest to highest point).

    Returns:
        (N, 2) int64 pairs a < b, and (N,) float64 area that each pair shares in plan, m2; largest areas first.
    """
    a, b = shapely.STRtree(bodies.hulls).query(bodies.hulls, predicate="intersects")
    a, b = a[a < b], b[a < b]
    tall = np.minimum(bodies.high[a], bodies.high[b]) - np.maximum(bodies.low[a], bodies.low[b]) > LEAST_HEIGHT
    a, b = a[tall], b[tall]
    wide = shapely.area(shapely.intersection(bodies.hulls[a], bodies.hulls[b])) > LEAST_OVERLAP
    a, b = a[wide], b[wide]
    wanted = np.unique(np.concatenate([a, b]))
    plans = bodies.footprints(wanted)
    area = shapely.area(shapely.intersection(plans[np.searchsorted(wanted, a)], plans[np.searchsorted(wanted, b)]))
    real = np.flatnonzero(area > LEAST_OVERLAP)
    order = real[np.lexsort((b[real], a[real], -area[real]))]
    return np.column_stack([a[order], b[order]]).astype(np.int64), area[order]


class Ground:
    """Height of the ground under points.

    Args:
        corners: (T, 3, 3) corners of the ground's triangles, metres.
    """

    def __init__(self, corners: np.ndarray) -> None:
        self.known = len(corners) > 0
        self._index = VerticalIndex(corners)

    def height(self, points_xy: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, " points"]:
        """Return (N,) float64, metres: the highest ground at points (N, 2), NaN where there is no ground."""
        height = np.full(len(points_xy), -np.inf)
        if len(points_xy):
            hits = self._index.hits(np.ascontiguousarray(points_xy))
            np.maximum.at(height, hits.point, hits.z)
        return np.where(np.isfinite(height), height, np.nan)


def floating_buildings(bodies: Bodies, ground: Ground) -> tuple[np.ndarray, np.ndarray]:
    """Find buildings that float: none of their points reaches down to the ground or to another building.

    Returns:
        (N,) int64 buildings, and (N,) float64 least distance of each above the ground, metres.
    """
    gap = _over_ground(bodies, ground, lowest=True)
    high = np.flatnonzero(np.isfinite(gap) & (gap > GROUND_TOLERANCE))
    item, other = shapely.STRtree(bodies.hulls).query(bodies.hulls[high], predicate="intersects")
    holds = (bodies.low[other] < bodies.low[high[item]]) & (
        bodies.high[other] >= bodies.low[high[item]] - GROUND_TOLERANCE
    )
    held = np.zeros(len(high), dtype=bool)
    held[item[holds & (other != high[item])]] = True
    return high[~held], gap[high[~held]]


def buried_buildings(bodies: Bodies, ground: Ground) -> tuple[np.ndarray, np.ndarray]:
    """Find buildings that do not rise above the ground anywhere.

    Returns:
        (N,) int64 buildings, and (N,) float64 depth of the highest point of each below the ground, metres.
    """
    rise = _over_ground(bodies, ground, lowest=False)
    deep = np.flatnonzero(np.isfinite(rise) & (rise <= 0))
    return deep, -rise[deep]


def _over_ground(bodies: Bodies, ground: Ground, lowest: bool) -> np.ndarray:
    """(B,) least, or greatest, height of buildings above the ground under their corners.

    A building whose lowest corner stands on the ground does not float, and one whose highest corner rises above the
    ground is not buried. Only for the others, all corners are compared with the ground.
    """
    points, owner = bodies.corners.reshape(-1, 3), np.repeat(bodies.owner, 3)
    level, pick = (bodies.low, np.fmin) if lowest else (bodies.high, np.fmax)
    extreme = np.flatnonzero(points[:, 2] == level[owner])
    extreme = extreme[np.unique(owner[extreme], return_index=True)[1]]
    rise = np.full(len(bodies.names), np.nan)
    rise[owner[extreme]] = points[extreme, 2] - ground.height(points[extreme, :2])
    settled = rise <= GROUND_TOLERANCE if lowest else rise > 0
    rows = np.flatnonzero(~settled[owner])
    pick.at(rise, owner[rows], points[rows, 2] - ground.height(points[rows, :2]))
    return rise


def volume_axis(volume: Volume) -> tuple[float, float, float, float]:
    """A canopy's middle in plan, its lowest and its highest point: x, y, z_min, z_max, metres."""
    if isinstance(volume, Ellipsoid):
        (x, y, z), half = volume.centre, volume.semi_axes[2]
        return x, y, z - half, z + half
    if isinstance(volume, Cylinder):
        return (*volume.centre, volume.z_min, volume.z_max)
    assert isinstance(volume, ExtrudedPolygon)
    place = shapely.Polygon(volume.ring).representative_point()
    return place.x, place.y, volume.z_min, volume.z_max


def misplaced_canopies(site: Site, ground: Ground) -> tuple[np.ndarray, np.ndarray]:
    """Find canopies with tops below the ground, and canopies with middles inside buildings: indices of each."""
    if not site.vegetation.num_volumes:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    axes = np.array([volume_axis(v) for v in site.vegetation.volumes])
    buried = axes[:, 3] <= ground.height(axes[:, :2])
    middles = np.column_stack([axes[:, :2], axes[:, 2:].mean(axis=1)])
    return np.flatnonzero(buried), np.flatnonzero(inside_building(site, middles))
