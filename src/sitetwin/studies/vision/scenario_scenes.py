"""What the page shows of drives of a scenario with images: photographs, points of Algorithm 1, and profiles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sitetwin.studies.vision.printed.names import MEASURED, PRINTED, RIDGE
from sitetwin.studies.vision.reflectors import USER_M, Boxes, SeenFold
from sitetwin.studies.vision.scenario import Scenario
from sitetwin.studies.vision.scenes import horizon, jpeg, profiles_and_picks, spread
from sitetwin.vision import Ground, frame_from_file
from sitetwin.vision.profiles import AngleMap, peak_one
from sitetwin.vision.profiles.seen import boxed_reflectors

MOST_MOMENTS = 30
"""Of one scenario."""


def scenario_scenes(scenario: Scenario, boxes: Boxes, fold: SeenFold, detector: str) -> list[dict[str, Any]]:
    """Collect moments of drives that one fold judges; they are spread over each drive.

    Args:
        scenario: The scenario.
        boxes: Of each row.
        fold: The fold: nothing of what is shown was seen by a fit.
        detector: Name of what found the boxes.
    """
    numbers = np.unique(scenario.drive[fold.test]).tolist()[:3]
    mapping, drives = fold.mapping(scenario), []
    for number in numbers:
        rows = np.sort(fold.test[scenario.drive[fold.test] == number])
        chosen = spread(rows.tolist(), MOST_MOMENTS // len(numbers))
        drives.append(
            {
                "name": f"scenario {scenario.name}, drive {number}",
                "perception": detector,
                "synthetic": False,
                "size": [float(fold.camera.width), float(fold.camera.height)],
                "horizon": horizon(fold.camera),
                "station": [float(v) for v in fold.camera.position],
                "boresight_deg": math.degrees(fold.pointing.boresight_rad),
                "half_span_deg": float(np.nanmax(np.abs(fold.book.peak_deg))),
                "walls": [],
                "moments": [_moment(scenario, boxes, fold, row, float(k), mapping) for k, row in enumerate(chosen)],
            }
        )
    return drives


def _moment(
    scenario: Scenario, boxes: Boxes, fold: SeenFold, row: int, place_in_drive: float, mapping: AngleMap
) -> dict[str, Any]:
    camera, frame = fold.camera, frame_from_file(scenario.file(row), fold.camera)
    seen = boxed_reflectors(camera, boxes[row], Ground())
    marks, _ = camera.project(seen.points)
    fix = np.round(fold.users[row], 2).tolist()
    plain = fold.of(np.array([row]))
    profiles = {MEASURED: fold.measured[[row]], PRINTED: plain, RIDGE: mapping(plain)}
    said = {name: (peak_one(profile)[0], fold.book.scores(profile)[0]) for name, profile in profiles.items()}
    said[MEASURED] = said[MEASURED][0], scenario.power[row]
    return {
        "time_s": place_in_drive,
        "image": jpeg(frame.image),
        "boxes": [[box.name, [round(edge, 1) for edge in box.box]] for box in boxes[row]],
        "marks": np.round(marks[np.isfinite(marks).all(axis=1)], 1).tolist(),
        "reflectors": [
            [name, np.round(point, 2).tolist()] for name, point in zip(seen.names, seen.points, strict=True)
        ],
        "objects": [],
        "vehicles": [],
        "fix": fix,
        "place": [*fix, USER_M],
        **profiles_and_picks(said, fold.book),
        "flags": list(frame.flags),
    }
