"""Make `MapData` from OpenStreetMap XML and PBF, Overpass answers, GeoJSON files and GeoJSON-like objects."""

from sitetwin.site.maps.readers.read import read_geojson_like, read_map, read_maps

__all__ = ["read_geojson_like", "read_map", "read_maps"]
