"""From the coordinates of a file to the local frame of a site: a system of the earth, or a far origin."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.importers.reference import ReferenceSystem
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.mesh import check_vertices
from sitetwin.site.projection import Georeference, LocalProjection, check_origin

_EARTH, _RELIEF = 6.3675e6, 2e4  # m; the surface of the ellipsoid, and whatever stands on it
_BESIDE = 0.5  # degrees off the area of a system: its neighbours use it, too
_NEAR = 1e4  # m; to here the ray caster's single precision resolves half a millimetre


@dataclass(frozen=True, eq=False)
class CityFrame:
    """How coordinates of a file become local coordinates.

    Attributes:
        where: Name of the file, for messages.
        georeference: Where on earth the local origin lies, or None if the file does not say it.
        transformer: Transformation from the file's horizontal system to the local frame, or None where they differ only
            by a shift.
        origin: (x, y, z) of the local origin, in the file's reference system and units.
        vertical_unit: Metres in one unit of height.
        shifts: Whether the local frame differs from the file's frame.
    """

    where: str
    georeference: Georeference | None
    transformer: Transformer | None
    origin: tuple[float, float, float]
    vertical_unit: float
    shifts: bool

    def local(self, points: np.ndarray) -> np.ndarray:
        """Transform points (N, 3) of the file to local metres (N, 3).

        Raises:
            SiteTwinError: A point lies outside the area of the reference system.
        """
        if self.transformer is None:
            placed = points - np.asarray(self.origin)
        else:
            x, y = self.transformer.transform(points[:, 0], points[:, 1])
            placed = np.column_stack([x, y, (points[:, 2] - self.origin[2]) * self.vertical_unit])
        check_vertices(placed, f"'{self.where}' in local coordinates")
        return placed

    def raised(self, height: float) -> CityFrame:
        """Return the frame with its origin raised by some metres."""
        x, y, z = self.origin
        above = z + height / self.vertical_unit
        georeference = self.georeference
        if georeference is not None:
            datum = f"{georeference.vertical_datum} {above * self.vertical_unit:+.3f} m"
            georeference = replace(georeference, vertical_datum=datum)
        return replace(self, origin=(x, y, above), georeference=georeference)


def check_no_geocentric(where: str, points: Float[np.ndarray, "points 3"]) -> None:
    """Refuse coordinates that are counted from the middle of the earth: their z does not point up.

    Raises:
        SiteTwinError: All points lie near the surface of the earth, and not near the plane z = 0.
    """
    with np.errstate(over="ignore"):
        away = np.sqrt((points**2).sum(axis=1))
    if len(points) and (abs(away - _EARTH) <= _RELIEF).all() and (np.abs(points[:, 2]) > _NEAR).all():
        raise SiteTwinError(
            f"'{where}' has geocentric coordinates (x, y, z from the middle of the earth), whose z does not point up; "
            "transform them to a projected system in metres, such as UTM, and give that (--crs EPSG:<code>)"
        )


def city_frame(where: str, reference: ReferenceSystem | None, points: np.ndarray, ledger: Ledger) -> CityFrame:
    """Choose the local frame of a file, centred on the middle of its points.

    A file without a reference system keeps its coordinates, in metres, if all lie within 10 km of its own origin, and
    is shifted to the middle of them otherwise.

    Args:
        where: Name of the file, for messages.
        reference: Its reference system, or None where it names none.
        points: (N, 3) points in use, in the file's reference system.
        ledger: Account of the import; it records assumptions about units.

    Raises:
        SiteTwinError: The points lie outside of the area of the reference system.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    with np.errstate(over="ignore"):
        middle = (low / 2 + high / 2).round(3)
    if reference is None:
        check_no_geocentric(where, points)
        ledger.note("assumed", "coordinates are metres, east and north: the file names no reference system")
        near = float(np.abs(points).max()) <= _NEAR
        shift = (0.0, 0.0, 0.0) if near else (float(middle[0]), float(middle[1]), 0.0)
        return CityFrame(where, None, None, shift, 1.0, not near)
    horizontal, vertical = reference.horizontal, reference.vertical
    unit = _vertical_unit(horizontal, vertical, ledger)
    try:
        to_wgs84 = Transformer.from_crs(horizontal, "EPSG:4326", always_xy=True)
        longitude, latitude = to_wgs84.transform(float(middle[0]), float(middle[1]), errcheck=True)
        datum = vertical.name if vertical is not None else "heights of the file"
        _check_area(where, horizontal, (longitude, latitude), ledger)
        georeference = check_origin(round(latitude, 7), round(longitude, 7), datum)
        transformer = Transformer.from_crs(horizontal, LocalProjection.of(georeference).crs, always_xy=True)
    except (ProjError, ValueError) as error:
        raise SiteTwinError(
            f"'{where}' has coordinates outside the area of {reference.name}; correct its reference system or transform"
        ) from error
    return CityFrame(where, georeference, transformer, (float(middle[0]), float(middle[1]), 0.0), unit, True)


def _check_area(where: str, horizontal: CRS, place: tuple[float, float], ledger: Ledger) -> None:
    """Say so where a place (longitude, latitude) lies off the area that a reference system is made for."""
    area = horizontal.area_of_use
    if area is None:
        return
    longitude, latitude = place
    width = (area.east - area.west) % 360.0 or 360.0
    beside = (longitude - area.west + _BESIDE) % 360.0 > width + 2 * _BESIDE and width < 360.0 - 2 * _BESIDE
    if not beside and area.south - _BESIDE <= latitude <= area.north + _BESIDE:
        return
    at = f"{latitude:.2f}, {longitude:.2f} (latitude, longitude)"
    said = f"coordinates lie at {at}, off the area of {horizontal.name}"
    ledger.note("assumed", said)
    warnings.warn(f"'{where}': the {said} ({area.name}); check the reference system", SiteTwinWarning, stacklevel=4)


def _vertical_unit(horizontal: CRS, vertical: CRS | None, ledger: Ledger) -> float:
    """Metres in a unit of height: that of the vertical system, or else of the horizontal one."""
    if vertical is not None:
        return float(vertical.axis_info[0].unit_conversion_factor)
    axes = horizontal.axis_info
    if len(axes) < 3:
        ledger.note(
            "assumed", f"heights are in the unit of the plane ({axes[0].unit_name}): no vertical system is named"
        )
    return float(axes[-1].unit_conversion_factor)
