"""Paths through walls: against an exhaustive oracle, and the tracer's own promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays import Interaction, Paths, TraceJob, TraceSettings, discover, load_paths, solve, trace
from sitetwin.site import Site
from sitetwin.site.materials import itu_material
from tests.rays.enumeration import enumerate_transmitted
from tests.rays.laws import Verdict
from tests.rays.shapes import box_quads, ground, quad_site
from tests.rays.test_dense import equal

SLAB, SOIL = itu_material("concrete", 0.2), itu_material("medium_dry_ground")
SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=60_000, unseen_bound=2e-3, max_transmissions=2)
REFLECTED, THROUGH = int(Interaction.REFLECTION), int(Interaction.TRANSMISSION)


def wall(x: float, material=SLAB, low=-10.0, high=10.0):
    return [(x, low, low), (x, high, low), (x, high, high), (x, low, high)], material


def walls(*made) -> Site:
    return quad_site([quad for quad, _ in made], [material for _, material in made])


def rooms() -> Site:
    """Two huts of slabs on opaque ground, and a free wall."""
    quads = [ground(30.0), *box_quads((-8, -5, 0.01), (-1, 5, 4)), *box_quads((2, -6, 0.01), (9, 1, 3))]
    quads.append([(-12, 9, 0), (12, 9, 0), (12, 9, 6), (-12, 9, 6)])
    return quad_site(quads, [SOIL] + [SLAB] * (len(quads) - 1))


def named(paths: Paths, user: int) -> list[tuple[tuple[int, int], ...]]:
    rows = range(paths.offsets[user], paths.offsets[user + 1])
    return [tuple((int(k), int(f)) for k, f in zip(paths.kinds[r], paths.facets[r], strict=True) if k) for r in rows]


def test_straight_through_a_wall() -> None:
    site, a, b = walls(wall(0.0)), np.array([-3.0, 1.0, 2.0]), np.array([[5.0, -2.0, 1.0]])
    paths = trace(site, a, b, replace(SETTINGS, max_depth=0))
    assert named(paths, 0) == [((THROUGH, 0),)]
    np.testing.assert_allclose(paths.vertices[0, 0], a + 3 / 8 * (b[0] - a), atol=1e-14)
    step = b[0] - a
    assert paths.length[0] == pytest.approx(np.linalg.norm(step), rel=1e-15)
    np.testing.assert_allclose(paths.departure[0], step / np.linalg.norm(step), rtol=1e-15)
    np.testing.assert_array_equal(paths.arrival[0], -paths.departure[0])


@pytest.mark.parametrize(("count", "allowed", "passes"), [(1, 0, False), (2, 1, False), (2, 2, True), (5, 5, True)])
def test_so_many_walls_and_no_more(count: int, allowed: int, passes: bool) -> None:
    site = walls(*(wall(float(x)) for x in range(count)))
    paths = trace(site, np.array([-3.0, 1, 2]), np.array([[9.0, -2, 1]]), TraceSettings(0, max_transmissions=allowed))
    assert named(paths, 0) == ([tuple((THROUGH, k) for k in range(count))] if passes else [])


def test_half_spaces_are_opaque() -> None:
    site = walls(wall(0.0), wall(1.0, SOIL))
    paths = trace(site, np.array([-3.0, 1, 2]), np.array([[9.0, -2, 1], [0.5, 0, 0]]), replace(SETTINGS, max_depth=1))
    assert paths.counts[0] == 0
    assert named(paths, 1) == [((THROUGH, 0),), ((THROUGH, 0), (REFLECTED, 1))]


def test_a_wall_may_reflect_first_and_let_through_later() -> None:
    """Off the far wall, back through the near one: the chain has one facet, the path two."""
    site = walls(wall(0.0), wall(4.0))
    paths = trace(site, np.array([-3.0, 1, 2]), np.array([[-5.0, -2, 1]]), SETTINGS)
    assert ((THROUGH, 0), (REFLECTED, 1), (THROUGH, 0)) in named(paths, 0)
    at = named(paths, 0).index(((THROUGH, 0), (REFLECTED, 1), (THROUGH, 0)))
    np.testing.assert_allclose(paths.vertices[at, :3, 0], [0, 4, 0], atol=1e-12)
    share = (paths.vertices[at, 1] - [-3, 1, 2]) / 7  # unfolded in the far wall the path is straight
    np.testing.assert_allclose(paths.vertices[at, 0], np.array([-3, 1, 2]) + 3 * share, atol=1e-12)


@pytest.mark.parametrize(("seed", "inside"), [(0, False), (1, True), (2, True)])
def test_equal_to_exhaustive_enumeration(seed: int, inside: bool) -> None:
    site, rng = rooms(), np.random.default_rng(seed)
    transmitter = rng.uniform((-7, -4, 1), (-2, 4, 3)) if inside else rng.uniform((-12, -9, 1), (12, 8, 8))
    users = rng.uniform((-11, -8, 0.5), (11, 8, 2.8), (12, 3))
    paths = trace(site, transmitter, users, SETTINGS, allow_indoors=True)
    missed = extra = total = 0
    for user, oracle in enumerate(enumerate_transmitted(site, transmitter, users, 2, 2)):
        ours = set(named(paths, user))
        sure = {name for name, judgement in oracle.items() if judgement.verdict is Verdict.VALID}
        missed, extra, total = missed + len(sure - ours), extra + len(ours - set(oracle)), total + len(sure)
    assert total > 80
    assert extra == 0
    assert missed <= SETTINGS.unseen_bound * total
    assert len({name for user in range(len(users)) for name in named(paths, user)}) > 30


def test_chains_that_only_rays_through_walls_reach_are_found() -> None:
    """A transmitter in a closed hut: without transmission not one chain leads out."""
    site, transmitter = rooms(), np.array([-5.0, 1.0, 2.0])
    users = np.array([[0.5, -2.0, 1.5]])
    opaque = replace(SETTINGS, max_transmissions=0)
    assert trace(site, transmitter, users, opaque, allow_indoors=True).num_paths == 0
    chains = discover(site, transmitter, users, SETTINGS)
    assert 13 in chains.facets  # the free wall outside


def test_the_way_back_has_the_same_paths() -> None:
    site, rng = rooms(), np.random.default_rng(5)
    a, b = np.array([-4.0, 2.0, 1.5]), rng.uniform((-11, -8, 0.5), (11, 8, 2.8), (3, 3))
    out = trace(site, a, b, SETTINGS, allow_indoors=True)
    for user in range(len(b)):
        back = trace(site, b[user], a[None], SETTINGS, allow_indoors=True)
        assert {tuple(reversed(name)) for name in named(back, 0)} == set(named(out, user))


def test_tiles_of_users_change_no_bit(tmp_path) -> None:
    site, rng = rooms(), np.random.default_rng(3)
    users, transmitter = rng.uniform((-11, -8, 0.5), (11, 8, 2.8), (90, 3)), np.array([-4.0, 2.0, 1.5])
    wanted = replace(SETTINGS, diffuse_paths=3, rays_per_lattice=10_000, unseen_bound=0.02)
    chains = discover(site, transmitter, users, wanted)
    whole = solve(site, chains, users, wanted)
    some = rng.permutation(90)[:30]
    assert equal(solve(site, chains, users[some], wanted), whole.select_users(some))
    (store,) = TraceJob(site, transmitter, users, wanted, tile_users=40, allow_indoors=True).run(tmp_path / "p")
    assert equal(load_paths(store.path), whole)
    for low, high in zip(whole.offsets[:-1], whole.offsets[1:], strict=True):
        keys = [(int(whole.depth[r]), *whole.kinds[r], *whole.facets[r]) for r in range(low, high)]
        assert keys == sorted(keys)


def test_opaque_walls_give_the_paths_of_old() -> None:
    """Of the paths with transmissions those without any are the specular ones, to the bit."""
    site, rng = rooms(), np.random.default_rng(4)
    users, transmitter = rng.uniform((-11, -8, 0.5), (11, 8, 2.8), (50, 3)), np.array([0.5, -8.0, 3.5])
    through = trace(site, transmitter, users, SETTINGS)
    plain = trace(site, transmitter, users, replace(SETTINGS, max_transmissions=0))
    rows = ~(through.kinds == THROUGH).any(axis=1)
    assert rows.sum() == plain.num_paths > 50
    np.testing.assert_array_equal(through.vertices[rows, :2], plain.vertices)
    np.testing.assert_array_equal(through.length[rows], plain.length)


@pytest.mark.parametrize("wrong", [-1, 17])
def test_impossible_settings(wrong: int) -> None:
    with pytest.raises(SiteTwinError, match=f"max_transmissions is {wrong}"):
        TraceSettings(max_transmissions=wrong)


def test_following_rays_in_parts_changes_no_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    site, users = rooms(), np.array([[0.5, -2.0, 1.5], [6.0, 4.0, 2.0]])
    wanted = replace(SETTINGS, rays_per_lattice=8000, unseen_bound=0.5)
    whole = discover(site, np.array([-5.0, 1.0, 2.0]), users, wanted)
    monkeypatch.setattr("sitetwin.rays.specular.discovery._RAYS_AT_ONCE", 6000)
    parts = discover(site, np.array([-5.0, 1.0, 2.0]), users, wanted)
    assert parts.hash == whole.hash
    np.testing.assert_array_equal(parts.seen_in, whole.seen_in)
    assert whole.seen_in.max() == whole.completeness.lattices


def test_a_run_goes_on_only_with_the_same_walls_to_pass(tmp_path) -> None:
    """Materials are no part of the geometry, but whether they are slabs decides which paths there are."""
    site, users = walls(wall(0.0), wall(1.0, SOIL)), np.array([[0.5, 0.0, 0.0]])
    thin, other = site.variant(materials={SOIL.name: SLAB}), site.variant(materials={SLAB.name: "brick"})
    kept = [replace(new, thickness=old.thickness) for new, old in zip(other.materials, site.materials, strict=True)]
    brick = replace(other, materials=tuple(kept))
    wanted = replace(SETTINGS, max_depth=1, rays_per_lattice=1000, unseen_bound=0.5)
    for settings, variant, same in (
        (wanted, thin, False),
        (wanted, brick, True),
        (replace(wanted, max_transmissions=0), thin, True),
    ):
        folder = tmp_path / f"{settings.max_transmissions} {same}"
        assert variant.geometry_hash == site.geometry_hash
        TraceJob(site, np.array([-3.0, 1, 2]), users, settings).run(folder)
        if same:
            TraceJob(variant, np.array([-3.0, 1, 2]), users, settings).run(folder)
            continue
        with pytest.raises(SiteTwinError, match="slab_facets_sha256"):
            TraceJob(variant, np.array([-3.0, 1, 2]), users, settings).run(folder)
