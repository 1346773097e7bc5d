"""Importers make a `Site` from scene files of other programs."""

from sitetwin.site.importers.cityjson import CITYJSON_SUFFIXES, load_cityjson
from sitetwin.site.importers.insite import load_insite
from sitetwin.site.importers.load import load_scene
from sitetwin.site.importers.mesh_files import MESH_SUFFIXES, load_mesh
from sitetwin.site.importers.sionna import builtin_scenes

__all__ = [
    "CITYJSON_SUFFIXES",
    "MESH_SUFFIXES",
    "builtin_scenes",
    "load_cityjson",
    "load_insite",
    "load_mesh",
    "load_scene",
]
