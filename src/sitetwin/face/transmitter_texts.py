"""Places of transmitters in words: in metres, by latitude and longitude, or in files of such places.

Nothing heavy is imported here: the command line answers a mistyped place at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.geographic import LATLON, LatLon, parse_latlon
from sitetwin.untrusted import parse_toml, read_bytes, read_text

MOST_TRANSMITTERS = 1000
_MOST_BYTES = 1 << 20  # of a file of transmitters


Place = list[float] | LatLon
"""Three numbers in metres, or geographic coordinates."""


def finite_numbers(text: str, count: int) -> list[float] | None:
    """Finite numbers separated by commas; None where the text is none."""
    try:
        values = [float(word) for word in text.split(",")]
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def read_transmitters(given: Sequence[str], said: str = "tx") -> list[Place]:
    """Places from texts X,Y,Z or latlon:LAT,LON,HEIGHT, or files with one on each line.

    In files, empty lines and those that begin with # are skipped. A file that ends in .toml is that of one station,
    whose position is taken (`sitetwin.channel.read_station_radio`).

    Args:
        given: Texts and names of files.
        said: Name of what holds them, for the sentences.

    Raises:
        SiteTwinError: A text is neither, a line of a file is no place, or there are none or too many.
    """
    places: list[Place] = []
    for text in given:
        place = _place(text, said)
        if place is not None:
            places.append(place)
        elif Path(text).is_file():
            places += _transmitters_of(Path(text), said)
        else:
            raise SiteTwinError(
                f"{said} is {text!r}; give 3 numbers separated by commas, without spaces, or a file that is there"
            )
    if not 1 <= len(places) <= MOST_TRANSMITTERS:
        raise SiteTwinError(f"{said} names {len(places)} transmitters; give 1 to {MOST_TRANSMITTERS} in one run")
    return places


def _transmitters_of(file: Path, said: str) -> list[Place]:
    mend = "give X,Y,Z of one transmitter on each line"
    if file.suffix.lower() == ".toml":
        return [_position_of(file)]
    lines = read_text(file, str(file), _MOST_BYTES, mend).splitlines()
    places: list[Place] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        with said_of(f"line {number} of {file}"):
            place = _place(line.strip(), said)
        if place is None:
            raise SiteTwinError(f"line {number} of {file} is {line[:40]!r}; give X,Y,Z, three numbers in metres")
        places.append(place)
    if not 1 <= len(places) <= MOST_TRANSMITTERS:
        raise SiteTwinError(f"{file} names {len(places)} transmitters; give 1 to {MOST_TRANSMITTERS}, one on each line")
    return places


def _position_of(file: Path) -> Place:
    """The position of a station's file."""
    given = parse_toml(read_bytes(file, str(file), _MOST_BYTES), str(file)).get("position")
    if not isinstance(given, list) or len(given) != 3 or any(isinstance(v, bool) for v in given):
        raise SiteTwinError(f"{file} has no position = [x, y, z]; give a station's file, or one X,Y,Z on each line")
    if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in given):
        raise SiteTwinError(f"{file}: position holds other than finite numbers; give three, in metres")
    return [float(v) for v in given]


def _place(text: str, said: str) -> Place | None:
    return parse_latlon(text, said) if text.startswith(LATLON) else finite_numbers(text, 3)
