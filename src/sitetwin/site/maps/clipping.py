"""The wanted part of a map: a box in degrees, or a circle around a point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import FARTHEST_TURN, width, wrapped
from sitetwin.site.maps.drawn import Drawn, is_building, pieces, related_building
from sitetwin.site.maps.even_odd import few_parts, valid_area
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.projection import FARTHEST, LocalProjection

_QUARTER_SEGMENTS = 32  # of the polygon that stands for a circle: its area is 0.04 % short
_METRES_PER_DEGREE = 110_500.0  # of latitude, at the equator, where a degree is shortest


@dataclass(frozen=True)
class Box:
    """A bounding box; one whose west is greater than its east crosses the antimeridian.

    Attributes:
        west, south, east, north: Sides of the box, WGS84 degrees; longitudes become -180 to 180.

    Raises:
        SiteTwinError: The box is empty, too wide for a plane map, or not on the earth.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        sides = f"{self.west:g},{self.south:g},{self.east:g},{self.north:g}"
        if not (
            abs(self.south) <= 90 and abs(self.north) <= 90 and max(abs(self.west), abs(self.east)) <= FARTHEST_TURN
        ):
            _refuse(
                f"the box {sides} is no part of the earth",
                "give west,south,east,north in degrees, longitude before latitude",
            )
        object.__setattr__(self, "west", wrapped(self.west))
        object.__setattr__(self, "east", wrapped(self.east))
        if self.south >= self.north or self._width == 0:
            _refuse(f"the box {sides} is empty", "give west,south,east,north in degrees, south below north")

        high = (self.north - self.south) * _METRES_PER_DEGREE
        wide = self._width * _METRES_PER_DEGREE * math.cos(math.radians(min(abs(self.south), abs(self.north))))
        if max(high, wide) > 2 * FARTHEST:
            _refuse(
                f"the box {sides} spans {max(high, wide) / 1000:.0f} km",
                f"a site spans {FARTHEST / 500:g} at most; over the antimeridian, west is greater than east",
            )

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read a box from a text "west,south,east,north".

        Raises:
            SiteTwinError: The text is not four numbers, or the numbers are not a box.
        """
        west, south, east, north = _numbers(text, 4, "the box", "west,south,east,north")
        return cls(west, south, east, north)

    @property
    def centre(self) -> tuple[float, float]:
        """Latitude and longitude of the centre, degrees."""
        middle = self.west + self._width / 2
        return (self.south + self.north) / 2, middle if middle <= 180 else middle - 360

    @property
    def _width(self) -> float:
        return width(self.west, self.east)

    @property
    def degrees(self) -> tuple[float, float, float, float]:
        """West, south, east, north, degrees; across the antimeridian, one of them passes 180."""
        middle = self.centre[1]
        return middle - self._width / 2, self.south, middle + self._width / 2, self.north

    def region(self, projection: LocalProjection) -> shapely.Polygon:
        """Return the rectangle in local metres through the middles of the four sides."""
        west, south, east, north = self.degrees
        latitude, longitude = self.centre
        middles = np.array([[west, latitude], [longitude, south], [east, latitude], [longitude, north]])
        (x0, _), (_, y0), (x1, _), (_, y1) = projection.to_local(middles)
        return shapely.box(x0, y0, x1, y1)

    def swapped(self) -> Box:
        """The box for the case that latitude and longitude were exchanged."""
        return Box(self.south, self.west, self.north, self.east)

    def __str__(self) -> str:
        return f"box {self.west:g},{self.south:g},{self.east:g},{self.north:g}"


@dataclass(frozen=True)
class Radius:
    """A circle around a point.

    Attributes:
        latitude: Latitude of the point, degrees.
        longitude: Longitude of the point, degrees; it becomes -180 to 180.
        metres: Radius of the circle, metres.

    Raises:
        SiteTwinError: The point is not on the earth, or the radius is not positive or too large for a plane map.
    """

    latitude: float
    longitude: float
    metres: float

    def __post_init__(self) -> None:
        where = f"{self.latitude:g},{self.longitude:g}"
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= FARTHEST_TURN):
            _refuse(f"the point {where} is not on the earth", "give latitude,longitude in degrees, latitude first")
        object.__setattr__(self, "longitude", wrapped(self.longitude))
        if not 0 < self.metres <= FARTHEST:
            _refuse(
                f"the radius of {self.metres:g} m about {where} cannot be",
                f"give metres, more than 0, at most {FARTHEST:g}",
            )

    @classmethod
    def parse(cls, text: str, metres: float) -> Radius:
        """Read the centre from a text "latitude,longitude".

        Raises:
            SiteTwinError: The text is not two numbers, or the numbers are not a point on the earth.
        """
        latitude, longitude = _numbers(text, 2, "the point", "latitude,longitude")
        return cls(latitude, longitude, metres)

    @property
    def centre(self) -> tuple[float, float]:
        """Latitude and longitude of the centre, degrees."""
        return self.latitude, self.longitude

    @property
    def degrees(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the circle's bounding box, degrees; a side may pass 180."""
        high = self.metres / _METRES_PER_DEGREE
        wide = min(180.0, high / max(math.cos(math.radians(abs(self.latitude) + high)), 1e-9))
        if abs(self.latitude) + high >= 90:
            wide = 180.0
        return self.longitude - wide, self.latitude - high, self.longitude + wide, self.latitude + high

    def region(self, projection: LocalProjection) -> shapely.Polygon:
        """Return the circle in local metres, as a polygon of 128 corners."""
        centre = projection.to_local(np.array([[self.longitude, self.latitude]]))
        return shapely.buffer(shapely.Point(centre[0]), self.metres, quad_segs=_QUARTER_SEGMENTS)

    def swapped(self) -> Radius:
        """The circle for the case that latitude and longitude were exchanged."""
        return Radius(self.longitude, self.latitude, self.metres)

    def __str__(self) -> str:
        return f"circle of {self.metres:g} m about {self.latitude:g},{self.longitude:g}"


Clip = Box | Radius


def clip_things(things: Sequence[Drawn], region: shapely.Polygon, ledger: Ledger) -> list[Drawn]:
    """Keep the things in a region: buildings stay whole, points stay, other lines and areas are cut.

    A building stays whole if it meets the region. So do its parts: those that lie in it, and those that a relation
    assigns to it.

    Args:
        things: The things on the map, in local metres.
        region: The area that is kept, in local metres.
        ledger: Account of the import; it records what was dropped and cut.

    Returns:
        The things that are left, in the same order. A line in several pieces becomes several things.
    """
    geometry = np.array([t.geometry for t in things], dtype=object)
    shapely.prepare(region)
    meets = np.asarray(shapely.intersects(region, geometry), dtype=bool)
    inside = np.asarray(shapely.contains_properly(region, geometry), dtype=bool)
    whole = np.array([is_building(t.tags) for t in things], dtype=bool)
    keeps = meets | _parts_of_kept(things, geometry, meets & whole)
    kept: list[Drawn] = []
    for k, thing in enumerate(things):
        if not keeps[k]:
            ledger.note("dropped", "outside the clip", thing.key)
        elif inside[k] or whole[k]:
            kept.append(thing)
        else:
            kept += _cut(thing, region, ledger)
    return kept


def _parts_of_kept(things: Sequence[Drawn], geometry: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(N,) bool: parts of buildings whose building is kept, by relation or by place."""
    named = {things[k].key for k in np.flatnonzero(kept).tolist()}
    parts = np.array([t.tags.get("building:part", "no") != "no" for t in things], dtype=bool) & ~kept
    found = np.zeros(len(things), dtype=bool)
    rows = np.flatnonzero(parts)
    for k in rows.tolist():
        found[k] = related_building(things[k].tags) in named
    if len(rows) and kept.any():
        tree = shapely.STRtree(geometry[kept])
        found[rows[tree.query(shapely.point_on_surface(geometry[rows]), predicate="intersects")[0]]] = True
    return found


def _cut(thing: Drawn, region: shapely.Polygon, ledger: Ledger) -> list[Drawn]:
    """The parts of a line or an area within a region."""
    geometry = thing.geometry
    if not geometry.is_valid:
        is_built = "building" in thing.tags or "building:part" in thing.tags
        geometry = (valid_area if is_built else few_parts)(geometry, thing.key)
        ledger.note("repaired", "area that crosses itself, before it was cut", thing.key)
    parts = cut_to(geometry, region)
    ledger.note("dropped", "the part outside the clip" if parts else "outside the clip", thing.key)
    return pieces(thing.key, parts, thing.tags)


def cut_to(geometry: BaseGeometry, region: BaseGeometry) -> list[BaseGeometry]:
    """Return what of a line (each piece by itself) or of a valid area (as one) lies in a region."""
    return _of_dimension(shapely.intersection(geometry, region), int(shapely.get_dimensions(geometry)))


def _of_dimension(geometry: BaseGeometry, dimension: int) -> list[BaseGeometry]:
    """The lines (each by itself) or the areas (as one) of an intersection."""
    parts = [p for p in shapely.get_parts(shapely.get_parts(geometry)) if shapely.get_dimensions(p) == dimension]
    parts = [p for p in parts if not p.is_empty]
    if dimension < 2 or len(parts) < 2:
        return parts
    return [shapely.multipolygons(parts)]


def refuse_miss(clip: Clip, whole: np.ndarray, where: str) -> NoReturn:
    """Refuse a clip that holds nothing, and say what may be wrong.

    Args:
        clip: The part of the map that was asked for.
        whole: (4,) float64: west, south, east, north of the map, degrees.
        where: Name of the map.
    """
    west, south, east, north = (float(v) for v in whole)
    mend = "choose a clip within it"
    try:
        w, s, e, n = clip.swapped().degrees
        if w <= east and e >= west and s <= north and n >= south:
            mend = "latitude and longitude look swapped; exchange them"
    except SiteTwinError:
        pass
    _refuse(
        f"the {clip} holds nothing of '{where}', which spans {west:.5f},{south:.5f},{east:.5f},{north:.5f} "
        "(west,south,east,north)",
        mend,
    )


def _numbers(text: str, count: int, what: str, form: str) -> list[float]:
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count or not all(math.isfinite(v) for v in values):
        _refuse(f"{what} '{text[:60]}' cannot be read", f"write it as {form}, in degrees")
    return values


def _refuse(what: str, mend: str) -> NoReturn:
    raise SiteTwinError(f"{what}; {mend}")
