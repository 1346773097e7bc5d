"""The command `sitetwin site fetch`: a place from OpenStreetMap."""

from __future__ import annotations

from typing import Annotated

import typer

from sitetwin.cli.console import progress_bars
from sitetwin.cli.failures import Context
from sitetwin.cli.options.groups import takes_groups
from sitetwin.cli.options.maps import MapBuild
from sitetwin.cli.site_build import Force, SiteFolder, finish_site


@takes_groups
def fetch(
    ctx: Context,
    place: Annotated[str, typer.Argument(metavar="PLACE", help="Name of a place, or LATITUDE,LONGITUDE.")],
    to: SiteFolder,
    build: MapBuild,
    radius: Annotated[float, typer.Option(help="Metres around the place that are read.")] = 300.0,
    force: Force = False,
) -> None:
    """Download a place from OpenStreetMap once, keep what was sent beside the site, and make the site of it."""
    import sitetwin as st
    from sitetwin.site.io import check_site_folder

    check_site_folder(to)
    options = build.options(ctx)
    kept = to.with_name(to.name + ".map")
    with progress_bars() as tell:
        site = st.fetch_site(place, kept, radius=radius, options=options, progress=tell)
    finish_site(site, to, force)
