"""How the power of paths spreads over taps and beams, and how powers of neighbouring taps vary together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from sitetwin.calibrate.channels.likelihood import TapLaw
from sitetwin.measured.profiles import Profiles, noise_correlations, pulse_amplitudes

REACH = {"hann": 4, "rectangular": 12}
"""Taps on either side of a path over which its power is spread; less than 1e-3 of it lies beyond for Hann."""

LAGS = (1, 2, 3)
"""Taps apart whose powers vary together: two paths in both make both rise or fall."""


@dataclass(frozen=True, eq=False)
class PathTaps:
    """Where paths fall.

    Attributes:
        profiles: What they are compared with.
        user: (P,) user of each path.
        at: (P,) delays, in taps.
        gain: (P, ports, beams) power gain of each path in each beam, over that of one antenna.
    """

    profiles: Profiles
    user: Int[np.ndarray, " paths"]
    at: Float[np.ndarray, " paths"]
    gain: Float[np.ndarray, "paths ports beams"]

    def shares(self, lag: int = 0) -> csr_array:
        """Share of each path's power in each tap; with a lag, amplitude there times that so many taps later.

        Returns:
            (users * beams * taps, paths * ports).
        """
        profiles, (_, ports, beams) = self.profiles, self.gain.shape
        taps = profiles.power.shape[2]
        reach = REACH[profiles.window]
        tap = np.floor(self.at + 0.5).astype(np.int64)[:, None] + np.arange(-reach, reach + 1)
        pulse = pulse_amplitudes(tap - self.at[:, None], profiles.subcarriers, profiles.window)
        later = np.zeros_like(pulse)
        later[:, : pulse.shape[1] - lag] = pulse[:, lag:]
        place = tap - profiles.first_tap
        if profiles.repeats:
            place = np.mod(place, profiles.subcarriers)
        path, shift = np.nonzero((place >= 0) & (place < taps) & (place + lag < taps))
        row = (self.user[path][:, None] * beams + np.arange(beams)) * taps + place[path, shift][:, None]
        data = self.gain[path] * (pulse * later)[path, shift][:, None, None]  # (n, ports, beams)
        row = np.broadcast_to(row[:, None, :], data.shape)
        column = np.broadcast_to((path[:, None] * ports + np.arange(ports))[:, :, None], data.shape)
        shape = (len(profiles) * beams * taps, len(self.at) * ports)
        return csr_array((data.reshape(-1), (row.reshape(-1), column.reshape(-1))), shape=shape)


@dataclass(frozen=True)
class Neighbours:
    """Pairs of taps whose powers vary together.

    Attributes:
        one: (N,) the earlier tap of each pair, an index into the rows that are compared.
        other: (N,) the later one.
        covariance: (N,) of their powers.
    """

    one: Int[np.ndarray, " pairs"]
    other: Int[np.ndarray, " pairs"]
    covariance: Float[np.ndarray, " pairs"]


def neighbours(
    profiles: Profiles,
    lagged: Sequence[csr_array],
    rows: Int[np.ndarray, " rows"],
    power: Float[np.ndarray, " entries"],
    law: TapLaw,
    misfit: float,
) -> Neighbours:
    """Covariances of the powers of neighbouring taps.

    With random phases the covariance of two taps is ``(sum_i p_i g_i g'_i + N r)^2 - sum_i (p_i g_i g'_i)^2``, g and g'
    being the pulses of path i in both and r the correlation of the noise. Errors of the twin are the same in both.

    Args:
        profiles: What the paths are compared with.
        lagged: For each of `LAGS`, `PathTaps.shares` at that lag in the taps that are compared.
        rows: Taps that are compared, ascending.
        power: Power of each path and port.
        law: Signal and noise of each tap.
        misfit: Relative standard deviation of the twin's errors.
    """
    count = profiles.power.shape[2]
    found = []
    for shares, lag, correlation in zip(lagged, LAGS, noise_correlations(profiles.window), strict=True):
        place = np.minimum(np.searchsorted(rows, rows + lag), len(rows) - 1)
        one = np.flatnonzero((rows[place] == rows + lag) & (rows // count == (rows + lag) // count))
        other = place[one]
        cross = shares[one]
        squared = csr_array((cross.data**2, cross.indices, cross.indptr), shape=cross.shape)
        together = cross @ power + correlation * np.sqrt(law.noise[one] * law.noise[other])
        covariance = together**2 - squared @ power**2 + misfit**2 * law.signal[one] * law.signal[other]
        found.append((one, other, covariance))
    return Neighbours(*(np.concatenate(column) for column in zip(*found, strict=True)))
