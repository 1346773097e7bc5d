"""Sites by name, folder or file, or from OpenStreetMap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site
from sitetwin.site import open_site as open_scene
from sitetwin.site.importers.models import ModelReading, load_model
from sitetwin.site.io import is_saved_site
from sitetwin.site.maps import Clip, MapOptions, Radius, fetch_map, load_rules, read_maps, site_from_map
from sitetwin.site.opening import is_map

Progress = Callable[[str, float], None]


class ModelChoices(TypedDict, total=False):
    """Choices of `open_site` for city models, scenes and meshes."""

    lod: str | None
    unit: str | None
    up: str | None
    crs: str | None
    materials: str | None


def checked_site(site: Any) -> Site:
    """The site itself.

    Raises:
        SiteTwinError: It is none, such as the name of one, or other arguments stand in its place.
    """
    if not isinstance(site, Site):
        raise SiteTwinError(f"the site is {str(site)[:60]!r}; give what sitetwin.open_site returns")
    return site


def open_site(
    source: str | Path | Sequence[str | Path],
    *,
    around: tuple[float, float] | None = None,
    radius: float | None = None,
    clip: Clip | None = None,
    origin: tuple[float, float] | None = None,
    footprints: bool = False,
    height_key: str | None = None,
    layers: Sequence[str] | None = None,
    options: MapOptions | None = None,
    progress: Progress | None = None,
    **model: Unpack[ModelChoices],
) -> Site:
    """Open a site: a built-in scene, a saved site, a map, a scene file or a mesh.

    Args:
        source: Name of a built-in Sionna RT scene ("munich"), folder of a saved site, or file: a map (OpenStreetMap
            .osm or .osm.pbf, Overpass .json, .geojson, a shapefile as .shp, .shp.zip or folder, a GeoPackage),
            CityJSON, Mitsuba XML, glTF, OBJ, PLY, or a Wireless InSite project. Several map files make one map.
        around: (latitude, longitude) in degrees: the part of a map about this point, with `radius`.
        radius: Radius around the point `around`, metres.
        clip: Another part of a map, such as a `sitetwin.site.maps.Box`, instead of `around` and `radius`.
        origin: (latitude, longitude) in degrees of the local origin: of a map, by default the middle of its part; of a
            mesh or scene, where its own origin lies.
        footprints: Whether polygons of GeoJSON, shapefiles and GeoPackages that do not say what they are are buildings.
        height_key: Attribute of a map that holds the heights of buildings: "NAME" in metres, "NAME:ft", "NAME:cm", or
            "NAME:levels" for a number of storeys; by default known names are read.
        layers: Names of the layers that are read, of GeoPackages and of folders or archives of shapefiles; by default
            all are, unless several have buildings.
        options: What is assumed about buildings, trees, ground and materials of a map.
        progress: Called with the stage of reading a map and its finished share, 0 to 1.
        **model: How a city model, a scene or a mesh is read: `lod`, level of detail of CityJSON ("2" or "1.2", the
            highest by default); `unit` of a mesh ("m", "cm", "mm", "km", "in", "ft", "us-ft"); `up`, the axis of a
            mesh or scene that points up ("x", "y", "z"); `crs`, the reference system of its coordinates
            ("EPSG:25832"), or of a map that names none, such as a shapefile without .prj. And `materials`, the table
            from the tags of CityJSON or a map to materials ("default", "mc1", "mc2", "mc3", or a file .toml), which
            `options` of a map hold too.

    Returns:
        The site. `site.provenance` says what was read and assumed.

    Raises:
        SiteTwinError: There is no such place, the file is damaged, or a choice has no effect for this kind of file.
        TypeError: There is no choice of that name.
    """
    for name in model.keys() - ModelChoices.__annotations__.keys():
        raise TypeError(f"open_site() got an unexpected keyword argument '{name}'")
    files = [source] if isinstance(source, (str, Path)) else list(source)
    if files and all(is_map(Path(file)) for file in files):
        how = {
            "clip": _clip(around, radius, clip),
            "origin": origin,
            "footprints": footprints,
            "height_key": height_key,
            "layers": layers,
            "crs": model.pop("crs", None),
        }
        return _of_map(files, how, _map_options(options, model), progress)
    if len(files) != 1:
        raise SiteTwinError("only map files can be joined; give one file of a city model or mesh")
    given = {
        "around": around,
        "radius": radius,
        "clip": clip,
        "footprints": footprints or None,
        "height_key": height_key,
        "layers": layers,
        "options": options,
    }
    _refuse_idle(given, f"'{files[0]}' is no map")
    reading = ModelReading(**model, origin=origin)
    if reading == ModelReading():
        return open_scene(files[0])
    if is_saved_site(files[0]):
        _refuse_idle(vars(reading), f"'{files[0]}' is a saved site")
    return load_model(files[0], reading)  # its place alone would not tell how it was read


def fetch_site(
    place: str,
    folder: str | Path,
    *,
    radius: float = 300.0,
    options: MapOptions | None = None,
    progress: Progress | None = None,
) -> Site:
    """Make the site of a place from OpenStreetMap, whose map is downloaded once and kept.

    Args:
        place: Name of the place, or "latitude,longitude" in degrees.
        folder: Folder for the map; if the folder already holds the map, no network is needed.
        radius: Radius around the place, metres.
        options: What is assumed about buildings, trees, ground and materials of the map.
        progress: Called with the stage of downloading or reading the map and its finished share, 0 to 1.

    Raises:
        SiteTwinError: The place is not found, no server answers, the answer is not a map, or the folder holds another
            map.
    """
    fetched = fetch_map(place, radius, folder, progress=progress)
    return _of_map([fetched.path], {"clip": fetched.clip}, options, progress)


def _refuse_idle(given: dict[str, Any], because: str) -> None:
    for name, value in given.items():
        if value is not None:
            raise SiteTwinError(f"{because}, so {name} says nothing for it; leave it out")


def _map_options(options: MapOptions | None, model: ModelChoices) -> MapOptions | None:
    """The options of a map, with the table of materials if it is given beside them."""
    rest = dict(model)
    table = rest.pop("materials", None)
    _refuse_idle(rest, "a map is opened")
    if table is None:
        return options
    if options is not None:
        raise SiteTwinError("materials and options.rules both name the table of materials; give one of them")
    return MapOptions(rules=load_rules(str(table)))


def _of_map(
    files: Sequence[str | Path],
    how: dict[str, Any],
    options: MapOptions | None,
    progress: Progress | None,
) -> Site:
    tell = progress or (lambda stage, share: None)
    tell("read", 0.0)
    data, ledger = read_maps(files, **how)
    tell("read", 1.0)
    tell("build", 0.0)
    site = site_from_map(data, ledger, options)
    tell("build", 1.0)
    return site


def _clip(around: tuple[float, float] | None, radius: float | None, clip: Clip | None) -> Clip | None:
    if (around is None) != (radius is None):
        raise SiteTwinError("around and radius go together; give both, or neither")
    if around is None or radius is None:
        return clip
    if clip is not None:
        raise SiteTwinError("around and clip both cut the map; give one of them")
    return Radius(*around, radius)
