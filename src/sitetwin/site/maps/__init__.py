"""Maps become sites: readers of map formats, and builders of buildings, ground, vegetation and their materials."""

from sitetwin.site.maps.clipping import Box, Clip, Radius
from sitetwin.site.maps.fetch import FetchedMap, fetch_map
from sitetwin.site.maps.lengths import parse_count, parse_length
from sitetwin.site.maps.projection import LocalProjection
from sitetwin.site.maps.readers import read_geojson_like, read_map, read_maps

__all__ = [
    "Box",
    "Clip",
    "FetchedMap",
    "LocalProjection",
    "Radius",
    "fetch_map",
    "parse_count",
    "parse_length",
    "read_geojson_like",
    "read_map",
    "read_maps",
]
