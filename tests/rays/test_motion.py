"""Motion: Doppler shifts against differences of lengths, and moving objects against whole new traces."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.rays import (
    SPEED_OF_LIGHT,
    DynamicTrace,
    Interaction,
    Paths,
    TraceSettings,
    Trajectory,
    doppler_shifts,
    length_rates,
    trace,
)
from sitetwin.site import (
    Ellipsoid,
    MovingObject,
    Vegetation,
    box_object,
    facet_velocities,
    itu_material,
    place_objects,
    wedge_velocities,
)
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=3, rays_per_lattice=200_000)
TRANSMITTER = np.array([-14.0, 1.0, 9.0])
FREQUENCY = 3.5e9


def street(vegetation=False):
    """A ground and two buildings across a street along x."""
    quads = [ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))]
    site = quad_site(quads)
    if vegetation:
        import dataclasses

        tree = Ellipsoid((2.0, 4.0, 5.0), (2.0, 2.0, 2.0))
        site = dataclasses.replace(site, vegetation=Vegetation((tree,)))
    return site


def street_users(count=60, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(-12, 18, count), rng.uniform(-7, 6, count), np.full(count, 1.5)])


def lorry(x, y, yaw=0.0, speed=12.0):
    return box_object("lorry", (x, y, 0.3), (6.0, 2.2, 2.9), yaw=yaw, speed=speed)


def equal(a: Paths, b: Paths) -> None:
    for name in ("offsets", "kinds", "facets", "vertices", "length", "departure", "arrival"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for name in ("crossing_offsets", "crossing_volume", "crossing_entry", "crossing_exit"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.fixture(scope="module")
def at_rest():
    return DynamicTrace(street(), TRANSMITTER, street_users(), SETTINGS, places=np.array([[-12.0, 0, 1], [18, 0, 1]]))


@pytest.mark.parametrize(
    "objects",
    [
        [],
        [lorry(0.3, -2.1)],
        [lorry(9.0, 3.0, yaw=0.4), lorry(-4.0, -4.1, yaw=3.3)],
        [lorry(-9.0, 0.0, yaw=1.2), box_object("car", (3.0, 1.0, 0.2), (4.3, 1.8, 1.4), yaw=0.1)],
    ],
    ids=["none", "one", "two", "other"],
)
def test_an_update_is_a_new_trace(at_rest, objects):
    paths, placed = at_rest.with_objects(objects)
    new = trace(placed, TRANSMITTER, at_rest.users, SETTINGS)
    equal(paths, new)
    over = (paths.facets >= at_rest.site.num_facets).any(axis=1)
    if objects:
        assert over.sum() > 20  # the objects matter, in both ways
        assert paths.num_paths - over.sum() < at_rest.at_rest.num_paths
    assert paths.attributes["objects"]["unseen_share"] < 0.01


@pytest.mark.parametrize("material", ["metal", "glass"])
def test_an_update_passes_walls_as_a_new_trace_does(material):
    """Walls of buildings are slabs, and so is the van of glass: it lets through what the one of metal blocks."""
    passing = TraceSettings(max_depth=2, rays_per_lattice=100_000, max_transmissions=2)
    users = np.concatenate([street_users(20), [[-25.0, 14.0, 1.5], [0.0, 14.0, 3.0], [5.0, 24.0, 1.5]]])
    north, south = box_quads((-30, 8, 0), (20, 20, 15)), box_quads((-20, -22, 0), (30, -9, 11))
    site = quad_site([ground(60.0), *north[1:], *south[1:]])  # of floor and ground a ray would hit either
    dynamic = DynamicTrace(site, TRANSMITTER, users, passing)
    equal(dynamic.at_rest, trace(dynamic.site, TRANSMITTER, users, passing))
    of = itu_material(material, 0.004 if material == "glass" else None)
    van = box_object("van", (0.3, 2.1, 0.3), (6.0, 2.2, 2.9), yaw=0.2, material=of)
    paths, placed = dynamic.with_objects([van])
    equal(paths, trace(placed, TRANSMITTER, users, passing))
    first = dynamic.site.num_facets
    through = (paths.kinds == Interaction.TRANSMISSION) & (paths.facets >= first)
    bounced = (paths.kinds == Interaction.REFLECTION) & (paths.facets >= first)
    behind = (paths.kinds == Interaction.TRANSMISSION) & (paths.facets < first)
    assert (through.sum() > 20) == (material == "glass")
    assert (bounced.any(axis=1) & behind.any(axis=1)).sum() > 2
    assert (~(paths.facets >= first).any(axis=1)).sum() < dynamic.at_rest.num_paths


def test_an_update_crosses_trees_as_a_new_trace_does():
    site, objects = street(vegetation=True), [lorry(2.0, -2.0)]
    dynamic = DynamicTrace(site, TRANSMITTER, street_users(20), SETTINGS)
    paths, placed = dynamic.with_objects(objects)
    assert len(paths.crossing_volume) > 0
    equal(paths, trace(placed, TRANSMITTER, dynamic.users, SETTINGS))


def test_bodies_leave_the_numbers_of_the_site_alone():
    site = street()
    placed = place_objects(site, [lorry(0.0, 0.0), lorry(9.0, 0.0, yaw=1.0, speed=5.0)])
    first = site.num_facets
    np.testing.assert_array_equal(placed.triangle_facet[: site.num_triangles], site.triangle_facet)
    assert placed.num_facets == first + 12
    velocity = facet_velocities(placed, [lorry(0.0, 0.0), lorry(9.0, 0.0, yaw=1.0, speed=5.0)])
    assert (velocity[:first] == 0).all()
    np.testing.assert_allclose(velocity[first : first + 6], np.tile([12.0, 0, 0], (6, 1)))
    np.testing.assert_allclose(velocity[-1], [5 * np.cos(1.0), 5 * np.sin(1.0), 0])
    assert placed.materials[placed.facet_material[first]].name == itu_material("metal").name
    assert placed.geometry_hash != site.geometry_hash


def matched_lengths(a: Paths, b: Paths) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the paths that two moments share: same user, same interactions."""
    names = [
        {
            (int(u), *map(int, k), *map(int, f)): row
            for row, (u, k, f) in enumerate(zip(p.user_of_path, p.kinds, p.facets, strict=True))
        }
        for p in (a, b)
    ]
    both = sorted(set(names[0]) & set(names[1]))
    return np.array([names[0][k] for k in both]), np.array([names[1][k] for k in both])


def test_doppler_is_the_rate_of_the_length_with_everything_moving():
    """Ends, and a lorry as a reflector: half a millisecond of motion against the shift in the middle."""
    site, users, body = street(), street_users(40), lorry(1.0, -2.0, yaw=0.3)
    rng = np.random.default_rng(1)
    velocity, source = rng.uniform(-15, 15, (40, 3)), np.array([3.0, -8.0, 1.0])
    step = 2.5e-4
    moments = []
    for seconds in (-step, 0.0, step):
        placed = place_objects(site, [body.moved(seconds)])
        moments.append(trace(placed, TRANSMITTER + seconds * source, users + seconds * velocity, SETTINGS))
    before, now, after = moments
    placed = place_objects(site, [body])
    rate = length_rates(now, velocity, source, facet_velocities(placed, [body]))
    rows, rows_after = matched_lengths(now, after)
    lookup = dict(zip(*matched_lengths(now, before), strict=True))
    pairs = [(row, lookup[row], late) for row, late in zip(rows, rows_after, strict=True) if row in lookup]
    row, early, late = (np.array(column) for column in zip(*pairs, strict=True))
    measured = (after.length[late] - before.length[early]) / (2 * step)
    over = (now.facets[row] >= site.num_facets).any(axis=1)
    assert len(row) > 0.9 * now.num_paths
    assert over.sum() > 20
    np.testing.assert_allclose(rate[row], measured, atol=1e-4)
    shift = doppler_shifts(now, FREQUENCY, velocity, source, facet_velocities(placed, [body]))
    np.testing.assert_allclose(shift[row], -FREQUENCY / SPEED_OF_LIGHT * measured, atol=2e-3)


def test_moving_edges_shift_what_they_bend():
    """Edges of a lorry, with a reflection before or after them: motion of the body against the shift in the middle."""
    site, users, body = street(), street_users(12), lorry(1.0, -2.0, yaw=0.3)
    bends = TraceSettings(max_depth=2, rays_per_lattice=50_000, diffraction=True)
    step = 2.5e-4
    sites = [place_objects(site, [body.moved(seconds)]) for seconds in (-step, 0.0, step)]
    before, now, after = (trace(placed, TRANSMITTER, users, bends) for placed in sites)
    facets, wedges = facet_velocities(sites[1], [body]), wedge_velocities(sites[1], [body])
    rate = length_rates(now, np.zeros(3), None, facets, wedges)
    late, early = (dict(zip(*matched_lengths(now, other), strict=True)) for other in (after, before))
    row = np.array(sorted(set(late) & set(early)))
    measured = np.array([after.length[late[r]] - before.length[early[r]] for r in row]) / (2 * step)
    bent = (now.kinds[row] == Interaction.DIFFRACTION).any(axis=1)
    assert (bent & (np.abs(measured) > 0.5)).sum() > 20
    assert len(row) > 0.9 * now.num_paths
    np.testing.assert_allclose(rate[row], measured, atol=1e-4)
    with pytest.raises(SiteTwinError, match="wedge_velocity"):
        length_rates(now, np.zeros(3), None, facets)


def test_who_approaches_has_a_positive_shift():
    paths = trace(quad_site([ground(200.0)]), np.array([0, 0, 1.5]), np.array([[100.0, 0, 1.5]]), SETTINGS)
    shift = doppler_shifts(paths, FREQUENCY, np.array([[-30.0, 0, 0]]))
    assert shift[0] == pytest.approx(30.0 * FREQUENCY / SPEED_OF_LIGHT)
    assert doppler_shifts(paths, FREQUENCY, np.zeros(3), np.array([10.0, 0, 0]))[0] == pytest.approx(116.75, abs=0.01)
    assert doppler_shifts(paths, FREQUENCY, np.array([20.0, 0, 0]), np.array([20.0, 0, 0])) == pytest.approx([0, 0])


def test_a_mirror_that_comes_nearer_shortens_twice():
    """At normal incidence a moving wall shifts by twice its speed: the radar equation."""
    wall = MovingObject(
        "wall",
        np.array([[50.0, -5, 0], [50, 5, 0], [50, 5, 10], [50, -5, 10]]),
        np.array([[0, 1, 2], [0, 2, 3]]),
        itu_material("metal"),
        np.array([-7.0, 0, 0]),
    )
    site = quad_site([ground(200.0)])
    placed = place_objects(site, [wall])
    paths = trace(placed, np.array([0, 0, 5.0]), np.array([[0, 1e-2, 5.0]]), SETTINGS)
    row = np.flatnonzero((paths.depth == 1) & (paths.facets[:, 0] == site.num_facets))
    rate = length_rates(paths, np.zeros(3), None, facet_velocities(placed, [wall]))
    assert rate[row] == pytest.approx([-14.0], rel=1e-6)


def test_a_trajectory_finds_its_velocities_and_keeps_to_its_points():
    times = np.array([0.0, 0.5, 0.8, 2.0, 2.5])
    circle = lambda t: np.column_stack([10 * np.cos(t), 10 * np.sin(t), np.full_like(t, 1.5)])  # noqa: E731
    line = Trajectory(times, np.outer(times, [3.0, -1.0, 0.0]))
    np.testing.assert_allclose(line.velocities, np.tile([3.0, -1.0, 0.0], (5, 1)), atol=1e-12)
    fine = np.linspace(0, 3, 301)
    walk = Trajectory(fine, circle(fine))
    speed = np.linalg.norm(walk.velocities, axis=1)
    np.testing.assert_allclose(speed, 10.0, rtol=1e-4)
    middle = np.array([0.005, 1.2345])
    place, velocity = walk.at(middle)
    np.testing.assert_allclose(place, circle(middle), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(velocity, axis=1), 10.0, rtol=1e-3)


@pytest.mark.parametrize(
    ("times", "positions", "said"),
    [
        ([0.0], [[0, 0, 0]], "two or more"),
        ([0.0, 0.0], np.zeros((2, 3)), "ascend"),
        ([0.0, 1.0], [[0, 0, 0], [np.nan, 0, 0]], "finite"),
        ([0.0, 1.0], np.zeros((2, 2)), "positions"),
    ],
)
def test_bad_trajectories_get_a_sentence(times, positions, said):
    with pytest.raises(SiteTwinError, match=said):
        Trajectory(times, np.array(positions, dtype=float))


def test_bad_numbers_get_a_sentence():
    with pytest.raises(SiteTwinError, match="outside the trajectory"):
        Trajectory([0.0, 1.0], np.zeros((2, 3))).at([1.5])
    with pytest.raises(SiteTwinError, match="size"):
        box_object("car", (0, 0, 0), (4.0, 0.0, 1.5))
    paths = trace(quad_site([ground(200.0)]), np.array([0, 0, 1.5]), np.array([[100.0, 0, 1.5]]), SETTINGS)
    with pytest.raises(SiteTwinError, match="users"):
        length_rates(paths, np.zeros((2, 3)))
    with pytest.raises(SiteTwinError, match="facets"):
        length_rates(paths, np.zeros(3), None, np.zeros((0, 3)))
