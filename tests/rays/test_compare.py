"""Matching two traces: what is equal, what is missing, what is the same under another name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths
from sitetwin.rays.referee.compare import compare_paths, gain_differences, match_paths
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference
from tests.rays.shapes import box_quads, quad_site


@pytest.fixture(scope="module")
def paths() -> Paths:
    users = np.array([[2.1, 1, 1], [-2, -1.5, 2], [0.3, 4.0, 2.2]])
    site = quad_site(box_quads((-5, -5, 0), (5, 5, 5)))
    return trace_reference(
        site, np.array([0.5, 0.3, 1.3]), users, ReferenceSettings(max_depth=2, samples=100_000, max_num_paths=1_000_000)
    )


def without(paths: Paths, rows: list[int]) -> Paths:
    keep = np.setdiff1d(np.arange(paths.num_paths), rows)
    counts = np.bincount(paths.user_of_path[keep], minlength=paths.num_users)
    per_path = {name: getattr(paths, name)[keep] for name in ("kinds", "facets", "vertices", "length")}
    ends = {name: getattr(paths, name)[keep] for name in ("departure", "arrival")}
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return replace(paths, offsets=offsets, crossing_offsets=np.zeros(len(keep) + 1, np.int64), **per_path, **ends)


def test_a_trace_matches_itself(paths: Paths) -> None:
    match = match_paths(paths, paths)
    assert np.array_equal(match.a, np.arange(paths.num_paths))
    assert np.array_equal(match.b, match.a)
    assert match.by_chain.all()
    assert compare_paths(paths, paths, match).length_99 == 0


def test_missing_paths_are_named_and_weighed(paths: Paths) -> None:
    match = match_paths(without(paths, [3, 30]), without(paths, [70]))
    assert (len(match.a), len(match.only_a), match.only_b.tolist()) == (paths.num_paths - 3, 1, [3, 30])
    power = 1.0 / paths.length**2
    fewer = without(paths, [3, 30])
    match = match_paths(fewer, paths)
    report = compare_paths(fewer, paths, match, power_b=power)
    assert report.only_b == 2
    assert report.power_share_only_b == pytest.approx(power[[3, 30]].sum() / power.sum())
    assert report.power_share_only_a is None


def test_the_same_reflection_under_another_facet_name_matches_by_geometry(paths: Paths) -> None:
    facets = paths.facets.copy()
    facets[facets == 1] = 17  # as if a second object lay in the ceiling's plane
    match = match_paths(paths, replace(paths, facets=facets))
    assert len(match.a) == paths.num_paths
    assert np.array_equal(match.a, match.b)
    assert np.array_equal(~match.by_chain, (paths.facets == 1).any(axis=1))


@pytest.mark.parametrize(
    "change", [{"length": 2e-3}, {"departure": 3e-4}, {"arrival": 3e-4}], ids=["length", "departure", "arrival"]
)
def test_another_geometry_under_another_name_does_not_match(paths: Paths, change: dict[str, float]) -> None:
    name, by = next(iter(change.items()))
    facets = np.where(paths.facets == 1, 17, paths.facets)
    other = replace(paths, facets=facets, **{name: getattr(paths, name) + by})
    match = match_paths(paths, other)
    assert len(match.only_a) == np.count_nonzero((paths.facets == 1).any(axis=1)) > 0


def test_depth_of_the_tables_does_not_matter(paths: Paths) -> None:
    pad = ((0, 0), (0, 1))
    deeper = replace(
        paths,
        kinds=np.pad(paths.kinds, pad),
        facets=np.pad(paths.facets, pad, constant_values=-1),
        vertices=np.pad(paths.vertices, (*pad, (0, 0)), constant_values=np.nan),
    )
    assert match_paths(paths, deeper).by_chain.sum() == paths.num_paths


def test_other_users_are_refused(paths: Paths) -> None:
    with pytest.raises(SiteTwinError, match="different users"):
        match_paths(paths, replace(paths, users=paths.users + 1.0))


def test_gain_differences_are_in_db_and_radians() -> None:
    power, phase = gain_differences(np.array([1 + 0j, 2j]), np.array([0.1 + 0j, -2 + 0j]))
    np.testing.assert_allclose(power, [20.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(phase, [0.0, np.pi / 2])
