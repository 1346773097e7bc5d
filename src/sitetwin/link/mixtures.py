"""A prior that knows how far to trust the twin: a mixture of covariances whose weights measured channels decide.

A twin is right about some users and wrong about others, and nobody knows which before a pilot is heard. One covariance
between the twin's and one for anywhere serves neither. Here a user's channel has one of several covariances, each with
a probability that channels measured at other users make most likely, and the user's own pilots tell which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Complex, Float, Integer
from scipy.special import logsumexp

from sitetwin.errors import SiteTwinError
from sitetwin.link.priors import Observed, PathPrior, Responses, SeparablePrior, checked_pilots

SHARES = (0.01, 0.05, 0.2, 0.5, 1.0)
"""Shares of a covariance for anywhere beside that of the twin's paths; 1 is that for anywhere alone."""

_AT_ONCE = 1 << 22  # complex numbers of the largest intermediate
_POWER_OFF = 1e-3  # of unit power: rounding
_ROUNDS = 200  # of expectation and maximisation
_PSEUDO_USERS = 1.0  # who have every part alike: no part becomes impossible


@dataclass(frozen=True, eq=False)
class PriorMixture:
    """Channels that have the covariance ``(1 - s) C_twin + s C_anywhere`` for one of several s and C_anywhere.

    Attributes:
        twin: The twin's paths, of unit power (`PathPrior.scaled`).
        generics: Laws for anywhere, of unit power.
        shares: The shares s, above 0, 1 at most.
        probabilities: [generics, shares] probability of each, which add up to 1.

    Raises:
        SiteTwinError: A share lies outside (0, 1], the priors have different antennas or subcarriers or no unit power,
            or the probabilities are none.
    """

    twin: PathPrior
    generics: tuple[SeparablePrior, ...]
    shares: tuple[float, ...]
    probabilities: Float[np.ndarray, "generics shares"]

    def __post_init__(self) -> None:
        if not self.shares or not all(0 < share <= 1 for share in self.shares):
            raise SiteTwinError(f"shares are {self.shares}; give one or more above 0, 1 at most")
        own = self.twin.shape[1:]
        sizes = [(len(one.space), len(one.frequency)) for one in self.generics]
        if not sizes or any(size != own for size in sizes):
            raise SiteTwinError(
                f"the twin's prior is of {own} antennas and subcarriers, the generic ones of {sizes}; make all for one "
                "array and grid"
            )
        self._check_power()
        given = self.probabilities
        wanted = (len(self.generics), len(self.shares))
        if given.shape != wanted or not (given >= 0).all() or abs(float(given.sum()) - 1) > 1e-9:
            raise SiteTwinError(f"probabilities of the shape {given.shape} are none; give {wanted} that add up to 1")

    def _check_power(self) -> None:
        """Refuse priors of other powers: shares would not be what they say, and the pilots would decide wrongly."""
        twin = np.square(np.abs(self.twin.gains)).sum(axis=(1, 2)) / self.twin.gains.shape[2]
        others = [float(np.diagonal(g.space).real.mean() * np.diagonal(g.frequency).real.mean()) for g in self.generics]
        for name, powers in (("the twin's prior", twin), ("a generic prior", np.array(others))):
            wrong = ~(np.abs(powers - 1) <= _POWER_OFF)
            if wrong.any():
                raise SiteTwinError(
                    f"{name} has a mean power of {powers[wrong][0]:.3g} per antenna, not 1; scale it "
                    "(`PathPrior.scaled`), and the channels that are heard alike"
                )

    @classmethod
    def even(
        cls, twin: PathPrior, generics: Sequence[SeparablePrior], shares: Sequence[float] = SHARES
    ) -> PriorMixture:
        """The mixture in which everything is equally probable."""
        shape = (len(generics), len(shares))
        return cls(twin, tuple(generics), tuple(shares), np.full(shape, 1 / max(1, shape[0] * shape[1])))

    def fitted(self, observed: Observed, tones: Integer[np.ndarray, " tones"], noise_variance: float) -> PriorMixture:
        """The mixture with the probabilities under which what was measured at its users is most likely.

        Expectation and maximisation of the marginal likelihood (A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat.
        Soc. B 39(1), 1977), with the weight of one more user for whom all parts are alike.

        Args:
            observed: [users, antennas, tones] measured channels of the twin's users at some subcarriers, with noise.
            tones: [tones] these subcarriers; several spread over the band tell delay spreads apart.
            noise_variance: Variance of the noise.

        Raises:
            SiteTwinError: Shapes do not fit, or the variance is not positive.
        """
        values, tones, variance = checked_pilots(observed, tones, noise_variance, self.twin.shape)
        likely = np.concatenate([part.likely for part in self._parts(values, tones, variance)])
        likely = likely.reshape(len(values), -1)
        weights = np.full(likely.shape[1], 1 / likely.shape[1])
        for _ in range(_ROUNDS):
            shares = _shares(likely, weights)
            weights = (shares.sum(axis=0) + _PSEUDO_USERS / likely.shape[1]) / (len(likely) + _PSEUDO_USERS)
        return replace(self, probabilities=(weights / weights.sum()).reshape(self.probabilities.shape))

    def of_users(self, twin: PathPrior) -> PriorMixture:
        """The mixture with the same probabilities for other users."""
        return replace(self, twin=twin)

    @property
    def generic_share(self) -> float:
        """Mean share of the covariances for anywhere."""
        return float(self.probabilities.sum(axis=0) @ self.shares)

    def estimate(self, observed: Observed, tones: Integer[np.ndarray, " tones"], noise_variance: float) -> Responses:
        """Mean of the channel given noisy pilots: the linear estimates of all parts, each as probable as it then is.

        J. T. Flam, S. Chatterjee, K. Kansanen, T. Ekman, "On MMSE estimation: a linear model under Gaussian mixture
        statistics", IEEE Trans. Signal Process. 60(7), 2012.

        Args:
            observed: [users, antennas, tones] channel at the pilots, with noise (`observe_pilots`).
            tones: [tones] their subcarriers.
            noise_variance: Variance of the noise.

        Raises:
            SiteTwinError: Shapes do not fit, or the variance is not positive.
        """
        values, tones, variance = checked_pilots(observed, tones, noise_variance, self.twin.shape)
        found = []
        with np.errstate(divide="ignore"):
            prior = np.log(self.probabilities).reshape(-1)
        for part in self._parts(values, tones, variance):
            users = len(part.likely)
            posterior = _shares(part.likely.reshape(users, -1), np.exp(prior)).reshape(part.likely.shape)
            weighted = posterior[..., None] * part.solved  # (users, generics, shares, pilots)
            of_twin = np.einsum("ugsp,s->up", weighted, 1 - np.array(self.shares))
            of_generics = np.einsum("ugsp,s->ugp", weighted, np.array(self.shares))
            estimate = (part.twin @ of_twin[..., None])[..., 0]
            for number, generic in enumerate(part.generics):
                estimate = estimate + of_generics[:, number] @ generic.T
            found.append(estimate)
        return np.concatenate(found).reshape(self.twin.shape)

    def _parts(self, values: np.ndarray, tones: np.ndarray, variance: float) -> Iterator[_Part]:
        """What was heard of some users after the others, under each part."""
        _, antennas, subcarriers = self.twin.shape
        paths, size = self.twin.gains.shape[1], antennas * subcarriers
        heard = (np.arange(antennas)[:, None] * subcarriers + tones).ravel()
        generics = [np.kron(one.space, one.frequency[:, tones]) for one in self.generics]
        step = max(1, _AT_ONCE // ((paths + len(heard)) * size))
        for first in range(0, len(values), step):
            some = self.twin.select_users(slice(first, first + step))
            twin = some.covariance_with(tones)
            y = values[first : first + step].reshape(-1, len(heard))
            likely = np.empty((len(y), len(generics), len(self.shares)))
            solved = np.empty((*likely.shape, len(heard)), np.complex128)
            for g, generic in enumerate(generics):
                for s, share in enumerate(self.shares):
                    own = (1 - share) * twin[:, heard] + share * generic[heard] + variance * np.eye(len(heard))
                    x = np.linalg.solve(own, y[..., None])[..., 0]
                    energy = np.einsum("up,up->u", y.conj(), x).real
                    likely[:, g, s] = -np.linalg.slogdet(own)[1] - energy
                    solved[:, g, s] = x
            yield _Part(likely, solved, twin, generics)


@dataclass(frozen=True, eq=False)
class _Part:
    """Some users under each part of a mixture.

    Attributes:
        likely: [users, generics, shares] log-likelihood of what was heard, up to a constant.
        solved: [users, generics, shares, pilots] inverse of the covariance times what was heard.
        twin: [users, antennas * subcarriers, pilots] covariance of the twin.
        generics: [antennas * subcarriers, pilots] covariance of each law for anywhere.
    """

    likely: Float[np.ndarray, "users generics shares"]
    solved: Complex[np.ndarray, "users generics shares pilots"]
    twin: Complex[np.ndarray, "users channel pilots"]
    generics: list[np.ndarray]


def _shares(likely: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "users parts"]:
    """Probability of each part for each user."""
    with np.errstate(divide="ignore"):
        joint = likely + np.log(weights)
    shares: np.ndarray = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    return shares
