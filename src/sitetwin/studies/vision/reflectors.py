"""The paper's own twin on the images of a scenario: boxes, places on the ground, point reflectors, profiles.

The camera's height and direction are no part of the data. They are fitted, on the drives that a method may see, to the
boxes of the user's car and to its positions by GPS; nobody labels which box is the user's, so that the one nearest to
its bearing is taken, and the fit leaves out those that agree with no camera.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Pose
from sitetwin.studies.vision.config import VisionStudy
from sitetwin.studies.vision.measured import Answer, folds_of, predicted_row
from sitetwin.studies.vision.scenario import Scenario
from sitetwin.vision import Camera, Detection, Detector, flags, frame_from_file
from sitetwin.vision.fitting import fit_camera
from sitetwin.vision.ground import Ground
from sitetwin.vision.profiles import (
    AngleMap,
    Descent,
    Pointing,
    PointReflectors,
    ProfileCodebook,
    Reconstruction,
    fit_map,
    fit_pointing,
    in_array_frame,
)
from sitetwin.vision.profiles.seen import boxed_reflectors

REFLECTED = "point reflectors (DT)"
ADAPTED = "point reflectors and mapping M (DT-Adapt)"
DESCENDED = "point reflectors and mapping M, descent as printed (DT-Adapt)"

USER_M = 1.5
"""Height of the transmitter on the user's car, metres, by judgement: no data set states it."""

_FEWEST = 20  # rows of a pool
_HEIGHT_M = 3.0  # of the camera, where none can be fitted
_BEARING_DEG = 12.0  # between the user's bearing and the middle of its box
_BLANK = (flags.BROKEN_IMAGE, flags.WRONG_SIZE)
_FREE = (("z", "yaw", "pitch", "roll"), ("yaw", "pitch"))  # what is fitted; fewer where drives tell less
_CARS = ("car", "van", "truck", "bus")

Boxes = dict[int, list[Detection]]
"""What was found in the image of each row."""


def detected(scenario: Scenario, detector: Detector, progress: Callable[[float], None]) -> Boxes:
    """Boxes in the image of each row that has one; what cannot be read holds nothing and is counted in a warning."""
    camera = Camera.from_view(Pose((0.0, 0.0, _HEIGHT_M)))
    found: Boxes = {}
    flagged = 0
    for row in range(len(scenario.drive)):
        path = scenario.file(row)
        if path is not None:
            frame = frame_from_file(path, camera)
            flagged += any(flag in _BLANK for flag in frame.flags)
            found[row] = detector.detect(frame)
        progress((row + 1) / len(scenario.drive))
    if flagged:
        warnings.warn(
            f"{flagged} images are broken or of another shape; they show nothing", SiteTwinWarning, stacklevel=2
        )
    return found


@dataclass(frozen=True, eq=False)
class SeenFold:
    """What is made of the images of one fold.

    Attributes:
        pool: Rows that may be seen.
        test: Rows that are judged.
        users: (N, 2) metres east and north of the station, at the time of the image.
        pointing: Where the array looks.
        book: The beams.
        camera: The camera beside the array.
        was_fitted: Whether the camera agrees with the boxes of the user's car; else it is a nominal one.
        measured: (N, 180) profiles of the measured powers.
        profiles: By row, profiles of Algorithm 1.
    """

    pool: np.ndarray
    test: np.ndarray
    users: np.ndarray
    pointing: Pointing
    book: ProfileCodebook
    camera: Camera
    was_fitted: bool
    measured: np.ndarray
    profiles: dict[int, np.ndarray]

    def of(self, rows: np.ndarray) -> np.ndarray:
        """(n, 180) profiles of Algorithm 1 of some rows."""
        return np.stack([self.profiles[row] for row in rows.tolist()])

    def mapping(self, scenario: Scenario, descent: Descent | None = None) -> AngleMap:
        """M of the rows that may be seen: by ridge, or by descent as printed."""
        pairs = self.of(self.pool), self.measured[self.pool], scenario.drive[self.pool]
        return fit_map(*pairs) if descent is None else fit_map(*pairs, "sgd", descent=descent)


def seen_folds(study: VisionStudy, scenario: Scenario, boxes: Boxes) -> Iterator[SeenFold]:
    """What is made of the images, fold by fold; nothing where there are few."""
    there = np.isin(np.arange(len(scenario.drive)), list(boxes))
    if there.sum() < 2 * _FEWEST:
        return
    place, velocity, power = scenario.east_north, scenario.velocity, scenario.power
    for fold in folds_of(study, scenario):
        pool, test = fold.pool[there[fold.pool]], fold.test[there[fold.test]]
        if len(pool) < _FEWEST or not len(test):
            continue
        pointing = fit_pointing(scenario.book, scenario.dead, place[pool], power[pool], velocity[pool])
        book = ProfileCodebook.of(scenario.book, scenario.dead, pointing.scale)
        users = place + pointing.lag * velocity
        camera, was_fitted = camera_of(scenario, boxes, users, pool, pointing)
        rows = [*pool.tolist(), *test.tolist()]
        profiles = {row: profile_of(camera, boxes[row], users[row], pointing) for row in rows}
        measured = Reconstruction("sum", study.measured.strongest).profiles(power, book)
        yield SeenFold(pool, test, users, pointing, book, camera, was_fitted, measured, profiles)


def reflected(study: VisionStudy, scenario: Scenario, folds: Sequence[SeenFold]) -> Iterator[dict[str, Any]]:
    """The twin as printed and with the mapping M, on drives that were not seen."""
    parts: dict[str, list[Answer]] = {REFLECTED: [], ADAPTED: [], DESCENDED: []}
    descent = Descent(steps=study.measured.descent_steps, seed=study.seed) if study.measured.descent_steps else None
    for fold in folds:
        wide, plain = fold.book.wide(study.measured.wide_beams), fold.of(fold.test)
        truth = wide.scores(fold.measured[fold.test])
        found: dict[str, tuple[np.ndarray, bool | None]] = {
            REFLECTED: (plain, None),
            ADAPTED: (fold.mapping(scenario)(plain), None),
        }
        if descent is not None:
            by_descent = fold.mapping(scenario, descent)
            found[DESCENDED] = by_descent(plain), by_descent.converged
        for name, (profile, converged) in found.items():
            parts[name].append(Answer(fold.test, fold.book.scores(profile), wide.scores(profile), truth, converged))
    fitted = sum(fold.was_fitted for fold in folds)
    if fitted < len(folds):
        warnings.warn(
            f"in {len(folds) - fitted} of {len(folds)} folds no camera agrees with the boxes of the user's car; one "
            f"{_HEIGHT_M:g} m high that looks along the array's boresight stands for it",
            SiteTwinWarning,
            stacklevel=2,
        )
    seen = max((len(fold.pool) for fold in folds), default=0)
    for name, answers in parts.items():
        if answers:
            yield predicted_row(
                study, scenario, name, answers, calibration_rows=seen, whole_pool=True, cameras_fitted=fitted
            )


def camera_of(
    scenario: Scenario, boxes: Boxes, users: np.ndarray, pool: np.ndarray, pointing: Pointing
) -> tuple[Camera, bool]:
    """The camera beside the array, fitted to boxes of the user's car, or a nominal one; and whether it was fitted.

    Where the drives do not tell its height, that of the nominal camera is kept.

    Args:
        scenario: The scenario.
        boxes: Of each row.
        users: (N, 2) metres east and north of the station, at the time of the image.
        pool: Rows that may be seen.
        pointing: Where the array looks.
    """
    start = Camera.from_view(Pose((0.0, 0.0, _HEIGHT_M), pointing.boresight_rad))
    pairs = [(row, box) for row in pool.tolist() if (box := _of_user(start, boxes[row], users[row])) is not None]
    if not pairs:
        return start, False
    rows = np.array([row for row, _ in pairs])
    heading = np.arctan2(scenario.velocity[rows, 1], scenario.velocity[rows, 0])
    seen = np.array([box.box for _, box in pairs])
    for free in _FREE:
        try:
            return fit_camera(start, seen, users[rows], heading, Ground(), free=free).camera, True
        except SiteTwinError:  # the drives of one lane tell no height
            continue
    return start, False


def _of_user(camera: Camera, found: Sequence[Detection], user: np.ndarray) -> Detection | None:
    """The vehicle whose middle is nearest to the user's bearing, if it is near enough."""
    best, least = None, math.radians(_BEARING_DEG)
    for box in found:
        if box.name in _CARS:
            ray = camera.rays(np.array([[0.5 * (box.box[0] + box.box[2]), camera.cy]]))[0]
            off = abs(math.remainder(math.atan2(ray[1], ray[0]) - math.atan2(user[1], user[0]), 2 * math.pi))
            if off < least:
                best, least = box, off
    return best


def profile_of(camera: Camera, found: Sequence[Detection], user: np.ndarray, pointing: Pointing) -> np.ndarray:
    """(180,) profile of Algorithm 1 of one image.

    Args:
        camera: The camera, metres east and north of the station.
        found: Boxes of its image.
        user: (2,) metres east and north of the station.
        pointing: Where the array looks.
    """
    seen = boxed_reflectors(camera, found, Ground())
    station = np.array([0.0, 0.0, camera.position[2]])
    objects = in_array_frame(seen.points, station, pointing.boresight_rad)
    place = in_array_frame(np.array([[*user, USER_M]]), station, pointing.boresight_rad)[0]
    return PointReflectors().profile(place, objects, seen.names)
