"""Antenna patterns, arrays, radios, codebooks and their names."""

from sitetwin.channel.antennas.arrays import POLARISATIONS, AntennaArray
from sitetwin.channel.antennas.codebooks import angular_codebook, dft_codebook, dft_cosines, steering_weights
from sitetwin.channel.antennas.names import named_array, named_pattern
from sitetwin.channel.antennas.pattern_files import load_pattern, parse_csv, parse_msi, write_csv
from sitetwin.channel.antennas.patterns import (
    HalfWaveDipole,
    Isotropic,
    Pattern,
    SampledPattern,
    ShortDipole,
    Tr38901,
    antenna_pattern,
    mean_gain,
)
from sitetwin.channel.antennas.radio import Radio

__all__ = [
    "POLARISATIONS",
    "AntennaArray",
    "HalfWaveDipole",
    "Isotropic",
    "Pattern",
    "Radio",
    "SampledPattern",
    "ShortDipole",
    "Tr38901",
    "angular_codebook",
    "antenna_pattern",
    "dft_codebook",
    "dft_cosines",
    "load_pattern",
    "mean_gain",
    "named_array",
    "named_pattern",
    "parse_csv",
    "parse_msi",
    "steering_weights",
    "write_csv",
]
