"""Plots for notebooks and papers, one call each: Matplotlib axes in and out, units on the axes, the project's style."""

from sitetwin.drawing.plots.coverage import plot_best_server, plot_coverage, plot_labels
from sitetwin.drawing.plots.distributions import plot_cdf, plot_path_histogram
from sitetwin.drawing.plots.profiles import plot_angular_power_spectrum, plot_power_delay_profile
from sitetwin.drawing.plots.rays import plot_rays
from sitetwin.drawing.plots.scene import plot_scene

__all__ = [
    "plot_angular_power_spectrum",
    "plot_best_server",
    "plot_cdf",
    "plot_coverage",
    "plot_labels",
    "plot_path_histogram",
    "plot_power_delay_profile",
    "plot_rays",
    "plot_scene",
]
