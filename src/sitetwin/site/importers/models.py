"""Read a city model, a scene or a mesh in the way that a user chose, whatever the kind of file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.site.account import file_origin
from sitetwin.site.importers.cityjson import CITYJSON_SUFFIXES, load_cityjson
from sitetwin.site.importers.load import load_scene
from sitetwin.site.importers.mesh_files import MESH_SUFFIXES, load_mesh
from sitetwin.site.importers.sionna import load_mitsuba
from sitetwin.site.latlon import with_georeference
from sitetwin.site.maps.rules import load_rules
from sitetwin.site.projection import check_origin
from sitetwin.site.site import Site
from sitetwin.untrusted import naming


@dataclass(frozen=True)
class ModelReading:
    """How a city model, a scene or a mesh is read. None leaves a choice to the importer.

    Attributes:
        lod: Level of detail of CityJSON, such as "2" or "1.2".
        unit: Unit of a mesh, such as "ft".
        up: Axis of a mesh or scene that points up, "x", "y" or "z".
        crs: Projected reference system of the coordinates of a mesh or scene, such as "EPSG:25832".
        materials: Table from the attributes of CityJSON to materials: its name, or a file (.toml).
        origin: (latitude, longitude) in degrees where the origin of a mesh or scene lies.
    """

    lod: str | None = None
    unit: str | None = None
    up: str | None = None
    crs: str | None = None
    materials: str | None = None
    origin: tuple[float, float] | None = None


def idle_choices(file: str | Path) -> tuple[tuple[str, ...], str]:
    """The names of the choices that say nothing for a file of its kind, and why, with the mend."""
    suffix = Path(file).suffix.lower()
    if suffix in CITYJSON_SUFFIXES:
        return ("unit", "up", "crs", "origin"), "for CityJSON; leave it out"
    own = f"for '{file}', which names its own; leave it out"
    if suffix in MESH_SUFFIXES:
        return ("lod", "materials"), own
    if suffix == ".xml":
        return ("lod", "materials", "unit"), f"for '{file}', a scene in metres that names its materials; leave it out"
    return ("lod", "materials", "unit", "up", "crs"), f"for '{file}', a scene in metres with z up; leave it out"


def load_model(file: str | Path, how: ModelReading) -> Site:
    """Make a site from a city model, a scene or a mesh.

    Args:
        file: Anything that `load_scene` takes.
        how: How it is read.

    Raises:
        SiteTwinError: A choice has no effect for this kind of file, or the file cannot be used.
    """
    idle, why = idle_choices(file)
    for name in idle:
        if getattr(how, name) is not None:
            raise SiteTwinError(f"{name} says nothing {why}")
    with naming(file, f"'{file}'"):
        return _load(file, how)


def _load(file: str | Path, how: ModelReading) -> Site:
    suffix = Path(file).suffix.lower()
    if suffix in CITYJSON_SUFFIXES:
        return load_cityjson(file, lod=how.lod, rules=load_rules(how.materials or "default"))
    where = None if how.origin is None else check_origin(*how.origin)
    if suffix in MESH_SUFFIXES:
        return load_mesh(file, unit=how.unit, up=how.up, crs=how.crs, georeference=where)
    if suffix == ".xml":
        return load_mitsuba(file, up=how.up, crs=how.crs, georeference=where)
    site = load_scene(file)
    if how.origin is None:
        return site
    if file_origin(site) is not None:
        raise SiteTwinError(f"'{file}' lies far from its own origin, so that origin says nothing; leave it out")
    return with_georeference(site, *how.origin)
