"""Meshes as they come from the world, and users and transmitters in awkward places: the right paths, or a sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site, build_site, check_transmitter, itu_material
from tests.rays.enumeration import enumerate_paths
from tests.rays.laws import Verdict
from tests.rays.shapes import Corners, box_quads, ground

SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=50_000, unseen_bound=0.01)
ALL_KINDS = TraceSettings(
    max_depth=2, rays_per_lattice=50_000, unseen_bound=0.01, diffraction=True, max_transmissions=2, diffuse_paths=3
)
MAST = np.array([0.0, 0.0, 10.0])

Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Vertices, triangles, object of each triangle."""


def mesh_of(bodies: Sequence[Sequence[Corners]]) -> Mesh:
    """Bodies of quadrilaterals, one object each."""
    quads = [np.array(quad, dtype=np.float64) for body in bodies for quad in body]
    owner = np.repeat(np.arange(len(bodies)), [2 * len(body) for body in bodies])
    base = 4 * np.arange(len(quads))[:, None, None]
    return np.concatenate(quads), (base + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3), owner


def site_of(mesh: Mesh) -> Site:
    objects = int(mesh[2].max()) + 1
    names = [f"body {k}" for k in range(objects)]
    return build_site("mesh", *mesh, names, [0] * objects, [itu_material("concrete", 0.1)])


STREET = [[ground(60.0)], box_quads((-30, 8, 0), (20, 20, 15)), box_quads((-20, -22, 0), (30, -9, 11))]


def street_users() -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.column_stack([rng.uniform(-25, 25, 12), rng.uniform(-7, 6, 12), rng.uniform(1, 3, 12)])


def sights(paths: Paths) -> list[np.ndarray]:
    """For each user what its paths look like, whatever the facets are called, in one order."""
    rows = [slice(*paths.offsets[user : user + 2]) for user in range(paths.num_users)]
    seen = [np.column_stack([paths.length[r], paths.departure[r], paths.arrival[r]]).round(6) + 0.0 for r in rows]
    return [table[np.lexsort(table.T[::-1])] for table in seen]


def assert_same_paths(a: Paths, b: Paths) -> None:
    assert a.counts.tolist() == b.counts.tolist()
    for one, two in zip(sights(a), sights(b), strict=True):
        np.testing.assert_allclose(one, two, atol=3e-6)


def assert_as_enumerated(site: Site, users: np.ndarray, paths: Paths, transmitter: np.ndarray = MAST) -> int:
    """Every valid path of the exhaustive oracle is there, and nothing that it calls invalid; returns the number."""
    expected = enumerate_paths(site, transmitter, users, 2)
    for user, chains in enumerate(expected):
        rows = range(paths.offsets[user], paths.offsets[user + 1])
        got = {tuple(int(f) for f in paths.facets[row][paths.kinds[row] > 0]) for row in rows}
        assert got <= set(chains)
        assert {chain for chain, told in chains.items() if told.verdict is Verdict.VALID} <= got
    return sum(map(len, expected))


def degenerate(mesh: Mesh) -> Mesh:
    """With triangles of a repeated corner, of three corners in a line, and of a hair's breadth."""
    vertices, triangles, owner = mesh
    line = np.array([[3.0, 3.0, 5.0], [4.0, 4.0, 6.0], [5.0, 5.0, 7.0], [3.0, 3.0, 5.0 + 1e-13]])
    first = len(vertices)
    more = np.array([[0, 0, 1], [2, 2, 2], [first, first + 1, first + 2], [first, first + 1, first + 3]])
    return np.concatenate([vertices, line]), np.concatenate([triangles, more]), np.append(owner, [0, 0, 1, 1])


def doubled(mesh: Mesh) -> Mesh:
    """Every face twice, the second time with its corners turned."""
    vertices, triangles, owner = mesh
    return vertices, np.concatenate([triangles, np.roll(triangles, 1, axis=1)]), np.tile(owner, 2)


def back_to_back(mesh: Mesh) -> Mesh:
    """Every face once from either side."""
    vertices, triangles, owner = mesh
    return vertices, np.concatenate([triangles, triangles[:, ::-1]]), np.tile(owner, 2)


def flipped(mesh: Mesh) -> Mesh:
    """Every third face inside out."""
    vertices, triangles, owner = mesh
    turned = triangles.copy()
    turned[::3] = turned[::3, ::-1]
    return vertices, turned, owner


def all_flipped(mesh: Mesh) -> Mesh:
    """Inside out."""
    return mesh[0], mesh[1][:, ::-1], mesh[2]


def soup(mesh: Mesh) -> Mesh:
    """No corner shared, and the faces in another order."""
    vertices, triangles, owner = mesh
    order = np.random.default_rng(0).permutation(len(triangles))
    return vertices[triangles[order]].reshape(-1, 3), np.arange(3 * len(order)).reshape(-1, 3), owner[order]


def doubled_and_flipped(mesh: Mesh) -> Mesh:
    """Every face twice, and every third of the lot inside out, so that some copies look both ways."""
    return flipped(doubled(mesh))


def unused(mesh: Mesh) -> Mesh:
    """With corners that no face names."""
    return np.concatenate([mesh[0], np.full((9, 3), 500.0)]), mesh[1], mesh[2]


@pytest.fixture(scope="module")
def clean() -> Paths:
    return trace(site_of(mesh_of(STREET)), MAST, street_users(), SETTINGS)


def test_the_clean_street_is_as_enumerated(clean: Paths) -> None:
    assert assert_as_enumerated(site_of(mesh_of(STREET)), street_users(), clean) > 40


@pytest.mark.parametrize("spoil", [degenerate, doubled, back_to_back, flipped, all_flipped, soup, unused])
def test_what_a_mesh_may_suffer_without_harm(spoil: Callable[[Mesh], Mesh], clean: Paths) -> None:
    site = site_of(spoil(mesh_of(STREET)))
    assert_same_paths(trace(site, MAST, street_users(), SETTINGS), clean)
    assert site.provenance["dropped_degenerate_triangles"] == (4 if spoil is degenerate else 0)


@pytest.mark.parametrize("spoil", [degenerate, doubled, doubled_and_flipped, back_to_back, flipped, all_flipped, soup])
def test_all_kinds_of_paths_bear_it_too(spoil: Callable[[Mesh], Mesh]) -> None:
    """Edges, slabs and tiles that scatter are those of the clean mesh."""
    users = street_users()[:4]
    want = trace(site_of(mesh_of(STREET)), MAST, users, ALL_KINDS)
    assert {1, 3, 4} <= set(want.kinds.ravel().tolist())
    assert_same_paths(trace(site_of(spoil(mesh_of(STREET))), MAST, users, ALL_KINDS), want)


def test_an_open_mesh_is_what_stands_there() -> None:
    """A house without floor, roof and front: waves enter it, and users in it are outdoors."""
    house = [quad for k, quad in enumerate(box_quads((-10, 8, 0), (10, 20, 6))) if k > 2]
    site = site_of(mesh_of([[ground(60.0)], house]))
    users = np.array([[1.0, 12.0, 1.5], [-3.3, 17.0, 2.0], [4.0, 2.0, 1.5]])
    paths = trace(site, MAST, users, SETTINGS)
    assert (paths.counts >= 3).all()
    assert assert_as_enumerated(site, users, paths) >= paths.num_paths
    assert check_transmitter(site, np.array([1.0, 12.0, 3.0])).tolist() == [1, 12, 3]


def test_bodies_that_cut_each_other() -> None:
    """Two houses, one turned through the other, and a wall through both: only what is outside reflects."""
    turned = np.array(box_quads((-8, -4, 0), (8, 4, 9)))
    angle = np.array([[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]])
    wall = [[(-14.0, 21, -2), (14, 19, -2), (14, 19, 5), (-14, 21, 5)]]
    bodies = [[ground(60.0)], box_quads((-9, 14, 0), (7, 26, 6)), (turned @ angle.T + [2, 20, 0]).tolist(), wall]
    site = site_of(mesh_of(bodies))
    users = np.column_stack([np.linspace(-22.3, 21.1, 9), np.linspace(3.2, 9.7, 9), np.full(9, 1.7)])
    assert assert_as_enumerated(site, users, trace(site, MAST, users, SETTINGS)) > 20


def test_coincident_walls_of_two_objects_carry_one_path() -> None:
    mesh = mesh_of([[ground(200.0)], [ground(200.0)]])
    paths = trace(site_of(mesh), MAST, np.array([[40.0, 0, 1.5]]), SETTINGS)
    np.testing.assert_allclose(paths.length, [np.hypot(40, 8.5), np.hypot(40, 11.5)], rtol=1e-14)


def test_a_scene_of_one_triangle() -> None:
    """The reflection is there where its point lies in the triangle, and only there."""
    corners = np.array([[-10.0, -10, 0], [50, -10, 0], [20, 30, 0]])
    site = build_site("one", corners, np.array([[0, 1, 2]]), np.array([0]), ["leaf"], [0], [itu_material("concrete")])
    users = np.array([[40.0, 0, 1.5], [-40.0, 0, 1.5], [40.0, 60, 1.5]])
    paths = trace(site, MAST, users, SETTINGS)
    assert paths.counts.tolist() == [2, 1, 1]
    np.testing.assert_allclose(paths.length[1], np.hypot(40, 11.5), rtol=1e-14)
    edges = trace(site, MAST, users, ALL_KINDS)
    assert (edges.kinds == 3).any()
    assert assert_as_enumerated(site, users, paths) == 4


def test_more_than_ten_million_triangles_are_refused_before_they_take_memory() -> None:
    triangles = np.broadcast_to(np.array([[0, 1, 2]]), (10_000_001, 3))  # a view: no memory of its own
    labels = np.broadcast_to(np.array(0), 10_000_001)
    with pytest.raises(SiteTwinError, match="site 'vast' has more than 10,000,000 triangles; cut out the area"):
        build_site("vast", np.eye(3), triangles, labels, ["leaf"], [0], [itu_material("concrete")])


PLACES = {
    "one point": np.tile([12.5, 1.5, 1.5], (40, 1)),
    "a line": np.column_stack([np.linspace(-20, 20, 40), np.full(40, 1.5), np.full(40, 1.5)]),
    "an upright line": np.column_stack([np.full(40, 7.5), np.full(40, -2.5), np.linspace(1, 40, 40)]),
    "an upright plane": np.column_stack(
        [np.tile(np.arange(8.0), 5), np.full(40, 2.0), np.repeat(np.arange(1.0, 6), 8)]
    ),
}


@pytest.mark.parametrize("name", PLACES)
def test_users_in_a_plane_a_line_a_point(name: str) -> None:
    """They get what each would get among others in general position."""
    site, users = site_of(mesh_of(STREET)), PLACES[name]
    paths = trace(site, MAST, users, SETTINGS)
    assert assert_as_enumerated(site, users[::13], trace(site, MAST, users[::13], SETTINGS))
    among = np.concatenate([street_users(), users])
    mixed = trace(site, MAST, among, SETTINGS)
    for one, two in zip(sights(paths), sights(mixed)[len(street_users()) :], strict=True):
        np.testing.assert_allclose(one, two, atol=3e-6)


def test_a_user_at_the_transmitter_and_users_on_walls_break_nothing() -> None:
    """A path of no length has no direction; a user on a wall, a roof's corner or the ground has finite paths."""
    site = site_of(mesh_of(STREET))
    for place in ((0, 0, 10), (0, 0, 10 + 1e-9)):
        with pytest.raises(SiteTwinError, match="user 1 stands where the transmitter is"):
            trace(site, MAST, np.array([(3, 2, 1.5), place]), SETTINGS)
    users = np.array([[3.0, 8.0, 5.0], [3.0, 2.0, 0.0], [20.0, 8.0, 15.0], [3.0, 2.0, 1.5]])
    paths = trace(site, MAST, users, SETTINGS)
    for values in (paths.length, paths.departure, paths.arrival):
        assert np.isfinite(values).all()
    assert (paths.length > 1e-3).all()
    alone = trace(site, MAST, users[3:], SETTINGS)
    np.testing.assert_array_equal(sights(paths)[3], sights(alone)[0])


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((3.0, 8.0, 5.0), "on a surface"),  # on a wall
        ((3.0, 12.0, 15.0), "on a surface"),  # on a roof
        ((20.0, 8.0, 15.0), "on a surface"),  # on a corner
        ((3.0, 2.0, 0.0), "on a surface"),  # on the ground
        ((3.0, 12.0, 5.0), "inside a building"),
        ((3.0, 40.1, 2.0), "inside a building"),  # inside a wall 0.3 m thick
        ((3.0, 2.0, -1.0), "below the ground"),
    ],
)
def test_transmitters_on_surfaces_and_in_walls_are_refused(place: tuple, said: str) -> None:
    site = site_of(mesh_of([*STREET, box_quads((-5, 40, 0), (10, 40.3, 4))]))
    with pytest.raises(SiteTwinError, match=said):
        check_transmitter(site, np.array(place))
