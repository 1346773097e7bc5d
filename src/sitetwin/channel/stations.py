"""Read lists of base stations from the command line, or from TOML or JSON files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.channel.antennas.names import named_pattern
from sitetwin.channel.antennas.patterns import Pattern
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.link_statistics import Downlink, peak_gain_db
from sitetwin.channel.station_entries import ALIASES, GEOGRAPHIC, geographic_place, plain_entry
from sitetwin.errors import SiteTwinError, said_of
from sitetwin.geographic import LATLON, LatLon
from sitetwin.hertz import CARRIERS_HZ, SPACINGS_HZ, check_carrier, check_spacing
from sitetwin.site import Pose, Site, place_latlon
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.untrusted import parse_json, parse_toml, read_bytes

LARGEST_FILE = 2**20
"""Bytes of a file of stations."""

MOST_STATIONS = 1000

_LIMITS = {
    "greater_than_equal": ("of at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("of at most", "le"),
    "less_than": ("below", "lt"),
}
"""By kind of pydantic's problem, how a limit is said, and its name in the problem's context."""

_Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-LARGEST_COORDINATE, le=LARGEST_COORDINATE)]


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

    In place of `yaw_deg`, ``azimuth_deg`` may be given: degrees from north, clockwise. In place of `eirp_dbm`,
    ``power_dbm`` may be given, the transmitter's output, with ``gain_dbi`` (by default the peak gain of the pattern)
    and ``cable_loss_db`` (0 by default). `GeographicStation` takes latitude and longitude.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _in_its_own_keys(cls, entry: Any) -> Any:
        return plain_entry(entry) if isinstance(entry, dict) else entry

    @model_validator(mode="wrap")
    @classmethod
    def _refused_in_a_sentence(cls, entry: Any, validate: Any) -> Any:  # the handler of pydantic
        try:
            return validate(entry)
        except ValidationError as error:
            raise SiteTwinError(_sentence(error.errors()[0])) from error

    name: Annotated[str, AfterValidator(_plain_name)] | None = None
    position: tuple[_Coordinate, _Coordinate, _Coordinate]
    eirp_dbm: float = Field(ge=-100, le=150)
    carrier_hz: float = Field(default=3.5e9, ge=CARRIERS_HZ[0], le=CARRIERS_HZ[1])
    subcarriers: int = Field(default=3276, ge=1, le=2**20)
    spacing_hz: float = Field(default=30e3, ge=SPACINGS_HZ[0], le=SPACINGS_HZ[1])
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
        found = _station({**self.model_dump(), **changes}, f"station '{self.name or ''}' at another pose")
        assert isinstance(found, Station)
        return found

    @property
    def downlink(self) -> Downlink:
        """What it transmits: the power fed to the antenna is EIRP less the peak gain."""
        return Downlink(self.grid, self.eirp_dbm - peak_gain_db(self.antenna), self.load)


@dataclass(frozen=True, init=False)
class GeographicStation:
    """A base station by latitude and longitude, which becomes a `Station` on a site.

    Attributes:
        place: Where it stands.
        sector: What it is otherwise; its position means nothing.
    """

    place: LatLon
    sector: Station

    def __init__(self, latitude: float, longitude: float, height_m: float, above: str = "ground", **keys: Any) -> None:
        """Make a station.

        Args:
            latitude: WGS84, degrees.
            longitude: WGS84, degrees.
            height_m: Metres above the ground or the roof there.
            above: "ground" or "roof".
            **keys: The keys of `Station` but for its position, such as ``eirp_dbm=46, azimuth_deg=120``.

        Raises:
            SiteTwinError: A key is unknown or missing, or a value is out of its range.
        """
        entry = {"latitude": latitude, "longitude": longitude, "height_m": height_m, "above": above}
        made = _station({**keys, **entry}, "station")
        assert isinstance(made, GeographicStation)
        object.__setattr__(self, "place", made.place)
        object.__setattr__(self, "sector", made.sector)

    @classmethod
    def of(cls, place: LatLon, sector: Station) -> GeographicStation:
        """Make a station of its parts."""
        made = object.__new__(cls)
        object.__setattr__(made, "place", place)
        object.__setattr__(made, "sector", sector)
        return made

    def on(self, site: Site, *, allow_indoors: bool = False) -> Station:
        """Place the station on a site.

        Args:
            site: The site; it needs a georeference.
            allow_indoors: Accept a place inside a building.

        Raises:
            SiteTwinError: The site has no georeference, or the place is not on it, has no roof or lies in a building.
        """
        place = self.place
        pose = place_latlon(
            site, place.latitude, place.longitude, place.height, place.above, allow_indoors=allow_indoors
        )
        return self.sector.model_copy(update={"position": pose.position})


def read_stations(path: str | Path) -> list[Station | GeographicStation]:
    """Read stations from a file: ``[[stations]]`` tables in TOML, or ``{"stations": [...]}`` in JSON.

    Pattern files are named relative to the file.

    Raises:
        SiteTwinError: The file cannot be read, is neither TOML nor JSON, or a station is not understood.
    """
    path = Path(path)
    where = f"stations file {path}"
    data = read_bytes(path, where, LARGEST_FILE)
    ending = path.suffix.lower()
    if ending not in (".toml", ".json"):
        raise SiteTwinError(f"{where} ends in '{ending}'; give a .toml or a .json file")
    content = parse_toml(data, where) if ending == ".toml" else parse_json(data, where)
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


def parse_station(text: str) -> Station | GeographicStation:
    """Parse a station from words such as ``position=8.5,21,27 eirp_dbm=46 pattern=tr38901 yaw_deg=90``.

    A position by latitude and longitude is ``position=latlon:48.137,11.575,25`` (metres above the ground) or
    ``position=latlon:48.137,11.575,roof+3``.

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
        in_metres = key == "position" and not value.startswith(LATLON)
        entry[key] = value.split(",") if in_metres else value
    return _station(entry, f"station {text!r}")


def _station(entry: Any, where: str) -> Station | GeographicStation:
    try:
        place = geographic_place(entry) if isinstance(entry, dict) else None
        if place is None:
            return Station.model_validate(entry)
        keys = {key: value for key, value in entry.items() if key not in GEOGRAPHIC}
        return GeographicStation.of(place, Station.model_validate({**keys, "position": (0.0, 0.0, 0.0)}))
    except SiteTwinError as error:
        raise SiteTwinError(f"{where}: {error}") from error


def _sentence(problem: Mapping[str, Any]) -> str:
    """What is wrong with an entry, from the first problem that pydantic found."""
    key, kind, given = ".".join(str(part) for part in problem["loc"]) or "the entry", problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"'{key}' is unknown; known are {', '.join((*Station.model_fields, *ALIASES, *GEOGRAPHIC))}"
    if kind == "missing":
        return f"'{key}' is missing; give it"
    if kind not in _LIMITS:
        return f"'{key}': {problem['msg'][:200]}; mend it"
    word, name = _LIMITS[kind]
    if check := {"carrier_hz": check_carrier, "spacing_hz": check_spacing}.get(key):
        try:
            check(key, float(given))
        except SiteTwinError as error:  # it names the unit that was likely meant
            return str(error)
    low, high = _range_of(key)
    if low is not None and high is not None:
        return f"'{key}' is {str(given)[:40]}; give a number from {low:g} to {high:g}"
    return f"'{key}' is {str(given)[:40]}; give a number {word} {problem['ctx'][name]:g}"


def _range_of(key: str) -> tuple[float | None, float | None]:
    """Least and largest value of a key; None where it has none."""
    known = Station.model_fields.get(key)
    limits = known.metadata if known else []
    low = next((limit.ge for limit in limits if hasattr(limit, "ge")), None)
    return low, next((limit.le for limit in limits if hasattr(limit, "le")), None)


def named_stations(
    stations: Sequence[Station | GeographicStation], site: Site | None = None, *, allow_indoors: bool = False
) -> list[Station]:
    """Give each station a name, and check antennas and bands, so that errors come before any work.

    Args:
        stations: The stations.
        site: The site on which those by latitude and longitude are placed; without it their positions mean nothing.
        allow_indoors: Accept places of theirs inside buildings.

    Raises:
        SiteTwinError: There is no station, there are too many, two share a name, or a pattern or band is impossible.
    """
    if not stations:
        raise SiteTwinError("no station was given; give at least one, such as 'position=X,Y,Z eirp_dbm=46'")
    if len(stations) > MOST_STATIONS:
        raise SiteTwinError(f"{len(stations)} stations were given; give at most {MOST_STATIONS}")
    sectors = [one if isinstance(one, Station) else one.sector for one in stations]
    named = [s if s.name else s.model_copy(update={"name": f"BS{n}"}) for n, s in enumerate(sectors, 1)]
    names = [station.name for station in named]
    for name in names:
        if names.count(name) > 1:
            raise SiteTwinError(f"two stations are named '{name}'; give each its own name")
    for station in named:
        with said_of(f"station '{station.name}'"):
            _ = station.downlink  # raises where the pattern or the band cannot be
    if site is None:
        return named
    return [_placed(given, one, site, allow_indoors) for given, one in zip(stations, named, strict=True)]


def _placed(given: Station | GeographicStation, named: Station, site: Site, allow_indoors: bool) -> Station:
    if isinstance(given, Station):
        return named
    try:
        return GeographicStation.of(given.place, named).on(site, allow_indoors=allow_indoors)
    except SiteTwinError as error:
        raise SiteTwinError(f"station '{named.name}': {error}") from error
