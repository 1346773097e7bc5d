"""Channels of the DICHASUS data sets (University of Stuttgart): TFRecord files, read without TensorFlow.

F. Euchner, M. Gauger, S. Doerner, S. ten Brink, "A distributed massive MIMO channel sounder for 'big CSI data'-driven
machine learning", WSA 2021. A record holds the channel of all antennas at one instant (antennas, subcarriers, real and
imaginary part), with the lowest frequency in the middle of the axis, and the position by a tachymeter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError
from sitetwin.measured.csi import csi_dataset
from sitetwin.measured.named_arrays import LARGEST_MEASUREMENT
from sitetwin.measured.tfrecords import read_records
from sitetwin.untrusted import MOST_GROWTH, largest_unpacked, read_json, regular_size
from sitetwin.untrusted.arrays import as_float64

Progress = Callable[[int], None]
"""It is told the number of records read so far."""

_CSI, _POSITIONS, _TIME = "csi", ("pos-tachy", "pos"), "time"


def read_dichasus(
    files: Sequence[Path | str],
    carrier_hz: float,
    bandwidth_hz: float,
    offsets: Path | str | None = None,
    *,
    most: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Read channels of DICHASUS, or of another sounder that writes such records.

    Args:
        files: TFRecord files, read in this order.
        carrier_hz: Centre frequency, Hz; the page of the data set says it (1.272 GHz or 3.438 GHz, for instance).
        bandwidth_hz: Bandwidth over all subcarriers, Hz (50 MHz there).
        offsets: JSON file with the sampling-time offsets ``sto`` (samples) and carrier-phase offsets ``cpo`` (rad) of
            the antennas; channels are multiplied by ``e^{j (2 pi sto k / K + cpo)}``, k from the lowest frequency on.
        most: Number of records after which it stops.
        progress: Called after each record.

    Returns:
        What `read_csi` returns, with ``x``, ``y`` and ``z`` in the frame of the data set.

    Raises:
        SiteTwinError: A file is missing, truncated or damaged, has no channels, or channels of another array; there are
            more than fit in 4 GiB; or the offsets are not those of these antennas.
    """
    if not (math.isfinite(carrier_hz) and math.isfinite(bandwidth_hz) and 0 < bandwidth_hz < 2 * carrier_hz):
        raise SiteTwinError(f"a carrier of {carrier_hz:g} Hz with a band of {bandwidth_hz:g} Hz is none; check both")
    channels: list[np.ndarray] = []
    places: list[np.ndarray] = []
    times: list[float] = []
    size = 0
    for path in map(Path, files):
        size += regular_size(path, f"the records '{path}'")
        left = None if most is None else most - len(channels)
        for record in read_records(path, left):
            channels.append(_channel(record, path, len(channels), channels[0].shape if channels else None))
            places.append(_place(record))
            times.append(float(record[_TIME].ravel()[0]) if record.get(_TIME, np.zeros(0)).size else math.nan)
            if progress is not None:
                progress(len(channels))
            held = channels[0].nbytes * len(channels)
            if held > LARGEST_MEASUREMENT:
                raise SiteTwinError(
                    f"the channels of '{path.name}' and those before take more than {LARGEST_MEASUREMENT >> 30} GiB; "
                    "read fewer with `most`"
                )
            if held > largest_unpacked(size, LARGEST_MEASUREMENT):
                raise SiteTwinError(
                    f"the channels of '{path.name}' take more than {MOST_GROWTH} times its size, which no measured "
                    "ones do; take the file of the data set itself"
                )
    if not channels:
        raise SiteTwinError("these files hold no record; give TFRecord files of a DICHASUS data set")
    csi = np.stack(channels)
    if offsets is not None:
        csi *= _corrections(Path(offsets), csi.shape[1], csi.shape[2])[None]
    count = csi.shape[2]
    frequency = carrier_hz + (np.arange(count) - count // 2) * (bandwidth_hz / count)
    return csi_dataset(csi, frequency, np.stack(places), np.array(times))


def _channel(
    record: dict[str, np.ndarray], path: Path, number: int, shape: tuple[int, ...] | None
) -> Complex[np.ndarray, "antennas subcarriers"]:
    """The channel of one record, lowest frequency first."""
    found = record.get(_CSI)
    if found is None or found.ndim != 3 or found.shape[2] != 2 or found.dtype.kind != "f":
        raise SiteTwinError(
            f"record {number + 1}, in '{path}', has no channel '{_CSI}' (antennas, subcarriers, 2); these are "
            "something else"
        )
    if shape is not None and found.shape[:2] != shape:
        raise SiteTwinError(
            f"record {number + 1}, in '{path}', has {found.shape[0]} antennas and {found.shape[1]} subcarriers, those "
            f"before {shape[0]} and {shape[1]}; read data sets of one array and band at a time"
        )
    parts = as_float64(found)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is left out with its sample
        return np.fft.fftshift(parts[..., 0] + 1j * parts[..., 1], axes=1).astype(np.complex64)


def _place(record: dict[str, np.ndarray]) -> Float[np.ndarray, " 3"]:
    """Where the transmitter stood, m; NaN where the record does not say."""
    for name in _POSITIONS:
        found = record.get(name)
        if found is not None and found.size in (2, 3) and found.dtype.kind == "f":
            return np.append(as_float64(found.ravel()), [0.0] * (3 - found.size))
    return np.full(3, np.nan)


def _corrections(path: Path, antennas: int, subcarriers: int) -> Complex[np.ndarray, "antennas subcarriers"]:
    what = f"the offsets '{path}'"
    content = read_json(path, what, 1 << 24)
    values = [np.array([]), np.array([])]
    for place, name in enumerate(("sto", "cpo")):
        listed = content.get(name) if isinstance(content, dict) else None
        numeric = isinstance(listed, list) and all(type(n) in (int, float) and abs(n) < 1e9 for n in listed)
        if not isinstance(listed, list) or not numeric or len(listed) != antennas:
            raise SiteTwinError(f"{what} need a finite number '{name}' for each of {antennas} antennas; take their own")
        values[place] = np.array(listed, dtype=np.float64)
    ramp = 2 * np.pi * np.arange(subcarriers) / subcarriers
    return np.exp(1j * (values[0][:, None] * ramp + values[1][:, None])).astype(np.complex64)
