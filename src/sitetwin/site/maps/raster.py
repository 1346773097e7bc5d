"""Read a window of a raster of heights over a site, in any projection."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.voids import Findings, without_voids
from sitetwin.site.projection import Georeference, LocalProjection
from sitetwin.untrusted import regular_size

_DRIVERS = {".tif": "GTiff", ".tiff": "GTiff", ".asc": "AAIGrid", ".hgt": "SRTMHGT"}  # none refers to other files
_MOST_PIXELS = 64_000_000
_LARGEST_BLOCK = 2**28  # bytes of one strip or tile of a raster, unpacked
_PIXELS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Raster:
    """Heights of a window, NaN where there are none, and where its pixels lie."""

    values: np.ndarray  # (rows, columns) metres
    to_pixel: Any  # local (N, 2) metres to (row, column) of pixel centres
    datum: str
    source: dict[str, Any]
    findings: Findings  # what was taken as holes

    @classmethod
    def read(
        cls, path: Path, georeference: Georeference, needed: np.ndarray, wanted: np.ndarray, spacing: float
    ) -> Raster:
        """The window over points that it must have, the origin among them, and those wanted points that it has."""
        try:
            import rasterio
        except ImportError as error:
            raise SiteTwinError("terrain rasters need rasterio; install sitetwin[geo]") from error
        driver = _DRIVERS.get(path.suffix.lower())
        if driver is None:
            raise SiteTwinError(f"'{path}' is no raster of heights by its name; give a {', '.join(_DRIVERS)} file")
        regular_size(path, f"'{path}'")
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
    ) -> Raster:
        block = int(np.prod(data.block_shapes[0])) * np.dtype(data.dtypes[0]).itemsize
        if block > _LARGEST_BLOCK:
            raise SiteTwinError(
                f"'{path}' is stored in blocks of {block >> 20} MB, each of which is unpacked whole; rewrite it in "
                "tiles, for example with `gdal_translate -co TILED=YES`"
            )
        if data.crs is None or data.transform.is_identity:
            raise SiteTwinError(f"'{path}' does not say where it lies (no projection); give a georeferenced raster")
        crs = pyproj.CRS.from_user_input(data.crs.to_wkt())
        flat = crs.sub_crs_list[0] if crs.is_compound else crs
        into = pyproj.Transformer.from_crs(LocalProjection.of(georeference).crs, flat, always_xy=True)
        inverse = ~data.transform
        middle = 0.5 * (data.bounds.left + data.bounds.right)

        def pixel(xy: np.ndarray) -> np.ndarray:
            x, y = into.transform(xy[:, 0], xy[:, 1])
            if flat.is_geographic:  # longitudes of a raster may run from 0 to 360, or over the antimeridian
                x = x + 360.0 * np.round((middle - x) / 360.0)
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
        side, step = _pixel_step(pixel, spacing, path)
        shape = -(-(high - low) // step)
        high = np.minimum(low + shape * step, size)
        low = np.maximum(high - shape * step, 0)
        if shape.prod() > _MOST_PIXELS:
            raise SiteTwinError(
                f"the window of '{path}' over the site has {shape.prod():,} pixels; cut out a smaller area"
            )
        datum, metres = _vertical(crs, data.units[0])
        findings = Findings()
        values = np.concatenate(
            [
                _averaged(without_voids(raw, (raw * data.scales[0] + data.offsets[0]) * metres, side, findings), step)
                for raw in _strips(data, low, high, step)
            ]
        )
        source = {
            "file": path.name,
            "projection": crs.name,
            "pixels": [int(v) for v in size],
            "vertical_datum": datum,
            "averaged_pixels": int(step),
        }
        return cls(values, lambda xy: (pixel(xy) + 0.5 - low) / step - 0.5, datum, source, findings)

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


def _strips(data: Any, low: np.ndarray, high: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """The window of a raster from the top, some rows at once: numbers as in the file, NaN where it marks a void."""
    from rasterio.windows import Window

    rows = max(_PIXELS_AT_ONCE // int(high[1] - low[1]) // step, 1) * step
    for first in range(int(low[0]), int(high[0]), rows):
        window = Window(low[1], first, high[1] - low[1], min(rows, int(high[0]) - first))
        yield data.read(1, window=window, masked=True, out_dtype="f8").filled(np.nan)


def _averaged(heights: np.ndarray, step: int) -> np.ndarray:
    """Means over squares of pixels, without holes; NaN where all of a square is a hole."""
    if step == 1:
        return heights
    rows, columns = (-(-n // step) for n in heights.shape)
    whole = np.full((rows * step, columns * step), np.nan)
    whole[: heights.shape[0], : heights.shape[1]] = heights
    blocks = whole.reshape(rows, step, columns, step)
    known = ~np.isnan(blocks)
    count = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0.0).sum(axis=(1, 3))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _pixel_step(pixel: Any, spacing: float, path: Path) -> tuple[float, int]:
    """Side of a pixel in metres, and pixels to average, so that they are no finer than half the spacing."""
    probe = pixel(np.array([[0.0, 0.0], [spacing, 0.0], [0.0, spacing]]))
    per_spacing = float(np.hypot(*(probe[1:] - probe[0]).T).min())
    if not (math.isfinite(per_spacing) and per_spacing > 0):
        raise SiteTwinError(f"the pixels of '{path}' have no size that can be told; mend its georeference")
    return spacing / per_spacing, max(int(per_spacing / 2), 1)


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
