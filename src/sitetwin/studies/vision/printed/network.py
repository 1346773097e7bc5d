"""Trainings of the end-to-end network on rendered moments, each kept, so that a stopped run goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.splits import BeamSplit
from sitetwin.studies.frame import read_part, write_part
from sitetwin.studies.vision.config import NetworkTraining, VisionStudy
from sitetwin.studies.vision.end_to_end import rows_that_choose
from sitetwin.studies.vision.printed.moments import RenderedMoments
from sitetwin.vision.images import read_image, scaled
from sitetwin.vision.profiles import peak_one
from sitetwin.vision.profiles.end_to_end import Seen, Training, train_end_to_end

_DIGITS = 4  # of a profile whose peak is 1


@dataclass(frozen=True, eq=False)
class Trained:
    """One training, judged on the moments of its fold.

    Attributes:
        rows: (n,) numbers of the moments.
        profile: (n, 180), with peaks of 1.
        fitted_to: Moments that trained or chose the epoch.
        converged: False where its epochs ended first.
    """

    rows: np.ndarray
    profile: np.ndarray
    fitted_to: int
    converged: bool


def learnt(
    study: VisionStudy,
    moments: RenderedMoments,
    measured: np.ndarray,
    split: str,
    folds: Sequence[BeamSplit],
    folder: Path,
    key: str,
    progress: Callable[[float], None],
) -> list[Trained]:
    """Train the network as often as the configuration says, at least once for each fold, fold by fold in turns.

    Args:
        study: The configuration.
        moments: The moments.
        measured: (N, 180) profiles that it learns.
        split: "drives" or "streets"; a part of the names of what is kept.
        folds: Of the split.
        folder: The study's folder.
        key: Of the parts.
        progress: Is told the share that is done.

    Returns:
        The trainings; none where the configuration has none, there are no folds, or one of them leaves a single drive
        or less than two moments to train on beside those that choose the epoch.
    """
    settings = study.network
    if not settings.runs or not folds:
        return []
    count = len(folds) * math.ceil(settings.runs / len(folds))
    pools = [folds[run % len(folds)].pool[: settings.rows] for run in range(count)]
    choosing = [rows_that_choose(moments.drive[pool], study.seed + run) for run, pool in enumerate(pools)]
    given = [(pool, chosen) for pool, chosen in zip(pools, choosing, strict=True) if chosen is not None]
    if len(given) < count:
        return []
    images: np.ndarray | None = None
    found = []
    for run, (pool, chosen) in enumerate(given):
        fold = folds[run % len(folds)]
        path = folder / "parts" / f"end-to-end-{split}-{run:03d}.json"
        kept = read_part(path, key)
        if kept is None:
            if images is None:
                images = _images(moments, settings)
            kept = _trained(study, moments, images, measured, (pool, chosen, fold.test), run)
            write_part(path, key, kept)
        profile = np.array(kept["profile"], dtype=np.float64).reshape(len(fold.test), -1)
        found.append(Trained(fold.test, profile, int(kept["fitted_to"]), bool(kept["converged"])))
        progress((run + 1) / count)
    return found


def _images(moments: RenderedMoments, settings: NetworkTraining) -> np.ndarray:
    height = round(settings.width * 9 / 16)
    return np.stack([_small(path, settings.width, height) for path in moments.images])


def _small(path: Path, width: int, height: int) -> np.ndarray:
    """A small image; a broken one is black, as it is for the detectors."""
    try:
        return scaled(read_image(path), width, height)
    except SiteTwinError:
        return np.zeros((height, width, 3), dtype=np.uint8)


def _trained(
    study: VisionStudy,
    moments: RenderedMoments,
    images: np.ndarray,
    measured: np.ndarray,
    rows: tuple[np.ndarray, np.ndarray, np.ndarray],
    run: int,
) -> dict[str, Any]:
    """One training. `rows` are those that may be seen, which of them choose the epoch, and those that are judged."""
    settings, (pool, choosing, test) = study.network, rows
    training = Training(settings.epochs, settings.patience, settings.rate, settings.batch)
    seen = Seen(images[pool], moments.azimuth_deg[pool])
    trained = train_end_to_end(seen, measured[pool], choosing, study.seed + run, training)
    profile = peak_one(trained.profiles(Seen(images[test], moments.azimuth_deg[test])))
    return {
        "profile": np.round(profile, _DIGITS).tolist(),
        "fitted_to": len(pool),
        "converged": trained.converged,
    }
