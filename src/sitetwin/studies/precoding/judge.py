"""How a found channel is judged: by NMSE, by beamforming efficiency, and by the bit errors of precoding with it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from sitetwin.learn import ChannelScores, channel_scores
from sitetwin.link import LinkCurve, precoder, semi_analytic, snr_loss_db, unit_power, user_snr_losses_db
from sitetwin.studies.precoding.channels import responses
from sitetwin.studies.precoding.config import PrecodedLink

TARGET_BER = 1e-3


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a method reaches on the test users of one seed.

    Attributes:
        ber: Bit error rate at each SNR, mean over the users.
        loss_db: How much more SNR than the genie it needs for a bit error rate of 1e-3; None if it never reaches it.
        user_loss_db: Median over the users of how much more SNR each needs for a bit error rate of 1e-3 of its own;
            None where that is no number.
        scores: NMSEs and efficiency; None for a method that finds no channel.
        users: Users who judged.
        silent: Users for whom it found nothing, so that the first antenna sends alone.
    """

    ber: list[float]
    loss_db: float | None
    user_loss_db: float | None
    scores: ChannelScores | None
    users: int = 0
    silent: int = 0


class Judge:
    """Judges methods on the same users by the same precoder.

    Args:
        link: The link.
        truth: (users, antennas, taps) complex64, true channels of the test users.
        name: Precoder, "mmse" or "mrt".
        normalisation: How its power is fixed.
    """

    def __init__(self, link: PrecodedLink, truth: Tensor, name: str = "mmse", normalisation: str = "symbol") -> None:
        self.link, self.truth, self.name, self.normalisation = link, truth, name, normalisation
        first, last, step = link.snr_db
        self.snr_db = np.arange(first, last + step / 2, step)
        self._channel = unit_power(responses(link, truth))
        self.genie = self.curve(self._channel)

    def curve(self, known: Any) -> LinkCurve:
        """Bit error rates of the transmitter that knows the channels (users, antennas, data subcarriers)."""
        given = precoder(self.name, known, self.normalisation)
        return semi_analytic(self._channel, given, self.snr_db, self.link.constellation)

    def of_curve(self, curve: LinkCurve) -> Judgement:
        """Judge a curve that no found channel stands behind."""
        return Judgement(curve.ber.tolist(), self._loss(curve), self._user_loss(curve), None, len(self.truth))

    def of_channels(self, found: Tensor, gain: complex, truth: Tensor | None = None) -> Judgement:
        """Judge found impulse responses.

        Args:
            found: (users, antennas, taps) complex64.
            gain: The one complex gain of training users, for the NMSE with a gain.
            truth: The true channels for the NMSEs, where they were scaled and turned together with the found ones.
        """
        known = responses(self.link, found)
        power = (np.abs(known) ** 2).mean(axis=(1, 2))
        silent = power == 0
        known[silent, 0] = 1.0
        power = np.where(silent, 1 / self.link.antennas, power)
        curve = self.curve(known / np.sqrt(power)[:, None, None])
        scores = channel_scores(self.truth if truth is None else truth, found, gain, self.link.subcarriers)
        losses = self._loss(curve), self._user_loss(curve)
        return Judgement(curve.ber.tolist(), *losses, scores, len(self.truth), int(silent.sum()))

    def _loss(self, curve: LinkCurve) -> float | None:
        loss = snr_loss_db(curve, self.genie, TARGET_BER)
        return loss if math.isfinite(loss) else None

    def _user_loss(self, curve: LinkCurve) -> float | None:
        losses = user_snr_losses_db(curve, self.genie, TARGET_BER)
        losses = losses[~np.isnan(losses)]
        middle = float(np.median(losses)) if len(losses) else math.inf
        return middle if math.isfinite(middle) else None
