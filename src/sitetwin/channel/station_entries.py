"""Keys of stations that other tools use, in terms of those of `sitetwin.channel.stations.Station`."""

from __future__ import annotations

import math
import warnings
from typing import Any, Literal

from sitetwin.channel.antennas.names import named_pattern
from sitetwin.channel.antennas.patterns import Isotropic
from sitetwin.channel.link_statistics import peak_gain_db
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.geographic import LATLON, LatLon, parse_latlon

ALIASES = ("azimuth_deg", "power_dbm", "gain_dbi", "cable_loss_db")
"""Keys that say a property of a station in another way."""

GEOGRAPHIC = ("latitude", "longitude", "height_m", "above")
"""Keys that say a position by latitude and longitude."""

_ABOVE: dict[str, Literal["ground", "roof"]] = {"ground": "ground", "roof": "roof"}
_MOST_LOSS_DB = 100.0
_SAME_GAIN_DB = 0.5


def plain_entry(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of a station with `ALIASES` said in the station's own keys.

    Raises:
        SiteTwinError: A number is none or out of its range, or a property is said twice or by half.
    """
    plain = {key: value for key, value in entry.items() if key not in ALIASES}
    if entry.get("azimuth_deg") is not None:
        if entry.get("yaw_deg") is not None:
            raise SiteTwinError(
                "azimuth_deg (from north, clockwise) and yaw_deg (from east) both turn a station; give one"
            )
        plain["yaw_deg"] = yaw_of_azimuth(_number(entry, "azimuth_deg", -360.0, 360.0))
    if entry.get("power_dbm") is not None:
        if entry.get("eirp_dbm") is not None:
            raise SiteTwinError("power_dbm and eirp_dbm both say what a station sends; give one")
        plain["eirp_dbm"] = _eirp(entry)
        return plain
    for key in ("gain_dbi", "cable_loss_db"):
        if entry.get(key) is not None:
            raise SiteTwinError(
                f"{key} says nothing beside eirp_dbm, which holds it already; give power_dbm in its place"
            )
    return plain


def yaw_of_azimuth(azimuth_deg: float) -> float:
    """Return degrees from east, counter-clockwise, of degrees from north, clockwise."""
    return math.remainder(90.0 - azimuth_deg, 360.0)


def geographic_place(entry: dict[str, Any]) -> LatLon | None:
    """Return the place of an entry that gives latitude and longitude, by keys or in its position; None for metres.

    Raises:
        SiteTwinError: The place is said twice or by half, or a number is none.
    """
    position, given = entry.get("position"), [key for key in GEOGRAPHIC if entry.get(key) is not None]
    in_text = isinstance(position, str) and position.startswith(LATLON)
    if given and position is not None:
        raise SiteTwinError(f"position and {given[0]} both say where a station stands; give one")
    if in_text:
        return parse_latlon(str(position), "position")
    if not given:
        return None
    absent = [key for key in GEOGRAPHIC[:3] if entry.get(key) is None]
    if absent:
        raise SiteTwinError(f"'{absent[0]}' is missing; latitude, longitude and height_m go together")
    above = _ABOVE.get(str(entry.get("above") or "ground"))
    if above is None:
        raise SiteTwinError(f"above is {entry['above']!r}; choose ground or roof, from which height_m counts")
    latitude, longitude = _number(entry, "latitude", -90.0, 90.0), _number(entry, "longitude", -360.0, 360.0)
    return LatLon(latitude, longitude, _number(entry, "height_m", -1e4, 1e4), above)


def _eirp(entry: dict[str, Any]) -> float:
    """Radiated power in the direction of the peak, dBm: output less the cable's loss plus the antenna's gain."""
    power = _number(entry, "power_dbm", -100.0, 150.0)
    loss = _number(entry, "cable_loss_db", 0.0, _MOST_LOSS_DB) if entry.get("cable_loss_db") is not None else 0.0
    name = str(entry.get("pattern") or "iso")
    pattern = named_pattern(name)
    peak = peak_gain_db(pattern)
    if entry.get("gain_dbi") is None:
        return power - loss + peak
    gain = _number(entry, "gain_dbi", -30.0, 60.0)
    if isinstance(pattern, Isotropic) and abs(gain) > _SAME_GAIN_DB:
        raise SiteTwinError(
            f"gain_dbi is {gain:g}, but the pattern {name} has 0 dBi in every direction; give the antenna's "
            "pattern, or eirp_dbm"
        )
    if abs(gain - peak) > _SAME_GAIN_DB:
        warnings.warn(
            f"gain_dbi is {gain:g}, but the pattern {name} has a peak of {peak:.1f} dBi: powers hold at boresight, and "
            "elsewhere the beam of the antenna is narrower or wider than the pattern",
            SiteTwinWarning,
            stacklevel=2,
        )
    return power - loss + gain


def _number(entry: dict[str, Any], key: str, low: float, high: float) -> float:
    try:
        value = float(entry[key])
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(entry[key], bool) or not low <= value <= high:
        raise SiteTwinError(f"{key} is {entry[key]!r}; give a number from {low:g} to {high:g}")
    return value
