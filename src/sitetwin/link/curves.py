"""Bit error rates over SNR: the mean over users, its interval, and the SNR that a bit error rate needs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_count, checked_probabilities, snr_of_db
from sitetwin.link.constellations import modulation

Curve = Float[np.ndarray, " snrs"]


@dataclass(frozen=True, eq=False)
class LinkCurve:
    """Bit error rates of each user at each SNR.

    Attributes:
        snr_db: (snrs,) SNR 1/sigma^2 = Es/N0 in dB, at total transmit power 1 and the channels' own power.
        per_user: (snrs, users) bit error rates.
        probabilities: (users,) weight of each user in the mean.
        modulation: Name of the constellation.
        label: What was evaluated.
    """

    snr_db: Float[np.ndarray, " snrs"]
    per_user: Float[np.ndarray, "snrs users"]
    probabilities: Float[np.ndarray, " users"]
    modulation: str = "qpsk"
    label: str = ""

    @property
    def ber(self) -> Curve:
        """(snrs,) mean bit error rates over the users."""
        return self.per_user @ self.probabilities

    def interval(self, rng: np.random.Generator, level: float = 0.95, draws: int = 1000) -> tuple[Curve, Curve]:
        """(snrs,) lower and upper ends of the mean's interval, were other users drawn from the same law.

        Users are drawn anew with replacement (bootstrap): all subcarriers of a user fade together.

        Args:
            rng: Generator of the draws.
            level: Probability that the interval covers.
            draws: Number of draws.

        Raises:
            SiteTwinError: The level is not within 0 to 1, or there is no draw.
        """
        low, high = bootstrap_ends(self.per_user, self.probabilities, rng, level, draws)
        return low, high

    def snr_db_at(self, target: float = 1e-3) -> float:
        """SNR in dB at which the mean bit error rate falls to a target for the first time; infinity if it never does.

        The logarithm of the bit error rate is interpolated over dB by monotone cubics (F. N. Fritsch and R. E. Carlson,
        SIAM J. Numer. Anal. 17(2), 1980). Steps of 1 dB keep the error below about 0.003 dB.

        Args:
            target: Bit error rate, between 0 and 1/2.

        Raises:
            SiteTwinError: The target is out of its range, the SNRs do not rise, or the curve begins below the target.
        """
        self._check_target(target)
        rates = self.ber
        if rates[0] <= target:
            raise SiteTwinError(
                f"the curve begins at {self.snr_db[0]:g} dB with a bit error rate of {rates[0]:.3g}, below the target "
                f"{target:g}; begin at a lower SNR"
            )
        below = np.flatnonzero(rates <= target)
        if not below.size:
            return math.inf
        j = int(below[0])
        near = slice(max(0, j - 3), j + 3)
        shape = PchipInterpolator(self.snr_db[near], np.log(np.maximum(rates[near], 1e-300)))
        return float(brentq(lambda x: shape(x) - math.log(target), self.snr_db[j - 1], self.snr_db[j]))

    def user_snr_db_at(self, target: float = 1e-3) -> Float[np.ndarray, " users"]:
        """(users,) SNR in dB at which each user's own bit error rate falls to a target for the first time.

        Infinity where it never does, NaN where it begins below. Logarithms of bit error rates are interpolated over dB
        by straight lines: in steps of 1 dB the error is below 0.05 dB.

        Args:
            target: Bit error rate, between 0 and 1/2.

        Raises:
            SiteTwinError: The target is out of its range, or the SNRs do not rise.
        """
        self._check_target(target)
        levels = np.log(np.maximum(self.per_user, 1e-300))
        below = levels <= math.log(target)
        j = np.maximum(below.argmax(axis=0), 1)
        user = np.arange(levels.shape[1])
        before, after = levels[j - 1, user], levels[j, user]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = (before - math.log(target)) / (before - after)
        found = self.snr_db[j - 1] + share * (self.snr_db[j] - self.snr_db[j - 1])
        return np.where(below[0], np.nan, np.where(below.any(axis=0), found, np.inf))

    def _check_target(self, target: float) -> None:
        if not 0 < target < 0.5:
            raise SiteTwinError(f"target is {target!r}; a bit error rate lies between 0 and 0.5")
        if len(self.snr_db) < 2 or (np.diff(self.snr_db) <= 0).any():
            raise SiteTwinError("the SNR at a bit error rate is interpolated; give two or more rising SNRs")


def snr_loss_db(curve: LinkCurve, genie: LinkCurve, target: float = 1e-3) -> float:
    """How many dB more a curve needs than the genie's for the same bit error rate; infinity if it never reaches it.

    Args:
        curve: The curve.
        genie: The curve of a transmitter that knows the true channel; the same constellation.
        target: Bit error rate.

    Raises:
        SiteTwinError: The constellations differ, the genie does not reach the target, or as `LinkCurve.snr_db_at`.
    """
    if curve.modulation != genie.modulation:
        raise SiteTwinError(f"the curves are of {curve.modulation} and {genie.modulation}; compare the same modulation")
    best = genie.snr_db_at(target)
    if math.isinf(best):
        raise SiteTwinError(
            f"the genie's curve ends at {genie.snr_db[-1]:g} dB above the target {target:g}; go on to a higher SNR"
        )
    return curve.snr_db_at(target) - best


def user_snr_losses_db(curve: LinkCurve, genie: LinkCurve, target: float = 1e-3) -> Float[np.ndarray, " users"]:
    """(users,) how many dB more each user needs than under the genie for the same bit error rate of its own.

    The loss of `snr_loss_db` is read where the mean bit error rate of all users falls to the target. A few users in
    deep fades rule that mean; the median of these losses is that of a user in the middle.

    Args:
        curve: The curve.
        genie: The curve of a transmitter that knows the true channel; the same constellation and users.
        target: Bit error rate.

    Returns:
        Infinity where the curve never falls to the target, NaN where the genie's never does, or either begins below.

    Raises:
        SiteTwinError: The constellations or numbers of users differ, or as `LinkCurve.user_snr_db_at`.
    """
    if curve.modulation != genie.modulation or curve.per_user.shape[1] != genie.per_user.shape[1]:
        raise SiteTwinError(
            f"the curves are of {curve.per_user.shape[1]} users, {curve.modulation}, and {genie.per_user.shape[1]}, "
            f"{genie.modulation}; compare the same users and modulation"
        )
    best = genie.user_snr_db_at(target)
    found: np.ndarray = curve.user_snr_db_at(target) - np.where(np.isinf(best), np.nan, best)
    return found


def bootstrap_ends(
    values: Float[np.ndarray, "rows users"],
    probabilities: Float[np.ndarray, " users"],
    rng: np.random.Generator,
    level: float,
    draws: int,
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Percentiles of weighted means of users drawn with replacement.

    Raises:
        SiteTwinError: The level is not within 0 to 1, or there is no draw.
    """
    if not 0 < level < 1:
        raise SiteTwinError(f"level is {level!r}; give a probability between 0 and 1, such as 0.95")
    count = values.shape[1]
    weights = rng.multinomial(count, np.full(count, 1 / count), size=checked_count("draws", draws)) * probabilities
    totals = weights.sum(axis=1)
    weights = weights[totals > 0] / totals[totals > 0, None]
    ends = np.quantile(weights @ values.T, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return ends[0], ends[1]


def ebn0_db(
    snr_db: Any, constellation: str = "qpsk", *, subcarriers: int | None = None, prefix: int = 0
) -> Float[np.ndarray, " snrs"]:
    """Convert this package's SNR (Es/N0 of a subcarrier) to Eb/N0 of uncoded bits, in dB.

    Without a prefix, ``Eb/N0 = SNR / bits``. Programs that count the energy of the cyclic prefix (Sionna's
    `ebnodb2no` with a resource grid does) state an Eb/N0 larger by 10 log10((N_s + prefix)/N_s): 0.51 dB for 16 of 128.

    Args:
        snr_db: SNR in dB.
        constellation: Name of the constellation.
        subcarriers: N_s; needed where the prefix counts.
        prefix: Length of the cyclic prefix in samples, where its energy counts; 0 leaves it out.

    Raises:
        SiteTwinError: A number is out of its range.
    """
    values, _ = snr_of_db(snr_db)
    more = 0.0
    if checked_count("prefix", prefix, 0):
        more = 10 * math.log10(1 + prefix / checked_count("subcarriers", subcarriers))
    return values - 10 * math.log10(modulation(constellation).bits) + more


def joined_label(parts: Sequence[str]) -> str:
    """A label of parts, without the empty ones."""
    return ", ".join(part for part in parts if part)


def make_curve(snr_db: Any, per_user: np.ndarray, probabilities: Any, constellation: str, label: str) -> LinkCurve:
    """A curve with checked weights of the users."""
    weights = checked_probabilities(probabilities, per_user.shape[1])
    return LinkCurve(np.asarray(snr_db, dtype=float), per_user, weights, constellation, label)
