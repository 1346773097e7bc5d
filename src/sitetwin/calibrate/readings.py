"""What a row of beam powers says of the direction in which the array sees the user, whatever its gain and floor.

Compared are root powers: of each row, and of the codebook in each direction, the weakest beam's power is taken off, the
strongest beam's is made one, and the root is drawn; a gain is free. So a constant that is added to all powers of a row,
and a gain, change nothing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError

STEP_DEG = 0.5
GRID_DEG = np.arange(-100.0, 100.0 + STEP_DEG / 2, STEP_DEG)
"""Directions on the codebook's axis that are tried."""

_FINE_DEG = 0.25
_RIPPLE_DEG = 0.7  # of the measurement of a pattern
_GAIN = (0.8, 1.5)  # of a row of root powers: the strongest measured beam need not be the pattern's peak
_NOISE = 0.2  # of a root power
_INDEPENDENT = 0.5  # share of a row's beams that count as independent
_WORST = 5.0  # nats: a row that fits nowhere says no more than this
_BEAMS = 16  # that say as much as they are
_FIX_DEG = 1.2  # error of a fix, seen from the station


def root_powers(power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, "rows beams"]:
    """Root powers of rows, the weakest at zero and the strongest at one; NaN where not measured."""
    measured = np.isfinite(power) & (power >= 0)
    low = np.min(np.where(measured, power, np.inf), axis=1, keepdims=True)
    high = np.max(np.where(measured, power, -np.inf), axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        above = np.where(measured, power - low, np.nan) / np.where(high > low, high - low, np.inf)
    return np.sqrt(above)


class Patterns:
    """A codebook on the grid of directions.

    Args:
        pattern: Linear power of each beam.
        azimuth: Radians from boresight, rising.

    Attributes:
        power: Power of each beam on `GRID_DEG`, freed of the ripple of its measurement, the beam's peak at one.

    Raises:
        SiteTwinError: A number is not finite, or the angles do not rise.
    """

    def __init__(self, pattern: Float[np.ndarray, "beams angles"], azimuth: Float[np.ndarray, " angles"]) -> None:
        if not (np.isfinite(pattern).all() and np.isfinite(azimuth).all() and (np.diff(azimuth) > 0).all()):
            raise SiteTwinError("the codebook needs finite patterns at angles that rise; read it again")
        fine = np.arange(GRID_DEG[0], GRID_DEG[-1] + _FINE_DEG / 2, _FINE_DEG)
        table = np.stack([np.interp(fine, np.degrees(azimuth), row) for row in pattern])
        window = np.exp(-0.5 * (np.arange(-8, 9) * _FINE_DEG / _RIPPLE_DEG) ** 2)
        window /= window.sum()
        amplitude = np.sqrt(np.maximum(table, 0.0))
        smooth = np.stack([np.convolve(np.pad(row, 8, "edge"), window, "valid") for row in amplitude]) ** 2
        peak = smooth.max(axis=1, keepdims=True)
        if not (peak > 0).all():
            raise SiteTwinError("a beam of the codebook has no power in any direction; leave it out")
        self.power = (smooth / peak)[:, :: round(STEP_DEG / _FINE_DEG)]

    def changed(self, gain: Float[np.ndarray, " beams"], pointing_deg: Float[np.ndarray, " beams"]) -> Patterns:
        """The codebook with other gains (of amplitudes, relative) and pointings of its beams."""
        other = object.__new__(Patterns)
        other.power = np.stack(
            [
                np.interp(GRID_DEG + turn, GRID_DEG, row) * (1 + more) ** 2
                for row, turn, more in zip(self.power, pointing_deg, gain, strict=True)
            ]
        )
        return other

    @property
    def root(self) -> Float[np.ndarray, "directions beams"]:
        """Root powers in each direction."""
        return np.nan_to_num(root_powers(self.power.T))

    def misfit(self, power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, "rows directions"]:
        """Sum over beams of the squared difference of root powers, in units of their noise, gain of the row fitted."""
        found = root_powers(power)
        measured, x, y = np.isfinite(found).astype(np.float64), np.nan_to_num(found), self.root
        product, own = x @ y.T, measured @ (y * y).T
        gain = np.clip(product / np.maximum(own, 1e-6), *_GAIN)
        return ((x * x).sum(axis=1)[:, None] - 2 * gain * product + gain**2 * own) / _NOISE**2


def costs(misfit: Float[np.ndarray, "rows directions"]) -> Float[np.ndarray, "rows directions"]:
    """Nats that each direction costs each row: averaged over the error of its fix, and bounded for outliers."""
    nats = 0.5 * _INDEPENDENT * misfit
    blur = np.exp(-0.5 * ((GRID_DEG[:, None] - GRID_DEG) / _FIX_DEG) ** 2)
    blur /= blur.sum(axis=1, keepdims=True)
    least = nats.min(axis=1, keepdims=True)
    averaged = least - np.log(np.maximum(np.exp(least - nats) @ blur.T, 1e-300))
    return -np.logaddexp(-averaged, -_WORST)


def at(table: Float[np.ndarray, "rows directions"], degrees: Float[np.ndarray, "*more rows"]) -> np.ndarray:
    """Values of a table (rows, directions) in directions (..., rows), linear in between; the rim's beyond it."""
    place = np.clip((degrees - GRID_DEG[0]) / STEP_DEG, 0, len(GRID_DEG) - 1.001)
    low = place.astype(np.int64)
    share, row = place - low, np.arange(len(table))
    return table[row, low] * (1 - share) + table[row, low + 1] * share


def directions(
    misfit: Float[np.ndarray, "rows directions"], beams: int
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Degrees at which each row fits best, and how far around them it fits nearly as well.

    The best is the vertex of the parabola through the best direction of the grid and its sides. Beyond the outermost
    beams all directions look alike, so that such a row has a large deviation and says little.

    Args:
        misfit: Of `Patterns.misfit`.
        beams: Number of beams: finer codebooks repeat themselves.
    """
    best = np.clip(misfit.argmin(axis=1), 1, len(GRID_DEG) - 2)
    row = np.arange(len(best))
    left, middle, right = (misfit[row, best + k] for k in (-1, 0, 1))
    bend = np.maximum(left - 2 * middle + right, 1e-9)
    degrees = GRID_DEG[best] + STEP_DEG * np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    share = np.exp(-(misfit - misfit.min(axis=1, keepdims=True)) * min(1.0, _BEAMS / beams))
    share /= share.sum(axis=1, keepdims=True)
    return degrees, np.sqrt((share * (GRID_DEG - degrees[:, None]) ** 2).sum(axis=1))
