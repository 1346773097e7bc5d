"""The methods of the beam prediction study, each run over all splits of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr

from sitetwin.learn.beams.baselines import geometric, lookup_table, majority, nearest
from sitetwin.learn.beams.calibration import calibrate
from sitetwin.learn.beams.choice import choose_rows
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.network import FINE_TUNING, BeamNetworks, Schedule, network_inputs
from sitetwin.learn.beams.rows import Street
from sitetwin.learn.beams.splits import BeamSplit
from sitetwin.learn.beams.structured import StructuredTwin
from sitetwin.studies.beams_config import HEADLINE, BeamStudy
from sitetwin.studies.beams_scores import Tally
from sitetwin.studies.beams_twin import StreetTwin

_PAPER_BEAM = 27  # counted from 0: the one that the paper takes for boresight


@dataclass(frozen=True, eq=False)
class Bench:
    """A scenario on a set of beams, and its splits of one kind.

    Attributes:
        study: The configuration.
        data: The scenario.
        street: Its positions in the street's frame.
        east_north: (N, 2) metres.
        power: (N, B) on the beams in use.
        pattern: (B, A) of these beams.
        azimuth: (A,) radians.
        beams: (B,) official numbers.
        split: "random" or "drives".
        splits: In order; a repeat is one random split, or the folds of one deal of the drives.
        per_repeat: Splits of one repeat.
        twin: Of the street, or None.
    """

    study: BeamStudy
    data: xr.Dataset
    street: Street
    east_north: np.ndarray
    power: np.ndarray
    pattern: np.ndarray
    azimuth: np.ndarray
    beams: np.ndarray
    split: str
    splits: list[BeamSplit]
    per_repeat: int
    twin: StreetTwin | None

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
    full = min(len(split.pool) for split in bench.splits)
    small = bench.study.real_sizes if bench.split == "random" else bench.study.drive_sizes
    for count in sorted({*small, full} - {0}):

        def neighbours(_: int, split: BeamSplit, count: int = count) -> np.ndarray:
            rows = split.pool[:count] if count < full else split.pool
            return nearest(place[rows], power[rows], place[split.test], min(5, count))

        yield bench.method("kNN (5)", count, bench.tally(neighbours))
    for name, rule in (("look-up table", lookup_table), ("majority", None)):

        def counted(_: int, split: BeamSplit, rule: Any = rule) -> np.ndarray:
            if rule is None:
                return majority(power[split.pool], len(split.test))
            return rule(place[split.pool], power[split.pool], place[split.test])

        yield bench.method(name, full, bench.tally(counted))


def structured(bench: Bench) -> Iterator[dict[str, Any]]:
    """The calibrated twin: rows as they come or chosen, and what its parts are worth."""
    sizes = bench.study.real_sizes if bench.split == "random" else bench.study.drive_sizes
    longest = max(len(split.test) for split in bench.splits)
    test = np.stack([np.resize(split.test, longest) for split in bench.splits])
    echoes = bench.twin.echoes(bench.east_north, bench.study.twin.echoes) if bench.twin else None

    def run(
        rows: np.ndarray, with_echoes: bool = True, known: tuple[str, ...] = (), sessions: bool = True
    ) -> tuple[Tally, dict[str, Any]]:
        use = echoes if with_echoes else None
        model = StructuredTwin(bench.pattern, bench.azimuth, known=known, sessions=sessions)
        fitted = model.fit(bench.street.rows(rows, use), bench.power[rows])
        sure = calibrate(model, bench.street, rows, bench.power, use)
        answer = model.probabilities(fitted, bench.street.rows(test, use), *sure)
        unknowns = {
            name: {"mean": round(float(v.mean()), 3), "std": round(float(v.std(correction=0)), 3)}
            for name, v in fitted.unknowns.items()
        }
        return bench.tally(lambda i, split: answer[i, : len(split.test)], probability=True), {"unknowns": unknowns}

    for count in sizes:
        plain = np.stack([split.pool[:count] for split in bench.splits]).astype(np.int64)
        if count == 0:
            tally, facts = run(plain)
            yield bench.method("twin, not calibrated", 0, tally, **facts)
            continue
        chosen = np.stack([choose_rows(bench.street, split.pool, count) for split in bench.splits])
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


def published_network(bench: Bench) -> Iterator[dict[str, Any]]:
    """The network of arXiv 2301.07682 on measured rows, in the repetitions of the random split."""
    inputs = network_inputs(bench.east_north)
    labels = torch.from_numpy(best_beams(bench.power))
    pools = torch.from_numpy(np.stack([split.pool for split in bench.splits]))
    test = inputs[torch.from_numpy(np.stack([split.test for split in bench.splits]))]

    def judged(networks: BeamNetworks) -> Tally:
        with torch.no_grad():
            answer = networks.scores(test).numpy()
        return bench.tally(lambda i, split: answer[i])

    def generator(part: int) -> torch.Generator:
        return torch.Generator().manual_seed(bench.study.seed + part)

    count = len(bench.splits)
    for size in bench.study.network_sizes:
        rows = pools[:, :size]
        networks = BeamNetworks(count, len(bench.beams), generator(1))
        networks.train(inputs[rows], labels[rows], Schedule(), generator(2))
        yield bench.method("published network, measured rows", size, judged(networks))
    if bench.twin is None:
        return
    peaks = bench.azimuth[bench.pattern.argmax(axis=1)]
    uniform = np.linspace(peaks.max(), peaks.min(), len(peaks))
    boresight = boresight_of_paper(bench)
    everything = len(bench.power)
    for book, azimuth in (("measured", peaks), ("uniform", uniform)):
        x, y = _twin_rows(bench, boresight, azimuth, count)
        networks = BeamNetworks(count, len(bench.beams), generator(3))
        networks.train(x, y, Schedule(), generator(4))
        note = f"paper protocol, leaks: the boresight is from the labels of all {everything} rows"
        yield bench.method(f"published network, twin with {book} codebook", everything, judged(networks), note=note)
        if book == "uniform":
            continue
        for size in bench.study.transfer_sizes:
            tuned = networks.copy()
            tuned.train(inputs[pools[:, :size]], labels[pools[:, :size]], FINE_TUNING, generator(5))
            yield bench.method(
                "published network, twin then measured rows", everything, judged(tuned), n_tuned=size, note=note
            )


def boresight_of_paper(bench: Bench) -> float:
    """Radians from east: direction of the line from the station through the users whose best beam is the 28th."""
    best = best_beams(bench.data.power.values)
    users = bench.east_north[best == min(_PAPER_BEAM, bench.data.sizes["beam"] - 1)]
    if not len(users):
        return bench.street.axis_rad
    x, y = users.T
    side = float(np.sign(np.median(x)))
    return float(np.arctan2(side * (x @ y), side * (x @ x)))


def _twin_rows(bench: Bench, boresight: float, azimuth: np.ndarray, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (R, n, 4) and labels (R, n) of rows drawn from the twin's grid, each network its own."""
    assert bench.twin is not None
    power = bench.twin.beam_powers(boresight, azimuth)
    lit = np.flatnonzero(power.sum(axis=1) > 0)
    rng = np.random.default_rng(bench.study.seed)
    rows = np.stack([rng.choice(lit, bench.study.twin_rows, replace=False) for _ in range(count)])
    inputs = network_inputs(bench.twin.users)[torch.from_numpy(rows)]
    return inputs, torch.from_numpy(best_beams(power[rows.ravel()]).reshape(rows.shape))
