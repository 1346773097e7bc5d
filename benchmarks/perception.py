"""What the detectors find and where it stands: night frames of a passing car, KITTI, and rendered streets.

    python benchmarks/perception.py --frames FRAMES --kitti KITTI --streets 10 --poles --drive-frames 10 --json

FRAMES holds images of a fixed camera whose names end in a number before the time (`image_BS1_1506_03_23_11.jpg`, as in
DeepSense scenario 5): gaps in the numbers part the passes; for each pass, a line is fitted to the boxes and the frames
are counted in which one lies within 25 pixels of it. The count needs no truth, and no picture is kept.
KITTI holds `image_2`, `calib` and `label_2` of its object benchmark: recall, and distances by contact with the ground.
Rendered streets have their truth: recall and precision of vehicles with 150 visible pixels or more of which 45 % or
more are visible, and the error of their places, with the camera known and with one that is fitted to the user's car.
That car is alike in all moments; each picture of it shows it at several places, each of which is a moment with an
error of GPS of its own. What the image's edge cuts counts as hidden; `in_the_image` takes the share of what lies in
the image instead. A pole is found where a line's foot lies within 1 m and 3 columns of its own. `seconds` are those
of each stage on this machine as it is, by the clock and by the processor. The networks are those of
`sitetwin vision models fetch`.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rendered_streets import streets

from sitetwin.site import Pose
from sitetwin.vision import Camera, Detector, Frame, Ground, load_detector, load_lines, read_image
from sitetwin.vision.evaluation import fit_pass, pair_boxes
from sitetwin.vision.scene.placing import Placing, place_boxes

GAP = 8
"""Numbers of frames that are missing between two passes."""

KITTI_HEIGHT = 1.65
KITTI_CAMERA = np.diag([0.0, 0.0, 0.05, 0.0, 0.01, 0.01, 0.0]) ** 2  # nobody told its pitch


def night(folder: Path, detector: Detector) -> dict[str, Any]:
    """Frames of each pass in which a box lies near the line of the passing car."""
    files = sorted(folder.glob("*.jpg"))
    numbers = np.array([int(re.findall(r"_(\d+)_\d\d_\d\d_\d\d", file.name)[0]) for file in files])
    images = [read_image(file) for file in files]
    started = time.perf_counter()
    found = [detector.detect(Frame(image)) for image in images]
    seconds = (time.perf_counter() - started) / len(files)
    passes = np.split(np.arange(len(files)), np.flatnonzero(np.diff(numbers) > GAP) + 1)
    rows = []
    for members in passes:
        fitted = fit_pass(numbers[members].astype(float), [found[k] for k in members])
        rows.append(
            {
                "frames": len(members),
                "near": int(fitted.near.sum()),
                "pixels_per_frame": np.round(fitted.speed, 2).tolist(),
                "missed": numbers[members][~fitted.near].tolist(),
            }
        )
    boxes = float(np.mean([len(one) for one in found]))
    near = sum(row["near"] for row in rows)
    return {"frames": len(files), "near": near, "passes": rows, "boxes_per_frame": boxes, "s_per_frame": seconds}


def kitti(folder: Path, detector: Detector) -> dict[str, Any]:
    """Recall of the labelled objects, and the distances of those that were found."""
    rows, objects, started = [], 0, time.perf_counter()
    files = sorted((folder / "image_2").glob("*.png"))
    for file in files:
        image = read_image(file)
        text = (folder / "calib" / f"{file.stem}.txt").read_text()
        matrix = np.array(re.findall(r"^P2: (.*)$", text, re.MULTILINE)[0].split(), float).reshape(3, 4)
        camera = Camera(
            Pose((0.0, 0.0, KITTI_HEIGHT)),
            matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5, image.shape[1], image.shape[0],
        )  # fmt: skip
        labels = [line.split() for line in (folder / "label_2" / f"{file.stem}.txt").read_text().splitlines()]
        labels = [label for label in labels if label[0] != "DontCare"]
        objects += len(labels)
        found = detector.detect(Frame(image))
        boxes = np.array([[float(v) for v in label[4:8]] for label in labels])
        placed = place_boxes(camera, found, Ground(), Placing(ground_sigma=0.1), KITTI_CAMERA)
        for row, column in pair_boxes(found, boxes):
            truth = float(labels[column][13])
            thing = placed[row]
            rows.append(
                {
                    "object": labels[column][0],
                    "found_as": found[row].name,
                    "metres": truth,
                    "told": None if thing is None else round(float(thing.position[0]), 2),
                    "sigma": None if thing is None else round(float(np.sqrt(thing.covariance[0, 0])), 2),
                }
            )
    seconds = (time.perf_counter() - started) / len(files)
    return {"objects": objects, "found": len(rows), "rows": rows, "s_per_image": seconds}


def main(
    frames: Annotated[Path | None, typer.Option(help="Folder of night frames.")] = None,
    kitti_folder: Annotated[Path | None, typer.Option("--kitti", help="Folder of KITTI's object benchmark.")] = None,
    number: Annotated[int, typer.Option("--streets", help="Rendered streets.")] = 0,
    first: Annotated[int, typer.Option("--first", help="Seed of the first street.")] = 1000,
    drives: Annotated[
        int, typer.Option("--drive-frames", help="Pictures of the user's car to which each street's camera is fitted.")
    ] = 0,
    poles: Annotated[bool, typer.Option("--poles", help="Judge poles, too.")] = False,
    detector: Annotated[str, typer.Option(help="Name of the detector.")] = "both",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Judge a detector."""
    network = load_detector(detector)
    network.detect(Frame(np.zeros((540, 960, 3), np.uint8)))  # its first run lays out memory
    results: dict[str, Any] = {"detector": network.name}
    if frames is not None:
        results["night"] = night(frames, network)
    if kitti_folder is not None:
        results["kitti"] = kitti(kitti_folder, network)
    if number:
        results["streets"] = streets(first, number, network, load_lines() if poles else None, drives)
    print(json.dumps(results, indent=None if as_json else 1))


if __name__ == "__main__":
    typer.run(main)
