"""The closed loop with a camera that is fitted to GPS, beside the one that is known, on the same moments.

    python benchmarks/fitted_loop.py runs/loop --drives 20

The run is that of `sitetwin study vision --profile full`, whose camera is known; the boxes of its networks are taken as
it has kept them. `--camera fitted` of the study does for all its drives and methods what is done here for some. For
each drive the camera's height and direction are fitted to the boxes of the user's car, and the fixes, of the other
drives through its street: somebody who mounted it told them with errors of 0.3 m, 1.5 degrees of yaw, 1 of pitch and
0.5 of roll. A box is taken for the user's if it is the nearest to where this camera would see the fix, whole, and with
edges within some 30 pixels. Drives whose fit is refused are left out, and counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.studies.vision.closed_loop.boxes import Remembering
from sitetwin.studies.vision.closed_loop.fitting import fitted_cameras
from sitetwin.studies.vision.closed_loop.scores import Answers, Moments, Resampling, blockage_row, judged_rows
from sitetwin.untrusted import read_json
from sitetwin.vision import load_detector
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.scene import sight_powers
from sitetwin.vision.worlds import Recording, follow, read_campaign, recorded_world

ANTENNA = 1.65


def answers_of(recording: Recording, boxes: Any, camera: CameraFile | None) -> list[dict[str, Any]]:
    """What a twin says of the judged moments of a drive."""
    world = recorded_world(recording)
    rows = []
    for one in follow(recording, world.known, world.station, boxes, camera=camera):
        fix = sight_powers(world.station, np.array([[*recording.fixes[one.row], ANTENNA]]))
        rows.append(
            {
                "row": one.row,
                "order": one.ranking.order,
                "sight": np.argsort(-fix[0], kind="stable"),
                "blocked": one.moment.blocked,
                "off_m": float(np.linalg.norm(one.moment.user.position - recording.true_places[one.row, :2])),
            }
        )
    return rows


def main(
    run: Annotated[Path, typer.Argument(help="A closed loop's folder.")],
    drives: Annotated[int, typer.Option(help="Drives that are followed, at most.")] = 20,
    detector: Annotated[str, typer.Option(help="The networks of the run.")] = "both",
    seed: Annotated[int, typer.Option(help="Of the errors with which the cameras were mounted.")] = 2024,
) -> None:
    """Print rows for the fitted and for the known camera."""
    key = str(read_json(run / "configuration.json", "the run")["hash"])
    every, share = read_campaign(run / "campaign")
    paths = [run / "parts" / f"boxes-{number:04d}-networks.json" for number in range(len(every))]
    pairs = [(one, path) for one, path in zip(every, paths, strict=True) if path.exists()]
    network = load_detector(detector)
    recordings = [one for one, _ in pairs]
    eyes = [Remembering(network, path, f"{key} {one.identity}") for one, path in pairs]
    boxes = [
        [seen.detect(one.frame(row)) for row in range(len(one.numbers))]
        for one, seen in zip(recordings, eyes, strict=True)
    ]
    cameras = fitted_cameras(recordings, boxes, seed)
    names = [str(one.world["name"]) for one in recordings]
    order = sorted(range(len(names)), key=lambda number: (names[:number].count(names[number]), number))
    judged: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
    refused, errors = [], []
    for number in order[:drives]:
        one, found = recordings[number], cameras[number]
        if found.refused:
            refused.append(f"{names[number]}: {found.pairs} pairs, {found.refused}")
            continue
        true, pose = one.camera.pose, found.camera.camera.pose
        errors.append([abs(getattr(pose, axis) - getattr(true, axis)) for axis in ("yaw", "pitch", "roll")])
        both = answers_of(one, eyes[number], found.camera), answers_of(one, eyes[number], None)
        judged += [(number, new, old) for new, old in zip(*both, strict=True)]
        print(json.dumps({"drive": number, "pairs": found.pairs, "moments": len(both[0])}), flush=True)
    print(json.dumps({"refused": refused}))
    if not judged:
        raise SystemExit("every fit was refused: let the run record more drives of each street")
    print(json.dumps({"median_error_deg": np.degrees(np.median(errors, axis=0)).tolist()}))
    report(recordings, share, judged)


def report(recordings: list[Recording], share: float, judged: list[tuple[int, dict[str, Any], dict[str, Any]]]) -> None:
    """Print accuracy, loss and blockage with both cameras."""
    taken = [(recordings[number], new["row"]) for number, new, _ in judged]
    moments = Moments(
        np.stack([one.powers[row] for one, row in taken]),
        np.array([bool(one.blocked[row]) for one, row in taken]),
        np.full(len(taken), -1),
        np.array([number for number, _, _ in judged]),
        share,
    )
    drawn = Resampling(moments, 2000, 1)
    answers = {"GPS line of sight": Answers(np.array([new["sight"] for _, new, _ in judged]))}
    for place, name in ((1, "fitted camera"), (2, "known camera")):
        answers[name] = Answers(np.array([one[place]["order"] for one in judged]))
    for row in judged_rows(moments, answers, "GPS line of sight", drawn):
        print(json.dumps(row))
    for place, name in ((1, "fitted camera"), (2, "known camera")):
        told = np.array([one[place]["blocked"] for one in judged])
        off = float(np.median([one[place]["off_m"] for one in judged]))
        print(json.dumps({"camera": name, "off_m": off, **blockage_row(moments, told, False, drawn)}))


if __name__ == "__main__":
    typer.run(main)
