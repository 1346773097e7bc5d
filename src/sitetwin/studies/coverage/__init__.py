"""The study of coverage: what users of an area receive from base stations."""

from sitetwin.studies.coverage.study import PATHS, Area, Coverage, CoverageSettings, run_coverage

__all__ = ["PATHS", "Area", "Coverage", "CoverageSettings", "run_coverage"]
