"""The study of coverage: what users of an area receive from base stations."""

from sitetwin.studies.coverage.coverage import Area, Coverage, CoverageSettings
from sitetwin.studies.coverage.quantities import QUANTITIES, Quantity
from sitetwin.studies.coverage.results import CoverageResults, read_coverage_results, summarise
from sitetwin.studies.coverage.study import PATHS, run_coverage

__all__ = [
    "PATHS",
    "QUANTITIES",
    "Area",
    "Coverage",
    "CoverageResults",
    "CoverageSettings",
    "Quantity",
    "read_coverage_results",
    "run_coverage",
    "summarise",
]
