"""Frequencies that cannot be meant in hertz: gigahertz, megahertz and kilohertz written without their powers of ten."""

from __future__ import annotations

import math

from sitetwin.errors import SiteTwinError

CARRIERS_HZ = (1e6, 1e12)
"""Of the materials in ITU-R P.2040, and somewhat beyond."""

BANDWIDTHS_HZ = (1e3, 1e12)
SPACINGS_HZ = (100.0, 1e11)  # the narrowest of 3GPP is 370 Hz (TS 36.211, MBMS)

_LIKELY_CARRIERS_HZ = (1e8, 4e11)
_LIKELY_BANDWIDTHS_HZ = (1e5, 1e10)
_LIKELY_SPACINGS_HZ = (1e3, 1e6)
_UNITS = {"kHz": 1e3, "MHz": 1e6, "GHz": 1e9}


def check_carrier(name: str, hertz: float) -> None:
    """Refuse a carrier that no material knows, and name the unit that was likely meant.

    Raises:
        SiteTwinError: It lies outside `CARRIERS_HZ`, or is no number.
    """
    _check(name, hertz, CARRIERS_HZ, _LIKELY_CARRIERS_HZ, "3.5e9")


def check_bandwidth(name: str, hertz: float) -> None:
    """Refuse a band too narrow to be meant, and name the unit that was likely meant.

    Raises:
        SiteTwinError: It lies outside `BANDWIDTHS_HZ`, or is no number.
    """
    _check(name, hertz, BANDWIDTHS_HZ, _LIKELY_BANDWIDTHS_HZ, "100e6")


def check_spacing(name: str, hertz: float) -> None:
    """Refuse a subcarrier spacing that cannot be meant, and name the unit that was likely meant.

    Raises:
        SiteTwinError: It lies outside `SPACINGS_HZ`, or is no number.
    """
    _check(name, hertz, SPACINGS_HZ, _LIKELY_SPACINGS_HZ, "30e3")


def _check(name: str, hertz: float, limits: tuple[float, float], likely: tuple[float, float], such: str) -> None:
    low, high = limits
    if low <= hertz <= high:
        return
    units = {unit: factor for unit, factor in _UNITS.items() if likely[0] <= hertz * factor <= likely[1]}
    meant = [f"{hertz:g}e{round(math.log10(factor))} is {hertz:g} {unit}" for unit, factor in units.items()]
    wrong = ", which is not a positive number" if hertz <= 0 else ""
    raise SiteTwinError(
        f"{name} is {hertz}{wrong}; give a number from {low:g} to {high:g} hertz, such as {such}"
        f"{''.join(f'; {text}' for text in meant)}"
    )
