"""The closed loop with a camera that is fitted to GPS, beside the one that is known, on the same moments.

    python benchmarks/fitted_loop.py runs/loop --drives 20

The run is that of `sitetwin study vision --profile full`; the boxes of its networks are taken as it has kept them. For
each drive the camera's height and direction are fitted to the boxes of the user's car, and the fixes, of the other
drives through its street: somebody who mounted it told them with errors of 0.3 m, 1.5 degrees of yaw, 1 of pitch and
0.5 of roll. A box is taken for the user's if it is the nearest to where this camera would see the fix, whole, and
with edges within some 30 pixels. Drives whose fit is refused are left out, and counted.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.errors import SiteTwinError
from sitetwin.studies.vision.closed_loop.boxes import Remembering
from sitetwin.studies.vision.closed_loop.scores import Answers, Moments, Resampling, blockage_row, judged_rows
from sitetwin.untrusted import read_json
from sitetwin.vision import Camera, Detection, Ground, fit_camera, load_detector
from sitetwin.vision.camera import PARAMETERS
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.scene import sight_powers
from sitetwin.vision.scene.edges import known_edges
from sitetwin.vision.scene.objects import CLASS_SIZES
from sitetwin.vision.tiles import VEHICLES
from sitetwin.vision.worlds import Recording, follow, read_campaign, recorded_world

MOUNTED = {"z": 0.3, "yaw": math.radians(1.5), "pitch": math.radians(1.0), "roll": math.radians(0.5)}
REACH = 30.0
ANTENNA = 1.65

Pairs = list[tuple[tuple[float, float, float, float], np.ndarray]]


def pairs_of(recording: Recording, boxes: list[list[Detection]], start: Camera) -> Pairs:
    """Boxes of the user's car with the fixes of their moments."""
    found: Pairs = []
    for row, detections in enumerate(boxes):
        fix = recording.fixes[row]
        seen = outlines(start, np.array([[*fix, 0.0]]), np.zeros(1), np.array([CLASS_SIZES["car"]]))[0]
        known = known_edges(start, detections)
        away = [
            float(np.linalg.norm(np.array(one.box) - seen)) / 2 if one.name in VEHICLES and edges.all() else math.inf
            for one, edges in zip(detections, known, strict=True)
        ]
        if away and min(away) < REACH:
            found.append((detections[int(np.argmin(away))].box, fix))
    return found


def fitted(pairs: Pairs, start: Camera) -> CameraFile:
    """The camera of a street.

    Raises:
        SiteTwinError: The fit is refused.
    """
    found = fit_camera(
        start,
        np.array([box for box, _ in pairs]).reshape(-1, 4),
        np.array([fix for _, fix in pairs]).reshape(-1, 2),
        np.zeros(len(pairs)),
        Ground(),
        gps_sigma=0.5,
        pixel_sigma=(6.0, 4.0),
    )
    return CameraFile(found.camera, found.covariance)


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
) -> None:
    """Print rows for the fitted and for the known camera."""
    key = str(read_json(run / "configuration.json", "the run")["hash"])
    recordings, share = read_campaign(run / "campaign")
    network = load_detector(detector)
    kept, paths = {}, {}
    streets: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(recordings):
        paths[number] = run / "parts" / f"boxes-{number:04d}-networks.json"
        if paths[number].exists():
            seen = Remembering(network, paths[number], key)
            kept[number] = [seen.detect(one.frame(row)) for row in range(len(one.numbers))]
            streets[str(one.world["name"])].append(number)
    starts = {}
    for place, (name, numbers) in enumerate(streets.items()):
        rng = np.random.default_rng(place)
        step = np.array([MOUNTED.get(parameter, 0.0) * rng.standard_normal() for parameter in PARAMETERS])
        starts[name] = recordings[numbers[0]].camera.moved(step)
    judged: list[tuple[int, dict[str, Any], dict[str, Any]]] = []
    refused, errors = [], []
    order = sorted((place, number) for numbers in streets.values() for place, number in enumerate(numbers))
    for _, number in order[:drives]:
        one, name = recordings[number], str(recordings[number].world["name"])
        others = [other for other in streets[name] if other != number]
        pairs = [pair for other in others for pair in pairs_of(recordings[other], kept[other], starts[name])]
        try:
            camera = fitted(pairs, starts[name])
        except SiteTwinError as error:
            refused.append(f"{name}: {len(pairs)} pairs, {error}")
            continue
        true, found = one.camera.pose, camera.camera.pose
        errors.append([abs(getattr(found, axis) - getattr(true, axis)) for axis in ("yaw", "pitch", "roll")])
        seen = Remembering(network, paths[number], key)
        both = answers_of(one, seen, camera), answers_of(one, seen, None)
        judged += [(number, new, old) for new, old in zip(*both, strict=True)]
        print(json.dumps({"drive": number, "pairs": len(pairs), "moments": len(both[0])}), flush=True)
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
