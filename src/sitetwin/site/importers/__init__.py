"""Importers: foreign descriptions of a place become a `Site`."""

from sitetwin.site.importers.insite import load_insite
from sitetwin.site.importers.sionna import builtin_scenes, load_scene

__all__ = ["builtin_scenes", "load_insite", "load_scene"]
