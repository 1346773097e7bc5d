"""The commands `sitetwin site ...`."""

from __future__ import annotations

import typer

from sitetwin.cli_site_check import register_site_check

site_app = typer.Typer(help="Make sites and look after them.", no_args_is_help=True)
register_site_check(site_app)
