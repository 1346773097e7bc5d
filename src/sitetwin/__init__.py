"""Site-specific wireless digital twins: from a 3-D scene to channels and the models trained on them."""

__version__ = "0.1.0"
