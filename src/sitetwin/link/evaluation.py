"""Bit error rates without bits: from the gains that precoder and channel leave, exactly.

The evaluator of choice wherever the cyclic prefix covers the impulse response: subcarriers do not disturb each other
then, noise is Gaussian, and the bit error rate given the channel is a closed form (`Modulation.error_rate`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import (
    Numbers,
    checked_channels,
    checked_probabilities,
    checked_ratio,
    refuse_zero_channels,
    snr_of_db,
)
from sitetwin.link.constellations import Modulation, modulation
from sitetwin.link.curves import LinkCurve, joined_label, make_curve
from sitetwin.link.equalisers import Equaliser, effective_gains
from sitetwin.link.precoders import AXES, Precoder, Weights


def error_rate_of_gains(
    gains: Float[np.ndarray, " gains"],
    snr: float,
    constellation: str | Modulation = "qpsk",
    probabilities: Any = None,
) -> float:
    """Mean bit error rate over power gains, which may be weighted: a sample, or the nodes of a quadrature.

    Args:
        gains: (n,) power gains ``|g|^2``.
        snr: 1/sigma^2, a ratio.
        constellation: Name of the constellation.
        probabilities: (n,) weights; equal by default.

    Raises:
        SiteTwinError: A gain is negative or not finite, or a number is out of its range.
    """
    values = np.asarray(gains, dtype=float)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all() or (values < 0).any():
        raise SiteTwinError("power gains are finite and not negative; give a row of them")
    weights = checked_probabilities(probabilities, len(values))
    return float(weights @ modulation(constellation).error_rate(values * checked_ratio("snr", snr)))


def semi_analytic(
    channel: Any,
    precoder: Precoder,
    snr_db: Numbers,
    constellation: str = "qpsk",
    *,
    equaliser: str = "true",
    pilots: float = 1.0,
    draws: int = 16,
    rng: np.random.Generator | None = None,
    probabilities: Any = None,
) -> LinkCurve:
    """Bit error rates of precoded OFDM whose cyclic prefix covers the impulse response.

    Args:
        channel: [users, antennas, subcarriers] true complex channels. Their power counts: SNR = 1/sigma^2 is that of a
            channel of power 1 per antenna (`unit_power`).
        precoder: The precoder, with the channel that it knows.
        snr_db: SNRs in dB.
        constellation: "bpsk", "qpsk", "16qam", "64qam" or "256qam".
        equaliser: What the receiver divides by: the "true" effective channel, that of the "twin" (what the transmitter
            believes), or one "estimated" from pilots that are precoded like the data.
        pilots: Pilots per subcarrier of the estimate, each with the energy of a data symbol: the estimate's error has
            the variance sigma^2 / pilots.
        draws: Draws of that error, over which the exact bit error rate is averaged.
        rng: Generator of these draws; only "estimated" needs it.
        probabilities: (users,) weight of each user in the mean; equal by default.

    Raises:
        SiteTwinError: Channels and precoder do not fit each other, a channel is zero or not finite, or a choice is
            unknown.
    """
    true = checked_link(channel, precoder)
    names, ratios = snr_of_db(snr_db)
    kind = modulation(constellation)
    receiver = Equaliser(equaliser, precoder, pilots, draws, rng)
    rates = np.empty((len(ratios), len(true)))
    if receiver.kind == "true":
        power = precoder.power_gains(true)
        for row, snr in enumerate(ratios):
            rates[row] = kind.error_rate(power(float(snr)) * snr).mean(axis=1)
    else:
        for row, snr in enumerate(ratios):
            rates[row] = _rates_of_divisors(true, precoder.weights(float(snr)), float(snr), kind, receiver)
    label = joined_label([precoder.name, precoder.normalisation, receiver.label])
    return make_curve(names, rates, probabilities, kind.name, label)


def checked_link(channel: Any, precoder: Precoder) -> Weights:
    """Return true channels that the precoder fits.

    Raises:
        SiteTwinError: Shapes differ, or a channel is zero or not finite.
    """
    if not isinstance(precoder, Precoder):
        raise SiteTwinError(f"precoder is {precoder!r}; make one with sitetwin.link.precoder(name, known)")
    true = checked_channels(channel, "channels", AXES)
    refuse_zero_channels(true, "channels")
    if precoder.shape != true.shape:
        raise SiteTwinError(
            f"channels have the shape {true.shape} but the precoder is for {precoder.shape}; both are "
            "[users, antennas, subcarriers] of the same users"
        )
    return true


def _rates_of_divisors(
    true: Weights, weights: Weights, snr: float, kind: Modulation, receiver: Equaliser
) -> Float[np.ndarray, " users"]:
    """Bit error rate of each user behind an equaliser that may divide by a wrong channel, the mean over subcarriers."""
    gains = effective_gains(true, weights)
    total, count = np.zeros(len(gains)), 0
    for divisor in receiver.divisors(gains, weights, snr):
        heard = divisor != 0  # where nothing is believed to arrive, the decision is a guess: ratio 0
        safe = np.where(heard, divisor, 1)
        ratio = np.where(heard, gains / safe, 0)
        total += kind.error_rate_after(ratio, 1 / (snr * (safe.real**2 + safe.imag**2))).mean(axis=1)
        count += 1
    return total / count
