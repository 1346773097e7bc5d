"""Four ways to fix the power of a transmitter.

With b[u, t, k] the weight of antenna t at subcarrier k for user u, and N_s subcarriers:

- "none": the weights stay as they are. Curves of precoders that radiate different powers are not comparable.
- "subcarrier": sum_t |b[u, t, k]|^2 = 1 for each user and subcarrier.
- "symbol": sum_k sum_t |b[u, t, k]|^2 = N_s for each user: the mean power of every OFDM symbol is 1.
- "long-term": one factor for all users and subcarriers makes the mean of sum_t |b[u, t, k]|^2 equal to 1.

Where several users are served at once, sums run over them too: the total power is 1.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from jaxtyping import Complex, Float

from sitetwin.errors import SiteTwinError
from sitetwin.link.checks import checked_choice, checked_probabilities

Normalisation = Literal["none", "subcarrier", "symbol", "long-term"]
NORMALISATIONS = ("none", "subcarrier", "symbol", "long-term")


def transmit_power(weights: Complex[np.ndarray, "users *streams antennas subcarriers"]) -> Float[np.ndarray, " users"]:
    """Mean power over the subcarriers that each user's weights radiate, from all antennas together."""
    power = weights.real**2 + weights.imag**2
    axes = tuple(range(1, power.ndim))
    return power.sum(axis=axes) / power.shape[-1]


def normalise_power(
    weights: Complex[np.ndarray, "users *streams antennas subcarriers"],
    normalisation: str = "symbol",
    probabilities: Any = None,
) -> Complex[np.ndarray, "users *streams antennas subcarriers"]:
    """Scale weights to a total transmit power of 1.

    Args:
        weights: Weights; [users, antennas, subcarriers], or [groups, streams, antennas, subcarriers] where the streams
            of a group share the power.
        normalisation: "none", "subcarrier", "symbol" or "long-term".
        probabilities: (users,) weight of each user in the mean of "long-term"; equal by default.

    Raises:
        SiteTwinError: The normalisation is unknown, or weights without power cannot be scaled.
    """
    checked_choice("normalisation", normalisation, NORMALISATIONS)
    if normalisation == "none":
        return weights
    power = weights.real**2 + weights.imag**2
    per_subcarrier = power.sum(axis=tuple(range(1, power.ndim - 1)), keepdims=True)
    return weights / np.sqrt(power_scale(per_subcarrier, normalisation, probabilities))


def power_scale(
    per_subcarrier: Float[np.ndarray, "users *streams 1 subcarriers"], normalisation: str, probabilities: Any = None
) -> Float[np.ndarray, "users *streams 1 last"]:
    """What the power of weights is divided by, so that the total transmit power is 1.

    Args:
        per_subcarrier: Power of the weights at each subcarrier, the sum over antennas and streams.
        normalisation: "subcarrier", "symbol" or "long-term".
        probabilities: (users,) weight of each user in the mean of "long-term"; equal by default.

    Raises:
        SiteTwinError: There is no power to scale.
    """
    if normalisation == "subcarrier":
        scale = per_subcarrier
    else:
        scale = per_subcarrier.mean(axis=-1, keepdims=True)
        if normalisation == "long-term":
            mean = np.tensordot(checked_probabilities(probabilities, len(scale)), scale, axes=1)
            scale = np.broadcast_to(mean, scale.shape)
    if not (scale > 0).all():
        dead = np.asarray(~(scale > 0).all(axis=tuple(range(1, scale.ndim))))
        raise SiteTwinError(
            f"weights of {int(dead.sum())} of {len(dead)} users have no power to normalise by '{normalisation}' (the "
            f"first is number {int(np.argmax(dead))}); leave users whose channel is zero, there, out"
        )
    return scale
