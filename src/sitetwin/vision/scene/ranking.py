"""Rank beams of a moment, and say how many to sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.vision.scene.twin import Station, Traced

SWEEP_SHARE = 0.9
"""Probability with which the best beam is to be among those swept."""

_NEIGHBOURS = 1.5
"""Beams over which a vote is spread (standard deviation): an error of the boresight moves all draws alike."""

Source = Literal["traced", "line-of-sight"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Beams of one moment.

    Attributes:
        order: (beams,) beam numbers, the best first.
        probability: (beams,) that each beam is the best, in the order of the beams.
        sweep: Number of beams at the head of `order` that hold the best one with `SWEEP_SHARE`.
        blocked: Probability that the line of sight is blocked.
        source: What ranked them: the traced scene, or the direction to the user alone where no path was found.
    """

    order: Int[np.ndarray, " beams"]
    probability: Float[np.ndarray, " beams"]
    sweep: int
    blocked: float
    source: Source


def sight_powers(station: Station, user: Float[np.ndarray, "draws 3"]) -> Float[np.ndarray, "draws beams"]:
    """Power that each beam has towards places in free space, relative to the first element alone.

    Args:
        station: The station.
        user: (draws, 3) metres.

    Raises:
        SiteTwinError: A place is that of the station.
    """
    step = user - np.array(station.pose.position)
    length = np.linalg.norm(step, axis=1, keepdims=True)
    if not (length > 0).all():
        raise SiteTwinError("no beam leads from a station to its own place; give another place of the user")
    return np.abs(station.responses(step / length)) ** 2


def rank_beams(traced: Traced, station: Station, user: Float[np.ndarray, "places 3"], blocked: float) -> Ranking:
    """Rank beams by the probability that each is the best one: a mixture of what is best in sight and without it.

    In sight the best beam looks at the user: each of its places has one vote. Where something stands in the line of
    sight, the traced paths without it decide, in each draw by its own strongest path, whether the draw itself had a
    clear line of sight or not. The two are weighed by the probability of blockage, and spread over the neighbours.

    Args:
        traced: Beams over draws of the scene.
        station: The station.
        user: (places, 3) draws of the user's antenna, metres; more of them than were traced cost next to nothing.
        blocked: Probability that the line of sight is blocked.
    """
    best = sight_powers(station, user).argmax(axis=1)
    sight = np.bincount(best, minlength=station.beams) / len(best)
    top = traced.reflected.max(axis=1, keepdims=True)
    found = top[:, 0] > 0
    if found.any():
        shares = (traced.reflected[found] / top[found]) ** 2
        hidden = shares.sum(axis=0) / shares.sum()
        mixed = (1.0 - blocked) * sight + blocked * hidden
    else:
        mixed = sight
    probability = _spread(mixed)
    order = np.argsort(-probability, kind="stable")
    reached = np.cumsum(probability[order])
    sweep = int(np.searchsorted(reached, SWEEP_SHARE - 1e-9)) + 1
    return Ranking(order, probability, min(sweep, len(order)), blocked, "traced" if found.any() else "line-of-sight")


def _spread(share: np.ndarray) -> np.ndarray:
    """Probabilities, spread over the neighbours of the beams."""
    beams = np.arange(len(share))
    kernel = np.exp(-0.5 * ((beams[:, None] - beams) / _NEIGHBOURS) ** 2)
    wide = (kernel / kernel.sum(axis=0)) @ share
    return np.asarray(wide / wide.sum())
