"""Stresses of the beam study: changes of measurements and codebook that a method should not notice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from sitetwin.errors import SiteTwinError

_ADDED = 0.1  # linear, in the units of the measurements: as much as the peak of a far user in DeepSense 6G
_GAIN = 1000.0
_MOVED_M = 2.0
_METRES_PER_DEGREE = 111_195.0

Pair = tuple[xr.Dataset, xr.DataArray]


def stressed(data: xr.Dataset, book: xr.DataArray, name: str | None) -> Pair:
    """Measurements and codebook under a stress; as they are without one.

    Args:
        data: Of `sitetwin.measured.read_deepsense`.
        book: Of `sitetwin.measured.read_codebook`.
        name: A key of `STRESSES`, or None.

    Raises:
        SiteTwinError: There is no such stress.
    """
    if name is None:
        return data, book
    if name not in STRESSES:
        raise SiteTwinError(f"there is no stress {name!r}; choose one of {', '.join(STRESSES)}")
    data, book = STRESSES[name](data, book)
    return data.assign_attrs(notes=[*data.attrs["notes"], f"stressed on purpose: {name}"]), book


def _added(data: xr.Dataset, book: xr.DataArray, share: float = 1.0) -> Pair:
    return data.assign(power=data.power + share * _ADDED), book


def _louder(data: xr.Dataset, book: xr.DataArray) -> Pair:
    return data.assign(power=data.power * _GAIN), book


def _codebook_turned(data: xr.Dataset, book: xr.DataArray, degrees: float) -> Pair:
    return data, book.assign_coords(azimuth=book.azimuth + np.radians(degrees))


def _array_turned(data: xr.Dataset, book: xr.DataArray, degrees: float) -> Pair:
    """All users turn about the station, which is what a turned array looks like."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    east, north = c * data.east - s * data.north, s * data.east + c * data.north
    return _placed(data, east, north), book


def _moved(data: xr.Dataset, book: xr.DataArray) -> Pair:
    return _placed(data, data.east + _MOVED_M, data.north - _MOVED_M), book


def _placed(data: xr.Dataset, east: xr.DataArray, north: xr.DataArray) -> xr.Dataset:
    """The data with other metres, and degrees that go with them about the station, to a sphere's accuracy."""
    latitude = data.attrs["station_latitude"] + north / _METRES_PER_DEGREE
    scale = _METRES_PER_DEGREE * np.cos(np.radians(data.attrs["station_latitude"]))
    longitude = data.attrs["station_longitude"] + east / scale
    return data.assign(east=east, north=north, latitude=latitude, longitude=longitude)


STRESSES: dict[str, Callable[[xr.Dataset, xr.DataArray], Pair]] = {
    "added-power": _added,
    "gain": _louder,
    "codebook-turned-by--25": lambda data, book: _codebook_turned(data, book, -25.0),
    "codebook-turned-by-25": lambda data, book: _codebook_turned(data, book, 25.0),
    "added-power-and-codebook-turned-by--15": lambda data, book: _codebook_turned(*_added(data, book, 0.5), -15.0),
    "array-turned-by-20": lambda data, book: _array_turned(data, book, 20.0),
    "station-moved": _moved,
}
"""Each stress by its name."""
