"""Maps become sites: readers of map formats, and builders of buildings, ground, vegetation and their materials."""

from sitetwin.site.maps.assemble import MapOptions, site_from_map
from sitetwin.site.maps.bodies import Body
from sitetwin.site.maps.buildings import build_buildings
from sitetwin.site.maps.clipping import Box, Clip, Radius
from sitetwin.site.maps.features import Feature, MapData
from sitetwin.site.maps.fetch import FetchedMap, fetch_map
from sitetwin.site.maps.ground import Ground, build_ground
from sitetwin.site.maps.heights import BuildingOptions
from sitetwin.site.maps.ledger import Entry, Ledger
from sitetwin.site.maps.lengths import parse_count, parse_length
from sitetwin.site.maps.readers import read_geojson_like, read_map, read_maps
from sitetwin.site.maps.rules import MaterialRules, load_rules
from sitetwin.site.maps.streets import Streets, read_streets
from sitetwin.site.maps.terrain import Terrain, load_terrain
from sitetwin.site.maps.tree_sizes import TreeOptions
from sitetwin.site.maps.trees import build_vegetation
from sitetwin.site.projection import LocalProjection

__all__ = [
    "Body",
    "Box",
    "BuildingOptions",
    "Clip",
    "Entry",
    "Feature",
    "FetchedMap",
    "Ground",
    "Ledger",
    "LocalProjection",
    "MapData",
    "MapOptions",
    "MaterialRules",
    "Radius",
    "Streets",
    "Terrain",
    "TreeOptions",
    "build_buildings",
    "build_ground",
    "build_vegetation",
    "fetch_map",
    "load_rules",
    "load_terrain",
    "parse_count",
    "parse_length",
    "read_geojson_like",
    "read_map",
    "read_maps",
    "read_streets",
    "site_from_map",
]
