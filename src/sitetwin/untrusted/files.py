"""Open regular files within a limit of size; what may never end, as a pipe or a device, is refused unopened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from sitetwin.errors import SiteTwinError

_PLAIN = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
"""Not waiting: a pipe that took a file's place after the look does not hold us up. Bytes as they are on Windows."""


def read_bytes(path: Path, what: str, largest: int, mend: str = "check the path") -> bytes:
    """Read a regular file whole; a pipe or a device, which may never end, is none.

    Args:
        path: The file.
        what: Kind and name of the file, for messages: "recipe 'x.toml'".
        largest: Largest size, bytes.
        mend: What the user can do.

    Raises:
        SiteTwinError: The file is missing, no regular file, larger than the limit, or cannot be read.
    """
    with opened(path, what, mend) as stream:
        size = os.fstat(stream.fileno()).st_size
        if size > largest:
            raise SiteTwinError(f"{what} is larger than {size_text(largest)}, which no such file is; {mend}")
        data = stream.read(size + 1)  # memory for what is there, not for the limit
    if len(data) > size:
        raise SiteTwinError(f"{what} grows while it is read; read it again when it is whole")
    return data


def read_head(path: Path, count: int) -> bytes:
    """The first bytes of a regular file, by which its format is told.

    Raises:
        SiteTwinError: The file is missing, no regular file, or cannot be read.
    """
    with opened(path, f"'{path}'", "check the path") as stream:
        return stream.read(count)


@contextmanager
def opened(path: Path, what: str, mend: str = "check the path") -> Iterator[BufferedReader]:
    """A regular file that is open for reading, for what reads a part at a time.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        mend: What the user can do.

    Raises:
        SiteTwinError: The file is missing, no regular file, or cannot be read.
    """
    try:
        stream = _open(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte or half a character
        raise _refusal(error, what, mend) from error
    if stream is None:
        raise SiteTwinError(f"{what} is no file; {mend}")
    with stream:
        try:
            yield stream
        except OSError as error:
            raise _refusal(error, what, mend) from error


def is_missing(path: Path) -> bool:
    """Whether nothing lies at a path; of what cannot be looked at, its reader says why."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):  # a folder that is closed, a name that is too long
        return False
    return False


def _open(path: Path) -> BufferedReader | None:
    """The file, or None where the path leads to something that is no regular file."""
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    stream = os.fdopen(os.open(path, os.O_RDONLY | _PLAIN), "rb")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    return None


def _refusal(error: Exception, what: str, mend: str) -> SiteTwinError:
    return SiteTwinError(f"{what} cannot be read: {getattr(error, 'strerror', None) or type(error).__name__}; {mend}")


@contextmanager
def naming(path: str | Path, what: str) -> Iterator[None]:
    """Whatever is refused in the block names the file: `what` stands before a sentence that does not.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
    """
    try:
        yield
    except SiteTwinError as error:
        if not str(path) or Path(path).name in str(error):
            raise
        raise SiteTwinError(f"{what}: {error}") from error


def regular_size(path: Path, what: str, mend: str = "check the path") -> int:
    """Bytes of a regular file, for a library that opens it itself.

    Raises:
        SiteTwinError: The file is missing, no regular file, or cannot be read.
    """
    with opened(path, what, mend) as stream:
        return os.fstat(stream.fileno()).st_size


def short(error: Exception) -> str:
    """What a parser says, on one line that fits into a sentence."""
    return " ".join(str(error).split())[:100] or type(error).__name__


def size_text(count: int) -> str:
    """A number of bytes for a sentence."""
    return f"{count >> 20} MiB" if count >= 2**20 else f"{count} bytes"
