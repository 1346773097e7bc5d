"""Open any kind of site: saved folders, and everything that can be imported."""

from __future__ import annotations

import os
from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.site.foreign import refuse_foreign
from sitetwin.site.importers import CITYJSON_SUFFIXES, MESH_SUFFIXES, load_scene
from sitetwin.site.importers.insite import is_insite
from sitetwin.site.importers.json_kind import is_cityjson
from sitetwin.site.io import is_saved_site, load_site
from sitetwin.site.site import Site
from sitetwin.untrusted import read_head

MAP_SUFFIXES = (".osm", ".pbf", ".geojson", ".gz", ".bz2", ".shp", ".gpkg", ".zip")
"""Files that are maps by their names; Overpass answers are maps too, under the suffix .json."""


_OSM_SIGN, _SCENE_SIGN = b"<osm", b"<scene"
_LOOKED_AT = 1 << 16  # bytes of a file in which its type is sought


def is_map(path: Path) -> bool:
    """Return whether a file is a map: by its name or, where the name is not enough, by its content.

    A folder is one if it holds shapefiles.
    """
    suffix = path.suffix.lower()
    if os.path.isdir(path):  # False also for a name that is too long
        return _holds_shapefiles(path)
    if suffix in MAP_SUFFIXES:
        return True
    if is_insite(path) or suffix in MESH_SUFFIXES or (suffix in CITYJSON_SUFFIXES and suffix != ".json"):
        return False
    try:
        if suffix == ".json":
            return not is_cityjson(path)
        head = read_head(path, _LOOKED_AT)
    except SiteTwinError:
        return suffix == ".json"  # the readers say what is wrong; others may be names of built-in scenes
    return _OSM_SIGN in head if suffix == ".xml" else _SCENE_SIGN not in head


def _holds_shapefiles(folder: Path) -> bool:
    try:
        return not is_saved_site(folder) and any(file.suffix.lower() == ".shp" for file in folder.iterdir())
    except OSError:
        return False


def open_site(name_or_path: str | Path) -> Site:
    """Read a saved site, or import a scene.

    Args:
        name_or_path: Folder that `save_site` wrote, or anything that `load_scene` takes.

    Raises:
        SiteTwinError: There is no such site, it cannot be used, or it is a map, from which a site must be made first.
    """
    path = Path(name_or_path)
    if (os.path.isdir(path) and is_map(path)) or (path.suffix.lower() in MAP_SUFFIXES and os.path.isfile(path)):
        raise SiteTwinError(
            f"'{name_or_path}' is a map; make a site of it with `sitetwin site import {name_or_path} --out FOLDER` "
            "and give that folder, or open it with sitetwin.open_site"
        )
    if os.path.isfile(path):
        refuse_foreign(path)
    site = load_site(name_or_path) if is_saved_site(name_or_path) else load_scene(name_or_path)
    site.remember_place(name_or_path)
    return site
