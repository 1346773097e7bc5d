"""The dense tracer against laws, an exhaustive oracle and its own promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays import ChainList, Interaction, Paths, TraceSettings, discover, solve, trace
from sitetwin.rays.caster import RayCaster
from sitetwin.rays.specular.discovery import discover_chains
from sitetwin.site import Ellipsoid, Site, Vegetation, load_scene
from tests.rays.enumeration import enumerate_paths
from tests.rays.laws import LawTest, Verdict
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=3, rays_per_lattice=50_000, unseen_bound=0.01)


def chains_of(paths: Paths, user: int) -> set[tuple[int, ...]]:
    rows = range(paths.offsets[user], paths.offsets[user + 1])
    return {tuple(int(f) for f in paths.facets[row][paths.kinds[row] > 0]) for row in rows}


def geometry(paths: Paths) -> list[np.ndarray]:
    return [
        getattr(paths, name) for name in ("offsets", "kinds", "facets", "vertices", "length", "departure", "arrival")
    ]


def equal(a: Paths, b: Paths) -> bool:
    return all(
        np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in zip(geometry(a), geometry(b), strict=True)
    )


def two_boxes() -> Site:
    """A ground and two buildings across a street."""
    quads = [ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))]
    return quad_site(quads)


@pytest.fixture(scope="module")
def street() -> Site:
    return load_scene("simple_street_canyon")


@pytest.fixture(scope="module")
def street_users() -> np.ndarray:
    rng = np.random.default_rng(3)
    return np.column_stack([rng.uniform(-60, 60, 300), rng.uniform(-8, 8, 300), rng.uniform(1, 3, 300)])


def test_two_ray_lengths_and_directions() -> None:
    height, user_height, distance = 10.0, 1.5, 40.0
    paths = trace(
        quad_site([ground(200.0)]), np.array([0, 0, height]), np.array([[distance, 0, user_height]]), SETTINGS
    )
    assert paths.depth.tolist() == [0, 1]
    np.testing.assert_allclose(
        paths.length, [np.hypot(distance, height - user_height), np.hypot(distance, height + user_height)], rtol=1e-14
    )
    grazing = np.arctan2(height + user_height, distance)
    np.testing.assert_allclose(paths.departure[1], [np.cos(grazing), 0, -np.sin(grazing)], atol=1e-14)
    np.testing.assert_allclose(paths.arrival[1], [-np.cos(grazing), 0, -np.sin(grazing)], atol=1e-14)
    np.testing.assert_allclose(
        paths.vertices[1, 0], [distance * height / (height + user_height), 0, 0], rtol=1e-14, atol=1e-13
    )


def test_shoebox_has_every_image() -> None:
    """In an empty room all images up to the depth are visible: 1 + 6 + 18 + 38 of the octahedral numbers."""
    site = quad_site(box_quads((0, 0, 0), (6, 5, 3)))
    user = np.array([[4.1, 3.2, 1.2]])
    paths = trace(site, np.array([1.3, 1.7, 2.1]), user, SETTINGS, allow_indoors=True)
    lengths = np.sort(paths.length)
    oracle = []
    for x in range(-3, 4):
        for y in range(-3, 4):
            for z in range(-3, 4):
                if abs(x) + abs(y) + abs(z) <= 3:
                    image = [
                        n * size + (value if n % 2 == 0 else size - value)
                        for n, size, value in zip((x, y, z), (6, 5, 3), (1.3, 1.7, 2.1), strict=True)
                    ]
                    oracle.append(np.linalg.norm(np.array(image) - user[0]))
    # Mirrorings at perpendicular walls commute: one image is one path, whichever wall its chain names first.
    assert len(lengths) == len(oracle)
    np.testing.assert_allclose(lengths, np.sort(oracle), rtol=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_equal_to_exhaustive_enumeration(seed: int) -> None:
    site = two_boxes()
    rng = np.random.default_rng(seed)
    transmitter = np.array([rng.uniform(-20, 20), rng.uniform(-6, 6), rng.uniform(3, 18)])
    users = np.column_stack([rng.uniform(-40, 40, 12), rng.uniform(-7, 6, 12), rng.uniform(0.5, 4, 12)])
    paths = trace(site, transmitter, users, replace(SETTINGS, rays_per_lattice=200_000, unseen_bound=1e-3))
    missed = extra = 0
    for user, oracle in enumerate(enumerate_paths(site, transmitter, users, 3)):
        ours = chains_of(paths, user)
        missed += sum(1 for chain, verdict in oracle.items() if verdict.verdict is Verdict.VALID and chain not in ours)
        extra += len(ours - set(oracle))
    assert paths.num_paths > 50
    assert extra == 0
    assert missed <= paths.attributes["completeness"]["bound"] * paths.num_paths


def test_street_canyon_obeys_the_laws(street: Site, street_users: np.ndarray) -> None:
    paths = trace(street, np.array([-33.0, 0, 32.0]), street_users, SETTINGS)
    judgements = LawTest(street).judge_paths(paths)
    assert paths.num_paths > 500
    assert [j for j in judgements if j.verdict is Verdict.INVALID] == []


@pytest.mark.slow
def test_munich_obeys_the_laws() -> None:
    site = load_scene("munich")
    rng = np.random.default_rng(0)
    users = np.column_stack([rng.uniform(-140, 90, 4000), rng.uniform(-40, 160, 4000), np.full(4000, 1.5)])
    paths = trace(site, np.array([-30.0, 60.0, 15.0]), users, TraceSettings())
    rows = rng.choice(paths.num_paths, size=1000, replace=False)
    judgements = LawTest(site).judge_paths(paths, rows)
    assert [j for j in judgements if j.verdict is Verdict.INVALID] == []


def test_tiles_and_order_change_no_bit(street: Site, street_users: np.ndarray) -> None:
    transmitter = np.array([-33.0, 0, 32.0])
    chains = discover(street, transmitter, street_users, SETTINGS)
    whole = solve(street, chains, street_users, SETTINGS)
    shuffled = np.random.default_rng(0).permutation(len(street_users))
    assert equal(solve(street, chains, street_users[shuffled], SETTINGS), whole.select_users(shuffled))
    assert equal(solve(street, chains, street_users[:7], SETTINGS), whole.select_users(np.arange(7)))


def test_single_users_find_what_the_whole_finds(street: Site, street_users: np.ndarray) -> None:
    """A tile so small that no chain of some depth is tried in it."""
    transmitter = np.array([-33.0, 0, 32.0])
    far = np.array([[55.0, 40.0, 60.0]])  # above a roof, where few chains lead
    users = np.concatenate([street_users[:20], far])
    chains = discover(street, transmitter, users, SETTINGS)
    whole = solve(street, chains, users, SETTINGS)
    for user in range(len(users)):
        assert equal(solve(street, chains, users[user : user + 1], SETTINGS), whole.select_users(np.array([user])))


def test_users_and_chains_must_belong_together(street: Site, street_users: np.ndarray) -> None:
    chains = discover(street, np.array([-33.0, 0, 32.0]), street_users, SETTINGS)
    with pytest.raises(SiteTwinError, match="outside the volume"):
        solve(street, chains, street_users + np.array([500.0, 0, 0]), SETTINGS)
    with pytest.raises(SiteTwinError, match="facets that the site lacks"):
        solve(quad_site([ground()]), chains, street_users, SETTINGS)


def test_same_seed_same_bytes(street: Site, street_users: np.ndarray) -> None:
    transmitter = np.array([-33.0, 0, 32.0])
    first, second = (discover(street, transmitter, street_users, SETTINGS) for _ in range(2))
    assert first.hash == second.hash
    again = ChainList.from_arrays(first.to_arrays())
    assert again.hash == first.hash
    assert again.completeness == first.completeness


def test_reciprocity(street: Site, street_users: np.ndarray) -> None:
    """From the user's end the same facets are met in the reverse order, over the same length."""
    transmitter, user = np.array([-33.0, 0, 32.0]), street_users[:1]
    settings = replace(SETTINGS, rays_per_lattice=400_000, unseen_bound=1e-4)
    there, back = trace(street, transmitter, user, settings), trace(street, user[0], transmitter[None], settings)
    forward = {chain: length for chain, length in zip(_ordered(there), there.length, strict=True)}
    backward = {chain[::-1]: length for chain, length in zip(_ordered(back), back.length, strict=True)}
    assert forward.keys() == backward.keys()
    np.testing.assert_allclose([forward[c] for c in forward], [backward[c] for c in forward], rtol=1e-13)


def _ordered(paths: Paths) -> list[tuple[int, ...]]:
    return [tuple(int(f) for f in row[row >= 0]) for row in paths.facets]


def test_rigid_motion_changes_no_length() -> None:
    """A quarter turn and a shift by whole metres are exact in single precision too."""
    site = two_boxes()
    transmitter, users = np.array([-10.0, 0, 14.0]), np.array([[12.0, -3.0, 1.5], [25.0, 2.0, 1.5], [-28.0, 4.0, 2.0]])
    turn, shift = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.array([100.0, -50.0, 0.0])
    normal = site.facet_normal @ turn.T
    moved = replace(
        site,
        vertices=site.vertices @ turn.T + shift,
        facet_normal=normal,
        facet_offset=site.facet_offset + normal @ shift,
    )
    settings = replace(SETTINGS, rays_per_lattice=200_000)
    a = trace(site, transmitter, users, settings)
    b = trace(moved, turn @ transmitter + shift, users @ turn.T + shift, settings)
    assert np.array_equal(a.facets, b.facets)
    np.testing.assert_allclose(a.length, b.length, rtol=1e-13)
    np.testing.assert_allclose(a.departure @ turn.T, b.departure, atol=1e-12)


def test_rows_are_canonical(street: Site, street_users: np.ndarray) -> None:
    paths = trace(street, np.array([-33.0, 0, 32.0]), street_users, SETTINGS)
    for user in range(20):
        rows = range(paths.offsets[user], paths.offsets[user + 1])
        keys = [(int(paths.depth[r]), paths.kinds[r].tolist(), paths.facets[r].tolist()) for r in rows]
        assert keys == sorted(keys)
        assert len({str(k) for k in keys}) == len(keys)


def with_tree(centre: tuple[float, float, float], radius: float, centres: np.ndarray | None = None) -> Site:
    tree = Ellipsoid(centre, (radius, radius, radius))
    vegetation = Vegetation((tree,))
    if centres is not None:
        vegetation = replace(vegetation, scatter_centres=centres, scatter_volume=np.zeros(len(centres), np.int32))
    return replace(quad_site([ground(200.0)]), vegetation=vegetation)


def test_chords_through_a_tree() -> None:
    """The direct ray runs through the middle; the ground bounce passes below the crown."""
    paths = trace(with_tree((20.0, 0.0, 5.0), 2.0), np.array([0, 0, 5.0]), np.array([[40.0, 0, 5.0]]), SETTINGS)
    assert np.diff(paths.crossing_offsets).tolist() == [1, 0]
    np.testing.assert_allclose([paths.crossing_entry[0], paths.crossing_exit[0]], [18.0, 22.0], rtol=1e-12)


def test_chord_after_a_bounce_counts_from_the_transmitter() -> None:
    transmitter, user = np.array([0, 0, 10.0]), np.array([[40.0, 0, 10.0]])
    paths = trace(with_tree((30.0, 0.0, 5.0), 1.0), transmitter, user, SETTINGS)
    middle = np.hypot(30.0, 15.0)  # the bounce at (20, 0, 0), half way to it and past it once more half
    assert np.diff(paths.crossing_offsets).tolist() == [0, 1]
    np.testing.assert_allclose([paths.crossing_entry[0], paths.crossing_exit[0]], [middle - 1, middle + 1], rtol=1e-12)


def test_canopy_paths_are_the_strongest_visible_ones() -> None:
    centres = np.array([[20.0, 3.0, 5.0], [20.0, -30.0, 5.0], [20.0, 0.0, -4.0]])  # the last one is under the ground
    site = with_tree((20.0, 0.0, 5.0), 4.0, centres)
    transmitter, user = np.array([0, 0, 5.0]), np.array([[40.0, 0, 5.0]])
    one = trace(site, transmitter, user, replace(SETTINGS, canopy_paths=1))
    scattered = one.kinds[:, 0] == Interaction.CANOPY
    assert one.facets[scattered, 0].tolist() == [0]
    np.testing.assert_allclose(one.length[scattered], 2 * np.hypot(20, 3), rtol=1e-14)
    both = trace(site, transmitter, user, replace(SETTINGS, canopy_paths=8))
    assert both.facets[both.kinds[:, 0] == Interaction.CANOPY, 0].tolist() == [0, 1]
    assert trace(site, transmitter, user, replace(SETTINGS, canopy_paths=0)).num_paths == 2


def test_depth_zero_is_line_of_sight_alone() -> None:
    site = two_boxes()
    users = np.array([[0.0, 0.0, 1.5], [0.0, 14.0, 1.5]])  # the second stands inside a building
    paths = trace(site, np.array([0.0, 0.0, 20.0]), users, replace(SETTINGS, max_depth=0))
    assert paths.counts.tolist() == [1, 0]
    assert paths.facets.shape[1] == 0


def test_completeness_is_measured_and_holds(street: Site, street_users: np.ndarray) -> None:
    """Too few rays in a lattice: more are shot until what they all miss is about what was asked for."""
    transmitter, bound = np.array([-33.0, 0, 32.0]), 1e-3
    caster = RayCaster(street)
    chains = discover_chains(
        street, caster, transmitter, street_users, depth=3, rays_per_lattice=600, unseen_bound=bound, seed=0
    )
    assert chains.completeness.lattices > 6
    assert chains.completeness.unseen_share <= bound
    sparse = solve(street, chains, street_users, SETTINGS, caster=caster)
    dense = trace(street, transmitter, street_users, replace(SETTINGS, rays_per_lattice=400_000))
    assert 1 - sparse.num_paths / dense.num_paths <= 2 * bound


@pytest.mark.parametrize(
    ("transmitter", "users", "message"),
    [
        ([0, 0, np.nan], [[1, 1, 1]], "not finite"),
        ([0, 0, 9], [[1, 1, np.inf]], "1 user positions are not finite"),
        ([0, 0, 9], np.zeros((0, 3)), "no user"),
        ([0, 0, 9], [[1, 1]], "shapes"),
        ([0, 0, 9], [[1, 1, 1], [0, 0, 9]], "user 1 stands where the transmitter is"),
    ],
)
def test_bad_positions_get_a_sentence(transmitter: list[float], users: object, message: str) -> None:
    with pytest.raises(SiteTwinError, match=message):
        trace(quad_site([ground()]), np.array(transmitter, dtype=float), np.array(users, dtype=float), SETTINGS)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_depth": -1},
        {"unseen_bound": 0.0},
        {"rays_per_lattice": 3},
        {"canopy_paths": -1},
        {"seed": -1},
    ],
)
def test_bad_settings_get_a_sentence(bad: dict[str, float]) -> None:
    with pytest.raises(SiteTwinError, match=f"{next(iter(bad))} is"):
        TraceSettings(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [{"max_depth": 1.5}, {"rays_per_lattice": 2e5}, {"canopy_paths": 0.5}, {"seed": "7"}])
def test_settings_that_are_not_whole_get_a_sentence(bad: dict[str, object]) -> None:
    settings = TraceSettings()
    vars(settings).update(bad)  # as users may who run without the checks of types that the tests run with
    with pytest.raises(SiteTwinError, match=f"{next(iter(bad))} is .*; give a whole number"):
        settings.__post_init__()
