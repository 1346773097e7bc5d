"""What a coverage tells of each user: names, units and meanings of its quantities."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True)
class Quantity:
    """One number, or one label, per user.

    Attributes:
        units: Units of the values; "" for labels.
        description: What it is.
        label: Label of the colour bar of its map.
        factor: Factor from the units of the values to those of the map.
        step: The colour bar's ends are multiples of it, in the map's units; 0 for labels.
        missing: What no value means.
        of_link: Field of `LinkStatistics` that holds it; "" where it is none of one link alone.
    """

    units: str
    description: str
    label: str = ""
    factor: float = 1.0
    step: float = 0.0
    missing: str = "user without a path"
    of_link: str = ""


def _spread(of_link: str, which: str) -> Quantity:
    text = f"circular standard deviation (3GPP TR 38.901, Annex A.1) of the {which}"
    return Quantity("rad", text, f"RMS spread, {which} (degrees)", 180 / math.pi, 5.0, of_link=of_link)


QUANTITIES = {
    "path_gain_db": Quantity(
        "dB",
        "received over transmitted power between the antenna of the serving station and a vertical isotropic one: "
        "sum of the path powers",
        "path gain (dB)",
        step=5.0,
        of_link="path_gain",
    ),
    "rsrp_dbm": Quantity("dBm", "received power per resource element, of the best server", "RSRP (dBm)", step=5.0),
    "sinr_db": Quantity("dB", "signal over interference plus noise per resource element", "SINR (dB)", step=5.0),
    "best_server": Quantity("", "station with the largest RSRP", "best server"),
    "delay_spread_s": Quantity(
        "s", "root mean square delay spread", "RMS delay spread (ns)", 1e9, 10.0, of_link="delay_spread"
    ),
    "azimuth_spread_departure_rad": _spread("azimuth_spread_departure", "azimuth of departure"),
    "zenith_spread_departure_rad": _spread("zenith_spread_departure", "zenith of departure"),
    "azimuth_spread_arrival_rad": _spread("azimuth_spread_arrival", "azimuth of arrival"),
    "zenith_spread_arrival_rad": _spread("zenith_spread_arrival", "zenith of arrival"),
    "rician_k_db": Quantity(
        "dB",
        "power of the line of sight over that of all other paths",
        "Rician K-factor (dB)",
        step=5.0,
        missing="no line of sight",
        of_link="rician_k",
    ),
    "line_of_sight": Quantity(
        "",
        "whether the serving station is in line of sight",
        "serving station in line of sight",
        of_link="line_of_sight",
    ),
}
"""The quantities by name; maps, columns of the table and variables of the dataset have the same names."""


def known_quantity(name: str) -> Quantity:
    """Look a quantity up by its name.

    Raises:
        SiteTwinError: There is none of that name.
    """
    if name not in QUANTITIES:
        raise SiteTwinError(f"a coverage has no quantity '{name}'; choose one of {', '.join(QUANTITIES)}")
    return QUANTITIES[name]
