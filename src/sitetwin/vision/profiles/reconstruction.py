"""From the powers of beams to an angular power profile: what stands for the channel where only beams were measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float
from scipy.optimize import nnls

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.vision.profiles.codebook import AZIMUTH_DEG, ProfileCodebook

Method = Literal["sum", "nnls", "ridge", "interpolated"]
"""How a profile is found:

- *sum*: the strongest beams' patterns, weighed with their powers and added up: equation 1 of the paper. It smooths
  twice, with the patterns and again in equation 2; it is no inverse.
- *nnls*: the profile without negative values whose beam powers are nearest to the measured ones, a constant noise floor
  fitted beside it.
- *ridge*: the shortest of the profiles that explain the powers up to noise; it may be negative.
- *interpolated*: powers at the peaks of their beams, linear between them. It knows nothing of patterns: the control.
"""

Floor = Literal["least", "none"]
"""What is taken off the powers first: the least power of the row, an estimate of the noise; or nothing, as the equation
is printed. Without it the noise of all beams adds up to a hill in the middle of the array."""

_MOST_STEPS = 20_000  # of least squares; profiles take some hundred

STRONGEST = 16
"""Number K of the strongest beams that equation 1 adds up."""


@dataclass(frozen=True)
class Reconstruction:
    """How profiles are found from powers.

    Attributes:
        method: The method.
        strongest: Beams that "sum" adds up; the paper's 16 are right once patterns have norm 1 and the floor is gone.
        floor: What is taken off first.
        damping: Of "ridge": variance of noise over that of the profile, with patterns of norm 1 and a row's strongest
            power as one.
    """

    method: Method = "sum"
    strongest: int = STRONGEST
    floor: Floor = "least"
    damping: float = 0.01

    def __post_init__(self) -> None:
        if self.method not in get_args(Method) or self.floor not in get_args(Floor):
            raise SiteTwinError(
                f"profiles are found by one of {', '.join(get_args(Method))}, with the floor "
                f"{' or '.join(get_args(Floor))}; '{self.method}' with '{self.floor}' was asked for"
            )
        if self.strongest < 1 or not (np.isfinite(self.damping) and self.damping > 0):
            raise SiteTwinError("profiles need at least one beam and a positive damping")

    def profiles(self, power: Float[np.ndarray, "rows beams"], book: ProfileCodebook) -> Float[np.ndarray, "rows 180"]:
        """Find the profile of each row.

        Args:
            power: Linear; NaN where not measured, which counts neither as a power nor as none. For a codebook of
                amplitudes their roots are taken.
            book: The beams.

        Returns:
            As relative as the powers are: of a row with twice the powers, twice the profile.

        Raises:
            SiteTwinError: A row has no power on the beams that are alive, a power is infinite or negative, or the
                numbers of beams differ.
        """
        level = book.measured(power)
        best_beams(level)  # refuses rows without a power
        if book.quantity == "amplitude":
            level = np.sqrt(level)
        if self.method != "nnls" and self.floor == "least":  # the noise floor of "nnls" is one of its unknowns
            level = level - np.nanmin(level, axis=1, keepdims=True)
        if self.method == "sum":
            return _strongest(level, self.strongest) @ book.patterns
        if self.method == "interpolated":
            return _interpolated(level, book)
        return np.stack([self._explained(row, book.patterns) for row in level])

    def _explained(self, level: np.ndarray, patterns: np.ndarray) -> np.ndarray:
        """(180,) profile that explains one row's levels."""
        known = np.isfinite(level)
        top = float(level[known].max())
        if top <= 0:
            return np.zeros(patterns.shape[1])
        rows, seen = patterns[known], level[known] / top
        if self.method == "nnls":
            found: np.ndarray = nnls(np.column_stack([rows, np.ones(len(rows))]), seen, maxiter=_MOST_STEPS)[0][:-1]
        else:
            found = rows.T @ np.linalg.solve(rows @ rows.T + self.damping * np.eye(len(rows)), seen)
        return top * found


def _strongest(level: np.ndarray, count: int) -> np.ndarray:
    """(N, B) the strongest levels of each row, the lower beam first among equals; zero elsewhere."""
    known = np.where(np.isfinite(level), level, -np.inf)
    chosen = np.argsort(-known, axis=1, kind="stable")[:, :count]
    kept = np.zeros_like(level)
    np.put_along_axis(kept, chosen, np.nan_to_num(np.take_along_axis(level, chosen, axis=1)), axis=1)
    return kept


def _interpolated(level: np.ndarray, book: ProfileCodebook) -> np.ndarray:
    """(N, 180) levels at the peaks of their beams, linear between, zero outside; of beams with one peak their mean."""
    profiles = np.zeros((len(level), len(AZIMUTH_DEG)))
    for row, values in enumerate(level):
        known = np.isfinite(values)
        peaks, group = np.unique(book.peak_deg[known], return_inverse=True)
        mean = np.bincount(group, values[known]) / np.bincount(group)
        profiles[row] = np.interp(AZIMUTH_DEG, peaks, mean, left=0.0, right=0.0)
    return profiles


def interpolated_scores(
    power: Float[np.ndarray, "rows beams"], book: ProfileCodebook
) -> Float[np.ndarray, "rows beams"]:
    """Rank beams by powers interpolated between the measured beams: the control of every profile.

    A beam's score is read at its own peak, so that equation 2 does not smooth it again. Where all beams are measured
    this differs from the powers only where two beams share a peak.

    Args:
        power: Linear; NaN where not measured.
        book: The beams; all that are alive are ranked.

    Returns:
        -inf for beams that are not alive.
    """
    profiles = Reconstruction("interpolated", floor="none").profiles(power, book)
    at = np.where(book.alive, np.nan_to_num(book.peak_deg), 0.0)
    read = np.stack([np.interp(at, AZIMUTH_DEG, row) for row in profiles])
    return np.where(book.alive, read, -np.inf)
