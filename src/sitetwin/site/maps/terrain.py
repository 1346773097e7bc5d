"""Read terrain from a raster of heights in any projection, as a regular net of triangles."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from jaxtyping import Float
from scipy.spatial import cKDTree

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.partition import Cells
from sitetwin.site.projection import Georeference, LocalProjection

SPACING = 20.0
"""Metres between the nodes of the net; each cell gives two facets to trace."""

MOST_NODES = 4_000_000
"""Largest number of nodes of a net."""

_DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".asc": "AAIGrid", ".hgt": "SRTMHGT"}  # none refers to other files
_MOST_PIXELS = 64_000_000
_MOST_HOLES = 0.05  # share of the nodes that may lack a height and take that of the nearest
_LARGEST_HEIGHT = 20_000.0


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
    first. They are given in metres above the raster's height at the origin.

    Args:
        path: Path of a GeoTIFF, an Arc/Info ASCII grid or an SRTM tile; its first band is the height.
        georeference: Place on earth of the local frame's origin.
        extent: (west, south, east, north) of the rectangle, metres.
        ledger: Account of the import; it records filled holes.
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
    raster = _Raster.read(Path(path), georeference, inside, points, spacing)
    origin = raster.heights(np.zeros((1, 2)))[0]
    if math.isnan(origin):
        raise SiteTwinError(f"'{path}' has no height at the map's origin; give a raster that covers it")
    heights = raster.heights(points)
    heights = _filled(points, heights, ledger, str(path)) - origin
    return Terrain(
        cells=cells,
        heights=heights.reshape(len(cells.x), len(cells.y)),
        origin_height=float(origin),
        vertical_datum=raster.datum,
        source={**raster.source, "spacing_m": cells.size, "origin_height_m": float(origin)},
    )


def _filled(points: np.ndarray, heights: np.ndarray, ledger: Ledger, path: str) -> np.ndarray:
    """Holes take the height of the nearest node that has one."""
    holes = np.isnan(heights)
    if not holes.any():
        return heights
    share = float(holes.mean())
    if share > _MOST_HOLES:
        raise SiteTwinError(
            f"'{path}' has no height for {share:.0%} of the site; give a raster that covers it, or fill its holes"
        )
    known = np.flatnonzero(~holes)
    heights = heights.copy()
    heights[holes] = heights[known[cKDTree(points[known]).query(points[holes])[1]]]
    ledger.note("repaired", "terrain node without a height: that of the nearest one", count=int(holes.sum()))
    return heights


@dataclass(frozen=True)
class _Raster:
    """Heights of a window, NaN where there are none, and where its pixels lie."""

    values: np.ndarray  # (rows, columns) metres
    to_pixel: Any  # local (N, 2) metres to (row, column) of pixel centres
    datum: str
    source: dict[str, Any]

    @classmethod
    def read(
        cls, path: Path, georeference: Georeference, needed: np.ndarray, wanted: np.ndarray, spacing: float
    ) -> _Raster:
        """The window over points that it must have, the origin among them, and those wanted points that it has."""
        try:
            import rasterio
        except ImportError as error:
            raise SiteTwinError("terrain rasters need rasterio; install sitetwin[geo]") from error
        driver = _DRIVERS.get(path.suffix.lower())
        if driver is None:
            raise SiteTwinError(f"'{path}' is no raster of heights by its name; give a {', '.join(_DRIVERS)} file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a raster without a geotransform is refused below
                with rasterio.open(path, driver=driver) as data:
                    needed = np.concatenate([needed, [[0.0, 0.0]]])
                    return cls._window(data, path, georeference, needed, wanted, spacing)
        except (rasterio.errors.RasterioError, pyproj.exceptions.ProjError, ValueError, OSError, MemoryError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SiteTwinError(f"'{path}' cannot be read as a raster of heights ({reason}); check the file") from error

    @classmethod
    def _window(
        cls,
        data: Any,
        path: Path,
        georeference: Georeference,
        needed: np.ndarray,
        wanted: np.ndarray,
        spacing: float,
    ) -> _Raster:
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        if data.crs is None or data.transform.is_identity:
            raise SiteTwinError(f"'{path}' does not say where it lies (no projection); give a georeferenced raster")
        crs = pyproj.CRS.from_user_input(data.crs.to_wkt())
        flat = crs.sub_crs_list[0] if crs.is_compound else crs
        into = pyproj.Transformer.from_crs(LocalProjection.of(georeference).crs, flat, always_xy=True)
        inverse = ~data.transform

        def pixel(xy: np.ndarray) -> np.ndarray:
            x, y = into.transform(xy[:, 0], xy[:, 1])
            column, row = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
            return np.stack([row, column], axis=1) - 0.5

        at = pixel(needed)
        if not np.isfinite(at).all():
            raise SiteTwinError(f"the site lies outside of the projection of '{path}'; give a raster that covers it")
        size = np.array([data.height, data.width])
        beyond = ((at < -0.5) | (at > size - 0.5)).any(axis=1)
        if beyond.any():
            raise SiteTwinError(
                f"'{path}' does not cover the site: {beyond.mean():.0%} of it lies outside; give a larger raster or "
                "cut out a smaller area"
            )
        more = pixel(wanted)
        at = np.concatenate([at, more[np.isfinite(more).all(axis=1)]])
        at = np.clip(at, 0, size - 1)
        low = np.clip(np.floor(at.min(axis=0)).astype(int) - 1, 0, size - 1)
        high = np.clip(np.ceil(at.max(axis=0)).astype(int) + 2, low + 1, size)
        step = _pixel_step(pixel, spacing)
        shape = np.maximum(np.ceil((high - low) / step).astype(int), 1)
        if shape.prod() > _MOST_PIXELS:
            raise SiteTwinError(
                f"the window of '{path}' over the site has {shape.prod():,} pixels; cut out a smaller area"
            )
        window = Window(low[1], low[0], high[1] - low[1], high[0] - low[0])
        resampling = Resampling.average if step > 1 else Resampling.nearest
        band = data.read(1, window=window, out_shape=tuple(shape), masked=True, resampling=resampling, out_dtype="f8")
        scale = (high - low) / shape
        datum, metres = _vertical(crs, data.units[0])
        values = (band.filled(np.nan) * data.scales[0] + data.offsets[0]) * metres
        values[~(np.abs(values) < _LARGEST_HEIGHT)] = np.nan
        source = {
            "file": path.name,
            "projection": crs.name,
            "pixels": [int(v) for v in size],
            "vertical_datum": datum,
            "averaged_pixels": int(step),
        }
        return cls(values, lambda xy: (pixel(xy) + 0.5 - low) / scale - 0.5, datum, source)

    def heights(self, xy: np.ndarray) -> np.ndarray:
        """(N,) metres, bilinear, NaN beside holes; at the rim the outermost pixel goes on."""
        size = np.array(self.values.shape)
        at = np.clip(self.to_pixel(xy), 0, size - 1)
        first = np.minimum(at.astype(int), np.maximum(size - 2, 0))
        second = np.minimum(first + 1, size - 1)
        (v, u), h = (at - first).T, self.values
        lower = _mix(h[first[:, 0], first[:, 1]], h[first[:, 0], second[:, 1]], u)
        upper = _mix(h[second[:, 0], first[:, 1]], h[second[:, 0], second[:, 1]], u)
        return _mix(lower, upper, v)


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Linear between a and b; a hole with no weight does not matter."""
    return np.where(share <= 0, a, np.where(share >= 1, b, a + share * (b - a)))


def _pixel_step(pixel: Any, spacing: float) -> int:
    """Pixels to average, so that they are no finer than half the spacing."""
    probe = pixel(np.array([[0.0, 0.0], [spacing, 0.0], [0.0, spacing]]))
    per_spacing = float(np.hypot(*(probe[1:] - probe[0]).T).min())
    return max(int(per_spacing / 2), 1)


def _vertical(crs: pyproj.CRS, unit: str | None) -> tuple[str, float]:
    """Vertical datum and metres per unit of height."""
    for part in crs.sub_crs_list if crs.is_compound else ():
        if part.is_vertical:
            return part.name, float(part.axis_info[0].unit_conversion_factor)
    word = (unit or "m").strip().lower()
    if word in ("m", "metre", "meter", "metres", "meters"):
        return "not stated by the raster, metres", 1.0
    if word in ("ft", "foot", "feet", "us-ft", "us survey foot", "us_survey_foot"):
        return f"not stated by the raster, {word}", 1200 / 3937 if word.startswith("us") else 0.3048
    raise SiteTwinError(f"the raster's heights are in '{word[:40]}'; convert them to metres")
