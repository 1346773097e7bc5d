"""Ctrl-C is never lost: neither while a library loads nor in code whose exceptions Python drops.

A library that is interrupted may raise another error in its place (ImportError, SystemError); `pressed` tells. An
interruption in a finaliser or in a callback of the garbage collector is dropped by Python with a traceback; here it is
answered a moment later instead.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

_AGAIN_S = 0.02

_pressed: list[int] = []


def watch() -> None:
    """Remember Ctrl-C from now on; it is answered as before. Only on the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _answer)
        sys.unraisablehook = _dropped


def _answer(number: int, frame: FrameType | None) -> None:
    _pressed.append(number)
    signal.default_int_handler(number, frame)


def _dropped(what: Any) -> None:
    """Press again what was dropped; show every other dropped exception as Python does."""
    if not issubclass(what.exc_type, KeyboardInterrupt):
        return sys.__unraisablehook__(what)
    with contextlib.suppress(RuntimeError):  # no thread can begin while Python ends: nothing is left to interrupt
        again = threading.Timer(_AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    return None


def pressed() -> bool:
    """Whether it was pressed since `watch`."""
    return bool(_pressed)
