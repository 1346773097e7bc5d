"""What the study makes of measured powers: how well profiles explain them, and what positions predict of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.calibrate import CalibratedBeams, choose_rows
from sitetwin.learn.beams.metrics import distance_based_accuracy
from sitetwin.learn.beams.splits import BeamSplit, drive_folds
from sitetwin.studies.vision.config import VisionStudy
from sitetwin.studies.vision.scenario import Scenario
from sitetwin.vision.profiles import (
    Descent,
    Pointing,
    PointReflectors,
    ProfileCodebook,
    Reconstruction,
    fit_map,
    fit_pointing,
    interpolated_scores,
    sight_scores,
    table_row,
    wide_accuracy,
    wide_agreement,
)

CONTROL = "control: powers interpolated between beams"
"""It is shown beside every profile."""

_FEWEST = 20  # rows of a fold that a method is fitted to


def explained(study: VisionStudy, scenario: Scenario) -> Iterator[dict[str, Any]]:
    """How well profiles give back the powers that they were found from, and those of beams that were not measured.

    All beams are ranked; of the measured ones the control knows the power itself, so that with all beams measured its
    only errors are those of beams whose peaks coincide.
    """
    yield from explained_powers(study, ProfileCodebook.of(scenario.book, scenario.dead), scenario.power, scenario.drive)


def explained_powers(
    study: VisionStudy, book: ProfileCodebook, power: np.ndarray, drive: np.ndarray
) -> Iterator[dict[str, Any]]:
    """The same of powers (N, beams) with their drives (N,)."""
    methods: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "equations 1 and 2": lambda seen: _through(Reconstruction("sum", study.measured.strongest), seen, book),
        "equations 1 and 2, all beams": lambda seen: _through(Reconstruction("sum", seen.shape[1]), seen, book),
        "equations 1 and 2, floor kept": lambda seen: _through(
            Reconstruction("sum", study.measured.strongest, "none"), seen, book
        ),
        "non-negative least squares": lambda seen: _through(Reconstruction("nnls"), seen, book),
        "ridge": lambda seen: _through(Reconstruction("ridge"), seen, book),
        CONTROL: lambda seen: interpolated_scores(seen, book),
    }
    order = np.argsort(np.where(book.alive, book.peak_deg, np.inf), kind="stable")[: int(book.alive.sum())]
    for step in study.measured.swept:
        seen = np.full(power.shape, np.nan)
        seen[:, order[::step]] = power[:, order[::step]]
        kept = np.isfinite(seen).any(axis=1)
        for name, score in methods.items():
            found = score(seen[kept])
            yield {
                "task": "explained",
                "method": name,
                "beams_measured": len(order[::step]),
                **judged(study, found, power[kept], drive[kept]),
            }


def _through(model: Reconstruction, power: np.ndarray, book: ProfileCodebook) -> np.ndarray:
    return book.scores(model.profiles(power, book))


def predicted(
    study: VisionStudy, scenario: Scenario, progress: Callable[[float], None] = lambda share: None
) -> Iterator[dict[str, Any]]:
    """What positions predict of the powers, tested on drives of which no row was seen."""
    folds = folds_of(study, scenario)
    if not folds:
        return
    answers: dict[tuple[str, int], list[Answer]] = {}
    for number, fold in enumerate(folds):
        for rows in study.measured.calibration_rows:
            pool = fold.pool[:rows] if rows else fold.pool
            if len(pool) >= max(rows, _FEWEST):
                for method, answer in _profiles_of(study, scenario, pool, fold.test).items():
                    answers.setdefault((method, rows), []).append(answer)
        progress((number + 1) / (len(folds) + 1))
    for (method, rows), parts in answers.items():
        seen = rows or int(np.mean([len(f.pool) for f in folds]))
        yield predicted_row(study, scenario, method, parts, calibration_rows=seen, whole_pool=rows == 0)
    yield from _structured(study, scenario, folds)
    progress(1.0)


def folds_of(study: VisionStudy, scenario: Scenario) -> list[BeamSplit]:
    """Folds of whole drives, deal by deal; none where there is one drive."""
    count = len(np.unique(scenario.drive))
    if count < 2:
        return []
    dealt = min(study.measured.folds, count)
    return [f for deal in range(study.measured.deals) for f in drive_folds(scenario.drive, dealt, study.seed + deal)]


@dataclass(frozen=True, eq=False)
class Answer:
    """What one method says of rows that it was not fitted to.

    Attributes:
        rows: (n,) their numbers.
        score: (n, beams).
        wide: (n, wide beams).
        wide_truth: (n, wide beams) powers of the wide beams, from the measured profiles.
        converged: Whether a fit by descent ended before its steps did; None for what is not fitted so.
    """

    rows: np.ndarray
    score: np.ndarray
    wide: np.ndarray
    wide_truth: np.ndarray
    converged: bool | None = None


def predicted_row(
    study: VisionStudy, scenario: Scenario, method: str, parts: Sequence[Answer], **facts: Any
) -> dict[str, Any]:
    """One method's row of the tables, from its answers fold by fold; one unconverged fit makes the row unconverged."""
    rows, score, wide, truth = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "score", "wide", "wide_truth")
    )
    ended = [part.converged for part in parts if part.converged is not None]
    return {
        "task": "predicted",
        "method": method,
        "wide_top1": wide_accuracy(wide, truth, 1),
        "wide_top2": wide_accuracy(wide, truth, 2),
        **({"converged": all(ended)} if ended else {}),
        **facts,
        **judged(study, score, scenario.power[rows], scenario.drive[rows]),
    }


def _profiles_of(study: VisionStudy, scenario: Scenario, pool: np.ndarray, test: np.ndarray) -> dict[str, Answer]:
    """What each method, fitted to a pool, says of test rows."""
    found = {}
    place, velocity, power = scenario.east_north, scenario.velocity, scenario.power
    for name, lagged in (("GPS line of sight", False), ("GPS line of sight, lag fitted", True)):
        pointing = fit_pointing(
            scenario.book, scenario.dead, place[pool], power[pool], velocity[pool] if lagged else None
        )
        book = ProfileCodebook.of(scenario.book, scenario.dead, pointing.scale)
        wide = book.wide(study.measured.wide_beams)
        model = Reconstruction("sum", study.measured.strongest)
        measured = model.profiles(power, book)
        truth = wide.scores(measured[test])
        azimuth = pointing.azimuth_deg(place, velocity if lagged else None)
        found[name] = Answer(test, sight_scores(book, azimuth[test]), sight_scores(wide, azimuth[test]), truth)
        if not lagged:
            continue
        simulated = sight_profiles(pointing, scenario)
        mapped = {"mapping M, ridge": fit_map(simulated[pool], measured[pool], scenario.drive[pool])}
        if study.measured.descent_steps:
            descent = Descent(steps=study.measured.descent_steps, seed=study.seed)
            name = "mapping M, descent as printed"
            mapped[name] = fit_map(simulated[pool], measured[pool], scenario.drive[pool], "sgd", descent=descent)
        for name, mapping in mapped.items():
            profile = mapping(simulated[test])
            ended = mapping.converged if mapping.by == "sgd" else None
            found[name] = Answer(test, book.scores(profile), wide.scores(profile), truth, ended)
    return found


def sight_profiles(pointing: Pointing, scenario: Scenario) -> np.ndarray:
    """(N, 180) profiles of Algorithm 1 of the line of sight alone: what it is without a camera."""
    azimuth = np.radians(pointing.azimuth_deg(scenario.east_north, scenario.velocity))
    distance = np.maximum(np.hypot(*scenario.east_north.T), 0.1)
    model, nothing = PointReflectors(), np.zeros((0, 3))
    users = np.stack([np.cos(azimuth) * distance, np.sin(azimuth) * distance, np.zeros(len(azimuth))], axis=1)
    return np.stack([model.profile(user, nothing, []) for user in users])


def _structured(study: VisionStudy, scenario: Scenario, folds: list[BeamSplit]) -> Iterator[dict[str, Any]]:
    """The structured twin on chosen rows: what there is without a camera."""
    count, alive = study.measured.twin_rows, np.flatnonzero(~scenario.dead)
    if not count or min(len(fold.pool) for fold in folds) < count:
        return
    model = CalibratedBeams(scenario.book.values[alive], scenario.book.azimuth.values)
    power, track = scenario.power[:, alive], scenario.track
    answers = []
    for fold in folds:
        bought = choose_rows(track, fold.pool, count)
        answers.append(model.fit(track.rows(bought), power[bought], study.seed).predict_proba(track.rows(fold.test)))
    score = np.full((sum(len(fold.test) for fold in folds), len(scenario.dead)), -np.inf)
    score[:, alive] = np.concatenate(answers)
    rows = np.concatenate([fold.test for fold in folds])
    yield {
        "task": "predicted",
        "method": "calibrated twin, chosen rows, no camera",
        "calibration_rows": count,
        **judged(study, score, scenario.power[rows], scenario.drive[rows]),
    }


def agreement(study: VisionStudy, scenario: Scenario) -> dict[str, float]:
    """Share of rows whose best measured beam lies in the sector of the best wide beam, by how these are made."""
    book = ProfileCodebook.of(scenario.book, scenario.dead)
    profiles = Reconstruction("sum", study.measured.strongest).profiles(scenario.power, book)
    count = study.measured.wide_beams
    return {
        "sums of narrow beams": wide_agreement(
            scenario.power, book.wide(count, "sum").scores(profiles), book.sectors(count)
        ),
        "flat beams": wide_agreement(scenario.power, book.wide(count, "flat").scores(profiles), book.sectors(count)),
    }


def judged(
    study: VisionStudy, score: np.ndarray, power: np.ndarray, drive: np.ndarray, blocked: np.ndarray | None = None
) -> dict[str, Any]:
    """Every figure of a table; the interval of the distance-based accuracy draws whole drives.

    Where it is known which rows are blocked, rows with and without line of sight have figures of their own.
    """
    row: dict[str, Any] = table_row(score, power, blocked)
    each = distance_based_accuracy(score, power)
    numbers, place = np.unique(drive, return_inverse=True)
    sums, rows = np.bincount(place, each), np.bincount(place)
    drawn = np.random.default_rng(study.seed).integers(0, len(numbers), (study.bootstrap_draws, len(numbers)))
    spread = sums[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
    low, high = np.percentile(spread, [2.5, 97.5]) if len(numbers) > 1 else (None, None)
    row["rows"] = len(each)
    row["dba"] = {
        "mean": float(each.mean()),
        "low": None if low is None else float(low),
        "high": None if high is None else float(high),
        "n": len(numbers),
        "kind": "bootstrap over drives",
    }
    return row
