"""Which antennas the two ends have, and where they look."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sitetwin.cli.options.groups import option_group
from sitetwin.cli.options.single import ArrayAzimuth, ArrayDowntilt, ArrayYaw
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    from sitetwin.channel.antennas.radio import Radio

_ARRAY = "single, ula:32 or upa:8x8; with a polarisation where it is not V: upa:8x8:VH (V, H, VH, cross)."
_PATTERN = "iso, dipole, hw_dipole, tr38901, or a measured one: FILE.msi, FILE.pln, FILE.csv."
PATTERNS = ("iso", "dipole", "hw_dipole", "tr38901")


def _patterns() -> list[str]:
    return list(PATTERNS)


@option_group("Antennas")
class Transmitter:
    """Pattern and boresight of a transmitter."""

    bs_yaw: ArrayYaw = 0.0
    bs_azimuth: ArrayAzimuth = None
    bs_downtilt: ArrayDowntilt = 0.0
    pattern: Annotated[
        str, typer.Option(autocompletion=_patterns, help=f"Pattern of the transmitter's elements: {_PATTERN}")
    ] = "iso"

    def radio(self, array: str) -> Radio:
        """The transmitter with an array of that name."""
        from sitetwin.channel.antennas.names import named_array, named_pattern
        from sitetwin.channel.antennas.radio import Radio

        if self.bs_azimuth is not None and self.bs_yaw:
            raise SiteTwinError("--bs-yaw and --bs-azimuth both turn the transmitter; give one")
        yaw = self.bs_yaw if self.bs_azimuth is None else math.remainder(90.0 - self.bs_azimuth, 360.0)
        orientation = (math.radians(yaw), math.radians(self.bs_downtilt), 0.0)
        return Radio(named_array(array, named_pattern(self.pattern)), orientation)


@option_group("Antennas")
class ArrayChoices(Transmitter):
    """The arrays of both ends."""

    bs_array: Annotated[str, typer.Option(help=f"Array of the transmitter: {_ARRAY}")] = "ula:32"
    bs_file: Annotated[
        Path | None,
        typer.Option(
            help="Or the transmitter's array, pattern and turn from a file, as `sitetwin calibrate` writes it; what it "
            "names is not given beside it."
        ),
    ] = None
    ue_array: Annotated[str, typer.Option(help="Array of the users, in the same form.")] = "single"
    ue_pattern: Annotated[str, typer.Option(autocompletion=_patterns, help="Pattern of the users' elements.")] = "iso"

    def radios(self) -> tuple[Radio, Radio]:
        """The transmitter and the users.

        Raises:
            SiteTwinError: An array or a pattern has no such name.
        """
        from sitetwin.channel.antennas.names import named_array, named_pattern
        from sitetwin.channel.antennas.radio import Radio

        transmitter = self.radio(self.bs_array) if self.bs_file is None else self._of_file(self.bs_file)
        return transmitter, Radio(named_array(self.ue_array, named_pattern(self.ue_pattern)))

    def _of_file(self, file: Path) -> Radio:
        """The transmitter of a file; an option that says what the file says is refused."""
        from sitetwin.channel.antennas.station_radio import read_station_radio

        default = type(self)()
        turned = [
            name for name in ("bs_yaw", "bs_azimuth", "bs_downtilt") if getattr(self, name) != getattr(default, name)
        ]
        if turned:
            option = turned[0].replace("_", "-")
            raise SiteTwinError(f"--bs-file turns the transmitter, and so does --{option}; give one of them")
        station = read_station_radio(file)
        array = None if self.bs_array == default.bs_array else self.bs_array
        return station.radio(array, None if self.pattern == default.pattern else self.pattern)


@option_group("Antennas")
class PathArrays(ArrayChoices):
    """The arrays of both ends, between single antennas where none are named."""

    bs_array: Annotated[str, typer.Option(help=f"Array of the transmitter: {_ARRAY}")] = "single"
