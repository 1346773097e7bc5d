"""One door to every kind of site: saved folders, and whatever can be imported."""

from __future__ import annotations

from pathlib import Path

from sitetwin.site.importers import load_scene
from sitetwin.site.io import is_saved_site, load_site
from sitetwin.site.model import Site


def open_site(name_or_path: str | Path) -> Site:
    """Read a saved site, or import a scene.

    Args:
        name_or_path: Folder that `save_site` wrote, or anything that `load_scene` takes.

    Raises:
        SiteTwinError: There is no such site, or it cannot be used.
    """
    return load_site(name_or_path) if is_saved_site(name_or_path) else load_scene(name_or_path)
