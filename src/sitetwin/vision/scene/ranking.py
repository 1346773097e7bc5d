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

CLEAR_BELOW = 0.3
"""Probability of blockage below which the mean power ranks. Chosen on drives of the made-up streets."""

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


def rank_beams(traced: Traced, station: Station, user: Float[np.ndarray, "draws 3"], blocked: float) -> Ranking:
    """Rank beams over draws of a scene.

    Where the line of sight is probably clear, by their mean power. Else by their mean power over that of the best beam
    of each draw, so that each draw has one vote: a mean of powers would follow the draws in which the line of sight is
    clear, however few they are, as it is 20 dB over the rest.

    Args:
        traced: Beams over draws of the scene.
        station: The station.
        user: (draws, 3) the user's antenna in each draw, metres: beams towards it follow where no path was found.
        blocked: Probability that the line of sight is blocked.
    """
    found = traced.powers.max(axis=1) > 0
    powers = traced.powers[found] if found.any() else sight_powers(station, user)
    votes = Traced(powers, np.ones(len(powers), dtype=bool))
    score = votes.mean if blocked < CLEAR_BELOW else votes.relative
    probability = _spread(votes.probability, score)
    order = np.argsort(-score, kind="stable")
    reached = np.cumsum(probability[order])
    sweep = int(np.searchsorted(reached, SWEEP_SHARE - 1e-9)) + 1
    return Ranking(order, probability, min(sweep, len(order)), blocked, "traced" if found.any() else "line-of-sight")


def _spread(share: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Votes of few draws, spread over the neighbours of the beams that won; beams without power get nothing."""
    beams = np.arange(len(share))
    kernel = np.exp(-0.5 * ((beams[:, None] - beams) / _NEIGHBOURS) ** 2)
    wide = (kernel / kernel.sum(axis=0)) @ share * (score > 0)
    return np.asarray(wide / wide.sum())
