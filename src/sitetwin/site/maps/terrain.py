"""Read terrain from a raster of heights in any projection, as a regular net of triangles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.partition import Cells
from sitetwin.site.maps.raster import Raster
from sitetwin.site.projection import Georeference

SPACING = 20.0
"""Metres between the nodes of the net; each cell gives two facets to trace."""

MOST_NODES = 4_000_000
"""Largest number of nodes of a net."""

_MOST_HOLES = 0.05  # share of the nodes that may lack a height and take that of the nearest


@dataclass(frozen=True)
class Terrain:
    """A net of heights over a rectangle.

    Attributes:
        cells: Square cells of the net, two triangles each.
        heights: (I, J) float64, metres above the map's origin, of the nodes (x[i], y[j]).
        origin_height: Height of the origin in the raster's own datum, metres.
        vertical_datum: Vertical datum that the raster names for its heights.
        source: File, projection and resolution of the raster; JSON-serialisable.
    """

    cells: Cells
    heights: Float[np.ndarray, "columns rows"]
    origin_height: float
    vertical_datum: str
    source: dict[str, Any]

    def height(self, points: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, " points"]:
        """Return the (N,) heights of the net at points (N, 2), linear in each triangle, metres."""
        x, y = self.cells.x, self.cells.y
        i = np.clip(np.searchsorted(x, points[:, 0], side="right") - 1, 0, len(x) - 2)
        j = np.clip(np.searchsorted(y, points[:, 1], side="right") - 1, 0, len(y) - 2)
        u = (points[:, 0] - x[i]) / (x[i + 1] - x[i])
        v = (points[:, 1] - y[j]) / (y[j + 1] - y[j])
        h, upper = self.heights, v > u
        corner = np.where(upper, h[i, j + 1], h[i + 1, j])
        first = np.where(upper, v, u)
        second = np.where(upper, u, v)
        return h[i, j] + first * (corner - h[i, j]) + second * (h[i + 1, j + 1] - corner)


def load_terrain(
    path: str | Path,
    georeference: Georeference,
    extent: tuple[float, float, float, float],
    ledger: Ledger,
    *,
    spacing: float = SPACING,
) -> Terrain:
    """Read the heights of a rectangle from a raster, as a net of triangles.

    Heights are interpolated bilinearly between the raster's pixels; a raster finer than half the spacing is averaged
    first. They are given in metres above the raster's height at the origin. Heights that cannot be (`voids`) and spikes
    are holes, as those that the raster marks; small holes take the nearest height.

    Args:
        path: Path of a GeoTIFF, an Arc/Info ASCII grid or an SRTM tile; its first band is the height.
        georeference: Place on earth of the local frame's origin.
        extent: (west, south, east, north) of the rectangle, metres.
        ledger: Account of the import; it records what was taken as a hole, and filled holes.
        spacing: Metres between the nodes of the net.

    Raises:
        SiteTwinError: rasterio is not installed; the file is not a raster, has no projection, does not cover the extent
            or the origin, has holes over more than 5 % of the extent, or has heights neither in metres nor in feet; or
            the net would have more than four million nodes.
    """
    if not (math.isfinite(spacing) and spacing >= 0.1):
        raise SiteTwinError(f"a terrain spacing of {spacing} m is too small; give at least 0.1 m")
    nodes = [(extent[k + 2] - extent[k]) / spacing + 2 for k in (0, 1)]
    if nodes[0] * nodes[1] > MOST_NODES:
        raise SiteTwinError(
            f"a terrain of {nodes[0]:.0f} x {nodes[1]:.0f} nodes is too large (at most {MOST_NODES:,}); choose a wider "
            f"spacing than {spacing:g} m, or a smaller area"
        )
    cells = Cells.over(extent, spacing, diagonal=True)
    points = np.stack(np.meshgrid(cells.x, cells.y, indexing="ij"), axis=-1).reshape(-1, 2)
    inside = np.clip(points, np.array(extent[:2]), np.array(extent[2:]))
    raster = Raster.read(Path(path), georeference, inside, points, spacing)
    taken = raster.findings.sentence
    because = f" ({taken}: taken as holes)" if taken else ""
    if taken:
        ledger.note("repaired", f"terrain: {taken}, taken as holes", Path(path).name)
    if raster.findings.cliff:
        what = f"terrain with steps of up to {raster.findings.cliff:.0f} m between neighbouring pixels: kept, as cliffs"
        ledger.note("assumed", what, Path(path).name)
    origin, heights = raster.heights(np.zeros((1, 2)))[0], raster.heights(points)
    if np.isnan(heights).all():
        raise SiteTwinError(f"'{path}' has no height anywhere on the site{because}; give a raster with its heights")
    if math.isnan(origin):
        raise SiteTwinError(
            f"'{path}' has no height at the map's origin{because}; fill its holes, or give another raster or --origin"
        )
    heights = _filled(points, heights, ledger, f"'{path}'", because) - origin
    return Terrain(
        cells=cells,
        heights=heights.reshape(len(cells.x), len(cells.y)),
        origin_height=float(origin),
        vertical_datum=raster.datum,
        source={**raster.source, "spacing_m": cells.size, "origin_height_m": float(origin)},
    )


def _filled(points: np.ndarray, heights: np.ndarray, ledger: Ledger, path: str, because: str) -> np.ndarray:
    """Holes take the height of the nearest node that has one."""
    holes = np.isnan(heights)
    if not holes.any():
        return heights
    share = float(holes.mean())
    if share > _MOST_HOLES:
        raise SiteTwinError(
            f"{path} has no height for {share:.0%} of the site{because}; give a raster that covers it, or fill its "
            "holes"
        )
    known = np.flatnonzero(~holes)
    heights = heights.copy()
    heights[holes] = heights[known[cKDTree(points[known]).query(points[holes])[1]]]
    ledger.note("repaired", "terrain node without a height: that of the nearest one", count=int(holes.sum()))
    return heights
