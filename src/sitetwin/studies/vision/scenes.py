"""Collect what the page shows of some drives: images, objects and profiles of their moments, within some megabytes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from sitetwin.studies.records import as_document
from sitetwin.studies.vision.printed.chain import Said
from sitetwin.studies.vision.printed.moments import Parts, RenderedMoments
from sitetwin.studies.vision.printed.names import END_TO_END, MEASURED, PRINTED, RIDGE, TRACED
from sitetwin.studies.vision.scene_records import SCHEMA, SHOWN_DEG, Scenes
from sitetwin.vision import Camera
from sitetwin.vision.images import scaled
from sitetwin.vision.profiles import AZIMUTH_DEG, ProfileCodebook, Reconstruction, peak_one
from sitetwin.vision.scene.objects import CLASS_SIZES
from sitetwin.vision.worlds import Recording, World

MOST_MOMENTS = 120
MOST_BYTES = 2_500_000
"""Moments that are shown, and bytes of their images: the page stays within some four megabytes."""

_WIDTH, _QUALITY = 480, 72
_FAR = 1e6  # metres: where the horizon is
_AROUND = 70.0  # metres about the station within which walls are shown

Item = TypeVar("Item")


def scenes_of(
    recordings: Sequence[Recording],
    worlds: Sequence[World],
    moments: RenderedMoments,
    parts: Parts,
    said: Sequence[Said],
    strongest: int,
) -> list[dict[str, Any]]:
    """Collect what the page shows of the closed loop.

    Args:
        recordings: The drives.
        worlds: The world of each.
        moments: Their judged moments.
        parts: What was kept of each.
        said: What each method said.
        strongest: Beams that equation 1 adds up.
    """
    perception = "networks" if "networks" in parts else next(iter(parts))
    curves = _curves(moments, said, perception, strongest)
    drives: list[dict[str, Any]] = []
    left, used = MOST_BYTES, 0
    for number in _order(moments):
        rows = np.flatnonzero(moments.drive == number).tolist()
        pairs = spread(list(zip(rows, parts[perception][number], strict=True)), MOST_MOMENTS)
        drive = _drive(recordings[number], worlds[number], perception)
        shown = [_moment(recordings[number], kept, row, moments, curves) for row, kept in pairs]
        size = sum(len(one["image"]) for one in shown)
        if drives and (used + len(shown) > MOST_MOMENTS or size > left):
            break
        if size > left:  # one long drive
            shown = spread(shown, max(1, len(shown) * left // size))
            size = left
        drives.append({**drive, "moments": shown})
        left, used = left - size, used + len(shown)
    return drives


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Choose some items, evenly from the first to the last: all where they are no more than the most."""
    places = np.linspace(0, len(items) - 1, min(len(items), most))
    return [items[place] for place in np.unique(np.rint(places).astype(int)).tolist()]


def scenes_document(drives: Sequence[dict[str, Any]], moments: int) -> dict[str, Any]:
    """The content of `scenes.json`.

    Args:
        drives: From `scenes_of` and `scenario_scenes`.
        moments: Moments that there are in all.
    """
    shown = sum(len(drive["moments"]) for drive in drives)
    document = {"schema": SCHEMA, "shown": shown, "moments": moments, "drives": list(drives)}
    return as_document(Scenes.model_validate(document))


def _order(moments: RenderedMoments) -> list[int]:
    """Drives street by street in turns, of each street those with moments of both kinds first."""
    numbers = np.unique(moments.drive).tolist()
    street = {number: int(moments.street[moments.drive == number][0]) for number in numbers}
    both = {number: len(np.unique(moments.blocked[moments.drive == number])) == 2 for number in numbers}
    turn: dict[int, int] = {}
    place = {}
    for number in sorted(numbers, key=lambda one: (not both[one], one)):
        place[number] = turn[street[number]] = turn.get(street[number], -1) + 1
    return sorted(numbers, key=lambda one: (place[one], street[one]))


def _curves(
    moments: RenderedMoments, said: Sequence[Said], perception: str, strongest: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By method, profiles (N, 180) of peak 1 and scores (N, beams); NaN for moments of which a method says nothing."""
    chosen = {}
    for name in (PRINTED, RIDGE, END_TO_END, TRACED):
        of = [one for one in said if one.method == name and one.perception in ("", perception)]
        fitted = [one for one in of if one.split in ("", "drives")] or of
        if fitted and fitted[0].profile is not None:
            chosen[name] = fitted[0]
    measured = Reconstruction("sum", strongest).profiles(moments.power, moments.book)
    curves = {MEASURED: (peak_one(measured), moments.power)}
    for name, one in chosen.items():
        profile = np.full(measured.shape, np.nan)
        score = np.full(moments.power.shape, np.nan)
        assert one.profile is not None
        first = np.unique(one.rows, return_index=True)[1]  # a network says it once for each training
        profile[one.rows[first]], score[one.rows[first]] = peak_one(one.profile[first]), one.score[first]
        curves[name] = profile, score
    return curves


def _drive(recording: Recording, world: World, perception: str) -> dict[str, Any]:
    camera, station = recording.camera, world.station
    corners = world.known.corners[~world.known.is_ground]
    near = np.linalg.norm(corners.mean(axis=1)[:, :2] - camera.position[:2], axis=1) < _AROUND
    return {
        "name": f"{recording.folder.parent.name}/{recording.folder.name}",
        "perception": perception,
        "synthetic": True,
        "size": [float(camera.width), float(camera.height)],
        "horizon": horizon(camera),
        "station": [float(v) for v in station.pose.position],
        "boresight_deg": math.degrees(station.pose.yaw),
        "half_span_deg": math.degrees(station.half_span),
        "walls": np.round(corners[near].reshape(-1, 9), 1).tolist(),
    }


def horizon(camera: Camera) -> list[list[float]]:
    """Points of the horizon that the image shows, from left to right."""
    angle = camera.pose.yaw + np.radians(np.arange(80, -81, -2.0))
    far = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(len(angle))]) * _FAR
    pixels, _ = camera.project(camera.position + far)
    seen = np.isfinite(pixels).all(axis=1) & (np.abs(pixels) < 4 * camera.width).all(axis=1)
    return [[round(float(v), 1) for v in pixel] for pixel in pixels[seen]]


def _moment(
    recording: Recording,
    kept: Mapping[str, Any],
    row: int,
    moments: RenderedMoments,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, Any]:
    own, scene = int(kept["row"]), kept["scene"]
    points = np.array([one[1:] for one in scene["reflectors"]], dtype=np.float64).reshape(-1, 3)
    marks, _ = recording.camera.project(points)
    said = {name: (profile[row], score[row]) for name, (profile, score) in curves.items()}
    return {
        "time_s": float(recording.times[own]),
        "blocked": bool(recording.blocked[own]),
        "told": round(float(kept["blocked"]), 3),
        "image": jpeg(recording.frame(own).image),
        "boxes": [[one[0], [float(v) for v in one[2:]]] for one in scene["boxes"]],
        "marks": np.round(marks[np.isfinite(marks).all(axis=1)], 1).tolist(),
        "reflectors": [[one[0], [float(v) for v in one[1:]]] for one in scene["reflectors"]],
        "objects": [[one[0], [*(float(v) for v in one[1:]), *CLASS_SIZES[one[0]]]] for one in scene["objects"]],
        "vehicles": [
            ["user" if true.identity == 0 else true.kind, [*true.position, true.heading, *true.size]]
            for true in recording.boxes[own]
        ],
        "fix": np.round(recording.fixes[own], 2).tolist(),
        "tracked": [float(v) for v in scene["user"]],
        "place": np.round(recording.true_places[own], 2).tolist(),
        **profiles_and_picks(said, moments.book),
        "flags": list(kept["flags"]),
    }


def profiles_and_picks(
    said: Mapping[str, tuple[np.ndarray, np.ndarray]], book: ProfileCodebook
) -> dict[str, dict[str, Any]]:
    """Profiles of one moment in per cent of the peak 1, and azimuths of first beams; what is not finite is left out.

    Args:
        said: By method, a profile (180,) and scores (beams,); NaN and -inf are of beams that are never first.
        book: The beams.
    """
    low, high = np.searchsorted(AZIMUTH_DEG, [-SHOWN_DEG, SHOWN_DEG])
    profiles, picks = {}, {}
    for name, (profile, score) in said.items():
        if np.isfinite(profile).all():
            profiles[name] = np.clip(np.rint(100 * profile[low : high + 1]), 0, 100).astype(int).tolist()
            picks[name] = float(book.peak_deg[int(np.nanargmax(score))])
    return {"profiles": profiles, "picks": picks}


def jpeg(image: np.ndarray) -> str:
    """An image, small, as JPEG in base64."""
    import cv2

    small = scaled(image, _WIDTH, round(_WIDTH * image.shape[0] / image.shape[1]))
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return base64.b64encode(data.tobytes()).decode("ascii")
