"""Seconds for a rendered frame of 960 x 540, by day and at night.

    OMP_NUM_THREADS=1 python benchmarks/renderer.py

The first frame of a light compiles its kernels, unless Dr.Jit has kept them on disk.
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median

from sitetwin.vision.worlds import Schedule, default_worlds, make_drive, make_world

FRAMES = 5


def main() -> None:
    """Render a few moments of one drive in each light, and print the seconds."""
    plan = default_worlds(1)[0]
    for light in ("day", "dusk", "night"):
        world = make_world(replace(plan, light=light))
        drive = make_drive(world, 0, Schedule())
        with world.renderer() as renderer:
            seconds = []
            for moment in drive.times[: FRAMES + 1].tolist():
                started = time.perf_counter()
                renderer.picture(drive.traffic.at(moment))
                seconds.append(time.perf_counter() - started)
        print(f"{light}: first frame {seconds[0]:.1f} s, then {median(seconds[1:]):.2f} s a frame")


if __name__ == "__main__":
    main()
