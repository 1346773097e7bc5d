"""Cameras of the closed loop that are fitted to boxes and fixes of other drives, in the place of the known one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.vision import Camera, Detection, Ground, fit_camera
from sitetwin.vision.camera import PARAMETERS
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.scene.edges import known_edges
from sitetwin.vision.scene.objects import CLASS_SIZES
from sitetwin.vision.scene.user import UserOptions
from sitetwin.vision.tiles import VEHICLES
from sitetwin.vision.worlds import Recording

MOUNTED = {"z": 0.3, "yaw": math.radians(1.5), "pitch": math.radians(1.0), "roll": math.radians(0.5)}
"""Standard deviations with which somebody who mounts a camera tells its height and direction, metres and radians."""

_REACH = 30.0  # pixels between the edges of a box and of where the fix would be seen
_PIXEL_SIGMA = (6.0, 4.0)  # of a detector's box, middle across and lower edge, pixels


@dataclass(frozen=True, eq=False)
class Pair:
    """A box of the user's car and the fix of its moment.

    Attributes:
        box: Edges, pixels.
        fix: (2,) metres.
        window: Window of the drive; the errors of its fixes are mostly alike.
    """

    box: tuple[float, float, float, float]
    fix: np.ndarray
    window: int


@dataclass(frozen=True, eq=False)
class FittedDrive:
    """The camera with which one drive is followed.

    Attributes:
        camera: It, with its covariance.
        pairs: Pairs of the other drives through its street.
        refused: Why nothing could be fitted, so that the camera is as it was mounted; empty for a fit.
    """

    camera: CameraFile
    pairs: int
    refused: str = ""


def mounted_camera(recording: Recording, seed: int) -> CameraFile:
    """Return a street's camera as somebody told it who mounted it, with errors of `MOUNTED`.

    Args:
        recording: A drive through the street.
        seed: Of the errors; all drives through a street have the same ones.
    """
    street = int(recording.world.get("street", {}).get("seed", 0))
    sigma = np.array([MOUNTED.get(name, 0.0) for name in PARAMETERS])
    step = sigma * np.random.default_rng([seed, street, 6]).standard_normal(len(PARAMETERS))
    return CameraFile(recording.camera.moved(step), np.diag(sigma**2))


def pairs_of(recording: Recording, boxes: Sequence[Sequence[Detection]], start: Camera) -> list[Pair]:
    """Find the user's car in the boxes of a drive.

    It is the vehicle whose box is the nearest to where the camera, as far as it is known, would see a car at the fix;
    its edges lie within some 30 pixels of that, and nothing hides or cuts it.

    Args:
        recording: The drive.
        boxes: What was found in each of its frames.
        start: The camera, roughly.
    """
    found: list[Pair] = []
    for fix, window, detections in zip(recording.fixes, recording.window.tolist(), boxes, strict=True):
        seen = outlines(start, np.array([[*fix, 0.0]]), np.zeros(1), np.array([CLASS_SIZES["car"]]))[0]
        known = known_edges(start, detections)
        away = [
            float(np.linalg.norm(np.array(one.box) - seen)) / 2 if one.name in VEHICLES and edges.all() else math.inf
            for one, edges in zip(detections, known, strict=True)
        ]
        if away and min(away) < _REACH:
            found.append(Pair(detections[int(np.argmin(away))].box, fix, window))
    return found


def fitted_cameras(
    recordings: Sequence[Recording], boxes: Sequence[Sequence[Sequence[Detection]]], seed: int
) -> list[FittedDrive]:
    """Fit the camera of each drive to the boxes and fixes of the other drives through its street.

    Args:
        recordings: The drives.
        boxes: What was found in each frame of each.
        seed: Of the errors of the mounted cameras.

    Returns:
        One for each drive; where a fit is refused, the camera as it was mounted, with the errors of that.
    """
    names = [str(one.world.get("name")) for one in recordings]
    starts = [mounted_camera(one, seed) for one in recordings]
    pairs = [pairs_of(one, seen, start.camera) for one, seen, start in zip(recordings, boxes, starts, strict=True)]
    found = []
    for number, one in enumerate(recordings):
        others = [k for k, name in enumerate(names) if name == names[number] and k != number]
        own = [pairs[k] for k in others]
        try:
            camera, refused = _fitted(own, starts[number].camera, one.choices.gps_sigma), ""
        except SiteTwinError as error:
            camera, refused = starts[number], str(error)
        found.append(FittedDrive(camera, sum(map(len, own)), refused))
    return found


def _fitted(drives: Sequence[Sequence[Pair]], start: Camera, gps_sigma: float) -> CameraFile:
    """The camera that agrees best with the pairs of some drives and with what was told when it was mounted.

    What lasts of a fix's error through a window, and the way from the antenna to the middle of the car, are one error
    of all its pairs, which therefore count as one pair where these are larger than the rest.
    """
    pairs = [pair for drive in drives for pair in drive]
    alike = [sum(other.window == pair.window for other in drive) for drive in drives for pair in drive]
    how = UserOptions()
    lasting = how.gps_lasting * gps_sigma**2 + how.antenna_sigma**2
    passing = (1.0 - how.gps_lasting) * gps_sigma**2
    found = fit_camera(
        start,
        np.array([pair.box for pair in pairs]).reshape(-1, 4),
        np.array([pair.fix for pair in pairs]).reshape(-1, 2),
        np.zeros(len(pairs)),  # made-up streets lead along the x axis
        Ground(),
        told=MOUNTED,
        gps_sigma=np.sqrt(lasting * np.array(alike, dtype=np.float64) + passing),
        pixel_sigma=_PIXEL_SIGMA,
    )
    return CameraFile(found.camera, found.covariance)


def camera_note(name: str, recordings: Sequence[Recording], found: Sequence[FittedDrive]) -> str:
    """Say how far off the fitted cameras of one perception are.

    Args:
        name: Of the perception.
        recordings: The drives.
        found: Their cameras.
    """
    fits = [(one.camera, fit.camera.camera) for one, fit in zip(recordings, found, strict=True) if not fit.refused]
    said = f"Camera, {name}: fitted for {len(fits)} of {len(found)} drives"
    if fits:
        turns = np.array(
            [
                [
                    math.remainder(a - b, math.tau)
                    for a, b in zip(new.pose.orientation, old.pose.orientation, strict=True)
                ]
                for old, new in fits
            ]
        )
        yaw, pitch, roll = np.degrees(np.median(np.abs(turns), axis=0)).tolist()
        height = float(np.median([abs(new.pose.position[2] - old.pose.position[2]) for old, new in fits]))
        said += f", off by {height:.2f} m of height and {yaw:.2f}, {pitch:.2f}, {roll:.2f} degrees of yaw, pitch, roll"
        said += " (medians)"
    return f"{said}; the others are taken as they were mounted." if len(fits) < len(found) else f"{said}."
