"""Coverage maps as pictures, GeoTIFF and CSV."""
