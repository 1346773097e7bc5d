"""From the geometry of paths to complex gains."""
