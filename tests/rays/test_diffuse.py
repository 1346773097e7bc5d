"""Tiles of surfaces, and which of them scatter to a user."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.rays import Interaction, TraceJob, TraceSettings, discover, load_paths, solve, trace
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.scatter.diffuse import diffuse_pairs
from sitetwin.rays.scatter.tiles import surface_tiles
from sitetwin.site import load_scene
from tests.rays.laws import LawTest
from tests.rays.shapes import box_quads, ground, quad_site
from tests.rays.test_dense import equal, two_boxes

SETTINGS = TraceSettings(max_depth=1, rays_per_lattice=20_000, unseen_bound=0.02, diffuse_paths=6, diffuse_tile_m=4.0)
TRANSMITTER = np.array([-6.0, 1.0, 14.0])


@settings(max_examples=20)
@given(size=st.floats(2.0, 30.0))
def test_tiles_cover_each_facet_once(size):
    site = two_boxes()
    tiles = surface_tiles(site, size)
    corners = site.vertices[site.triangles]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    whole = np.bincount(site.triangle_facet, area)
    np.testing.assert_allclose(np.bincount(tiles.facet, tiles.area), whole, rtol=1e-9)
    moment = np.stack([np.bincount(tiles.facet, tiles.area * tiles.centre[:, k]) for k in range(3)], axis=1)
    centroid = np.stack([np.bincount(site.triangle_facet, area * corners[..., k].mean(1)) for k in range(3)], axis=1)
    np.testing.assert_allclose(moment, centroid, rtol=1e-9, atol=1e-9 * np.abs(centroid).max())
    assert tiles.area.max() <= np.sqrt(3) / 4 * size**2 * (1 + 1e-9)  # of the equilateral triangle
    off = (site.facet_normal[tiles.facet] * tiles.centre).sum(axis=1) - site.facet_offset[tiles.facet]
    assert np.abs(off).max() < 1e-9


def test_a_surface_drawn_twice_counts_once():
    site = quad_site([ground(8.0)])
    twice = replace(
        site,
        triangles=np.concatenate([site.triangles, site.triangles[:, ::-1]]),
        triangle_facet=np.zeros(4, np.int32),
        triangle_object=np.zeros(4, np.int32),
    )
    assert surface_tiles(twice, 3.0).area.sum() == pytest.approx(256.0)


def test_a_tile_is_found_by_its_centre_and_nothing_else_is():
    tiles = surface_tiles(two_boxes(), 5.0)
    index = np.arange(len(tiles))[::-7]
    np.testing.assert_array_equal(tiles.find(tiles.facet[index], tiles.centre[index]), index)
    with pytest.raises(SiteTwinError, match="no tile"):
        tiles.find(tiles.facet[:1], tiles.centre[:1] + 1e-9)


def brute_force(site, transmitter, users, most, size):
    """The strongest tiles that both ends see, one pair after another, with float64 occlusion."""
    tiles, judge = surface_tiles(site, size), LawTest(site)
    normal = site.facet_normal[tiles.facet]
    d1, h1 = np.linalg.norm(tiles.centre - transmitter, axis=1), ((transmitter - tiles.centre) * normal).sum(axis=1)
    lit = [t for t in range(len(tiles)) if sees(judge, transmitter, tiles, t)]
    found = []
    for user in users:
        d2, h2 = np.linalg.norm(tiles.centre - user, axis=1), ((user - tiles.centre) * normal).sum(axis=1)
        power = tiles.area * h1 / d1**3 * h2 / d2**3  # both on one side: positive
        chosen = [t for t in sorted(lit, key=lambda t: -power[t]) if power[t] > 0][: 16 * most]
        found.append(sorted([t for t in chosen if sees(judge, user, tiles, t)][:most]))
    return found


def sees(judge, end, tiles, tile):
    points = np.stack([end, tiles.centre[tile]])
    return judge._occlusion_law(points[0], points[1], set(), {int(tiles.facet[tile])}).law == ""


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_strongest_tiles_by_brute_force(seed):
    site = two_boxes()
    rng = np.random.default_rng(seed)
    transmitter = np.array([rng.uniform(-20, 20), rng.uniform(-6, 6), rng.uniform(3, 25)])
    users = np.column_stack([rng.uniform(-40, 40, 15), rng.uniform(-7, 6, 15), rng.uniform(0.5, 4, 15)])
    user, tile = diffuse_pairs(site, RayCaster(site), transmitter, users, 5, 12.0)
    expected = brute_force(site, transmitter, users, 5, 12.0)
    assert [tile[user == u].tolist() for u in range(len(users))] == expected
    assert len(user) == 75


def test_paths_are_geometry_of_their_tiles():
    site = two_boxes()
    users = np.random.default_rng(4).uniform((-30, -7, 1), (30, 6, 3), (40, 3))
    paths = trace(site, TRANSMITTER, users, SETTINGS)
    rows = np.flatnonzero((paths.kinds == Interaction.DIFFUSE).any(axis=1))
    assert len(rows) == 40 * SETTINGS.diffuse_paths
    tiles = surface_tiles(site, SETTINGS.diffuse_tile_m)
    at, ends = paths.vertices[rows, 0], users[paths.user_of_path[rows]]
    np.testing.assert_array_equal(tiles.facet[tiles.find(paths.facets[rows, 0], at)], paths.facets[rows, 0])
    first, second = np.linalg.norm(at - TRANSMITTER, axis=1), np.linalg.norm(at - ends, axis=1)
    np.testing.assert_allclose(paths.length[rows], first + second, rtol=1e-14)
    np.testing.assert_allclose(paths.departure[rows], (at - TRANSMITTER) / first[:, None], atol=1e-14)
    np.testing.assert_allclose(paths.arrival[rows], (at - ends) / second[:, None], atol=1e-14)
    # canonical order: number of interactions, then kinds, then facets
    for low, high in zip(paths.offsets[:-1], paths.offsets[1:], strict=True):
        keys = [(int(paths.depth[r]), *paths.kinds[r], *paths.facets[r]) for r in range(low, high)]
        assert keys == sorted(keys)
    plain = trace(site, TRANSMITTER, users, replace(SETTINGS, diffuse_paths=0))
    assert paths.num_paths == plain.num_paths + len(rows)


def test_tiles_of_users_change_no_bit(tmp_path):
    site = load_scene("simple_street_canyon")
    rng = np.random.default_rng(3)
    users = np.column_stack([rng.uniform(-60, 60, 300), rng.uniform(-8, 8, 300), rng.uniform(1, 3, 300)])
    transmitter = np.array([-33.0, 0, 32.0])
    chains = discover(site, transmitter, users, SETTINGS)
    whole = solve(site, chains, users, SETTINGS)
    some = rng.permutation(300)[:90]
    assert equal(solve(site, chains, users[some], SETTINGS), whole.select_users(some))
    (store,) = TraceJob(site, transmitter, users, SETTINGS, tile_users=70).run(tmp_path / "p")
    assert equal(load_paths(store.path), whole)


def test_pruning_by_boxes_loses_nothing():
    """Users far apart and close together: the same tiles as for each user alone."""
    site = quad_site([ground(80.0), *box_quads((10, 10, 0), (30, 30, 12)), *box_quads((-40, -50, 0), (-20, 5, 20))])
    caster, rng = RayCaster(site), np.random.default_rng(8)
    users = np.concatenate(
        [rng.uniform((-70, -70, 0.3), (70, 70, 25), (40, 3)), rng.uniform((0, 0, 1), (9, 9, 2), (40, 3))]
    )
    user, tile = diffuse_pairs(site, caster, TRANSMITTER, users, 4, 3.0)
    for u in range(len(users)):
        alone = diffuse_pairs(site, caster, TRANSMITTER, users[u : u + 1], 4, 3.0)[1]
        np.testing.assert_array_equal(tile[user == u], alone)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"diffuse_paths": -1}, "diffuse_paths is -1"),
        ({"diffuse_tile_m": 0.0}, "diffuse_tile_m is 0"),
        ({"diffuse_tile_m": np.nan}, "diffuse_tile_m is nan"),
    ],
)
def test_impossible_settings(wrong, said):
    with pytest.raises(SiteTwinError, match=said):
        TraceSettings(**wrong)


def test_too_many_tiles_are_refused():
    with pytest.raises(SiteTwinError, match="larger ones"):
        surface_tiles(quad_site([ground(1e4)]), 0.5)
