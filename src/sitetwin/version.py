"""Which code made a result: results of other code are not gone on with in silence."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

__version__ = "0.1.0"


@cache
def code_version(*rooms: str) -> str:
    """Version of the package and a hash of the source of some of its rooms: what decides the bytes of a result.

    Args:
        *rooms: Folders and files of the package whose code has a say, as "site", "rays", "backend.py".

    Returns:
        For instance ``"0.1.0+1f0c93b2a4d8"``; another text as soon as a line of those folders and files changes.

    Raises:
        FileNotFoundError: There is no such folder or file.
    """
    digest = hashlib.sha256()
    for room in sorted(rooms):
        place = files("sitetwin") / room
        for name, text in [(room, place.read_bytes())] if place.is_file() else _sources(place, room):
            digest.update(name.encode() + b"\0" + text + b"\0")
    return f"{__version__}+{digest.hexdigest()[:12]}"


def _sources(folder: Traversable, name: str) -> list[tuple[str, bytes]]:
    """Names and bytes of all files of a folder that Python or the package reads, in the order of their names."""
    found: list[tuple[str, bytes]] = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir():
            found += _sources(item, f"{name}/{item.name}") if item.name != "__pycache__" else []
        elif not item.name.endswith((".pyc", ".nbi", ".nbc")):
            found.append((f"{name}/{item.name}", item.read_bytes()))
    return found
