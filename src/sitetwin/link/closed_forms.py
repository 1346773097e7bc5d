"""Bit error rates that have a closed form: what every evaluator of this room is held to.

All are for independent Rayleigh fading of the antennas and mean channel power 1 per antenna. gamma is the SNR
1/sigma^2 = Es/N0 at total transmit power 1. They hold for each constellation of this room, whose error rate in white
noise is a weighted sum of Q functions (`Modulation.q_terms`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import comb, gammaln, ndtr

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_count, checked_ratio
from sitetwin.link.constellations import Modulation, modulation

MOST_ANTENNAS = 256
"""Of a closed form; more antennas lose digits in its sums."""


def awgn_error_rate(snr: float, constellation: str | Modulation = "qpsk") -> float:
    """Bit error rate in white Gaussian noise without fading; QPSK: Q(sqrt(gamma)).

    Args:
        snr: gamma = Es/N0, a ratio.
        constellation: Name of the constellation.

    Raises:
        SiteTwinError: The SNR is not positive, or the constellation unknown.
    """
    return float(modulation(constellation).error_rate(checked_ratio("snr", snr)))


def maximal_ratio(branches: int, mean: float) -> float:
    """Mean of Q(sqrt(2 c x)) over the law of x, the sum of L independent exponential numbers of mean 1.

    ``P(L, c) = p^L sum_{k<L} C(L-1+k, k) (1-p)^k`` with ``p = (1 - mu)/2``, ``mu = sqrt(c / (1 + c))``.

    Source: J. G. Proakis, Digital Communications, 4th edition, eq. 14.4-15.

    Args:
        branches: L, the order of diversity.
        mean: c, the mean SNR of a bit in one branch.

    Raises:
        SiteTwinError: A number is out of its range.
    """
    branches = checked_count("branches", branches, most=MOST_ANTENNAS)
    c = checked_ratio("mean", mean)
    p = 0.5 / (1 + c + np.sqrt(c * (1 + c)))  # (1 - mu)/2 without the difference of near numbers
    k = np.arange(branches)
    return float(p**branches * np.sum(comb(branches - 1 + k, k) * (1 - p) ** k))


def mrt_error_rate(
    snr: float, antennas: int, correlation: float = 1.0, constellation: str | Modulation = "qpsk"
) -> float:
    """Bit error rate of MRT with the power of each subcarrier fixed, on a channel that the transmitter knows in part.

    What it knows is ``sqrt(r) h + sqrt(1-r) e`` with e independent of h and of the same law. For each Q function of
    the constellation: ``sum_k C(L-1, k) r^k (1-r)^(L-1-k) P(k+1, c)``, P from `maximal_ratio`. The receiver equalises
    with the true effective channel. Any r < 1 leaves an order of diversity of 1.

    Source: M. J. Gans, "The effect of Gaussian error in maximal ratio combiners", IEEE Trans. Commun. Technol. 19(4),
    1971.

    Args:
        snr: gamma, a ratio.
        antennas: L, the number of transmit antennas.
        correlation: ``r = |rho|^2``, the squared correlation of the known with the true channel, 0 to 1.
        constellation: Name of the constellation.

    Raises:
        SiteTwinError: A number is out of its range.
    """
    gamma, others = checked_ratio("snr", snr), checked_count("antennas", antennas, most=MOST_ANTENNAS) - 1
    if not 0 <= correlation <= 1:
        raise SiteTwinError(f"correlation is {correlation!r}; a squared correlation lies in 0 to 1")
    k = np.arange(others + 1)
    share = comb(others, k) * correlation**k * (1.0 - correlation) ** (others - k)
    weights, factors = modulation(constellation).q_terms
    return float(
        sum(
            weight * sum(s * maximal_ratio(int(n) + 1, factor**2 * gamma / 2) for s, n in zip(share, k, strict=True))
            for weight, factor in zip(weights, factors, strict=True)
        )
    )


def mrt_long_term_error_rate(snr: float, antennas: int, constellation: str | Modulation = "qpsk") -> float:
    """Bit error rate of MRT with fixed long-term power, ``b = h* / sqrt(N_T)``: the gain is ``||h||^2 / sqrt(N_T)``.

    QPSK: ``int_0^inf Q(x sqrt(gamma/N_T)) x^(L-1) e^(-x) / Gamma(L) dx``, L = N_T, by quadrature to about 1e-13. The
    order of diversity is L/2, since the power follows the channel.

    Args:
        snr: gamma, a ratio.
        antennas: N_T.
        constellation: Name of the constellation.

    Raises:
        SiteTwinError: A number is out of its range.
    """
    gamma, count = checked_ratio("snr", snr), checked_count("antennas", antennas, most=MOST_ANTENNAS)
    weights, factors = modulation(constellation).q_terms
    total = 0.0
    for weight, factor in zip(weights, factors, strict=True):
        slope = factor * np.sqrt(gamma / count)
        # The integrand falls like e^(-x) and like e^(-(slope x)^2 / 2): whichever ends first.
        end = min(count + 40 + 12 * np.sqrt(count), (9 + 2 * np.sqrt(count)) / slope)
        x, w = _panels(end, 48, 24)
        law = np.exp((count - 1) * np.log(x) - x - gammaln(count))
        total += weight * np.sum(w * law * ndtr(-slope * x))
    return float(total)


def inversion_error_rate(snr: float, antennas: int, constellation: str | Modulation = "qpsk") -> float:
    """Bit error rate of channel inversion with the long-term power fixed; QPSK: Q(sqrt((N_T - 1) gamma)).

    This is the limit of the regularised inversion for xi -> 0: the receiver sees no fading.

    Args:
        snr: gamma, a ratio.
        antennas: N_T, at least 2: one antenna would need infinite power.
        constellation: Name of the constellation.

    Raises:
        SiteTwinError: A number is out of its range.
    """
    count = checked_count("antennas", antennas, 2, MOST_ANTENNAS)
    return awgn_error_rate((count - 1) * checked_ratio("snr", snr), constellation)


@dataclass(frozen=True)
class GainNodes:
    """A quadrature over the law of a power gain: nodes and their probabilities.

    Attributes:
        gains: (nodes,) power gains ``|g|^2``.
        probabilities: (nodes,) their weights, of sum 1.
    """

    gains: Float[np.ndarray, " nodes"]
    probabilities: Float[np.ndarray, " nodes"]


def mrt_gain_nodes(antennas: int, correlation: float = 1.0, panels: int = 96) -> GainNodes:
    """Quadrature over the power gain of MRT with the power of each subcarrier fixed, in independent Rayleigh fading.

    The law has the moment generating function ``(1 + (1-r) s)^(L-1) / (1 + s)^L``: it is a mixture of gamma laws of the
    orders 1 to L with binomial weights. The mean gain is 1 + r (L-1).

    Args:
        antennas: L.
        correlation: r, as in `mrt_error_rate`.
        panels: Panels of the quadrature, each of 24 nodes.

    Raises:
        SiteTwinError: A number is out of its range.
    """
    count = checked_count("antennas", antennas, most=MOST_ANTENNAS)
    if not 0 <= correlation <= 1:
        raise SiteTwinError(f"correlation is {correlation!r}; a squared correlation lies in 0 to 1")
    # In the amplitude t = |g| the integrand is smooth at 0, where small error rates come from; nodes are dense there.
    u, w = _panels(1.0, checked_count("panels", panels, 4), 24)
    end = np.sqrt(count + 40 + 12 * np.sqrt(count))
    t, stretch = end * u**3, 3 * end * u**2
    orders = np.arange(1, count + 1)
    share = comb(count - 1, orders - 1) * correlation ** (orders - 1) * (1.0 - correlation) ** (count - orders)
    law = np.exp((2 * orders - 1) * np.log(t)[:, None] - (t**2)[:, None] - gammaln(orders)) @ share
    return GainNodes(t**2, 2 * law * w * stretch)


def _panels(end: float, panels: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss-Legendre rules on equal panels of (0, end)."""
    x, w = np.polynomial.legendre.leggauss(order)
    half = end / panels / 2
    middle = (2 * np.arange(panels) + 1) * half
    return (middle[:, None] + half * x).ravel(), np.tile(half * w, panels)
