"""Channels between antennas over the paths of a site."""

from sitetwin.channel.antennas.arrays import POLARISATIONS, AntennaArray
from sitetwin.channel.antennas.codebooks import angular_codebook, dft_codebook, dft_cosines, steering_weights
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
from sitetwin.channel.antennas.station_radio import StationRadio, read_station_radio
from sitetwin.channel.fields.atmosphere import Atmosphere, rain_db_per_km
from sitetwin.channel.fields.band import band_nodes
from sitetwin.channel.fields.canopy import CanopyScattering
from sitetwin.channel.fields.diffraction import EdgeMatrix, EdgeRays, diffraction_matrix, edge_terms
from sitetwin.channel.fields.evaluator import Evaluator, prepare
from sitetwin.channel.fields.foliage import (
    Cost235,
    FituR,
    NonzeroGradient,
    Weissberger,
    Woodland,
    foliage_model,
)
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.leaves import foliage_loss_db
from sitetwin.channel.fields.materials import Surfaces, complex_permittivity
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.fields.reflection import half_space, slab
from sitetwin.channel.fields.settled import settled_site
from sitetwin.channel.fields.transition import transition
from sitetwin.channel.fields.trunks import trunk_loss_db
from sitetwin.channel.grid import OfdmGrid, delay_taps
from sitetwin.channel.io import load_channels, write_channels
from sitetwin.channel.loader import ChannelLoader
from sitetwin.channel.motion import advance, paths_over_time, response_over_time
from sitetwin.channel.noted import delay_angle, delay_angle_from_response, frequency_response, impulse_response
from sitetwin.channel.numerics.rotation import rotation_matrix
from sitetwin.channel.request import ChannelRequest
from sitetwin.channel.synthesis.cir import ideal_response, pulse_shape
from sitetwin.channel.synthesis.delay_angle import angle_transform
from sitetwin.channel.tap_laws import TapLaw, tap_power_law

__all__ = [
    "POLARISATIONS",
    "AntennaArray",
    "Atmosphere",
    "CanopyScattering",
    "ChannelLoader",
    "ChannelRequest",
    "Cost235",
    "EdgeMatrix",
    "EdgeRays",
    "Evaluator",
    "FieldOptions",
    "FituR",
    "HalfWaveDipole",
    "Isotropic",
    "NonzeroGradient",
    "OfdmGrid",
    "PathGains",
    "Pattern",
    "Radio",
    "SampledPattern",
    "ShortDipole",
    "StationRadio",
    "Surfaces",
    "TapLaw",
    "Tr38901",
    "Weissberger",
    "Woodland",
    "advance",
    "angle_transform",
    "angular_codebook",
    "antenna_pattern",
    "band_nodes",
    "complex_permittivity",
    "delay_angle",
    "delay_angle_from_response",
    "delay_taps",
    "dft_codebook",
    "dft_cosines",
    "diffraction_matrix",
    "edge_terms",
    "foliage_loss_db",
    "foliage_model",
    "frequency_response",
    "half_space",
    "ideal_response",
    "impulse_response",
    "load_channels",
    "load_pattern",
    "mean_gain",
    "parse_csv",
    "parse_msi",
    "path_gains",
    "paths_over_time",
    "prepare",
    "pulse_shape",
    "rain_db_per_km",
    "read_station_radio",
    "response_over_time",
    "rotation_matrix",
    "settled_site",
    "slab",
    "steering_weights",
    "tap_power_law",
    "transition",
    "trunk_loss_db",
    "write_channels",
    "write_csv",
]
