"""The link of measured channels, which do not say it: of the station's array, and of frequencies or a stated band."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from sitetwin.channel import OfdmGrid, Radio
from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.link import CellLink

LINK_CHOICES = ("radio", "carrier_hz", "subcarriers", "spacing_hz", "num_taps", "first_tap", "delay_reference")
"""Choices that say the link of channels without labels."""

_UNEVEN = 0.01  # of the spacing, by which frequencies may lie beside an even grid
_LOWEST_HZ = 1e6  # of the band of a radio


def measured_link(h: xr.DataArray, choices: Mapping[str, Any]) -> CellLink:
    """The link of channels whose labels do not say it.

    Args:
        h: Channels with the axis names of `sitetwin.learn.cell.matrices.NAMES`.
        choices: The station's ``radio`` and, where the channels have no ``frequency``, ``carrier_hz``, ``spacing_hz``
            and, for delay taps, ``subcarriers``; further ``num_taps``, ``first_tap`` and ``delay_reference``.

    Raises:
        SiteTwinError: A choice is missing, or is not what the channels say.
    """
    radio = choices.get("radio")
    if not isinstance(radio, Radio):
        raise SiteTwinError(
            "measured channels do not say of which array they are; name it (--bs-array, radio=Radio('ula:32'))"
        )
    antennas = h.sizes.get("antenna", h.sizes.get("angle"))
    named = radio.array.num_antennas
    if antennas != named:
        raise SiteTwinError(
            f"these channels are of {antennas} antennas, and the array has {named} with all its ports; name the array "
            "that they were measured with"
        )
    grid = _grid(h, choices)
    rest = {name: choices[name] for name in ("first_tap", "delay_reference") if name in choices}
    if "delay" in h.dims:
        taps = h.sizes["delay"]
        if choices.get("num_taps", taps) != taps:
            raise SiteTwinError(f"these channels have {taps} delay taps, which are kept; leave the number of taps out")
        return CellLink.of_radio(radio, grid, taps, **rest)
    return CellLink.of_radio(radio, grid, choices.get("num_taps", min(32, grid.num_subcarriers)), **rest)


def _grid(h: xr.DataArray, choices: Mapping[str, Any]) -> OfdmGrid:
    """The band, as frequencies say it or the choices."""
    if "frequency" in h.coords:
        return _of_frequencies(np.sort(h.coords["frequency"].values), choices)
    needed = ["carrier_hz", "spacing_hz", *(["subcarriers"] if "delay" in h.dims else [])]
    options = {"carrier_hz": "--carrier", "spacing_hz": "--subcarrier-spacing", "subcarriers": "--subcarriers"}
    missing = [name for name in needed if name not in choices]
    if missing:
        raise SiteTwinError(
            f"these channels have no frequencies and do not say their band; give {missing[0]} ({options[missing[0]]}), "
            "or frequency beside them"
        )
    count = h.sizes["subcarrier"] if "subcarrier" in h.dims else choices["subcarriers"]
    if choices.get("subcarriers", count) != count:
        raise SiteTwinError(
            f"these channels have {count} subcarriers, not {choices['subcarriers']}; leave the number out"
        )
    return OfdmGrid(choices["carrier_hz"], count, choices["spacing_hz"])


def _of_frequencies(rising: np.ndarray, choices: Mapping[str, Any]) -> OfdmGrid:
    count = len(rising)
    if count < 2 or not (np.isfinite(rising).all() and rising[0] >= _LOWEST_HZ):
        raise SiteTwinError("the frequencies of these channels are no band in Hz; give two or more, in Hz")
    spacing = (rising[-1] - rising[0]) / (count - 1)
    off = np.abs(rising - rising[0] - spacing * np.arange(count)).max()
    if not (spacing > 0 and off <= _UNEVEN * spacing):
        raise SiteTwinError(
            f"the frequencies of these channels are not evenly spaced (some lie {off:g} Hz beside a grid of "
            f"{spacing:g} Hz); give those of a whole band, or interpolate them first"
        )
    grid = OfdmGrid(float(rising[count // 2]), count, float(spacing))
    for name, told in (("carrier_hz", grid.carrier_hz), ("spacing_hz", spacing), ("subcarriers", count)):
        said = choices.get(name, told)
        if abs(said - told) > (spacing if name == "carrier_hz" else _UNEVEN * told):
            raise SiteTwinError(
                f"the frequencies of these channels say {name} = {told:.9g}, and {said:.9g} is given; leave it out, or "
                "correct the frequencies"
            )
    return grid
