"""Machine code that is kept between processes is that of the sources as they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sitetwin
from sitetwin import compiled, version

PACKAGE = Path(sitetwin.__file__).parent
CALLER = """
import numpy as np
from sitetwin.channel.numerics.products import _outer
real, imaginary = np.zeros(4, np.float32), np.zeros(4, np.float32)
_outer(1.0, 0.0, 0.3, 0.1, 0.0, 0.0, 2, 2, np.zeros((4, 2)), real, imaginary)
print(real.tolist())
"""


def test_every_compiled_loop_has_a_say_in_where_code_is_kept():
    own = [
        file for file in PACKAGE.rglob("*.py") if "numba import" in file.read_text() or "@compiled" in file.read_text()
    ]
    assert len(own) > 3
    for file in own:
        name = file.relative_to(PACKAGE).as_posix()
        assert any(name == room or name.startswith(room + "/") for room in compiled.ROOMS), name
        assert "@njit" not in file.read_text(), name


def test_a_changed_source_has_another_folder(monkeypatch, tmp_path):
    for room in compiled.ROOMS:
        (shutil.copytree if (PACKAGE / room).is_dir() else _copied)(PACKAGE / room, tmp_path / room)
    before = compiled._kept_in.__wrapped__()
    monkeypatch.setattr(version, "files", lambda package: tmp_path)
    version.code_version.cache_clear()
    try:
        assert compiled._kept_in.__wrapped__() == before
        kernels = tmp_path / "channel" / "numerics" / "kernels.py"
        kernels.write_text(kernels.read_text().replace("1 - 2 * sine * sine", "2 - 2 * sine * sine"))
        version.code_version.cache_clear()
        after = compiled._kept_in.__wrapped__()
        assert after.parent == before.parent
        assert after != before
        after.rmdir()
    finally:
        version.code_version.cache_clear()


def _copied(file, to):
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, to)


@pytest.mark.slow
def test_a_change_in_a_called_module_changes_what_the_caller_computes(tmp_path):
    copy = tmp_path / "sitetwin"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    first = run(tmp_path)
    assert run(tmp_path) == first
    kernels = copy / "channel" / "numerics" / "kernels.py"
    times = kernels.stat()
    kernels.write_text(kernels.read_text().replace("1 - 2 * sine * sine", "2 - 2 * sine * sine"))
    os.utime(kernels, ns=(times.st_atime_ns, times.st_mtime_ns))  # as an archive does that holds no times
    assert run(tmp_path) != first


def test_without_a_home_or_a_place_to_write_nothing_is_kept(monkeypatch, tmp_path):
    (tmp_path / "__pycache__").write_text("no folder")
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    monkeypatch.setattr(compiled.config, "CACHE_DIR", "")
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # what it does for a user without any home
    monkeypatch.chdir(tmp_path)
    assert compiled._kept_in.__wrapped__() is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["__pycache__"]


def test_without_sources_nothing_is_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(version, "files", lambda package: tmp_path)
    version.code_version.cache_clear()
    try:
        assert compiled._kept_in.__wrapped__() is None
    finally:
        version.code_version.cache_clear()


def test_where_numba_finds_no_place_loops_are_compiled_anew(monkeypatch, tmp_path):
    def njit(cache=False, **_):
        def decorate(function):
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return function

        return decorate

    monkeypatch.setattr(compiled, "njit", njit)
    monkeypatch.setattr(compiled, "_kept_in", lambda: tmp_path)
    before = compiled.config.CACHE_DIR
    assert compiled.compiled()(len) is len
    assert before == compiled.config.CACHE_DIR


def run(folder):
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CALLER], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout
