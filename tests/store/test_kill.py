"""A run that is killed at any moment goes on where it was, to the same bytes."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import xarray as xr

from sitetwin.store import TileStore

PROGRAM = """
import os
import signal
import sys
import threading
import numpy as np
from sitetwin.store import Array, TileStore

FILE_EVENTS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate"}
left = int(sys.argv[2])  # file operations until the process kills itself; none if negative
counted = 0
one = threading.Lock()

def watch(event, arguments):
    global counted
    if event in FILE_EVENTS:
        with one:
            counted += 1
            if counted == left:
                os.kill(os.getpid(), signal.SIGKILL)

tiles = [(20 * i, 20 * i + 20) for i in range(25)]
store = TileStore.create(sys.argv[1], {"kind": "kill"}, {}, tiles)
sys.addaudithook(watch)
for index in store.missing_tiles():
    rng = np.random.default_rng(index)
    store.write_tile(index, {f"a{k}": Array(("user", "xyz"), rng.normal(size=(20, 3))) for k in range(6)})
print(counted)
"""


def run(path: Path, kill_after: int = -1) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", PROGRAM, str(path), str(kill_after)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=300)


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_killed_runs_resume_to_the_same_bytes(tmp_path):
    whole = run(tmp_path / "whole")
    assert whole.returncode == 0
    operations = int(whole.stdout)
    rng = random.Random(5)
    for _ in range(6):  # at a file operation, not at a time: no load of the machine changes what is tested
        killed = run(tmp_path / "killed", rng.randint(1, operations // 8))
        assert killed.returncode == -signal.SIGKILL
        store = TileStore.open(tmp_path / "killed")
        assert set(store.verify()) <= {"zarr.json"}  # what is listed is whole, at any moment; the root may be behind
        with xr.open_datatree(tmp_path / "killed", engine="zarr"):
            pass
    assert run(tmp_path / "killed").returncode == 0
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


HOLDER = """
import sys, time
from pathlib import Path
from sitetwin.store.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_dead_process_is_gone(tmp_path):
    TileStore.create(tmp_path / "s", {"kind": "kill"}, {}, [(0, 3)])
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    done = run_briefly("TileStore.create(sys.argv[1], {'kind': 'kill'}, {}, [(0, 3)])", tmp_path / "s")
    assert done.returncode == 0


def run_briefly(statement: str, path: Path) -> subprocess.CompletedProcess:
    program = f"import sys; from sitetwin.store import TileStore; {statement}"
    return subprocess.run([sys.executable, "-c", program, str(path)], timeout=30)
