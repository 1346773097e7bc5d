"""What all studies share: configuration, claim of a folder, parts that resume, results and times on disk, progress.

A folder belongs to one configuration, and to the code that began it: what a study finds is never mixed from two.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.store.files import disk_errors, own_place, write_file
from sitetwin.studies.records import Record, as_document, read_json
from sitetwin.untrusted import is_missing
from sitetwin.version import code_version

CONFIGURATION, RESULTS, RUN = "configuration.json", "results.json", "run.json"
"""Files of a study's folder: whose it is, what was found, and how long it took where."""

_CHECKSUM = "sha256"  # entry of a kept part

Progress = Callable[[str, float], None]
"""It is told the name of a stage and the share of it that is done, 0 to 1."""


def silent(stage: str, share: float) -> None:
    """Ignore progress."""


class Frozen(BaseModel):
    """A part of a configuration: it does not change, and refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def hash(self, data: str | None = None) -> str:
        """SHA-256 of the configuration and, where given, of what identifies the data that it is applied to."""
        content: Any = self.model_dump(mode="json")
        if data is not None:
            content = {"configuration": content, "data": data}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def claim_folder(folder: Path, study: Frozen, rooms: Sequence[str], data: str | None = None) -> str:
    """Make a folder that of one configuration, run by one state of the code.

    Args:
        folder: The folder; it must be new, empty, or already claimed for the same configuration and code.
        study: The configuration.
        rooms: Folders of the package whose code decides the results, as "site" or "studies/csi".
        data: Identifies the data that the configuration is applied to, where these are no part of it.

    Returns:
        The hash of configuration and data.

    Raises:
        SiteTwinError: The folder belongs to another configuration or was begun by other code, its claim is damaged, it
            holds something else, or the disk cannot be written.
    """
    path, key, code = folder / CONFIGURATION, study.hash(data), code_version(*rooms)
    with disk_errors("claiming the folder of the study", folder):
        if path.exists():
            _check_claim(path, key, code)
            return key
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise SiteTwinError(f"{folder} exists and holds no study; choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, {"hash": key, "code": code, "configuration": study.model_dump(mode="json")})
    return key


def _check_claim(path: Path, key: str, code: str) -> None:
    """Refuse a folder that is not that of this study and this code."""
    try:
        held = read_json(path)
    except SiteTwinError:
        held = None
    if not isinstance(held, dict) or not isinstance(held.get("hash"), str):
        raise SiteTwinError(
            f"{path} is damaged, so that nobody can tell which study its folder holds; choose another folder, or "
            "remove this one"
        )
    if held["hash"] != key:
        raise SiteTwinError(
            f"{path.parent} holds another study (another configuration or other data); choose another folder, or "
            "remove it"
        )
    if held.get("code") != code:
        raise SiteTwinError(
            f"{path.parent} was begun by other code ({held.get('code') or 'unknown'}) than this ({code}), which may "
            "give other results; choose another folder, or remove it"
        )


def read_part(path: Path, key: str) -> Any:
    """Content of a finished part of a study; None where there is none, or it is damaged or of another key.

    Raises:
        SiteTwinError: The part, or its folder, is a symbolic link.

    Warns:
        SiteTwinWarning: The part is damaged, so that it is made again.
    """
    own_place(path.parent.parent, f"{path.parent.name}/{path.name}")
    if is_missing(path):
        return None
    try:
        kept = read_json(path)
        if not isinstance(kept, dict) or kept.get(_CHECKSUM) != _checksum(path, kept.get("key"), kept.get("content")):
            raise SiteTwinError(f"part {path} does not agree with its checksum")
    except SiteTwinError as error:
        said = str(error).partition(";")[0]
        warnings.warn(f"{said}; it is damaged, and is made again", SiteTwinWarning, stacklevel=2)
        return None
    return kept["content"] if kept["key"] == key else None


def write_part(path: Path, key: str, content: Any) -> None:
    """Keep a finished part of a study, so that a run that was stopped goes on behind it.

    Args:
        path: File that keeps the part, in a folder of the study's folder.
        key: Names what the part depends on; it is read back for the same key only.
        content: What JSON can hold.

    Raises:
        SiteTwinError: The disk refuses, or the part, or its folder, is a symbolic link.
    """
    with disk_errors("keeping a part of the study", path.parent):
        own_place(path.parent.parent, f"{path.parent.name}/{path.name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.loads(json.dumps(content))  # as it is read back: names of entries are texts then
        write_file(
            path, json.dumps({"key": key, "content": content, _CHECKSUM: _checksum(path, key, content)}).encode()
        )


def _checksum(path: Path, key: Any, content: Any) -> str:
    """SHA-256 of which part it is and what it says; numbers are written such that they read back as they were."""
    return hashlib.sha256(json.dumps([path.name, key, content], sort_keys=True).encode()).hexdigest()


def write_results(folder: Path, results: Record | dict[str, Any], run: dict[str, Any]) -> Path:
    """Write what a study found, and beside it what does not repeat: times, machine and date.

    Args:
        folder: Folder of the study.
        results: The document; equal results give equal bytes.
        run: Facts of this run, such as seconds.

    Returns:
        Path of the results.

    Raises:
        SiteTwinError: The disk refuses.
    """
    document = results if isinstance(results, dict) else as_document(results)
    with disk_errors("writing the results of the study", folder):
        write_json(folder / RUN, {**run, "host": host(), "finished": datetime.now(UTC).isoformat(timespec="seconds")})
        write_json(folder / RESULTS, document)
    return folder / RESULTS


def host() -> dict[str, Any]:
    """Describe the machine that a study runs on."""
    return {"machine": platform.machine(), "system": platform.platform(), "cores": os.cpu_count()}


def versions(*libraries: str) -> dict[str, str]:
    """Look up the versions of this package and of others by name, for the results."""
    return {name: importlib.metadata.version(name) for name in ("sitetwin", *libraries)}


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all; equal contents give equal bytes.

    Raises:
        ValueError: A number is not finite.
    """
    write_file(path, (json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n").encode())
