"""New files and folders for other programs to read: whole or absent, and never over something that is there."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import PARTIAL, disk_errors, folder_in_the_making, own_place, sync
from sitetwin.store.tiles import refuse_inside_store

ATTRIBUTES = "attributes"
"""Name, in an NPZ or MAT file, of the text (JSON) that says what the arrays mean."""


def refuse_existing(path: str | Path) -> Path:
    """The path, if nothing is there and it lies in no store.

    Raises:
        SiteTwinError: Something is there.
    """
    path = Path(path)
    refuse_inside_store(path)
    if path.exists() or path.is_symlink():
        raise SiteTwinError(f"{path} exists already; remove it, or choose another name")
    return path


@contextmanager
def new_folder(path: Path, again: str = "export again") -> Iterator[Path]:
    """A folder to fill, moved to its place when the block ends without an exception, else removed.

    Raises:
        SiteTwinError: Something is there already, or the disk cannot be written.
    """
    refuse_existing(path)
    with disk_errors(f"writing {path.name}", path.parent, again):
        path.parent.mkdir(parents=True, exist_ok=True)
        with folder_in_the_making(path.parent, path) as temporary:
            yield temporary


@contextmanager
def new_file(path: Path, again: str = "export again") -> Iterator[tuple[Path, Path]]:
    """A file to write and a folder for scratch files; the file is moved to its place at the end, the rest removed.

    Raises:
        SiteTwinError: Something is there already, the file was not written, or the disk cannot be written.
    """
    refuse_existing(path)
    with disk_errors(f"writing {path.name}", path.parent, again):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = own_place(path.parent, PARTIAL)
        scratch = partial / f"{path.name}-{os.getpid()}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            # The ending is kept: writers look at it.
            temporary = scratch / f"result{path.suffix}"
            yield temporary, scratch
            sync(temporary)
            os.rename(temporary, path)
            sync(path.parent)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            with suppress(OSError):  # another writer is at work in it
                partial.rmdir()


class Spool:
    """Arrays that grow along their first axis, on disk: what does not fit the memory can still become one file.

    Args:
        folder: For scratch files, one per array.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kinds: dict[str, tuple[np.dtype, tuple[int, ...]]] = {}
        self._rows: dict[str, int] = {}

    def append(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put rows behind those that are there; the other axes and the type of an array never change."""
        for name, array in arrays.items():
            array = np.ascontiguousarray(array)
            kind = (array.dtype.newbyteorder("<"), array.shape[1:])
            if self._kinds.setdefault(name, kind) != kind:
                raise ValueError(f"array {name!r} of {self._kinds[name]} cannot grow by {kind}")
            with (self._folder / f"{name}.raw").open("ab") as stream:
                stream.write(array.astype(kind[0], copy=False).tobytes())
            self._rows[name] = self._rows.get(name, 0) + len(array)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each array so far."""
        return {name: (self._rows[name], *kind[1]) for name, kind in self._kinds.items()}

    def nbytes(self, name: str) -> int:
        """Size of one array."""
        return self._kinds[name][0].itemsize * int(np.prod(self.shapes[name], dtype=np.int64))

    def array(self, name: str) -> np.ndarray:
        """One array, mapped from the disk."""
        shape, (dtype, _) = self.shapes[name], self._kinds[name]
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(self._folder / f"{name}.raw", dtype=dtype, mode="r", shape=shape)

    def write_npz(self, path: Path, attributes: Mapping[str, object]) -> None:
        """Write all arrays as an NPZ file, not compressed and without pickles; the same bytes for the same content.

        Args:
            path: The file.
            attributes: JSON-serialisable; they become the text `attributes`.
        """
        text = np.array(json.dumps(attributes, sort_keys=True, allow_nan=False))
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            with archive.open(zipfile.ZipInfo(f"{ATTRIBUTES}.npy"), "w") as member:
                np.lib.format.write_array(member, text, allow_pickle=False)
            for name, (dtype, _) in self._kinds.items():
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                    np.lib.format.write_array_header_2_0(member, {**header, "shape": self.shapes[name]})
                    with (self._folder / f"{name}.raw").open("rb") as stream:
                        shutil.copyfileobj(stream, member, 1 << 22)
