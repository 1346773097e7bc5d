"""Short timings of whichever checkout stands on the path, for `pairs.py`; prints seconds as one JSON object.

The pieces are those of that checkout's own benchmarks, so that each is called as it wants to be called. Each figure is
the shortest of several runs, which the rest of the machine disturbs least.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np


def tracing(users: int = 230_400) -> dict[str, float]:
    """Trace and gains of users in Munich at depth 3, as `tracing.py` times them."""
    from benchmarks import tracing as own

    job = own.make_job("munich", 3, 1000, 3.5e9, "8.5,21,27", 480.0)
    job = replace(job, users=_places((8.5, 21.0), 480.0, users))
    own.trace_ours(job)
    return {"trace and gains": min(own.trace_ours(job)[2].total for _ in range(4))}


def _places(centre: tuple[float, float], span: float, count: int) -> np.ndarray:
    """(count, 3) places at 1.5 m over the flat ground of a square, indoors or not.

    Checkouts that differ in who is indoors would else trace other users, and shoot other numbers of rays for them.
    """
    x, y = np.random.default_rng(0).uniform(-span / 2, span / 2, (2, count)) + np.array(centre)[:, None]
    return np.column_stack([x, y, np.full(count, 1.5)])


def channels(users: int = 10_000) -> dict[str, float]:
    """Frequency response and delay-angle matrices of users in Munich, into outputs that are used again."""
    import torch
    from benchmarks import channels as own

    torch.set_num_threads(own.THREADS)
    paths, gains = own.munich_paths(users)
    response = torch.zeros(users, 1, 32, own.GRID.num_subcarriers, dtype=torch.complex64)
    matrices = torch.zeros(users, 1, 32, 32, dtype=torch.complex64)
    calls: dict[str, Callable[[], Any]] = {
        "frequency response": lambda: own.frequency_response(paths, gains, own.GRID, own.TX, own.RX, out=response),
        "delay-angle": lambda: own.delay_angle(paths, gains, own.GRID, own.TX, own.RX, out=matrices),
    }
    return {name: min(_seconds(call) for _ in range(40)) for name, call in calls.items()}


def _seconds(call: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def scaling(users: int = 150_000) -> dict[str, float]:
    """Users in Munich streamed into a store, and the gains of traced paths at another frequency."""
    from benchmarks import scaling as own

    site, place = own.load_scene("munich"), np.array(own.MUNICH_TRANSMITTER)
    places = _places((place[0], place[1]), own.MUNICH_SPAN, users)
    streamed: Callable[..., dict[str, Any]] = own.measure
    streamed(site, place, places[:1000], 3)  # compiles kernels
    found = [streamed(site, place, places, 3)["seconds"] for _ in range(3)]
    evaluated = own.measure_reevaluation(site, place, places, 3)["seconds_evaluation"]
    return {"trace into a store": min(found), "evaluation": evaluated}


if __name__ == "__main__":
    begun = time.perf_counter()
    print(json.dumps({"tracing": tracing, "channels": channels, "scaling": scaling}[sys.argv[1]]()))
    print(f"{sys.argv[1]}: {time.perf_counter() - begun:.0f} s in all", file=sys.stderr)
