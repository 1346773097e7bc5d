"""Arrays for the device lie in memory that may be read past their end."""

from __future__ import annotations

import subprocess
import sys

import pytest

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
