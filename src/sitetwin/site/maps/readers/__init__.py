"""Map files become `MapData`: OpenStreetMap XML and PBF, Overpass answers, GeoJSON and what speaks it."""

from sitetwin.site.maps.readers.read import read_geojson_like, read_map, read_maps

__all__ = ["read_geojson_like", "read_map", "read_maps"]
