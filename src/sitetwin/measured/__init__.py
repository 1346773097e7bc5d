"""Measured data: readers, and positions in a site's own frame."""

from sitetwin.measured.deepsense import drives_of_track, read_codebook, read_deepsense, read_lanes
from sitetwin.measured.positions import about_origin, on_site

__all__ = ["about_origin", "drives_of_track", "on_site", "read_codebook", "read_deepsense", "read_lanes"]
