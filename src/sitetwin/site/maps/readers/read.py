"""Make a map from files: read each in its format, choose the origin, project, clip and sort the features."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.antimeridian import side_by_side, wrapped
from sitetwin.site.maps.clipping import Clip, clip_things, refuse_miss
from sitetwin.site.maps.drawn import Drawn, bounds, is_building, sort_key
from sitetwin.site.maps.features import Feature, MapData
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.extent import Extent, coastlines, local_bounds, middle_of, within_reach
from sitetwin.site.maps.readers.files import MapFile, parse_json, read_map_file
from sitetwin.site.maps.readers.geojson import is_geojson, named_reference, read_geojson
from sitetwin.site.maps.readers.height_attributes import HeightKey, number_of, numbers_of, numeric_attributes
from sitetwin.site.maps.readers.osm import draw_elements
from sitetwin.site.maps.readers.osm_pbf import read_osm_pbf
from sitetwin.site.maps.readers.osm_xml import read_osm_xml
from sitetwin.site.maps.readers.overpass import read_overpass
from sitetwin.site.maps.readers.vector import Layer, read_layers
from sitetwin.site.projection import FARTHEST, LocalProjection, check_origin
from sitetwin.store.files import canonical_json

_MARGIN = 0.02
"""Degrees around a clip within which things are projected: parts of a building reach out of it no farther."""

_SMALLEST_AREA = 1e-4  # m^2
_SHOWN_LAYERS = 8


@dataclass
class _Read:
    """What has been read so far, of all files."""

    name: str
    ledger: Ledger = field(default_factory=Ledger)
    things: dict[str, Drawn] = field(default_factory=dict)
    extents: list[Extent] = field(default_factory=list)
    files: list[dict[str, str]] = field(default_factory=list)
    height_key: HeightKey | None = None
    footprints: bool = False
    layers: tuple[str, ...] | None = None
    crs: pyproj.CRS | None = None
    used_layers: set[str] = field(default_factory=set)
    used_crs: bool = False
    _sources: int = 0

    def prefix(self) -> str:
        """Text before the keys of the next file or layer, so that they differ from those of the others."""
        self._sources += 1
        return "" if self._sources == 1 else f"{self._sources}/"

    def add(self, things: Sequence[Drawn]) -> None:
        for thing in things:
            if self.things.setdefault(thing.key, thing) is not thing:
                self.ledger.note("dropped", "element that an earlier file has as well", thing.key)


def read_map(
    path: str | Path,
    *,
    clip: Clip | None = None,
    origin: tuple[float, float] | None = None,
    footprints: bool = False,
    height_key: str | None = None,
    layers: Sequence[str] | None = None,
    crs: str | None = None,
) -> tuple[MapData, Ledger]:
    """Read one map file; the arguments are those of `read_maps`, which reads several files as one map."""
    how: Any = {"footprints": footprints, "height_key": height_key, "layers": layers, "crs": crs}
    return read_maps([path], clip=clip, origin=origin, **how)


def read_maps(
    paths: Sequence[str | Path],
    *,
    clip: Clip | None = None,
    origin: tuple[float, float] | None = None,
    footprints: bool = False,
    height_key: str | None = None,
    layers: Sequence[str] | None = None,
    crs: str | None = None,
) -> tuple[MapData, Ledger]:
    """Read several map files, such as buildings, trees and streets, as one map.

    The format of each file is recognised from its content: OpenStreetMap XML (.osm) or PBF (.osm.pbf), an Overpass
    answer in JSON, GeoJSON, a shapefile (.shp with its parts beside it, a folder or a zip archive of shapefiles), or a
    GeoPackage. Files may be packed by gzip or bzip2. Features are ordered nodes, ways, relations, others, each by
    number, independent of their order in the file. Features without ids are numbered and ordered as in the file.

    Args:
        paths: The files. An element that a later file repeats is left out.
        clip: The part of the map that is wanted, or None for all of it. Buildings that it meets are kept whole, other
            lines and areas are cut.
        origin: (latitude, longitude) of the local frame's origin, degrees. By default it is the clip's centre; without
            a clip, the centre of the area that the files say they cover, if their buildings lie in it; else the centre
            of their buildings (of all features, if there are none), but for those far from all others.
        footprints: Whether polygons of GeoJSON, shapefiles and GeoPackages that do not say what they are are buildings.
        height_key: Name of the attribute or key that holds the heights of buildings: "NAME" in metres, "NAME:ft",
            "NAME:cm", or "NAME:levels" for a number of storeys. By default known names are read.
        layers: Names of the layers of GeoPackages, and of the shapefiles of a folder or archive, that are read. By
            default all are, unless several have buildings.
        crs: Reference system, such as "EPSG:25832", of shapefiles and layers that name none.

    Returns:
        The map in local metres, and the account of what was read, repaired, assumed and dropped.

    Raises:
        SiteTwinError: A file cannot be read, is damaged or is not a map; no building has the height key; no file has a
            layer that was named, or has buildings in several layers; a reference system is missing, or `crs` is given
            and none is; the files or the clip are empty; the origin is not a point on the earth; or a feature lies
            farther than `FARTHEST` from the origin.
    """
    if not paths:
        raise SiteTwinError("no map file was named; give at least one")
    key = None if height_key is None else HeightKey.parse(height_key)
    read = _Read(
        Path(paths[0]).name.split(".")[0],
        height_key=key,
        footprints=footprints,
        layers=None if layers is None else tuple(layers),
        crs=None if crs is None else named_reference(crs, "the choice of a reference system"),
    )
    for path in paths:
        file = read_map_file(path)
        read.files.append({"name": file.where, "format": _read_file(file, read), "sha256": file.sha256})
    _refuse_unused(read)
    return _finish(read, ", ".join(f["name"] for f in read.files), clip, origin)


def read_geojson_like(
    source: Any,
    *,
    name: str = "map",
    clip: Clip | None = None,
    origin: tuple[float, float] | None = None,
    footprints: bool = False,
    height_key: str | None = None,
) -> tuple[MapData, Ledger]:
    """Make a map from a GeoJSON-like object in memory, such as a GeoDataFrame of geopandas.

    Args:
        source: An object with ``__geo_interface__``, or a GeoJSON dictionary. Its ``crs``, if it has one, is the
            reference system of its coordinates; otherwise they are WGS84 longitude and latitude.
        name: Name of the map, also for messages.
        clip: The part of the map that is wanted, or None for all of it.
        origin: (latitude, longitude) of the local frame's origin, degrees; by default as `read_maps` chooses it.
        footprints: Whether polygons that do not say what they are are buildings.
        height_key: Attribute that holds the heights, as `read_maps` takes it.

    Returns:
        The map, as `read_maps` returns it.

    Raises:
        SiteTwinError: The object is not GeoJSON-like, or `read_maps` would refuse its content.
    """
    value = source if isinstance(source, Mapping) else getattr(source, "__geo_interface__", None)
    if not isinstance(value, Mapping):
        raise SiteTwinError(f"the source of the map '{name}' does not speak GeoJSON; give it a __geo_interface__")
    read = _Read(name, height_key=None if height_key is None else HeightKey.parse(height_key))
    crs = getattr(source, "crs", None)
    try:
        crs = None if crs is None else pyproj.CRS.from_user_input(crs)
    except pyproj.exceptions.CRSError as error:
        raise SiteTwinError(f"the reference system of the map '{name}' is not known; give an EPSG code") from error
    read.add(read_geojson(value, name, read.ledger, footprints=footprints, crs=crs, height_key=read.height_key))
    read.files.append({"name": name, "format": "features in memory", "sha256": _digest(read.things.values())})
    return _finish(read, name, clip, origin)


def _digest(things: Any) -> str:
    """SHA-256 over what things are and where, for a source that is no file."""
    digest = hashlib.sha256(b"sitetwin-features-1")
    for thing in things:
        digest.update(canonical_json([thing.key, dict(thing.tags)]).encode())
        digest.update(shapely.to_wkb(thing.geometry, byte_order=1))
    return digest.hexdigest()


def _refuse_unused(read: _Read) -> None:
    """Refuse choices that said nothing to any file."""
    for name in read.layers or ():
        if name not in read.used_layers:
            raise SiteTwinError(f"no file has a layer '{name[:60]}'; leave it out, or give one that a file has")
    if read.crs is not None and not read.used_crs:
        raise SiteTwinError("every file names its own reference system, so --crs (crs=) says nothing; leave it out")


def _read_file(file: MapFile, read: _Read) -> str:
    """Add what a file holds; the name of its format."""
    if file.layers:
        _add_layers(file, read)
        return str(file.format)
    prefix = read.prefix()
    if file.format != "JSON":
        reader = read_osm_xml if file.format == "OpenStreetMap XML" else read_osm_pbf
        elements, kind = reader(file.data, file.where, read.ledger), str(file.format)
    else:
        value = parse_json(file.data, file.where)
        if "CityObjects" in value or str(value.get("type", "")).startswith("CityJSON"):
            raise SiteTwinError(
                f"'{file.where}' is a city model (CityJSON) under the name of a map; unpack it where it is packed, and "
                "name it .city.json"
            )
        if is_geojson(value):
            how: Any = {"prefix": prefix, "footprints": read.footprints, "height_key": read.height_key}
            read.add(read_geojson(value, file.where, read.ledger, **how))
            return "GeoJSON"
        elements, kind = read_overpass(value, file.where, read.ledger), "Overpass JSON"
    if elements.bounds is not None:
        read.extents.append(elements.bounds)
    read.add(draw_elements(elements, read.ledger))
    return kind


def _add_layers(file: MapFile, read: _Read) -> None:
    """Add what the layers of a shapefile or GeoPackage hold, each as GeoJSON would be read."""
    layers = read_layers(file.layers, file.where, read.ledger, read.layers)
    with_buildings = []
    for layer in layers:
        name = f"{file.where}, layer {layer.name[:60]}" if layer.name != Path(file.where).stem else file.where
        how: Any = {"prefix": read.prefix(), "footprints": read.footprints, "height_key": read.height_key}
        how["what"] = f"features of a {file.format}"
        crs = _crs_of(layer, name, "in its .prj" if file.format == "shapefile" else "of that layer", read)
        things = read_geojson(layer.geojson, name, read.ledger, crs=crs, **how)
        if any(is_building(thing.tags) for thing in things):
            with_buildings.append(layer.name)
        read.used_layers.add(layer.name)
        read.add(things)
    if len(with_buildings) > 1 and read.layers is None:
        names = ", ".join(name[:60] for name in with_buildings[:_SHOWN_LAYERS])
        raise SiteTwinError(
            f"'{file.where}' has buildings in several layers ({names}), which may show the same ones; name the layers "
            "to read by --layer NAME (layers=), each of them if all are wanted"
        )


def _crs_of(layer: Layer, where: str, place: str, read: _Read) -> pyproj.CRS:
    """The reference system of a layer, from its file or from the choices."""
    if layer.crs is not None:
        return layer.crs
    if read.crs is None:
        raise SiteTwinError(
            f"'{where}' names no reference system {place}; add it there, or say it by --crs EPSG:<code> (crs=)"
        )
    read.used_crs = True
    return read.crs


def _finish(read: _Read, where: str, clip: Clip | None, origin: tuple[float, float] | None) -> tuple[MapData, Ledger]:
    """Project, clip and order what was read."""
    ledger = read.ledger
    things = sorted(read.things.values(), key=lambda t: sort_key(t.key))
    if not things:
        raise SiteTwinError(
            f"'{where}' holds nothing that can be built: no feature with tags; check that it is the right file"
        )
    if read.height_key is not None:
        things = _with_heights(things, read.height_key, where, ledger)
    if origin is None:
        origin = clip.centre if clip is not None else middle_of(things, read.extents, ledger)
    projection = LocalProjection.of(check_origin(float(origin[0]), float(origin[1])))
    whole, coast = _whole(things), coastlines(things, projection)
    things = _near(things, clip, ledger) if clip is not None else within_reach(things, projection, where, ledger)
    projected = projection.project(np.array([t.geometry for t in things], dtype=object))
    things = [t.moved(g) for t, g in zip(things, projected, strict=True)]
    rectangle = None
    if clip is not None:
        _check_origin(clip, projection)
        region = clip.region(projection)
        things = clip_things(things, region, ledger) if things else []
        west, south, east, north = region.bounds
        rectangle = (float(west), float(south), float(east), float(north))
        if not things:
            refuse_miss(clip, whole, where)
    things = _with_area(things, ledger)
    source = {"kind": "map", "files": read.files, "clip": None if clip is None else str(clip)}
    features = tuple(Feature(t.key, t.geometry, _clean_tags(t.tags)) for t in things)
    covered = local_bounds(read.extents, things, projection)
    if covered is None and clip is None and read.extents:
        what = "bounds that the file names: they do not hold its buildings, or span more than 100 km"
        ledger.note("dropped", what)
    return MapData(read.name, features, projection.georeference, rectangle, source, covered, coast), ledger


def _with_heights(things: Sequence[Drawn], key: HeightKey, where: str, ledger: Ledger) -> list[Drawn]:
    """Things of which the buildings have the values of a key as their heights or storeys."""
    buildings = [thing for thing in things if is_building(thing.tags)]
    made, count = [], 0
    for thing in things:
        value = next((text for name, text in thing.tags.items() if key.names(name)), None)
        if is_building(thing.tags) and (number_of(key.value(value or "")) or 0.0) > 0:
            assert value is not None  # it is a number
            thing, count = replace(thing, tags={**thing.tags, key.target: key.value(value)}), count + 1
        made.append(thing)
    if not count:
        seen = numeric_attributes(numbers_of(thing.tags for thing in buildings)) or "none"
        raise SiteTwinError(
            f"no building of '{where}' has a number above 0 as '{key.name[:40]}'; attributes of buildings with numbers "
            f"are: {seen}"
        )
    ledger.note("read", f"'{key.name[:40]}' is '{key.target}' ({key.unit}), as asked", count=count)
    return made


def _whole(things: Sequence[Drawn]) -> np.ndarray:
    """(4,) west, south, east, north of all things."""
    box = side_by_side([bounds(list(things)).reshape(-1, 2)])[0].reshape(-1, 4)
    low, high = box[:, :2].min(axis=0), box[:, 2:].max(axis=0)
    return np.array([low[0], low[1], wrapped(high[0]), high[1]])


def _near(things: Sequence[Drawn], clip: Clip, ledger: Ledger) -> list[Drawn]:
    """Things in or near a clip, by their boxes: what is far away need not be projected."""
    box = bounds(list(things))
    west, south, east, north = clip.degrees
    sideways = _MARGIN / max(math.cos(math.radians(min(89.9, max(abs(south), abs(north))))), 1e-3)
    near = np.zeros(len(things), dtype=bool)
    for turn in (-360.0, 0.0, 360.0):
        near |= (box[:, 0] + turn <= east + sideways) & (box[:, 2] + turn >= west - sideways)
    near &= (box[:, 1] <= north + _MARGIN) & (box[:, 3] >= south - _MARGIN)
    for thing, keep in zip(things, near, strict=True):
        if not keep:
            ledger.note("dropped", "outside the clip", thing.key)
    return [thing for thing, keep in zip(things, near, strict=True) if keep]


def _clean_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags in the order of their keys, fit for UTF-8 (JSON may hold half characters)."""
    return {_encodable(key): _encodable(value) for key, value in sorted(tags.items())}


def _encodable(text: str) -> str:
    return text if text.isascii() else text.encode(errors="replace").decode()


def _check_origin(clip: Clip, projection: LocalProjection) -> None:
    """Refuse an origin that is far from the clip."""
    latitude, longitude = clip.centre
    distance = float(np.hypot(*projection.to_local(np.array([[longitude, latitude]]))[0]))
    if not distance <= FARTHEST:
        raise SiteTwinError(
            f"the origin (latitude {projection.latitude:.5f}, longitude {projection.longitude:.5f}) is farther than "
            f"{FARTHEST / 1000:.0f} km from the {clip}; choose it nearer, or leave it out"
        )


def _with_area(things: Sequence[Drawn], ledger: Ledger) -> list[Drawn]:
    """Without polygons whose corners lie on a line. One that crosses itself may have area 0 but has a hull."""
    geometry = np.array([t.geometry for t in things], dtype=object)
    flat = (shapely.get_dimensions(geometry) == 2) & (shapely.area(geometry) < _SMALLEST_AREA)
    flat[flat] = shapely.area(shapely.convex_hull(geometry[flat])) < _SMALLEST_AREA
    for thing, drop in zip(things, flat, strict=True):
        if drop:
            ledger.note("dropped", "area without extent: its corners lie on a line", thing.key)
    return [thing for thing, drop in zip(things, flat, strict=True) if not drop]
