"""Read lists of base stations from the command line, or from TOML or JSON files."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.names import named_pattern
from sitetwin.channel.antennas.patterns import Pattern
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.link_statistics import Downlink, peak_gain_db
from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose

LARGEST_FILE = 2**20
"""Bytes of a file of stations."""

MOST_STATIONS = 1000

_Finite = Annotated[float, Field(allow_inf_nan=False)]


def _plain_name(name: str) -> str:
    """A name that suits a table's heading and a legend."""
    if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= 40 or "," in name:
        raise ValueError("is no name of 1 to 40 printable characters without commas and outer spaces")
    return name


class Station(BaseModel):
    """A base station or one of its sectors: one antenna and its transmission.

    Attributes:
        name: Name of the station, unique among the stations; BS1, BS2, ... by default.
        position: (x, y, z) in the site's frame, metres.
        eirp_dbm: Transmitted power, all subcarriers together, times the antenna's peak gain, dBm.
        carrier_hz: Centre frequency of the band, Hz.
        subcarriers: Number of subcarriers; 3276 are the 273 resource blocks of 100 MHz at 30 kHz (3GPP TS 38.101-1,
            5.3.2).
        spacing_hz: Subcarrier spacing, Hz.
        yaw_deg: Azimuth of the boresight, degrees from east, counter-clockwise.
        downtilt_deg: Downtilt of the boresight, degrees below the horizon.
        roll_deg: Rotation of the antenna about its boresight, degrees.
        pattern: Antenna pattern: iso, dipole, hw_dipole, tr38901, or a measured one: FILE.msi, FILE.pln, FILE.csv.
        load: Share of its resource elements in use, 0 to 1, which determines its interference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, AfterValidator(_plain_name)] | None = None
    position: tuple[_Finite, _Finite, _Finite]
    eirp_dbm: float = Field(ge=-100, le=150)
    carrier_hz: float = Field(default=3.5e9, ge=1e6, le=1e12)
    subcarriers: int = Field(default=3276, ge=1, le=2**20)
    spacing_hz: float = Field(default=30e3, ge=1, le=1e11)
    yaw_deg: float = Field(default=0.0, ge=-360, le=360)
    downtilt_deg: float = Field(default=0.0, ge=-90, le=90)
    roll_deg: float = Field(default=0.0, ge=-180, le=180)
    pattern: str = "iso"
    load: float = Field(default=1.0, ge=0, le=1)

    @property
    def grid(self) -> OfdmGrid:
        """Carrier and subcarriers."""
        return OfdmGrid(self.carrier_hz, self.subcarriers, self.spacing_hz)

    @property
    def antenna(self) -> Pattern:
        """The pattern of its antenna; `named_pattern` says what it raises."""
        return named_pattern(self.pattern)

    @property
    def radio(self) -> Radio:
        """Its vertically polarised antenna, turned."""
        return Radio(AntennaArray.single(self.antenna), self.pose.orientation)

    @property
    def pose(self) -> Pose:
        """Where it stands and how its antenna is turned."""
        return Pose(self.position, *(math.radians(a) for a in (self.yaw_deg, self.downtilt_deg, self.roll_deg)))

    def at(self, pose: Pose) -> Station:
        """The station at another pose.

        Raises:
            SiteTwinError: The boresight is tilted by more than 90 degrees.
        """
        yaw, pitch, roll = (math.degrees(math.remainder(angle, 2 * math.pi)) for angle in pose.orientation)
        changes = {"position": pose.position, "yaw_deg": yaw, "downtilt_deg": pitch, "roll_deg": roll}
        return _station({**self.model_dump(), **changes}, f"station '{self.name or ''}' at another pose")

    @property
    def downlink(self) -> Downlink:
        """What it transmits: the power fed to the antenna is EIRP less the peak gain."""
        return Downlink(self.grid, self.eirp_dbm - peak_gain_db(self.antenna), self.load)


def read_stations(path: str | Path) -> list[Station]:
    """Read stations from a file: ``[[stations]]`` tables in TOML, or ``{"stations": [...]}`` in JSON.

    Pattern files are named relative to the file.

    Raises:
        SiteTwinError: The file cannot be read, is neither TOML nor JSON, or a station is not understood.
    """
    path = Path(path)
    where = f"stations file {path}"
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SiteTwinError(f"{where} cannot be read: {error.strerror or error}; check the path") from error
    if len(data) > LARGEST_FILE:
        raise SiteTwinError(f"{where} is larger than {LARGEST_FILE // 2**20} MiB; check that it is the right file")
    ending = path.suffix.lower()
    if ending not in (".toml", ".json"):
        raise SiteTwinError(f"{where} ends in '{ending}'; give a .toml or a .json file")
    try:
        content = tomllib.loads(data.decode("utf-8")) if ending == ".toml" else json.loads(data)
    except (ValueError, RecursionError) as error:  # of TOML, JSON and UTF-8 alike
        raise SiteTwinError(f"{where} is no {ending[1:].upper()}: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict) or set(content) != {"stations"} or not isinstance(content["stations"], list):
        raise SiteTwinError(
            f"{where} must hold one list named 'stations' and nothing else; see docs/how-to/coverage.md"
        )
    return [
        _station(_beside(entry, path.parent), f"{where}, station {number}")
        for number, entry in enumerate(content["stations"], 1)
    ]


def _beside(entry: Any, folder: Path) -> Any:
    """The entry with its pattern file, if it names one, relative to the folder."""
    if isinstance(entry, dict) and isinstance(entry.get("pattern"), str) and Path(entry["pattern"]).suffix:
        return {**entry, "pattern": str(folder / entry["pattern"])}
    return entry


def parse_station(text: str) -> Station:
    """Parse a station from words such as ``position=8.5,21,27 eirp_dbm=46 pattern=tr38901 yaw_deg=90``.

    Raises:
        SiteTwinError: A word is not ``key=value``, a key is unknown or given twice, or a value is out of its range.
    """
    entry: dict[str, Any] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        if not equals or not key or not value:
            raise SiteTwinError(f"station {text!r}: '{word}' is no key=value; write position=X,Y,Z eirp_dbm=46 ...")
        if key in entry:
            raise SiteTwinError(f"station {text!r}: '{key}' is given twice; give it once")
        entry[key] = value.split(",") if key == "position" else value
    return _station(entry, f"station {text!r}")


def _station(entry: Any, where: str) -> Station:
    try:
        return Station.model_validate(entry)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"]) or "the entry"
        if problem["type"] == "extra_forbidden":
            said = f"'{key}' is unknown; known are {', '.join(Station.model_fields)}"
        elif problem["type"] == "missing":
            said = f"'{key}' is missing; give it"
        else:
            said = f"'{key}': {problem['msg'][:200]}; mend it"
        raise SiteTwinError(f"{where}: {said}") from error


def named_stations(stations: Sequence[Station]) -> list[Station]:
    """Give each station a name, and check antennas and bands, so that errors come before any work.

    Raises:
        SiteTwinError: There is no station, there are too many, two share a name, or a pattern or band is impossible.
    """
    if not stations:
        raise SiteTwinError("no station was given; give at least one, such as 'position=X,Y,Z eirp_dbm=46'")
    if len(stations) > MOST_STATIONS:
        raise SiteTwinError(f"{len(stations)} stations were given; give at most {MOST_STATIONS}")
    named = [s if s.name else s.model_copy(update={"name": f"BS{n}"}) for n, s in enumerate(stations, 1)]
    names = [station.name for station in named]
    for name in names:
        if names.count(name) > 1:
            raise SiteTwinError(f"two stations are named '{name}'; give each its own name")
    for station in named:
        _ = station.downlink  # raises where the pattern or the band cannot be
    return named
