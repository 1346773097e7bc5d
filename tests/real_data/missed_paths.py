"""What traces of few users miss in a real city, against what they say of it, and against far more rays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site, inside_building, surface_height
from tests.rays.laws import LawTest, Verdict
from tests.real_data.boston import DOWNTOWN
from tests.real_data.cases import Case, at_most, exactly
from tests.real_data.map_extracts import imported

DRAWS, USERS, SPREAD = 20, 100, 250.0
"""Draws of so many users, metres to each side of the origin."""

COARSE, DEFAULT, FINE = 10_000, 250_000, 4_000_000
"""Rays of a lattice."""

JUDGED = 300
_STREET, _OVER_ROOF = 1.5, 3.0  # m


def _places(site: Site) -> tuple[np.ndarray, np.ndarray]:
    """A mast on the highest roof around, and users in the streets."""
    plan = np.random.default_rng(0).uniform(-SPREAD, SPREAD, (3 * DRAWS * USERS, 2))
    users = np.column_stack([plan, np.full(len(plan), _STREET)])
    side = np.arange(-200.0, 201.0, 5.0)
    spots = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    height = surface_height(site, spots)
    highest = int(np.nanargmax(height))
    mast = np.array([*spots[highest], height[highest] + _OVER_ROOF])
    return mast, users[~inside_building(site, users)][: DRAWS * USERS]


def _pairs(paths: Paths, first_user: int = 0) -> set[tuple[int, ...]]:
    """Users with the facets of their reflected paths."""
    rows = np.column_stack([paths.user_of_path + first_user, paths.facets])[paths.depth > 0]
    return set(map(tuple, rows.tolist()))


def _shares(site: Site, mast: np.ndarray, users: np.ndarray, known: set, rays: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each draw: the share of reflected paths that the trace misses, and the upper limit that it states."""
    missed, stated = [], []
    for draw in range(DRAWS):
        first = draw * USERS
        own = users[first : first + USERS]
        settings = TraceSettings(max_depth=3, rays_per_lattice=rays, unseen_bound=0.05, seed=draw)
        paths = trace(site, mast, own, settings)
        found, there = _pairs(paths, first), {pair for pair in known if first <= pair[0] < first + USERS}
        missed.append(len(there - found) / max(len(there | found), 1))
        stated.append(paths.attributes["completeness"]["unseen_high"])
    return np.array(missed), np.array(stated)


def _boston(data: Path) -> dict[str, float]:
    _, site = imported(data / DOWNTOWN)
    mast, users = _places(site)
    fine = trace(site, mast, users, TraceSettings(max_depth=3, rays_per_lattice=FINE, unseen_bound=1e-5))
    coarse, coarse_high = _shares(site, mast, users, _pairs(fine), COARSE)
    default, default_high = _shares(site, mast, users, _pairs(fine), DEFAULT)
    chosen = np.sort(np.random.default_rng(0).permutation(fine.num_paths)[:JUDGED])
    verdicts = [judgement.verdict for judgement in LawTest(site).judge_paths(fine, chosen)]
    return {
        "judged paths of ours that break a law": verdicts.count(Verdict.INVALID),
        "10,000 rays: traces that miss more than they state, of 20": int((coarse > coarse_high).sum()),
        "default rays: traces that miss more than they state, of 20": int((default > default_high).sum()),
        "default rays: reflected paths missed (share)": float(default.mean()),
    }


CASES = (
    Case(
        "Boston, traces of 100 users",
        (DOWNTOWN,),
        (
            exactly("judged paths of ours that break a law", 0, "laws of reflection and occlusion"),
            at_most("10,000 rays: traces that miss more than they state, of 20", 1, "limits at 95 %"),
            at_most("default rays: traces that miss more than they state, of 20", 1, "limits at 95 %"),
            at_most("default rays: reflected paths missed (share)", 0.01, "a trace with 16 times the rays"),
        ),
        _boston,
    ),
)
