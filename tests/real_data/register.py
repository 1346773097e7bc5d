"""All cases, in the order in which they run."""

from tests.real_data import beams, boston, campus, listed_paths, map_extracts, missed_paths, mitsuba_scene
from tests.real_data.cases import Case

CASES: tuple[Case, ...] = (
    *listed_paths.CASES,
    *campus.CASES,
    *map_extracts.CASES,
    *boston.CASES,
    *missed_paths.CASES,
    *mitsuba_scene.CASES,
    *beams.CASES,
)
