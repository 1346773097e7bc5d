import json
import os
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.cli import diagnosis
from sitetwin.cli.diagnosis import Status


def probe(program: str) -> diagnosis.Check:
    return diagnosis.check_tracing([sys.executable, "-c", program])


def test_a_ray_is_cast_here():
    check = diagnosis.check_tracing()
    assert check.status is Status.OK
    assert "LLVM" in check.detail or "CUDA" in check.detail
    assert "Mitsuba" in check.detail


@pytest.mark.skipif(os.name != "posix", reason="signals end processes on POSIX only")
def test_an_aborting_compiler_is_reported_and_not_fatal():
    check = probe("import os; os.abort()")
    assert check.status is Status.FAILURE
    assert signal.SIGABRT.name in check.detail
    assert "karellen-llvm-core" in check.mend


@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("raise ImportError('no module named mitsuba')", "no module named mitsuba"),
        ("print('loaded'); print('rubbish')", "no answer"),
        ("pass", "no answer"),
        ("""print('{"error": "no LLVM; install it"}')""", "no LLVM"),
    ],
)
def test_every_way_to_fail_has_a_mend(program, detail):
    check = probe(program)
    assert check.status is Status.FAILURE
    assert detail in check.detail
    assert check.mend


def test_a_hanging_trial_is_given_up(monkeypatch):
    monkeypatch.setattr(diagnosis, "_PROBE_SECONDS", 1)
    assert "1 s" in probe("import time; time.sleep(60)").detail


def test_a_wrong_llvm_fails_the_command(tmp_path):
    environment = {**os.environ, "DRJIT_LIBLLVM_PATH": str(tmp_path / "libLLVM.so")}
    run = subprocess.run(
        [sys.executable, "-m", "sitetwin", "doctor", "--json"], capture_output=True, text=True, env=environment
    )
    told = json.loads(run.stdout)
    if told["can_trace"]:
        pytest.skip("a GPU traces here, whatever the LLVM")
    assert run.returncode == 1
    [tracing] = [check for check in told["checks"] if check["name"] == "ray casting"]
    assert tracing["status"] == "failure"
    assert str(tmp_path) in tracing["detail"]
    assert "karellen-llvm-core" in tracing["mend"]


def test_low_memory_and_disk_are_warnings(monkeypatch, tmp_path):
    monkeypatch.setattr(diagnosis, "_LOW_MEMORY_GB", 1e9)
    monkeypatch.setattr(diagnosis, "_LOW_DISK_GB", 1e9)
    for check in (diagnosis.check_memory(), diagnosis.check_disk(tmp_path)):
        assert check.status is Status.WARNING
        assert check.mend


def test_only_ray_casting_decides(monkeypatch):
    fine = diagnosis.Check("ray casting", Status.OK, "LLVM")
    broken = diagnosis.Check("torch", Status.FAILURE, "not installed", "install it")
    monkeypatch.setattr(diagnosis, "check_tracing", lambda: fine)
    monkeypatch.setattr(diagnosis, "check_torch", lambda: broken)
    assert diagnosis.diagnose().can_trace
    monkeypatch.setattr(diagnosis, "check_tracing", lambda: broken)
    assert not diagnosis.diagnose().can_trace


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments])


def test_doctor_speaks_json(run):
    result = run("doctor", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["can_trace"] else 1)
    assert {"python", "ray casting", "torch", "processor", "memory", "disk"} <= {c["name"] for c in told["checks"]}


def test_doctor_prints_a_table(run):
    result = run("doctor")
    assert "ray casting" in result.stdout
