"""Site-specific wireless digital twins: from a 3-D scene to channels and the models trained on them.

In a few lines::

    import sitetwin as st

    site = st.open_site("munich")
    users = st.grid(site, area=(-100, -100, 100, 100), spacing=1.0)
    paths = st.trace(site, tx=(8.5, 21, 27), users=users, max_depth=3, diffraction=True)
    h = st.channels(paths, site, carrier_hz=28e9, radio=st.Radio("upa:8x8", pattern="tr38901"), bandwidth_hz=100e6)

Importing the package costs next to nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sitetwin.version import __version__

_HOMES = {
    "errors": ("SiteTwinError", "SiteTwinWarning"),
    "face.places": ("fetch_site", "open_site"),
    "face.users": ("grid", "users_along", "users_on_streets"),
    "face.transmitters": ("transmitters",),
    "geographic": ("LatLon",),
    "face.tracing": ("trace",),
    "face.channels": ("channel_tensor", "channels", "open_channels", "channels_to_store"),
    "face.datasets": ("ChannelDataset", "torch_dataset"),
    "face.quantities": ("gains",),
    "face.tap_powers": ("tap_power_law",),
    "face.covering": ("coverage",),
    "face.calibrating": ("calibrate_site",),
    "calibrate.power": ("PowerMap", "PowerPrediction"),
    "face.fitting_codecs": ("fit_codec", "open_csi"),
    "face.predicting_beams": ("fit_beams", "open_beams"),
    "face.exporting": ("export_channels", "export_paths"),
    "face.statistical": ("statistical_channels",),
    "site": ("Georeference", "Material", "Site", "Vegetation", "check_site", "itu_material", "save_site"),
    "rays.jobs.scene": ("site_of_paths",),
    "rays": ("Interaction", "Paths", "TraceJob", "TraceSettings", "load_paths", "save_paths"),
    "site.assumption_effects": ("assumption_effects",),
    "channel": ("AntennaArray", "Atmosphere", "ChannelRequest", "FieldOptions", "OfdmGrid", "PathGains", "Radio"),
    "channel.stations": ("GeographicStation", "Station", "read_stations"),
    "report.coverage.writer": ("write_coverage",),
    "report.calibration": ("write_calibration",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_ROOMS = (
    "calibrate",
    "calibrate_site",
    "channel",
    "learn",
    "link",
    "measured",
    "rays",
    "report",
    "site",
    "store",
    "studies",
    "view",
    "vision",
)
_RENAMED_ROOMS = {"plots": "drawing.plots"}

__all__ = [
    "AntennaArray",
    "Atmosphere",
    "ChannelDataset",
    "ChannelRequest",
    "FieldOptions",
    "GeographicStation",
    "Georeference",
    "Interaction",
    "LatLon",
    "Material",
    "OfdmGrid",
    "PathGains",
    "Paths",
    "PowerMap",
    "PowerPrediction",
    "Radio",
    "Site",
    "SiteTwinError",
    "SiteTwinWarning",
    "Station",
    "TraceJob",
    "TraceSettings",
    "Vegetation",
    "__version__",
    "assumption_effects",
    "calibrate",
    "calibrate_site",
    "channel",
    "channel_tensor",
    "channels",
    "channels_to_store",
    "check_site",
    "coverage",
    "export_channels",
    "export_paths",
    "fetch_site",
    "fit_beams",
    "fit_codec",
    "gains",
    "grid",
    "itu_material",
    "learn",
    "link",
    "load_paths",
    "measured",
    "open_beams",
    "open_channels",
    "open_csi",
    "open_site",
    "plots",
    "rays",
    "read_stations",
    "report",
    "save_paths",
    "save_site",
    "site",
    "site_of_paths",
    "statistical_channels",
    "store",
    "studies",
    "tap_power_law",
    "torch_dataset",
    "trace",
    "transmitters",
    "users_along",
    "users_on_streets",
    "view",
    "vision",
    "write_calibration",
    "write_coverage",
]

if TYPE_CHECKING:
    from sitetwin.calibrate.power import PowerMap, PowerPrediction
    from sitetwin.channel import AntennaArray, Atmosphere, ChannelRequest, FieldOptions, OfdmGrid, PathGains, Radio
    from sitetwin.channel.stations import GeographicStation, Station, read_stations
    from sitetwin.drawing import plots
    from sitetwin.errors import SiteTwinError, SiteTwinWarning
    from sitetwin.face.calibrating import calibrate_site
    from sitetwin.face.channels import channel_tensor, channels, channels_to_store, open_channels
    from sitetwin.face.covering import coverage
    from sitetwin.face.datasets import ChannelDataset, torch_dataset
    from sitetwin.face.exporting import export_channels, export_paths
    from sitetwin.face.fitting_codecs import fit_codec, open_csi
    from sitetwin.face.places import fetch_site, open_site
    from sitetwin.face.predicting_beams import fit_beams, open_beams
    from sitetwin.face.quantities import gains
    from sitetwin.face.statistical import statistical_channels
    from sitetwin.face.tap_powers import tap_power_law
    from sitetwin.face.tracing import trace
    from sitetwin.face.transmitters import transmitters
    from sitetwin.face.users import grid, users_along, users_on_streets
    from sitetwin.geographic import LatLon
    from sitetwin.rays import Interaction, Paths, TraceJob, TraceSettings, load_paths, save_paths
    from sitetwin.rays.jobs.scene import site_of_paths
    from sitetwin.report.calibration import write_calibration
    from sitetwin.report.coverage.writer import write_coverage
    from sitetwin.site import Georeference, Material, Site, Vegetation, check_site, itu_material, save_site
    from sitetwin.site.assumption_effects import assumption_effects


def __getattr__(name: str) -> Any:
    """A name of the face, loaded from its home when it is first asked for (PEP 562)."""
    if name in _HOME:
        value = getattr(importlib.import_module(f"sitetwin.{_HOME[name]}"), name)
    elif name in _ROOMS or name in _RENAMED_ROOMS:
        value = importlib.import_module(f"sitetwin.{_RENAMED_ROOMS.get(name, name)}")
    else:
        raise AttributeError(f"module 'sitetwin' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
