"""What the machine can do at most, and what a benchmark takes of it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from sitetwin.rays.caster import RayCaster
from sitetwin.site import Site


def bare_ray_rate(site: Site, users: np.ndarray, rays: int = 1 << 21) -> float:
    """Rays per second of nothing but occlusion tests, from random users towards random points of the mesh."""
    import drjit as dr

    from sitetwin.backend import mitsuba

    mi = mitsuba()
    rng = np.random.default_rng(0)
    caster = RayCaster(site)
    origin = users[rng.integers(len(users), size=rays)].astype(np.float32)
    target = site.vertices[rng.integers(len(site.vertices), size=rays)].astype(np.float32)
    start, step = mi.Point3f(origin.T.copy()), mi.Vector3f((target - origin).T.copy())
    seconds = []
    for _ in range(4):
        ray = mi.Ray3f(start, step, mi.Float(0.999), mi.Float(0), mi.Color0f())
        begin = time.perf_counter()
        dr.eval(hit := caster.scene.ray_test(ray, coherent=False))
        dr.sync_thread()
        seconds.append(time.perf_counter() - begin)
        del hit
    return rays / median(seconds[1:])


def peak_memory_gb(script: Path, arguments: list[str]) -> float:
    """Peak resident memory of a process that runs the tracer of a benchmark alone, once."""
    command = [sys.executable, str(script.resolve()), "--memory-only", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])
