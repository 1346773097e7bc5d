"""Where the cells of a raster lie on earth: in UTM, or in the site's own metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyproj

from sitetwin.site import Georeference
from sitetwin.site.projection import LocalProjection
from sitetwin.studies.coverage.grid import GridRaster

_UTM_SOUTH, _UTM_NORTH = -80.0, 84.0
_FIT_POINTS = 5  # along a side
_LARGEST_MISFIT = 0.02  # of a cell

Affine = tuple[float, float, float, float, float, float]


@dataclass(frozen=True)
class MapFrame:
    """Reference system of a raster, and the affine transform of its cells.

    Attributes:
        crs: "EPSG:32632" and the like; a PROJ string of the site's own projection; None for a site without a
            georeference.
        transform: (a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f, from the upper left corner.
        words: The frame in words.
    """

    crs: str | None
    transform: Affine
    words: str

    @classmethod
    def of(cls, raster: GridRaster, georeference: Georeference | None) -> MapFrame:
        """Choose the frame of a raster.

        The site's frame is a transverse Mercator projection about its origin. In the UTM zone of that origin it is
        turned by the meridian convergence and scaled by some 4e-4; over a site both are one affine transform, so that
        no value moves to another cell. Where that misses a cell by more than 2 % (areas of tens of kilometres), and
        near the poles, the raster keeps the site's own projection.

        Args:
            raster: Places of the users.
            georeference: Georeference of the site, or None.
        """
        step, west = raster.spacing, raster.west
        north = raster.south + raster.shape[0] * step
        local = (step, 0.0, west, 0.0, -step, north)
        if georeference is None:
            return cls(None, local, "metres of the site, which has no georeference")
        projection = LocalProjection.of(georeference)
        own = cls(projection.proj4, local, "the site's own transverse Mercator projection")
        if not _UTM_SOUTH <= georeference.latitude <= _UTM_NORTH:
            return own
        zone = int((georeference.longitude + 180.0) // 6.0) % 60 + 1
        code = f"EPSG:{(32600 if georeference.latitude >= 0 else 32700) + zone}"
        columns, rows = (np.linspace(0.0, count, _FIT_POINTS) for count in raster.shape[::-1])
        cells = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
        degrees = projection.to_wgs84(np.stack([west + step * cells[:, 0], north - step * cells[:, 1]], axis=1))
        to_utm = pyproj.Transformer.from_crs("EPSG:4326", code, always_xy=True)
        places = np.stack(to_utm.transform(degrees[:, 0], degrees[:, 1]), axis=1)
        middle = places.mean(axis=0)
        system = np.concatenate([cells, np.ones((len(cells), 1))], axis=1)
        fit = np.linalg.lstsq(system, places - middle, rcond=None)[0]
        if np.abs(system @ fit + middle - places).max() > _LARGEST_MISFIT * step:
            return own
        (a, d), (b, e), (c, f) = fit.tolist()
        transform = (a, b, c + float(middle[0]), d, e, f + float(middle[1]))
        return cls(code, transform, f"{code} (UTM zone {zone}{'N' if georeference.latitude >= 0 else 'S'})")
