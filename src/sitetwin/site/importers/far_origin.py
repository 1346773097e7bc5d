"""Meshes in map coordinates: their origin is moved into the site, and what the file says of the earth stays true."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.importers.city_frame import check_no_geocentric, city_frame
from sitetwin.site.importers.reference import parse_reference
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.mesh import FAR
from sitetwin.site.projection import FARTHEST, Georeference, LocalProjection, check_origin

_ROUNDED = 1e-3  # m; coordinates rounded to less are as good as a survey
_USELESS = 0.1  # m; walls rounded to as much are no walls
_GRID = 2  # spacings of single precision; coordinates on a grid as coarse were not rounded by it
_DIGITS = 6e-7  # of the file's unit: text files write six decimals


@dataclass(frozen=True, eq=False)
class PlacedMesh:
    """A mesh in the local frame of its site.

    Attributes:
        vertices: (V, 3) float64, metres, east-north-up.
        georeference: Where on earth the local origin lies, or None if the file and the user do not say it.
        origin: x, y, z of the local origin in the file's coordinates (metres, or the unit of its reference system).
    """

    vertices: Float[np.ndarray, "vertices 3"]
    georeference: Georeference | None
    origin: tuple[float, float, float]


def check_finite(vertices: Float[np.ndarray, "*batch 3"], where: str) -> None:
    """Refuse vertices that are no places, before the origin is moved.

    Raises:
        SiteTwinError: A coordinate is NaN or infinite.
    """
    bad = ~np.isfinite(vertices).all(axis=-1)
    if bad.any():
        raise SiteTwinError(f"{where}: vertex {int(np.argmax(bad))} is NaN or infinite; repair the mesh")


def check_precision(vertices: Float[np.ndarray, "vertices 3"], where: str, ledger: Ledger, unit: float = 1.0) -> None:
    """Say so where the coordinates of a file were rounded to single precision far from its origin.

    Args:
        vertices: (V, 3) float64, as the file has them, before any transform.
        where: Name of the file, for messages.
        ledger: Account of the import, in which the rounding is noted.
        unit: Metres in a unit of the file.

    Raises:
        SiteTwinError: The coordinates were rounded to 0.1 m or more.
    """
    step = unit * _rounded_to(vertices)
    if step <= _ROUNDED:
        return
    what = f"coordinates were rounded to {1e3 * step:.2g} mm, because single precision keeps no more so far from 0, 0"
    mend = "export them in double precision (PLY double, or OBJ with all digits), or from a model near its origin"
    if step >= _USELESS:
        raise SiteTwinError(f"'{where}': the {what}; {mend}")
    ledger.note("assumed", what)
    warnings.warn(f"'{where}': the {what}; {mend}", SiteTwinWarning, stacklevel=2)


def _rounded_to(vertices: np.ndarray) -> float:
    """The spacing of single precision far from 0, 0 to which coordinates were rounded; 0 where they were not.

    All three coordinates are numbers of single precision then, those near 0 up to the digits of a text. Coordinates on
    a coarser grid than the spacing were not rounded by it, and neither were those of a model that is drawn on such a
    grid everywhere. Whole metres prove nothing, unless the other coordinates are single to the bit.
    """
    largest = np.abs(vertices).max(axis=0, initial=0.0)
    if not (largest < float(np.finfo(np.float32).max)).all():
        return 0.0
    steps = np.spacing(largest.astype(np.float32)).astype(np.float64)
    off = np.abs(vertices - vertices.astype(np.float32).astype(np.float64)).max(axis=0, initial=0.0)
    rounded = (off <= _DIGITS).all() & (off == 0) & (steps > _ROUNDED) & ~_on_grid(vertices, _GRID * steps)
    step = float(steps[rounded & ((steps < 1.0) | (off == 0).all())].max(initial=0.0))
    return 0.0 if step == 0 or _on_grid(vertices, step * np.ones(3)).all() else step


def _on_grid(vertices: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(3,) bool: whether all coordinates of an axis are multiples of its step."""
    return np.abs(vertices - np.rint(vertices / steps) * steps).max(axis=0, initial=0.0) <= _DIGITS


def place_mesh(
    where: str,
    vertices: Float[np.ndarray, "vertices 3"],
    ledger: Ledger,
    *,
    georeference: Georeference | None = None,
    crs: str | None = None,
) -> PlacedMesh:
    """Move the origin of a mesh into it, if it lies outside and 10 km away, or put the mesh into its reference system.

    Args:
        where: Name of the file, for messages.
        vertices: (V, 3) float64, east, north and up: in metres, or in the units of the reference system.
        ledger: Account of the import; it records how far the origin was moved.
        georeference: Where on earth the file's own origin lies.
        crs: Name of the projected reference system of the coordinates, such as "EPSG:25832".

    Raises:
        SiteTwinError: Both places are given, the reference system is unknown or no projected one, the coordinates are
            geocentric, or the mesh lies more than 50 km from an origin whose place on earth is given.
    """
    if crs is not None:
        return _in_system(where, vertices, crs, georeference, ledger)
    check_no_geocentric(where, vertices)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    middle = np.rint(low / 2 + high / 2)
    outside = (low > 0) | (high < 0)
    far = np.maximum(np.abs(low), np.abs(high)) > FAR
    plan = bool(outside[:2].any() and far[:2].any())
    shift = np.where([plan, plan, outside[2] and far[2]], [*middle[:2], np.floor(low[2])], 0.0) + 0.0
    if not shift.any():
        return PlacedMesh(vertices, georeference, (0.0, 0.0, 0.0))
    origin = (float(shift[0]), float(shift[1]), float(shift[2]))
    moved = vertices - shift
    if georeference is not None:
        moved, georeference = _on_earth(where, vertices, moved, georeference, origin)
    ledger.note("repaired", f"origin moved into the site: {shift_sentence(origin)}")
    return PlacedMesh(moved, georeference, origin)


def shift_sentence(origin: tuple[float, float, float]) -> str:
    """Say how coordinates of the file and of the site belong together."""
    x, y, z = (f"{value:,.3f}".rstrip("0").rstrip(".") for value in origin)
    return f"x, y, z of the site are those of the file minus {x}; {y}; {z} m"


def _in_system(
    where: str, vertices: np.ndarray, crs: str, georeference: Georeference | None, ledger: Ledger
) -> PlacedMesh:
    if georeference is not None:
        raise SiteTwinError(
            f"'{where}' cannot lie in {crs} and have its origin at {georeference.latitude:g}, "
            f"{georeference.longitude:g} as well; give one of the two"
        )
    name = f"EPSG:{crs}" if crs.isdecimal() else crs
    frame = city_frame(where, parse_reference(name, where), vertices, ledger)
    ledger.note("read", f"coordinates of {crs}; 0, 0 of the site is {frame.origin[0]:,.3f}; {frame.origin[1]:,.3f}")
    return PlacedMesh(frame.local(vertices), frame.georeference, frame.origin)


def _on_earth(
    where: str, vertices: np.ndarray, moved: np.ndarray, before: Georeference, origin: tuple[float, float, float]
) -> tuple[np.ndarray, Georeference]:
    """The mesh in the plane of its new origin (north turns with the place), and the place of that origin."""
    away = math.hypot(origin[0], origin[1])
    if away > FARTHEST:
        raise SiteTwinError(
            f"'{where}' lies {away / 1e3:,.0f} km from its own origin, so that the place of that origin, "
            f"{before.latitude:g}, {before.longitude:g}, says nothing of it; for map coordinates give their reference "
            "system (--crs EPSG:25832) instead of --origin"
        )
    plane = LocalProjection.of(before)
    longitude, latitude = plane.to_wgs84(np.array([origin[:2]]))[0]
    datum = before.vertical_datum if not origin[2] else f"{before.vertical_datum} {origin[2]:+.3f} m"
    after = check_origin(float(latitude), float(longitude), datum)
    plan = LocalProjection.of(after).to_local(plane.to_wgs84(np.ascontiguousarray(vertices[:, :2])))
    return np.column_stack([plan, moved[:, 2]]), after
