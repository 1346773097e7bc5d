"""Algorithm 1, the mapping M and the end-to-end network as printed, on the rendered moments, beside the traced twin.

What is fitted is fitted to other drives than those that are judged: of the same streets, or of other streets. These
stand for the paper's seen and unseen scenarios.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.learn.beams.splits import BeamSplit, drive_folds
from sitetwin.studies.frame import Progress
from sitetwin.studies.vision.config import VisionStudy
from sitetwin.studies.vision.measured import explained_powers, judged
from sitetwin.studies.vision.printed.moments import RenderedMoments, Sightings
from sitetwin.studies.vision.printed.names import DESCENT, END_TO_END, PRINTED, RIDGE, SIGHT, SIGHT_CONE, TRACED
from sitetwin.studies.vision.printed.network import learnt
from sitetwin.vision.profiles import (
    AngleMap,
    Descent,
    PointReflectors,
    Reconstruction,
    azimuth_deg,
    fit_map,
    sight_scores,
    wide_accuracy,
)

SWITCHES = {
    "Algorithm 1, magnitudes": PointReflectors(quantity="amplitude"),
    "Algorithm 1, radar equation": PointReflectors(path_loss="radar"),
    "Algorithm 1, blockage of 20 dB": PointReflectors(blocked_loss_db=20.0),
    "Algorithm 1, own car kept": PointReflectors(own_car="kept"),
}
"""What the paper leaves open, read the other way."""

CONES = "Algorithm 1, angles of the linear array"
"""Printed are azimuths. A linear array sees the angle to its axis: of a user who stands lower, some degrees less."""

FEWEST = 20
"""Moments to which anything is fitted."""


@dataclass(frozen=True, eq=False)
class Said:
    """What one method says of the moments.

    Attributes:
        method: Its name.
        perception: What saw; empty for a method that does not look through the chain.
        split: "drives" or "streets": what was held out of its fit; empty for what is not fitted.
        rows: (n,) numbers of the moments; they repeat where there were several trainings.
        score: (n, beams).
        wide: (n, wide beams).
        profile: (n, 180), or None.
        fitted_to: Moments of the largest fit.
        runs: Distance-based accuracy of each training.
        converged: Of a fit by descent.
    """

    method: str
    perception: str
    split: str
    rows: np.ndarray
    score: np.ndarray
    wide: np.ndarray
    profile: np.ndarray | None = None
    fitted_to: int | None = None
    runs: Sequence[float] = ()
    converged: bool | None = None


def run_printed(
    study: VisionStudy, moments: RenderedMoments, folder: Path, key: str, progress: Progress
) -> tuple[dict[str, Any], list[Said]]:
    """Run the chain.

    Args:
        study: The configuration.
        moments: The moments.
        folder: The study's folder; each training of the network is a part of it.
        key: Of the parts.
        progress: Is told the stage and its share.

    Returns:
        The results, and what each method said.
    """
    progress("the paper's chain", 0.0)
    measured = Reconstruction("sum", study.measured.strongest).profiles(moments.power, moments.book)
    said = [*_unfitted(study, moments)]
    splits = {name: folds_of(study, moments, name) for name in ("drives", "streets")}
    for split, folds in splits.items():
        said += _adapted(study, moments, measured, split, folds)
    for done, (split, folds) in enumerate(splits.items()):
        start = done / len(splits)

        def tell(share: float, start: float = start) -> None:
            progress("the paper's chain", start + share / len(splits))

        said += _learnt(study, moments, measured, split, folds, folder, key, tell)
    progress("the paper's chain", 1.0)
    wide_truth = moments.book.wide(study.measured.wide_beams).scores(measured)
    document = {
        "moments": len(moments.drive),
        "folds": {split: len(folds) for split, folds in splits.items()},
        "rows": [_row(study, moments, one, wide_truth) for one in said],
        "explained": list(explained_powers(study, moments.book, moments.power, moments.drive)),
        "notes": _notes(study, splits, {one.split for one in said if one.method == END_TO_END}),
    }
    return document, said


def folds_of(study: VisionStudy, moments: RenderedMoments, split: str) -> list[BeamSplit]:
    """Folds of whole drives or streets; none where there is one, or too little is left to fit to."""
    of = moments.drive if split == "drives" else moments.street
    count = len(np.unique(of))
    if count < 2:
        return []
    folds = drive_folds(of, min(study.measured.folds, count), study.seed)
    return [] if min(len(fold.pool) for fold in folds) < FEWEST else folds


def _unfitted(study: VisionStudy, moments: RenderedMoments) -> Iterator[Said]:
    """What nothing is fitted for: the line of sight, Algorithm 1 with its switches, and the traced twin."""
    book, wide = moments.book, moments.book.wide(study.measured.wide_beams)
    rows, azimuth = np.arange(len(moments.drive)), moments.azimuth_deg
    cone = azimuth_deg(_flat(moments.user))
    yield Said(SIGHT, "", "", rows, sight_scores(book, azimuth), sight_scores(wide, azimuth))
    yield Said(SIGHT_CONE, "", "", rows, sight_scores(book, cone), sight_scores(wide, cone))
    for perception, seen in moments.seen.items():
        for name, model in {PRINTED: PointReflectors(), **SWITCHES}.items():
            found = profiles_of(model, moments, seen)
            yield Said(name, perception, "", rows, book.scores(found), wide.scores(found), found)
        turned = replace(moments, user=_flat(moments.user))
        found = profiles_of(PointReflectors(), turned, replace(seen, points=tuple(_flat(one) for one in seen.points)))
        yield Said(CONES, perception, "", rows, book.scores(found), wide.scores(found), found)
        traced = traced_profiles(study, moments, seen)
        yield Said(TRACED, perception, "", rows, _as_scores(seen.order), wide.scores(traced), traced)


def traced_profiles(study: VisionStudy, moments: RenderedMoments, seen: Sightings) -> np.ndarray:
    """(N, 180) equation 1 of the traced beams; the line of sight where no path was found, as the ranking does it."""
    found = np.nanmax(seen.traced, axis=1, initial=0.0) > 0
    nothing = np.zeros((0, 3))
    profiles = np.stack([PointReflectors().profile(user, nothing, ()) for user in moments.user])
    if found.any():
        model = Reconstruction("sum", study.measured.strongest)
        profiles[found] = model.profiles(seen.traced[found], moments.book)
    return profiles


def _flat(points: np.ndarray) -> np.ndarray:
    """Points turned about the array's axis into its horizontal plane: their azimuth is the angle that it sees."""
    ahead = np.copysign(np.hypot(points[:, 0], points[:, 2]), points[:, 0])
    return np.column_stack([ahead, points[:, 1], np.zeros(len(points))])


def profiles_of(model: PointReflectors, moments: RenderedMoments, seen: Sightings) -> np.ndarray:
    """(N, 180) profiles of Algorithm 1."""
    return np.stack(
        [
            model.profile(user, points, names)
            for user, points, names in zip(moments.user, seen.points, seen.names, strict=True)
        ]
    )


def _as_scores(order: np.ndarray) -> np.ndarray:
    """(N, beams) scores that rank as some order does."""
    score = np.empty(order.shape, dtype=np.float64)
    np.put_along_axis(score, order, -np.arange(order.shape[1], dtype=np.float64)[None], axis=1)
    return score


def _adapted(
    study: VisionStudy, moments: RenderedMoments, measured: np.ndarray, split: str, folds: Sequence[BeamSplit]
) -> Iterator[Said]:
    """M by ridge, and by descent as printed, on the profiles of Algorithm 1."""
    wide = moments.book.wide(study.measured.wide_beams)
    for perception, seen in moments.seen.items() if folds else ():
        simulated = profiles_of(PointReflectors(), moments, seen)
        for name in (RIDGE, DESCENT):
            fits = [_fitted(study, name, simulated, measured, moments.drive, fold.pool) for fold in folds]
            profile = np.concatenate([fit(simulated[f.test]) for fit, f in zip(fits, folds, strict=True)])
            yield Said(
                name,
                perception,
                split,
                np.concatenate([fold.test for fold in folds]),
                moments.book.scores(profile),
                wide.scores(profile),
                profile,
                max(len(fold.pool) for fold in folds),
                converged=all(fit.converged for fit in fits) if name == DESCENT else None,
            )


def _fitted(
    study: VisionStudy, name: str, simulated: np.ndarray, measured: np.ndarray, drive: np.ndarray, pool: np.ndarray
) -> AngleMap:
    if name == RIDGE:
        return fit_map(simulated[pool], measured[pool], drive[pool])
    descent = Descent(steps=study.loop.descent_steps, seed=study.seed)
    return fit_map(simulated[pool], measured[pool], drive[pool], "sgd", descent=descent)


def _learnt(
    study: VisionStudy,
    moments: RenderedMoments,
    measured: np.ndarray,
    split: str,
    folds: Sequence[BeamSplit],
    folder: Path,
    key: str,
    progress: Any,
) -> Iterator[Said]:
    """The end-to-end network: at least one training for each fold, so that every moment is judged."""
    found = learnt(study, moments, measured, split, folds, folder, key, progress)
    if not found:
        return
    wide = moments.book.wide(study.measured.wide_beams)
    rows, profile = (np.concatenate([getattr(one, name) for one in found]) for name in ("rows", "profile"))
    score = moments.book.scores(profile)
    runs = [
        judged(study, moments.book.scores(one.profile), moments.power[one.rows], moments.drive[one.rows])["dba"]["mean"]
        for one in found
    ]
    yield Said(
        END_TO_END,
        "",
        split,
        rows,
        score,
        wide.scores(profile),
        profile,
        max(one.fitted_to for one in found),
        runs,
        all(one.converged for one in found),
    )


def _row(study: VisionStudy, moments: RenderedMoments, said: Said, wide_truth: np.ndarray) -> dict[str, Any]:
    rows = said.rows
    figures = judged(study, said.score, moments.power[rows], moments.drive[rows], moments.blocked[rows])
    row: dict[str, Any] = {
        "task": "predicted",
        "method": said.method,
        "perception": said.perception,
        "split": said.split,
        "switched": said.method in (*SWITCHES, CONES),
        "wide_top1": wide_accuracy(said.wide, wide_truth[rows], 1),
        "wide_top2": wide_accuracy(said.wide, wide_truth[rows], 2),
        **figures,
    }
    if {"los_dba", "nlos_dba"} <= set(figures):
        row["dba_natural"] = moments.share * figures["nlos_dba"] + (1 - moments.share) * figures["los_dba"]
    if said.fitted_to is not None:
        row["calibration_rows"] = said.fitted_to
    if said.runs:
        row["runs"] = list(said.runs)
    if said.converged is not None:
        row["converged"] = said.converged
    return row


def _notes(study: VisionStudy, splits: dict[str, list[BeamSplit]], learnt_on: set[str]) -> list[str]:
    notes = [
        "These moments are synthetic; the paper's are measured. Tables of the same form are not of the same street.",
        "The direction of the array is known here, and fixes have the error of the recording: no filter has seen them. "
        "Patterns are those of the ideal 16-element array that the station has.",
        "With true masks and depth the chain runs as printed: means of masks, classes of boxes, tree, car and pole. "
        "With networks there is no depth and no mask: objects stand where their boxes meet the ground, upright lines "
        "of M-LSD are poles, and trees are missing.",
        "The paper's network begins from weights of ImageNet. These were not at hand: it begins from random ones.",
    ]
    for split, folds in splits.items():
        if not folds:
            notes.append(f"Too few {split} for a fit that is judged on others: M and the network are left out there.")
        elif study.network.runs and split not in learnt_on:
            notes.append(
                f"Too few drives for the network where other {split} are judged: one drive chooses its epoch, and "
                "others must be left to train on. It is left out there."
            )
    return notes
