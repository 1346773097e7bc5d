"""The device: a GPU gives what the processor gives; arrays for it lie in memory that may be read past their end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sitetwin.rays import Paths, load_paths

# An array whose last byte is the last of a mapping, before a page that must not be touched.
_SCRIPT = """
import ctypes, sys
import numpy as np
from sitetwin.backend import mitsuba
from sitetwin.rays.device import to_device

mi = mitsuba()
import drjit as dr

libc, page, pages = ctypes.CDLL(None), 4096, 16
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
start = libc.mmap(None, (pages + 1) * page, 3, 0x22, -1, 0)
assert libc.mprotect(start + pages * page, page, 0) == 0
room = np.frombuffer((ctypes.c_uint8 * (pages * page)).from_address(start), np.uint8)
for kind, dtype in ((mi.UInt32, np.uint32), (mi.Float64, np.float64), (mi.Int32, np.int32)):
    for count in (1001, 1016, 1023, 1024):
        values = room[len(room) - count * np.dtype(dtype).itemsize :].view(dtype)
        values[:] = np.arange(count)
        found = (to_device(kind, values) + 1).numpy()
        assert np.array_equal(found, np.arange(count) + 1)
print("safe")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="guards pages as Linux does")
def test_nothing_is_read_past_the_end_of_a_mapping() -> None:
    run = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=120)
    assert (run.returncode, run.stdout) == (0, "safe\n"), run.stderr


# Every kind of path in a small street, traced on one backend into a file.
_TRACE = """
import os, sys
from sitetwin.backend import find_llvm, mitsuba

variant, out = sys.argv[1:]
if variant.startswith("llvm"):
    os.environ["DRJIT_LIBLLVM_PATH"] = find_llvm().path
import mitsuba as mi

if variant.startswith("cuda"):
    try:
        mi.set_variant(variant)
        import drjit as dr
        dr.eval(mi.Float(0.0))
    except Exception as error:
        print(" ".join(str(error).split())[:200] or type(error).__name__)
        raise SystemExit(77)
else:
    mi.set_variant(variant)
from sitetwin.rays import TraceSettings, save_paths, trace
from tests.rays.test_bad_meshes import MAST, STREET, mesh_of, site_of, street_users

assert mitsuba().variant() == variant
settings = TraceSettings(2, rays_per_lattice=50_000, max_transmissions=2, diffuse_paths=3, diffraction=True)
save_paths(trace(site_of(mesh_of(STREET)), MAST, street_users(), settings), out)
"""


def traced_on(variant: str, folder: Path) -> Paths:
    """Paths that a process of its own traces; skips where it finds no such device."""
    command = [sys.executable, "-c", _TRACE, variant, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=Path(__file__).parents[2])
    if run.returncode == 77:
        pytest.skip(f"no GPU for the ray caster: {run.stdout.strip()}")
    assert run.returncode == 0, run.stderr
    return load_paths(folder)


def test_a_gpu_finds_the_paths_of_the_processor(tmp_path: Path) -> None:
    gpu, cpu = (traced_on(f"{kind}_ad_mono_polarized", tmp_path / kind) for kind in ("cuda", "llvm"))
    assert {1, 3, 4, 5} <= set(cpu.kinds.ravel().tolist())
    np.testing.assert_array_equal(gpu.offsets, cpu.offsets)
    for name in ("kinds", "facets"):
        np.testing.assert_array_equal(getattr(gpu, name), getattr(cpu, name))
    for name in ("vertices", "length", "departure", "arrival"):
        np.testing.assert_allclose(getattr(gpu, name), getattr(cpu, name), rtol=1e-9, atol=1e-9)
