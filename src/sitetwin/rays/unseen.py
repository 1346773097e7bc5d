"""What independent samples tell of the chains that none of them met: an estimate and its upper limit.

After n independent samples (lattices of rays, sets of aimed rays) the weight that all of them missed is estimated by
the first-order jackknife (K. P. Burnham, W. S. Overton, Biometrika 65(3), 1978): the weight that exactly one of them
met, times (n - 1) / n. Pairs (chain, user) of one chain are met or missed together, whatever users they belong to. So
the limit counts chains, not pairs: that of a Poisson number of chains met once (F. Garwood, Biometrika 28, 1936), each
with the weight of such chains. If none was met once, the limit begins with three such chains (the rule of three).

The jackknife takes hit rates for evenly spread; in cities more chains have small ones, over small and distant facets.
If their number rises towards zero as 1 / sqrt(rate), twice as much is missed as was met once. The limit allows for
that. The lower limit is always zero: even if many chains were met once, it is possible that none is missing. Chains
that samples meet far less than once in all do not show, so that both numbers are too low if most are of that kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import betaincinv, gammaincinv

_PILED_UP = 2.0
"""What is missed over what is met once, if the density of hit rates r weighed by pairs rises as r^(-a), is 1 / (1 - a)
for many samples: 1 if it is flat. The limit takes a = 1/2. With coarse lattices in Boston it was 1.2 to 1.5."""

CONFIDENCE = 0.95
"""Confidence of the upper limits, where nothing else is asked for."""


UNSEEN_KEYS = ("unseen_share", "unseen_high", "probe_users")
"""What must be said together: an estimate means little without its limit and the users it rests on."""


@dataclass(frozen=True)
class Unseen:
    """A share that is estimated to be unseen, 0..1, and its upper limit."""

    share: float
    high: float


def unseen_weight(
    weight: Float[np.ndarray, " chains"],
    least_path: float,
    times: Integer[np.ndarray, " chains"],
    samples: int,
    confidence: float = CONFIDENCE,
) -> tuple[float, float]:
    """Estimate the weight that no sample met, and its upper limit.

    One sample alone has nothing to be compared with: it may have missed everything. Where no chain was met only once,
    the limit needs the weight that such a chain would have. Chains met twice stand for it as they are. Others stand for
    it in proportion to the rate at which rays hit them, for both grow with the width of a chain's beam.

    Args:
        weight: Weight of each chain (number of its pairs, or its power); 0 for chains without a valid pair.
        least_path: Smallest weight that a chain can have.
        times: Number of samples that met each chain.
        samples: Number of samples.
        confidence: Confidence of the limit, 0..1.

    Returns:
        Estimate and limit, in the unit of the weights; the limit is infinite if nothing is known.
    """
    worth = (weight > 0) & (times > 0)
    once = worth & (times == 1)
    if samples == 1 or not worth.any():
        return float(weight[once].sum()), np.inf if weight.any() else 0.0
    least = int(times[worth].min())
    each = float(weight[worth & (times == least)].mean())
    if least > 2:
        each *= _rate(1, samples) / _rate(least, samples)
    factor = (samples - 1) / samples
    most = float(gammaincinv(np.count_nonzero(once) + 1, confidence))  # half the quantile of chi^2
    return factor * float(weight[once].sum()), factor * _PILED_UP * most * max(each, least_path)


def _rate(times: int, samples: int) -> float:
    """Hits per sample of a chain that so many of them met: Poisson hits, and half a sample's doubt if all did."""
    return float(-np.log1p(-min(times, samples - 0.5) / samples))


def share_of(missed: float, found: float) -> float:
    """Return the share of what is missed in what is missed and found; 1 if it has no limit, 0 if there is nothing."""
    if np.isinf(missed):
        return 1.0
    return float(missed / (found + missed)) if found + missed else 0.0


@dataclass(frozen=True, eq=False)
class Sampling:
    """What one kind of sampling tells of the valid (chain, user) pairs that were found.

    Attributes:
        cluster: Number of each pair's cluster: the pairs of one are met or missed together.
        times: Number of samples that met each pair's cluster.
        samples: Number of samples.
    """

    cluster: Integer[np.ndarray, " pairs"]
    times: Integer[np.ndarray, " pairs"]
    samples: int

    def unseen(self, confidence: float) -> tuple[float, float]:
        """Pairs that no sample met: estimate and upper limit."""
        if not len(self.cluster):
            return 0.0, 0.0
        _, first, place = np.unique(self.cluster, return_index=True, return_inverse=True)
        weight = np.bincount(place.ravel()).astype(np.float64)
        return unseen_weight(weight, 1.0, self.times[first], self.samples, confidence)


def unseen_pairs(
    found: int,
    samplings: Sequence[Sampling],
    lost: Integer[np.ndarray, " users"] | None = None,
    *,
    sampled: bool = False,
    confidence: float = CONFIDENCE,
) -> Unseen:
    """Estimate the share of valid (chain, user) pairs that a trace lacks, and its upper limit.

    Args:
        found: Number of valid pairs of the probe users, with those that are lost.
        samplings: Each kind of sampling that a pair must pass.
        lost: Number of pairs of each probe user that the trace lacks although their chain is known.
        sampled: Whether the probe users are a sample of more users, so that `lost` has a limit of its own.
        confidence: Confidence of the upper limit, 0..1; each part gets its share of the doubt (Bonferroni).
    """
    if not found:
        return Unseen(0.0, 1.0)  # nothing was found, so that nothing is known of how much there is
    each = 1 - (1 - confidence) / (len(samplings) + sampled)
    middle, high = np.sum([sampling.unseen(each) for sampling in samplings], axis=0)
    known = 0.0 if lost is None else float(lost.sum())
    known_high = most_lost(lost, each) if sampled and lost is not None else known
    if np.isinf(high):
        return Unseen(float((middle + known) / (found + middle)), 1.0)
    return Unseen(
        share=float((middle + known) / (found + middle)),
        high=float(min(1.0, (high + known_high) / (found + high))),
    )


def most_lost(lost: Integer[np.ndarray, " users"], confidence: float = CONFIDENCE) -> float:
    """Return an upper limit of the pairs lost on as many users, if these are a sample of many.

    Pairs of one user are not independent, so that users are counted: the exact binomial limit (C. J. Clopper,
    E. S. Pearson, Biometrika 26, 1934) of the share of users who lack a pair, times the pairs that such a user lacks.

    Args:
        lost: Number of pairs that each user of the sample lacks.
        confidence: Confidence of the limit, 0..1.
    """
    users, lacking = len(lost), int(np.count_nonzero(lost))
    share = 1.0 if lacking == users else float(betaincinv(lacking + 1, users - lacking, confidence))
    return share * users * (float(lost.sum()) / lacking if lacking else 1.0)


def unseen_in_words(
    unseen_share: float | None, unseen_high: float | None = None, probe_users: int | None = None
) -> str:
    """Return a share of unseen paths as it is printed: estimate, upper limit, and the users that it rests on."""
    if unseen_share is None:
        return "not stated"
    high = "upper limit not stated" if unseen_high is None else f"at most {unseen_high:.2g} ({CONFIDENCE:.0%})"
    users = "" if probe_users is None else f", from {probe_users:,} user{'' if probe_users == 1 else 's'}"
    return f"{unseen_share:.2g} of the paths, estimated; {high}{users}"
