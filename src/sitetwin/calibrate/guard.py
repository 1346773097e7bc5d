"""The guard of the twin: what left-out rows say of it and of its rivals, and how their answers are blended.

Whole drives of the measured rows are left out in turn. Weights of the blend make the left-out rows' best beams most
likely (a mixture of experts by expectation and maximisation, with pseudo-counts for the twin), and a power of the blend
makes its probabilities as sure as they were right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sitetwin.calibrate.geometry import BeamPriors, Street
from sitetwin.calibrate.readings import Patterns
from sitetwin.calibrate.rivals import cubic, neighbours, places, targets, trees
from sitetwin.calibrate.track import Track
from sitetwin.calibrate.twin import Certainty, StructuredTwin
from sitetwin.learn.beams.metrics import best_beams

FEWEST_ROWS = 20
"""With fewer rows nothing is left out: the twin answers alone."""

_FOLDS = 5
_NEIGHBOURS = (1, 3, 5, 9, 15)
_TREES_FROM = 60  # rows
_FIXES_M = (0.3, 0.6, 1.0)
_TIES_DB = (0.5, 1.0, 2.0)
_POWERS = (0.4, 0.6, 0.8, 1.0, 1.25, 1.6, 2.0)
_PSEUDO = 6.0  # rows that speak for the twin beforehand
_LEAST_WEIGHT = 0.02
_ROUNDS = 200


def folds_of(drive: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
    """Part of each row: whole drives go together, parts alike in size; rows of one drive are cut along the order."""
    numbers, place, count = np.unique(drive, return_inverse=True, return_counts=True)
    if len(numbers) < 2:
        return np.arange(len(drive)) * _FOLDS // max(len(drive), 1)
    part, filled = np.zeros(len(numbers), dtype=np.int64), np.zeros(min(_FOLDS, len(numbers)))
    for k in np.argsort(-count, kind="stable"):
        part[k] = filled.argmin()
        filled[part[k]] += count[k]
    return part[place]


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the left-out rows said.

    Attributes:
        weights: Share of each method in the blend.
        nats: Mean logarithm of the probability that each method gave to a left-out row's best beam.
        top1: Share of left-out rows whose best beam was each method's first pick.
        neighbours: Their number.
        certainty: Of the twin.
        power: Of the blend: below one it is made less sure.
        degrees: Direction of each row by the twin that had not seen it.
    """

    weights: dict[str, float]
    nats: dict[str, float]
    top1: dict[str, float]
    neighbours: int
    certainty: Certainty
    power: float
    degrees: Float[np.ndarray, " rows"]


class Guard:
    """The twin's rivals on the same rows.

    Args:
        patterns: The codebook; None where nobody knows it, and there is no twin.
        track: Measured rows.
        power: Their powers.
        priors: Of the twin.
        seed: Of the trees.
    """

    def __init__(
        self,
        patterns: Patterns | None,
        track: Track,
        power: Float[np.ndarray, "rows beams"],
        priors: BeamPriors,
        seed: int,
    ) -> None:
        self.patterns, self.track, self.power, self.priors, self.seed = patterns, track, power, priors, seed
        self.street = Street.of(track)
        self._target, self._best = targets(power), best_beams(power)

    def answers(
        self,
        known: np.ndarray,
        track: Track,
        count: int,
        degrees: np.ndarray | None = None,
        asked_deg: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Probabilities of the rivals at users of a track, learnt from some of the rows.

        Args:
            known: Rows that may be learnt from.
            track: Users asked about.
            count: Number of neighbours.
            degrees: Direction of each row by a twin that has not seen it.
            asked_deg: Direction of each user by the twin.
        """
        mine, asked = self.street.seen(self.track.rows(known)), self.street.seen(track)
        target = self._target[known]
        found = {
            "neighbours": neighbours(mine, target, asked, count),
            "cubic in azimuth and lane": cubic(mine, self._best[known], self.power.shape[1], asked),
        }
        if len(known) >= _TREES_FROM * (1 - 1 / _FOLDS):
            found["trees"] = trees(places(mine), target, places(asked), self.seed)
            if degrees is not None and asked_deg is not None:
                more = np.column_stack([places(mine), degrees[known]]), np.column_stack([places(asked), asked_deg])
                found["trees on the twin's direction"] = trees(more[0], target, more[1], self.seed)
        return found

    def verdict(self) -> Verdict:
        """Leave whole drives out in turn, and weigh the methods by what they say of them."""
        part, rows = folds_of(self.track.drive), np.arange(len(self.track))
        grid = [Certainty(fix, tie) for fix in _FIXES_M for tie in _TIES_DB]
        beams = self.power.shape[1]
        by_certainty = np.zeros((len(grid), len(rows), beams))
        degrees = None if self.patterns is None else np.zeros(len(rows))
        for fold in np.unique(part):
            if self.patterns is None or degrees is None:
                break
            out = part == fold
            twin = StructuredTwin(self.patterns, self.track.rows(rows[~out]), self.power[~out], self.priors)
            asked = self.track.rows(rows[out])
            by_certainty[:, out] = [twin.probabilities(asked, sure) for sure in grid]
            degrees[out] = twin.direction_deg(asked)
        sure = int(np.argmax([self._nats(one) for one in by_certainty]))
        count = self._count(part, rows)
        answers: dict[str, np.ndarray] = {"twin": by_certainty[sure]} if self.patterns else {}
        for fold in np.unique(part):
            out = part == fold
            asked_deg = None if degrees is None else degrees[out]
            for name, answer in self.answers(rows[~out], self.track.rows(rows[out]), count, degrees, asked_deg).items():
                answers.setdefault(name, np.zeros((len(rows), beams)))[out] = answer
        weights = self._weights(answers)
        blend = np.sum([weights[name] * answer for name, answer in answers.items()], axis=0)
        power = _POWERS[int(np.argmax([self._nats(sharpened(blend, p)) for p in _POWERS]))]
        return Verdict(
            weights,
            {name: self._nats(answer) / len(rows) for name, answer in answers.items()},
            {name: float((answer.argmax(axis=1) == self._best).mean()) for name, answer in answers.items()},
            count,
            grid[sure],
            power,
            np.zeros(len(rows)) if degrees is None else degrees,
        )

    def _count(self, part: np.ndarray, rows: np.ndarray) -> int:
        """The number of neighbours that answers best."""
        total = dict.fromkeys(_NEIGHBOURS, 0.0)
        seen = self.street.seen(self.track)
        for fold in np.unique(part):
            out = part == fold
            for count in _NEIGHBOURS:
                answer = neighbours(seen.rows(rows[~out]), self._target[~out], seen.rows(rows[out]), count)
                total[count] += float((answer.argmax(axis=1) == self._best[out]).sum())
        return max(total, key=lambda count: (total[count], -count))

    def _nats(self, answer: np.ndarray) -> float:
        """Logarithm of the probabilities of the rows' best beams, summed."""
        return float(np.log(answer[np.arange(len(answer)), self._best] + 1e-4).sum())

    def _weights(self, answers: dict[str, np.ndarray]) -> dict[str, float]:
        """Weights of a mixture by expectation and maximisation; the twin has some rows beforehand."""
        names = list(answers)
        chance = np.stack([answers[name][np.arange(len(self._best)), self._best] for name in names], axis=1) + 1e-6
        before = np.array([_PSEUDO * (name == names[0]) for name in names])
        weight = np.full(len(names), 1 / len(names))
        for _ in range(_ROUNDS):
            share = chance * weight
            weight = (share / share.sum(axis=1, keepdims=True)).sum(axis=0) + before
            weight /= weight.sum()
        weight = np.where(weight < _LEAST_WEIGHT, 0.0, weight)
        return {name: float(w) for name, w in zip(names, weight / weight.sum(), strict=True)}


def sharpened(probability: Float[np.ndarray, "users beams"], power: float) -> Float[np.ndarray, "users beams"]:
    """Probabilities raised to a power, and made to sum to one again."""
    out = np.maximum(probability, 1e-9) ** power
    return out / out.sum(axis=1, keepdims=True)
