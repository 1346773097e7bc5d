"""One door to every kind of site: saved folders, and whatever can be imported."""

from __future__ import annotations

from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.site.importers import load_scene
from sitetwin.site.io import is_saved_site, load_site
from sitetwin.site.model import Site

MAP_SUFFIXES = (".osm", ".pbf", ".geojson", ".gz", ".bz2")
"""Files that are maps by their names; Overpass answers are maps too, under the suffix .json."""


def open_site(name_or_path: str | Path) -> Site:
    """Read a saved site, or import a scene.

    Args:
        name_or_path: Folder that `save_site` wrote, or anything that `load_scene` takes.

    Raises:
        SiteTwinError: There is no such site, or it cannot be used; or it is a map, of which a site is to be made first.
    """
    if Path(name_or_path).suffix.lower() in MAP_SUFFIXES and Path(name_or_path).is_file():
        raise SiteTwinError(
            f"'{name_or_path}' is a map; make a site of it with `sitetwin site import {name_or_path} --out FOLDER`, "
            "and give that folder"
        )
    return load_site(name_or_path) if is_saved_site(name_or_path) else load_scene(name_or_path)
