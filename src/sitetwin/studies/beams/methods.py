"""The methods of the beam prediction study, each run over all splits of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr

from sitetwin.calibrate import Street, StructuredTwin, choose_in_turn
from sitetwin.learn.beams.baselines import chosen_neighbours, geometric, lookup_table, majority, nearest
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.network import SHARED_LAYER, BeamNetworks, stepped_inputs
from sitetwin.learn.beams.splits import BeamSplit
from sitetwin.studies.beams.config import HEADLINE, BeamStudy
from sitetwin.studies.beams.scores import Tally
from sitetwin.studies.beams.twin import StreetTwin

NEIGHBOURS = "kNN (5)"
"""The reference of the paired differences."""


_RUNS = 5
_GROUPS = 5  # of whole drives, or of rows, that are left out to choose the number of neighbours
_NEIGHBOURS = (1, 3, 5, 7, 9, 15, 25)


@dataclass(frozen=True, eq=False)
class Bench:
    """A scenario on a set of beams, and its splits of one kind.

    Attributes:
        study: The configuration.
        data: The scenario.
        street: Positions of the scenario in the street's frame.
        east_north: (N, 2) metres.
        power: (N, B) on the beams in use.
        pattern: (B, A) of these beams.
        azimuth: (A,) radians.
        beams: (B,) official numbers.
        uniform: (B,) azimuths of these beams, were the codebook even between its outermost working beams; radians.
        split: "random" or "drives".
        splits: In order; a repeat is one random split, or the folds of one deal of the drives.
        per_repeat: Splits of one repeat.
        twin: The twin of the street, or None.
        lanes: (M, 2) metres, users of the published twin, where the scenario has them.
    """

    study: BeamStudy
    data: xr.Dataset
    street: Street
    east_north: np.ndarray
    power: np.ndarray
    pattern: np.ndarray
    azimuth: np.ndarray
    beams: np.ndarray
    uniform: np.ndarray
    split: str
    splits: list[BeamSplit]
    per_repeat: int
    twin: StreetTwin | None
    lanes: np.ndarray | None = None

    @property
    def fewest(self) -> int:
        """Rows of the smallest pool."""
        return min(len(split.pool) for split in self.splits)

    @property
    def most(self) -> int:
        """Rows of the largest pool: what a method that takes whole pools has seen at most."""
        return max(len(split.pool) for split in self.splits)

    def sizes(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """The numbers of measured rows that every pool has."""
        return tuple(size for size in asked if size <= self.fewest)

    @property
    def real_sizes(self) -> tuple[int, ...]:
        """Numbers of measured rows for the structured twin and its references."""
        return self.sizes(self.study.real_sizes if self.split == "random" else self.study.drive_sizes)

    def echoes(self, twin: StreetTwin | None) -> tuple[np.ndarray, np.ndarray] | None:
        """Echoes of a twin at all rows."""
        return twin.echoes(self.east_north, self.study.twin.echoes) if twin else None

    def tally(self, scores: Callable[[int, BeamSplit], np.ndarray], probability: bool = False) -> Tally:
        """Judge a method, given as what it answers on the test rows of split number i."""
        tally = Tally.empty()
        for first in range(0, len(self.splits), self.per_repeat):
            numbers = range(first, first + self.per_repeat)
            rows = np.concatenate([self.splits[i].test for i in numbers])
            answer = np.concatenate([scores(i, self.splits[i]) for i in numbers])
            tally.add(answer, self.power[rows], self.street.drive[rows], probability)
        return tally

    def method(self, name: str, n_real: int, tally: Tally, **more: Any) -> dict[str, Any]:
        """A row of the list of methods."""
        figures = tally.summary(self.study.bootstrap_draws, self.study.seed)
        return {
            "name": name,
            "n_real": n_real,
            "split": self.split,
            "beams": len(self.beams),
            "headline": name == HEADLINE,
            **figures,
            **more,
        }


def baselines(bench: Bench) -> Iterator[dict[str, Any]]:
    """Geometry, majority, look-up table and neighbours."""
    normal = bench.street.axis_rad
    power, place = bench.power, bench.east_north

    def line_of_sight(_: int, split: BeamSplit) -> np.ndarray:
        return geometric(place[split.test], bench.pattern, bench.azimuth, normal)

    yield bench.method("line of sight, array square to the street", 0, bench.tally(line_of_sight))
    for count in sorted({*bench.real_sizes, bench.most} - {0}):

        def neighbours(_: int, split: BeamSplit, count: int = count) -> np.ndarray:
            rows = split.pool[:count]
            return nearest(place[rows], power[rows], place[split.test], min(5, count))

        yield bench.method(NEIGHBOURS, count, bench.tally(neighbours))

    def tuned(_: int, split: BeamSplit) -> np.ndarray:
        group = bench.street.drive[split.pool] if bench.split == "drives" else np.arange(len(split.pool))
        count = chosen_neighbours(place[split.pool], power[split.pool], group % _GROUPS, _NEIGHBOURS)
        return nearest(place[split.pool], power[split.pool], place[split.test], count)

    yield bench.method("kNN (k by cross-validation)", bench.most, bench.tally(tuned))
    for name, rule in (("look-up table", lookup_table), ("majority", None)):

        def counted(_: int, split: BeamSplit, rule: Any = rule) -> np.ndarray:
            if rule is None:
                return majority(power[split.pool], len(split.test))
            return rule(place[split.pool], power[split.pool], place[split.test])

        yield bench.method(name, bench.most, bench.tally(counted))


def shared_layer(bench: Bench) -> Iterator[dict[str, Any]]:
    """The network of arXiv 2205.09054 on the whole pool: three quarters of it train, one says which epoch is kept.

    Five runs as published: the first five random splits, or one deal of the drives in five folds.
    """
    runs = bench.per_repeat * max(1, _RUNS // bench.per_repeat)
    bench = replace(bench, splits=bench.splits[:runs])
    full = bench.fewest
    pools = torch.from_numpy(np.stack([split.pool[:full] for split in bench.splits]))
    train, held_out = pools.tensor_split([full * 3 // 4], dim=1)
    inputs = stepped_inputs(bench.east_north, bench.east_north)
    labels = torch.from_numpy(best_beams(bench.power))
    networks = BeamNetworks(len(pools), len(bench.beams), generator(bench, 1), inputs=2)
    kept = (inputs[held_out], labels[held_out])
    networks.train(inputs[train], labels[train], SHARED_LAYER, generator(bench, 2), kept)

    def answer(i: int, split: BeamSplit) -> np.ndarray:
        with torch.no_grad():
            return networks.alone(i).scores(inputs[split.test][None])[0].numpy()

    yield bench.method("network with a shared layer", full, bench.tally(answer))


def generator(bench: Bench, part: int) -> torch.Generator:
    """Random numbers of one part of the study."""
    return torch.Generator().manual_seed(bench.study.seed + part)


def structured(bench: Bench) -> Iterator[dict[str, Any]]:
    """The calibrated twin: rows as they come or chosen, and what its parts are worth."""
    echoes = bench.echoes(bench.twin)

    def run(rows: np.ndarray, with_echoes: bool = True, **options: Any) -> tuple[Tally, dict[str, Any]]:
        return calibrated(bench, rows, echoes if with_echoes else None, **options)

    for count in bench.real_sizes:
        plain = np.stack([split.pool[:count] for split in bench.splits]).astype(np.int64)
        if count == 0:
            tally, facts = run(plain)
            yield bench.method("twin, not calibrated", 0, tally, **facts)
            continue
        chosen = chosen_rows(bench, count, echoes)
        tally, facts = run(chosen)
        yield bench.method(HEADLINE, count, tally, **facts)
        tally, facts = run(plain)
        yield bench.method("calibrated twin, random rows", count, tally, **facts)
        if bench.study.ablations and count == 40:
            for name, options in _ABLATIONS.items():
                if name != "without echoes" or echoes is not None:
                    tally, facts = run(chosen, **options)
                    yield bench.method(f"{HEADLINE}, {name}", count, tally, **facts)


_ABLATIONS: dict[str, dict[str, Any]] = {
    "without echoes": {"with_echoes": False},
    "without lag": {"known": ("lag",)},
    "without turns of the array": {"sessions": False},
}


def chosen_rows(bench: Bench, count: int, echoes: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """(splits, count) rows that the headline measures."""
    model = StructuredTwin(bench.pattern, bench.azimuth)
    pools = [split.pool for split in bench.splits]
    return choose_in_turn(model, bench.street, pools, bench.power, count, echoes)


def calibrated(
    bench: Bench,
    rows: np.ndarray,
    echoes: tuple[np.ndarray, np.ndarray] | None,
    known: tuple[str, ...] = (),
    sessions: bool = True,
) -> tuple[Tally, dict[str, Any]]:
    """The structured twin fitted to rows (splits, k), one fit for each split, judged on its test rows."""
    longest = max(len(split.test) for split in bench.splits)
    test = np.stack([np.resize(split.test, longest) for split in bench.splits])
    model = StructuredTwin(bench.pattern, bench.azimuth, known=known, sessions=sessions)
    answer = model.fit(bench.street.rows(rows, echoes, bench.power)).predict(bench.street.rows(test, echoes))
    unknowns = {
        name: {"mean": round(float(v.mean()), 3), "std": round(float(v.std(correction=0)), 3)}
        for name, v in model.calibration.unknowns.items()
    }
    return bench.tally(lambda i, split: answer[i, : len(split.test)], probability=True), {"unknowns": unknowns}
