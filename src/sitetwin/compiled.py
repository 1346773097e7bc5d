"""How inner loops are compiled, and where the machine code is kept from one process to the next.

Numba compiles a kept function anew when the file that holds it changes, but not when a function that it calls from
another file does, nor when an installation replaces a file by one of the same size and time. So what is kept lies in a
folder that is named for the content of all files with such loops.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import config, njit

from sitetwin.version import code_version

ROOMS = (
    "channel/numerics",
    "compiled.py",
    "learn/beams/trees.py",
    "learn/csi/hybrid",
    "link/kernels.py",
    "site/ground/walking.py",
)
"""Files and folders of the package that hold compiled loops, or what these take from elsewhere."""


def compiled(*, fastmath: bool = False, divisions_checked: bool = True) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles a function without Python's lock and without checks of bounds.

    Callers check shapes, offsets and indices first.

    Args:
        fastmath: Whether sums may be taken in any order, and numbers are taken for finite.
        divisions_checked: Whether a division by zero raises; a check of every division keeps loops from being
            vectorised.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "boundscheck": False}
    if not divisions_checked:
        options["error_model"] = "numpy"

    def decorate(function: Callable[..., Any]) -> Any:
        folder = _kept_in()
        if folder is None:
            return njit(**options)(function)
        before = config.CACHE_DIR
        config.CACHE_DIR = str(folder)  # it is read once, when the function is decorated
        try:
            return njit(cache=True, **options)(function)
        except RuntimeError:  # Numba finds no place that takes files: a full disk, or no sources
            return njit(**options)(function)
        finally:
            config.CACHE_DIR = before

    return decorate


@cache
def _kept_in() -> Path | None:
    """The folder of the machine code of these sources; None where no folder can be written."""
    try:
        name = f"compiled-{code_version(*ROOMS)}"
    except OSError:
        return None  # the package lies here without its sources, so that nothing tells old code from new
    own = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # as it is where there is no home
    places = [
        *([Path(config.CACHE_DIR)] if config.CACHE_DIR else []),
        Path(__file__).parent / "__pycache__",
        *([Path(own) / "sitetwin"] if Path(own).is_absolute() else []),
    ]
    for place in places:
        folder = place / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    return None
