"""Compute complex gains from the geometry of paths."""

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

__all__ = [
    "Atmosphere",
    "CanopyScattering",
    "Cost235",
    "EdgeMatrix",
    "EdgeRays",
    "Evaluator",
    "FieldOptions",
    "FituR",
    "NonzeroGradient",
    "PathGains",
    "Surfaces",
    "Weissberger",
    "Woodland",
    "band_nodes",
    "complex_permittivity",
    "diffraction_matrix",
    "edge_terms",
    "foliage_loss_db",
    "foliage_model",
    "half_space",
    "path_gains",
    "prepare",
    "rain_db_per_km",
    "settled_site",
    "slab",
    "transition",
    "trunk_loss_db",
]
