"""Seconds of each stage of `sitetwin vision watch` for one drive through a made-up street, in this process.

    python benchmarks/watching.py --frames 12

The frames are rendered first. The first two are watched, but do not count: networks and kernels lay out memory. Run it
on a quiet machine; stages are `read`, `detect`, `place and track` and `trace`.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from sitetwin.vision import CameraFile, load_detector
from sitetwin.vision.live import Shot, Watching, latency, watch
from sitetwin.vision.scene.placing import Placing
from sitetwin.vision.worlds import Schedule, default_worlds, make_drive, make_world

WARM = 2


def main(
    frames: Annotated[int, typer.Option(help="Frames that count.")] = 12,
    detector: Annotated[str, typer.Option(help="Name of the detector.")] = "both",
    threads: Annotated[int, typer.Option(help="Threads of each network.")] = 2,
) -> None:
    """Watch one drive and print the seconds of each stage: median and 95th percentile."""
    world = make_world(default_worlds(1)[0])
    drive = make_drive(world, 0, Schedule())
    chosen = np.arange(len(drive.times))[len(drive.times) // 4 :][: frames + WARM].tolist()
    noise = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        shots = []
        with world.renderer() as renderer:
            for frame in chosen:
                moment = float(drive.times[frame])
                picture = renderer.picture(drive.traffic.at(moment))
                file = Path(folder) / f"{frame:05d}.jpg"
                cv2.imwrite(str(file), picture.frame.image[..., ::-1])
                fix = drive.traffic.antenna_at(moment)[:2] + noise.normal(0, 0.5, 2)
                shots.append(Shot(file.stem, file, moment, fix))
        how = Watching(station=world.station, placing=Placing(headings=(0.0,)))
        network = load_detector(detector, threads=threads)
        seconds = [one.seconds for one in watch(world.known, CameraFile(world.camera), shots, network, how)]
    told = {stage: [round(one, 3) for one in values] for stage, values in latency(seconds[WARM:]).items()}
    without = sorted(sum(one.values()) - one["trace"] for one in seconds[WARM:])
    told["without trace"] = [round(float(np.percentile(without, share)), 3) for share in (50, 95)]
    print(json.dumps({"frames": len(seconds) - WARM, "seconds_50_95_%": told}))


if __name__ == "__main__":
    typer.run(main)
