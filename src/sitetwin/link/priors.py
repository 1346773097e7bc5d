"""What a transmitter may believe of a channel before it hears a pilot: the twin's paths, or a law for anywhere.

A prior is a covariance over antennas and subcarriers, ``E[h[t, k] h[t', k']*]``, of zero mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Integer

from sitetwin.channel import OfdmGrid, PathGains, Radio, ideal_response
from sitetwin.channel.delay_shares import first_delays
from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import (
    checked_channels,
    checked_choice,
    checked_count,
    checked_rng,
    refuse_zero_channels,
    snr_of_db,
)
from sitetwin.rays import Paths

Observed = Complex[np.ndarray, "users antennas tones"]
Responses = Complex[np.ndarray, "users antennas subcarriers"]
Covariance = Complex[np.ndarray, "users antennas antennas"]

_AT_ONCE = 1 << 22  # complex numbers of the largest intermediate


@dataclass(frozen=True, eq=False)
class PathPrior:
    """The twin's paths with phases that nobody knows: ``h[t, k] = sum_p e^{j phi_p} a[p, t] e^{-j 2 pi f_k tau_p}``.

    With independent uniform phases phi the covariance is ``sum_p a[p, t] a[p, t']* e^{-j 2 pi (f_k - f_k') tau_p}``:
    directions, delays and powers of the twin count, its phases do not.

    Attributes:
        gains: [users, paths, antennas] complex gains of the paths; zero where a user has fewer.
        delays: [users, paths] delays in seconds, counted as those of the channel are.
        offsets_hz: [subcarriers] frequencies from the carrier.
    """

    gains: Complex[np.ndarray, "users paths antennas"]
    delays: Float[np.ndarray, "users paths"]
    offsets_hz: Float[np.ndarray, " subcarriers"]

    def __post_init__(self) -> None:
        gains = checked_channels(self.gains, "gains of the paths", ("users", "paths", "antennas"))
        refuse_zero_channels(gains, "gains of the paths")
        delays, offsets = np.asarray(self.delays, dtype=float), np.asarray(self.offsets_hz, dtype=float)
        if delays.shape != gains.shape[:2] or not np.isfinite(delays).all():
            raise SiteTwinError(
                f"delays of the shape {delays.shape} do not fit gains of {gains.shape[:2]}; give a finite one for each"
            )
        if offsets.ndim != 1 or not offsets.size or not np.isfinite(offsets).all():
            raise SiteTwinError(
                "offsets_hz are the frequencies of the subcarriers from the carrier; give a row of them"
            )
        for name, value in (("gains", gains), ("delays", delays), ("offsets_hz", offsets)):
            object.__setattr__(self, name, value)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Users, antennas, subcarriers."""
        return self.gains.shape[0], self.gains.shape[2], len(self.offsets_hz)

    def scaled(self) -> PathPrior:
        """The prior with a mean power of 1 per antenna for each user."""
        power = np.sum(np.abs(self.gains) ** 2, axis=(1, 2)) / self.gains.shape[2]
        return replace(self, gains=self.gains / np.sqrt(power)[:, None, None])

    def select_users(self, users: Any) -> PathPrior:
        """The prior of some users, by numbers or a mask."""
        return replace(self, gains=self.gains[users], delays=self.delays[users])

    def covariance(self) -> Covariance:
        """[users, antennas, antennas] ``E[h[t, k] h[t', k]*]``, the same at each subcarrier and over the band."""
        return np.einsum("upa,upb->uab", self.gains, self.gains.conj())

    def draw(self, rng: np.random.Generator) -> Responses:
        """[users, antennas, subcarriers] channels with random phases of the paths."""
        phases = np.exp(2j * np.pi * rng.random(self.delays.shape))
        return self._responses(phases)

    def estimate(self, observed: Observed, tones: Integer[np.ndarray, " tones"], noise_variance: float) -> Responses:
        """Linear estimate of least mean square error (LMMSE) of the channel from noisy pilots.

        ``C_hp (C_pp + sigma_p^2 I)^-1 y``, solved in the smaller of two equal forms: over the pilots or over the paths.

        Args:
            observed: [users, antennas, tones] channel at the pilots, with noise (`observe_pilots`).
            tones: [tones] their subcarriers.
            noise_variance: sigma_p^2.

        Raises:
            SiteTwinError: Shapes do not fit, or the variance is not positive.
        """
        values, tones, variance = checked_pilots(observed, tones, noise_variance, self.shape)
        users, paths, antennas = self.gains.shape
        pilots = antennas * len(tones)
        weights = np.empty((users, paths), np.complex128)
        step = max(1, _AT_ONCE // (paths * pilots + min(paths, pilots) ** 2))
        for first in range(0, users, step):
            some = slice(first, first + step)
            turns = np.exp(-2j * np.pi * self.delays[some, :, None] * self.offsets_hz[tones])
            v = (self.gains[some, :, :, None] * turns[:, :, None, :]).reshape(-1, paths, pilots)
            y = values[some].reshape(-1, pilots, 1)
            if pilots <= paths:
                inner = v.transpose(0, 2, 1) @ v.conj() + variance * np.eye(pilots)
                weights[some] = (v.conj() @ np.linalg.solve(inner, y))[..., 0]
            else:
                inner = v.conj() @ v.transpose(0, 2, 1) + variance * np.eye(paths)
                weights[some] = np.linalg.solve(inner, v.conj() @ y)[..., 0]
        return self._responses(weights)

    def covariance_with(self, tones: Integer[np.ndarray, " tones"]) -> Complex[np.ndarray, "users channel pilots"]:
        """[users, antennas * subcarriers, antennas * tones] covariance of the channel with its values at some tones.

        Args:
            tones: [tones] their subcarriers.
        """
        users, antennas, subcarriers = self.shape
        paths = self.gains.shape[1]
        heard = (np.arange(antennas)[:, None] * subcarriers + tones).ravel()
        turns = np.exp(-2j * np.pi * self.delays[:, :, None] * self.offsets_hz)
        every = (self.gains[:, :, :, None] * turns[:, :, None, :]).reshape(users, paths, antennas * subcarriers)
        return every.transpose(0, 2, 1) @ every[:, :, heard].conj()

    def _responses(self, weights: np.ndarray) -> Responses:
        """Sum of the paths, each times its weight."""
        users, paths, _ = self.gains.shape
        out = np.empty(self.shape, np.complex128)
        step = max(1, _AT_ONCE // (paths * len(self.offsets_hz)))
        for first in range(0, users, step):
            some = slice(first, first + step)
            turns = np.exp(-2j * np.pi * self.delays[some, :, None] * self.offsets_hz)
            out[some] = (self.gains[some] * weights[some, :, None]).transpose(0, 2, 1) @ turns
        return out


def path_prior(
    paths: Paths,
    gains: PathGains,
    grid: OfdmGrid,
    *,
    rx_antenna: int = 0,
    delay_reference: str = "transmission",
    max_paths: int | None = None,
) -> PathPrior:
    """The prior that a twin's paths give.

    Args:
        paths: Paths of the users; each user needs one at least (`Paths.select_users` leaves the others out).
        gains: Their gains (`sitetwin.gains`), with the radios.
        grid: The subcarriers.
        rx_antenna: Which antenna of the users receives.
        delay_reference: Where delays count from, as in the channel that is estimated.
        max_paths: Number of strongest paths that are kept per user; all by default.

    Raises:
        SiteTwinError: Gains and paths do not belong together, a user has no path, or a choice is unknown.
    """
    checked_choice("delay_reference", delay_reference, ("transmission", "first-path"))
    if max_paths is not None:
        checked_count("max_paths", max_paths)
    counts = np.asarray(paths.counts)
    if not len(counts) or not counts.all():
        raise SiteTwinError(
            f"{int((counts == 0).sum())} of {len(counts)} users have no path in the twin; leave them out with "
            "gains.select_users(paths, paths.counts > 0)"
        )
    a, delay = ideal_response(paths, gains, max_paths=max_paths)
    wanted = checked_count("rx_antenna", rx_antenna, 0, a.shape[1] - 1)
    delays = delay.numpy()
    if delay_reference == "first-path":
        delays = delays - first_delays(paths)[:, None]
    values = a[:, wanted].detach().numpy().transpose(0, 2, 1)
    offsets = grid.index.numpy() * grid.spacing_hz
    return PathPrior(values.astype(np.complex128), np.nan_to_num(delays), offsets)


@dataclass(frozen=True, eq=False)
class SeparablePrior:
    """A covariance that is the product of one over antennas and one over subcarriers, the same for all users.

    Attributes:
        space: [antennas, antennas].
        frequency: [subcarriers, subcarriers].
    """

    space: Complex[np.ndarray, "antennas antennas"]
    frequency: Complex[np.ndarray, "subcarriers subcarriers"]

    def estimate(self, observed: Observed, tones: Integer[np.ndarray, " tones"], noise_variance: float) -> Responses:
        """As `PathPrior.estimate`."""
        antennas, subcarriers = len(self.space), len(self.frequency)
        shape = (len(observed), antennas, subcarriers)
        values, tones, variance = checked_pilots(observed, tones, noise_variance, shape)
        pilots = antennas * len(tones)
        own = np.kron(self.space, self.frequency[np.ix_(tones, tones)]) + variance * np.eye(pilots)
        cross = np.kron(self.space, self.frequency[:, tones])
        return (values.reshape(-1, pilots) @ np.linalg.solve(own.T, cross.T)).reshape(shape)


def generic_prior(
    grid: OfdmGrid,
    radio: Radio,
    delay_spread_s: float,
    profile: str = "exponential",
    angles: str = "isotropic",
    delay_reference_s: float = 0.0,
) -> SeparablePrior:
    """A prior for anywhere: a delay profile of a given spread, and waves from all directions alike.

    Args:
        grid: The subcarriers.
        radio: The transmitter's radio: the places of its elements count. Elements of different ports are independent.
        delay_spread_s: Root mean square delay spread, seconds.
        profile: "exponential": correlation 1/(1 + j 2 pi df s); "uniform" over sqrt(12) s: sinc(df sqrt(12) s) with the
            phase of its middle.
        angles: "isotropic": sin(x)/x of x = 2 pi d for elements d wavelengths apart (the field of R. K. Cook et al.,
            J. Acoust. Soc. Am. 27(6), 1955); "independent": no correlation of antennas.
        delay_reference_s: Delay at which the profile begins, counted as those of the channel are.

    Raises:
        SiteTwinError: The spread is negative or not finite, or a choice is unknown.
    """
    if not (math.isfinite(delay_spread_s) and delay_spread_s >= 0 and math.isfinite(delay_reference_s)):
        raise SiteTwinError(f"delay_spread_s is {delay_spread_s!r}; give seconds, 0 or more")
    checked_choice("profile", profile, ("exponential", "uniform"))
    checked_choice("angles", angles, ("isotropic", "independent"))
    offsets = grid.index.numpy() * grid.spacing_hz
    apart = offsets[:, None] - offsets
    if profile == "exponential":
        frequency = 1 / (1 + 2j * np.pi * apart * delay_spread_s)
    else:
        width = math.sqrt(12) * delay_spread_s
        frequency = np.sinc(apart * width) * np.exp(-1j * np.pi * apart * width)
    frequency = frequency * np.exp(-2j * np.pi * apart * delay_reference_s)
    array = radio.array
    space = np.eye(array.num_antennas)
    if angles == "isotropic":
        places = array.positions.detach().double().numpy()
        distance = np.linalg.norm(places[:, None] - places, axis=-1)
        space = np.kron(np.eye(array.num_ports), np.sinc(2 * distance))
    return SeparablePrior(space.astype(np.complex128), frequency)


@dataclass(frozen=True, eq=False)
class MixedPrior:
    """The covariance of the twin's paths and that of a law for anywhere, in shares: what the twin lacks stays possible.

    Attributes:
        twin: The twin's paths, of unit power (`PathPrior.scaled`).
        generic: A law for anywhere, of unit power.
        generic_share: Share of the generic covariance, 0 to 1.

    Raises:
        SiteTwinError: The share is none, or the priors have different antennas or subcarriers.
    """

    twin: PathPrior
    generic: SeparablePrior
    generic_share: float

    def __post_init__(self) -> None:
        if not 0 <= self.generic_share <= 1:
            raise SiteTwinError(f"generic_share is {self.generic_share!r}; give a share from 0 to 1")
        if self.twin.shape[1:] != (len(self.generic.space), len(self.generic.frequency)):
            raise SiteTwinError(
                f"the twin's prior is of {self.twin.shape[1:]} antennas and subcarriers, the generic one of "
                f"{(len(self.generic.space), len(self.generic.frequency))}; make both for one array and grid"
            )

    def estimate(self, observed: Observed, tones: Integer[np.ndarray, " tones"], noise_variance: float) -> Responses:
        """As `PathPrior.estimate`."""
        shape, share = self.twin.shape, self.generic_share
        values, tones, variance = checked_pilots(observed, tones, noise_variance, shape)
        users, antennas, subcarriers = shape
        pilots = antennas * len(tones)
        heard = (np.arange(antennas)[:, None] * subcarriers + tones).ravel()
        generic = np.kron(self.generic.space, self.generic.frequency[:, tones])
        out = np.empty((users, antennas * subcarriers), np.complex128)
        paths = self.twin.gains.shape[1]
        step = max(1, _AT_ONCE // ((paths + pilots) * antennas * subcarriers))
        for first in range(0, users, step):
            some = slice(first, first + step)
            twin = self.twin.select_users(some).covariance_with(tones)
            cross = (1 - share) * twin + share * generic
            own = cross[:, heard] + variance * np.eye(pilots)
            out[some] = (cross @ np.linalg.solve(own, values[some].reshape(-1, pilots, 1)))[..., 0]
        return out.reshape(shape)


def pilot_tones(subcarriers: int, pilots: int) -> Integer[np.ndarray, " tones"]:
    """Subcarriers of evenly spread pilots: those in the middle of as many equal parts of the band.

    Raises:
        SiteTwinError: There are more pilots than subcarriers, or none.
    """
    count = checked_count("pilots", pilots, 1, checked_count("subcarriers", subcarriers))
    return ((2 * np.arange(count) + 1) * subcarriers) // (2 * count)


def observe_pilots(
    channel: Any, tones: Integer[np.ndarray, " tones"], snr_db: float, rng: np.random.Generator
) -> tuple[Observed, float]:
    """What is heard of pilots that each antenna sends by itself.

    Args:
        channel: [users, antennas, subcarriers] true channels of power 1 per antenna.
        tones: [tones] subcarriers of the pilots.
        snr_db: SNR of a pilot of one antenna, for a channel of power 1, in dB.
        rng: Generator of the noise.

    Returns:
        [users, antennas, tones] noisy channels, and the variance of their noise.

    Raises:
        SiteTwinError: The channel has another shape, or a tone or the SNR is out of its range.
    """
    values = checked_channels(channel, "channels", ("users", "antennas", "subcarriers"))
    _, ratios = snr_of_db(snr_db)
    if len(ratios) != 1:
        raise SiteTwinError(f"snr_db is {snr_db!r}; pilots have one SNR in dB")
    chosen = values[:, :, checked_tones(tones, values.shape[-1])]
    variance = float(1 / ratios[0])
    noise = checked_rng(rng).standard_normal((2, *chosen.shape)) * math.sqrt(variance / 2)
    return chosen + noise[0] + 1j * noise[1], variance


def checked_tones(tones: Any, subcarriers: int) -> Integer[np.ndarray, " tones"]:
    """Return the subcarriers of pilots.

    Raises:
        SiteTwinError: They are no whole numbers of subcarriers, repeat, or there is none.
    """
    values = np.asarray(tones)
    fine = values.ndim == 1 and values.size and values.dtype.kind in "iu"
    if not fine or values.min() < 0 or values.max() >= subcarriers or len(np.unique(values)) < len(values):
        raise SiteTwinError(f"tones are {tones!r}; give different subcarriers from 0 to {subcarriers - 1}")
    return values


def checked_pilots(
    observed: Any, tones: Any, noise_variance: float, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Pilots, tones and variance that fit a prior of some shape."""
    values = checked_channels(observed, "observed pilots", ("users", "antennas", "tones"))
    chosen = checked_tones(tones, shape[2])
    if values.shape != (shape[0], shape[1], len(chosen)):
        raise SiteTwinError(
            f"observed pilots have the shape {values.shape}; the prior is of {shape[0]} users and {shape[1]} antennas, "
            f"and {len(chosen)} tones were given"
        )
    if not 0 < noise_variance < math.inf:
        raise SiteTwinError(f"noise_variance is {noise_variance!r}; give a positive number")
    return values, chosen, float(noise_variance)
