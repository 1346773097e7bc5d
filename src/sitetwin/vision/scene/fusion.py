"""Fuse what several sources say of one place, each weighed by its covariance."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError

GATE_2 = 9.21
"""Squared Mahalanobis distance in plan that 1 % of sound fixes exceed (chi-squared, two degrees of freedom)."""

_LEAST = 1e-6  # m2, a variance that matrices may be inverted with


def fused(
    first: Float[np.ndarray, " n"],
    first_covariance: Float[np.ndarray, "n n"],
    second: Float[np.ndarray, " n"],
    second_covariance: Float[np.ndarray, "n n"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Fuse two independent estimates: information (inverse covariance) adds up.

    Returns:
        (n,) mean and (n, n) covariance.
    """
    gain = first_covariance @ np.linalg.inv(first_covariance + second_covariance)
    mean = first + gain @ (second - first)
    covariance = first_covariance - gain @ first_covariance
    return mean, 0.5 * (covariance + covariance.T)


def with_bearing(
    mean: Float[np.ndarray, " n"],
    covariance: Float[np.ndarray, "n n"],
    station: Float[np.ndarray, " 2"],
    bearing: float,
    sigma: float,
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
    """Correct a place by the direction in which it is seen; the more precise the place was, the less it moves.

    The bearing is linearised about the place (extended Kalman filter). It adds the information
    ``n n^T / (distance sigma)^2`` across the line of sight, n the unit vector across, and none along it.

    Args:
        mean: (n,) the place in plan, metres, and whatever else goes with it, such as the velocity.
        covariance: (n, n).
        station: (2,) from where the bearing was taken, metres.
        bearing: Radians from east, counter-clockwise.
        sigma: Standard deviation of the bearing, radians.

    Returns:
        (n,) mean and (n, n) covariance.

    Raises:
        SiteTwinError: The deviation is not positive, or the place is that of the station.
    """
    east, north = (mean[:2] - station).tolist()
    distance = math.hypot(east, north)
    if not (sigma > 0 and math.isfinite(bearing)):
        raise SiteTwinError(f"a bearing of {bearing} +- {sigma} rad says nothing; give a positive standard deviation")
    if distance == 0.0:
        raise SiteTwinError("no bearing leads from a station to its own place; give another place")
    across = np.zeros(len(mean))
    across[:2] = np.array([-north, east]) / distance
    off = math.remainder(bearing - math.atan2(north, east), 2 * math.pi) * distance
    spread = covariance @ across
    gain = spread / (float(across @ spread) + (distance * sigma) ** 2)
    corrected = covariance - np.outer(gain, spread)
    return mean + gain * off, 0.5 * (corrected + corrected.T)


def mahalanobis_2(
    offset: Float[np.ndarray, "*batch 2"], covariance: Float[np.ndarray, "*batch 2 2"]
) -> Float[np.ndarray, "*batch"]:
    """Return squared Mahalanobis lengths (...) of offsets (..., 2)."""
    solved = np.linalg.solve(covariance + _LEAST * np.eye(2), offset[..., None])[..., 0]
    return np.asarray((offset * solved).sum(axis=-1))
