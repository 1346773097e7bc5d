"""Where transmitters stand: in metres, by latitude and longitude, or in files of such places."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sitetwin.cli.options.places import finite_numbers, numbers
from sitetwin.errors import SiteTwinError

if TYPE_CHECKING:
    import numpy as np

    from sitetwin.site import Site

LATLON = "latlon:"
"""With this a transmitter given by latitude and longitude begins."""

MOST_TRANSMITTERS = 1000
_ROOF = "roof+"
_MOST_BYTES = 1 << 20  # of a file of transmitters


@dataclass(frozen=True)
class LatLon:
    """A transmitter by geographic coordinates: degrees, and metres above the ground or the roof there."""

    latitude: float
    longitude: float
    height: float
    above: str


def parse_latlon(text: str) -> LatLon:
    """A transmitter from ``latlon:LAT,LON,HEIGHT`` (above the ground) or ``latlon:LAT,LON,roof+HEIGHT``.

    Raises:
        SiteTwinError: The text is neither.
    """
    words = text.removeprefix(LATLON).split(",")
    above = "roof" if words[-1].startswith(_ROOF) else "ground"
    try:
        latitude, longitude, height = (float(word.removeprefix(_ROOF)) for word in words)
    except ValueError:
        latitude = longitude = height = math.nan
    if not all(map(math.isfinite, (latitude, longitude, height))):
        raise SiteTwinError(
            f"--tx is {text!r}; write latlon:LAT,LON,HEIGHT with degrees north and east and metres above the ground, "
            "or latlon:LAT,LON,roof+HEIGHT"
        )
    return LatLon(latitude, longitude, height, above)


def transmitter_position(site: Site, place: list[float] | LatLon, *, allow_indoors: bool) -> np.ndarray:
    """(3,) metres: where a transmitter stands, checked.

    Raises:
        SiteTwinError: As `sitetwin.site.check_transmitter` and `sitetwin.site.place_latlon`.
    """
    import numpy as np

    from sitetwin.site import check_transmitter, place_latlon

    if not isinstance(place, LatLon):
        return check_transmitter(site, np.array(place), allow_indoors=allow_indoors)
    above: Any = place.above
    pose = place_latlon(site, place.latitude, place.longitude, place.height, above, allow_indoors=allow_indoors)
    return np.array(pose.position)


def read_transmitters(given: list[str]) -> list[list[float] | LatLon]:
    """Places from the values of ``--tx``: X,Y,Z or latlon:LAT,LON,HEIGHT each, or files with one on each line.

    In files, empty lines and those that begin with # are skipped.

    Raises:
        SiteTwinError: A value is neither, a line of a file is no place, or there are none or too many.
    """
    places: list[list[float] | LatLon] = []
    for text in given:
        place = _place(text)
        if place is None and Path(text).is_file():
            places += _transmitters_of(Path(text))
        else:
            places.append(place or numbers(text, 3, "--tx"))
    if not 1 <= len(places) <= MOST_TRANSMITTERS:
        raise SiteTwinError(f"--tx names {len(places)} transmitters; give 1 to {MOST_TRANSMITTERS} in one run")
    return places


def _transmitters_of(file: Path) -> list[list[float] | LatLon]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise SiteTwinError(f"{file} has more than {_MOST_BYTES} bytes; give X,Y,Z of one transmitter on each line")
        lines = content.decode("utf-8-sig").splitlines()
    except OSError as error:
        raise SiteTwinError(f"{file} cannot be read: {error.strerror}; check its permissions") from error
    except UnicodeDecodeError as error:
        raise SiteTwinError(f"{file} is no text; give X,Y,Z of one transmitter on each line") from error
    places: list[list[float] | LatLon] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        place = _place(line.strip())
        if place is None:
            raise SiteTwinError(f"line {number} of {file} is {line[:40]!r}; give X,Y,Z, three numbers in metres")
        places.append(place)
    return places


def _place(text: str) -> list[float] | LatLon | None:
    return parse_latlon(text) if text.startswith(LATLON) else finite_numbers(text, 3)
