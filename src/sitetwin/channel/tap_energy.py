"""The delay taps that a channel keeps, and the share of a path's energy in them.

A band spreads a path at the delay tau over all taps. With K subcarriers the energy in tap n, as a share of the path's
power, is the squared Dirichlet kernel at x = W tau (W the bandwidth, delays counted from the stated reference)

    sin^2(pi (n - x)) / (K^2 sin^2(pi (n - x) / K)) = sin^2(pi x) / K^2 · csc^2(pi (n - x) / K),

which repeats after K taps: a path that is later by 1/spacing falls into the same taps. Samples through a pulse g hold
``g^2(n - x)`` and do not repeat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from sitetwin.channel.synthesis.cir import Pulse, pulse_shape

_SPELLED = 3  # terms at each end of a sum that are added one by one; the rest is an integral, within 2e-6 of the power
_ENDLESS = 2**28  # taps after which kernels repeat that in truth do not; far enough for any delay
_AT_ONCE = 1 << 14  # paths, whose numbers the caches hold
_ROLL_OFF = 0.25  # of `impulse_response`
_REACH = 64  # taps; beyond them a raised cosine of this roll-off holds 1e-9 of its energy


@dataclass(frozen=True)
class DelayTaps:
    """The delay taps that a channel keeps.

    Attributes:
        rate_hz: Taps per second: the bandwidth.
        count: Number of taps.
        first: Index of the first tap; tap 0 lies at the reference of the delays.
        period: Number K of subcarriers, after which taps repeat; None for samples through a pulse.
        pulse: The pulse, where there is no period.
    """

    rate_hz: float
    count: int
    first: int = 0
    period: int | None = None
    pulse: Pulse = "sinc"

    def shares(self, delay_s: Float[np.ndarray, " paths"]) -> Float[np.ndarray, " paths"]:
        """Share of the energy of paths that lies in the taps.

        Args:
            delay_s: (P,) delays from the reference, seconds.

        Returns:
            (P,) float64, 0 to 1.
        """
        parts = [delay_s[i : i + _AT_ONCE] * self.rate_hz for i in range(0, len(delay_s), _AT_ONCE)]
        return np.concatenate([np.zeros(0), *map(self._shares, parts)])

    def _shares(self, at: np.ndarray) -> np.ndarray:
        """The shares of some paths, at delays counted in taps."""
        if self.count == self.period:
            return np.ones(len(at))
        if self.period is None and self.pulse != "sinc":
            return self._through_pulse(at)
        period = self.period or _ENDLESS
        last = self.first + self.count - 1
        inside = self._nearest(at) < self.count
        result = np.empty(len(at))
        result[inside] = 1 - _between(at[inside], last + 1, self.first + period - 1, period)
        result[~inside] = _between(at[~inside], self.first, last, period)
        return result

    def folds(self, delay_s: Float[np.ndarray, " paths"]) -> Bool[np.ndarray, " paths"]:
        """(P,) whether a path stands in the taps, but whole periods of 1/spacing before or after its own delay."""
        at = delay_s * self.rate_hz
        if self.period is None:
            return np.zeros(len(at), dtype=bool)
        own = np.floor(at + 0.5) - self.first
        return (self._nearest(at) < self.count) & ~((own >= 0) & (own < self.count))

    def _nearest(self, at: np.ndarray) -> np.ndarray:
        """(P,) the tap nearest to each path, counted from the first, modulo the period."""
        return np.mod(np.floor(at + 0.5) - self.first, self.period or _ENDLESS)

    def _through_pulse(self, at: np.ndarray) -> np.ndarray:
        """Energy of the samples that are kept over that of all samples.

        All samples of a raised cosine of roll-off b hold ``1 - b/4 + b/4 cos(2 pi x)`` by Poisson's sum formula, as the
        spectrum of its square is 1 - b/4 at zero and b/8 at plus and minus the sampling rate.
        """
        whole = 1 - _ROLL_OFF / 4 + _ROLL_OFF / 4 * np.cos(2 * math.pi * at)
        kept = np.zeros(len(at))
        nearest = np.floor(at + 0.5)
        for step in range(-_REACH, _REACH + 1):
            tap = nearest + step
            value = pulse_shape(self.pulse, torch.from_numpy(tap - at), _ROLL_OFF).numpy()
            kept += np.where((tap >= self.first) & (tap < self.first + self.count), value**2, 0.0)
        return kept / whole


def _between(at: np.ndarray, first: int, last: int, period: int) -> np.ndarray:
    """Squared Dirichlet kernels at `at`, added over the taps `first` to `last`, none of which is nearest to a path.

    Terms at the ends are added one by one. For the rest the sum is the integral from half a tap before to half a tap
    after, less 1/24 of the change of the derivative, plus 7/5760 of that of the third derivative (Euler and Maclaurin).
    """
    count = last - first + 1
    if count <= 0 or not len(at):
        return np.zeros(len(at))
    step = math.pi / period
    angle = step * (first - at)
    sine, cosine = np.sin(angle), np.cos(angle)  # of the further taps by the addition theorem

    def turned(taps: float) -> tuple[np.ndarray, np.ndarray]:
        c, s = math.cos(step * taps), math.sin(step * taps)
        return sine * c + cosine * s, cosine * c - sine * s

    spelled = range(count) if count <= 2 * _SPELLED else [*range(_SPELLED), *range(count - _SPELLED, count)]
    total = sum((step / turned(tap)[0]) ** 2 for tap in spelled)
    if count > 2 * _SPELLED:
        for edge, sign in ((_SPELLED - 0.5, -1.0), (count - _SPELLED - 0.5, 1.0)):
            s, c = turned(edge)
            cotangent = c / s
            square = cotangent**2
            slope = -2 * step**3 * (1 + square) * cotangent
            third = 4 * step**2 * slope * (3 * square + 2)
            total = total + sign * (-step * cotangent - slope / 24 + 7 / 5760 * third)
    shares: np.ndarray = (np.sin(math.pi * at) / math.pi) ** 2 * total
    return shares
