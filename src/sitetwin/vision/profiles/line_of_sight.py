"""What GPS alone says: the beam that looks at the user, and how the array's boresight is found from measured rows.

The baseline of the paper "chooses the beam with the maximum beam profile value at the azimuth of the user". Neither the
boresight nor the scale of the codebook's angles is part of the data; both are fitted to rows of a few drives. So can be
the time between a fix and the sweep of the beams: in scenario 5 of DeepSense 6G users that come and users that go are
seen 13 degrees apart without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import xarray as xr
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import DBA_TOLERANCE, best_beams
from sitetwin.vision.profiles.codebook import ProfileCodebook

SCALES = tuple(np.arange(0.70, 1.161, 0.02).round(2).tolist())
"""Scales of the codebook's angles that are tried: of measured scenarios the best lie between 0.72 and 1.09."""

Fixes = Literal["stale", "extrapolated"]
"""Position at the last of the five steps of a sequence of the challenge, of which two first fixes are given: the second
fix as it is, or both continued at their speed. Scenario folders have the fix of each row itself ("current"); the paper
does not say which it uses, and its line-of-sight baseline is far above what stale fixes allow. Results from current
fixes must not stand beside the challenge's without a word."""

_FINE_DEG = 0.25
_COST_OF_LAG = 0.002

STEPS_AHEAD = 3
"""Steps from the second fix of a sequence to its label."""


LAGS = tuple(np.arange(-12.0, 12.1, 1.0).tolist())
"""Lags that are tried, in intervals between fixes."""


@dataclass(frozen=True)
class Pointing:
    """Where an array looks, and when.

    Attributes:
        boresight_rad: Radians from east, counter-clockwise.
        scale: Of the codebook's angles.
        lag: Time from a fix to the sweep of the beams, in intervals between fixes.
    """

    boresight_rad: float
    scale: float = 1.0
    lag: float = 0.0

    def azimuth_deg(
        self, east_north: Float[np.ndarray, "rows 2"], velocity: Float[np.ndarray, "rows 2"] | None = None
    ) -> Float[np.ndarray, " rows"]:
        """Azimuth of users, degrees from boresight, to the left positive, from -180 to 180.

        Args:
            east_north: Metres from the station.
            velocity: Metres east and north between fixes, along which positions are moved on by the lag.
        """
        place = east_north if velocity is None else east_north + self.lag * velocity
        turned = np.arctan2(place[:, 1], place[:, 0]) - self.boresight_rad
        return np.degrees((turned + np.pi) % (2 * np.pi) - np.pi)


def fit_pointing(
    book: xr.DataArray,
    dead: np.ndarray,
    east_north: Float[np.ndarray, "rows 2"],
    power: Float[np.ndarray, "rows beams"],
    velocity: Float[np.ndarray, "rows 2"] | None = None,
    scales: Sequence[float] = SCALES,
    lags: Sequence[float] = LAGS,
) -> Pointing:
    """Find boresight, scale and lag with the highest distance-based accuracy of the line of sight on measured rows.

    Boresight and lag are searched on a grid first, then the three in turn. A lag can be told from a boresight only
    where users both come and go: where fewer than a tenth of the rows go one way along the street, none is fitted. A
    longer lag must gain 0.002 an interval.

    Args:
        book: (beam, azimuth) patterns, as `sitetwin.measured.read_codebook` gives them.
        dead: (beams,) beams that are never the answer.
        east_north: Metres from the station.
        power: Linear; NaN where not measured.
        velocity: Metres east and north between fixes; without it no lag is fitted.
        scales: Scales that are tried.
        lags: Lags that are tried.

    Raises:
        SiteTwinError: There are no rows, scales or lags.
    """
    if not len(east_north) or not len(scales) or not len(lags):
        raise SiteTwinError("a boresight is fitted to measured rows, with at least one scale and one lag; give some")
    best = best_beams(np.where(dead, np.nan, power))
    picks = {scale: _picks(ProfileCodebook.of(book, dead, scale)) for scale in scales}

    def reached(turn_deg: float, scale: float, lag: float) -> float:
        azimuth = Pointing(np.radians(turn_deg), scale, lag).azimuth_deg(east_north, velocity)
        error = np.abs(picks[scale][np.round(azimuth / _FINE_DEG).astype(np.int64) + len(picks[scale]) // 2] - best)
        return float(np.minimum(error / DBA_TOLERANCE, 1.0).mean()) + _COST_OF_LAG * abs(lag)

    middle = sorted(scales)[len(scales) // 2]
    tried = lags if velocity is not None and _both_ways(velocity) else (0.0,)
    coarse = [(float(turn), lag) for turn in np.arange(-180.0, 180.0, 2.0) for lag in tried[::2]]
    turn, lag = min(coarse, key=lambda one: reached(one[0], middle, one[1]))
    scale = middle
    for reach, step in ((8.0, 1.0), (2.0, 0.5), (1.0, 0.25)):
        near = np.arange(turn - reach, turn + reach + step / 2, step)
        turn, scale = min(((float(t), s) for t in near for s in scales), key=lambda one: reached(one[0], one[1], lag))
        turn, lag = min(((float(t), x) for t in near for x in tried), key=lambda one: reached(one[0], scale, one[1]))
    return Pointing(float(np.radians(turn)), float(scale), float(lag))


def _both_ways(velocity: np.ndarray) -> bool:
    """Whether users move both ways along the direction in which most of them move."""
    along = velocity @ np.linalg.svd(velocity, full_matrices=False)[2][0]
    moving = np.sign(along[along != 0])
    return len(moving) > 0 and bool(0.1 <= (moving > 0).mean() <= 0.9)


def _picks(book: ProfileCodebook) -> np.ndarray:
    """(1441,) first pick of the line of sight at azimuths from -180 to 180 degrees."""
    half = round(180 / _FINE_DEG)
    return sight_scores(book, np.arange(-half, half + 1) * _FINE_DEG).argmax(axis=1)


def sight_scores(book: ProfileCodebook, azimuth_deg: Float[np.ndarray, " rows"]) -> Float[np.ndarray, "rows beams"]:
    """Rank beams by their pattern in the direction of the user: GPS line of sight.

    Users beyond the measured patterns are looked at by the outermost samples.

    Args:
        book: The beams.
        azimuth_deg: Degrees from boresight.

    Returns:
        -inf for beams that are not alive.
    """
    covered = book.patterns.max(axis=0) > 0
    low, high = np.flatnonzero(covered)[[0, -1]] - len(covered) // 2
    return np.where(book.alive, book.gains_at(np.clip(azimuth_deg, low, high)), -np.inf)


def last_position(
    fixes: Float[np.ndarray, "rows 2 2"], timing: Fixes, steps: int = STEPS_AHEAD
) -> Float[np.ndarray, "rows 2"]:
    """Position at the label of a sequence, from its two fixes.

    Args:
        fixes: Metres east and north; NaN where missing.
        timing: "stale" or "extrapolated".
        steps: Steps from the second fix to the label.

    Returns:
        The one fix that is there, where the other is missing; NaN where both are.

    Raises:
        SiteTwinError: The timing is unknown.
    """
    if timing not in get_args(Fixes):
        raise SiteTwinError(f"the position of a sequence is {' or '.join(get_args(Fixes))}, not '{timing}'")
    first, second = fixes[:, 0], fixes[:, 1]
    ahead = second + (steps * (second - first) if timing == "extrapolated" else 0.0)
    out = np.where(np.isfinite(ahead), ahead, np.where(np.isfinite(second), second, first))
    return np.asarray(out, dtype=np.float64)
