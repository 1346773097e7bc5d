"""What disturbs the direction of a user beside the unknowns: a robust Gaussian process about one mode of the geometry.

Disturbances are normal: a displacement that is smooth along each lane, the bias of a drive's fixes, its lag, and slow
changes of the array and of the lag from drive to drive. The unknowns of the geometry themselves are linear about the
mode, so that one process holds all (C. Rasmussen, C. Williams, "Gaussian processes for machine learning", 2006, ch. 2).
Errors of single rows are Student's t, by weights that are found again (iteratively reweighted least squares).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from sitetwin.calibrate.geometry import BeamPriors, Seen, direction

_ROUNDS = 5
_LEAST_WEIGHT = 1e-3


@dataclass(frozen=True, eq=False)
class Linear:
    """Users about a mode of the geometry.

    Attributes:
        seen: The users.
        degrees: Their directions.
        slope: Derivatives by the unknowns.
    """

    seen: Seen
    degrees: Float[np.ndarray, " users"]
    slope: Float[np.ndarray, "users unknowns"]

    @classmethod
    def of(cls, unknowns: Float[np.ndarray, " unknowns"], seen: Seen) -> Linear:
        """Linearise about some unknowns."""
        return cls(seen, *direction(unknowns, seen))

    @property
    def metre(self) -> Float[np.ndarray, " users"]:
        """Degrees for a metre along the street."""
        return self.slope[:, 2]

    @property
    def lag(self) -> Float[np.ndarray, " users"]:
        """Degrees for one interval of lag."""
        return self.slope[:, 4]


def covariance(priors: BeamPriors, a: Linear, b: Linear) -> Float[np.ndarray, "a b"]:
    """Prior covariance of directions, degrees squared, errors of single rows not counted."""
    p = priors
    along = a.seen.position[:, 1][:, None] - b.seen.position[:, 1]
    headings = a.seen.heading[:, None] * b.seen.heading
    apart = np.abs(a.seen.drive[:, None] - b.seen.drive)
    slow, same = np.exp(-apart / p.slow_drives), apart == 0
    lane = np.exp(-0.5 * (along / p.lane_length_m) ** 2) * (p.lane_common + (1 - p.lane_common) * headings)
    metres = p.lane_m**2 * lane + p.drive_m**2 * same
    lags = p.slow_lag**2 * slow + p.drive_lag**2 * same
    return (
        (a.slope * p.sd**2) @ b.slope.T
        + a.metre[:, None] * b.metre * metres
        + a.lag[:, None] * b.lag * lags
        + p.slow_deg**2 * slow
    )


def variance(priors: BeamPriors, a: Linear) -> Float[np.ndarray, " users"]:
    """The diagonal of `covariance`."""
    p = priors
    return (
        (a.slope**2) @ p.sd**2
        + a.metre**2 * (p.lane_m**2 + p.drive_m**2)
        + a.lag**2 * (p.slow_lag**2 + p.drive_lag**2)
        + p.slow_deg**2
    )


class Effects:
    """The process about a mode, given directions that were read from rows of powers.

    Args:
        priors: Sizes.
        unknowns: The mode.
        seen: The rows.
        read_deg: Directions read from them, turns of the array taken out.
        noise_deg: Their errors.
    """

    def __init__(
        self,
        priors: BeamPriors,
        unknowns: Float[np.ndarray, " unknowns"],
        seen: Seen,
        read_deg: Float[np.ndarray, " rows"],
        noise_deg: Float[np.ndarray, " rows"],
    ) -> None:
        self.priors, self.unknowns = priors, unknowns
        self.rows = Linear.of(unknowns, seen)
        self._prior = covariance(priors, self.rows, self.rows)
        self._value = read_deg - self.rows.degrees + self.rows.slope @ (unknowns - priors.mean)
        noise, nu = noise_deg**2, priors.freedom
        weight = np.ones(len(noise))
        for _ in range(_ROUNDS):
            self._factor = cho_factor(self._prior + np.diag(noise / weight))
            self._dual = cho_solve(self._factor, self._value)
            left = noise / weight * self._dual
            weight = np.maximum((nu + 1) / (nu + left**2 / noise), _LEAST_WEIGHT)
        self._noise, self._weight = noise, weight

    def left_out_nats(self) -> float:
        """Logarithm of the density of each reading given the others, Student's t, summed."""
        inverse = np.diag(cho_solve(self._factor, np.eye(len(self._value))))
        error = self._dual / inverse
        nu = self.priors.freedom
        scale = np.maximum(1 / inverse - self._noise / self._weight, 0) + self._noise
        return float((-0.5 * np.log(scale) - (nu + 1) / 2 * np.log1p(error**2 / scale / nu)).sum())

    def at(self, seen: Seen) -> tuple[Float[np.ndarray, " asked"], Float[np.ndarray, " asked"], Linear]:
        """Mean and standard deviation of directions of other users in degrees, and their linearisation."""
        asked = Linear.of(self.unknowns, seen)
        cross = covariance(self.priors, asked, self.rows)
        mean = asked.degrees - asked.slope @ (self.unknowns - self.priors.mean) + cross @ self._dual
        left = variance(self.priors, asked) - np.einsum("ij,ji->i", cross, cho_solve(self._factor, cross.T))
        return mean, np.sqrt(np.maximum(left, 1e-2)), asked
