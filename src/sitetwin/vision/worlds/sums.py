"""Checksums of a recording's files: what was changed or damaged since it was made is told, and made again."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.untrusted import is_missing, read_bytes, read_json

SUMS = "sums.json"
"""File of the checksums, in the folder of a drive."""

_LARGEST = 64 * 2**20


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole: under another name, then renamed."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    os.replace(partial, path)


class Sums:
    """SHA-256 of the files of one drive that take long to make.

    Args:
        folder: The drive's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = _kept(folder)

    def keep(self, *names: str) -> None:
        """Take files of the folder for what they are to be; they have just been made."""
        self._kept.update({name: self._sum(name) for name in names})
        self._write()

    def forget(self, *names: str) -> None:
        """Keep no checksum of files that are needed no more."""
        self._kept = {name: value for name, value in self._kept.items() if name not in names}
        self._write()

    def sound(self, name: str) -> bool:
        """Tell whether a file was made whole and is as it was made.

        Warns:
            SiteTwinWarning: It was changed or damaged, or is gone, so that it is to be made again.
        """
        if name not in self._kept:
            return False  # it was never made, or the run was stopped before its checksum was kept
        if self._as_made(name):
            return True
        warnings.warn(
            f"'{self._folder / name}' was changed, damaged or removed after it was recorded, and is made again",
            SiteTwinWarning,
            stacklevel=2,
        )
        return False

    def check(self) -> None:
        """Refuse a recording of which a file is not as it was made; files without a checksum are taken as they are.

        Raises:
            SiteTwinError: A file was changed, damaged or removed.
        """
        for name in self._kept:
            if not self._as_made(name):
                raise SiteTwinError(
                    f"'{self._folder / name}' was changed, damaged or removed after it was recorded; record the drive "
                    f"again, or remove '{SUMS}' from its folder to use the files as they are"
                )

    def _write(self) -> None:
        replace_file(self._folder / SUMS, (json.dumps(self._kept, indent=1, sort_keys=True) + "\n").encode())

    def _as_made(self, name: str) -> bool:
        return not is_missing(self._folder / name) and self._sum(name) == self._kept[name]

    def _sum(self, name: str) -> str:
        path = self._folder / name
        return hashlib.sha256(read_bytes(path, f"'{path}'", _LARGEST, "record the drive again")).hexdigest()


def _kept(folder: Path) -> dict[str, str]:
    """The checksums of a folder; none where they are damaged, so that all files are made again."""
    path = folder / SUMS
    if is_missing(path):
        return {}
    try:
        held = read_json(path, f"'{path}'", mend="record the drive again")
        sound = isinstance(held, dict) and all(
            isinstance(value, str) and not Path(name).is_absolute() and ".." not in Path(name).parts
            for name, value in held.items()
        )
        if not sound:
            raise SiteTwinError(f"'{path}' holds no checksums")
    except SiteTwinError as error:
        said = str(error).partition(";")[0]
        warnings.warn(f"{said}; the drive's files are made again", SiteTwinWarning, stacklevel=3)
        return {}
    return {str(name): str(value) for name, value in held.items()}
