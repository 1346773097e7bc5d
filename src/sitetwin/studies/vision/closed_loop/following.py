"""Twins follow drives, and say of each judged moment what the study keeps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sitetwin.studies.frame import read_part, write_part
from sitetwin.studies.vision.closed_loop.boxes import Remembering
from sitetwin.studies.vision.closed_loop.fitting import FittedDrive, camera_note, fitted_cameras
from sitetwin.studies.vision.config import VisionStudy
from sitetwin.studies.vision.printed.eyes import kept_moment
from sitetwin.vision import Detection, Detector, PerfectDepth, PerfectDetector
from sitetwin.vision.camera_files import CameraFile
from sitetwin.vision.networks.lines import LineNetwork
from sitetwin.vision.scene import UserOptions, sight_powers
from sitetwin.vision.scene.street_twin import TwinOptions
from sitetwin.vision.worlds import MapFree, Recording, World, follow, recorded_world

TRUE = "true boxes"

_LEAST_GPS = 0.05  # metres: a filter cannot take fixes for exact


class Follower:
    """Lets twins follow drives; what they say of each drive is a part of the study, so that a stopped run goes on.

    Args:
        study: The configuration.
        folder: The study's folder.
        key: Of the parts.
        detector: Networks for real perception; None leaves it out.
        lines: Finds poles for the published chain, beside the detector; None leaves them out.

    Attributes:
        eyes: What perceives, by its name in the results.
        folder: The study's folder.
        key: Of the parts.
    """

    def __init__(
        self, study: VisionStudy, folder: Path, key: str, detector: Detector | None, lines: LineNetwork | None = None
    ) -> None:
        networks: dict[str, Detector] = {} if detector is None else {"networks": detector}
        self.eyes: dict[str, Detector] = {**networks, TRUE: PerfectDetector()}
        self.folder, self.key = folder, key
        self._study, self._lines = study, lines
        self._worlds: dict[str, World] = {}
        self._cameras: dict[str, list[FittedDrive]] = {}

    @property
    def fits(self) -> bool:
        """Whether cameras are fitted, so that drives can be followed only when all of them are there."""
        return self._study.loop.camera == "fitted"

    def kept(self, number: int, name: str, recording: Recording) -> list[dict[str, Any]] | None:
        """Return what was said of a drive before; None where it was not followed, or was another recording."""
        held = read_part(self._path("drive", number, name), self._held(name, recording))
        return None if held is None else list(held)

    def look(self, number: int, recording: Recording) -> dict[str, list[list[Detection]]]:
        """Return the boxes of each perception in each frame of a drive, and keep them."""
        found = {}
        for name in self.eyes:
            seen = self._remembering(number, name, recording)
            found[name] = [seen.detect(recording.frame(row)) for row in range(len(recording.numbers))]
            seen.write()
        return found

    def fit(self, recordings: Sequence[Recording]) -> list[str]:
        """Fit the camera of each drive to the others through its street, for each perception; say how well."""
        boxes = [self.look(number, one) for number, one in enumerate(recordings)]
        for name in self.eyes:
            self._cameras[name] = fitted_cameras(recordings, [one[name] for one in boxes], self._study.seed)
        return [camera_note(name, recordings, self._cameras[name]) for name in self.eyes]

    def follow(self, number: int, recording: Recording) -> dict[str, list[dict[str, Any]]]:
        """Return what twins with each perception say of the judged moments of a drive."""
        said = {}
        for name in self.eyes:
            kept = self.kept(number, name, recording)
            if kept is None:
                seen = self._remembering(number, name, recording)
                camera = self._cameras[name][number].camera if self.fits else None
                kept = list(self._followed(recording, name, seen, camera))
                seen.write()
                write_part(self._path("drive", number, name), self._held(name, recording), kept)
            said[name] = kept
        return said

    def world_of(self, recording: Recording) -> World:
        """Return the world of a recording, made once for all drives through it."""
        plan = json.dumps(recording.world, sort_keys=True)
        if plan not in self._worlds:
            self._worlds[plan] = recorded_world(recording)
        return self._worlds[plan]

    def _remembering(self, number: int, name: str, recording: Recording) -> Remembering:
        return Remembering(self.eyes[name], self._path("boxes", number, name), f"{self.key} {recording.identity}")

    def _held(self, name: str, recording: Recording) -> str:
        poles = " and poles" if self._lines is not None and name != TRUE else ""
        return f"{self.key} {self.eyes[name].name}{poles} {recording.identity}"

    def _path(self, what: str, number: int, name: str) -> Path:
        return self.folder / "parts" / f"{what}-{number:04d}-{name.replace(' ', '-')}.json"

    def _followed(
        self, recording: Recording, name: str, detector: Detector, camera: CameraFile | None
    ) -> Iterator[dict[str, Any]]:
        """What a twin says of each judged moment of a drive, as plain values."""
        user = replace(UserOptions(), gps_sigma=max(recording.choices.gps_sigma, _LEAST_GPS))
        options, world = TwinOptions(draws=self._study.loop.draws, user=user), self.world_of(recording)
        free = MapFree(world.bare, PerfectDepth() if self._study.loop.facades == "depth" else None)
        for one in follow(
            recording,
            world.known,
            world.station,
            detector,
            camera=camera,
            options=options,
            seed=self._study.seed,
            map_free=free,
        ):
            assert one.without_map is not None
            fix = np.array([[*recording.fixes[one.row], options.antenna]])  # streets are level, at the height 0
            tracked = np.array([[*one.moment.user.position, options.antenna]])
            yield {
                "row": one.row,
                "order": one.ranking.order.tolist(),
                "sweep": one.ranking.sweep,
                "ranked_by": one.ranking.source,
                "order_map_free": one.without_map.order.tolist(),
                "sight": _ranked(sight_powers(world.station, fix)),
                "tracked": _ranked(sight_powers(world.station, tracked)),
                "blocked": one.moment.blocked,
                "ahead": one.moment.blocked_ahead,
                "off_m": float(np.linalg.norm(one.moment.user.position - recording.true_places[one.row, :2])),
                "flags": [*one.moment.flags, *one.street_flags],
                "seconds": one.seconds,
                "scene": kept_moment(
                    recording,
                    world,
                    one,
                    self._lines,
                    name == TRUE,
                    recording.camera if camera is None else camera.camera,
                ),
            }


def _ranked(powers: np.ndarray) -> list[int]:
    return [int(beam) for beam in np.argsort(-powers[0], kind="stable")]
