"""Ctrl-C in the CSI study: one process answers, the workers are silent and gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import sitetwin.studies
from sitetwin.cli.app import app
from sitetwin.errors import SiteTwinError
from sitetwin.studies.csi.parallel import _CONTEXT, _workers

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds the workers in /proc")

# Random matrices stand for CSI: only the processes matter here. The networks train long enough to be caught at it.
_SCRIPT = """
import sys
from pathlib import Path

def make(seed):
    import torch
    from sitetwin.studies.csi.measurements import CaseData, SeedData

    g = torch.Generator().manual_seed(seed)
    def draw(count):
        x = torch.complex(torch.randn(count, 32, 32, generator=g), torch.randn(count, 32, 32, generator=g))
        return x / x.flatten(1).norm(dim=1)[:, None, None]

    none = torch.zeros(40, dtype=torch.bool)
    case = CaseData(draw(80), draw(40), torch.zeros(40, dtype=torch.int64), none)
    return SeedData(seed, draw(80), draw(80), {("target_b", "blocks"): case})

def study():
    from sitetwin.studies.csi.config import MUNICH, FLORENCE, CsiStudy, Evaluation
    from sitetwin.studies.csi.registry import ADAPTIVE, CSINET, HEADLINE_CASE, KLT, Plan

    return CsiStudy(
        profile="quick", site=MUNICH, wrong_site=FLORENCE,
        evaluation=Evaluation(
            cases=(("target_b", "blocks"),), train_sizes=(40,), pool=40, refine_sizes=(10,), test_users=40,
        ),
        codecs={
            KLT.name: Plan(),
            ADAPTIVE.name: Plan(effort=100_000, refine_effort=2),
            CSINET.name: Plan(refine_sizes=(), effort=1, seeds=1, cases=(HEADLINE_CASE,)),
        },
    )

if __name__ == "__main__":
    from sitetwin.studies.csi.parallel import run_seeds

    print("begun", flush=True)
    try:
        run_seeds(study(), make, Path(sys.argv[1]), 2, lambda share: None)
    except KeyboardInterrupt:
        print("stopped", flush=True)
        raise SystemExit(130)
"""


def _workers_of(parent: int) -> list[int]:
    """Process ids of a process's spawned workers."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            ours = entry.name.isdigit() and f"\nPPid:\t{parent}\n" in (entry / "status").read_text()
            if ours and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def _begun_study(folder: Path, output: int) -> subprocess.Popen[str]:
    """The script's study in a process and a session of its own, writing into a folder."""
    script = folder.parent / "run.py"
    script.write_text(_SCRIPT)
    source = str(Path(sitetwin.studies.__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize("importing", [True, False])
def test_ctrl_c_ends_workers_without_a_word_of_theirs(tmp_path: Path, importing: bool) -> None:
    """A terminal sends Ctrl-C to all processes at once; workers are hit while they import, or at their work."""
    folder = tmp_path / "out"
    run = _begun_study(folder, subprocess.PIPE)
    try:
        deadline = time.monotonic() + 300
        workers: list[int] = []
        # At work: the KLT part of the first seed is kept, so that both workers have long begun.
        while not workers or not (importing or list(folder.glob("seeds/*-klt.json"))):
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
            workers = _workers_of(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        said, complained = run.communicate(timeout=300)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
    assert (run.returncode, said) == (130, "begun\nstopped\n")
    assert complained == ""
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_workers_end_with_a_study_that_is_killed(tmp_path: Path) -> None:
    """Nobody asks them to: the main process had no time for it."""
    folder = tmp_path / "out"
    run = _begun_study(folder, subprocess.DEVNULL)
    deadline, workers = time.monotonic() + 300, []
    try:
        while not list(folder.glob("seeds/*-klt.json")):  # they are in the midst of a long training now
            assert run.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = _workers_of(run.pid)
        assert workers
        run.kill()
        run.wait()
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{worker}").exists() for worker in workers):
            assert time.monotonic() < deadline, "workers go on without the study"
            time.sleep(0.1)
    finally:
        for pid in [run.pid, *workers]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_the_command_says_how_to_go_on_after_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sitetwin.studies, "run_csi_study", stopped)
    result = CliRunner().invoke(app, ["study", "csi", "--out", str(tmp_path / "out")])
    assert result.exit_code == 130
    (sentence,) = result.stderr.splitlines()
    assert "run the same command again" in sentence


def test_a_killed_worker_is_a_sentence() -> None:
    """As when the system is out of memory."""
    said = r"a worker of the study was killed.*fewer workers"
    with pytest.raises(SiteTwinError, match=said), _workers(1, _CONTEXT.Queue()) as pool:
        pool.submit(signal.raise_signal, signal.SIGKILL).result()
