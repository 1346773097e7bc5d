"""Transmission of OFDM symbols, in the frequency and in the time domain: bits in, numbers of wrong bits out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float, Integer, UInt8

from sitetwin.link import kernels
from sitetwin.link.constellations import Modulation
from sitetwin.link.equalisers import Equaliser, effective_gains
from sitetwin.link.precoders import Weights
from sitetwin.link.short_prefix import useful_gains

_AT_ONCE = 1 << 15  # symbols of subcarriers per block: everything of a block stays in the cache
Labels = UInt8[np.ndarray, "users symbols subcarriers"]


@dataclass(frozen=True, eq=False)
class Transmission:
    """A link at one SNR, ready to send OFDM symbols.

    Subcarriers are in the order of the Fourier transform here. Numbers are complex64.

    Attributes:
        kind: The constellation.
        gains: [users, subcarriers] true effective channels: of the subcarrier's own symbol, if the prefix is short.
        weights: [users, antennas, subcarriers] weights of the precoder.
        taps: [users, antennas, taps] impulse responses for the time domain; None for the frequency domain.
        prefix: Length of the cyclic prefix.
        snr: 1/sigma^2.
        receiver: The equaliser.
        believed: [users, subcarriers] divisors of the equaliser "twin"; None for the others.
    """

    kind: Modulation
    gains: Complex[np.ndarray, "users subcarriers"]
    weights: Weights
    taps: Complex[np.ndarray, "users antennas taps"] | None
    prefix: int
    snr: float
    receiver: Equaliser
    believed: Complex[np.ndarray, "users subcarriers"] | None

    @classmethod
    def at(
        cls,
        channel: Complex[np.ndarray, "users antennas last"],
        receiver: Equaliser,
        kind: Modulation,
        snr: float,
        prefix: int | None,
    ) -> Transmission:
        """Prepare a link.

        Args:
            channel: [users, antennas, subcarriers] responses, or [users, antennas, taps] where a prefix is given.
            receiver: The equaliser, with the precoder.
            kind: The constellation.
            snr: 1/sigma^2.
            prefix: Length of the cyclic prefix for the time domain; None for the frequency domain.
        """
        weights = receiver.precoder.weights(snr)
        believed = receiver.believed(weights) if receiver.kind == "twin" else None
        if prefix is None:
            taps, gains = None, effective_gains(channel, weights)
        else:
            taps, gains = channel.astype(np.complex64), useful_gains(channel, weights, prefix)
        order = [np.fft.ifftshift(array, axes=-1) for array in (gains, weights)]
        believed = None if believed is None else np.fft.ifftshift(believed, axes=-1)
        return cls(kind, order[0], order[1], taps, prefix or 0, snr, receiver, believed)

    def errors(self, labels: Labels, rng: np.random.Generator) -> Integer[np.ndarray, " users"]:
        """Send symbols, and count the wrong bits of each user.

        In the time domain the symbols of a user follow each other without a gap, after as many random ones as the
        impulse response reaches back.

        Args:
            labels: (users, symbols, subcarriers) uint8 labels of the symbols, the first bit the most significant.
            rng: Generator of the noise.
        """
        users, symbols, size = labels.shape
        wrong = np.zeros(users, np.int64)
        step = max(1, _AT_ONCE // (symbols * size))
        for first in range(0, users, step):
            some = slice(first, first + step)
            received = self._received(labels[some], some, rng)
            kernels.count_errors(
                labels[some], received, self._inverse(some, symbols), self._scale, self._decided, _ONES, wrong[some]
            )
        return wrong

    def _received(
        self, labels: Labels, some: slice, rng: np.random.Generator
    ) -> Float[np.ndarray, "users symbols subcarriers 2"]:
        """(users, symbols, subcarriers, 2) float32 at the input of the equaliser."""
        deviation = np.sqrt(0.5 / self.snr)
        noise = np.empty((*labels.shape, 2), np.float32)
        raw = rng.integers(0, 2**64, labels.size, dtype=np.uint64).view(np.int32).reshape(-1, 2)
        kernels.normal_pairs(raw, noise.reshape(-1, 2))
        if self.taps is None:
            kernels.receive(labels, self._points, _planes(self.gains[some]), deviation, noise, noise)
            return noise
        taps = self.taps[some]
        past = -(-(taps.shape[-1] - 1 - self.prefix) // (labels.shape[-1] + self.prefix))
        past = max(0, past)
        if past:
            before = rng.integers(0, 2**self.kind.bits, (len(labels), past, labels.shape[-1]), dtype=np.uint8)
            labels = np.concatenate([before, labels], axis=1)
        symbols = self._points.view(np.complex64)[:, 0][labels]
        spectrum = symbols[:, None] * self.weights[some].astype(np.complex64)[:, :, None, :]
        signal = scipy.fft.ifft(spectrum, axis=-1, norm="ortho", overwrite_x=True)
        kernels.convolve_windows(_planes(signal), _planes(taps), self.prefix, past, deviation, noise)
        windows = noise.view(np.complex64)[..., 0]
        return _planes(scipy.fft.fft(windows, axis=-1, norm="ortho", overwrite_x=True))

    def _inverse(self, some: slice, symbols: int) -> Float[np.ndarray, "users symbols subcarriers 2"]:
        """(users, symbols or 1, subcarriers, 2) float32, one over the divisors; 0 where a divisor is 0."""
        if self.receiver.kind == "estimated":
            divisor = np.stack(
                [next(self.receiver.divisors(self.gains[some], self.weights[some], self.snr)) for _ in range(symbols)],
                axis=1,
            )
        else:
            divisor = (self.gains if self.believed is None else self.believed)[some][:, None]
        inverse = np.divide(1, divisor, out=np.zeros_like(divisor), where=divisor != 0)
        return _planes(inverse)

    @cached_property
    def _points(self) -> Float[np.ndarray, "labels 2"]:
        return _planes(self.kind.points)

    @cached_property
    def _scale(self) -> float:
        """Levels per unit of amplitude."""
        levels = np.sort(self.kind.levels)
        return float(1 / (levels[1] - levels[0]))

    @cached_property
    def _decided(self) -> UInt8[np.ndarray, "real imaginary"]:
        """Label of each pair of levels."""
        axes = [np.unique(part.round(9)) for part in (self.kind.points.real, self.kind.points.imag)]
        places = [
            np.searchsorted(axis, part.round(9))
            for axis, part in zip(axes, (self.kind.points.real, self.kind.points.imag), strict=True)
        ]
        found = np.zeros((len(axes[0]), len(axes[1])), np.uint8)
        found[places[0], places[1]] = np.arange(len(self.kind.points))
        return found


_ONES = np.array([label.bit_count() for label in range(256)], np.uint8)


def _planes(values: np.ndarray) -> np.ndarray:
    """(..., 2) float32 real and imaginary parts of complex numbers."""
    return np.ascontiguousarray(values, np.complex64).view(np.float32).reshape(*values.shape, 2)
