"""Measured data: readers, and positions in a site's own frame."""

from sitetwin.measured.csi import csi_dataset, on_grid, read_csi
from sitetwin.measured.deepsense import drives_of_track, read_codebook, read_deepsense, read_lanes
from sitetwin.measured.dichasus import read_dichasus
from sitetwin.measured.positions import about_origin, on_site

__all__ = [
    "about_origin",
    "csi_dataset",
    "drives_of_track",
    "on_grid",
    "on_site",
    "read_codebook",
    "read_csi",
    "read_deepsense",
    "read_dichasus",
    "read_lanes",
]
