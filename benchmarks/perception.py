"""What the detectors find and where it stands: night frames of a passing car, KITTI, and rendered streets.

    python benchmarks/perception.py --frames FRAMES --kitti KITTI --streets 10 --json

FRAMES holds images of a fixed camera whose names end in a number before the time (`image_BS1_1506_03_23_11.jpg`, as in
DeepSense scenario 5): gaps in the numbers part the passes; for each pass, a line is fitted to the boxes and the frames
are counted in which one lies within 25 pixels of it. The count needs no truth, and no picture is kept.
KITTI holds `image_2`, `calib` and `label_2` of its object benchmark: recall, and distances by contact with the ground.
Rendered streets have their truth: recall and precision of vehicles with 150 visible pixels or more of which 45 % or
more are visible, and the error of their places, with the camera known and with one that is fitted to the cars of the
other frames of the street, whose places are told with errors of 0.5 m. What the image's edge cuts counts as hidden;
`in_the_image` takes the share of what lies in the image instead. The networks are those of
`sitetwin vision models fetch`.
"""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera, Detection, Detector, Frame, Ground, fit_camera, load_detector, read_image
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.evaluation import Counts, count, fit_pass, pair_boxes
from sitetwin.vision.render import LIGHTS, MARKING, PAVEMENT, Lamp, Renderer, painted_ground
from sitetwin.vision.scene.placing import Placing, place_boxes
from sitetwin.vision.street import SHAPES, CanyonPlan, Vehicle, make_canyon
from sitetwin.vision.tiles import VEHICLES

GAP = 8
"""Numbers of frames that are missing between two passes."""

LEAST_PIXELS, LEAST_SHARE = 150, 0.45
KITTI_HEIGHT = 1.65
FIRST_STREET = 1000
FRAMES_OF_A_STREET = 5
GPS = 0.5
PLACING = Placing(headings=(0.0,))
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


def street_frames(seed: int, frames: int) -> Any:
    """Pictures of a made-up street with traffic, by its seed."""
    rng = np.random.default_rng(seed)
    plan = CanyonPlan(lanes=int(rng.integers(1, 3)), seed=seed, trees=float(rng.uniform(0, 0.6)))
    street = make_canyon(plan)
    place = (0.0, -plan.front + 0.6, float(rng.uniform(4, 8)))
    camera = Camera.from_view(Pose(place, math.pi / 2 - rng.uniform(-0.6, 0.6), float(rng.uniform(0.1, 0.25))))
    lamps = [Lamp((x, 0.8 * y, z + 7.0), 900.0, (0.0, 0.0, -1.0), 1.0) for x, y, z in street.poles]
    painted = [
        painted_ground(list(street.markings), MARKING),
        painted_ground(list(street.pavements), PAVEMENT),
    ]
    light = list(LIGHTS.values())[seed % len(LIGHTS)]
    with Renderer(street.site, camera, light, lamps=lamps, painted=painted) as renderer:
        for _ in range(frames):
            yield light.name, camera, renderer.picture(traffic(plan, rng), rng=rng)


def traffic(plan: CanyonPlan, rng: np.random.Generator) -> list[Vehicle]:
    """Vehicles of all types in every lane, 3 m to 25 m behind each other."""
    found: list[Vehicle] = []
    for lane in range(2 * plan.lanes):
        y, heading = plan.lane_of(lane)
        x = -50 + rng.uniform(0, 15)
        while x < 50:
            shape = str(rng.choice(list(SHAPES)))
            length = SHAPES[shape].size[0]
            place = (x + length / 2, y + rng.uniform(-0.3, 0.3), 0.0)
            found.append(
                Vehicle(
                    f"v{len(found)}",
                    shape,
                    place,
                    heading + rng.normal(0, 0.02),
                    paint=int(rng.integers(0, 30)),
                    scale=float(rng.uniform(0.95, 1.05)),
                )
            )  # fmt: skip
            x += length + rng.uniform(3, 25)
    return found


def inside_share(camera: Camera, vehicles: list[Vehicle]) -> np.ndarray:
    """(N,) share of each vehicle's box that lies in the image; 0 for those that reach behind the camera."""
    if not vehicles:
        return np.zeros(0)
    boxes = outlines(
        camera,
        np.array([one.position for one in vehicles]),
        np.array([one.yaw for one in vehicles]),
        np.array([one.size for one in vehicles]),
    )
    kept = np.clip(boxes, 0, [camera.width, camera.height] * 2)
    area = lambda box: (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])  # noqa: E731
    return np.nan_to_num(area(kept) / area(boxes))


@dataclass
class Street:
    """What is known of one street: boxes of cars with their places, and the boxes of each frame that count."""

    camera: Camera
    pairs: list[tuple[int, Detection, Vehicle]] = field(default_factory=list)
    boxes: list[tuple[int, Detection, Vehicle, bool]] = field(default_factory=list)


def fitted_errors(street: Street, rng: np.random.Generator) -> tuple[list[tuple[float, bool]], int]:
    """Errors of place with a camera that is fitted to the other frames; and how many fits were refused."""
    errors, refused = [], 0
    start = replace(street.camera, pose=Pose(street.camera.pose.position))
    for frame in sorted({number for number, *_ in street.boxes}):
        pairs = [(box, car) for number, box, car in street.pairs if number != frame]
        places = np.array([car.position[:2] for _, car in pairs]).reshape(-1, 2) + rng.normal(0, GPS, (len(pairs), 2))
        try:
            fitted = fit_camera(
                start,
                np.array([box.box for box, _ in pairs]).reshape(-1, 4),
                places,
                np.array([car.yaw for _, car in pairs]),
                Ground(),
                gps_sigma=GPS,
                pixel_sigma=(6.0, 4.0),
            )
        except SiteTwinError:
            refused += 1
            continue
        own = [(box, car, whole) for number, box, car, whole in street.boxes if number == frame]
        placed = place_boxes(fitted.camera, [box for box, _, _ in own], Ground(), PLACING, fitted.covariance)
        errors += [
            (float(np.hypot(*(thing.position - np.array(car.position[:2])))), whole)
            for thing, (_, car, whole) in zip(placed, own, strict=True)
            if thing is not None
        ]
    return errors, refused


def streets(number: int, detector: Detector) -> dict[str, Any]:
    """Recall, precision and errors of place in rendered streets."""
    total, inner = Counts(), Counts()
    hits: dict[str, list[bool]] = {}
    errors, of_fitted, refused = list[tuple[float, bool]](), list[tuple[float, bool]](), 0
    squares: list[float] = []
    spent, frames = 0.0, 0
    for seed in range(FIRST_STREET, FIRST_STREET + number):
        street: Street | None = None
        for light, camera, picture in street_frames(seed, FRAMES_OF_A_STREET):
            street = street or Street(camera)
            started = time.perf_counter()
            found = [one for one in detector.detect(picture.frame) if one.name in VEHICLES]
            placed = place_boxes(camera, found, Ground(), PLACING)
            spent, frames = spent + time.perf_counter() - started, frames + 1
            seen = [one for one in picture.seen if one.box is not None]
            true = np.array([one.box for one in seen]).reshape(-1, 4)
            large = np.array([one.pixels >= LEAST_PIXELS for one in seen], dtype=bool)
            shares = np.array([one.share for one in seen])
            counts = large & (shares * inside_share(camera, [one.vehicle for one in seen]) >= LEAST_SHARE)
            total = total + count(found, true, counts)
            inner = inner + count(found, true, large & (shares >= LEAST_SHARE))
            partners = {column: row for row, column in pair_boxes(found, true)}
            for column in np.flatnonzero(counts):
                one, hit = seen[column], column in partners
                for name in (one.vehicle.kind, light):
                    hits.setdefault(name, []).append(hit)
                if not hit:
                    continue
                thing, whole = placed[partners[column]], one.share > 0.95 and not one.cut
                street.boxes.append((frames, found[partners[column]], one.vehicle, whole))
                if whole and one.vehicle.kind == "car":
                    street.pairs.append((frames, found[partners[column]], one.vehicle))
                if thing is not None:
                    miss = thing.position - np.array(one.vehicle.position[:2])
                    errors.append((float(np.hypot(*miss)), whole))
                    squares.append(float(miss @ np.linalg.solve(thing.covariance, miss)))
        if street is not None:
            more, refusals = fitted_errors(street, np.random.default_rng(seed))
            of_fitted, refused = of_fitted + more, refused + refusals
    return {
        "frames": frames,
        "recall": total.recall,
        "precision": total.precision,
        "objects": total.objects,
        "in_the_image": {"recall": inner.recall, "precision": inner.precision, "objects": inner.objects},
        "by": {name: {"recall": float(np.mean(found)), "objects": len(found)} for name, found in hits.items()},
        "place_m": _places(errors),
        "place_with_fitted_camera_m": {**_places(of_fitted), "fits_refused": refused},
        "squared_error_over_stated": float(np.median(squares) / 1.386) if squares else None,  # median of chi-square 2
        "s_per_frame": spent / max(frames, 1),
    }


def _places(errors: list[tuple[float, bool]]) -> dict[str, Any]:
    every = np.array([error for error, _ in errors])
    whole = np.array([error for error, is_whole in errors if is_whole])
    return {
        name: {"objects": len(values), "50 %": _share(values, 50), "90 %": _share(values, 90)}
        for name, values in (("unhidden_and_uncut", whole), ("all", every))
    }


def _share(values: np.ndarray, percent: int) -> float | None:
    return float(np.percentile(values, percent)) if len(values) else None


def main(
    frames: Annotated[Path | None, typer.Option(help="Folder of night frames.")] = None,
    kitti_folder: Annotated[Path | None, typer.Option("--kitti", help="Folder of KITTI's object benchmark.")] = None,
    number: Annotated[int, typer.Option("--streets", help="Rendered streets.")] = 0,
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
        results["streets"] = streets(number, network)
    print(json.dumps(results, indent=None if as_json else 1))


if __name__ == "__main__":
    typer.run(main)
