"""A run that is killed at any moment goes on where it was, to the same bytes."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import xarray as xr

from sitetwin.store import TileStore

PROGRAM = """
import sys
import numpy as np
from sitetwin.store import Array, TileStore

tiles = [(20 * i, 20 * i + 20) for i in range(25)]
store = TileStore.create(sys.argv[1], {"kind": "kill"}, {}, tiles)
print("ready", flush=True)
for index in store.missing_tiles():
    rng = np.random.default_rng(index)
    store.write_tile(index, {f"a{k}": Array(("user", "xyz"), rng.normal(size=(20, 3))) for k in range(6)})
print("done", flush=True)
"""


def start(path: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True)


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_killed_runs_resume_to_the_same_bytes(tmp_path):
    begun = time.monotonic()
    with start(tmp_path / "whole") as whole:
        assert whole.stdout.readline() == "ready\n"
        ready = time.monotonic()
        assert whole.stdout.readline() == "done\n"
    writing = time.monotonic() - ready
    assert time.monotonic() - begun < 60
    rng = random.Random(5)
    kills = 0
    for _ in range(60):
        with start(tmp_path / "killed") as run:
            run.stdout.readline()
            time.sleep(rng.uniform(0, 0.35) * writing)
            run.send_signal(signal.SIGKILL)
            finished = "done" in run.stdout.read()
        if finished:
            break
        kills += 1
        if kills == 6:  # enough of it: the last run is left in peace
            with start(tmp_path / "killed") as run:
                assert "done" in run.stdout.read()
            break
        store = TileStore.open(tmp_path / "killed")
        assert set(store.verify()) <= {"zarr.json"}  # what is listed is whole, at any moment; the root may be behind
        with xr.open_datatree(tmp_path / "killed", engine="zarr"):
            pass
    assert kills >= 2
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")
