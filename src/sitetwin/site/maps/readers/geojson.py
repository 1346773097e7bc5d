"""Read GeoJSON (RFC 7946, and the "crs" member of its 2008 predecessor) and GeoJSON-like objects."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import shapely
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import side_by_side, wrapped
from sitetwin.site.maps.drawn import Drawn, bounds, is_building, pieces
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.areas import names_kind, says_something
from sitetwin.site.maps.readers.attributes import known_targets, to_tags, unit_of_known
from sitetwin.site.maps.readers.height_attributes import HeightKey, check_known, choose_attributes
from sitetwin.site.maps.readers.rings import clean_ring

_CRS84 = re.compile(r"urn:ogc:def:crs:OGC:[0-9.]*:CRS84|OGC:CRS84|CRS84")
_EPSG = re.compile(r"(?:urn:ogc:def:crs:EPSG:[0-9.]*:|EPSG::?)(\d{4,6})", re.IGNORECASE)
_OSM_ID = re.compile(r"(?:node|way|relation)/\d{1,18}")
_NUMBER = re.compile(r"\d{1,18}")
_GEOMETRIES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
MOST_FEATURES = 2**20
"""Features of one file; footprints of a million buildings fill its 256 MB."""

_FOOTPRINTS = re.compile(r"building|footprint", re.IGNORECASE)


def is_geojson(value: Mapping[str, Any]) -> bool:
    """Return whether a JSON object says that it is GeoJSON."""
    return str(value.get("type")) in {"FeatureCollection", "Feature", *_GEOMETRIES}


def read_geojson(
    value: Mapping[str, Any],
    where: str,
    ledger: Ledger,
    *,
    prefix: str = "",
    footprints: bool = False,
    crs: pyproj.CRS | None = None,
    height_key: HeightKey | None = None,
    what: str = "GeoJSON features",
) -> list[Drawn]:
    """Read GeoJSON.

    A polygon without a tag for its kind is a building if it has an attribute for a height or storeys (`to_tags`), if
    `footprints` says so, or if the file's name contains "building" or "footprint". Otherwise it is left out, unless it
    has other tags. The ledger records each assumption.

    Args:
        value: The parsed JSON.
        where: Name of the file, for messages.
        ledger: Account of the import; it records what was read, repaired, assumed and dropped.
        prefix: Text before the keys, so that keys of several files differ.
        footprints: Whether polygons that do not say what they are are buildings.
        crs: Reference system of the coordinates, if the object names it outside the GeoJSON. With None, the "crs"
            member decides, and without one WGS84 is used.
        height_key: Attribute that holds the heights; by default it is found by its name and its values.
        what: What the ledger calls the features.

    Returns:
        Things in degrees, in the order of the file.

    Raises:
        SiteTwinError: The object is not GeoJSON, names an unknown reference system, or has no coordinates on the earth.
    """
    features = _features(value, where)
    reader = _Reader(where, ledger, footprints or bool(_FOOTPRINTS.search(where)), footprints, height_key)
    drawn = reader.read(features, [prefix + key for key in _keys(features, ledger)])
    ledger.note("read", what, count=len(features))
    crs = crs or _crs_member(value, where)
    if crs is not None and not crs.equals(pyproj.CRS("OGC:CRS84")):
        drawn = _to_wgs84(drawn, crs, where)
    return _on_earth(drawn, where, ledger)


def _features(value: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """The features; a bare geometry is one without attributes."""
    kind = value.get("type")
    if kind in _GEOMETRIES:
        return [{"type": "Feature", "geometry": value, "properties": {}}]
    if kind == "Feature":
        return [value]
    features = value.get("features")
    if kind != "FeatureCollection" or not isinstance(features, (list, tuple)):
        raise SiteTwinError(f"'{where}' is no GeoJSON FeatureCollection; export it as GeoJSON")
    if len(features) > MOST_FEATURES:
        raise SiteTwinError(f"'{where}' has more than {MOST_FEATURES} features; cut it into smaller files")
    return [f if isinstance(f, Mapping) else {} for f in features]


def _keys(features: Sequence[Mapping[str, Any]], ledger: Ledger) -> list[str]:
    """Keys by the features' ids, if all have one of their own; else by their place in the file."""
    keys = [_id_key(f) for f in features]
    if None not in keys and len(set(keys)) == len(keys):
        return [str(key) for key in keys]
    if any(keys):
        ledger.note("assumed", "features whose ids are not unique and numeric are numbered in the order of the file")
    return [f"feature/{k}" for k in range(len(features))]


def _id_key(feature: Mapping[str, Any]) -> str | None:
    properties = feature.get("properties")
    candidates = (feature.get("id"), properties.get("@id") if isinstance(properties, Mapping) else None)
    for candidate in candidates:
        text = str(candidate) if isinstance(candidate, (str, int)) else ""
        if _OSM_ID.fullmatch(text):
            return text
        if _NUMBER.fullmatch(text):
            return f"feature/{int(text)}"
    return None


@dataclass
class _Reader:
    """State while features are read."""

    where: str
    ledger: Ledger
    footprints: bool
    asked: bool
    height_key: HeightKey | None

    def read(self, features: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> list[Drawn]:
        shapes = _Shapes(self.ledger)
        chosen = self._heights(features)
        rows = []
        for feature, key in zip(features, keys, strict=True):
            geometry, properties = feature.get("geometry"), feature.get("properties")
            if not isinstance(geometry, Mapping):
                self.ledger.note("dropped", "feature without a geometry", key)
                continue
            properties = properties if isinstance(properties, Mapping) else {}
            tags, of_building = to_tags(properties, self.ledger, key, chosen)
            kind = str(geometry.get("type"))
            if kind in ("Polygon", "MultiPolygon"):
                tags = self._kind_of_polygon(tags, of_building, key)
            if not says_something(tags):
                self.ledger.note("dropped", "feature that does not say what it is", key)
                continue
            rows.append((key, tags, shapes.add(kind, geometry.get("coordinates"), key)))
        made = shapes.make()
        things: list[Drawn] = []
        for key, tags, numbers in rows:
            things += pieces(key, [made[n] for n in numbers], tags)
        return things

    def _heights(self, features: Sequence[Mapping[str, Any]]) -> dict[str, HeightKey]:
        """By name, the attributes that hold heights of polygons that may be buildings."""
        rows = []
        for feature in features:
            geometry, properties = feature.get("geometry"), feature.get("properties")
            if isinstance(geometry, Mapping) and geometry.get("type") in ("Polygon", "MultiPolygon"):
                row = properties if isinstance(properties, Mapping) else {}
                inner = row.get("tags")
                row = {**row, **inner} if isinstance(inner, Mapping) else row
                said = {str(name): str(value) for name, value in row.items()}
                if said and (is_building(said) or not names_kind(said)):
                    rows.append({str(name): value for name, value in row.items()})
        if self.height_key is None:
            known = known_targets(rows)
            if name := known.get("height"):
                check_known(rows, name, unit_of_known(name), self.where)
            return choose_attributes(rows, known, self.ledger)
        return {name: self.height_key for row in rows for name in row if self.height_key.names(str(name))}

    def _kind_of_polygon(self, tags: dict[str, str], of_building: bool, key: str) -> dict[str, str]:
        """The tags, with building=yes where that is what the polygon must be."""
        if names_kind(tags):
            return tags
        if of_building:
            self.ledger.note("assumed", "polygon with an attribute of height or storeys is a building", key)
        elif self.footprints:
            reason = "as asked" if self.asked else "because the file's name says so"
            self.ledger.note("assumed", f"polygon that does not say what it is is a building, {reason}", key)
        else:
            return tags
        return {"building": "yes", **tags}


class _Shapes:
    """Gathers coordinates; makes all geometries at the end, in few calls."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.simple: list[tuple[int, BaseGeometry]] = []
        self.polygons: list[tuple[int, list[list[np.ndarray]]]] = []
        self.count = 0

    def add(self, kind: str, coordinates: Any, key: str) -> list[int]:
        """Take a geometry; the numbers under which `make` gives its pieces."""
        if kind == "Polygon":
            return self._areas([coordinates], key)
        if kind == "MultiPolygon":
            return self._areas(_listed(coordinates), key)
        if kind in ("Point", "LineString"):
            return self._simple([coordinates], kind, key)
        if kind in ("MultiPoint", "MultiLineString"):
            return self._simple(_listed(coordinates), kind.removeprefix("Multi"), key)
        self.ledger.note("dropped", "geometry of a kind that is not read (collections, unknown ones)", key)
        return []

    def make(self) -> list[BaseGeometry]:
        made: dict[int, BaseGeometry] = dict(self.simple)
        areas = [rings for _, polygons in self.polygons for rings in polygons]
        shapes = iter(_polygons(areas))
        for number, polygons in self.polygons:
            parts = [next(shapes) for _ in polygons]
            made[number] = parts[0] if len(parts) == 1 else shapely.multipolygons(parts)
        return [made[n] for n in range(self.count)]

    def _next(self) -> int:
        self.count += 1
        return self.count - 1

    def _simple(self, parts: Sequence[Any], kind: str, key: str) -> list[int]:
        numbers = []
        for part in parts:
            points = self._points([part] if kind == "Point" else part, key)
            if points is None:
                continue
            if kind == "LineString" and (len(points) < 2 or np.all(points == points[0])):
                self.ledger.note("dropped", "line of fewer than two points", key)
                continue
            numbers.append(self._next())
            self.simple.append(
                (numbers[-1], shapely.Point(points[0]) if kind == "Point" else shapely.LineString(points))
            )
        return numbers

    def _areas(self, polygons: Sequence[Any], key: str) -> list[int]:
        kept = [rings for polygon in polygons if (rings := list(self._rings(_listed(polygon), key)))]
        if not kept:
            self.ledger.note("dropped", "polygon without a usable outer ring", key)
            return []
        self.polygons.append((self._next(), kept))
        return [self.count - 1]

    def _rings(self, rings: Sequence[Any], key: str) -> Iterator[np.ndarray]:
        """The usable rings of a polygon; none if the outer one is not usable."""
        outer: np.ndarray | None = None
        for ring in rings:
            points = self._points(ring, key)
            cleaned = None if points is None else clean_ring(points)
            if points is not None and cleaned is None:
                self.ledger.note("dropped", "ring of fewer than three corners", key)
            if cleaned is None or points is None:
                if outer is None:
                    return
                continue
            if outer is None:
                outer = cleaned
            elif np.any(cleaned.max(axis=0) < outer.min(axis=0)) or np.any(cleaned.min(axis=0) > outer.max(axis=0)):
                self.ledger.note("dropped", "hole outside its polygon, perhaps in another reference system", key)
                continue
            if (points[0] != points[-1]).any():
                self.ledger.note("repaired", "ring of a polygon that was not closed", key)
            yield cleaned

    def _points(self, positions: Any, key: str) -> np.ndarray | None:
        """(N, 2) float64, or None for what is no list of finite positions."""
        try:
            points = np.array(positions, dtype=float)
        except (ValueError, TypeError, OverflowError):
            points = np.empty(0)
        if points.ndim != 2 or points.shape[1] < 2:
            self.ledger.note("dropped", "broken list of coordinates", key)
            return None
        if not np.isfinite(points[:, :2]).all():
            self.ledger.note("dropped", "coordinates that are not finite numbers", key)
            return None
        return points[:, :2]


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else []


def _polygons(areas: Sequence[Sequence[np.ndarray]]) -> list[BaseGeometry]:
    """Polygons of an outer ring and holes each."""
    rings = [ring for area in areas for ring in area]
    if not rings:
        return []
    of_ring = np.repeat(np.arange(len(rings)), [len(r) for r in rings])
    of_area = np.repeat(np.arange(len(areas)), [len(a) for a in areas])
    return list(shapely.polygons(shapely.linearrings(np.concatenate(rings), indices=of_ring), indices=of_area))


def _crs_member(value: Mapping[str, Any], where: str) -> pyproj.CRS | None:
    """The reference system of GeoJSON of 2008."""
    member = value.get("crs")
    if member is None:
        return None
    properties = member.get("properties") if isinstance(member, Mapping) else None
    return named_reference(str(properties.get("name")) if isinstance(properties, Mapping) else str(member), where)


def named_reference(name: str, where: str) -> pyproj.CRS:
    """Find a reference system by its code. Only registered codes: another name could make PROJ open files.

    Args:
        name: Code such as "EPSG:25832", or the OGC's name of one.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: There is no such system.
    """
    if _CRS84.fullmatch(name):
        return pyproj.CRS("OGC:CRS84")
    code = _EPSG.fullmatch(name)
    try:
        if code is not None:
            return pyproj.CRS.from_epsg(int(code[1]))
    except pyproj.exceptions.CRSError:
        pass
    raise SiteTwinError(
        f"'{where}' names the reference system '{name[:80]}', which is not known; use WGS84 longitude and latitude, "
        "or an EPSG code"
    )


def _to_wgs84(drawn: list[Drawn], crs: pyproj.CRS, where: str) -> list[Drawn]:
    try:
        transformer = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    except pyproj.exceptions.ProjError as error:
        raise SiteTwinError(f"the reference system of '{where}' has no way to WGS84; reproject it first") from error

    def transform(points: np.ndarray) -> np.ndarray:
        return np.stack(transformer.transform(points[:, 0], points[:, 1]), axis=1)

    geometry = shapely.transform(np.array([d.geometry for d in drawn], dtype=object), transform)
    return [Drawn(d.key, g, d.tags) for d, g in zip(drawn, geometry, strict=True)]


def _on_earth(drawn: list[Drawn], where: str, ledger: Ledger) -> list[Drawn]:
    """Without what lies beyond the poles, and longitudes without jumps at the antimeridian.

    All of it being off the earth has one reason.
    """
    if not drawn:
        return []
    box = bounds(drawn)
    fine = (np.abs(box[:, [0, 2]]) <= 360).all(axis=1) & (np.abs(box[:, [1, 3]]) <= 90).all(axis=1)
    if not fine.any():
        west, south, *_ = (float(v) for v in box[0])
        mend = (
            'reproject it to WGS84, or name its reference system in a "crs" member'
            if max(abs(west), abs(south)) > 360 or not np.isfinite(box).all()
            else "exchange them, longitude stands first"
        )
        raise SiteTwinError(
            f"'{where}' has positions such as {west:g}, {south:g} that are no longitude and latitude in degrees; {mend}"
        )
    for thing, good in zip(drawn, fine, strict=True):
        if not good:
            ledger.note("dropped", "feature whose position is not on the earth", thing.key)
    crosses = (box[:, 2] - box[:, 0] > 180) | (np.abs(box[:, [0, 2]]) > 180).any(axis=1)
    return [
        thing.moved(shapely.transform(thing.geometry, _without_jump)) if jumps else thing
        for thing, good, jumps in zip(drawn, fine, crosses, strict=True)
        if good
    ]


def _without_jump(points: np.ndarray) -> np.ndarray:
    return side_by_side([np.column_stack([wrapped(points[:, 0]), points[:, 1]])])[0]
