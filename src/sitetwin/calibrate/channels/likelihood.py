"""How likely an observed power of a tap is, given the paths that a twin puts into it.

The phases of paths are taken as random: mean and variance of the power of a tap are those of
`sitetwin.channel.tap_power_law`, with the twin's own errors. A gamma law of the same mean and variance stands for the
law of the sum; it is exact for noise alone, and for many paths.

A share of the taps obeys another law: power that the twin knows nothing of (vehicles, people, trees), or paths that are
not there. Such taps are as likely at any level between the weakest and the strongest of the data.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import gammaln

from sitetwin.channel.tap_laws import TapLaw

__all__ = ["Contamination", "Scores", "TapLaw", "log_powers", "outlier_density", "scores"]

_FLOOR = 1e-3  # of the noise: weaker powers are taken as this


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
