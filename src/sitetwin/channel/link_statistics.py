"""Large-scale quantities for planning: path gain, received power, SINR, delay spread and angular spreads.

All quantities follow from the powers of the paths alone. The path gain of a user is the sum of its path powers, which
is the mean over small-scale fading: moved by a few wavelengths, phases turn and powers stay.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Integer

from sitetwin.channel.antennas.patterns import Pattern, SampledPattern
from sitetwin.channel.fields.gains import PathGains, checked_gains
from sitetwin.channel.grid import OfdmGrid
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths

BOLTZMANN = 1.380649e-23
"""J/K, exact in the SI."""

NOISE_TEMPERATURE = 290.0
"""K: the standard noise temperature, to which noise figures refer (IEEE; 10 log10(1000 k T) = -173.98 dBm/Hz)."""


@dataclass(frozen=True, eq=False)
class LinkStatistics:
    """Large-scale quantities of the links from one transmitter to U users.

    Attributes:
        path_gain: (U,) float64, received over transmitted power; 0 without a path.
        delay_spread: (U,) float64, s, root mean square; NaN without a path.
        azimuth_spread_departure: (U,) float64, rad, circular standard deviation; NaN without a path.
        zenith_spread_departure: (U,) float64, rad, circular standard deviation; NaN without a path.
        azimuth_spread_arrival: (U,) float64, rad, circular standard deviation; NaN without a path.
        zenith_spread_arrival: (U,) float64, rad, circular standard deviation; NaN without a path.
        rician_k: (U,) float64, power of the line of sight over that of all other paths; infinite where there is no
            other, NaN without a line of sight.
        line_of_sight: (U,) bool, whether a path without interaction arrives (leaves weaken it but do not end it).
    """

    path_gain: Float[np.ndarray, " users"]
    delay_spread: Float[np.ndarray, " users"]
    azimuth_spread_departure: Float[np.ndarray, " users"]
    zenith_spread_departure: Float[np.ndarray, " users"]
    azimuth_spread_arrival: Float[np.ndarray, " users"]
    zenith_spread_arrival: Float[np.ndarray, " users"]
    rician_k: Float[np.ndarray, " users"]
    line_of_sight: Bool[np.ndarray, " users"]


def link_statistics(paths: Paths, gains: PathGains | Float[np.ndarray, " paths"]) -> LinkStatistics:
    """Compute large-scale quantities from the paths of each user.

    Args:
        paths: P paths of U users.
        gains: Their gains from `path_gains` between one port at each end. Or (P,) received over transmitted power of
            each path, where no gains stand behind it; nothing then tells whether it belongs to the paths.

    Raises:
        SiteTwinError: The gains are those of other paths or between several ports, or powers are not one number, zero
            or more, per path.
    """
    power = (
        np.asarray(gains, dtype=np.float64)
        if isinstance(gains, np.ndarray)
        else _powers(checked_gains(gains, paths)[0])
    )
    if power.shape != (paths.num_paths,) or not (np.isfinite(power) & (power >= 0)).all():
        raise SiteTwinError(
            f"powers of shape {power.shape} do not fit {paths.num_paths} paths; give one finite number, 0 or more, each"
        )
    sums = _Sums(paths, power)
    mean_delay = sums.mean(paths.delay)
    deviation = paths.delay - mean_delay[sums.user]
    direct = paths.depth == 0
    sight = sums.total(direct)
    rest = sums.total(~direct)
    seen = np.bincount(sums.user[direct], minlength=paths.num_users) > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        rician = np.where(seen, sight / rest, np.nan)
    return LinkStatistics(
        path_gain=sums.power,
        delay_spread=np.sqrt(sums.mean(deviation**2)),
        azimuth_spread_departure=sums.circular_spread(_azimuth_phasor(paths.departure)),
        zenith_spread_departure=sums.circular_spread(_zenith_phasor(paths.departure)),
        azimuth_spread_arrival=sums.circular_spread(_azimuth_phasor(paths.arrival)),
        zenith_spread_arrival=sums.circular_spread(_zenith_phasor(paths.arrival)),
        rician_k=rician,
        line_of_sight=seen,
    )


def _powers(gains: PathGains) -> np.ndarray:
    """(P,) float64."""
    values = gains.at_carrier
    if values.shape[1:] != (1, 1):
        raise SiteTwinError(
            f"link statistics are of one port at each end but the gains are between {values.shape[1]} x "
            f"{values.shape[2]} ports; give the power of one pair, gains.power[:, r, t].numpy()"
        )
    power: np.ndarray = gains.power.detach().numpy().reshape(-1)
    return power


class _Sums:
    """Sums over the paths of each user, in their order: the same bits in any tile."""

    def __init__(self, paths: Paths, power: np.ndarray) -> None:
        self.user = paths.user_of_path
        self._users = paths.num_users
        self._weight = power
        self.power = self._summed(self.user, power)

    def _summed(self, user: np.ndarray, value: np.ndarray) -> np.ndarray:
        """(U,) float64 sum of a value of each path; NumPy counts in integers where there is no path at all."""
        return np.bincount(user, weights=value, minlength=self._users).astype(np.float64)

    def total(self, chosen: np.ndarray) -> np.ndarray:
        """(U,) power of the chosen paths."""
        return self._summed(self.user[chosen], self._weight[chosen])

    def mean(self, value: np.ndarray) -> np.ndarray:
        """(U,) mean of a value of each path, weighted with the powers; NaN without power."""
        total = self._summed(self.user, self._weight * value)
        with np.errstate(invalid="ignore"):
            return total / np.where(self.power > 0, self.power, np.nan)

    def circular_spread(self, phasor: np.ndarray) -> np.ndarray:
        """(U,) circular standard deviation of angles given as e^{j angle} (3GPP TR 38.901, Annex A.1), rad.

        ``sqrt(-2 ln |sum_p P_p e^{j angle_p} / sum_p P_p|)``. It grows without bound where the mean vector vanishes; a
        vector shorter than the rounding error of doubles counts as that error, which caps the spread at 8.5 rad.
        """
        length = np.hypot(self.mean(phasor.real), self.mean(phasor.imag))
        return np.sqrt(-2 * np.log(np.clip(length, np.finfo(np.float64).eps, 1.0)))


def _azimuth_phasor(direction: np.ndarray) -> np.ndarray:
    """(P,) e^{j azimuth}; azimuth 0 on the vertical axis."""
    flat = np.hypot(direction[:, 0], direction[:, 1])
    axial = flat < 1e-12
    safe = np.where(axial, 1.0, flat)
    return np.where(axial, 1.0, direction[:, 0] / safe) + 1j * np.where(axial, 0.0, direction[:, 1] / safe)


def _zenith_phasor(direction: np.ndarray) -> np.ndarray:
    """(P,) e^{j zenith}."""
    return direction[:, 2] + 1j * np.hypot(direction[:, 0], direction[:, 1])


def thermal_noise_w(bandwidth_hz: float, noise_figure_db: float = 0.0) -> float:
    """Noise power of a receiver, ``k T B F`` with T = 290 K, watts.

    Args:
        bandwidth_hz: Bandwidth B, Hz.
        noise_figure_db: Noise figure 10 log10 F, dB.
    """
    return BOLTZMANN * NOISE_TEMPERATURE * bandwidth_hz * 10 ** (noise_figure_db / 10)


@dataclass(frozen=True)
class Downlink:
    """The downlink of a station: carrier, power and load.

    Attributes:
        grid: Carrier and subcarriers of the station.
        power_dbm: Power that its antenna is fed with over all subcarriers, dBm: EIRP less the antenna's peak gain.
        load: Share of its resource elements in use, 0 to 1, which determines its interference.
    """

    grid: OfdmGrid
    power_dbm: float
    load: float = 1.0

    @property
    def power_per_element_w(self) -> float:
        """Transmit power of one resource element (one subcarrier in one symbol), W: the same for all of them."""
        return 10 ** ((self.power_dbm - 30) / 10) / self.grid.num_subcarriers

    @property
    def band_hz(self) -> tuple[float, float]:
        """Lower and upper edge of the occupied band, Hz."""
        low = self.grid.carrier_hz + (self.grid.first - 0.5) * self.grid.spacing_hz
        return low, low + self.grid.bandwidth_hz


def received_power(
    path_gain: Float[np.ndarray, "stations users"], downlinks: Sequence[Downlink]
) -> Float[np.ndarray, "stations users"]:
    """Compute RSRP: received power per resource element with a reference signal (3GPP TS 38.215, 5.1.1).

    Args:
        path_gain: (S, U) received over transmitted power, from `link_statistics`.
        downlinks: S stations.

    Returns:
        (S, U) float64, W; 0 without a path.
    """
    return np.array([d.power_per_element_w for d in downlinks])[:, None] * path_gain


def best_server(received: Float[np.ndarray, "stations users"]) -> Integer[np.ndarray, " users"]:
    """Return the station with the largest RSRP for each user; of equal ones the first.

    Args:
        received: (S, U) W.

    Returns:
        (U,) int64, -1 where no station is received.
    """
    return np.where(received.max(axis=0) > 0, received.argmax(axis=0), -1)


def sinr(
    received: Float[np.ndarray, "stations users"],
    downlinks: Sequence[Downlink],
    serving: Integer[np.ndarray, " users"],
    noise_figure_db: float,
) -> Float[np.ndarray, " users"]:
    """Compute SINR per resource element, as a linear average over the band (TS 38.215, 5.1.5).

    The other stations interfere with the share `load` of their power where their band meets that of the serving
    station; noise is ``k T F`` times the subcarrier spacing.

    Args:
        received: (S, U) RSRP, W.
        downlinks: S stations.
        serving: (U,) station that serves each user, -1 for none.
        noise_figure_db: Noise figure of the users' receivers, dB.

    Returns:
        (U,) float64, linear; NaN where no station serves.
    """
    result = np.full(received.shape[1], np.nan)
    for station, own in enumerate(downlinks):
        users = np.flatnonzero(serving == station)
        interference = np.zeros(len(users))
        for other, foreign in enumerate(downlinks):
            if other == station:
                continue
            density = received[other, users] / foreign.grid.spacing_hz
            interference += foreign.load * _overlap(own, foreign) * density * own.grid.spacing_hz
        noise = thermal_noise_w(own.grid.spacing_hz, noise_figure_db)
        result[users] = received[station, users] / (interference + noise)
    return result


def _overlap(own: Downlink, foreign: Downlink) -> float:
    """Share of the own band that the foreign band covers."""
    (low, high), (foreign_low, foreign_high) = own.band_hz, foreign.band_hz
    return max(0.0, min(high, foreign_high) - max(low, foreign_low)) / (high - low)


def peak_gain_db(pattern: Pattern) -> float:
    """Largest gain of a pattern over all directions, dBi: from its table, else sought on a grid of one degree.

    The named patterns have their maximum at boresight or on the horizon, which are points of the grid.
    """
    if isinstance(pattern, SampledPattern):
        return float(pattern.gain_db.max())
    degrees = [torch.arange(stop, dtype=torch.float64) * math.pi / 180 for stop in (181, 360)]
    theta, phi = torch.meshgrid(*degrees, indexing="ij")
    e_theta, e_phi = pattern(theta.reshape(-1), phi.reshape(-1))
    return 10 * math.log10(float((e_theta.abs() ** 2 + e_phi.abs() ** 2).max()))
