"""The curves of arXiv 2301.07682: its network on measured rows, on the twin, and on the twin and then measured rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.learn import BeamSet, NetworkBeams
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.network import Schedule
from sitetwin.site.places.placement import outdoor_mask
from sitetwin.studies.beams.bench import Bench
from sitetwin.studies.beams.methods import Answer, Run
from sitetwin.studies.beams.scores import Tally
from sitetwin.studies.beams.twin import StreetTwin

_PAPER_BEAM = 27  # counted from 0: the one that the paper takes for boresight
_TRACED = 6000  # of the published twin's users: as many as thirty networks draw

SMALL_BATCHES = replace(Schedule(), batch=8)
"""How the curve is trained that the paper sets beside its transfer."""


def measured_network(schedule: Schedule = Schedule()) -> Run:  # noqa: B008  (frozen)
    """Runs the network on the first rows of each pool.

    Args:
        schedule: How it is trained.
    """

    def run(bench: Bench, count: int) -> Answer:
        sets = [bench.rows(split.pool[:count]) for split in bench.splits]
        return Answer(_judged(bench, _trained(bench, sets, schedule)), count)

    return run


def traced_network(book: str) -> Run:
    """Runs the network on rows of the twin.

    Args:
        book: The twin's codebook, a key of `steering_angles`.
    """

    def run(bench: Bench, count: int) -> Answer:
        networks = _on_twin(bench, book, count)
        return Answer(_judged(bench, networks), len(bench.power), {"n_train": count, "note": _note(bench)})

    return run


def tuned_network(book: str) -> Run:
    """Runs the network on all rows of the twin, then on the first rows of each pool.

    Args:
        book: The twin's codebook, a key of `steering_angles`.
    """

    def run(bench: Bench, count: int) -> Answer:
        networks = _on_twin(bench, book, bench.study.twin_rows)
        sets = [bench.rows(split.pool[:count]) for split in bench.splits]
        tuned = NetworkBeams.update_each(networks, sets, bench.generator(5))
        return Answer(_judged(bench, tuned), len(bench.power), {"n_tuned": count, "note": _note(bench)})

    return run


def traced_sizes(bench: Bench) -> set[int]:
    """Numbers of rows of the twin; none without a twin."""
    study = bench.study
    return {n for n in (*study.network_sizes, study.twin_rows) if n <= study.twin_rows} if bench.twin else set()


def refined_sizes(bench: Bench) -> set[int]:
    """Numbers of measured rows after those of the twin; none without a twin."""
    return set(bench.sizes(bench.study.transfer_sizes)) if bench.twin else set()


def _trained(bench: Bench, sets: list[BeamSet], schedule: Schedule) -> list[NetworkBeams]:
    """One network for each split, each with rows of its own."""
    return NetworkBeams(schedule).fit_each(sets, bench.generator(2), bench.generator(1))


def _on_twin(bench: Bench, book: str, count: int) -> list[NetworkBeams]:
    """Networks of the first rows that each draws from the twin; those of all rows are kept to be tuned."""

    def traced() -> list[BeamSet]:
        assert bench.twin is not None
        twin = bench.once(("published users",), lambda: _published_users(bench, bench.twin))  # type: ignore[arg-type]
        return _twin_rows(bench, twin, steering_angles(bench)[book])

    def trained() -> list[NetworkBeams]:
        sets = bench.once(("rows of the twin", book), traced)
        return _trained(bench, [BeamSet(s.position[:count], s.power[:count]) for s in sets], Schedule())

    if count < bench.study.twin_rows:
        return trained()
    return bench.once(("networks of the twin", book), trained)


def _judged(bench: Bench, networks: list[NetworkBeams]) -> Tally:
    return bench.tally(lambda i, split: networks[i].predict(bench.east_north[split.test]))


def _note(bench: Bench) -> str:
    return f"paper protocol, leaks: the boresight is from the labels of all {len(bench.power)} rows"


def steering_angles(bench: Bench) -> dict[str, np.ndarray]:
    """Azimuths (B,) of the twin's steered beams: those of the measured peaks, and evenly apart; radians."""
    return {"measured": bench.azimuth[bench.pattern.argmax(axis=1)], "uniform": bench.uniform}


def dft_angles(bench: Bench) -> np.ndarray:
    """Azimuths (B,) of these beams, were the codebook an oversampled DFT over all directions; radians.

    Sines lie evenly between -1 and 1 (H. Van Trees, "Optimum Array Processing", ch. 2), in the order of the measured
    peaks.
    """
    peaks = steering_angles(bench)["measured"]
    count = bench.data.sizes["beam"]
    sines = (2 * bench.beams + 1 - count) / count
    return np.arcsin(sines * np.sign(peaks[-1] - peaks[0]))


def boresight_of_paper(bench: Bench) -> float:
    """Radians from east: direction of the line from the station through the users whose best beam is the 28th."""
    best = best_beams(bench.data.power.values)
    users = bench.east_north[best == min(_PAPER_BEAM, bench.data.sizes["beam"] - 1)]
    if not len(users):
        return bench.axis_rad
    x, y = users.T
    side = float(np.sign(np.median(x)))
    return float(np.arctan2(side * (x @ y), side * (x @ x)))


def _published_users(bench: Bench, twin: StreetTwin) -> StreetTwin:
    """The twin at users drawn from the published lanes; where the scenario has none, on its own grid."""
    if bench.lanes is None:
        return twin
    rng = np.random.default_rng(bench.study.seed)
    users = bench.lanes[rng.permutation(len(bench.lanes))[:_TRACED]]
    return twin.at(users[outdoor_mask(twin.site, users + twin.station)])


def _twin_rows(bench: Bench, twin: StreetTwin, azimuth: np.ndarray) -> list[BeamSet]:
    """Rows drawn from the twin's users, for each network its own."""
    power = twin.beam_powers(boresight_of_paper(bench), azimuth)
    lit = np.flatnonzero(power.sum(axis=1) > 0)
    if len(lit) < bench.study.twin_rows:
        raise SiteTwinError(
            f"the twin reaches {len(lit)} users of the street where the published network asks for "
            f"{bench.study.twin_rows}; check the site, or leave it out"
        )
    rng = np.random.default_rng(bench.study.seed)
    drawn = [rng.choice(lit, bench.study.twin_rows, replace=False) for _ in bench.splits]
    return [BeamSet(twin.users[rows], power[rows]) for rows in drawn]
