"""Files of measured power-delay profiles, in one frame with the site.

A file holds the power of each delay for each position. NumPy archives, HDF5 and MATLAB files hold arrays:
``power_db`` or ``power`` (profiles, delays); ``delay_ns`` or ``delay_s`` (delays), evenly spaced; ``position``
(profiles, 3) in metres of the site's frame, or ``latitude`` and ``longitude`` (profiles) in degrees; ``carrier_hz``,
one number; ``noise_db`` or ``noise`` (profiles, or one number) if known.

A table (CSV) has a row for each profile and delay and a heading with ``profile`` (any number that is the same in the
rows of one profile), ``x_m``, ``y_m``, ``z_m`` or ``latitude``, ``longitude``, ``delay_ns`` or ``delay_s``,
``power_db`` or ``power``; ``carrier_hz`` if known. Powers are received over transmitted, or in a unit of their own
that a calibration's offset takes up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.hertz import check_carrier
from sitetwin.measured.named_arrays import LARGEST_MEASUREMENT, MEND, named_arrays
from sitetwin.measured.plausible import check_degrees
from sitetwin.measured.profiles import Profiles, Window, noise_of_taps
from sitetwin.site.mesh import LARGEST_COORDINATE
from sitetwin.untrusted import read_table
from sitetwin.untrusted.arrays import as_float64

_FLAT = ("delay_ns", "delay_s", "latitude", "longitude", "carrier_hz", "noise_db", "noise")
_NAMES = ("power_db", "power", "position", *_FLAT)
_COLUMNS = ("profile", "x_m", "y_m", "z_m", *_NAMES)
_UNEVEN = 1e-3  # of a step by which delays may lie off an even grid
_LONGEST_S = 1e-3  # 300 km of path: longer delays are of another unit
_SHORTEST_S = 1e-12
_STRONGEST_DB, _WEAKEST_DB = 200.0, -400.0
_FEWEST = 8  # powers of which a unit can be told
_SAME_DB = 1.0  # all powers within so little: no profile is so even
_EVEN_DB = 0.2  # from the weakest tenth to the middle: noise alone spreads by 8 dB there


def read_profiles(path: Path | str) -> xr.Dataset:
    """Read measured power-delay profiles from a ``.npz``, ``.h5``, ``.hdf5``, ``.mat`` or ``.csv`` file.

    Args:
        path: The file.

    Returns:
        ``power`` (sample, tap) float64, linear; the coordinate ``delay`` (tap), seconds; ``x``, ``y``, ``z`` in metres
        or ``latitude`` and ``longitude`` in degrees; ``noise`` (sample), linear, NaN where unknown. Profiles that are
        zero, not finite or without a position are left out. The attributes hold ``carrier_hz`` (NaN if unknown),
        ``left_out`` and ``samples_in_the_file``.

    Raises:
        SiteTwinError: The file is missing or damaged, lacks an array or a column, has uneven delays, powers or delays
            of another unit than their name says, or no profile that can be used.
    """
    where, what = Path(path), f"the measured profiles '{path}'"
    arrays = _of_table(where, what) if where.suffix.lower() == ".csv" else named_arrays(where, what, _NAMES, _FLAT)
    power = _power(arrays, what)
    delay = _delays(arrays, what, power.shape[1])
    position = _positions(arrays, what, len(power))
    noise = _noise(arrays, what, len(power))
    fine = np.isfinite(power).all(axis=1) & (power >= 0).all(axis=1) & (power.sum(axis=1) > 0)
    placed = np.isfinite(position).all(axis=1)
    _refuse_loud_noise(power[fine], noise[fine], what)
    kept = fine & placed
    if not kept.any():
        raise SiteTwinError(
            f"{what}: of {len(power)} profiles {int((~fine).sum())} are zero or not finite and {int((~placed).sum())} "
            "have no position, so that none is left; check the file"
        )
    data = xr.Dataset(
        {"power": (("sample", "tap"), power[kept]), "noise": ("sample", noise[kept])},
        coords={"delay": ("tap", delay, {"units": "s"})},
        attrs={
            "carrier_hz": _one_number(arrays, "carrier_hz", what),
            "left_out": int((~kept).sum()),
            "samples_in_the_file": len(power),
        },
    )
    if position.shape[1] == 2:
        check_degrees(position[kept])
    names, units = (("x", "y", "z"), "m") if position.shape[1] == 3 else (("latitude", "longitude"), "degrees")
    columns = zip(names, position[kept].T, strict=True)
    return data.assign({name: ("sample", column, {"units": units}) for name, column in columns})


def profiles_of_table(
    data: xr.Dataset,
    *,
    carrier_hz: float | None = None,
    noise: float | None = None,
    window: Window = "hann",
) -> Profiles:
    """Profiles of what `read_profiles` returns, with positions in metres.

    A tap of a profile is taken as that of as many subcarriers as there are taps, which decides how a path's power
    spreads over neighbouring taps.

    Args:
        data: The table.
        carrier_hz: Carrier, Hz; the file's by default.
        noise: Mean power of the noise in a tap, linear; by default the file's, or estimated from the weakest taps.
        window: Window over the subcarriers.

    Raises:
        SiteTwinError: Positions are no metres, the carrier is not known, the delays do not begin at a whole number of
            steps, or the noise cannot be told.
    """
    if "x" not in data:
        raise SiteTwinError("the profiles have positions in degrees; put them into the site's frame first")
    carrier = float(data.attrs["carrier_hz"]) if carrier_hz is None else float(carrier_hz)
    if not np.isfinite(carrier):
        raise SiteTwinError("the file of profiles names no carrier; give it (--carrier), or carrier_hz in the file")
    check_carrier("the carrier of the profiles", carrier)
    power, delay = data["power"].values, data["delay"].values
    step = float(delay[1] - delay[0])
    _check_band(float(data.attrs["carrier_hz"]), carrier, 1 / step)
    first = round(float(delay[0]) / step)
    if abs(delay[0] - first * step) > _UNEVEN * step * max(1, len(delay)):
        raise SiteTwinError(
            f"the delays begin at {1e9 * delay[0]:g} ns, which is no whole number of their steps of {1e9 * step:g} ns; "
            "interpolate the profiles to such delays"
        )
    known = data["noise"].values if noise is None else np.full(len(power), float(noise))
    each = np.where(np.isfinite(known), known, np.nan)[:, None]
    if np.isnan(each).any():
        each = np.where(np.isnan(each), noise_of_taps(power[:, None, :]), each)
    positions = np.stack([data[axis].values for axis in "xyz"], axis=1).astype(np.float64)
    left_out = {"zero, not finite, or without a position": int(data.attrs.get("left_out", 0))}
    return Profiles(
        power[:, None, :],
        positions,
        each,
        carrier,
        1 / step,
        first,
        power.shape[1],
        window,
        left_out=left_out,
        repeats=False,
    )


def _check_band(of_file: float, carrier: float, rate: float) -> None:
    """Refuse a carrier that is not the file's, and delays that are too close for it."""
    if np.isfinite(of_file) and abs(of_file - carrier) > rate / 2:
        raise SiteTwinError(
            f"the profiles were measured at {of_file / 1e6:.6g} MHz and {carrier / 1e6:.6g} MHz was given; leave the "
            "carrier out"
        )
    if rate > 2 * carrier:
        raise SiteTwinError(
            f"delays in steps of {1e9 / rate:.3g} ns are those of a band of {rate / 1e9:.3g} GHz, about a carrier of "
            f"{carrier / 1e9:.3g} GHz; check the unit of the delays"
        )


def _power(arrays: Mapping[str, np.ndarray], what: str) -> Float[np.ndarray, "profiles delays"]:
    """Linear powers."""
    name = _either(arrays, "power_db", "power", what)
    power = _real(arrays[name], name, what, 2)
    if power.shape[1] < 2:
        raise SiteTwinError(f"{what}: {name} of the shape {power.shape} has one delay; give (profiles, delays)")
    known = power[np.isfinite(power)]
    if name == "power_db":
        if len(known) and not (known.min() >= _WEAKEST_DB and known.max() <= _STRONGEST_DB):
            raise SiteTwinError(f"{what}: power_db reaches from {known.min():g} to {known.max():g} dB; check its unit")
        _refuse_linear(known, what)
        return 10.0 ** (power / 10)
    if len(known) and (known < 0).any():
        raise SiteTwinError(f"{what}: power is negative, so that it looks like dB; name it power_db, or give it linear")
    _refuse_decibels(known, what)
    return power


def _refuse_linear(known: np.ndarray, what: str) -> None:
    """Refuse linear powers that are called dB: small positive numbers would all be the same power, 0 dB."""
    some = known[known != 0]
    if len(some) < _FEWEST or (some < 0).any() or np.ptp(some) == 0:
        return
    low, middle = np.quantile(some, [0.1, 0.5])
    if middle < 1 and (np.ptp(some) < _SAME_DB or middle - low < _EVEN_DB):
        raise SiteTwinError(
            f"{what}: half of power_db lies between {some.min():.3g} and {middle:.3g} dB, which no receiver's noise "
            "does, so that it looks linear; name it power, or subtract 100 from all if it is dB (any reference will do)"
        )


def _refuse_decibels(known: np.ndarray, what: str) -> None:
    """Refuse positive decibels that are called linear: of linear powers most are far below the strongest."""
    some = known[known > 0]
    if len(some) < _FEWEST:
        return
    low, middle, high = float(some.min()), float(np.median(some)), float(some.max())
    if middle >= 1 and low < high <= _STRONGEST_DB:
        raise SiteTwinError(
            f"{what}: half of power lies above {middle:.3g} and none above {high:.3g}: linear, or dB? name it power_db "
            "if it is dB (with a minus sign if it is a loss); linear powers may be scaled by any factor, as 1e-6"
        )


def _delays(arrays: Mapping[str, np.ndarray], what: str, taps: int) -> Float[np.ndarray, " taps"]:
    """Seconds, evenly spaced and rising."""
    name = _either(arrays, "delay_ns", "delay_s", what)
    delay = _real(arrays[name], name, what, 1) * (1e-9 if name == "delay_ns" else 1.0)
    if len(delay) != taps:
        raise SiteTwinError(f"{what}: {len(delay)} delays go with powers of {taps}; {MEND}")
    if not np.isfinite(delay).all() or np.abs(delay).max() > _LONGEST_S:
        raise SiteTwinError(
            f"{what}: {name} holds NaN or delays beyond {1e3 * _LONGEST_S:g} ms; give seconds as delay_s, or "
            "nanoseconds as delay_ns"
        )
    steps = np.diff(delay)
    step = float(np.median(steps))
    if not step > _SHORTEST_S or (np.abs(steps - step) > _UNEVEN * step).any():
        raise SiteTwinError(
            f"{what}: {name} does not rise in even steps (median {1e9 * step:g} ns, {1e9 * steps.min():g} to "
            f"{1e9 * steps.max():g} ns); interpolate the profiles to even delays"
        )
    return delay


def _positions(arrays: Mapping[str, np.ndarray], what: str, count: int) -> Float[np.ndarray, "profiles axes"]:
    if "position" in arrays:
        position = _real(arrays["position"], "position", what, 2)
    else:
        globe = [name for name in ("latitude", "longitude") if name not in arrays]
        if globe:
            raise SiteTwinError(f"{what} lack the array 'position', or '{globe[0]}' in its place; {MEND}")
        columns = [_real(arrays[name], name, what, 1) for name in ("latitude", "longitude")]
        if any(len(column) != count for column in columns):
            raise SiteTwinError(f"{what}: latitude and longitude need one number for each of {count} profiles; {MEND}")
        return np.stack(columns, axis=1)
    if position.shape != (count, 3):
        raise SiteTwinError(f"{what}: position has the shape {position.shape}; give ({count}, 3), metres; {MEND}")
    if (np.abs(position[np.isfinite(position)]) > LARGEST_COORDINATE).any():
        raise SiteTwinError(f"{what}: a position lies beyond {LARGEST_COORDINATE:g} m, off every site; check the file")
    return position


def _noise(arrays: Mapping[str, np.ndarray], what: str, count: int) -> Float[np.ndarray, " profiles"]:
    """Linear noise of each profile; NaN where it is unknown."""
    if "noise" not in arrays and "noise_db" not in arrays:
        return np.full(count, np.nan)
    name = _either(arrays, "noise_db", "noise", what)
    noise = _real(np.atleast_1d(arrays[name]), name, what, 1)
    if len(noise) not in (1, count):
        raise SiteTwinError(f"{what}: {name} has {len(noise)} numbers; give one, or one for each of {count} profiles")
    if name == "noise_db":
        some = noise[np.isfinite(noise)]
        if len(some) and ((some > 0) & (some < 1e-3)).all():
            raise SiteTwinError(f"{what}: noise_db is {some[0]:g}, so that it looks linear; name it noise, or give dB")
        return np.broadcast_to(10.0 ** (noise / 10), (count,)).copy()
    if (noise[np.isfinite(noise)] <= 0).any():
        raise SiteTwinError(f"{what}: noise is not above zero; give it linear, or as noise_db")
    return np.broadcast_to(noise, (count,)).copy()


def _refuse_loud_noise(
    power: Float[np.ndarray, "profiles delays"], noise: Float[np.ndarray, " profiles"], what: str
) -> None:
    """Refuse a mean power of noise that most profiles do not reach anywhere: it is in another unit than the powers."""
    loud = noise > power.max(axis=1, initial=0.0)
    if loud.size and loud.mean() > 0.5:
        raise SiteTwinError(
            f"{what}: the noise is above the strongest power in {int(loud.sum())} of {len(loud)} profiles; check the "
            "units of noise and power, and give the mean noise of one delay"
        )


def _either(arrays: Mapping[str, np.ndarray], one: str, other: str, what: str) -> str:
    """The one of two names that is there."""
    there = [name for name in (one, other) if name in arrays]
    if len(there) != 1:
        said = f"hold both '{one}' and '{other}'" if there else f"lack '{one}', or '{other}' in its place"
        raise SiteTwinError(f"{what} {said}; {MEND}")
    return there[0]


def _real(values: np.ndarray, name: str, what: str, axes: int) -> np.ndarray:
    if values.dtype.kind not in "fiu" or values.ndim != axes or not values.size:
        raise SiteTwinError(f"{what}: {name} is not {'a table' if axes == 2 else 'a row'} of real numbers; {MEND}")
    return as_float64(values)


def _one_number(arrays: Mapping[str, np.ndarray], name: str, what: str) -> float:
    if name not in arrays:
        return float("nan")
    values = _real(np.atleast_1d(arrays[name]), name, what, 1)
    if (values != values[0]).any() or not values[0] > 0:
        raise SiteTwinError(f"{what}: {name} is not one positive number; {MEND}")
    return float(values[0])


def _of_table(path: Path, what: str) -> dict[str, np.ndarray]:
    """Arrays of a table with a row for each profile and delay."""
    rows = [row for row in read_table(path, what, LARGEST_MEASUREMENT) if row]
    if len(rows) < 2:
        raise SiteTwinError(f"{what} have no rows; {MEND}")
    heading = [cell.strip().lower() for cell in rows[0]]
    unknown = [name for name in heading if name not in _COLUMNS]
    if unknown or len(set(heading)) < len(heading):
        said = f"has the unknown column '{unknown[0][:40]}'" if unknown else "has two columns of one name"
        raise SiteTwinError(f"{what}: the heading {said}; it may hold {', '.join(_COLUMNS)} except position")
    if "profile" not in heading:
        raise SiteTwinError(f"{what} have no column 'profile', a number that tells one profile's rows; {MEND}")
    columns = dict(zip(heading, _cells(rows[1:], len(heading), what).T, strict=True))
    return _gathered(columns, what)


def _cells(rows: list[list[str]], count: int, what: str) -> np.ndarray:
    for number, row in enumerate(rows, start=2):
        if len(row) != count:
            raise SiteTwinError(f"{what}: row {number} has {len(row)} cells, the heading {count}; mend the row")
    try:
        return np.array([[cell.strip() or "nan" for cell in row] for row in rows], dtype="U32").astype(np.float64)
    except ValueError as error:
        raise SiteTwinError(
            f"{what}: a cell is no number ({str(error)[:60]}); leave cells without a value empty"
        ) from error


def _gathered(columns: dict[str, np.ndarray], what: str) -> dict[str, np.ndarray]:
    """One row for each profile of a long table; a delay that a profile lacks makes its power NaN."""
    delay_name, power_name = _either(columns, "delay_ns", "delay_s", what), _either(columns, "power_db", "power", what)
    if not np.isfinite(columns["profile"]).all():
        raise SiteTwinError(f"{what}: a row names no profile; give its number in the column 'profile'")
    names, number = np.unique(columns["profile"], return_inverse=True)
    delays, tap = np.unique(columns[delay_name], return_inverse=True)
    if not np.isfinite(delays).all():
        raise SiteTwinError(f"{what}: a row has no {delay_name}; give the delay of each row")
    if len(names) * len(delays) > 4 * len(number) + 1000:
        raise SiteTwinError(
            f"{what}: {len(names)} profiles have {len(delays)} different delays in {len(number)} rows; give all "
            "profiles the same even delays"
        )
    power = np.full((len(names), len(delays)), np.nan)
    if len(np.unique(number * len(delays) + tap)) < len(number):
        raise SiteTwinError(f"{what}: a profile has two rows of one delay; give each delay once")
    power[number, tap] = columns[power_name]
    found = {power_name: power, delay_name: delays}
    first = np.unique(number, return_index=True)[1]
    for name in ("latitude", "longitude", "noise", "noise_db", "x_m", "y_m", "z_m"):
        if name in columns:
            values = columns[name]
            if (_differ(values, values[first][number])).any():
                raise SiteTwinError(f"{what}: the rows of one profile differ in {name}; give each its own number")
            found[name] = values[first]
    if "carrier_hz" in columns:
        found["carrier_hz"] = columns["carrier_hz"]
    metres = [name for name in ("x_m", "y_m", "z_m") if name in found]
    if metres:
        if len(metres) < 3:
            raise SiteTwinError(f"{what} have the columns {', '.join(metres)} only; give x_m, y_m and z_m")
        found["position"] = np.stack([found.pop(name) for name in ("x_m", "y_m", "z_m")], axis=1)
    return found


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one != other) & ~(np.isnan(one) & np.isnan(other))
