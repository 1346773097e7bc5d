"""Rays: the geometry of propagation paths from transmitters to users, without fields."""

from sitetwin.rays.chains import ChainList, Completeness
from sitetwin.rays.convergence import Convergence, convergence
from sitetwin.rays.dense import TraceSettings, discover, solve
from sitetwin.rays.jobs.engines import ENGINES, trace
from sitetwin.rays.jobs.io import load_paths, save_paths, summarise
from sitetwin.rays.jobs.job import TraceJob
from sitetwin.rays.moving.drives import resample, trajectories_from_gpx
from sitetwin.rays.moving.dynamic import DynamicTrace
from sitetwin.rays.moving.motion import Trajectory, doppler_shifts, length_rates
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.scatter.account import DiffuseAccount
from sitetwin.rays.siting import best_roof_edge, visible

__all__ = [
    "ENGINES",
    "SPEED_OF_LIGHT",
    "ChainList",
    "Completeness",
    "Convergence",
    "DiffuseAccount",
    "DynamicTrace",
    "Interaction",
    "Paths",
    "TraceJob",
    "TraceSettings",
    "Trajectory",
    "best_roof_edge",
    "convergence",
    "discover",
    "doppler_shifts",
    "length_rates",
    "load_paths",
    "resample",
    "save_paths",
    "solve",
    "summarise",
    "trace",
    "trajectories_from_gpx",
    "visible",
]
