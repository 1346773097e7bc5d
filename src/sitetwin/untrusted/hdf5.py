"""Arrays from HDF5 files, also MATLAB's of version 7.3: read by libhdf5 in a process with little time and memory.

A damaged file can end the process that libhdf5 runs in, and a sound one can point to other files or unpack to any size.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.untrusted import hdf5_child
from sitetwin.untrusted.files import regular_size
from sitetwin.untrusted.limited import answered
from sitetwin.untrusted.packed import largest_unpacked

_ENVIRONMENT = {
    "HDF5_PLUGIN_PRELOAD": "::",  # no filter of anybody's is loaded
    "HDF5_USE_FILE_LOCKING": "FALSE",
}
_SECONDS, _BYTES_A_SECOND = 6, 2**22
_MEMORY, _COPIES = 2**31, 4  # bytes of the process itself, and copies of the arrays that it may hold


def read_hdf5(path: Path, what: str, mend: str, names: Sequence[str], largest: int) -> dict[str, np.ndarray]:
    """Read arrays of numbers from the top level of an HDF5 file.

    Args:
        path: The file.
        what: Kind and name of the file, for messages.
        mend: What the user can do.
        names: Names of the arrays; those that the file lacks are not in what is returned.
        largest: Bytes of all arrays together.

    Returns:
        The arrays by name. Those of MATLAB 7.3 have their axes in MATLAB's order.

    Raises:
        SiteTwinError: The file is missing, damaged or no HDF5; an array lies elsewhere (links, virtual data sets,
            external storage), holds other than numbers, is packed by an unknown filter or grows beyond reason; or h5py
            is not installed.
    """
    size = regular_size(path, what, mend)
    if find_spec("h5py") is None:
        raise SiteTwinError(f"{what}: reading HDF5 needs h5py; install it with pip install 'sitetwin[formats]'")
    most = largest_unpacked(size, largest)
    seconds = _SECONDS + most // _BYTES_A_SECOND
    with tempfile.TemporaryDirectory(prefix="sitetwin-") as folder:
        question = {
            "folder": folder,
            "file": str(path.absolute()),
            "names": list(names),
            "largest": most,
        }
        return answered(
            hdf5_child.__file__,
            question,
            seconds,
            _MEMORY + _COPIES * most,
            _ENVIRONMENT,
            what=what,
            kind="file",
            mend=mend,
            too_long=f"takes more than {seconds} s to read; {mend}",
            broken=f"is damaged, or needs far more memory than its size; {mend}",
        )[0]
