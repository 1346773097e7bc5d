"""Diffracted paths against closed forms, laws, an exhaustive oracle and reciprocity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from sitetwin.errors import SiteTwinError
from sitetwin.rays import (
    ChainList,
    Interaction,
    Paths,
    TraceJob,
    TraceSettings,
    dense,
    discover,
    load_paths,
    solve,
    trace,
)
from sitetwin.site import Ellipsoid, Site, Vegetation, load_scene
from tests.rays.enumeration import Chain, enumerate_edge_paths
from tests.rays.laws import LawTest, Verdict
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=3, rays_per_lattice=20_000, unseen_bound=0.05, diffraction=True)
COLUMNS = ("offsets", "kinds", "facets", "vertices", "length", "departure", "arrival")


def diffracted(paths: Paths) -> np.ndarray:
    """Rows with a diffraction."""
    return np.flatnonzero((paths.kinds == Interaction.DIFFRACTION).any(axis=1))


def chain_of(paths: Paths, row: int) -> Chain:
    held = paths.kinds[row] > 0
    return tuple(zip(paths.kinds[row][held].tolist(), paths.facets[row][held].tolist(), strict=True))


def points_of(paths: Paths, row: int) -> np.ndarray:
    """(k + 2, 3): transmitter, vertices, user."""
    inner = paths.vertices[row, : paths.depth[row]]
    return np.vstack([paths.transmitter, inner, paths.users[paths.user_of_path[row]]])


def equal(a: Paths, b: Paths) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n), equal_nan=getattr(a, n).dtype.kind == "f") for n in COLUMNS)


def screen(top: float = 10.0) -> Site:
    """A wall without thickness across the x axis: a knife edge at z = top."""
    return quad_site([[(0, -50, -100), (0, 50, -100), (0, 50, top), (0, -50, top)]])


def street() -> Site:
    """A ground and two buildings across a street."""
    quads = [ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))]
    return quad_site(quads)


def test_a_knife_edge_is_passed_where_the_triangles_are_similar() -> None:
    transmitter, user = np.array([-30.0, 4.0, 6.0]), np.array([[20.0, -7.0, 5.0]])
    paths = trace(screen(), transmitter, user, replace(SETTINGS, max_depth=1))
    assert paths.kinds.tolist() == [[Interaction.DIFFRACTION]] * 4  # at each of the wall's edges
    top = int(np.argmax(paths.vertices[:, 0, 2]))
    first, second = np.hypot(30, 4), np.hypot(20, 5)  # across the edge
    y = (4.0 * second + -7.0 * first) / (first + second)
    np.testing.assert_allclose(paths.vertices[top, 0], [0, y, 10], rtol=0, atol=1e-12)
    np.testing.assert_allclose(paths.length[top], np.hypot(first + second, 11.0), rtol=1e-14)
    np.testing.assert_allclose(paths.departure[top], (paths.vertices[top, 0] - transmitter) / np.hypot(first, 4 - y))


def test_around_the_corner_of_a_cube() -> None:
    """Both ends at mid height: the vertical edges are passed at mid height, the horizontal ones where they unfold."""
    site = quad_site(box_quads((-1, -1, -1), (1, 1, 1)))
    transmitter, user = np.array([-4.0, -2.5, 0.0]), np.array([[1.5, 3.0, 0.0]])
    paths = trace(site, transmitter, user, replace(SETTINGS, max_depth=1))
    at = paths.vertices[paths.depth == 1, 0]
    lying = np.abs(np.abs(at[:, :2]) - 1).max(axis=1) < 1e-12
    assert sorted(map(tuple, np.round(at[lying], 12).tolist())) == [(-1, 1, 0), (1, -1, 0)]
    wedge = site.wedges
    for row in diffracted(paths):
        edge = wedge.direction[paths.facets[row, 0]]
        before, vertex, after = points_of(paths, row)
        cosines = [((b - a) / np.linalg.norm(b - a)) @ edge for a, b in ((before, vertex), (vertex, after))]
        assert cosines[0] == pytest.approx(cosines[1], abs=1e-9)


@pytest.mark.parametrize(("before", "after"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_equal_to_exhaustive_enumeration(before: int, after: int) -> None:
    site, judge = street(), LawTest(street())
    transmitter = np.array([-14.0, 2.0, 19.0])
    rng = np.random.default_rng(before + 2 * after)
    users = np.column_stack([rng.uniform(-45, 45, 8), rng.uniform(-40, 40, 8), rng.uniform(0.5, 17, 8)])
    paths = trace(site, transmitter, users, replace(SETTINGS, reflections_before=before, reflections_after=after))
    rows = diffracted(paths)
    assert len(rows) > 10
    assert paths.kinds[rows].sum(axis=1).max() == 3 + before + after
    for user, oracle in enumerate(enumerate_edge_paths(site, transmitter, users, before, after, judge)):
        ours = {chain_of(paths, row) for row in rows[paths.user_of_path[rows] == user]}
        certain = {chain for chain, judgement in oracle.items() if judgement.verdict is Verdict.VALID}
        assert certain <= ours <= set(oracle)


def test_every_path_obeys_the_laws_and_stands_in_canonical_order() -> None:
    site = load_scene("simple_street_canyon")
    rng = np.random.default_rng(2)
    users = np.column_stack([rng.uniform(-60, 60, 40), rng.uniform(-30, 30, 40), rng.uniform(1, 30, 40)])
    paths = trace(site, np.array([-33.0, 11.0, 32.0]), users, SETTINGS)
    judgements = LawTest(site).judge_paths(paths, diffracted(paths))
    assert len(judgements) > 300
    verdicts = [j.verdict for j in judgements]
    assert verdicts.count(Verdict.INVALID) == 0
    assert verdicts.count(Verdict.VALID) > 0.95 * len(verdicts)
    keys = [
        (int(u), int(d), *k, *f)
        for u, d, k, f in zip(paths.user_of_path, paths.depth, paths.kinds.tolist(), paths.facets.tolist(), strict=True)
    ]
    assert keys == sorted(set(keys))


def test_the_path_is_stationary_along_the_edge() -> None:
    """Fermat: with the reflections unfolded, any other point of the edge makes the path longer."""
    site = street()
    users = np.array([[5.0, -3.0, 1.5], [-12.0, 25.0, 1.5], [33.0, 1.0, 2.0]])
    paths = trace(site, np.array([-14.0, 2.0, 19.0]), users, SETTINGS)
    rows = diffracted(paths)
    assert len(rows) > 10
    for row in rows:
        kinds, names, points = paths.kinds[row], paths.facets[row], points_of(paths, row)
        at = int(np.argmax(kinds == Interaction.DIFFRACTION))
        ends = [points[0].copy(), points[-1].copy()]
        for end, place in ((0, at - 1), (1, at + 1)):
            if 0 <= place < len(kinds) and kinds[place] == Interaction.REFLECTION:
                normal, offset = site.facet_normal[names[place]], site.facet_offset[names[place]]
                ends[end] = ends[end] - 2 * (ends[end] @ normal - offset) * normal
        vertex, edge = points[at + 1], site.wedges.direction[names[at]]
        lengths = [sum(np.linalg.norm(vertex + shift * edge - end) for end in ends) for shift in (-1e-2, 0.0, 1e-2)]
        assert lengths[1] == pytest.approx(paths.length[row], rel=1e-12)
        assert lengths[1] < min(lengths[0], lengths[2])
        slope = sum((vertex - end) @ edge / np.linalg.norm(vertex - end) for end in ends)
        assert abs(slope) < 1e-9


def test_reciprocity() -> None:
    """Ends exchanged: the same chains backwards, of the same lengths."""
    site = street()
    a, b = np.array([-14.0, 2.0, 19.0]), np.array([[5.0, -3.0, 1.5], [-12.0, 25.0, 1.5]])
    there = trace(site, a, b, SETTINGS)
    rows = diffracted(there)
    forward = {(int(there.user_of_path[r]), chain_of(there, r)): there.length[r] for r in rows}
    assert len(forward) > 10
    backward = {}
    for user, point in enumerate(b):
        back = trace(site, point, a[None], SETTINGS)
        backward |= {(user, chain_of(back, r)[::-1]): back.length[r] for r in diffracted(back)}
    assert set(forward) == set(backward)
    np.testing.assert_allclose([forward[k] for k in forward], [backward[k] for k in forward], rtol=1e-13)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_frame_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn, shift = Rotation.random(random_state=seed).as_matrix(), rng.uniform(-50, 50, 3)
    quads = np.array([ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))])
    transmitter, users = np.array([-14.0, 2.0, 19.0]), np.array([[5.0, -3.0, 1.5], [33.0, 1.0, 2.0]])
    still = trace(quad_site(quads), transmitter, users, SETTINGS)
    # Not by the public door: what is above, below or inside is asked along the vertical, which does not turn.
    place, site = transmitter @ turn.T + shift, quad_site(quads @ turn.T + shift)
    moved = dense.trace(site, place, users @ turn.T + shift, SETTINGS)
    for user in range(2):
        lengths = []
        for paths, back in ((still, lambda points: points), (moved, lambda points: (points - shift) @ turn)):
            rows = diffracted(paths)
            rows = rows[paths.user_of_path[rows] == user]
            # Rays to the rim of the ground graze it, and single precision decides whether they are free.
            rim = np.array([(np.abs(back(paths.vertices[r])) > 59.9).any() for r in rows], dtype=bool)
            lengths.append(np.sort(paths.length[rows[~rim]]))
        assert len(lengths[0]) > 5
        np.testing.assert_allclose(lengths[0], lengths[1], atol=1e-6)


def test_only_the_shadow_without_the_lit_region() -> None:
    site, transmitter = screen(), np.array([-30.0, 0.0, 6.0])
    users = np.array([[20.0, 0.0, 5.0], [20.0, 0.0, 30.0], [-10.0, 0.0, 5.0]])
    everywhere = trace(site, transmitter, users, replace(SETTINGS, max_depth=1, reflections_after=0))
    shadow = trace(site, transmitter, users, replace(SETTINGS, max_depth=1, lit_region=False))
    at_top = [[r for r in diffracted(p) if p.vertices[r, 0, 2] == 10.0] for p in (everywhere, shadow)]
    assert everywhere.user_of_path[at_top[0]].tolist() == [0, 1, 2]
    assert shadow.user_of_path[at_top[1]].tolist() == [0]


def test_the_number_of_interactions_is_bounded() -> None:
    users = np.array([[5.0, -3.0, 1.5]])
    for depth in range(4):
        paths = trace(street(), np.array([-14.0, 2.0, 19.0]), users, replace(SETTINGS, max_depth=depth))
        rows = diffracted(paths)
        assert (paths.depth.max(), len(rows) > 0) == (depth, depth > 0)
        assert paths.depth[rows].max(initial=0) == min(depth, 3)
    without = trace(street(), np.array([-14.0, 2.0, 19.0]), users, replace(SETTINGS, diffraction=False))
    assert len(diffracted(without)) == 0


def test_tiles_order_and_storage_change_no_bit(tmp_path) -> None:  # type: ignore[no-untyped-def]
    site, transmitter = load_scene("simple_street_canyon"), np.array([-33.0, 11.0, 32.0])
    rng = np.random.default_rng(1)
    users = np.column_stack([rng.uniform(-60, 60, 90), rng.uniform(-30, 30, 90), rng.uniform(1, 30, 90)])
    wanted = SETTINGS
    chains = discover(site, transmitter, users, wanted)
    whole = solve(site, chains, users, wanted)
    assert len(diffracted(whole)) > 500
    shuffle = rng.permutation(len(users))
    assert equal(solve(site, chains, users[shuffle], wanted), whole.select_users(shuffle))
    assert equal(solve(site, chains, users[40:60], wanted), whole.select_users(np.arange(40, 60)))
    again = ChainList.from_arrays(chains.to_arrays())
    assert again.hash == chains.hash
    assert again.hash != replace(chains, edges=None).hash
    assert equal(solve(site, again, users, wanted), whole)
    TraceJob(site, transmitter, users, wanted, tile_users=37).run(tmp_path / "paths")
    stored = load_paths(tmp_path / "paths")
    assert equal(stored, whole)
    assert stored.attributes["completeness_diffraction"]["probe_paths"] == len(diffracted(whole))


def test_diffracted_paths_cross_vegetation() -> None:
    tree = Vegetation((Ellipsoid((-10.0, 0.0, 7.0), (3.0, 3.0, 3.0)),))
    site = replace(screen(), vegetation=tree)
    paths = trace(site, np.array([-30.0, 0.0, 6.0]), np.array([[20.0, 0.0, 5.0]]), replace(SETTINGS, max_depth=1))
    top = next(r for r in diffracted(paths) if paths.vertices[r, 0, 2] == 10.0)
    assert paths.crossing_offsets[top + 1] - paths.crossing_offsets[top] == 1


def test_bad_settings_get_a_sentence() -> None:
    with pytest.raises(SiteTwinError, match="reflections_after is 2"):
        TraceSettings(reflections_after=2)
    with pytest.raises(SiteTwinError, match="reflections_before is -1"):
        TraceSettings(reflections_before=-1)
