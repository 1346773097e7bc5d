"""Importers: foreign descriptions of a place become a `Site`."""

from sitetwin.site.importers.sionna import builtin_scenes, load_scene

__all__ = ["builtin_scenes", "load_scene"]
