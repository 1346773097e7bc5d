"""The command `sitetwin view`: the city in the browser."""

from __future__ import annotations

import ipaddress
import math
import threading
import warnings
from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import say
from sitetwin.cli.field_options import ANGLES_DEG, CARRIERS_HZ, check_range
from sitetwin.cli.options import ArrayDowntilt, ArrayYaw, Carrier, SiteOfPaths
from sitetwin.errors import SiteTwinWarning


def register_view(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("view")(view)


def view(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="SITE|STORE",
            help="Sites, as for `sitetwin trace`, or stores of paths; several are variants to switch between.",
        ),
    ],
    paths: Annotated[
        list[Path] | None, typer.Option(help="Store of paths that was traced in one of the sites; may be repeated.")
    ] = None,
    scene: SiteOfPaths = None,
    values: Annotated[
        Path | None,
        typer.Option(help="Numbers per user, such as the NMSE of a codec: FILE.npz or FILE.csv, one row per user."),
    ] = None,
    channels: Annotated[
        list[Path] | None,
        typer.Option(help="Data set of channels made from the paths: users by channel power; may be repeated."),
    ] = None,
    carrier: Carrier = 3.5e9,
    beams: Annotated[int, typer.Option(min=1, max=1024, help="Beams of the DFT codebook: elements of its ULA.")] = 32,
    bs_yaw: ArrayYaw = 0.0,
    bs_downtilt: ArrayDowntilt = 0.0,
    pattern: Annotated[str, typer.Option(help="Pattern of the transmitters, as for `sitetwin channels`.")] = "iso",
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine see other addresses.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8080,
) -> None:
    """Show sites, users and their rays in the browser, until Ctrl-C."""
    check_range("--carrier", carrier, CARRIERS_HZ, "hertz, such as 3.5e9")
    check_range("--bs-yaw", bs_yaw, ANGLES_DEG, "degrees")
    check_range("--bs-downtilt", bs_downtilt, ANGLES_DEG, "degrees")

    from sitetwin.channel.antennas.arrays import AntennaArray, Radio
    from sitetwin.channel.antennas.names import named_array, named_pattern
    from sitetwin.view.channels import open_channels
    from sitetwin.view.server import Viewer, ViewSettings
    from sitetwin.view.sources import open_worlds, read_values

    turned = (math.radians(bs_yaw), math.radians(bs_downtilt), 0.0)
    settings = ViewSettings(
        carrier,
        tx=Radio(named_array("single", named_pattern(pattern)), turned),
        beams=Radio(AntennaArray.ula(beams), turned),
        values=read_values(values) if values is not None else {},
        channels=tuple(open_channels(path) for path in channels or []),
    )
    viewer = Viewer(open_worlds(targets, paths or [], scene), settings, host, port)
    if not _is_local(host):
        warnings.warn(
            f"anyone who reaches {host} can see this page: it asks for no password", SiteTwinWarning, stacklevel=2
        )
    say(f"{viewer.url} (Ctrl-C ends)")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        viewer.stop()


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
