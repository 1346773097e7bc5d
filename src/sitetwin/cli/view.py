"""The command `sitetwin view`: the city in the browser."""

from __future__ import annotations

import ipaddress
import threading
import warnings
from pathlib import Path
from typing import Annotated

import typer

from sitetwin.cli.console import say
from sitetwin.cli.options.groups import option_group, takes_groups
from sitetwin.cli.options.radios import Transmitter
from sitetwin.cli.options.single import Carrier, SiteOfPaths
from sitetwin.errors import SiteTwinWarning


@option_group("Page")
class Address:
    """Where the page is served."""

    host: Annotated[
        str,
        typer.Option(help="Address to listen on; other machines reach the page only at an address of their network."),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any that is free.")] = 8080

    def is_local(self) -> bool:
        """Whether this machine alone sees the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@takes_groups
def view(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="SITE|STORE",
            help="Sites, as for `sitetwin trace`, or stores of paths; several are variants to switch between.",
        ),
    ],
    transmitter: Transmitter,
    address: Address,
    paths: Annotated[
        list[Path] | None, typer.Option(help="Store of paths that was traced in one of the sites; may be repeated.")
    ] = None,
    scene: SiteOfPaths = None,
    values: Annotated[
        Path | None,
        typer.Option(
            help="Numbers of each user, such as the NMSE of a codec: FILE.npz or FILE.csv with one row for each."
        ),
    ] = None,
    channels: Annotated[
        list[Path] | None,
        typer.Option(help="Data set of channels of the paths, whose power colours the users; may be repeated."),
    ] = None,
    carrier: Carrier = 3.5e9,
    beams: Annotated[
        int, typer.Option(min=1, max=1024, help="Beams of the DFT codebook; its linear array has as many elements.")
    ] = 32,
) -> None:
    """Show sites, users and their rays in the browser, until Ctrl-C."""
    from sitetwin.channel.antennas.arrays import AntennaArray
    from sitetwin.channel.antennas.radio import Radio
    from sitetwin.view.channels import open_channels
    from sitetwin.view.server import Viewer, ViewSettings
    from sitetwin.view.sources import open_worlds, read_values

    tx = transmitter.radio("single")
    settings = ViewSettings(
        carrier,
        tx=tx,
        beams=Radio(AntennaArray.ula(beams), tx.orientation),
        values=read_values(values) if values is not None else {},
        channels=tuple(open_channels(path) for path in channels or []),
    )
    viewer = Viewer(open_worlds(targets, paths or [], scene), settings, address.host, address.port)
    if not address.is_local():
        warnings.warn(
            f"anyone who reaches {address.host} can see this page: it asks for no password",
            SiteTwinWarning,
            stacklevel=2,
        )
    say(f"{viewer.url} (Ctrl-C ends)")
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        say("stopped")
    finally:
        viewer.stop()
