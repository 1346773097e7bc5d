"""The posterior of one slab as a weighted sample: its peaks lie on curved ridges, which no normal law at a peak holds.

Loss hides the second face, so that thickness and permittivity of a lossy slab are free over wide ranges that join
narrow peaks. Importance sampling weighs all of it: from wide laws about the peaks and from the prior at first, then
from the sample itself (population Monte Carlo: Cappe and others, J. Comput. Graph. Stat. 13(4), 2004), with the
density of all draws together (Veach and Guibas, SIGGRAPH 1995).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from sitetwin.calibrate.channels.climbs import Climb, Peak

_DRAWS, _ROUNDS = 800, 3
_CENTRES = 16  # of the sample from which a round after the first draws
_BY_PRIOR = 0.2  # share of each round that is drawn from the prior
_TAILS = 4.0  # degrees of freedom of the laws about peaks
_WIDER = 2.0  # times the variance of a peak
_AS_PRIOR = 1e3  # degrees of freedom at which Student's law is the normal one


@dataclass(frozen=True, eq=False)
class Sample:
    """Changes of the parameters of a slab that are searched.

    Attributes:
        at: (N, K) changes.
        log_weight: (N,) logarithms of their weights, up to a constant.
        peak: (N,) number of the peak that each is nearest to, in its standard deviations.
    """

    at: Float[np.ndarray, "draws searched"]
    log_weight: Float[np.ndarray, " draws"]
    peak: Int[np.ndarray, " draws"]

    def weights(self, changes: Float[np.ndarray, " peaks"]) -> Float[np.ndarray, " draws"]:
        """(N,) weights that add up to one, where the height of each peak is changed by some nats."""
        whole = self.log_weight + changes[self.peak]
        weights: np.ndarray = np.exp(whole - logsumexp(whole))
        return weights


@dataclass(frozen=True, eq=False)
class _Mixture:
    """Student's laws with means, shapes, degrees of freedom and shares."""

    means: np.ndarray
    shapes: np.ndarray
    tails: np.ndarray
    shares: np.ndarray

    def drawn(self, rng: np.random.Generator) -> np.ndarray:
        counts = rng.multinomial(_DRAWS, self.shares)
        laws = zip(self.means, self.shapes, self.tails, counts, strict=True)
        drawn = [multivariate_t.rvs(m, s, t, size=n, random_state=rng).reshape(n, -1) for m, s, t, n in laws if n]
        return np.concatenate(drawn)

    def log_density(self, at: np.ndarray) -> np.ndarray:
        laws = zip(self.means, self.shapes, self.tails, strict=True)
        each = np.stack([np.atleast_1d(multivariate_t.logpdf(at, m, s, t)) for m, s, t in laws])
        density: np.ndarray = logsumexp(each, axis=0, b=self.shares[:, None])
        return density


def sampled(climb: Climb, peaks: Sequence[Peak], seed: int = 0) -> Sample:
    """Draw from the posterior of a slab, all other parameters kept.

    Args:
        climb: The posterior.
        peaks: Its peaks.
        seed: Seed of the draws.
    """
    rng = np.random.default_rng(seed)
    tops, shapes = np.stack([peak.at for peak in peaks]), np.stack([peak.covariance for peak in peaks])
    mass = np.array([peak.log_mass for peak in peaks])
    shares = np.exp((mass - mass.max()) / 2)  # flatter than the masses, which are those of normal laws
    laws = [_with_prior(climb, tops, _WIDER * shapes, shares)]
    at, height = np.zeros((0, tops.shape[1])), np.zeros(0)
    for number in range(_ROUNDS):
        drawn = laws[number].drawn(rng)
        at, height = np.concatenate([at, drawn]), np.concatenate([height, climb.heights(drawn)])
        density = logsumexp([law.log_density(at) for law in laws], axis=0)
        sample = Sample(at, height - density, _nearest(at, tops, shapes))
        laws.append(_about(climb, sample, shapes, rng))
    return sample


def _about(climb: Climb, sample: Sample, shapes: np.ndarray, rng: np.random.Generator) -> _Mixture:
    """Laws about some members of a sample, each as wide as those of its peak's sample are apart."""
    weight = sample.weights(np.zeros(len(shapes)))
    chosen = rng.choice(len(weight), _CENTRES, p=weight)
    narrower = _CENTRES ** (-2 / (sample.at.shape[1] + 4))  # Silverman's rule
    found = []
    for i in chosen:
        own = sample.peak == sample.peak[i]
        share = weight[own] / weight[own].sum()
        away = sample.at[own] - share @ sample.at[own]
        found.append(narrower * (away.T * share) @ away + shapes[sample.peak[i]] / 2)
    return _with_prior(climb, sample.at[chosen], np.stack(found), np.ones(_CENTRES))


def _with_prior(climb: Climb, means: np.ndarray, shapes: np.ndarray, shares: np.ndarray) -> _Mixture:
    return _Mixture(
        np.concatenate([means, climb.centre[None]]),
        np.concatenate([shapes, np.diag(climb.sd**2)[None]]),
        np.append(np.full(len(means), _TAILS), _AS_PRIOR),
        np.append((1 - _BY_PRIOR) * shares / shares.sum(), _BY_PRIOR),
    )


def _nearest(at: np.ndarray, tops: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    away = at[:, None] - tops
    nearest: np.ndarray = np.einsum("npj,pjk,npk->np", away, np.linalg.inv(shapes), away).argmin(axis=1)
    return nearest
