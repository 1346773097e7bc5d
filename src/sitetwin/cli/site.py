"""The commands `sitetwin site ...`."""

from __future__ import annotations

import typer

from sitetwin.cli.site_check import register_site_check
from sitetwin.cli.site_import import register_site_import
from sitetwin.cli.site_variant import register_site_variant

site_app = typer.Typer(
    help="Make sites of maps and meshes, look after them, and write them for others.", no_args_is_help=True
)
register_site_import(site_app)
register_site_check(site_app)
register_site_variant(site_app)
