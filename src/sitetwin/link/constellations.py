"""Constellations with Gray labels, and their exact bit error rates in white Gaussian noise.

Labels follow 3GPP TS 38.211, section 5.1 (QPSK to 256-QAM): even bits choose the real part, odd bits the imaginary
part, the first bit of each is its sign. BPSK is +1 for bit 0 and -1 for bit 1. The mean energy of a symbol is 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Complex, Float, Integer
from scipy.special import ndtr

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_choice

MODULATIONS = {"bpsk": 1, "qpsk": 2, "16qam": 4, "64qam": 6, "256qam": 8}
"""Bits of a symbol, by the name of the constellation."""


def q_function(x: Float[np.ndarray, "*shape"] | float) -> Any:
    """Probability that a standard normal number is above x."""
    return ndtr(-np.asarray(x))


@dataclass(frozen=True)
class Modulation:
    """A constellation.

    Attributes:
        name: One of `MODULATIONS`.
        bits: Bits of a symbol.
    """

    name: str
    bits: int

    @cached_property
    def levels(self) -> Float[np.ndarray, " labels"]:
        """Amplitude of one axis for each label of that axis, whose first bit is the most significant."""
        per_axis = max(1, self.bits // 2)
        levels = np.zeros(2**per_axis)
        for label in range(len(levels)):
            bits = [1 - 2 * (label >> (per_axis - 1 - i) & 1) for i in range(per_axis)]
            value = 1.0
            for position, sign in enumerate(reversed(bits[1:])):
                value = 2.0 ** (position + 1) - sign * value
            levels[label] = bits[0] * value
        axes = 1 if self.bits == 1 else 2
        return levels / np.sqrt(axes * np.mean(levels**2))

    @cached_property
    def points(self) -> Complex[np.ndarray, " labels"]:
        """Symbol of each label; the first bit of a label is the most significant."""
        if self.bits == 1:
            return self.levels.astype(np.complex128)
        labels = np.arange(2**self.bits)
        half = self.bits // 2
        real, imaginary = np.zeros_like(labels), np.zeros_like(labels)
        for i in range(half):
            real |= (labels >> (self.bits - 1 - 2 * i) & 1) << (half - 1 - i)
            imaginary |= (labels >> (self.bits - 2 - 2 * i) & 1) << (half - 1 - i)
        return self.levels[real] + 1j * self.levels[imaginary]

    @cached_property
    def q_terms(self) -> tuple[Float[np.ndarray, " terms"], Float[np.ndarray, " terms"]]:
        """Weights w and factors a of the bit error rate ``sum_i w_i Q(a_i sqrt(gamma))`` at the SNR gamma = Es/N0.

        Source: K. Cho and D. Yoon, "On the general BER expression of one- and two-dimensional amplitude modulations",
        IEEE Trans. Commun. 50(7), 2002, eq. 14 and 16.
        """
        if self.bits == 1:
            return np.array([1.0]), np.array([np.sqrt(2.0)])
        size = 2 ** (self.bits // 2)
        weights = np.zeros(size)
        for k in range(1, self.bits // 2 + 1):
            for i in range(size - size // 2**k):
                turn = i * 2 ** (k - 1) / size
                weights[i] += (-1) ** int(turn) * (2 ** (k - 1) - np.floor(turn + 0.5))
        weights *= 2 / size / (self.bits // 2)
        factors = (2 * np.arange(size) + 1) * np.sqrt(3 / (size**2 - 1))
        return weights[weights != 0], factors[weights != 0]

    def error_rate(self, snr: Float[np.ndarray, "*shape"] | float) -> Any:
        """Exact bit error rate in white Gaussian noise.

        Args:
            snr: Es/N0, a ratio: ``|g|^2 / sigma^2`` for a gain g.
        """
        root = np.sqrt(np.asarray(snr, dtype=float))
        weights, factors = self.q_terms
        total = weights[0] * ndtr(-factors[0] * root)
        for weight, factor in zip(weights[1:], factors[1:], strict=True):
            total += weight * ndtr(-factor * root)
        return total

    def error_rate_after(
        self,
        ratio: Complex[np.ndarray, "*shape"],
        noise_variance: Float[np.ndarray, "*shape"],
        disturbance: Complex[np.ndarray, "*shape"] | complex = 0j,
    ) -> Float[np.ndarray, "*shape"]:
        """Exact bit error rate of the decision on ``z = s ratio + v + w``, where the equaliser left a wrong ratio.

        A quadrant of the constellation stands for all of it, since turning by 90 degrees changes nothing: a disturbance
        v needs a law that does not change either.

        Args:
            ratio: True effective channel over the one that the equaliser divides by; 1 is a right equaliser.
            noise_variance: Variance of the complex noise w after the division.
            disturbance: v, known interference after the division.
        """
        deviation = np.sqrt(noise_variance / 2)
        levels = self.levels
        order = np.argsort(levels)
        steps = (np.diff(levels[order]) / 2 + levels[order][:-1], order)
        chosen = self.points[(self.points.real > 0) & ((self.points.imag > 0) | (self.bits == 1))]
        total = np.zeros(np.shape(ratio))
        for point in chosen:
            moved = point * ratio + disturbance
            total += _axis_errors(moved.real, deviation, point.real, levels, steps)
            if self.bits > 1:
                total += _axis_errors(moved.imag, deviation, point.imag, levels, steps)
        return total / (len(chosen) * self.bits)

    def modulate(self, bits: Integer[np.ndarray, "*shape bits"]) -> Complex[np.ndarray, "*shape symbols"]:
        """Map bits to symbols; the bits of a symbol are neighbours along the last axis.

        Raises:
            SiteTwinError: The bits do not fill whole symbols, or are not 0 and 1.
        """
        values = np.asarray(bits)
        if values.ndim == 0 or values.shape[-1] % self.bits:
            raise SiteTwinError(f"bits of the shape {values.shape} do not fill symbols of {self.bits} bits each")
        if ((values != 0) & (values != 1)).any():
            raise SiteTwinError("bits are 0 or 1; other numbers were given")
        groups = values.reshape(*values.shape[:-1], -1, self.bits)
        return self.points[groups @ (1 << np.arange(self.bits)[::-1])]

    def decide(self, symbols: Complex[np.ndarray, "*shape symbols"]) -> Integer[np.ndarray, "*shape bits"]:
        """Return the bits of the nearest symbols."""
        order = np.argsort(self.levels)
        sorted_levels = self.levels[order]
        edges = (sorted_levels[1:] + sorted_levels[:-1]) / 2
        half = max(1, self.bits // 2)
        shifts = np.arange(half)[::-1]
        parts = [symbols.real] if self.bits == 1 else [symbols.real, symbols.imag]
        bits = [order[np.searchsorted(edges, part)][..., None] >> shifts & 1 for part in parts]
        return np.stack(bits, axis=-1).reshape(*np.shape(symbols)[:-1], -1)


def _axis_errors(
    mean: np.ndarray, deviation: np.ndarray, level: float, levels: np.ndarray, steps: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Expected wrong bits of one axis; sums go outwards from the true level, so that small rates keep their digits."""
    edges, order = steps
    own = int(np.argmin(np.abs(levels[order] - level)))
    distance = np.array([int(label ^ order[own]).bit_count() for label in order])
    total = np.zeros(np.shape(mean))
    for j in range(own, len(edges)):
        total += (distance[j + 1] - distance[j]) * ndtr((mean - edges[j]) / deviation)
    for j in range(own):
        total += (distance[j] - distance[j + 1]) * ndtr((edges[j] - mean) / deviation)
    return total


@lru_cache
def _modulation(name: str) -> Modulation:
    return Modulation(name, MODULATIONS[name])


def modulation(name: str | Modulation) -> Modulation:
    """The constellation of a name.

    Raises:
        SiteTwinError: There is no constellation of that name.
    """
    if isinstance(name, Modulation):
        return name
    return _modulation(checked_choice("modulation", name, list(MODULATIONS)))
