"""Watch a drive: for each frame boxes, scene, blockage and ranked beams. Nothing in the middle of a drive ends it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.channel import AntennaArray
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import Site
from sitetwin.site.places.pose import Pose
from sitetwin.store.files import disk_errors
from sitetwin.vision import flags as words
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.frames import Detection
from sitetwin.vision.ground import Ground
from sitetwin.vision.images import frame_from_file
from sitetwin.vision.live.reading import Shot
from sitetwin.vision.protocols import Detector
from sitetwin.vision.scene import Moment, Ranking, Station, StreetTwin, TwinOptions
from sitetwin.vision.scene.placing import Placing, place_boxes
from sitetwin.vision.scene.user import TRACK_RESTARTED

STAGES = ("read", "detect", "place and track", "trace")

LONGEST_GAP = 10.0
"""Seconds between frames beyond which the twin begins anew."""

LOST_BEYOND = 30.0
"""Standard deviation of the user's place in metres beyond which no beams are ranked."""

_AHEAD_M = 5.0


@dataclass(frozen=True, eq=False)
class Watching:
    """How a drive is watched.

    Attributes:
        station: The radio; one of 16 elements and 64 beams at the camera's place that looks where the camera looks by
            default.
        placing: How boxes become objects, with the directions of the street where they are known.
        options: How the twin works.
        seed: Of its draws.
    """

    station: Station | None = None
    placing: Placing = field(default_factory=Placing)
    options: TwinOptions = field(default_factory=TwinOptions)
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Watched:
    """One frame.

    Attributes:
        shot: The moment.
        flags: What was wrong, in words of `sitetwin.vision.flags` and `sitetwin.vision.scene.user`.
        detections: What the detector found.
        moment: What the twin knows; None before the first fix.
        ranking: The ranked beams; None where there is no moment, or the user is lost.
        seconds: Of each of `STAGES`.
    """

    shot: Shot
    flags: tuple[str, ...]
    detections: tuple[Detection, ...]
    moment: Moment | None
    ranking: Ranking | None
    seconds: dict[str, float]


def watch(
    site: Site, camera: CameraFile, shots: Iterable[Shot], detector: Detector, how: Watching | None = None
) -> Iterator[Watched]:
    """Follow a drive, one result for each moment.

    A frame that cannot be used, a missing or impossible fix, and a time that runs backwards are flagged, and the tracks
    stand in their place. Where no path is found, beams towards the user are ranked.

    Args:
        site: The site.
        camera: The camera with its place in the site, and the covariance of a fit.
        shots: The moments in their order.
        detector: Finds objects.
        how: How the drive is watched.

    Yields:
        What is known of each moment.

    Raises:
        SiteTwinError: Before the first moment: the site has no ground, or the station's place is none.
    """
    how = how or Watching()
    pose = camera.camera.pose
    station = how.station or Station(Pose(pose.position, pose.yaw), AntennaArray.ula(16))
    ground = Ground.of_site(site)
    place = np.array(station.pose.position)
    there = place + _AHEAD_M * np.array([math.cos(station.pose.yaw), math.sin(station.pose.yaw), 0.0])
    trace(site, place, there[None], TraceSettings(max_depth=0))  # a place inside a house is refused before the drive
    return _followed(site, camera, shots, detector, ground, Watching(station, how.placing, how.options, how.seed))


def _followed(
    site: Site, camera: CameraFile, shots: Iterable[Shot], detector: Detector, ground: Ground, how: Watching
) -> Iterator[Watched]:
    assert how.station is not None
    rng = np.random.default_rng(how.seed)
    twin, last = StreetTwin(site, how.station, how.options, rng, camera.camera), -math.inf
    for shot in shots:
        clock = [time.perf_counter()]
        frame = frame_from_file(shot.image, camera.camera, shot.time)
        clock.append(time.perf_counter())
        unseen = {words.NO_IMAGE, words.BROKEN_IMAGE, words.WRONG_SIZE} & set(frame.flags)
        detections = () if unseen else tuple(detector.detect(frame))
        clock.append(time.perf_counter())
        flagged = [*frame.flags, *([] if detections or unseen else [words.NO_DETECTION])]
        fix, now, gap = shot.fix, shot.time, shot.time - last
        used = None if unseen else detections
        if gap <= 0:
            flagged.append(words.CLOCK)
        if math.isfinite(gap) and abs(gap) > LONGEST_GAP:
            twin = StreetTwin(site, how.station, how.options, rng, camera.camera)
            flagged.append(TRACK_RESTARTED)
        elif gap <= 0:  # a clock that disagrees says nothing of when and where
            fix, now, used = None, last, None
        last = now
        placed = place_boxes(camera.camera, used or (), ground, how.placing, camera.covariance)
        moment = twin.step(now, fix, None if used is None else [one for one in placed if one is not None], used)
        clock.append(time.perf_counter())
        flagged += _of_place(site, how.station, moment)
        ranking = None
        if moment is not None and words.USER_LOST not in flagged:
            try:
                ranking = twin.trace(moment)[1]
            except SiteTwinError:
                flagged.append(words.NOT_TRACED)
        clock.append(time.perf_counter())
        seconds = dict(zip(STAGES, np.diff(clock).tolist(), strict=True))
        yield Watched(shot, tuple(dict.fromkeys(flagged)), detections, moment, ranking, seconds)


def _of_place(site: Site, station: Station, moment: Moment | None) -> list[str]:
    """What is wrong with the user's place."""
    if moment is None:
        return [words.NO_PLACE]
    flagged = list(moment.flags)
    if math.sqrt(0.5 * np.trace(moment.user.covariance)) > LOST_BEYOND:
        return [*flagged, words.USER_LOST]
    east, north = moment.user.position - np.array(station.pose.position[:2])
    away = (math.atan2(north, east) - station.pose.yaw + math.pi) % (2 * math.pi) - math.pi
    if abs(away) > station.half_span:
        flagged.append(words.OUT_OF_VIEW)
    low, high = site.bounds[:, :2]
    if not ((moment.user.position >= low) & (moment.user.position <= high)).all():
        flagged.append(words.OFF_SITE)
    return flagged


def line_of(watched: Watched) -> dict[str, Any]:
    """What is known of a frame as plain values: metres, radians, pixels, seconds; nothing that differs between runs."""
    moment, ranking = watched.moment, watched.ranking
    found: dict[str, Any] = {
        "frame": watched.shot.name,
        "time_s": watched.shot.time,
        "flags": list(watched.flags),
        "boxes": [
            {"class": one.name, "score": round(one.score, 4), "box": [round(edge, 2) for edge in one.box]}
            for one in watched.detections
        ],
        "user": None,
        "objects": [],
        "blocked": None,
        "blocked_ahead": None,
        "beams": None,
    }
    if moment is not None:
        found["user"] = {
            "east_m": round(float(moment.user.position[0]), 3),
            "north_m": round(float(moment.user.position[1]), 3),
            "sigma_m": round(math.sqrt(0.5 * float(np.trace(moment.user.covariance))), 3),
        }
        found["objects"] = [
            {
                "class": one.name,
                "track": one.track,
                "east_m": round(float(one.position[0]), 3),
                "north_m": round(float(one.position[1]), 3),
                "heading_rad": round(one.heading, 4),
                "sigma_m": round(math.sqrt(0.5 * float(np.trace(one.covariance))), 3),
                "unseen_s": round(one.since_seen, 3),
            }
            for one in moment.objects
        ]
        found["blocked"], found["blocked_ahead"] = round(moment.blocked, 4), round(moment.blocked_ahead, 4)
    if ranking is not None:
        found["beams"] = {
            "order": ranking.order.tolist(),
            "probability": [round(float(value), 5) for value in ranking.probability[ranking.order]],
            "sweep": ranking.sweep,
            "ranked_by": ranking.source,
        }
    return found


def write_lines(watched: Iterable[Watched], path: str | Path) -> list[dict[str, float]]:
    """Write one line of JSON for each frame as it comes, so that another program can read along.

    Args:
        watched: What `watch` yields.
        path: The file; one that is there is replaced.

    Returns:
        The seconds of the stages of each frame.

    Raises:
        SiteTwinError: The file cannot be written.
    """
    path, seconds = Path(path), []
    with disk_errors(f"writing {path.name}", path.parent, "watch again"), path.open("w", encoding="utf-8") as file:
        for one in watched:
            file.write(json.dumps(line_of(one)) + "\n")
            file.flush()
            seconds.append(one.seconds)
    return seconds


def latency(seconds: Sequence[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile of the seconds of each stage, and of all together; nothing without frames."""
    if not seconds:
        return {}
    of = {stage: np.array([one[stage] for one in seconds]) for stage in STAGES}
    of["together"] = np.sum(list(of.values()), axis=0)
    return {stage: (float(np.median(each)), float(np.percentile(each, 95))) for stage, each in of.items()}
