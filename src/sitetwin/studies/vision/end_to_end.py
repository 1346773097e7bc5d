"""The end-to-end network on the images of a scenario, trained several times from random weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn.beams.metrics import distance_based_accuracy
from sitetwin.studies.vision.config import VisionStudy
from sitetwin.studies.vision.measured import Answer, folds_of, predicted_row
from sitetwin.studies.vision.scenario import Scenario
from sitetwin.vision.images import read_image, scaled
from sitetwin.vision.profiles import ProfileCodebook, Reconstruction, fit_pointing
from sitetwin.vision.profiles.end_to_end import Seen, TrainedEndToEnd, Training, train_end_to_end

END_TO_END = "end-to-end network, from random weights"

_FEWEST = 20  # rows of a pool


def learnt_end_to_end(
    study: VisionStudy, scenario: Scenario, progress: Callable[[float], None] = lambda share: None
) -> Iterator[dict[str, Any]]:
    """Train and judge the network; nothing where the scenario has no images, or one drive.

    Each training has first weights, a fold and an order of its own; the spread over trainings is therefore also one
    over folds. Rows without an image that can be read are left out.
    """
    settings, folds = study.network, folds_of(study, scenario)
    there = np.array([scenario.file(row) is not None for row in range(len(scenario.drive))])
    if not settings.runs or not folds or there.sum() < 2 * _FEWEST:
        return
    images = _images(scenario, there, settings.width)
    parts: list[Answer] = []
    runs, seen_rows = [], 0
    for run in range(settings.runs):
        fold = folds[run % len(folds)]
        pool, test = (np.array([row for row in rows if row in images]) for rows in (fold.pool, fold.test))
        choosing = rows_that_choose(scenario.drive[pool[: settings.rows]], study.seed + run)
        if len(pool) < _FEWEST or not len(test) or choosing is None:
            continue
        pool = pool[: settings.rows]
        trained, book, azimuth = _trained(study, scenario, images, pool, choosing, run)
        profiles = trained.profiles(_seen(images, test, azimuth))
        wide = book.wide(study.measured.wide_beams)
        truth = Reconstruction("sum", study.measured.strongest).profiles(scenario.power[test], book)
        parts.append(Answer(test, book.scores(profiles), wide.scores(profiles), wide.scores(truth), trained.converged))
        runs.append(float(distance_based_accuracy(parts[-1].score, scenario.power[test]).mean()))
        seen_rows = max(seen_rows, len(pool))
        progress((run + 1) / settings.runs)
    if parts:
        yield predicted_row(study, scenario, END_TO_END, parts, calibration_rows=seen_rows, whole_pool=True, runs=runs)


def rows_that_choose(drive: np.ndarray, seed: int) -> np.ndarray | None:
    """Rows of whole drives, a fifth of them, by which an epoch is chosen; the others train.

    Args:
        drive: (n,) drive of each row that may be seen.
        seed: Of the choice.

    Returns:
        (n,) bool; None where there is one drive, or too little is left to train on.
    """
    drives = np.random.default_rng(seed).permutation(np.unique(drive))
    chosen = np.isin(drive, drives[: max(1, len(drives) // 5)])
    return chosen if (~chosen).sum() >= 2 else None


def _images(scenario: Scenario, there: np.ndarray, width: int) -> dict[int, np.ndarray]:
    """Small images by row; those that cannot be read are left out, with one warning."""
    found, broken = {}, []
    for row in np.flatnonzero(there).tolist():
        path = scenario.file(row)
        assert path is not None
        try:
            found[row] = scaled(read_image(path), width, round(width * 9 / 16))
        except SiteTwinError as error:
            broken.append(str(error))
    if broken:
        warnings.warn(f"{len(broken)} images were left out: {broken[0]}", SiteTwinWarning, stacklevel=3)
    return found


def _seen(images: dict[int, np.ndarray], rows: np.ndarray, azimuth: np.ndarray) -> Seen:
    return Seen(np.stack([images[row] for row in rows.tolist()]), azimuth[rows])


def _trained(
    study: VisionStudy,
    scenario: Scenario,
    images: dict[int, np.ndarray],
    pool: np.ndarray,
    choosing: np.ndarray,
    run: int,
) -> tuple[TrainedEndToEnd, ProfileCodebook, np.ndarray]:
    """The network of one run, the codebook that its profiles are of, and the azimuths of all rows."""
    pointing = fit_pointing(
        scenario.book, scenario.dead, scenario.east_north[pool], scenario.power[pool], scenario.velocity[pool]
    )
    azimuth = pointing.azimuth_deg(scenario.east_north, scenario.velocity)
    book = ProfileCodebook.of(scenario.book, scenario.dead, pointing.scale)
    wanted = Reconstruction("sum", study.measured.strongest).profiles(scenario.power[pool], book)
    settings = study.network
    training = Training(settings.epochs, settings.patience, settings.rate, settings.batch)
    seen = _seen(images, pool, azimuth)
    return train_end_to_end(seen, wanted, choosing, study.seed + run, training), book, azimuth
