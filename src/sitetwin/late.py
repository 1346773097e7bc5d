"""Conveniences of lower floors that upper floors carry out, called by name.

A site can be plotted and paths know their power, though plots and fields stand floors above sites and paths. Such a
method is written where its class is, with its signature and what it says of itself; what it does stands above.
"""

from __future__ import annotations

import importlib
from types import ModuleType


def later(module: str) -> ModuleType:
    """The module of that name below `sitetwin`, imported at the time of the call."""
    return importlib.import_module(f"sitetwin.{module}")
