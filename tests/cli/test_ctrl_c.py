"""Ctrl-C where it is easily lost: while a library loads, and in callbacks of the garbage collector."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Loader:
    def find_spec(self, name, path=None, target=None):
        if name == "sitetwin.cli.diagnosis":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10**8):
                    pass
            except KeyboardInterrupt:
                raise getattr(__builtins__, how)("initialization failed")

from sitetwin.__main__ import main
how = sys.argv.pop(1)
if how != "broken":
    sys.meta_path.insert(0, Loader())
else:
    sys.modules["sitetwin.cli.diagnosis"] = None  # importing it raises ImportError
main()
"""


def test_an_interrupted_import_is_ctrl_c_and_no_other_error() -> None:
    for how, status, words in (
        ("ImportError", 130, "stopped by Ctrl-C"),
        ("SystemError", 130, "stopped by Ctrl-C"),
        ("broken", 1, "unexpected ModuleNotFoundError"),
    ):
        command = [sys.executable, "-c", _SCRIPT, how, "doctor"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert run.returncode == status, run.stderr
        assert words in run.stderr
        assert "Traceback" not in run.stderr


_CALLBACK = """
import gc, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from sitetwin.__main__ import main

def press(phase, info):
    gc.callbacks.remove(press)
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(100):
        pass

def slow(*args, **options):
    gc.callbacks.append(press)
    gc.collect()
    for _ in range(600):
        time.sleep(0.1)
    raise SystemExit("not interrupted")

import sitetwin.cli.diagnosis
sitetwin.cli.diagnosis.diagnose = slow
main()
"""


def test_ctrl_c_in_a_callback_of_the_garbage_collector_is_answered() -> None:
    run = subprocess.run([sys.executable, "-c", _CALLBACK, "doctor"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 130, run.stderr
    assert "stopped by Ctrl-C" in run.stderr
    assert "Traceback" not in run.stderr
