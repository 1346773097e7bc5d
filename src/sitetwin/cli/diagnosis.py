"""What of this machine sitetwin can use, and how to mend what is missing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from sitetwin.backend import MINIMUM_LLVM, find_llvm
from sitetwin.errors import SiteTwinError
from sitetwin.version import __version__

MINIMUM_PYTHON = (3, 11)
_LOW_MEMORY_GB = 4.0
_LOW_DISK_GB = 5.0
_PROBE_SECONDS = 180
_LLVM_MEND = "run `pip install karellen-llvm-core` and unset DRJIT_LIBLLVM_PATH"


class Status(StrEnum):
    """How a check went."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: How it went.
        detail: What was found.
        mend: What to do about it; empty where nothing is to be done.
    """

    name: str
    status: Status
    detail: str
    mend: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All checks, and the one thing that decides: whether rays can be traced here."""

    checks: tuple[Check, ...]
    can_trace: bool

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "version": __version__,
            "can_trace": self.can_trace,
            "checks": [asdict(c) for c in self.checks],
        }


def diagnose(folder: Path | None = None) -> Diagnosis:
    """Look at the machine.

    Args:
        folder: Where results would be written; the current folder by default.
    """
    tracing = check_tracing()
    checks = (
        check_python(),
        Check("system", Status.OK, f"{platform.system()} {platform.release()}, {platform.machine()}"),
        tracing,
        check_torch(),
        check_threads(),
        check_memory(),
        check_disk(folder or Path.cwd()),
    )
    return Diagnosis(checks, can_trace=tracing.status is not Status.FAILURE)


def check_python() -> Check:
    """The interpreter's version."""
    ok = sys.version_info >= MINIMUM_PYTHON
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    return Check(
        "python",
        Status.OK if ok else Status.FAILURE,
        f"{platform.python_version()} ({sys.executable})",
        "" if ok else f"install Python {wanted} or later and make a new environment with it",
    )


def check_tracing(command: list[str] | None = None) -> Check:
    """Cast one ray in a process of its own: a wrong LLVM ends its process, and must not end this one.

    Args:
        command: What to run instead of this interpreter's `probe_tracing`; it prints one JSON object at the end.
    """
    command = command or [sys.executable, "-c", "from sitetwin.cli.diagnosis import probe_tracing; probe_tracing()"]
    source = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])}
    try:
        run = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return Check("ray casting", Status.FAILURE, f"one ray took more than {_PROBE_SECONDS} s", _LLVM_MEND)
    if run.returncode != 0:
        return _failed_probe(run.returncode, run.stderr)
    try:
        found = json.loads(run.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return Check("ray casting", Status.FAILURE, "the trial ray gave no answer", _LLVM_MEND)
    if "error" in found:
        message, _, mend = found["error"].partition("; ")
        return Check("ray casting", Status.FAILURE, message, mend)
    versions = f"Mitsuba {found['mitsuba']}, Dr.Jit {found['drjit']}, Sionna RT {found['sionna-rt']}"
    return Check("ray casting", Status.OK, f"{found['backend']}; {versions}")


def _failed_probe(returncode: int, stderr: str) -> Check:
    """A report on a trial that ended badly: by a signal, or with the last line of its complaint."""
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    last = lines[-1][:200] if lines else "no message"
    if returncode < 0:
        name = signal.Signals(-returncode).name
        used = os.environ.get("DRJIT_LIBLLVM_PATH", "found by Dr.Jit itself")
        detail = f"the trial ray ended its process with {name} (LLVM: {used}); {last}"
        return Check("ray casting", Status.FAILURE, detail, f"Dr.Jit needs LLVM {MINIMUM_LLVM} or later: {_LLVM_MEND}")
    return Check(
        "ray casting", Status.FAILURE, last, "run `pip install --force-reinstall sionna-rt karellen-llvm-core`"
    )


def probe_tracing() -> None:
    """Cast one ray at a square two metres below and print what was used, as JSON. Runs in a process of its own."""
    from importlib.metadata import version

    from sitetwin.backend import mitsuba

    try:
        mi = mitsuba()
        scene = mi.load_dict({"type": "scene", "square": {"type": "rectangle"}})
        hit = scene.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(0.1, 0.2, 2.0), mi.Vector3f(0.0, 0.0, -1.0)))
        distance = float(hit.t.numpy()[0])
    except SiteTwinError as error:
        print(json.dumps({"error": str(error)}))
        return
    if abs(distance - 2.0) > 1e-5:
        print(json.dumps({"error": f"the trial ray hit at {distance} m instead of 2 m; {_LLVM_MEND}"}))
        return
    versions = {name: version(name) for name in ("mitsuba", "drjit", "sionna-rt")}
    print(json.dumps({"backend": _backend_name(mi.variant()), **versions}))


def _backend_name(variant: str) -> str:
    """The backend in words: CUDA, or LLVM with its version and path."""
    llvm = find_llvm()
    if variant.startswith("cuda"):
        return "CUDA (NVIDIA GPU)"
    if llvm is None:
        return variant
    return f"LLVM {'.'.join(map(str, llvm.version))} on the CPU ({llvm.path})"


def check_torch() -> Check:
    """PyTorch and whether it sees a GPU."""
    try:
        import torch
    except ImportError as error:
        return Check("torch", Status.FAILURE, str(error), "run `pip install torch`")
    device = f"CUDA {torch.version.cuda}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else "CPU"
    return Check("torch", Status.OK, f"{torch.__version__}, {device}, {torch.get_num_threads()} threads")


def check_threads() -> Check:
    """Cores of the machine and those that this process may use."""
    physical = psutil.cpu_count(logical=False) or 0
    logical = psutil.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    return Check("processor", Status.OK, f"{usable} threads usable of {logical} ({physical} cores)")


def check_memory() -> Check:
    """Main memory that is free, within the limit of the container if there is one."""
    memory = psutil.virtual_memory()
    total, free = memory.total, memory.available
    limit = _container_limit()
    if limit is not None and limit < total:
        total, free = limit, min(free, limit)
    ok = free >= _LOW_MEMORY_GB * 1e9
    return Check(
        "memory",
        Status.OK if ok else Status.WARNING,
        f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB",
        "" if ok else f"close other programs, or work with fewer users: {_LOW_MEMORY_GB:.0f} GB free are comfortable",
    )


def _container_limit() -> int | None:
    """Memory limit of the control group in bytes, if it has one (Linux)."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no control groups here, or no limit ("max")
        return None


def check_disk(folder: Path) -> Check:
    """Free space where results would be written, and whether they can be."""
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Check("disk", Status.WARNING, f"{folder} cannot be written", "choose another folder with --out")
    ok = free >= _LOW_DISK_GB * 1e9
    return Check(
        "disk",
        Status.OK if ok else Status.WARNING,
        f"{free / 1e9:.1f} GB free in {folder}",
        "" if ok else f"free some space: {_LOW_DISK_GB:.0f} GB are comfortable",
    )
