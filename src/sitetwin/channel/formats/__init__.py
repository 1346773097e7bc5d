"""Paths and channels in the formats of other programs: DeepMIMO, Sionna, NumPy, MATLAB, Parquet."""

from sitetwin.channel.formats.arrays import write_channel_arrays, write_path_arrays
from sitetwin.channel.formats.deepmimo import write_deepmimo
from sitetwin.channel.formats.parquet import write_parquet
from sitetwin.channel.formats.sionna_cir import CirGenerator, write_sionna_cir
from sitetwin.channel.formats.source import GainSource

__all__ = [
    "CirGenerator",
    "GainSource",
    "write_channel_arrays",
    "write_deepmimo",
    "write_parquet",
    "write_path_arrays",
    "write_sionna_cir",
]
