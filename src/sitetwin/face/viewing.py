"""The city in the browser, from a notebook."""

from __future__ import annotations

from pathlib import Path

from sitetwin.hertz import check_carrier
from sitetwin.site import Site
from sitetwin.view.server import Viewer, ViewSettings
from sitetwin.view.sources import World, with_stores


def view(site: Site, *paths: str | Path, carrier_hz: float = 3.5e9, port: int = 0) -> Viewer:
    """Start a viewer of a site and of stores of paths that were traced in it.

    Args:
        site: The site.
        *paths: Folders of stores of paths.
        carrier_hz: Carrier at which the users' powers are shown, Hz.
        port: Port to listen on, this machine alone; 0 takes any that is free.

    Returns:
        The viewer. `.url` is its address, `.stop()` ends it.

    Raises:
        SiteTwinError: The carrier cannot be in hertz, a folder holds no finished store of paths, the paths are of
            another site, or the port is taken.
    """
    check_carrier("carrier_hz", carrier_hz)
    worlds = with_stores([World(site.name, site, ())], [Path(path) for path in paths])
    return Viewer(worlds, ViewSettings(carrier_hz), port=port)
