"""Where a station stands, how its array is turned and what its elements radiate, in a small file of text (TOML)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field

from sitetwin.channel.antennas.arrays import POLARISATIONS, AntennaArray
from sitetwin.channel.antennas.names import named_array, named_pattern
from sitetwin.channel.antennas.patterns import PATTERNS, Pattern, Tr38901, same_pattern
from sitetwin.channel.antennas.radio import Radio
from sitetwin.errors import SiteTwinError
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.untrusted.models import read_model

_LARGEST_FILE = 2**16
_Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE)]


class StationRadio(BaseModel):
    """The place and the radio of a station, as `sitetwin calibrate` writes them.

    Attributes:
        position: (x, y, z) in the site's frame, metres.
        yaw_deg: Azimuth of the boresight, degrees from east, counter-clockwise.
        downtilt_deg: Downtilt of the boresight, degrees below the horizon.
        roll_deg: Rotation about the boresight, degrees.
        array: Name of the array, such as "upa:4x8:cross"; None where it has no name.
        pattern: Name of the pattern of its elements, or a file; None where it is not known.
        beamwidth_deg: Beam width of a pattern "tr38901", degrees; None for that of the Recommendation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    position: tuple[_Coordinate, _Coordinate, _Coordinate]
    yaw_deg: float = Field(default=0.0, ge=-360, le=360)
    downtilt_deg: float = Field(default=0.0, ge=-90, le=90)
    roll_deg: float = Field(default=0.0, ge=-360, le=360)
    array: str | None = None
    pattern: str | None = None
    beamwidth_deg: float | None = Field(default=None, gt=0, le=1000)

    @classmethod
    def of(cls, position: Sequence[float], radio: Radio) -> StationRadio:
        """Describe a station.

        Args:
            position: (x, y, z), metres.
            radio: Its radio, with one orientation.
        """
        turn = [math.degrees(math.remainder(a, 2 * math.pi)) for a in torch.as_tensor(radio.orientation).tolist()]
        pattern, width = _pattern_name(radio.array.pattern)
        x, y, z = (float(v) for v in position)
        return cls(
            position=(x, y, z),
            yaw_deg=turn[0],
            downtilt_deg=turn[1],
            roll_deg=turn[2],
            array=_array_name(radio.array),
            pattern=pattern,
            beamwidth_deg=width,
        )

    def radio(self, array: str | None = None, pattern: str | None = None) -> Radio:
        """The radio.

        Args:
            array: Name of the array, where the file has none.
            pattern: Name or file of the pattern, where the file has none.

        Raises:
            SiteTwinError: A name is missing, unknown, or given here and in the file.
        """
        names = {"array": (self.array, array), "pattern": (self.pattern, pattern)}
        for what, (own, given) in names.items():
            if own is not None and given is not None:
                raise SiteTwinError(f"the station's file names its {what}, {own}; leave out the other one, {given}")
        shape, name = self.array or array, self.pattern or pattern
        if shape is None or name is None:
            what = "array" if shape is None else "pattern"
            raise SiteTwinError(f"the station's file names no {what}; give the {what}")
        element = named_pattern(name)
        if self.beamwidth_deg is not None:
            if not isinstance(element, Tr38901):
                raise SiteTwinError("the station's file has a beam width, which only the pattern tr38901 has")
            element = replace(element, beamwidth_deg=self.beamwidth_deg)
        turn = (math.radians(self.yaw_deg), math.radians(self.downtilt_deg), math.radians(self.roll_deg))
        return Radio(named_array(shape, element), turn)

    def text(self) -> str:
        """The file's text; equal stations have equal texts."""
        lines = [f"position = [{', '.join(f'{v:.6f}' for v in self.position)}]  # x, y, z in the site's frame, metres"]
        lines += [f"{name} = {getattr(self, name):.6f}" for name in ("yaw_deg", "downtilt_deg", "roll_deg")]
        lines += [f'{name} = "{value}"' for name in ("array", "pattern") if (value := getattr(self, name)) is not None]
        if self.beamwidth_deg is not None:
            lines.append(f"beamwidth_deg = {self.beamwidth_deg:.6f}")
        return "\n".join(lines) + "\n"


def read_station_radio(path: str | Path) -> StationRadio:
    """Read the place and the radio of a station from a file of text (TOML).

    Raises:
        SiteTwinError: The file cannot be read, is no TOML, or has an unknown key or a wrong value.
    """
    keys = f"it may hold {', '.join(StationRadio.model_fields)}"
    return read_model(path, StationRadio, f"station {path}", _LARGEST_FILE, keys)


def _array_name(array: AntennaArray) -> str | None:
    """The name of an array that has one."""
    if array.shape is None:
        return None
    rows, columns = array.shape
    size = "single" if rows == columns == 1 else f"upa:{rows}x{columns}"
    for polarisation in POLARISATIONS:
        name = size if polarisation == "V" else f"{size}:{polarisation}"
        other = named_array(name)
        same = torch.equal(other.positions.double(), array.positions.detach().double())
        if same and other.slants == array.slants:
            return name
    return None


def _pattern_name(pattern: Pattern) -> tuple[str | None, float | None]:
    """The name of a pattern that has one, and its beam width where it is another than that of the name."""
    for name, make in PATTERNS.items():
        if same_pattern(make(), pattern):
            return name, None
    if isinstance(pattern, Tr38901) and same_pattern(replace(Tr38901(), beamwidth_deg=pattern.beamwidth_deg), pattern):
        return "tr38901", float(pattern.beamwidth_deg)
    return None, None
