"""Values of a grid of users as GeoTIFF."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site import Georeference
from sitetwin.site.projection import LocalProjection
from sitetwin.studies.coverage.grid import GridRaster


def geotiff(
    raster: GridRaster, values: np.ndarray, georeference: Georeference | None, tags: Mapping[str, str]
) -> bytes:
    """Write one band of float32, NaN for no data, north up.

    The coordinates are those of the site, metres. With a georeference the coordinate reference system is that of the
    site: a transverse Mercator projection on WGS84 about its origin, scale 1. Without one the file has an affine
    transform and no reference system.

    Args:
        raster: Places of the users.
        values: (U,).
        georeference: Georeference of the site, or None.
        tags: Tags for the file's metadata; "units" and "description" become those of the band.

    Raises:
        SiteTwinError: The package rasterio is not installed.
    """
    if not can_write_geotiff():
        raise SiteTwinError("a GeoTIFF needs the package rasterio; install it with `pip install 'sitetwin[geo]'`")
    import rasterio
    from rasterio.io import MemoryFile

    north = raster.south + raster.shape[0] * raster.spacing
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": 1,
        "height": raster.shape[0],
        "width": raster.shape[1],
        "nodata": float("nan"),
        "compress": "deflate",
        "transform": rasterio.Affine(raster.spacing, 0, raster.west, 0, -raster.spacing, north),
    }
    if georeference is not None:
        profile["crs"] = rasterio.crs.CRS.from_proj4(LocalProjection.of(georeference).proj4)
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with memory.open(**profile) as target:
            target.write(np.flipud(raster.image(values)).astype(np.float32), 1)
            target.update_tags(**tags)
            target.set_band_description(1, tags.get("description", ""))
            target.set_band_unit(1, tags.get("units", ""))
        return bytes(memory.read())


def can_write_geotiff() -> bool:
    """Tell whether the package that writes GeoTIFF is installed."""
    return find_spec("rasterio") is not None
