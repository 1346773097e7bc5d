"""Maps of received power from drive tests: one Gaussian process of the site's features and a residual field."""

from sitetwin.calibrate.power.power_map import PowerMap, PowerPrediction

__all__ = ["PowerMap", "PowerPrediction"]
