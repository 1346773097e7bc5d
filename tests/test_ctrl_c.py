"""Ctrl-C while a library loads: some of them raise an ImportError in place of the interruption."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Loader:
    def find_spec(self, name, path=None, target=None):
        if name == "sitetwin.doctor":
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(10**8):
                    pass
            except KeyboardInterrupt:
                raise ImportError("initialization failed")

from sitetwin.__main__ import main
if sys.argv.pop(1) == "pressed":
    sys.meta_path.insert(0, Loader())
else:
    sys.modules["sitetwin.doctor"] = None  # importing it raises ImportError
main()
"""


def test_an_interrupted_import_is_ctrl_c_and_no_other_error() -> None:
    for how, status, words in (("pressed", 130, "stopped by Ctrl-C"), ("broken", 1, "unexpected ModuleNotFoundError")):
        run = subprocess.run(
            [sys.executable, "-c", _SCRIPT, how, "doctor"], capture_output=True, text=True, timeout=120
        )
        assert run.returncode == status, run.stderr
        assert words in run.stderr
        assert "Traceback" not in run.stderr
