"""The closed loop with a camera that is fitted to GPS, beside the one that is known, on the same moments.

    python benchmarks/fitted_loop.py runs/loop --drives 20

The run is that of `sitetwin study vision --profile full`, whose camera is known; the boxes of its networks are taken as
it has kept them. `--camera fitted` of the study does for all its drives and methods what is done here for some. For
each drive the camera's height and direction are fitted to the boxes of the user's car, and the fixes, of the other
drives through its street: somebody who mounted it told them with errors of 0.3 m, 1.5 degrees of yaw, 1 of pitch and
0.5 of roll. A box is taken for the user's if it is the nearest to where this camera would see the fix, whole, and with
edges within some 30 pixels. Drives whose fit is refused are left out, and counted.

Places of objects are those of vehicles that are whole and not cut, of which 150 pixels or more are seen: with a fitted
camera their error may be 1.5 times that with the known one, at the median and at 90 %. `--places` stops behind them,
which takes no tracing and is done for all drives.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.studies.vision.closed_loop.boxes import Remembering
from sitetwin.studies.vision.closed_loop.fitting import FittedDrive, fitted_cameras, mounted_camera
from sitetwin.studies.vision.closed_loop.scores import Answers, Moments, Resampling, blockage_row, judged_rows
from sitetwin.untrusted import read_json
from sitetwin.vision import Detection, Ground, load_detector
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.evaluation import pair_boxes
from sitetwin.vision.scene import sight_powers
from sitetwin.vision.scene.placing import place_boxes
from sitetwin.vision.tiles import VEHICLES
from sitetwin.vision.worlds import Recording, follow, read_campaign, recorded_world
from sitetwin.vision.worlds.following import ALONG_THE_STREET

ANTENNA = 1.65
TURNS = ("yaw", "pitch", "roll")
LEAST_PIXELS, WHOLE = 150, 0.95
"""Pixels and share of a vehicle that are visible, of those whose places count."""


def place_errors(recording: Recording, boxes: Sequence[Sequence[Detection]], camera: CameraFile | None) -> list[float]:
    """Metres between the place of each vehicle that is found whole and the true one, NaN for none."""
    seen_by = recording.camera if camera is None else camera.camera
    away = []
    for found, true in zip(boxes, recording.boxes, strict=True):
        seen = [one for one in true if one.box is not None]
        vehicles = [one for one in found if one.name in VEHICLES]
        placed = place_boxes(
            seen_by, vehicles, Ground(), ALONG_THE_STREET, None if camera is None else camera.covariance
        )
        for row, column in pair_boxes(vehicles, np.array([one.box for one in seen]).reshape(-1, 4)):
            one, thing = seen[column], placed[row]
            if one.pixels >= LEAST_PIXELS and one.share > WHOLE and not one.cut:
                off = math.nan if thing is None else float(np.linalg.norm(thing.position - np.array(one.position)))
                away.append(off)
    return away


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


def places_row(
    recordings: Sequence[Recording],
    boxes: Sequence[Sequence[Sequence[Detection]]],
    cameras: Sequence[FittedDrive],
    seed: int,
) -> dict[str, Any]:
    """Errors of places with the known, the mounted and the fitted cameras, over the drives that were fitted."""
    fitted = [k for k, one in enumerate(cameras) if not one.refused]
    told: dict[str, Any] = {"drives": len(cameras), "fits": len(fitted)}
    ways = {
        "known": [None for _ in fitted],
        "mounted": [mounted_camera(recordings[k], seed) for k in fitted],
        "fitted": [cameras[k].camera for k in fitted],
    }
    for name, those in ways.items():
        off = np.concatenate(
            [np.zeros(0), *(place_errors(recordings[k], boxes[k], one) for k, one in zip(fitted, those, strict=True))]
        )
        turns = [
            [abs(getattr(one.camera.pose, axis) - getattr(recordings[k].camera.pose, axis)) for axis in TURNS]
            for k, one in zip(fitted, those, strict=True)
            if one is not None
        ]
        told[name] = {
            "objects": len(off),
            "unplaced": int(np.isnan(off).sum()),
            "median_m": float(np.nanmedian(off)),
            "p90_m": float(np.nanpercentile(off, 90)),
            **({"median_turn_deg": np.degrees(np.median(turns, axis=0)).tolist()} if turns else {}),
        }
    told["ratio"] = {key: told["fitted"][key] / told["known"][key] for key in ("median_m", "p90_m")}
    return told


def main(
    run: Annotated[Path, typer.Argument(help="A closed loop's folder.")],
    drives: Annotated[int, typer.Option(help="Drives that are followed, at most.")] = 20,
    detector: Annotated[str, typer.Option(help="The networks of the run.")] = "both",
    seed: Annotated[int, typer.Option(help="Of the errors with which the cameras were mounted.")] = 2024,
    places: Annotated[bool, typer.Option("--places", help="The places of objects alone, of all drives.")] = False,
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
    print(json.dumps(places_row(recordings, boxes, cameras, seed)), flush=True)
    if places:
        return
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
        errors.append([abs(getattr(pose, axis) - getattr(true, axis)) for axis in TURNS])
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
