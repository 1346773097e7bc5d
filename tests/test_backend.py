import ctypes.util
import os
import subprocess
import sys

import numpy as np
import pytest

from sitetwin import backend
from sitetwin.errors import SiteTwinError


@pytest.fixture
def fresh_search():
    backend.find_llvm.cache_clear()
    yield
    backend.find_llvm.cache_clear()


def test_a_library_without_a_version_is_no_llvm(tmp_path):
    nonsense = tmp_path / "libLLVM.so"
    nonsense.write_bytes(b"not a library")
    assert backend.llvm_version(str(nonsense)) is None
    assert backend.llvm_version(str(tmp_path / "absent.so")) is None
    libc = ctypes.util.find_library("c")
    if libc:
        assert backend.llvm_version(libc) is None


def test_the_users_own_choice_is_not_replaced(tmp_path, monkeypatch, fresh_search):
    monkeypatch.setenv("DRJIT_LIBLLVM_PATH", str(tmp_path / "absent.so"))
    assert backend.find_llvm() is None


def test_old_versions_are_passed_over(monkeypatch, fresh_search):
    versions = {"old": (15, 0, 7), "good": (19, 1, 0), "newer": (23, 0, 0)}
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(backend, "_candidate_libraries", lambda: list(versions))
    monkeypatch.setattr(backend, "llvm_version", versions.get)
    assert backend.find_llvm() == backend.Llvm("good", (19, 1, 0))


def test_importing_the_package_does_not_load_the_ray_caster():
    program = (
        "import sys, sitetwin.cli.app, sitetwin.store\n"
        "print([m for m in ('mitsuba', 'drjit', 'torch') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_a_choice_that_is_no_llvm_is_said_in_one_sentence(tmp_path):
    program = (
        "from sitetwin.backend import mitsuba\n"
        "from sitetwin.errors import SiteTwinError\n"
        "try:\n    print(mitsuba().variant())\nexcept SiteTwinError as error:\n    print(error)"
    )
    environment = {**os.environ, "DRJIT_LIBLLVM_PATH": str(tmp_path / "absent.so")}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    said = run.stdout.strip().splitlines()[-1]
    assert said.startswith("cuda") or (str(tmp_path / "absent.so") in said and "karellen-llvm-core" in said)


def test_rays_hit_where_geometry_says():
    mi = backend.mitsuba()
    scene = mi.load_dict({"type": "scene", "box": {"type": "cube"}})  # corners at -1 and 1
    rng = np.random.default_rng(3)
    direction = rng.normal(size=(200, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    ray = mi.Ray3f(mi.Point3f(0.0, 0.0, 0.0), mi.Vector3f(*(mi.Float(d.astype(np.float32)) for d in direction.T)))
    distance = scene.ray_intersect_preliminary(ray).t.numpy()
    np.testing.assert_allclose(distance, 1 / np.abs(direction).max(axis=1), rtol=1e-5)


def test_the_message_names_what_to_install(monkeypatch):
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    error = backend._no_llvm()
    assert isinstance(error, SiteTwinError)
    assert "pip install karellen-llvm-core" in str(error)
