"""How likely an observed power of a tap is, given the paths that a twin puts into it.

The phases of paths change within centimetres and are taken as random. The power of a tap is then that of a sum of
random phasors with powers ``p_i`` and of noise of the mean power N: its mean is ``m = sum p_i + N`` and its variance
``m^2 - sum p_i^2`` (one strong path: nearly none; many paths, or noise alone: that of an exponential law, 5.57 dB). The
twin's own errors add ``(tau s)^2``, s being the paths' share of the mean. A gamma law of the same mean and variance
stands for the law of the sum; it is exact for noise alone, and for many paths.

A share of the taps obeys another law: power that the twin knows nothing of (vehicles, people, trees), or paths that are
not there. Such taps are as likely at any level between the weakest and the strongest of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

LEAST_SPREAD = 1e-4
"""Smallest relative variance of a tap: no receiver is steadier than 0.04 dB."""

_FLOOR = 1e-3  # of the noise: weaker powers are taken as this


@dataclass(frozen=True)
class TapLaw:
    """What a twin says of taps.

    Attributes:
        signal: (R,) sum of the powers of the paths; or (R, N) for N hypotheses.
        squares: (R,) sum of their squares.
        noise: (R,) mean power of the noise.
    """

    signal: Float[np.ndarray, "*taps"]
    squares: Float[np.ndarray, "*taps"]
    noise: Float[np.ndarray, "*taps"]

    @property
    def mean(self) -> Float[np.ndarray, "*taps"]:
        """(R,) mean power."""
        return self.signal + self.noise

    def relative_variance(self, misfit: float) -> Float[np.ndarray, "*taps"]:
        """(R,) variance of the power over the square of its mean.

        Args:
            misfit: Relative standard deviation tau of the twin's own errors.
        """
        spread = 1 - (self.squares - (misfit * self.signal) ** 2) / self.mean**2
        return np.maximum(spread, LEAST_SPREAD)


@dataclass(frozen=True)
class Contamination:
    """Nuisance parameters of the likelihood.

    Attributes:
        misfit: Relative standard deviation of the power of the paths that the twin's errors make.
        share: Share of the taps that obey another law.
        log_density: Logarithm of that law's density per neper of power.
    """

    misfit: float
    share: float
    log_density: float


@dataclass(frozen=True)
class Scores:
    """The likelihood of each tap and how it changes.

    Attributes:
        each: (R,) log-likelihood.
        inlier: (R,) probability that the tap obeys the twin's law.
        by_mean: (R,) derivative with respect to the logarithm of the mean.
        shape: (R,) shape of the gamma law, one over the relative variance; the Fisher information on that logarithm.
    """

    each: Float[np.ndarray, "*taps"]
    inlier: Float[np.ndarray, "*taps"]
    by_mean: Float[np.ndarray, "*taps"]
    shape: Float[np.ndarray, "*taps"]


def log_powers(power: Float[np.ndarray, "*taps"], noise: Float[np.ndarray, "*taps"]) -> Float[np.ndarray, "*taps"]:
    """Logarithms of observed powers; those far below the noise count as a thousandth of it."""
    return np.log(np.maximum(power, _FLOOR * noise))


def outlier_density(observed: Float[np.ndarray, "*taps"]) -> float:
    """Logarithm of the density of taps that obey another law: level between the weakest and the strongest."""
    low, high = np.quantile(observed, [0.01, 1.0])
    return -math.log(max(float(high - low), 1.0))


def scores(
    observed: Float[np.ndarray, "*taps"],
    law: TapLaw,
    nuisance: Contamination,
    shape: Float[np.ndarray, "*taps"] | None = None,
) -> Scores:
    """Log-likelihood of taps, per neper of power.

    Args:
        observed: (R,) logarithms of the observed powers.
        law: What the twin says of them.
        nuisance: Misfit and outliers.
        shape: (R,) shapes of the gamma laws; those of the law by default. Kept while parameters change, they make the
            estimate of the means right on average whatever the law of the powers is.
    """
    if shape is None:
        shape = 1 / law.relative_variance(nuisance.misfit)
    above = observed - np.log(law.mean)
    ratio = np.exp(np.minimum(above, 50.0))
    own = shape * np.log(shape) - gammaln(shape) + shape * (above - ratio) + math.log1p(-nuisance.share)
    each = np.logaddexp(own, math.log(nuisance.share) + nuisance.log_density)
    inlier = np.exp(own - each)
    return Scores(each, inlier, inlier * shape * (ratio - 1), shape)
