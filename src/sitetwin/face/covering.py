"""Coverage of an area by base stations, in one call."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from sitetwin.channel import FieldOptions
from sitetwin.channel.stations import GeographicStation, Station, named_stations
from sitetwin.errors import SiteTwinError
from sitetwin.face.tracing import TraceChoices, trace_settings
from sitetwin.site import Site, latlon_box
from sitetwin.studies.coverage import Area, Coverage, CoverageSettings, run_coverage
from sitetwin.studies.frame import Progress, silent


def coverage(
    site: Site,
    stations: Sequence[Station | GeographicStation] | Station | GeographicStation,
    area: tuple[float, float, float, float],
    spacing: float = 2.0,
    height: float = 1.5,
    *,
    settings: CoverageSettings | None = None,
    degrees: bool = False,
    allow_indoors: bool = False,
    folder: str | Path | None = None,
    progress: Progress = silent,
    resume: bool = True,
    **choices: Unpack[TraceChoices],
) -> Coverage:
    """Compute what users on a grid receive from base stations: path gain, RSRP, SINR, best server, spreads.

    Args:
        site: The site.
        stations: One station or several, such as ``Station(position=(8.5, 21, 27), eirp_dbm=46, pattern="tr38901",
            yaw_deg=90)``, or by latitude and longitude (`GeographicStation`).
        area: (xmin, ymin, xmax, ymax) of the users in metres; with `degrees`, (south, west, north, east).
        spacing: Metres between users.
        height: Height of the users above the ground, metres.
        degrees: Whether the area is a box of latitudes and longitudes; the users then stand in the rectangle of the
            local frame that just holds it, and the site needs a georeference.
        settings: How paths are traced and fields computed; by default as `FieldOptions` and the choices say.
        allow_indoors: Allow users and stations inside buildings.
        folder: Folder where the paths are kept, so that an interrupted run can continue and other antennas need no new
            trace. Without a folder, paths are not kept.
        progress: Called with the stage and its finished share, 0 to 1.
        resume: Whether to go on with paths that are in the folder.
        **choices: Fields of `TraceSettings` by name, such as ``max_depth=3, diffraction=True``.

    Returns:
        The coverage. It has `.plot(quantity)` and `.to_xarray()`.

    Raises:
        SiteTwinError: Choices were given beside settings, a station stands in a wall, two share a name, no user stands
            outdoors, a carrier is outside of a material's range and that is refused, or the disk cannot be written.
    """
    several = [stations] if isinstance(stations, (Station, GeographicStation)) else list(stations)
    given = named_stations(several, site, allow_indoors=allow_indoors)
    if degrees:
        area = latlon_box(site, *area).bounds
    west, south, east, north = map(float, area)  # whole numbers would be written as such, and be other bytes
    users = Area((west, south, east, north), float(spacing), float(height), allow_indoors)
    if settings is not None and choices:
        raise SiteTwinError(f"settings were given and {min(choices)} beside them; put it into the settings")
    chosen = settings or CoverageSettings(trace_settings(**choices), FieldOptions())
    if folder is not None:
        return run_coverage(site, given, users, chosen, folder, progress, resume)
    with tempfile.TemporaryDirectory() as passing:
        return run_coverage(site, given, users, chosen, passing, progress)
