"""Files and folders that are either whole or absent, whatever happens to the process that writes them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import opened

try:
    import fcntl
except ImportError:  # not POSIX: one writer at a time is then the user's own care
    fcntl = None  # type: ignore[assignment]

PARTIAL = ".partial"  # folder, inside the store, of what is still being written
_UNFINISHED = re.compile(r"(?P<name>.+)-(?P<process>\d{1,10})")  # what writers name their files there
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system answers where there is no space: on the disk, for this user, or (a limit) in one file."""

_FOLDER_WANTED = {errno.EEXIST, errno.ENOTDIR}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_bytes(data: bytes) -> str:
    """SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def own_place(root: Path, name: str) -> Path:
    """The path `name` below `root`, none of whose folders is a link: what is written or removed there is the root's.

    Raises:
        SiteTwinError: A part of the name is a symbolic link, which may lead anywhere.
    """
    place = root
    for part in name.split("/"):
        place = place / part
        if os.path.islink(place):  # False where it cannot be looked at, and so cannot be opened either
            raise SiteTwinError(
                f"{place} is a symbolic link, and nothing is read, written or removed through links inside {root}; "
                "put what it points to in its place, or remove the link"
            )
    return place


def holds_links(folder: Path) -> bool:
    """Whether anything under `folder` is a symbolic link."""
    return any(path.is_symlink() for path in folder.rglob("*"))


def hash_folder(folder: Path, known: Mapping[str, str] | None = None) -> str:
    """SHA-256 over the names and contents of all files under `folder`, in the order of their POSIX paths.

    Args:
        folder: The folder.
        known: SHA-256 of the content of files, by their POSIX path; read by default.
    """
    digest = hashlib.sha256(b"sitetwin-folder-1")
    contents = hash_files(folder) if known is None else known
    for name in sorted(contents):
        digest.update(f"{name}\0{contents[name]}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def hash_files(folder: Path, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, str]:
    """SHA-256 of the content of the wanted files under `folder`, by their POSIX path below it."""
    found = {}
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and wanted(name):
            with opened(file, str(file)) as stream:
                found[name] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def sync(path: Path) -> None:
    """Have the system put a file, or a folder's list of entries, on the disk now."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes) -> None:
    """Write a file beside its place and rename it into it: readers see the old content or the new, never a part."""
    partial = own_place(path.parent, PARTIAL)
    partial.mkdir(exist_ok=True)
    temporary = partial / f"{path.name}-{os.getpid()}"
    temporary.unlink(missing_ok=True)  # a file, or a link, that a dead process of this number left
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        _remove_if_empty(partial)
    sync(path.parent)


@contextmanager
def folder_in_the_making(root: Path, place: Path) -> Iterator[Path]:
    """A folder to fill, moved to `place` on the disk when the block ends without an exception, else removed.

    Args:
        root: Folder that holds the unfinished one, and under which `place` lies.
        place: Where the finished folder goes; what stands there is replaced.

    Raises:
        SiteTwinError: A folder between `root` and `place` is a symbolic link.
    """
    place = own_place(root, place.relative_to(root).as_posix())
    partial = own_place(root, PARTIAL)
    temporary = partial / f"{place.name}-{os.getpid()}"
    _remove(temporary)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        for path in sorted(temporary.rglob("*")):
            sync(path)
        sync(temporary)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():
            # Folders cannot be swapped in one step everywhere: a kill between the two leaves the group absent, and
            # an absent group is written anew.
            shutil.rmtree(place)
        os.rename(temporary, place)
        sync(place.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        _remove_if_empty(partial)


def sweep_partials(root: Path, name: str | None = None) -> None:
    """Remove unfinished files of killed writers; files that a running process is writing, and others' files, stay.

    Args:
        root: Folder in which they wrote.
        name: What they wrote; anything by default, which is right where the whole folder is theirs.

    Raises:
        SiteTwinError: The folder of unfinished files is a symbolic link.
    """
    partial = own_place(root, PARTIAL)
    if not partial.is_dir():
        return
    for leftover in partial.iterdir():
        written = _UNFINISHED.fullmatch(leftover.name)
        if written is None or name not in (None, written["name"]):
            continue
        owner = int(written["process"])
        if owner == os.getpid() or not _is_alive(owner):
            _remove(leftover)
    _remove_if_empty(partial)


def _remove(path: Path) -> None:
    """Remove a file, a folder with all in it, or a link, but never what a link points to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one process at a time changes the manifest."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def disk_errors(doing: str, folder: Path, again: str = "resume") -> Iterator[None]:
    """Say in one sentence what the disk refused, while `doing` something in `folder`.

    Args:
        doing: What is done, as "writing tiles/000003".
        folder: Folder in which it is done.
        again: What the user does once there is space.

    Raises:
        SiteTwinError: The disk is full, or the folder cannot be written or read.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise SiteTwinError(
                f"the disk is full ({_free_megabytes(folder)} MB free) while {doing} in {folder}; nothing half-written "
                f"was left: free some space and {again}"
            ) from error
        raise SiteTwinError(f"{doing} in {folder} failed: {_refusal(error, folder)}") from error


def _refusal(error: OSError, folder: Path) -> str:
    """What the disk said, and the mend."""
    if error.errno in _FOLDER_WANTED:
        wrong = next((place for place in (folder, *folder.parents) if place.exists() and not place.is_dir()), folder)
        return f"{wrong} is a file, not a folder; choose another folder"
    if error.errno in _FORBIDDEN:
        return f"{error.strerror}; change the permissions, or choose another folder"
    return f"{error.strerror or error}; check the path"


def _free_megabytes(folder: Path) -> int:
    """Free space where `folder` is, or would be, in MB."""
    return shutil.disk_usage(existing_parent(folder)).free // 1_000_000


def existing_parent(path: Path) -> Path:
    """The path itself if it exists, else the nearest folder above it that does."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # another writer is at work in it, or it is gone already
        return


def replace_folder(fresh: Path, folder: Path) -> None:
    """Rename a finished folder to its place; what is there already goes in one step, and is removed after."""
    if not folder.exists():
        os.replace(fresh, folder)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    os.replace(folder, aside / "old")
    os.replace(fresh, folder)
    shutil.rmtree(aside, ignore_errors=True)
