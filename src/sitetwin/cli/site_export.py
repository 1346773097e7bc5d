"""The command `sitetwin site export`: a site for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import say
from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.single import SiteName, carrier_option, choice
from sitetwin.cli.site_build import print_account
from sitetwin.errors import SiteTwinError

FORMATS = ("mitsuba", "glb", "geojson")


def export_site(
    ctx: Context,
    scene: SiteName,
    to: Annotated[Path, typer.Option("--out", help="Folder of the Mitsuba scene, or file to write.")],
    form: Annotated[
        str,
        choice(
            *FORMATS,
            option="--format",
            help="Format to write: mitsuba for Sionna RT; geojson holds footprints and trees.",
            checked=False,
        ),
    ] = "mitsuba",
    carrier: Annotated[
        float,
        carrier_option("Carrier in Hz at which mitsuba gets the constants of materials that Sionna RT does not know."),
    ] = 3.5e9,
) -> None:
    """Write a site for other programs, and say what their format cannot hold."""
    if form not in FORMATS:
        raise SiteTwinError(f"--format '{form}' is unknown; choose mitsuba, glb or geojson")
    if form != "mitsuba":
        refuse_idle(ctx, ("carrier",), f"with --format {form}; leave it out")

    from sitetwin.site import open_site
    from sitetwin.site.exporters import export_footprints, export_glb, export_mitsuba

    site = open_site(scene)
    if form == "mitsuba":
        ledger = export_mitsuba(site, to, carrier)
    else:
        ledger = export_glb(site, to) if form == "glb" else export_footprints(site, to)
    print_account(ledger.to_list())
    say(str(to))
