"""OFDM whose impulse response outgrows the cyclic prefix: what the subcarriers and the symbols do to each other.

Tap l of an OFDM symbol reaches the first l - prefix samples of the receiver's window from the symbol before. These
matrices are exact for any precoder: no mean over phases or fading is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError
from sitetwin.link.channels import response_of_taps
from sitetwin.link.checks import (
    Numbers,
    checked_channels,
    checked_count,
    checked_rng,
    refuse_zero_channels,
    snr_of_db,
)
from sitetwin.link.constellations import Modulation, modulation
from sitetwin.link.curves import LinkCurve, joined_label, make_curve
from sitetwin.link.equalisers import effective_gains
from sitetwin.link.precoders import Precoder, Weights

TAP_AXES = ("users", "antennas", "taps")
PerSubcarrier = Float[np.ndarray, "users subcarriers"]


@dataclass(frozen=True, eq=False)
class Interference:
    """What arrives at each subcarrier, for symbols of energy 1.

    Attributes:
        gain: [users, subcarriers] complex gain of the subcarrier's own symbol.
        carriers: [users, subcarriers] power from other subcarriers of the same OFDM symbol.
        symbols: [users, subcarriers] power from earlier OFDM symbols.
    """

    gain: Complex[np.ndarray, "users subcarriers"]
    carriers: PerSubcarrier
    symbols: PerSubcarrier

    def sinr(self, snr: float) -> PerSubcarrier:
        """[users, subcarriers] signal to interference and noise at the SNR 1/sigma^2, a ratio."""
        return np.abs(self.gain) ** 2 / (self.carriers + self.symbols + 1 / snr)


def interference_matrices(
    taps: Complex[np.ndarray, "antennas taps"], weights: Complex[np.ndarray, "antennas subcarriers"], prefix: int
) -> Complex[np.ndarray, "symbols subcarriers subcarriers"]:
    """Matrices M of one user: ``Y[k] = sum_i sum_q M[i, k, q] S_i[q]``, S_0 the OFDM symbol itself, S_1 the one before.

    With the partial sums ``c_m(q) = sum_t b[t, q] sum_{l <= m} h[t, l] e^{-j 2 pi q l / N}``, sample n of the window
    holds ``e^{j 2 pi q n / N} c_{n + prefix}(q)`` of the symbol itself; the rest of the sum comes from earlier ones.

    Args:
        taps: Impulse responses.
        weights: Weights of the precoder, in the order k = -N/2 ... N/2-1.
        prefix: Length of the cyclic prefix in samples.
    """
    count, size = taps.shape[1], weights.shape[1]
    k = np.arange(size) - size // 2
    spectrum = (taps.T @ weights) * _turns(count, size).conj()
    sums = np.concatenate([np.zeros((1, size)), np.cumsum(spectrum, axis=0)])  # row m: taps 0 ... m-1
    block, n = size + prefix, np.arange(size)
    past = max(0, -(-(count - 1 - prefix) // block))
    found = np.empty((1 + past, size, size), np.complex128)
    carrier = _turns(size, size)
    for i in range(1 + past):
        first = np.zeros_like(n) if i == 0 else n + prefix + (i - 1) * block + 1
        end = n + prefix + i * block + 1
        part = sums[np.minimum(end, count)] - sums[np.minimum(first, count)]
        window = carrier * part * np.exp(2j * np.pi * k * prefix * i / size)
        found[i] = np.fft.fftshift(np.fft.fft(window, axis=0), axes=0) / size
    return found


@lru_cache(maxsize=4)
def _turns(count: int, size: int) -> np.ndarray:
    """``e^{j 2 pi k n / N}`` for n from 0 on and k from -N/2 on."""
    return np.exp(2j * np.pi * np.outer(np.arange(count), np.arange(size) - size // 2) / size)


def interference(taps: Any, weights: Any, prefix: int) -> Interference:
    """Gain and interference of each subcarrier of precoded OFDM.

    Args:
        taps: [users, antennas, taps] complex impulse responses; the first tap is the receiver's delay 0.
        weights: [users, antennas, subcarriers] weights of the precoder.
        prefix: Length of the cyclic prefix in samples, at most the number of subcarriers.

    Raises:
        SiteTwinError: Shapes do not fit each other, values are not finite, or the prefix is longer than the symbol.
    """
    h = checked_channels(taps, "impulse responses", TAP_AXES)
    b = checked_channels(weights, "weights", ("users", "antennas", "subcarriers"))
    if h.shape[:2] != b.shape[:2]:
        raise SiteTwinError(
            f"impulse responses are of {h.shape[:2]} users and antennas but weights of {b.shape[:2]}; give the same"
        )
    checked_prefix(prefix, b.shape[-1])
    carriers, symbols = np.zeros((len(h), b.shape[-1])), np.zeros((len(h), b.shape[-1]))
    for user in range(len(h) if h.shape[-1] > prefix + 1 else 0):
        matrices = interference_matrices(h[user], b[user], prefix)
        power = matrices.real**2 + matrices.imag**2
        carriers[user] = power[0].sum(axis=1) - np.diagonal(power[0])
        symbols[user] = power[1:].sum(axis=(0, 2))
    return Interference(useful_gains(h, b, prefix), carriers, symbols)


def useful_gains(
    taps: Complex[np.ndarray, "users antennas taps"], weights: Weights, prefix: int
) -> Complex[np.ndarray, "users subcarriers"]:
    """Gain of each subcarrier's own symbol: taps beyond the prefix count for the part of the window that they fill.

    ``sum_t b[t, k] sum_l c_l h[t, l] e^{-j 2 pi k l / N}``, c_l as in `signal_to_interference`.

    Args:
        taps: Impulse responses.
        weights: Weights of the precoder.
        prefix: Length of the cyclic prefix in samples.
    """
    size = weights.shape[-1]
    late = np.maximum(0, np.arange(taps.shape[-1]) - prefix)
    return effective_gains(response_of_taps(taps * np.maximum(0, 1 - late / size), size), weights)


def checked_prefix(prefix: Any, subcarriers: int) -> int:
    """Return the length of a prefix.

    Raises:
        SiteTwinError: It is no whole number, negative, or longer than the symbol that it repeats.
    """
    if checked_count("prefix", prefix, 0) > subcarriers:
        raise SiteTwinError(
            f"a cyclic prefix of {prefix} samples repeats an OFDM symbol of {subcarriers}; give at most {subcarriers}"
        )
    return int(prefix)


def with_interference(
    taps: Any,
    precoder: Precoder,
    snr_db: Numbers,
    constellation: str = "qpsk",
    *,
    prefix: int,
    draws: int = 0,
    rng: np.random.Generator | None = None,
    probabilities: Any = None,
) -> LinkCurve:
    """Bit error rates where the impulse response may outgrow the prefix, from each subcarrier's SINR.

    Interference counts as Gaussian noise of its exact power: ``Q(sqrt(SINR))`` for QPSK. That errs where few strong
    terms disturb, most at high SNR; with `draws` the interfering symbols are drawn instead, and the rate given them is
    exact. The receiver divides by the gain of the subcarrier's own symbol.

    Args:
        taps: [users, antennas, taps] complex impulse responses of unit power (`unit_power` with ``last="taps"``); the
            first tap is the receiver's delay 0.
        precoder: The precoder.
        snr_db: SNRs in dB.
        constellation: Name of the constellation.
        prefix: Length of the cyclic prefix in samples.
        draws: How often the interfering symbols are drawn; 0 counts them as Gaussian noise.
        rng: Generator of these draws.
        probabilities: (users,) weight of each user in the mean; equal by default.

    Raises:
        SiteTwinError: As `interference`, or a channel is zero.
    """
    h = checked_channels(taps, "impulse responses", TAP_AXES)
    refuse_zero_channels(h, "impulse responses")
    values, ratios = snr_of_db(snr_db)
    kind = modulation(constellation)
    rates = np.empty((len(ratios), len(h)))
    if checked_count("draws", draws, 0):
        checked_rng(rng)
    terms = None
    for row, snr in enumerate(ratios):
        weights = precoder.weights(float(snr))
        if terms is None or precoder.follows_snr:
            terms = interference(h, weights, prefix)
        if not draws or h.shape[-1] <= prefix + 1:
            rates[row] = kind.error_rate(terms.sinr(float(snr))).mean(axis=1)
            continue
        for user in range(len(h)):
            matrices = interference_matrices(h[user], weights[user], prefix)
            rates[row, user] = _drawn_rate(matrices, float(snr), kind, draws, rng)
    label = joined_label([precoder.name, precoder.normalisation, f"prefix {prefix}"])
    return make_curve(values, rates, probabilities, kind.name, label)


def _drawn_rate(
    matrices: np.ndarray, snr: float, kind: Modulation, draws: int, rng: np.random.Generator | None
) -> float:
    """Bit error rate of one user, exact given the interfering symbols, the mean over draws of them."""
    assert rng is not None  # checked before
    size = matrices.shape[-1]
    gain = np.diagonal(matrices[0])
    others = matrices.copy()
    others[0][np.diag_indices(size)] = 0
    symbols = kind.points[rng.integers(0, len(kind.points), (draws, len(matrices), size))]
    disturbance = np.einsum("ikq,diq->dk", others, symbols, optimize=True)
    heard = gain != 0
    safe = np.where(heard, gain, 1)
    ratio = np.broadcast_to(heard + 0j, disturbance.shape)
    variance = np.broadcast_to(1 / (snr * np.abs(safe) ** 2), disturbance.shape)
    return float(kind.error_rate_after(ratio, variance, disturbance / safe).mean())


def signal_to_interference(taps: Any, subcarriers: int, prefix: int) -> Float[np.ndarray, " users"]:
    """Mean useful over mean interfering power of each user's impulse response: how much the prefix falls short.

    With ``c_l = 1`` up to the prefix and ``(N - (l - prefix))/N`` after it: ``sum |h_l|^2 c_l^2 / sum |h_l|^2
    (1 - c_l^2)``. It is the mean over subcarriers for taps of independent phases and no precoder: a quick warning, for
    which `interference` gives the exact powers.

    Args:
        taps: [users, antennas, taps] complex.
        subcarriers: N.
        prefix: Length of the cyclic prefix in samples.

    Returns:
        (users,) ratios; infinity where the prefix is long enough.

    Raises:
        SiteTwinError: Taps are not finite, or the prefix is longer than the symbol.
    """
    h = checked_channels(taps, "impulse responses", TAP_AXES)
    size = checked_count("subcarriers", subcarriers)
    late = np.maximum(0, np.arange(h.shape[-1]) - checked_prefix(prefix, size))
    kept = np.maximum(0, 1 - late / size) ** 2
    power = np.sum(np.abs(h) ** 2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (power @ kept) / (power @ (1 - kept))
