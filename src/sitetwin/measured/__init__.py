"""Measured data: readers, and positions in a site's own frame."""

from sitetwin.measured.beam_tables import read_beam_table
from sitetwin.measured.codebooks import read_beam_codebook
from sitetwin.measured.csi import csi_dataset, on_grid, read_csi
from sitetwin.measured.deepsense import drives_of_track, read_codebook, read_deepsense, read_lanes
from sitetwin.measured.deepsense_challenge import is_challenge, read_challenge
from sitetwin.measured.dichasus import read_dichasus
from sitetwin.measured.drives import drives_of
from sitetwin.measured.named_csi import read_named_csi, write_named_csi
from sitetwin.measured.positions import about_origin, on_site, within_site
from sitetwin.measured.power_files import read_powers
from sitetwin.measured.powers import Powers, powers_on_site
from sitetwin.measured.profile_files import profiles_of_table, read_profiles
from sitetwin.measured.profiles import Profiles, profiles_of_csi
from sitetwin.measured.reported_errors import read_reported_errors

__all__ = [
    "Powers",
    "Profiles",
    "about_origin",
    "csi_dataset",
    "drives_of",
    "drives_of_track",
    "is_challenge",
    "on_grid",
    "on_site",
    "powers_on_site",
    "profiles_of_csi",
    "profiles_of_table",
    "read_beam_codebook",
    "read_beam_table",
    "read_challenge",
    "read_codebook",
    "read_csi",
    "read_deepsense",
    "read_dichasus",
    "read_lanes",
    "read_named_csi",
    "read_powers",
    "read_profiles",
    "read_reported_errors",
    "within_site",
    "write_named_csi",
]
