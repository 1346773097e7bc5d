"""Legs of a recorded track: which of them nobody drove, and how far a spline may swing out between two points."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Integer

from sitetwin.site.maps.ledger import Ledger

FASTEST_CAR = 70.0
"""m/s, 252 km/h."""

_SILENCE = (10.0, 5.0)  # s, and times the usual interval: a longer one without a point is a gap
_DRIFT = 20.0  # m that the position of a receiver at rest may wander in a gap
_JUMP = 50.0  # m; a leg as long as this at an impossible speed is no leg, a shorter one has a wrong clock
_OVERSHOOT = 2.0  # speed at a point over the slower mean speed beside it; uniform acceleration from rest has 2
_BULGE = 4.0 / 27.0  # largest value of the Hermite polynomial t (1 - t)^2


def without_spikes(
    times: Float[np.ndarray, " points"], plan: Float[np.ndarray, "points 2"], name: str, account: Ledger
) -> Integer[np.ndarray, " kept"]:
    """Rows of a track without single points that no car reaches or leaves, though it drives past them.

    Args:
        times: (N,) seconds, ascending.
        plan: (N, 2) metres.
        name: Name of the track, for the account.
        account: Account that counts the points that are dropped.
    """
    if len(times) < 3:
        return np.arange(len(times))
    fast = _speeds(times, plan) > FASTEST_CAR
    past = _length(plan[2:] - plan[:-2]) / (times[2:] - times[:-2]) <= FASTEST_CAR
    spike = np.concatenate([[False], fast[:-1] & fast[1:] & past, [False]])
    spike[1:] &= ~spike[:-1]
    if spike.any():
        what = f"track points out of reach (faster than {FASTEST_CAR:g} m/s there and back)"
        account.note("dropped", what, name, int(spike.sum()))
    return np.flatnonzero(~spike)


def undriven(
    times: Float[np.ndarray, " points"], plan: Float[np.ndarray, "points 2"], name: str, account: Ledger
) -> Integer[np.ndarray, " cuts"]:
    """Find the points before which a track must be cut: nobody knows the way of the leg that leads there.

    A leg is a gap if it lasts longer than 10 s and five times the usual interval, and leads farther than a resting
    receiver wanders (else the recorder paused, and the user stood), or if no car is as fast and it is no short one.

    Args:
        times: (N,) seconds, ascending.
        plan: (N, 2) metres.
        name: Name of the track, for the account.
        account: Account that counts gaps, pauses and impossible speeds.
    """
    if len(times) < 2:
        return np.zeros(0, np.int64)
    seconds, metres, speed = np.diff(times), _length(np.diff(plan, axis=0)), _speeds(times, plan)
    silent = seconds > max(_SILENCE[0], _SILENCE[1] * float(np.median(seconds)))
    fast, gap = speed > FASTEST_CAR, silent & (metres > _DRIFT)
    jump = fast & (metres > _JUMP)
    for kind, what, legs in (
        ("assumed", "pauses of the recorder: the user stands", silent & ~gap),
        ("repaired", "gaps in the times of a track: cut there", gap),
        ("repaired", f"jumps of a track, faster than {FASTEST_CAR:g} m/s: cut there", jump),
        ("assumed", f"speeds above {FASTEST_CAR:g} m/s, which no car has: the clock is wrong there", fast & ~jump),
    ):
        for leg in np.flatnonzero(legs):
            account.note(kind, what, f"{name} {seconds[leg]:.0f} s, {metres[leg]:.0f} m")  # type: ignore[arg-type]
    return np.flatnonzero(gap | jump) + 1


def pieces(count: int, cuts: Integer[np.ndarray, " cuts"]) -> Iterator[slice]:
    """The runs of rows between cuts."""
    edges = [0, *cuts.tolist(), count]
    for first, last in pairwise(edges):
        yield slice(first, last)


def calm_velocities(
    times: Float[np.ndarray, " points"],
    places: Float[np.ndarray, "points 3"],
    velocities: Float[np.ndarray, "points 3"],
    swing: float = np.inf,
) -> Float[np.ndarray, "points 3"]:
    """Shorten velocities until the cubic Hermite spline neither overshoots its points nor swings out.

    At no point is the speed more than twice the slower of the mean speeds beside it: who stands there, stands. Uniform
    acceleration and circles keep their velocities.

    Args:
        times: (N,) seconds, ascending.
        places: (N, 3) metres.
        velocities: (N, 3) m/s.
        swing: Metres that the velocity at one end of a leg may take the spline off the straight way to the other.
    """
    step, seconds = np.diff(places, axis=0), np.diff(times)
    length = _length(step)
    mean = length / seconds
    slower = np.minimum(np.append(mean[:1], mean), np.append(mean, mean[-1:]))
    speed = _length(velocities)
    share = np.minimum(1.0, _OVERSHOOT * slower / np.maximum(speed, 1e-300))
    along = step / np.maximum(length, 1e-300)[:, None]
    for end in (slice(None, -1), slice(1, None)):
        velocity = velocities[end]
        forward = np.maximum((velocity * along).sum(axis=1), 0.0)
        across = _length(velocity - forward[:, None] * along)
        allowed = swing / np.maximum(_BULGE * seconds * across, 1e-300)
        share[end] = np.minimum(share[end], allowed)
    return velocities * share[:, None]


def _length(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((vectors * vectors).sum(axis=-1)))


def _speeds(times: np.ndarray, plan: np.ndarray) -> np.ndarray:
    return np.asarray(_length(np.diff(plan, axis=0)) / np.diff(times))
