"""Target: recordings of drives that a camera has seen."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sitetwin.site import Site, with_georeference
from sitetwin.site.places.pose import Pose
from sitetwin.untrusted.video import VideoClock, video_clock
from sitetwin.vision.camera import Camera
from sitetwin.vision.live import Shot, read_shots
from sitetwin.vision.street import CanyonPlan, make_canyon
from sitetwin.vision.worlds.campaign import read_campaign
from sitetwin.vision.worlds.reading import Recording, read_recording
from sitetwin.vision.worlds.recording import BOX_COLUMNS, GPS_COLUMNS, Choices
from tests.fuzz.judge import Target
from tests.vision.videos import write_video

_BEAMS = 4


def _table(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _seeds() -> list[dict[str, bytes]]:
    about = {
        "format": "sitetwin-drive",
        "version": 1,
        "world": {"name": "street-00"},
        "camera": asdict(Camera.from_view(Pose((0.0, -8.0, 6.0), 1.5), 96, 54)),
        "station": {"beams": _BEAMS},
        "noise_mw": 2e-9,
        "choices": asdict(Choices()),
        "frames": [3, 4],
        "times_s": [0.75, 1.0],
        "window": [0, 0],
        "judged": [False, True],
        "sight": ["clear", "vehicle"],
    }
    gps = [list(GPS_COLUMNS), [0.75, 3, 1.0, 2.0, 1.1, 2.2, 1.6], [1.0, 4, 2.0, 2.0, 2.1, 2.2, 1.6]]
    powers = [["frame", "engine", *(f"beam_{k}" for k in range(_BEAMS))], [4, "sionna", 1e-9, 2e-9, 3e-9, 1e-9]]
    place, size = [1.0, 2.0, 0.0, 8.0], [4.5, 1.8, 1.5]
    boxes = [
        list(BOX_COLUMNS),
        [3, 0, "vehicle-0", "car", *place, *size, 10, 20, 30, 40, 120, 150, 0],
        [4, 1, "vehicle-1", "bus", *place, *size, "", "", "", "", 0, 90, 0],
    ]
    files = {"gps.csv": _table(gps), "powers.csv": _table(powers), "boxes.csv": _table(boxes)}
    return [{"drive.json": json.dumps(about).encode(), **files}]


def _sound(recording: Recording) -> None:
    count = len(recording.numbers)
    assert len(recording.times) == len(recording.window) == len(recording.judged) == len(recording.boxes) == count
    assert recording.fixes.shape == (count, 2)
    assert recording.powers.shape[0] == count
    for values in (recording.times, recording.fixes, recording.true_places):
        assert np.isfinite(values).all()


def _campaigns() -> list[dict[str, bytes]]:
    about = {
        "format": "sitetwin-campaign",
        "version": 1,
        "natural_blocked_share": 0.1,
        "drives": ["street-00/drive-000"],
    }
    return [{"campaign.json": json.dumps(about).encode()}]


def _shared(found: tuple[list[Recording], float]) -> None:
    assert 0 <= found[1] <= 1


@cache
def _site() -> Site:
    return with_georeference(make_canyon(CanyonPlan(lanes=2, trees=0.0, half_length=20.0)).ground, 48.1, 11.5)


def _shots() -> list[dict[str, bytes]]:
    fixes = [["time_s", "frame", "east_m", "north_m"], [0.0, 1, 1.0, 2.0], [0.25, "b.png", "", ""]]
    degrees = [["time_s", "latitude", "longitude"], [0.0, 48.1, 11.5], [0.25, 48.1, 11.5]]
    images = {"frames/00001.jpg": b"", "frames/b.png": b""}
    return [{"gps.csv": _table(rows), **images} for rows in (fixes, degrees)]


def _read_shots(folder: Path) -> list[Shot]:
    return read_shots(folder / "frames", folder / "gps.csv", _site())


def _moments(shots: list[Shot]) -> None:
    for shot in shots:
        assert np.isfinite(shot.time)
        assert shot.fix is None or np.isfinite(shot.fix).all()


def _videos() -> list[dict[str, bytes]]:
    seeds = []
    with TemporaryDirectory() as folder:
        for name, code in (("drive.avi", "MJPG"), ("drive.mp4", "mp4v"), ("drive.mkv", "mp4v")):
            write_video(Path(folder) / name, 3, code)
            seeds.append({name: (Path(folder) / name).read_bytes()})
    return seeds


def _clock(clock: VideoClock) -> None:
    assert len(clock.times) > 0, "no frames"
    assert np.isfinite(clock.times).all()


def _read_video(folder: Path) -> VideoClock:
    file = next(iter(sorted(folder.iterdir())))
    return video_clock(file, f"video '{file}'")


TARGETS = (
    Target("video", _read_video, _videos, (b"RIFF", b"idx1", b"moov", b"stts", b"\x1a\x45\xdf\xa3"), _clock, 0.1),
    Target("drive", read_recording, _seeds, (b"frames", b"sight"), _sound),
    Target("shots", _read_shots, _shots, (b"time_s", b"latitude", b"frame"), _moments, named=False),
    Target("campaign", read_campaign, _campaigns, (b"drives",), _shared),
)
