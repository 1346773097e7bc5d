"""Files are written completely or not at all: under a temporary name first, then renamed into place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import replace_folder


def write_file(path: Path, data: bytes) -> None:
    """Write one file; an existing file is replaced in one step.

    Raises:
        SiteTwinError: The path is a folder, or cannot be written (permissions, full disk).
    """
    if path.is_dir():
        raise SiteTwinError(f"'{path}' is a folder; name the file to write")
    fresh = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(fresh, 0o644)
        os.replace(fresh, path)
    except OSError as error:
        if fresh is not None:
            Path(fresh).unlink(missing_ok=True)
        raise _refusal(path, error) from error


def write_folder(folder: Path, files: Mapping[str, bytes], ours: str) -> None:
    """Write a folder of files; an existing export is replaced in one step.

    Args:
        folder: The folder to make.
        files: Content by path relative to the folder, with "/" between folders.
        ours: Name of the file that marks a folder as an earlier export. Any other folder that is not empty is kept.

    Raises:
        SiteTwinError: The folder holds something else, or cannot be written (permissions, full disk).
    """
    fresh = None
    try:
        if folder.exists() and not (folder / ours).is_file() and (not folder.is_dir() or any(folder.iterdir())):
            raise SiteTwinError(f"'{folder}' holds something other than an earlier export; choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for name, data in files.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
        fresh.chmod(0o755)
        replace_folder(fresh, folder)
    except OSError as error:
        raise _refusal(folder, error) from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def _refusal(path: Path, error: OSError) -> SiteTwinError:
    return SiteTwinError(
        f"'{path}' cannot be written: {error.strerror or type(error).__name__}; free space, mend the permissions or "
        "choose another place"
    )
