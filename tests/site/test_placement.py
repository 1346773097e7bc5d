"""Indoors, outdoors, below ground, on a wall."""

from __future__ import annotations

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import (
    Site,
    build_site,
    check_transmitter,
    distance_to_mesh,
    ground_height,
    inside_building,
    itu_material,
    load_scene,
    outdoor_mask,
    user_grid,
)
from sitetwin.site.importers.meshes import unit_cube
from tests.site.conftest import block, make_town


def test_boxes_by_their_formula(town: Site, rng: np.random.Generator) -> None:
    points = rng.uniform([-60, -60, 0.1], [60, 70, 35], (50_000, 3))
    x, y, z = points.T
    want = (np.abs(y) < 20) & (((x > -40) & (x < -20) & (z < 10)) | ((x > 20) & (x < 40) & (z < 16)))
    want |= (np.abs(x) < 5) & (y > 50) & (y < 60) & (z < 30)
    assert np.array_equal(inside_building(town, points), want)
    assert 0.03 < want.mean() < 0.5


def test_under_a_bridge_is_outdoors_and_a_sheet_encloses_nothing() -> None:
    deck, faces = block(-10, -10, 10, 10, 1.0)
    roof = np.array([[30, -10, 8], [50, -10, 8], [50, 10, 8], [30, 10, 8.0]])
    both_sides = np.array([[0, 1, 2], [0, 2, 3], [2, 1, 0], [3, 2, 0]])
    site = make_town([("bridge", (deck + np.array([0, 0, 5.0]), faces), 0), ("shed", (roof, both_sides), 1)])
    points = np.array([[0, 0, 1.5], [0, 0, 5.5], [0, 0, 7.0], [40, 0, 1.5], [40, 0, 9.0], [30, 0, 1.5]])
    assert inside_building(site, points[:5]).tolist() == [False, True, False, False, False]
    assert outdoor_mask(site, points[:5, :2]).all()


def test_munich_agrees_with_mitsuba_rays(munich: Site, rng: np.random.Generator) -> None:
    """Open sky above is outdoors: the ray caster is the referee for everything that is not under an eave."""
    from sitetwin.backend import mitsuba

    site = munich
    points = np.concatenate([rng.uniform(-400, 400, (20_000, 2)), np.full((20_000, 1), 1.5)], axis=1)
    mi = mitsuba()
    import drjit as dr

    mesh = mi.Mesh("m", len(site.vertices), site.num_triangles)
    parameters = mi.traverse(mesh)
    parameters["vertex_positions"] = mi.Float(site.vertices.astype(np.float32).ravel())
    parameters["faces"] = mi.UInt(site.triangles.astype(np.uint32).ravel())
    parameters.update()
    scene = mi.load_dict({"type": "scene", "mesh": mesh})
    rays = mi.Ray3f(mi.Point3f(*points.T.astype(np.float32)), mi.Vector3f(0, 0, 1))
    covered = np.array(scene.ray_test(rays)).astype(bool)
    dr.sync_thread()
    assert np.mean(covered != inside_building(site, points)) < 5e-4
    assert 0.3 < covered.mean() < 0.7


def test_user_grid_drops_and_counts_the_indoor_ones(town: Site) -> None:
    points, dropped = user_grid((-50, -30, 50, 30), 0.7, 1.5, town)
    nx, ny = int(100 / 0.7) + 1, int(60 / 0.7) + 1
    assert len(points) + dropped == nx * ny
    assert (points[:, 2] == 1.5).all()
    assert not inside_building(town, points).any()
    assert dropped == pytest.approx(2 * 20 * 40 / 0.7**2, rel=0.05)
    assert user_grid((0, 0, 10, 10), 1.0, 1.5, town)[0].shape == (121, 3)


@pytest.mark.parametrize(
    ("area", "spacing", "height", "says"),
    [
        ((0, 0, np.nan, 1), 1.0, 1.5, "NaN"),
        ((0, 0, 1, 1), 1.0, np.nan, "NaN"),
        ((5, 0, 1, 1), 1.0, 1.5, "empty"),
        ((0, 0, 1, 1), 0.0, 1.5, "empty"),
        ((0, 0, 100, 100), 1e-3, 1.5, "too large"),
        ((25, -10, 35, 10), 1.0, 1.5, "inside buildings"),
    ],
)
def test_bad_grids_are_refused(town: Site, area: tuple, spacing: float, height: float, says: str) -> None:
    with pytest.raises(SiteTwinError, match=says):
        user_grid(area, spacing, height, town)


@pytest.mark.parametrize(
    ("position", "says"),
    [
        ((30, 0, 5), "inside a building"),
        ((0, 0, -3), "below the ground"),
        ((0, np.nan, 3), "NaN"),
        ((-20.0005, 0, 12), None),
        ((-19.9995, 0, 5), "on a surface"),
        ((0, 0, 0.0), "on a surface"),
        ((30, 0, 16.5), None),
        ((0, 0, 25), None),
    ],
)
def test_transmitters(town: Site, position: tuple, says: str | None) -> None:
    if says is None:
        assert check_transmitter(town, position).tolist() == list(position)
    else:
        with pytest.raises(SiteTwinError, match=says):
            check_transmitter(town, position)


def test_rooms_are_allowed_on_request() -> None:
    room = load_scene("box")
    with pytest.raises(SiteTwinError, match="inside"):
        check_transmitter(room, np.array([0.0, 0, 2]))
    check_transmitter(room, np.array([0.0, 0, 2]), allow_indoors=True)
    assert user_grid((-1, -1, 1, 1), 1.0, 1.5, room, allow_indoors=True)[1] == 0


def test_distance_to_mesh_by_hand(town: Site) -> None:
    assert distance_to_mesh(town, np.array([0.0, 0, 7])) == pytest.approx(7.0)
    assert distance_to_mesh(town, np.array([30.0, 0, 20])) == pytest.approx(4.0)
    assert distance_to_mesh(town, np.array([43.0, 24, 16])) == pytest.approx(5.0)  # a vertical edge


def test_sloping_ground_is_followed() -> None:
    x, y = np.meshgrid(np.arange(0.0, 101, 10), np.arange(0.0, 101, 10), indexing="ij")
    vertices = np.stack([x, y, 0.2 * x - 0.1 * y + 30], axis=-1).reshape(-1, 3)
    a = (np.arange(10)[:, None] * 11 + np.arange(10)).ravel()
    faces = np.concatenate([np.stack([a, a + 11, a + 12], axis=1), np.stack([a, a + 12, a + 1], axis=1)])
    hill = build_site("hill", vertices, faces, np.zeros(len(faces)), ["Terrain"], [0], [itu_material("concrete")])
    points, dropped = user_grid((0, 0, 90, 90), 7.0, 1.5, hill)
    assert dropped == 0
    np.testing.assert_allclose(points[:, 2], 0.2 * points[:, 0] - 0.1 * points[:, 1] + 31.5, atol=1e-9)
    assert np.isnan(ground_height(hill, np.array([[1e5, 1e5]]))).all()
    with pytest.raises(SiteTwinError, match="below the ground"):
        check_transmitter(hill, np.array([50.0, 50.0, 20.0]))


def test_foundations_deeper_than_the_ground_do_not_hide_it() -> None:
    """A block from 5 m below to 5 m above: the ground stays the ground, and users beside the block are outdoors."""
    vertices, faces = unit_cube()
    site = make_town([("block", (5.0 * vertices, faces), 1)])
    assert [site.objects[i] for i in site.ground_objects] == ["ground"]
    users, dropped = user_grid((-20.0, -20.0, 20.0, 20.0), 10.0, 1.5, site)
    assert (len(users), dropped) == (24, 1)
    assert set(users[:, 2]) == {1.5}


@pytest.mark.parametrize("place", [(1e300, 0, 5), (0, -1e9, 5), (0, 0, 2e6)])
def test_positions_on_another_planet_are_refused(town: Site, place: tuple[float, float, float]) -> None:
    with pytest.raises(SiteTwinError, match=r"more than 1000 km from the origin; give metres"):
        check_transmitter(town, place)
    with pytest.raises(SiteTwinError, match="more than 1000 km"):
        user_grid((place[0], place[1], place[0] + 10, place[1] + 10), 10.0, max(place[2], 1.0), town)


@pytest.mark.parametrize("spacing", [1e-300, 1e-320, 1e-4])
def test_an_absurd_grid_is_refused_in_a_short_sentence(town: Site, spacing: float) -> None:
    with pytest.raises(SiteTwinError, match="too large") as caught:
        user_grid((0.0, 0.0, 100.0, 100.0), spacing, 1.5, town)
    assert len(str(caught.value)) < 200
