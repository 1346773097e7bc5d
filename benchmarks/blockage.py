"""How well blockage of the user is told in a closed loop, and what limits it.

    python benchmarks/blockage.py runs/loop --json

The run is that of `sitetwin study vision --profile full`. Its drives are followed again with the boxes that its
networks, and its true boxes, have found; nothing is traced. Beside them stand two bounds of any detector: the true
mask at the pixel where the tracked user's antenna would be seen (what remains are errors of its place), and at its
true pixel (what remains is what stands between pixels). Intervals draw whole drives. The bound is a recall of 0.85 at a
precision of 0.95, for networks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from sitetwin.studies.vision.closed_loop.boxes import Remembering
from sitetwin.studies.vision.closed_loop.scores import Moments, Resampling, blockage_row
from sitetwin.studies.vision.results import TOLD
from sitetwin.untrusted import read_json
from sitetwin.vision import Camera, Detector, Frame, Ground, PerfectDetector, load_detector
from sitetwin.vision.scene import StreetTwin
from sitetwin.vision.scene.placing import place_boxes
from sitetwin.vision.scene.street_twin import TwinOptions
from sitetwin.vision.worlds import Recording, World, read_campaign, recorded_world
from sitetwin.vision.worlds.following import ALONG_THE_STREET

NEARER = 0.3
"""Metres by which a pixel's depth is less than the antenna's if something stands before it."""


def hidden(frame: Frame, camera: Camera, place: np.ndarray) -> bool:
    """Whether the true mask of a frame shows a vehicle before a place, and not the user's own car."""
    truth = frame.truth
    (column, line), depth = camera.project(place)
    if truth is None or not (0 <= column < camera.width and 0 <= line < camera.height):
        return False
    spot = int(line), int(column)
    return bool(truth.identities[spot] > 0 and truth.depth[spot] < float(depth) - NEARER)


def followed(recording: Recording, world: World, detector: Detector) -> Iterator[dict[str, Any]]:
    """What is told of each judged moment of a drive."""
    ground = Ground(world.known.corners[world.known.is_ground])
    for window in sorted(set(recording.window.tolist())):
        rng = np.random.default_rng([0, window])
        twin = StreetTwin(world.known, world.station, TwinOptions(), rng, recording.camera)
        for row in np.flatnonzero(recording.window == window).tolist():
            frame = recording.frame(row)
            boxes = detector.detect(frame)
            placed = [one for one in place_boxes(recording.camera, boxes, ground, ALONG_THE_STREET) if one is not None]
            moment = twin.step(float(recording.times[row]), recording.fixes[row], placed, boxes)
            if moment is not None and recording.judged[row]:
                tracked, place = np.array([*moment.user.position, TwinOptions().antenna]), recording.true_places[row]
                yield {
                    "row": row,
                    "told": moment.blocked,
                    "ahead": moment.blocked_ahead,
                    "mask at the tracked place": float(hidden(frame, recording.camera, tracked)),
                    "mask at the true place": float(hidden(frame, recording.camera, place)),
                }


def main(
    run: Annotated[Path, typer.Argument(help="A closed loop's folder.")],
    detector: Annotated[str, typer.Option(help="Its networks; 'none' leaves them out.")] = "both",
    only: Annotated[str, typer.Option(help="'networks' or 'true boxes' alone.")] = "",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Print recall and precision for each perception, and for true masks."""
    key = str(read_json(run / "configuration.json", "the run")["hash"])
    recordings, share = read_campaign(run / "campaign")
    worlds: dict[str, World] = {}
    eyes: dict[str, Detector] = {"true boxes": PerfectDetector()}
    if detector != "none":
        eyes = {"networks": load_detector(detector), **eyes}
    if only:
        eyes = {name: one for name, one in eyes.items() if name == only}
    for name, seeing in eyes.items():
        taken, told = [], []
        for number, one in enumerate(recordings):
            path = run / "parts" / f"boxes-{number:04d}-{name.replace(' ', '-')}.json"
            if not path.exists():
                continue
            street = str(one.world["name"])
            worlds.setdefault(street, recorded_world(one))
            rows = list(followed(one, worlds[street], Remembering(seeing, path, f"{key} {one.identity}")))
            told += rows
            taken += [(number, one, row["row"]) for row in rows]
        if not taken:
            raise SystemExit("no drive of the run has boxes; let it follow some")
        moments = Moments(
            np.stack([one.powers[row] for _, one, row in taken]),
            np.array([bool(one.blocked[row]) for _, one, row in taken]),
            np.full(len(taken), -1),
            np.array([number for number, _, _ in taken]),
            share,
        )
        drawn = Resampling(moments, 2000, 1)
        whats = ["told"] + (["mask at the tracked place", "mask at the true place"] if name == list(eyes)[-1] else [])
        for what in whats:
            found = {"perception": name, "what": what, "streets": len(worlds), "threshold": TOLD}
            found |= blockage_row(moments, np.array([row[what] for row in told]), False, drawn)
            print(json.dumps(found) if as_json else found)


if __name__ == "__main__":
    typer.run(main)
