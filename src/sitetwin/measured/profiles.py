"""Observed power over delay and beam: what a calibration of materials and poses compares with a twin.

A profile holds the power of each tap in each beam. Profiles are made from measured channels (`profiles_of_csi`), or
stand in a table of powers (`Profiles`).

The taps of K subcarriers with the window w are ``h[n] = sum_k w_k H_k e^{j 2 pi k n / K} / sqrt(K sum w^2)``: all taps
together hold the power of the channel, and white noise has the same power in each tap, whatever the window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.errors import SiteTwinError

Window = Literal["hann", "rectangular"]
"""Window over the subcarriers: Hann keeps side lobes of strong paths low; a rectangular one keeps taps narrow."""

_UNEVEN = 1e-3  # of a spacing by which subcarriers may lie off an even grid
LOWEST = 0.25
"""Quantile of the taps' power from which noise is estimated."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """Powers of taps and beams of U users.

    Attributes:
        power: (U, B, N) float64, received over transmitted power of each tap, linear.
        positions: (U, 3) float64, metres, in the site's frame.
        noise: (U, B) float64, mean power of the noise in a tap, in the unit of `power`.
        carrier_hz: Carrier, Hz.
        rate_hz: Taps per second; the bandwidth.
        first_tap: Index of the first tap; tap 0 lies at the delay 0 since transmission.
        subcarriers: Number K of subcarriers, after which delays repeat.
        window: Window over the subcarriers.
        beams: (B, A) complex, unit weights of each beam over the antennas of the station; None for one antenna.
        array: The station's array as measured, None where its antennas are not told apart.
        left_out: Profiles that were left out, by reason.
        repeats: Whether delays repeat after K taps, as those of channels do; tables end after their last tap.

    Raises:
        SiteTwinError: Shapes do not fit, a number is NaN, infinite or negative, a profile is zero, or no profile is
            left.
    """

    power: Float[np.ndarray, "users beams taps"]
    positions: Float[np.ndarray, "users 3"]
    noise: Float[np.ndarray, "users beams"]
    carrier_hz: float
    rate_hz: float
    first_tap: int
    subcarriers: int
    window: Window = "hann"
    beams: Complex[np.ndarray, "beams antennas"] | None = None
    array: AntennaArray | None = None
    left_out: dict[str, int] = field(default_factory=dict)
    repeats: bool = True

    def __post_init__(self) -> None:
        users, beams, taps = self.power.shape
        if self.positions.shape != (users, 3) or self.noise.shape != (users, beams):
            raise SiteTwinError(
                f"powers (users, beams, taps) of the shape {self.power.shape} go with positions "
                f"{self.positions.shape} and noise {self.noise.shape}; give ({users}, 3) and ({users}, {beams})"
            )
        if not users:
            raise SiteTwinError("there is no profile; give at least one user's")
        for name, values in (("powers", self.power), ("positions", self.positions), ("noise powers", self.noise)):
            bad = ~np.isfinite(values).reshape(users, -1).all(axis=1)
            if bad.any():
                raise SiteTwinError(
                    f"{name} of {int(bad.sum())} of {users} profiles (first: {int(bad.argmax())}) are NaN or infinite; "
                    "leave these profiles out"
                )
        self._check_numbers(taps)

    def _check_numbers(self, taps: int) -> None:
        negative = np.asarray((self.power < 0).any(axis=(1, 2)))
        if negative.any():
            raise SiteTwinError(
                f"powers of {int(negative.sum())} of {len(negative)} profiles are negative, so that they look like dB; "
                "give linear powers"
            )
        silent: np.ndarray = ~(self.power.sum(axis=(1, 2)) > 0)
        if silent.any():
            raise SiteTwinError(
                f"{int(silent.sum())} of {len(silent)} profiles are zero (first: {int(silent.argmax())}); omit them"
            )
        if not (self.noise > 0).all():
            raise SiteTwinError("a noise power is not positive; give the mean power of the noise in a tap")
        for name, value in (("carrier", self.carrier_hz), ("rate of the taps", self.rate_hz)):
            if not (math.isfinite(value) and value > 0):
                raise SiteTwinError(f"the {name} is {value} Hz; give a positive number")
        if not 1 <= taps <= self.subcarriers:
            raise SiteTwinError(f"{taps} taps of {self.subcarriers} subcarriers were given; delays repeat after those")
        if self.window not in get_args(Window):
            raise SiteTwinError(f"the window '{self.window}' is unknown; choose {', '.join(get_args(Window))}")
        if (self.beams is None) != (self.array is None) or (self.beams is None and self.power.shape[1] != 1):
            raise SiteTwinError(
                "profiles of several beams need the array and the weights of each beam, both or neither"
            )
        if self.beams is not None and self.array is not None:
            wanted = (self.power.shape[1], self.array.num_antennas)
            if self.beams.shape != wanted:
                raise SiteTwinError(
                    f"the beams' weights have shape {self.beams.shape}; the array and powers need {wanted}"
                )

    def __len__(self) -> int:
        """Return the number of profiles."""
        return len(self.power)

    def take(self, index: np.ndarray) -> Profiles:
        """Some of the users, in the given order.

        Args:
            index: (N,) indices or a mask (U,).
        """
        return Profiles(
            self.power[index],
            self.positions[index],
            self.noise[index],
            self.carrier_hz,
            self.rate_hz,
            self.first_tap,
            self.subcarriers,
            self.window,
            self.beams,
            self.array,
            self.left_out,
            self.repeats,
        )

    def one_a_place(self) -> Profiles:
        """Profiles of one place put together: their mean power; paths fade alike there, which is one observation."""
        _, first, number, count = np.unique(
            self.positions, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        if len(first) == len(self):
            return self
        order = np.argsort(first, kind="stable")
        found = self.take(first[order])
        means = []
        for values in (self.power, self.noise):
            total = np.zeros((len(first), *values.shape[1:]))
            np.add.at(total, number.reshape(-1), values)
            means.append(total[order] / count[order].reshape(-1, *[1] * (values.ndim - 1)))
        merged = {"another one was measured at the same place, and their mean counts once": len(self) - len(first)}
        return replace(found, power=means[0], noise=means[1], left_out={**self.left_out, **merged})

    @property
    def last_tap(self) -> int:
        """Index of the last tap."""
        return self.first_tap + self.power.shape[2] - 1


def profiles_of_csi(
    data: xr.Dataset,
    array: AntennaArray | None = None,
    *,
    taps: Sequence[int] | None = None,
    noise: float | None = None,
    window: Window = "hann",
    carrier_hz: float | None = None,
) -> Profiles:
    """Profiles of measured channels; several antennas of an array become beams, which tell angles apart.

    Args:
        data: What `sitetwin.measured.read_csi` or `csi_dataset` returns, with positions in metres.
        array: The station's array, whose antennas are those of the data; needed for more than one.
        taps: First and last tap that are kept; by default those from 2 before the transmission on, all K.
        noise: Power of the noise of one subcarrier and antenna, in the unit of ``|h|^2``; estimated for each user from
            its weakest taps by default.
        window: Window over the subcarriers.
        carrier_hz: Carrier, Hz; the middle of the band by default.

    Raises:
        SiteTwinError: Positions are no metres, the subcarriers are not evenly spaced, the array has another number of
            antennas, the carrier lies outside the band, or the noise cannot be told.
    """
    if "x" not in data:
        raise SiteTwinError("the channels have positions in degrees; put them into the site's frame (measured.on_site)")
    csi, frequency = data["csi"].values, data["frequency"].values.astype(np.float64)
    antennas, subcarriers = csi.shape[1:]
    spacing = _spacing(frequency)
    if array is None and antennas > 1:
        raise SiteTwinError(f"the channels have {antennas} antennas; give the station's array, which tells their beams")
    if array is not None and array.num_antennas != antennas:
        raise SiteTwinError(
            f"the channels were measured with {antennas} antennas and the array has {array.num_antennas}; give the "
            "array that measured"
        )
    carrier = float(frequency.mean()) if carrier_hz is None else carrier_hz
    if not frequency[0] - spacing <= carrier <= frequency[-1] + spacing:
        raise SiteTwinError(
            f"the carrier {carrier / 1e6:.6g} MHz lies outside the measured band, {frequency[0] / 1e6:.6g} to "
            f"{frequency[-1] / 1e6:.6g} MHz; give one inside"
        )
    weights = None if array is None else dft_beams(array)
    beams = csi if weights is None else np.einsum("ba,uak->ubk", weights.conj(), csi)
    first, last = (-2, subcarriers - 3) if taps is None else (int(taps[0]), int(taps[-1]))
    if not 1 <= last - first + 1 <= subcarriers:
        raise SiteTwinError(f"taps {first} to {last} of {subcarriers} subcarriers were asked for; delays repeat")
    whole = tap_powers(beams, window)
    each = noise_of_taps(whole) if noise is None else np.full(whole.shape[:2], float(noise) / subcarriers)
    kept = whole[:, :, np.arange(first, last + 1) % subcarriers]
    positions = np.stack([data[axis].values for axis in "xyz"], axis=1).astype(np.float64)
    left_out = {"zero, not finite, or without a position": int(data.attrs.get("left_out", 0))}
    rate = spacing * subcarriers
    return Profiles(kept, positions, each, carrier, rate, first, subcarriers, window, weights, array, left_out)


def tap_powers(
    response: Complex[np.ndarray, "users beams subcarriers"], window: Window
) -> Float[np.ndarray, "users beams subcarriers"]:
    """Power of all K taps of frequency responses; tap 0 is the delay 0."""
    weight = subcarrier_window(response.shape[-1], window)
    taps = np.fft.ifft(response * weight, axis=-1) * math.sqrt(response.shape[-1] / (weight**2).sum())
    return np.square(taps.real, dtype=np.float64) + np.square(taps.imag, dtype=np.float64)


def subcarrier_window(subcarriers: int, window: Window) -> Float[np.ndarray, " subcarriers"]:
    """The window over the subcarriers, periodic."""
    if window == "rectangular":
        return np.ones(subcarriers)
    return 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(subcarriers) / subcarriers)


def pulse_shares(away: Float[np.ndarray, "*shape"], subcarriers: int, window: Window) -> Float[np.ndarray, "*shape"]:
    """Share of a path's power in a tap that lies `away` taps from the path's delay; over all K taps they add up to 1.

    Args:
        away: Tap less delay, in taps.
        subcarriers: K.
        window: Window over the subcarriers.
    """
    share: np.ndarray = np.square(pulse_amplitudes(away, subcarriers, window))
    return share


def pulse_amplitudes(
    away: Float[np.ndarray, "*shape"], subcarriers: int, window: Window
) -> Float[np.ndarray, "*shape"]:
    """Amplitude of a path in a tap over the path's own, with the sign that its phase has beside its other taps'.

    Phases of neighbouring taps differ by ``pi (K - 1) / K`` besides, the same for all paths and for the noise.
    """
    if window == "rectangular":
        sharp: np.ndarray = _kernel(away, subcarriers) / subcarriers
        return sharp
    # The Hann window is three lines: -1/4, 1/2, -1/4. Phases of neighbouring kernels differ by pi (K - 1) / K.
    turn = np.exp(1j * math.pi * (subcarriers - 1) / subcarriers)
    sides = _kernel(away + 1, subcarriers) * turn + _kernel(away - 1, subcarriers) / turn
    lines = 0.5 * _kernel(away, subcarriers) - 0.25 * sides
    amplitude: np.ndarray = np.copysign(np.abs(lines), lines.real) / math.sqrt(0.375 * subcarriers**2)
    return amplitude


def noise_correlations(window: Window) -> tuple[float, ...]:
    """Correlation of the noise of taps 1, 2 and 3 apart, with the signs of `pulse_amplitudes`."""
    return (2 / 3, 1 / 6, 0.0) if window == "hann" else (0.0, 0.0, 0.0)


def _kernel(away: np.ndarray, size: int) -> np.ndarray:
    """``sin(pi u) / sin(pi u / K)``, K at multiples of K up to the sign."""
    below = np.sin(math.pi * away / size)
    small = np.abs(below) < 1e-9
    ratio = np.sin(math.pi * away) / np.where(small, 1.0, below)
    return np.where(small, size * np.cos(math.pi * away) / np.cos(math.pi * away / size), ratio)


def noise_of_taps(power: Float[np.ndarray, "users beams taps"]) -> Float[np.ndarray, "users beams"]:
    """Mean noise power of a tap, from the weakest quarter of all taps: noise powers are exponentially distributed.

    The beams of a user share their noise. Where paths fill most taps, it is estimated too high.

    Raises:
        SiteTwinError: A user's weakest taps are zero, so that no noise can be seen.
    """
    flat = power.reshape(len(power), -1)
    level = np.quantile(flat, LOWEST, axis=1) / -math.log(1 - LOWEST)
    if not (level > 0).all():
        raise SiteTwinError(
            f"{int((~(level > 0)).sum())} profiles have no noise in their weakest taps; give the power of the noise"
        )
    return np.repeat(level[:, None], power.shape[1], axis=1)


def dft_beams(array: AntennaArray) -> Complex[np.ndarray, "beams antennas"]:
    """Unitary beams of an array, port by port: a discrete Fourier transform over rows and columns.

    Of an array that is no grid, the transform over the numbers of its elements: unitary too, but no beam points
    anywhere. A weight acts conjugated, ``w^H h``.
    """
    rows, columns = array.shape or (1, array.num_positions)
    turns = [np.exp(2j * math.pi * np.outer(np.arange(n), np.arange(n)) / n) / math.sqrt(n) for n in (rows, columns)]
    one = np.kron(turns[0], turns[1])
    whole: np.ndarray = np.kron(np.eye(array.num_ports), one)
    return whole


def _spacing(frequency: np.ndarray) -> float:
    if len(frequency) < 2:
        raise SiteTwinError("one subcarrier has no taps; give channels of several subcarriers")
    steps = np.diff(frequency)
    spacing = float(np.median(steps))
    uneven = np.abs(steps - spacing) > _UNEVEN * spacing
    if uneven.any():
        at = int(uneven.argmax())
        raise SiteTwinError(
            f"the subcarriers are not evenly spaced: {steps[at] / 1e3:.6g} kHz at {frequency[at] / 1e6:.6g} MHz, "
            f"{spacing / 1e3:.6g} kHz elsewhere; interpolate gaps, or give an even part of the band"
        )
    return spacing
