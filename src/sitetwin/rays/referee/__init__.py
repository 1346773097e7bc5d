"""Other tracers as references: Sionna RT and Wireless InSite, and the comparison of traces path by path."""

from sitetwin.rays.referee.compare import Comparison, Match, compare_paths, gain_differences, match_paths
from sitetwin.rays.referee.facet_search import search_facets
from sitetwin.rays.referee.insite_paths import InsitePaths, read_insite_paths
from sitetwin.rays.referee.insite_setup import InsiteSetup, read_setup
from sitetwin.rays.referee.sionna import (
    ReferenceEngine,
    ReferenceGains,
    ReferenceSettings,
    trace_reference,
    trace_reference_gains,
)

__all__ = [
    "Comparison",
    "InsitePaths",
    "InsiteSetup",
    "Match",
    "ReferenceEngine",
    "ReferenceGains",
    "ReferenceSettings",
    "compare_paths",
    "gain_differences",
    "match_paths",
    "read_insite_paths",
    "read_setup",
    "search_facets",
    "trace_reference",
    "trace_reference_gains",
]
