"""Paths and channels in the formats of other programs: DeepMIMO, Sionna, NumPy, MATLAB, Parquet.

Each writer of paths takes a `GainSource`; the readers of number files serve what is measured.
"""

from sitetwin.channel.formats.arrays import write_channel_arrays, write_path_arrays
from sitetwin.channel.formats.deepmimo import deepmimo_order, write_deepmimo
from sitetwin.channel.formats.number_files import read_npy, read_text_numbers
from sitetwin.channel.formats.parquet import write_parquet
from sitetwin.channel.formats.sionna_cir import CirGenerator, write_sionna_cir
from sitetwin.channel.formats.source import GainSource

__all__ = [
    "CirGenerator",
    "GainSource",
    "deepmimo_order",
    "read_npy",
    "read_text_numbers",
    "write_channel_arrays",
    "write_deepmimo",
    "write_parquet",
    "write_path_arrays",
    "write_sionna_cir",
]
