"""Values of a grid of users as GeoTIFF: numbers, labels with names and colours, and coloured pictures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_rgba

from sitetwin.errors import SiteTwinError
from sitetwin.report.coverage.frames import MapFrame
from sitetwin.site import Georeference
from sitetwin.studies.coverage.grid import GridRaster

_MOST_BYTE_LABELS = 255  # 255 is no data


def geotiff(
    raster: GridRaster, values: np.ndarray, georeference: Georeference | None, tags: Mapping[str, str]
) -> bytes:
    """Write one band of float32, NaN for no data.

    Each cell lies around its user, where `MapFrame` says: with a georeference in UTM (an EPSG code), with an affine
    transform that is slightly turned against the grid north of the zone; without one in the site's own metres.

    Args:
        raster: Places of the users.
        values: (U,).
        georeference: Georeference of the site, or None.
        tags: Tags for the file's metadata; "units" and "description" become those of the band.

    Raises:
        SiteTwinError: The package rasterio is not installed.
    """
    image = np.flipud(raster.image(values)).astype(np.float32)
    return _write(image[None], raster, georeference, tags, {"nodata": float("nan")})


def label_geotiff(
    raster: GridRaster,
    labels: np.ndarray,
    colours: Sequence[Any],
    georeference: Georeference | None,
    tags: Mapping[str, str],
) -> bytes:
    """Write one band of labels with a colour table: whole numbers from 0, the largest of the type for no data.

    Args:
        raster: Places of the users.
        labels: (U,) label of each user, NaN where there is none.
        colours: Colour of each label.
        georeference: Georeference of the site, or None.
        tags: As for `geotiff`.

    Raises:
        SiteTwinError: The package rasterio is not installed.
    """
    kind = np.uint8 if len(colours) <= _MOST_BYTE_LABELS else np.uint16
    none = int(np.iinfo(kind).max)
    image = np.flipud(raster.image(labels))
    table = {number: _bytes_of(colour) for number, colour in enumerate(colours)}
    table[none] = (0, 0, 0, 0)
    whole = np.where(np.isnan(image), none, image).astype(kind)
    return _write(whole[None], raster, georeference, tags, {"nodata": none, "photometric": "palette"}, table)


def category_names(names: Sequence[str]) -> bytes:
    """Return the file ``NAME.tif.aux.xml`` from which GDAL, QGIS and ArcGIS read what labels are called."""
    rows = "".join(f"      <Category>{escape(name)}</Category>\n" for name in names)
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{rows}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    ).encode()


def coloured_geotiff(
    raster: GridRaster,
    values: np.ndarray,
    limits: tuple[float, float],
    georeference: Georeference | None,
    tags: Mapping[str, str],
) -> bytes:
    """Write values in the colours of the printed map: red, green, blue and alpha, transparent where there is none.

    Args:
        raster: Places of the users.
        values: (U,).
        limits: Values of the ends of the colour bar.
        georeference: Georeference of the site, or None.
        tags: As for `geotiff`.

    Raises:
        SiteTwinError: The package rasterio is not installed.
    """
    image = np.flipud(raster.image(values))
    colours = colormaps["viridis"](Normalize(*limits, clip=True)(np.nan_to_num(image, nan=limits[0])), bytes=True)
    colours[np.isnan(image)] = 0
    return _write(np.moveaxis(colours, -1, 0), raster, georeference, tags, {"photometric": "rgb", "alpha": "yes"})


def _write(
    bands: np.ndarray,
    raster: GridRaster,
    georeference: Georeference | None,
    tags: Mapping[str, str],
    more: Mapping[str, Any],
    table: Mapping[int, tuple[int, ...]] | None = None,
) -> bytes:
    if not can_write_geotiff():
        raise SiteTwinError("a GeoTIFF needs the package rasterio; install it with `pip install 'sitetwin[geo]'`")
    import rasterio
    from rasterio.io import MemoryFile

    frame = MapFrame.of(raster, georeference)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "dtype": bands.dtype.name,
        "count": len(bands),
        "height": raster.shape[0],
        "width": raster.shape[1],
        "compress": "deflate",
        "transform": rasterio.Affine(*frame.transform),
        **more,
    }
    if frame.crs is not None:
        profile["crs"] = rasterio.crs.CRS.from_user_input(frame.crs)
    with warnings.catch_warnings(), MemoryFile() as memory:
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with memory.open(**profile) as target:
            if table is not None:
                target.write_colormap(1, table)
            target.write(bands)
            target.update_tags(**tags, frame=frame.words)
            if len(bands) == 1:
                target.set_band_description(1, tags.get("description", ""))
                target.set_band_unit(1, tags.get("units", ""))
        return bytes(memory.read())


def _bytes_of(colour: Any) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in to_rgba(colour))


def can_write_geotiff() -> bool:
    """Tell whether the package that writes GeoTIFF is installed."""
    return find_spec("rasterio") is not None
