"""Kills traces on workers at random moments, over and over, and checks what they leave behind.

    python tests/kill_run.py --kills 100

A kill is SIGKILL to one worker (the run must go on by itself), SIGKILL to the run's own process, or Ctrl-C to its whole
process group. After the end of a run no process of it may live, its store must be whole in what it lists, and nothing
but one sentence may have been said. Every run that comes to its end must have written the bytes of a calm run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from sitetwin.store import TileStore

TRACE = [
    *(sys.executable, "-m", "sitetwin", "trace", "simple_street_canyon", "--tx=-33,0,32", "--area=-60,-30,60,30"),
    *("--depth", "2", "--tile-users", "250"),
]
KINDS = ("worker", "parent", "ctrl-c")
END_SECONDS = 60.0  # in which all processes of a killed run must be gone


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


class Killer:
    """Runs and kills traces into one folder.

    Args:
        folder: For the stores.
        seed: Of the moments and kinds of the kills.
        workers: Of each run.
        spacing: Between users, metres.
    """

    def __init__(self, folder: Path, seed: int, workers: int = 2, spacing: float = 2.0) -> None:
        self.folder, self.rng, self.workers, self.spacing = folder, random.Random(seed), workers, spacing
        self.run: subprocess.Popen | None = None
        self.said = folder / "said"
        begun = time.monotonic()
        subprocess.run(self._command("calm", workers), check=True, capture_output=True)
        self.seconds = time.monotonic() - begun
        self.calm = files_of(folder / "calm")
        self.counts = dict.fromkeys((*KINDS, "finished"), 0)

    def _command(self, name: str, workers: int) -> list[str]:
        store = self.folder / name
        resume = ["--resume"] if (store / "manifest.json").exists() else []
        return [*TRACE, f"--spacing={self.spacing}", f"--workers={workers}", f"--out={store}", *resume]

    def start(self) -> None:
        """Start a run, or go on with the one that was killed."""
        with self.said.open("wb") as said:
            self.run = subprocess.Popen(
                self._command("killed", self.workers), stdout=said, stderr=said, start_new_session=True
            )

    def kill(self, kind: str) -> None:
        """Wait for a random moment and kill; nothing happens to a run that has ended by then."""
        if self.run is None:
            self.start()
        assert self.run is not None
        time.sleep(self.rng.uniform(0.05, 1.0) * self.seconds)
        if self.run.poll() is not None:
            return self.finish()
        family = psutil.Process(self.run.pid).children(recursive=True)
        self.counts[kind] += 1
        if kind == "worker":
            workers = [p for p in family if _is_worker(p)]
            if workers:
                self.rng.choice(workers).kill()
            return None
        if kind == "parent":
            self.run.kill()
            self.run.wait()
        else:
            os.killpg(self.run.pid, signal.SIGINT)
            status = self.run.wait(END_SECONDS)
            if status == 0:  # it had come to its end
                return self.finish()
            said = self.said.read_text()
            if status == -signal.SIGINT and said.rstrip().endswith(str(self.folder / "killed")):
                self.run = None  # all was said and written: it was Python that ended
                return None
            # Before Python is up, Ctrl-C ends it without a word; and where it strikes in code that a library makes
            # by exec, Python ends by the signal although the program has answered it. Shells report 130 for all.
            by_signal = status == -signal.SIGINT and said in ("", "sitetwin: stopped by Ctrl-C\n")
            assert status == 130 or by_signal, f"status {status}: {said}"
        _, alive = psutil.wait_procs(family, END_SECONDS)
        assert not alive, f"processes outlived the {kind} kill: {alive}"
        self._check_left_behind()
        self.run = None
        return None

    def finish(self) -> None:
        """Let the run come to its end and compare what it wrote."""
        assert self.run is not None
        status = self.run.wait()
        assert status == 0, f"status {status}: {self.said.read_text()}"
        self._check_said()
        assert files_of(self.folder / "killed") == self.calm, "the bytes are not those of a calm run"
        self.counts["finished"] += 1
        shutil.rmtree(self.folder / "killed")
        self.run = None

    def _check_left_behind(self) -> None:
        self._check_said()
        if (self.folder / "killed" / "manifest.json").exists():
            assert TileStore.open(self.folder / "killed").verify() in ([], ["zarr.json"])

    def _check_said(self) -> None:
        said = self.said.read_text()
        assert "Traceback" not in said, said


def _is_worker(process: psutil.Process) -> bool:
    try:
        return any("spawn_main" in word for word in process.cmdline())
    except psutil.Error:
        return False


def kill_often(folder: Path, kills: int, seed: int, tell: bool = False) -> dict[str, int]:
    """Kill so many living runs, each kind in turn, and let the last finish; returns how often what happened."""
    killer = Killer(folder, seed)
    while (done := sum(killer.counts[kind] for kind in KINDS)) < kills:
        killer.kill(KINDS[done % len(KINDS)])
        if tell:
            print(killer.counts, flush=True)
    if killer.run is None:
        killer.start()
    killer.finish()
    return killer.counts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        print(kill_often(Path(place), options.kills, options.seed, tell=True))
