"""Let a twin follow a recorded drive: detect, place, track, trace; one result for each judged moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site
from sitetwin.vision.camera import Camera
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.frames import Detection, Frame
from sitetwin.vision.ground import Ground
from sitetwin.vision.protocols import Depth, Detector
from sitetwin.vision.scene import Moment, Ranking, Station, StreetTwin, Traced, TwinOptions
from sitetwin.vision.scene.facade_lines import facades_by_lines
from sitetwin.vision.scene.facades import facade_site, find_facades
from sitetwin.vision.scene.objects import StreetObject
from sitetwin.vision.scene.placing import Placing, place_boxes
from sitetwin.vision.street import CanyonPlan
from sitetwin.vision.worlds.reading import Recording
from sitetwin.vision.worlds.world import World, WorldPlan, make_world

_SURE = 2.0  # m2, trace of the covariance of a vehicle that walls stand beyond
ALONG_THE_STREET = Placing(headings=(0.0,))
"""Vehicles of made-up streets drive along the x axis; a map's streets say as much."""


@dataclass(frozen=True, eq=False)
class MapFree:
    """What a twin without a map works with.

    Attributes:
        ground: The ground alone.
        depth: Tells the distance of what the first frame of a window shows; facades are found in it. Without it they
            are found by straight lines of the frames up to the first that is judged.
        heading: Direction of the street, radians from east; lines tell it themselves.
    """

    ground: Site
    depth: Depth | None = None
    heading: float = 0.0


@dataclass(frozen=True, eq=False)
class Followed:
    """One judged moment.

    Attributes:
        row: Row of the recording.
        detections: What the detector found.
        moment: What the twin knows.
        traced: Beams over draws of the scene.
        ranking: The ranked beams.
        without_map: The same of a twin that knows of the street what its camera sees; None where none was asked for.
        street_flags: What was wrong with that street, in words of `sitetwin.vision.scene.facade_lines`.
        seconds: Of "detect", "place and track" and "trace".
    """

    row: int
    detections: tuple[Detection, ...]
    moment: Moment
    traced: Traced
    ranking: Ranking
    without_map: Ranking | None
    street_flags: tuple[str, ...]
    seconds: dict[str, float]


def recorded_world(recording: Recording) -> World:
    """Make the world in which a drive was recorded.

    Raises:
        SiteTwinError: The recording's description of it is damaged.
    """
    try:
        about = dict(recording.world)
        low, high = about["street"]["heights"]
        street = CanyonPlan(**{**about["street"], "heights": (float(low), float(high))})
        return make_world(WorldPlan(**{**about, "street": street}))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SiteTwinError(
            f"the recording in '{recording.folder}' names a damaged world ({error}); record the drive again"
        ) from error


def follow(
    recording: Recording,
    base: Site,
    station: Station,
    detector: Detector,
    *,
    camera: CameraFile | None = None,
    placing: Placing = ALONG_THE_STREET,
    options: TwinOptions | None = None,
    seed: int = 0,
    map_free: MapFree | None = None,
) -> Iterator[Followed]:
    """Follow the windows of a drive, each with a twin that begins anew.

    Args:
        recording: The drive.
        base: What the twin knows of the site: `World.known`, or `World.bare` for a twin without a map.
        station: The station.
        detector: Finds vehicles in the frames.
        camera: The camera as it was fitted, with its covariance; that of the recording, which is known, by default.
        placing: How boxes become objects.
        options: How the twin works.
        seed: Of the twin's draws.
        map_free: For a second ranking without a map, of the same boxes and tracks.

    Yields:
        The judged moments from which the user had a fix, in their order.
    """
    seen_by = recording.camera if camera is None else camera.camera
    unsure = None if camera is None else camera.covariance
    ground = Ground(base.corners[base.is_ground])
    for window in sorted(set(recording.window.tolist())):
        twin = StreetTwin(base, station, options, np.random.default_rng([seed, window]), seen_by)
        street = _SeenStreet(seen_by, map_free) if map_free is not None else None
        for row in np.flatnonzero(recording.window == window).tolist():
            started = time.perf_counter()
            detections = detector.detect(recording.frame(row))
            detected = time.perf_counter()
            placed = [one for one in place_boxes(seen_by, detections, ground, placing, unsure) if one is not None]
            moment = twin.step(float(recording.times[row]), recording.fixes[row], placed, detections)
            tracked = time.perf_counter()
            if street is not None:
                street.look(recording.frame(row), detections, placed, bool(recording.judged[row]))
            if moment is None or not recording.judged[row]:
                continue
            traced, ranking = twin.trace(moment)
            seconds = {
                "detect": detected - started,
                "place and track": tracked - detected,
                "trace": time.perf_counter() - tracked,
            }
            free = None if street is None or street.site is None else twin.trace(moment, street.site)[1]
            flags = () if street is None else street.flags
            yield Followed(row, tuple(detections), moment, traced, ranking, free, flags, seconds)


class _SeenStreet:
    """The ground with the facades that frames of a window show beside the boxes of vehicles."""

    def __init__(self, camera: Camera, how: MapFree) -> None:
        self._camera, self._how = camera, how
        self._images: list[np.ndarray] = []
        self._moving: list[np.ndarray] = []
        self._vehicles: list[np.ndarray] = []
        self.site: Site | None = None
        self.flags: tuple[str, ...] = ()

    def look(self, frame: Frame, detections: Sequence[Detection], placed: Sequence[StreetObject], last: bool) -> None:
        """Take one more frame, unless the street is known; with depth one is enough, and lines have all to the last."""
        if self.site is not None:
            return
        camera, how = self._camera, self._how
        moving = np.zeros((camera.height, camera.width), dtype=bool)
        for one in detections:
            left, upper, right, lower = (int(edge) for edge in one.box)
            moving[upper : lower + 1, left : right + 1] = True
        level = float(how.ground.bounds[0, 2])
        if how.depth is not None:
            found = find_facades(camera, how.depth.depth(frame, camera), how.heading, ground=level, moving=moving)
            self.site = facade_site(how.ground, found, level)
            return
        self._images.append(frame.image)
        self._moving.append(moving)
        self._vehicles += [one.position for one in placed if np.trace(one.covariance) < _SURE]
        if last:
            vehicles = np.array(self._vehicles).reshape(-1, 2)
            seen = facades_by_lines(camera, self._images, self._moving, ground=level, vehicles=vehicles)
            self.site, self.flags = facade_site(how.ground, seen.facades, level), seen.flags
