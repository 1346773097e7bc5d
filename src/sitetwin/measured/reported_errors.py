"""Errors that users report of their codec, from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from sitetwin.errors import SiteTwinError
from sitetwin.measured.named_arrays import MEND, named_arrays
from sitetwin.untrusted.arrays import as_float64

NMSE_DB = "nmse_db"
"""Name of the array: the NMSE of each report in dB, in order of arrival."""


def read_reported_errors(path: Path | str) -> Float[np.ndarray, " reports"]:
    """Read the errors of reports from a file of NumPy (``.npz``), HDF5 (``.h5``, ``.hdf5``) or MATLAB (``.mat``).

    Args:
        path: The file, with the array `NMSE_DB`.

    Returns:
        Linear NMSE of each report, in order; 0 where the file says -inf dB.

    Raises:
        SiteTwinError: The file is missing or damaged, has no such array, or a number is no NMSE in dB.
    """
    where, what = Path(path), f"the file of reported errors '{path}'"
    found = named_arrays(where, what, (NMSE_DB,), (NMSE_DB,)).get(NMSE_DB)
    if found is None or found.dtype.kind not in "fiu" or found.ndim != 1 or not len(found):
        raise SiteTwinError(f"{what} lacks the array '{NMSE_DB}' with one number of dB for each report; {MEND}")
    values = as_float64(found)
    bad = np.isnan(values) | (values > 100)
    if bad.any():
        raise SiteTwinError(f"{what}: report {int(bad.argmax())} has {values[bad][0]}, which is no NMSE in dB; {MEND}")
    return 10 ** (values / 10)
