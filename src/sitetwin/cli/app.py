"""The command line: `sitetwin ...`.

Each command stands in a file of its own and imports what it needs when it runs: a mistyped option is answered at once,
and so is `--help`.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from sitetwin.cli import (
    beams,
    codec,
    store,
    study_beams,
    study_calibration,
    study_csi,
    study_fidelity,
    study_precoding,
    study_rates,
    study_upkeep,
    study_vision,
)
from sitetwin.cli.calibrate import calibrate
from sitetwin.cli.channels import channels
from sitetwin.cli.codec_fit import fit
from sitetwin.cli.codec_monitor import monitor
from sitetwin.cli.console import out
from sitetwin.cli.convergence import convergence
from sitetwin.cli.coverage import coverage
from sitetwin.cli.doctor import doctor
from sitetwin.cli.export import export
from sitetwin.cli.failures import Group
from sitetwin.cli.site_check import check
from sitetwin.cli.site_export import export_site
from sitetwin.cli.site_fetch import fetch
from sitetwin.cli.site_import import import_site
from sitetwin.cli.site_variant import variant
from sitetwin.cli.trace import trace
from sitetwin.cli.view import view
from sitetwin.cli.vision_models import fetch_models, list_models
from sitetwin.cli.vision_watch import watch
from sitetwin.errors import SiteTwinError
from sitetwin.version import __version__

app = typer.Typer(
    cls=Group,
    help="Site-specific wireless digital twins.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (doctor, trace, convergence, channels, coverage, calibrate, export, view):
    app.command(command.__name__)(command)

store_app = typer.Typer(help="Look after stores of paths and data sets.", no_args_is_help=True)
for name, command in (("verify", store.verify), ("compact", store.compact), ("info", store.info)):
    store_app.command(name)(command)
app.add_typer(store_app, name="store")

codec_app = typer.Typer(help="A codec of CSI feedback for your own cell.", no_args_is_help=True)
for name, command in (
    ("fit", fit),
    ("update", codec.update),
    ("monitor", monitor),
    ("eval", codec.evaluate),
    ("encode", codec.encode),
    ("decode", codec.decode),
    ("export", codec.export),
    ("info", codec.info),
):
    codec_app.command(name)(command)
app.add_typer(codec_app, name="codec")

beams_app = typer.Typer(help="A predictor of the best beams for your own station.", no_args_is_help=True)
for name, command in (("fit", beams.fit), ("predict", beams.predict), ("eval", beams.evaluate)):
    beams_app.command(name)(command)
app.add_typer(beams_app, name="beams")

study_app = typer.Typer(help="Run a study from a frozen configuration to a page of results.", no_args_is_help=True)
study_app.command("csi")(study_csi.csi)
study_app.command("csi-sets")(study_csi.csi_sets)
study_app.command("csi-network")(study_csi.csi_network)
study_app.command("beams")(study_beams.beams)
study_app.command("precoding")(study_precoding.precoding)
study_app.command("calibration")(study_calibration.calibration)
study_app.command("fidelity")(study_fidelity.fidelity)
study_app.command("rates")(study_rates.rates)
study_app.command("upkeep")(study_upkeep.upkeep)
study_app.command("vision")(study_vision.vision)
app.add_typer(study_app, name="study")

site_app = typer.Typer(
    help="Make sites of maps and meshes, look after them, and write them for others.", no_args_is_help=True
)
for name, command in (
    ("import", import_site),
    ("fetch", fetch),
    ("export", export_site),
    ("check", check),
    ("variant", variant),
):
    site_app.command(name)(command)
app.add_typer(site_app, name="site")

vision_app = typer.Typer(help="See the street through a camera.", no_args_is_help=True)
models_app = typer.Typer(help="Published networks on this machine.", no_args_is_help=True)
models_app.command("list")(list_models)
models_app.command("fetch")(fetch_models)
vision_app.add_typer(models_app, name="models")
vision_app.command("watch")(watch)
app.add_typer(vision_app, name="vision")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"sitetwin {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Site-specific wireless digital twins."""
    try:
        os.getcwd()
    except OSError as error:  # libraries end the whole process over this
        raise SiteTwinError("the current folder no longer exists; change to another one") from error


def main() -> None:
    """Run the command line on the arguments of this process."""
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without Unicode still gets an answer
    app()
