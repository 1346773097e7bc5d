"""Rendered streets with their truth: what a detector finds in them, where it stands, and cameras fitted to drives."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.site.vegetation import Cylinder
from sitetwin.vision import Camera, Detection, Detector, Ground, contact_points, fit_camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.evaluation import Counts, count, pair_boxes
from sitetwin.vision.networks.lines import LineNetwork, PoleDetector
from sitetwin.vision.render import LIGHTS, MARKING, PAVEMENT, Lamp, Picture, Renderer, painted_ground
from sitetwin.vision.scene.placing import Placing, place_boxes
from sitetwin.vision.street import POLE, SHAPES, Canyon, CanyonPlan, Vehicle, make_canyon
from sitetwin.vision.tiles import VEHICLES

LEAST_PIXELS, LEAST_SHARE = 150, 0.45
FRAMES_OF_A_STREET = 5
PLACING = Placing(headings=(0.0,))

GPS = 0.5
"""Standard deviation of each coordinate of a fix, metres."""

DRIVES = 4
"""Drives to which the moments of a fit belong, where each has an error of its own."""

POLE_METRES, POLE_COLUMNS, POLE_LEAST = 1.0, 3.0, 0.08
"""A pole is found within so many metres and columns of its foot; its length in the image over the image's height."""


@dataclass(frozen=True)
class Shown:
    """One picture of a street.

    Attributes:
        street: The street.
        light: Name of the light.
        camera: The camera.
        picture: The picture.
        judged: Whether it is judged; else it is one of the moments to which a camera is fitted.
    """

    street: Canyon
    light: str
    camera: Camera
    picture: Picture
    judged: bool


def street_pictures(seed: int, frames: int, of_a_drive: int = 0) -> Iterator[Shown]:
    """Pictures of a made-up street by its seed: with traffic, and then with the user's car at several places at once.

    Args:
        seed: Of street, camera, light and traffic.
        frames: Pictures with traffic, which are judged.
        of_a_drive: Pictures with the user's car, each of which stands for as many moments as it shows cars.
    """
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
        for number in range(frames + of_a_drive):
            cars = traffic(plan, rng) if number < frames else own_cars(plan, rng)
            yield Shown(street, light.name, camera, renderer.picture(cars, rng=rng), number < frames)


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


def own_cars(plan: CanyonPlan, rng: np.random.Generator) -> list[Vehicle]:
    """The user's car, alike in all, far enough from itself that little of it is hidden."""
    found: list[Vehicle] = []
    for lane in range(2 * plan.lanes):
        y, heading = plan.lane_of(lane)
        for x in np.arange(-36 + rng.uniform(0, 9), 36, 9.0):
            place = (float(x), y + rng.uniform(-0.3, 0.3), 0.0)
            found.append(Vehicle(f"u{len(found)}", "sedan", place, heading + rng.normal(0, 0.02), paint=3))
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
class Judged:
    """What is known of some streets.

    Attributes:
        total: Counts where what the image's edge cuts is hidden.
        inner: Counts by the share of what lies in the image.
        by_light: Counts by the name of the light.
        hits: Whether each object was found, by its class and by the light.
        errors: Error of each place in metres, and whether the object was whole and uncut.
        squares: Square error over the stated covariance.
        seconds: Of each stage of each frame; wall and processor time.
    """

    total: Counts = field(default_factory=Counts)
    inner: Counts = field(default_factory=Counts)
    by_light: dict[str, Counts] = field(default_factory=dict)
    hits: dict[str, list[bool]] = field(default_factory=dict)
    errors: list[tuple[float, bool]] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    seconds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)


def streets(
    first: int, number: int, detector: Detector, lines: LineNetwork | None = None, of_a_drive: int = 0
) -> dict[str, Any]:
    """Recall, precision and errors of place in rendered streets.

    Args:
        first: Seed of the first street.
        number: Streets.
        detector: Finds the vehicles.
        lines: Finds the lines of poles; None to leave poles out.
        of_a_drive: Pictures of the user's car in each street to which a camera is fitted; 0 for no fits.
    """
    judged, poles, fits = Judged(), Poles(), Fits()
    for seed in range(first, first + number):
        own, boxes = list[tuple[Detection, Vehicle]](), list[tuple[Detection, Vehicle, bool]]()
        shown: Shown | None = None
        for shown in street_pictures(seed, FRAMES_OF_A_STREET, of_a_drive):
            found, placed = _perceived(detector, shown, judged.seconds if shown.judged else None)
            seen = [one for one in shown.picture.seen if one.box is not None]
            true = np.array([one.box for one in seen]).reshape(-1, 4)
            partners = {column: row for row, column in pair_boxes(found, true)}
            if not shown.judged:
                own += [(found[row], seen[column].vehicle) for column, row in partners.items()]
                continue
            boxes += _judge(judged, shown, found, placed, partners)
            if lines is not None:
                poles.judge(lines, shown, judged.seconds)
        if shown is not None and of_a_drive:
            fits.judge(shown.camera, own, boxes, np.random.default_rng(seed))
    told = {
        "first_street": first,
        "frames": len(judged.seconds.get("detect", [])),
        "recall": judged.total.recall,
        "precision": judged.total.precision,
        "objects": judged.total.objects,
        "in_the_image": {name: getattr(judged.inner, name) for name in ("recall", "precision", "objects")},
        "by": {name: {"recall": float(np.mean(hit)), "objects": len(hit)} for name, hit in judged.hits.items()},
        "precision_by_light": {name: counts.precision for name, counts in judged.by_light.items()},
        "place_m": places(judged.errors),
        "squared_error_over_stated": float(np.median(judged.squares) / 1.386) if judged.squares else None,  # chi-square
        "seconds": {stage: _seconds(times) for stage, times in judged.seconds.items()},
    }
    if of_a_drive:
        told["place_with_fitted_camera_m"] = fits.told()
    if lines is not None:
        told["poles"] = poles.told()
    return told


def _perceived(detector: Detector, shown: Shown, seconds: dict[str, list[tuple[float, float]]] | None) -> Any:
    """Boxes of vehicles and their places."""
    clock = [(time.perf_counter(), time.process_time())]
    found = [one for one in detector.detect(shown.picture.frame) if one.name in VEHICLES]
    clock.append((time.perf_counter(), time.process_time()))
    placed = place_boxes(shown.camera, found, Ground(), PLACING)
    clock.append((time.perf_counter(), time.process_time()))
    if seconds is not None:
        for stage, start, end in (("detect", clock[0], clock[1]), ("place", clock[1], clock[2])):
            seconds.setdefault(stage, []).append((end[0] - start[0], end[1] - start[1]))
    return found, placed


def _judge(
    judged: Judged, shown: Shown, found: list[Detection], placed: list[Any], partners: dict[int, int]
) -> list[tuple[Detection, Vehicle, bool]]:
    """Count a frame; return the boxes of objects that count, with whether these are whole and uncut."""
    seen = [one for one in shown.picture.seen if one.box is not None]
    true = np.array([one.box for one in seen]).reshape(-1, 4)
    large = np.array([one.pixels >= LEAST_PIXELS for one in seen], dtype=bool)
    shares = np.array([one.share for one in seen])
    inside = inside_share(shown.camera, [one.vehicle for one in seen])
    counts = large & (shares * inside >= LEAST_SHARE)
    here = count(found, true, counts)
    judged.total = judged.total + here
    judged.by_light[shown.light] = judged.by_light.get(shown.light, Counts()) + here
    judged.inner = judged.inner + count(found, true, large & (shares >= LEAST_SHARE))
    boxes = []
    for column in np.flatnonzero(counts):
        one, hit = seen[column], column in partners
        for name in (one.vehicle.kind, shown.light):
            judged.hits.setdefault(name, []).append(hit)
        if not hit:
            continue
        thing, whole = placed[partners[column]], one.share > 0.95 and not one.cut
        boxes.append((found[partners[column]], one.vehicle, whole))
        if thing is not None:
            miss = thing.position - np.array(one.vehicle.position[:2])
            judged.errors.append((float(np.hypot(*miss)), whole))
            judged.squares.append(float(miss @ np.linalg.solve(thing.covariance, miss)))
    return boxes


@dataclass
class Fits:
    """Errors of place with cameras that were fitted to drives, by what the errors of GPS are like."""

    errors: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)
    refused: dict[str, list[str]] = field(default_factory=dict)
    pairs: list[int] = field(default_factory=list)
    turned: dict[str, list[list[float]]] = field(default_factory=dict)

    def judge(
        self,
        camera: Camera,
        own: list[tuple[Detection, Vehicle]],
        boxes: list[tuple[Detection, Vehicle, bool]],
        rng: np.random.Generator,
    ) -> None:
        """Fit a street's camera to the user's car, and place the boxes of the judged frames with it."""
        true = np.array([car.position[:2] for _, car in own]).reshape(-1, 2)
        drive = rng.integers(DRIVES, size=len(own))
        lasting = GPS * math.sqrt(0.5) * rng.standard_normal((DRIVES, 2))[drive]
        alone = rng.standard_normal(true.shape)
        self.pairs.append(len(own))
        for name, wrong in (
            ("independent", GPS * alone),
            ("half of it lasts through each of four drives", lasting + GPS * math.sqrt(0.5) * alone),
            ("a bias of 0.5 m in all", GPS * alone + rng.standard_normal(2) * GPS),
        ):
            try:
                fitted = fit_camera(
                    replace(camera, pose=Pose(camera.pose.position)),
                    np.array([box.box for box, _ in own]).reshape(-1, 4),
                    true + wrong,
                    np.array([car.yaw for _, car in own]),
                    Ground(),
                    gps_sigma=GPS,
                    pixel_sigma=(6.0, 4.0),
                )
            except SiteTwinError as error:
                self.refused.setdefault(name, []).append(str(error))
                continue
            off, pose = fitted.camera.pose, camera.pose
            self.turned.setdefault(name, []).append(
                [
                    off.position[2] - pose.position[2],
                    *(a - b for a, b in zip(off.orientation, pose.orientation, strict=True)),
                ]
            )
            placed = place_boxes(fitted.camera, [box for box, _, _ in boxes], Ground(), PLACING, fitted.covariance)
            self.errors.setdefault(name, []).extend(
                (float(np.hypot(*(thing.position - np.array(car.position[:2])))), whole)
                for thing, (_, car, whole) in zip(placed, boxes, strict=True)
                if thing is not None
            )

    def told(self) -> dict[str, Any]:
        """Errors by the kind of GPS."""
        return {
            "pairs_of_a_street": self.pairs,
            **{
                name: {
                    **places(errors),
                    "fits_refused": len(self.refused.get(name, [])),
                    "height_m_yaw_pitch_roll_rms": np.round(
                        np.sqrt(np.square(self.turned[name]).mean(axis=0)), 4
                    ).tolist(),
                }
                for name, errors in self.errors.items()
            },
            "refusals": sorted({said for many in self.refused.values() for said in many}),
        }


@dataclass
class Poles:
    """Poles by lines of M-LSD, against those that a picture shows."""

    objects: int = 0
    hits: int = 0
    beside: int = 0
    boxes: int = 0
    right: int = 0
    trunks: int = 0
    errors: list[tuple[float, float, float]] = field(default_factory=list)

    def judge(self, lines: LineNetwork, shown: Shown, seconds: dict[str, list[tuple[float, float]]]) -> None:
        """Count the poles of one frame."""
        camera, truth = shown.camera, shown.picture.frame.truth
        assert truth is not None
        start = time.perf_counter(), time.process_time()
        found = PoleDetector(lines, camera).detect(shown.picture.frame)
        seconds.setdefault("poles", []).append((time.perf_counter() - start[0], time.process_time() - start[1]))
        feet, whole = pole_feet(shown.street, camera, truth.depth)
        at, _ = camera.project(feet)
        contact = np.array([one.contact for one in found]).reshape(-1, 2)
        places, _ = contact_points(camera, contact, Ground())
        apart = np.linalg.norm(places[:, None, :2] - feet[None, :, :2], axis=2)
        across = np.abs(contact[:, None, 0] - at[None, :, 0])
        volumes = shown.street.site.vegetation.volumes
        trunk = np.array([one.centre for one in volumes if isinstance(one, Cylinder) and one.part == "trunk"])
        near_trunk = np.zeros(len(found), dtype=bool)
        if len(trunk) and len(found):
            foot, _ = camera.project(np.column_stack([trunk.reshape(-1, 2), np.zeros(len(trunk))]))
            near_trunk = (np.abs(contact[:, None, 0] - foot[None, :, 0]) <= 2 * POLE_COLUMNS).any(axis=1)
        good = np.nan_to_num(apart, nan=np.inf) <= POLE_METRES
        column = np.nan_to_num(across, nan=np.inf) <= POLE_COLUMNS
        self.objects += int(whole.sum())
        self.boxes += len(found)
        self.hits += int((good & column).any(axis=0)[whole].sum())
        self.beside += int(column.any(axis=0)[whole].sum())
        self.right += int((good & column).any(axis=1).sum())
        self.trunks += int((near_trunk & ~column.any(axis=1)).sum())
        for row, pole in zip(*np.nonzero(column & whole[None]), strict=True):
            miss = contact[row] - at[pole]
            self.errors.append((float(miss[0]), float(miss[1]), float(apart[row, pole])))

    def told(self) -> dict[str, Any]:
        """Recall and precision, and the errors of those whose direction is right."""
        miss = np.abs(np.array(self.errors).reshape(-1, 3))
        return {
            "poles": self.objects,
            "recall": self.hits / self.objects if self.objects else None,
            "recall_of_the_direction": self.beside / self.objects if self.objects else None,
            "boxes": self.boxes,
            "precision": self.right / self.boxes if self.boxes else None,
            "share_at_trunks": self.trunks / self.boxes if self.boxes else None,
            "columns_50_%": share(miss[:, 0], 50),
            "rows_50_%": share(miss[:, 1], 50),
            "metres_50_90_%": [share(miss[:, 2], 50), share(miss[:, 2], 90)],
        }


def pole_feet(street: Canyon, camera: Camera, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3) feet of poles in view, metres, and (P,) whether each is to be found: unhidden at its foot, and long."""
    feet, whole = [], []
    site = street.site
    for number, name in enumerate(site.objects):
        if not name.startswith(POLE):
            continue
        low, high = site.object_bounds[number]
        foot = np.array([*(0.5 * (low + high))[:2], low[2]])
        points = foot + np.linspace(0.02, 1.0, 40)[:, None] * (0.0, 0.0, high[2] - low[2])
        pixels, away = camera.project(points)
        if not (away > 0).all() or not camera.in_image(pixels[0]):
            continue
        inside = camera.in_image(pixels)
        column, row = np.floor(pixels[inside]).astype(int).T
        shown = np.abs(depth[row, column] - away[inside]) < 0.3
        feet.append(foot)
        long = float(np.ptp(pixels[inside][:, 1])) >= POLE_LEAST * camera.height
        whole.append(bool(long and shown[:3].any() and shown.mean() >= LEAST_SHARE))
    return np.array(feet).reshape(-1, 3), np.array(whole, dtype=bool)


def places(errors: list[tuple[float, bool]]) -> dict[str, Any]:
    """Median and 90 % of errors, metres."""
    every = np.array([error for error, _ in errors])
    whole = np.array([error for error, is_whole in errors if is_whole])
    return {
        name: {"objects": len(values), "50 %": share(values, 50), "90 %": share(values, 90)}
        for name, values in (("unhidden_and_uncut", whole), ("all", every))
    }


def share(values: np.ndarray, percent: int) -> float | None:
    """A percentile; None of nothing."""
    return float(np.percentile(values, percent)) if len(values) else None


def _seconds(times: list[tuple[float, float]]) -> dict[str, float | None]:
    wall, work = np.array(times).T
    return {"50 %": share(wall, 50), "95 %": share(wall, 95), "processor_50 %": share(work, 50)}
