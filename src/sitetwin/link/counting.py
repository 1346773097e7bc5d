"""Monte Carlo: bits are sent until enough of them were wrong, and the interval knows that errors come in clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Integer
from scipy.stats import beta

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import (
    Numbers,
    checked_channels,
    checked_count,
    checked_rng,
    refuse_zero_channels,
    snr_of_db,
)
from sitetwin.link.constellations import modulation
from sitetwin.link.curves import LinkCurve, joined_label
from sitetwin.link.equalisers import Equaliser
from sitetwin.link.evaluation import checked_link
from sitetwin.link.precoders import Precoder
from sitetwin.link.short_prefix import TAP_AXES, checked_prefix
from sitetwin.link.simulation import Transmission

_Ends = Float[np.ndarray, " snrs"]


@dataclass(frozen=True, eq=False)
class SimulatedCurve(LinkCurve):
    """Bit error rates by counting.

    The round in which the wanted number of errors was reached is left out of the counts: rates are unbiased then. For
    rounds of one bit that is the known (k - 1)/(n - 1) for k errors in n bits.

    Attributes:
        errors: (snrs, users) wrong bits of the rounds that count.
        bits: (snrs,) bits of each user in these rounds.
        rounds: (snrs,) rounds that were sent, the last one included.
        stopped: (snrs,) whether enough errors were seen; otherwise the rounds came to their end.
    """

    errors: Integer[np.ndarray, "snrs users"] | None = None
    bits: Integer[np.ndarray, " snrs"] | None = None
    rounds: Integer[np.ndarray, " snrs"] | None = None
    stopped: Bool[np.ndarray, " snrs"] | None = None

    def interval(self, rng: np.random.Generator, level: float = 0.95, draws: int = 1000) -> tuple[_Ends, _Ends]:
        """(snrs,) ends of the interval of the mean bit error rate, were other channels drawn from the same law.

        Channels are drawn anew with replacement (cluster bootstrap), for all bits of a channel share its fading. Where
        the exact binomial interval (C. J. Clopper and E. S. Pearson, Biometrika 26, 1934) is wider, as with few errors
        or one channel, it is taken: so no error in n bits still has an upper end of about 3/n.

        Args:
            rng: Generator of the draws.
            level: Probability that the interval covers.
            draws: Number of draws.

        Raises:
            SiteTwinError: As `LinkCurve.interval`.
        """
        assert self.errors is not None
        assert self.bits is not None
        low, high = super().interval(rng, level, draws)
        wrong, sent = self.errors.sum(axis=1), self.bits * self.errors.shape[1]
        tail = (1 - level) / 2
        least = np.where(wrong > 0, beta.ppf(tail, np.maximum(wrong, 1), sent - wrong + 1), 0)
        most = np.where(wrong < sent, beta.ppf(1 - tail, wrong + 1, np.maximum(sent - wrong, 1)), 1)
        return np.minimum(low, least), np.maximum(high, most)


def monte_carlo(
    channel: Any,
    precoder: Precoder,
    snr_db: Numbers,
    constellation: str = "qpsk",
    *,
    rng: np.random.Generator,
    prefix: int | None = None,
    equaliser: str = "true",
    pilots: float = 1.0,
    target_errors: int = 1000,
    symbols: int = 8,
    most_rounds: int = 1000,
) -> SimulatedCurve:
    """Send random bits over every user's channel and count the wrong ones.

    A round sends `symbols` OFDM symbols to each user. Rounds go on until `target_errors` bits were wrong, all users
    together, but at least two; or until `most_rounds`.

    Args:
        channel: Frequency domain: [users, antennas, subcarriers] true channels; the prefix is taken to cover the
            impulse response. Time domain: [users, antennas, taps] impulse responses, first tap at the receiver's delay
            0; the stream of symbols with their prefixes is convolved with them, tails and all. Both of unit power.
        precoder: The precoder, with the channel that it knows.
        snr_db: SNRs in dB.
        constellation: "bpsk", "qpsk", "16qam", "64qam" or "256qam".
        rng: Generator of bits and noise: the same generator gives the same curve.
        prefix: Length of the cyclic prefix in samples: this asks for the time domain.
        equaliser: "true", "twin" or "estimated"; see `semi_analytic`. With a short prefix the true effective channel
            is the gain of the subcarrier's own symbol.
        pilots: Pilots per subcarrier of "estimated"; each OFDM symbol has an estimate of its own.
        target_errors: Number of wrong bits at which an SNR is finished.
        symbols: OFDM symbols of a user in one round.
        most_rounds: Number of rounds after which an SNR is finished in any case.

    Raises:
        SiteTwinError: Channels and precoder do not fit each other, a channel is zero or not finite, the prefix is
            longer than the symbol, or a choice is out of its range.
    """
    values, ratios = snr_of_db(snr_db)
    checked_rng(rng)
    kind = modulation(constellation)
    true, size = _checked(channel, precoder, prefix)
    receiver = Equaliser(equaliser, precoder, pilots, 1, rng)
    least, each = checked_count("target_errors", target_errors), checked_count("symbols", symbols)
    most = checked_count("most_rounds", most_rounds, 2)
    errors = np.zeros((len(ratios), len(true)), np.int64)
    rounds, counted, stopped = (np.zeros(len(ratios), int) for _ in range(3))
    for row, snr in enumerate(ratios):
        link = Transmission.at(true, receiver, kind, float(snr), prefix)
        last = np.zeros(len(true), np.int64)
        while rounds[row] < most and not stopped[row]:
            labels = rng.integers(0, 2**kind.bits, (len(true), each, size), dtype=np.uint8)
            last = link.errors(labels, rng)
            errors[row] += last
            rounds[row] += 1
            stopped[row] = rounds[row] >= 2 and errors[row].sum() >= least
        counted[row] = rounds[row] - stopped[row]
        errors[row] -= stopped[row] * last
    bits = counted * each * size * kind.bits
    label = joined_label([precoder.name, precoder.normalisation, receiver.label])
    return SimulatedCurve(
        values,
        errors / bits[:, None],
        np.full(len(true), 1 / len(true)),
        kind.name,
        label,
        errors,
        bits,
        rounds,
        stopped.astype(bool),
    )


def _checked(channel: Any, precoder: Precoder, prefix: int | None) -> tuple[np.ndarray, int]:
    """Channels that the precoder fits, and the number of subcarriers."""
    if prefix is None:
        true = checked_link(channel, precoder)
        return true, true.shape[-1]
    size = precoder.shape
    taps = checked_channels(channel, "impulse responses", TAP_AXES)
    refuse_zero_channels(taps, "impulse responses")
    if taps.shape[:2] != size[:2]:
        raise SiteTwinError(
            f"impulse responses are of {taps.shape[:2]} users and antennas but the precoder is of {size[:2]}; give "
            "the same"
        )
    checked_prefix(prefix, size[-1])
    return taps, size[-1]
