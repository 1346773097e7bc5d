"""Traces of many users: jobs in tiles, stores on disk, workers, and the engines behind one interface."""

from sitetwin.rays.jobs.engines import ENGINES, check_engine, trace
from sitetwin.rays.jobs.io import TraceSummary, load_paths, open_paths, save_paths, summarise
from sitetwin.rays.jobs.job import TraceJob

__all__ = [
    "ENGINES",
    "TraceJob",
    "TraceSummary",
    "check_engine",
    "load_paths",
    "open_paths",
    "save_paths",
    "summarise",
    "trace",
]
