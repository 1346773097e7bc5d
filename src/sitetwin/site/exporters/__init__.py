"""Exporters write a `Site` to the file formats of other programs."""

from sitetwin.site.exporters.geojson import export_footprints
from sitetwin.site.exporters.glb import export_glb
from sitetwin.site.exporters.mitsuba import export_mitsuba

__all__ = ["export_footprints", "export_glb", "export_mitsuba"]
