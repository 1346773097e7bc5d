"""Precoding with few pilots: a prior and what was heard give an estimate, and the estimate gives the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.link.checks import checked_channels
from sitetwin.link.mixtures import PriorMixture
from sitetwin.link.precoders import Precoder, precoder
from sitetwin.link.priors import MixedPrior, PathPrior, SeparablePrior, observe_pilots, pilot_tones


def pilot_precoder(
    channel: Any,
    prior: PathPrior | SeparablePrior | MixedPrior | PriorMixture,
    pilots: int,
    pilot_snr_db: float,
    rng: np.random.Generator,
    *,
    name: str = "mrt",
    normalisation: str = "symbol",
) -> Precoder:
    """A precoder from an LMMSE estimate of the channel: a few pilot tones of each antenna, and a prior.

    Args:
        channel: [users, antennas, subcarriers] true channels of unit power, of which the pilots are heard.
        prior: The twin's paths (`path_prior`, `PathPrior.scaled`), a law for anywhere (`generic_prior`), or both
            (`PriorMixture`).
        pilots: Number of pilot tones, evenly spread (`pilot_tones`).
        pilot_snr_db: SNR of a pilot of one antenna in dB.
        rng: Generator of the pilots' noise.
        name: Precoder that takes the estimate for the channel.
        normalisation: How the power is fixed.

    Raises:
        SiteTwinError: Prior and channels do not fit each other, or a number is out of its range.
    """
    true = checked_channels(channel, "channels", ("users", "antennas", "subcarriers"))
    tones = pilot_tones(true.shape[-1], pilots)
    observed, variance = observe_pilots(true, tones, pilot_snr_db, rng)
    return precoder(name, prior.estimate(observed, tones, variance), normalisation)
