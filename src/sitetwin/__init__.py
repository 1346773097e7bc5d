"""Site-specific wireless digital twins: from a 3-D scene to channels and the models trained on them."""

from sitetwin.version import __version__

__all__ = ["__version__"]
