"""What the camera's bearing adds to GPS for beams towards a user in sight, at several errors of GPS.

    python benchmarks/bearing_fusion.py --drives 6 --json
    python benchmarks/bearing_fusion.py --run runs/loop --json

Without `--run`, sightings are simulated: the outline of each vehicle of which enough is visible, with a detector's
errors of the edges, found with the share `FOUND`; places come from these boxes as from any. With it, they are those of
networks in the rendered frames of a closed loop, of which the boxes are taken that the study has kept. The fixes are
drawn anew for each error of GPS, with errors that last, as the recordings have them; the track is told that error.
The best beam is that of free space towards the true place, in frames without a vehicle, a house or a pole in the line
of sight. The gain in distance-based accuracy (DBA) is over beams towards the fix on the same frames. Intervals draw
whole drives.
The bounds are a gain of 0.08 at 1 m and of 0.17 at 2 m.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.studies.vision.closed_loop.boxes import Remembering
from sitetwin.untrusted import read_json
from sitetwin.vision import Detection, Detector, Ground, load_detector
from sitetwin.vision.camera import Camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.profiles import accuracy_of_picks
from sitetwin.vision.scene import Station, UserOptions, UserTrack, sight_powers
from sitetwin.vision.scene.body_fits import EDGE_SHARE
from sitetwin.vision.scene.placing import EDGE_SIGMA, place_boxes
from sitetwin.vision.street import Vehicle
from sitetwin.vision.worlds import (
    Schedule,
    default_worlds,
    gps_fixes,
    make_drive,
    make_world,
    read_campaign,
    recorded_world,
)
from sitetwin.vision.worlds.following import ALONG_THE_STREET

FOUND, VISIBLE, COARSE = 0.85, 0.45, 4
ERRORS = (0.5, 1.0, 2.0)
WINDOW = 24
"""Frames that a simulated drive is followed; then the track begins anew."""

Stretch = tuple[Camera, Station, np.ndarray, np.ndarray, np.ndarray, list[list[Detection]]]


def sightings(camera: Camera, vehicles: list[Vehicle], rng: np.random.Generator) -> list[Detection]:
    """Boxes of the vehicles of which enough is visible, the nearest first."""
    away = [float(np.hypot(*(np.array(v.position[:2]) - camera.position[:2]))) for v in vehicles]
    order = np.argsort(away)
    boxes = outlines(
        camera,
        np.array([v.position for v in vehicles]),
        np.array([v.yaw for v in vehicles]),
        np.array([v.size for v in vehicles]),
    )
    taken = np.zeros((camera.height // COARSE, camera.width // COARSE), dtype=bool)
    found = []
    for number in order:
        if not np.isfinite(boxes[number]).all():
            continue
        left, upper, right, lower = np.clip(boxes[number], 0, [camera.width, camera.height] * 2)
        part = (slice(int(upper / COARSE), int(lower / COARSE) + 1), slice(int(left / COARSE), int(right / COARSE) + 1))
        if right - left < 12 or lower - upper < 10 or taken[part].size == 0:
            continue
        visible = 1.0 - float(taken[part].mean())
        taken[part] = True
        if visible < VISIBLE or rng.random() > FOUND:
            continue
        size = np.array([right - left, lower - upper] * 2)
        edges = np.array([left, upper, right, lower]) + np.hypot(EDGE_SIGMA, EDGE_SHARE * size) * rng.standard_normal(4)
        left, upper, right, lower = np.clip(edges, 0, [camera.width, camera.height] * 2).tolist()
        if right > left and lower > upper:
            kind = vehicles[number].kind
            found.append(Detection((left, upper, right, lower), "car" if kind == "van" else kind, 0.8))
    return found


def simulated(streets: int, drives: int, seed: int) -> Iterator[list[Stretch]]:
    """Stretches of the drives of made-up streets, drive by drive."""
    for plan in default_worlds(streets, seed):
        world = make_world(plan)
        for number in range(drives):
            drive = make_drive(world, number, Schedule())
            rng = np.random.default_rng([plan.street.seed, number, 7])
            stretches = []
            for first in range(0, len(drive.times) - 4, WINDOW):
                rows = np.arange(first, min(first + WINDOW, len(drive.times)))
                times = drive.times[rows]
                places = np.array([drive.traffic.antenna_at(float(time)) for time in times])
                clear = np.array([drive.sight[row] == "clear" for row in rows])
                boxes = [sightings(world.camera, drive.traffic.at(float(time), 75.0), rng) for time in times]
                stretches.append((world.camera, world.station, times, places, clear, boxes))
            yield stretches


def recorded(run: Path, detector: Detector) -> Iterator[list[Stretch]]:
    """The windows of the drives of a closed loop, with what its networks have found in their frames."""
    key = str(read_json(run / "configuration.json", "the run")["hash"])
    for number, one in enumerate(read_campaign(run / "campaign")[0]):
        path = run / "parts" / f"boxes-{number:04d}-networks.json"
        if not path.exists():
            continue
        station, stretches = recorded_world(one).station, []
        seen = Remembering(detector, path, f"{key} {one.identity}")
        for window in sorted(set(one.window.tolist())):
            rows = np.flatnonzero(one.window == window)
            boxes = [seen.detect(one.frame(row)) for row in rows.tolist()]
            stretches.append((one.camera, station, one.times[rows], one.true_places[rows], one.clear[rows], boxes))
        yield stretches


def followed(stretch: Stretch, sigma: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(frames, 2) DBA of GPS and of the track in the clear frames, and (frames, 2) their errors in metres."""
    camera, station, times, places, clear, boxes = stretch
    fixes = gps_fixes(times, places[:, :2], sigma, rng)
    track = UserTrack(np.array(station.pose.position[:2]), UserOptions(gps_sigma=sigma))
    ground, accuracy, error = Ground(), [], []
    for row, time in enumerate(times.tolist()):
        placed = [one for one in place_boxes(camera, boxes[row], ground, ALONG_THE_STREET) if one is not None]
        found = track.step(time, fixes[row], placed)
        if not clear[row] or found is None:
            continue
        best = sight_powers(station, places[row : row + 1]).argmax(axis=1)
        both = np.array([fixes[row], found.position])
        order = np.argsort(-sight_powers(station, np.column_stack([both, [places[row, 2]] * 2])), axis=1)
        accuracy.append(accuracy_of_picks(order[:, :3], np.repeat(best, 2)))
        error.append(np.linalg.norm(both - places[row, :2], axis=1))
    return np.array(accuracy).reshape(-1, 2), np.array(error).reshape(-1, 2)


def judged(drives: list[list[Stretch]], sigma: float) -> dict[str, Any]:
    """Gain in DBA over GPS at one error of GPS, with an interval over drives."""
    rng = np.random.default_rng(11)
    each = [[followed(stretch, sigma, rng) for stretch in drive] for drive in drives]
    accuracy = [np.concatenate([one[0] for one in drive]) for drive in each if drive]
    accuracy = [one for one in accuracy if len(one)]
    error = np.concatenate([one[1] for drive in each for one in drive])
    every = np.concatenate(accuracy)
    sums = np.array([(one[:, 1] - one[:, 0]).sum() for one in accuracy])
    counts = np.array([len(one) for one in accuracy])
    draws = np.random.default_rng(1).integers(0, len(counts), (2000, len(counts)))
    gains = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    return {
        "gps_m": sigma,
        "frames": len(every),
        "drives": len(counts),
        "dba_gps": round(float(every[:, 0].mean()), 4),
        "dba_track": round(float(every[:, 1].mean()), 4),
        "gain": round(float((every[:, 1] - every[:, 0]).mean()), 4),
        "interval": np.round(np.percentile(gains, [2.5, 97.5]), 4).tolist(),
        "median_error_m": np.round(np.median(error, axis=0), 3).tolist(),
    }


def main(
    run: Annotated[Path | None, typer.Option(help="A closed loop's folder; sightings are simulated without.")] = None,
    detector: Annotated[str, typer.Option(help="With --run: its networks.")] = "both",
    streets: Annotated[int, typer.Option(help="Without --run.")] = 8,
    drives: Annotated[int, typer.Option(help="Of each street, without --run.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the streets.")] = 3,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print the gain at each error of GPS."""
    source = simulated(streets, drives, seed) if run is None else recorded(run, load_detector(detector))
    taken = list(source)
    found = [judged(taken, sigma) for sigma in ERRORS]
    for row in found:
        print(json.dumps(row) if as_json else row)


if __name__ == "__main__":
    typer.run(main)
