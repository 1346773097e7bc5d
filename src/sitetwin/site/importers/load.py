"""Choose the importer: by the suffix of a file, or by the name of a built-in scene."""

from __future__ import annotations

import os
from pathlib import Path

from sitetwin.site.importers.cityjson import CITYJSON_SUFFIXES, load_cityjson
from sitetwin.site.importers.insite import is_insite, load_insite
from sitetwin.site.importers.mesh_files import MESH_SUFFIXES, load_mesh
from sitetwin.site.importers.sionna import load_builtin, load_mitsuba
from sitetwin.site.site import Site
from sitetwin.untrusted import naming


def load_scene(name_or_path: str | Path) -> Site:
    """Make a site from a scene file, a project, or a scene that comes with Sionna RT.

    Args:
        name_or_path: Path of a Mitsuba XML file (".xml"), of a Wireless InSite project (its folder, its ".setup" file,
            or one of its meshes: ".city", ".ter", ...), of a CityJSON file (".json", ".jsonl"), of a mesh (".glb",
            ".gltf", ".obj", ".ply"); or the name of a built-in scene in any case ("munich").

    Raises:
        SiteTwinError: There is no such scene, or the file, one of its meshes or one of its materials cannot be used;
            the message says which one and how to mend it.
    """
    path = Path(name_or_path)
    suffix = path.suffix.lower()
    with naming(path, f"'{path}'"):
        if str(name_or_path).strip() and is_insite(path):
            return load_insite(path)
        if suffix in MESH_SUFFIXES:
            return load_mesh(path)
        if suffix in CITYJSON_SUFFIXES:
            return load_cityjson(path)
        if suffix == ".xml" or os.path.isfile(path):
            return load_mitsuba(path)
    return load_builtin(str(name_or_path))
