"""Whether Ctrl-C was pressed: a library that is interrupted while it loads may raise another error in its place."""

from __future__ import annotations

import signal
from types import FrameType

_pressed: list[int] = []


def watch() -> None:
    """Remember Ctrl-C from now on; it is answered as before. Only on the main thread."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _answer)


def _answer(number: int, frame: FrameType | None) -> None:
    _pressed.append(number)
    signal.default_int_handler(number, frame)


def pressed() -> bool:
    """Whether it was pressed since `watch`."""
    return bool(_pressed)
