"""Named arrays of numbers from a file of measurements, whatever its format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sitetwin.store.mat_files import read_mat_arrays
from sitetwin.untrusted import read_head
from sitetwin.untrusted.arrays import read_npz
from sitetwin.untrusted.hdf5 import read_hdf5

LARGEST_MEASUREMENT = 1 << 32
"""Bytes of measurements that are read into memory."""

MEND = "see the reference of measured data for the names and axes of its arrays"
_MATLAB_HDF5 = b"MATLAB 7.3"


def named_arrays(path: Path, what: str, names: Sequence[str], flat: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of a NumPy archive, an HDF5 file or a MATLAB file, told apart by the ending.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        names: Names that are looked for in an HDF5 file; other formats give all that they hold.
        flat: Names of vectors, which MATLAB holds as matrices of one row or column.

    Raises:
        SiteTwinError: The file is missing, damaged, too large or of another format.
    """
    ending = path.suffix.lower()
    matlab = ending == ".mat"
    if ending in (".h5", ".hdf5") or (matlab and read_head(path, len(_MATLAB_HDF5)) == _MATLAB_HDF5):
        arrays = read_hdf5(path, what, MEND, names, LARGEST_MEASUREMENT)
    else:
        arrays = read_mat_arrays(path) if matlab else read_npz(path, what, MEND)
    if not matlab:
        return arrays
    return {name: array.ravel() if name in flat and 1 in array.shape else array for name, array in arrays.items()}


def holds_array(path: Path, name: str) -> bool:
    """Whether a file of measurements has an array of a name; a table of text (CSV) has none.

    Raises:
        SiteTwinError: The file is missing, damaged, too large or of another format.
    """
    what = f"the measurements '{path}'"
    return path.suffix.lower() != ".csv" and name in named_arrays(path, what, (name,), ())
