"""Baselines that an expert brings, as the study runs them: on rows as they come, and on the rows of the headline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sitetwin.learn.beams.baselines import chosen_neighbours, nearest
from sitetwin.learn.beams.experts import cubic_lane, gaussian_process, tree_powers
from sitetwin.learn.beams.splits import BeamSplit
from sitetwin.studies.beams.bench import Bench
from sitetwin.studies.beams.methods import GROUPS, NEIGHBOURS, Answer, Run, chosen_rows

Expert = Callable[[Bench, np.ndarray, np.ndarray], np.ndarray]
"""Scores of the rows asked about, learnt from measured rows; of both their numbers are given."""


def _curve(bench: Bench, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    place, speed = bench.east_north, bench.track.velocity
    return cubic_lane(place[rows], speed[rows], bench.power[rows], place[asked], speed[asked])


def _process(bench: Bench, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    place, speed = bench.east_north, bench.track.velocity
    return gaussian_process(place[rows], speed[rows], bench.power[rows], place[asked], speed[asked])


def _trees(bench: Bench, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    place, speed = bench.east_north, bench.track.velocity
    return tree_powers(place[rows], speed[rows], bench.power[rows], place[asked], speed[asked], bench.study.seed)


def _neighbours(bench: Bench, rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """The nearest rows, as many as answer best inside the rows."""
    drive = np.unique(bench.track.drive[rows], return_inverse=True)[1].reshape(-1)
    group = drive if bench.split == "drives" and drive.max() else np.arange(len(rows))
    place, power = bench.east_north[rows], bench.power[rows]
    count = chosen_neighbours(place, power, group % GROUPS, NEIGHBOURS)
    return nearest(place, power, bench.east_north[asked], min(count, len(rows)))


EXPERTS: dict[str, tuple[Expert, bool]] = {
    "kNN (k by cross-validation)": (_neighbours, False),
    "cubic in azimuth and lane": (_curve, True),
    "extra trees": (_trees, False),
    "Gaussian process": (_process, True),
}
"""By name, each with whether its scores are probabilities."""


def expert(name: str, chosen: bool) -> Run:
    """Runs one of the `EXPERTS`.

    Args:
        name: Its name.
        chosen: Whether it learns from the rows that the headline chose; otherwise from the first ones of each pool.
    """
    learn, probability = EXPERTS[name]

    def run(bench: Bench, count: int) -> Answer:
        rows = bench.once(("chosen", count), lambda: chosen_rows(bench, count)) if chosen else None

        def scores(number: int, split: BeamSplit) -> np.ndarray:
            own = split.pool[:count] if rows is None else rows[number]
            return learn(bench, own, split.test)

        return Answer(bench.tally(scores, probability), count)

    return run
