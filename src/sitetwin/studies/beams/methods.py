"""How the methods of the study answer: predictors from positions, and the calibrated twin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sitetwin.calibrate import BeamPriors, CalibratedBeams, choose_rows
from sitetwin.learn import BeamPredictor, GeometricBeams, SharedLayerBeams
from sitetwin.learn.beams.network import SHARED_LAYER
from sitetwin.learn.beams.splits import BeamSplit
from sitetwin.studies.beams.bench import Bench
from sitetwin.studies.beams.scores import Tally

_RUNS = 5
GROUPS = 5  # of whole drives, or of rows, that are left out to choose the number of neighbours
NEIGHBOURS = (1, 3, 5, 7, 9, 15, 25)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method answered, judged.

    Attributes:
        tally: Its scores.
        n_real: Rows whose powers it has seen.
        facts: What else its row of the results says.
    """

    tally: Tally
    n_real: int
    facts: dict[str, Any] = field(default_factory=dict)


Run = Callable[[Bench, int], Answer]
"""Runs a method on a bench with a number of rows."""


def learnt(build: Callable[[Bench, BeamSplit], BeamPredictor]) -> Run:
    """Runs a predictor on the first rows of each pool.

    Args:
        build: The predictor before it is fitted, for one split.
    """

    def run(bench: Bench, count: int) -> Answer:
        def scores(_: int, split: BeamSplit) -> np.ndarray:
            predictor = build(bench, split).fit(bench.rows(split.pool[:count]))
            return predictor.predict(bench.east_north[split.test])

        return Answer(bench.tally(scores), count)

    return run


def square_to_street(bench: Bench, split: BeamSplit) -> GeometricBeams:
    """Line of sight from an array that looks across the street."""
    return GeometricBeams(bench.pattern, bench.azimuth, bench.axis_rad)


def shared_layer(bench: Bench, count: int) -> Answer:
    """The network of arXiv 2205.09054 on the whole pool: three quarters of it train, one says which epoch is kept.

    Five runs as published: the first five random splits, or one deal of the drives in five folds.
    """
    runs = bench.per_repeat * max(1, _RUNS // bench.per_repeat)
    bench = replace(bench, splits=bench.splits[:runs])
    count = bench.fewest
    place = bench.east_north
    network = SharedLayerBeams(np.stack([place.min(axis=0), place.max(axis=0)]), SHARED_LAYER)
    sets = [bench.rows(split.pool[:count]) for split in bench.splits]
    networks = network.fit_each(sets, bench.generator(2), bench.generator(1))
    return Answer(bench.tally(lambda i, split: networks[i].predict(place[split.test])), count)


def calibrated_twin(chosen: bool, guarded: bool = True, priors: BeamPriors | None = None, causal: bool = False) -> Run:
    """Runs the calibrated twin.

    Args:
        chosen: Whether its rows are chosen; otherwise the first ones of each pool are measured.
        guarded: Whether it is weighed against its rivals.
        priors: Its priors.
        causal: Whether a turn of the array is told from rows of the same drive and earlier ones alone.
    """

    def run(bench: Bench, count: int) -> Answer:
        if chosen and count < bench.most:
            rows = bench.once(("chosen", count), lambda: chosen_rows(bench, count))
        else:
            rows = [split.pool[:count] for split in bench.splits]
        tally, facts = calibrated(bench, rows, CalibratedBeams(bench.pattern, bench.azimuth, priors, guarded), causal)
        return Answer(tally, count, facts)

    return run


def chosen_rows(bench: Bench, count: int) -> list[np.ndarray]:
    """Rows that the headline measures in each split."""
    return [choose_rows(bench.track, split.pool, count) for split in bench.splits]


def calibrated(
    bench: Bench, rows: Sequence[np.ndarray], model: CalibratedBeams, causal: bool = False
) -> tuple[Tally, dict[str, Any]]:
    """The calibrated twin fitted to the rows of each split, judged on its test rows."""
    accounts: list[dict[str, Any]] = []

    def scores(number: int, split: BeamSplit) -> np.ndarray:
        own = rows[number]
        fitted = model.fit(bench.track.rows(own), bench.power[own], bench.study.seed)
        accounts.append(fitted.account)
        return fitted.predict_proba(bench.track.rows(split.test), causal)

    tally = bench.tally(scores, probability=True)
    found = [account["modes"][0]["unknowns"] for account in accounts]
    unknowns = {name: _spread([one[name] for one in found]) for name in found[0]}
    weighed = [account["weights"] for account in accounts if "weights" in account]
    weights = {name: _spread([one.get(name, 0.0) for one in weighed]) for name in weighed[0]} if weighed else {}
    return tally, {"unknowns": unknowns, "weights": weights}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": round(float(np.mean(values)), 3), "std": round(float(np.std(values)), 3)}
