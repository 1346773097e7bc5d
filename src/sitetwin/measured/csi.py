"""Measured channels (channel state information): files of users, one frame with the site, and whose they can be.

A file holds arrays of these names: ``h`` (samples, antennas, subcarriers), ``frequency`` (subcarriers) in Hz, and
``position`` (samples, 3) in metres of the site's frame, or ``latitude`` and ``longitude`` (samples) in degrees;
``time`` (samples) in seconds and ``drive`` (samples), a number for each drive, if known. Complex numbers are complex,
or a last axis of two with real and imaginary part.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float, Shaped

from sitetwin.channel.grid import OfdmGrid
from sitetwin.errors import SiteTwinError
from sitetwin.measured.named_arrays import MEND as _MEND
from sitetwin.measured.named_arrays import named_arrays
from sitetwin.measured.plausible import check_degrees, check_parts
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.untrusted.arrays import as_float64

_FLAT = ("frequency", "latitude", "longitude", "time", "drive")
_NAMES = ("h", "position", *_FLAT)
_AXES = ("sample", "antenna", "subcarrier")
_COORDINATES = {2: (("latitude", "longitude"), "degrees"), 3: (("x", "y", "z"), "m")}
_NEAR = 0.01  # of a spacing: frequencies that differ by less are one subcarrier
_ENOUGH = 32  # numbers that have no imaginary part by no chance
_LARGEST_DRIVE = 2**53  # beyond it float64 does not hold each whole number


def read_csi(path: Path | str) -> xr.Dataset:
    """Read measured channels from a NumPy archive (``.npz``), HDF5 (``.h5``, ``.hdf5``) or a MATLAB file (``.mat``).

    Args:
        path: The file.

    Returns:
        ``csi`` (sample, antenna, subcarrier) complex64; the coordinate ``frequency``, Hz, rising; ``x``, ``y``, ``z``
        in metres or ``latitude`` and ``longitude`` in degrees; ``time`` in seconds. Samples whose channel is zero or
        not finite, or whose position is unknown, are left out; the attribute ``left_out`` counts them.

    Raises:
        SiteTwinError: The file is missing or damaged, lacks an array, or holds something else, such as magnitudes and
            phases; no sample is left.
    """
    where, what = Path(path), f"the measured channels '{path}'"
    arrays = named_arrays(where, what, _NAMES, _FLAT)
    h = _complex(_wanted(arrays, "h", what), what)
    if h.ndim != 3:
        raise SiteTwinError(f"{what}: h has {h.ndim} axes, not (samples, antennas, subcarriers); {_MEND}")
    frequency = _real(_wanted(arrays, "frequency", what), what, "frequency")
    time = _real(arrays["time"], what, "time") if "time" in arrays else np.full(len(h), np.nan)
    drive = _real(arrays["drive"], what, "drive") if "drive" in arrays else None
    if "position" in arrays:
        return csi_dataset(h, frequency, _real(arrays["position"], what, "position"), time, what, drive)
    globe = [_real(_wanted(arrays, name, what), what, name) for name in ("latitude", "longitude")]
    if any(one.shape != (len(h),) for one in globe):
        raise SiteTwinError(f"{what}: latitude and longitude need one number for each of {len(h)} samples; {_MEND}")
    return csi_dataset(h, frequency, np.stack(globe, axis=1), time, what, drive)


def csi_dataset(
    csi: Complex[np.ndarray, "samples antennas subcarriers"],
    frequency: Float[np.ndarray, " frequencies"],
    position: Float[np.ndarray, "positions axes"],
    time: Float[np.ndarray, " times"],
    what: str = "the measured channels",
    drive: Float[np.ndarray, " drives"] | None = None,
) -> xr.Dataset:
    """Put measured channels into one frame, checked; a notebook with arrays of its own starts here.

    Args:
        csi: Channels.
        frequency: Frequency of each subcarrier, Hz, in any order.
        position: Metres in the frame of the site (samples, 3), or degrees of latitude and longitude (samples, 2).
        time: Seconds; NaN where unknown.
        what: What they are, for messages.
        drive: Whole number of each sample's drive, where known.

    Returns:
        As `read_csi`.

    Raises:
        SiteTwinError: The lengths do not agree, frequencies are none, positions are radians or far off, drives are no
            whole numbers, or no sample is left.
    """
    count = len(csi)
    if len(frequency) != csi.shape[2] or len(position) != count or len(time) != count:
        raise SiteTwinError(
            f"{what}: {count} samples of {csi.shape[2]} subcarriers go with {len(frequency)} frequencies, "
            f"{len(position)} positions and {len(time)} times; {_MEND}"
        )
    if drive is not None and (len(drive) != count or not (np.abs(drive) < _LARGEST_DRIVE).all() or (drive % 1).any()):
        raise SiteTwinError(f"{what}: drive needs a whole number for each of {count} samples; {_MEND}")
    if position.ndim != 2 or position.shape[1] not in (2, 3):
        raise SiteTwinError(f"{what}: positions are (samples, 3) in metres or (samples, 2) in degrees; {_MEND}")
    if (np.abs(position[np.isfinite(position)]) > LARGEST_COORDINATE).any():
        raise SiteTwinError(f"{what}: a position lies beyond {LARGEST_COORDINATE:g} m, off every site; check the file")
    order = _rising(frequency, what)
    energy = np.einsum("sak,sak->s", csi, csi.conj()).real if count else np.zeros(0)
    fine, placed = np.isfinite(energy) & (energy > 0), np.isfinite(position).all(axis=1)
    kept = fine & placed
    if not kept.any():
        raise SiteTwinError(
            f"{what}: of {count} samples {int((~fine).sum())} have a channel that is zero or not finite and "
            f"{int((~placed).sum())} no position, so that none is left; check the file"
        )
    data = xr.Dataset(
        {"csi": (_AXES, csi[kept][:, :, order].astype(np.complex64))},
        coords={"frequency": ("subcarrier", frequency[order], {"units": "Hz"})},
        attrs={"left_out": int((~kept).sum()), "samples_in_the_file": count},
    )
    if position.shape[1] == 2:
        check_degrees(position[kept])
    names, units = _COORDINATES[position.shape[1]]
    columns: dict[str, tuple[str, np.ndarray, dict[str, str]]] = {
        name: ("sample", column, {"units": units}) for name, column in zip(names, position[kept].T, strict=True)
    }
    if drive is not None:
        columns["drive"] = ("sample", drive[kept].astype(np.int64), {})
    return data.assign(columns).assign(time=("sample", time[kept], {"units": "s"}))


def on_grid(data: xr.Dataset, grid: OfdmGrid, antennas: int) -> Complex[np.ndarray, "samples antennas subcarriers"]:
    """Channels at the subcarriers of a grid, for a comparison with a twin's.

    Args:
        data: What `read_csi` returns.
        grid: The subcarriers that are wanted, each of which must have been measured.
        antennas: Antennas of the array that is compared with.

    Raises:
        SiteTwinError: The array has another number of antennas, or a subcarrier was not measured.
    """
    csi, measured = data["csi"], data["frequency"].values
    if csi.sizes["antenna"] != antennas:
        raise SiteTwinError(
            f"the channels were measured with {csi.sizes['antenna']} antennas and the array has {antennas}; give the "
            "array that measured"
        )
    wanted = grid.frequencies_hz.numpy()
    places = np.clip(np.searchsorted(measured, wanted - _NEAR * grid.spacing_hz), 0, len(measured) - 1)
    missing = np.abs(measured[places] - wanted) > _NEAR * grid.spacing_hz
    if missing.any():
        raise SiteTwinError(
            f"{int(missing.sum())} of {len(wanted)} subcarriers, such as {wanted[missing][0] / 1e6:.6g} MHz, were not "
            f"measured, which covers {measured[0] / 1e6:.6g} to {measured[-1] / 1e6:.6g} MHz; give a carrier, spacing "
            "and number of subcarriers within the measured band"
        )
    return csi.values[:, :, places]


def _wanted(arrays: dict[str, np.ndarray], name: str, what: str) -> np.ndarray:
    if name not in arrays:
        raise SiteTwinError(f"{what} lack the array '{name}'; {_MEND}")
    return arrays[name]


def _complex(h: Shaped[np.ndarray, "*shape"], what: str) -> np.ndarray:
    if h.dtype.kind == "f" and h.ndim == 4 and h.shape[3] == 2:
        check_parts(h[..., 0], h[..., 1], what)
        h = h[..., 0] + 1j * h[..., 1]
    elif h.dtype.kind != "c":
        raise SiteTwinError(f"{what}: h is neither complex nor has a last axis of real and imaginary part; {_MEND}")
    if h.size >= _ENOUGH and not h.imag.any() and np.ptp(h.real) > 0:
        raise SiteTwinError(
            f"{what}: h has no imaginary part: magnitudes have no phase, nor have real parts alone; give complex "
            "channels"
        )
    return h


def _real(values: Shaped[np.ndarray, "*shape"], what: str, name: str) -> np.ndarray:
    axes, word = (2, "a table") if name == "position" else (1, "a row")
    if values.dtype.kind not in "fiu" or values.ndim != axes:
        raise SiteTwinError(f"{what}: {name} is not {word} of real numbers; {_MEND}")
    return as_float64(values)


def _rising(frequency: np.ndarray, what: str) -> np.ndarray:
    """Order in which the frequencies rise."""
    if frequency.ndim != 1 or not len(frequency) or not np.isfinite(frequency).all() or frequency.min() < 1e6:
        raise SiteTwinError(
            f"{what}: frequencies are Hz of the carrier's band, 1 MHz or more, one a subcarrier; {_MEND}"
        )
    order = np.argsort(frequency, kind="stable")
    if (np.diff(frequency[order]) <= 0).any():
        raise SiteTwinError(f"{what}: two subcarriers have one frequency; {_MEND}")
    return order
