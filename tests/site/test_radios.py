"""Base stations by rule and by coordinates, and grids of users: outdoors, at their height, in sight of their target."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Georeference, Site, check_transmitter, inside_building
from sitetwin.site.latlon import to_geographic, to_local
from sitetwin.site.places.grids import area_grid, lane_users, latlon_box, street_grid
from sitetwin.site.places.pose import Pose
from sitetwin.site.places.radios import (
    ground_area,
    lamp_post,
    mast,
    place,
    place_latlon,
    street_area,
)
from sitetwin.site.places.roofs import nearest_building, roof_edge
from sitetwin.site.places.sight import sees
from tests.site.conftest import block, make_town


@pytest.fixture
def boston(town: Site) -> Site:
    return replace(town, georeference=Georeference(42.36, -71.06))


def test_sight_by_its_formula(town: Site, rng: np.random.Generator) -> None:
    """Against the boxes in closed form: a segment meets a box where its slabs overlap."""
    origin = np.array([0.0, 0.0, 12.0])
    targets = rng.uniform([-90, -90, 0.5], [90, 90, 40], (3000, 3))
    boxes = [((-40, -20, 0), (-20, 20, 10)), ((20, -20, 0), (40, 20, 16)), ((-5, 50, 0), (5, 60, 30))]
    blocked = np.zeros(len(targets), dtype=bool)
    for low, high in boxes:
        one, two = (low - origin) / (targets - origin), (high - origin) / (targets - origin)
        blocked |= np.minimum(one, two).max(axis=1).clip(0) < np.maximum(one, two).min(axis=1).clip(max=1)
    assert np.array_equal(sees(town, origin, targets), ~blocked)
    assert 0.1 < blocked.mean() < 0.9
    forth = sees(town, origin, targets[:200])
    back = [sees(town, target, origin[None])[0] for target in targets[:200]]
    assert np.array_equal(forth, back)


@pytest.mark.parametrize("target", [(0.0, 0.0), (0.0, 40.0), (-5.0, -30.0, 1.5), (90.0, 0.0)])
def test_a_roof_edge_is_the_nearest_that_sees_its_target(town: Site, target: tuple[float, ...]) -> None:
    pose = roof_edge(town, "house_2", target, above=2.0, inset=0.3)
    x, y, z = pose.position
    assert z == pytest.approx(18.0)
    inner = shapely.box(20.3, -19.7, 39.7, 19.7)
    assert inner.boundary.distance(shapely.Point(x, y)) < 1e-9
    goal = np.array([*target, 1.5][:3])
    assert sees(town, np.array(pose.position), goal[None])[0]
    check_transmitter(town, pose.position)
    nearest = inner.boundary.distance(shapely.Point(target[:2]))
    assert math.hypot(x - goal[0], y - goal[1]) == pytest.approx(nearest, abs=1e-6)
    boresight = np.array(
        [math.cos(pose.yaw) * math.cos(pose.pitch), math.sin(pose.yaw) * math.cos(pose.pitch), -math.sin(pose.pitch)]
    )
    towards = goal - pose.position
    np.testing.assert_allclose(boresight, towards / np.linalg.norm(towards), atol=1e-12)


def test_a_roof_edge_looks_past_what_hides_its_target() -> None:
    """A wall hides the nearest part of the edge: the radio moves along until it sees, or says that none does."""
    town = make_town([("house", block(-30, -20, -20, 20, 10.0), 1), ("screen", block(-10, -8, -9, 8, 40.0), 1)])
    pose = roof_edge(town, "house", (10.0, 0.0))
    assert abs(pose.position[1]) > 8
    assert sees(town, np.array(pose.position), np.array([[10.0, 0.0, 1.5]]))[0]
    closed = make_town([("house", block(-30, -20, -20, 20, 10.0), 1), ("screen", block(-10, -90, -9, 90, 90.0), 1)])
    with pytest.raises(SiteTwinError, match="places at the roof edge of 'house' sees"):
        roof_edge(closed, "house", (10.0, 0.0))


def test_sides_and_names_of_roofs(town: Site) -> None:
    pose = roof_edge(town, "house_1", "north", above=3.0, inset=0.5)
    np.testing.assert_allclose(pose.position, (-30.0, 19.5, 13.0), atol=1e-9)
    assert pose.yaw == pytest.approx(math.pi / 2)
    assert nearest_building(town, (0.0, 55.0)) == "tower"
    assert nearest_building(town, (10.0, 0.0)) == "house_2"
    assert roof_edge(town, (3.0, 70.0), "west").position[2] == 32.0
    for arguments, says in (
        (("castle", "north"), "no building 'castle'"),
        (("ground", "north"), "no building 'ground'"),
        (("tower", "up"), "no side 'up'"),
        (("tower", (math.nan, 0.0)), "no place"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            roof_edge(town, *arguments)
    with pytest.raises(SiteTwinError, match="not wide enough"):
        roof_edge(town, "tower", "north", inset=5.0)


def test_masts_and_coordinates_count_from_what_they_say(boston: Site) -> None:
    assert mast(boston, (0.0, 0.0), 25.0).position == (0.0, 0.0, 25.0)
    assert place(boston, -30.0, 0.0, 3.0, "roof").position == (-30.0, 0.0, 13.0)
    assert place(boston, -30.0, 0.0, 13.5, "datum").position == (-30.0, 0.0, 13.5)
    lat, lon = to_geographic(boston, np.array([[30.0, 5.0]]))
    np.testing.assert_allclose(
        place_latlon(boston, float(lat[0]), float(lon[0]), 2.0, "roof").position, (30.0, 5.0, 18.0), atol=1e-6
    )
    with pytest.raises(SiteTwinError, match="inside a building"):
        mast(boston, (30.0, 0.0), 5.0)
    with pytest.raises(SiteTwinError, match="has no ground"):
        mast(boston, (500.0, 0.0), 5.0)
    with pytest.raises(SiteTwinError, match="no height"):
        mast(boston, (0.0, 0.0), 0.0)
    with pytest.raises(SiteTwinError, match="does not say where on earth"):
        place_latlon(replace(boston, georeference=None), 42.0, -71.0, 2.0)
    with pytest.raises(SiteTwinError, match="1000 km"):
        place_latlon(boston, 12.0, 20.0, 2.0)
    with pytest.raises(SiteTwinError, match="no latitude"):
        place_latlon(boston, 142.0, 20.0, 2.0)


@settings(max_examples=50, deadline=None)
@given(latitude=st.floats(-80, 80), longitude=st.floats(-180, 179), x=st.floats(-5e3, 5e3), y=st.floats(-5e3, 5e3))
def test_local_coordinates_are_metres_and_go_back(latitude, longitude, x, y) -> None:
    site = replace(make_town([]), georeference=Georeference(latitude, longitude))
    lat, lon = to_geographic(site, np.array([[x, y]]))
    np.testing.assert_allclose(to_local(site, lat, lon), [[x, y]], atol=1e-4)
    import pyproj

    azimuth, _, length = pyproj.Geod(ellps="WGS84").inv(longitude, latitude, lon[0], lat[0])
    # True to scale near the origin; PROJ takes an origin within a millimetre of Greenwich for one on it.
    assert length == pytest.approx(math.hypot(x, y), rel=1e-6, abs=1e-3)
    if length > 10:
        turned = (math.degrees(math.atan2(x, y)) - azimuth + 180) % 360 - 180
        assert abs(turned) < 1e-3


def test_lamp_posts_stand_on_the_pavement(town: Site) -> None:
    line = shapely.LineString([(0, -90), (0, 40)])
    street = street_area([line], 8.0)
    pose = lamp_post(town, (6.0, 3.0), street, height=9.0, setback=0.7)
    assert pose.position == pytest.approx((4.7, 3.0, 9.0))
    assert pose.yaw == pytest.approx(math.pi)
    narrow = street_area([line], 39.0)  # from wall to wall: the pavement lies in the houses
    with pytest.raises(SiteTwinError, match="no pavement"):
        lamp_post(town, (0.0, 0.0), narrow, within=19.0)
    moved = lamp_post(town, (21.0, 0.0), narrow)
    x, y, _ = moved.position
    assert min(shapely.box(*b).distance(shapely.Point(x, y)) for b in ((-40, -20, -20, 20), (20, -20, 40, 20))) >= 0.3
    with pytest.raises(SiteTwinError, match="cannot be"):
        lamp_post(town, (0.0, 0.0), street, height=-1.0)
    with pytest.raises(SiteTwinError, match="no object"):
        ground_area(town, ["ground-asphalt"])
    assert ground_area(town, ["ground"]).area == pytest.approx(200.0**2)


def test_a_pose_faces_a_point() -> None:
    pose = Pose((1.0, 2.0, 3.0)).facing((1.0, 5.0, 0.0))
    assert pose.orientation == pytest.approx((math.pi / 2, math.pi / 4, 0.0))
    with pytest.raises(SiteTwinError, match="cannot face"):
        pose.facing(pose.position)
    with pytest.raises(SiteTwinError, match="finite"):
        Pose((1.0, math.inf, 0.0))


def test_grids_cover_their_area_and_no_more(town: Site) -> None:
    triangle = shapely.Polygon([(-60, -60), (60, -60), (0, 60)])
    users, dropped = area_grid(town, triangle, 0.61, 1.2)
    assert np.allclose(users[:, 2], 1.2)
    assert not inside_building(town, users).any()
    assert shapely.dwithin(triangle, shapely.points(users[:, :2]), 1e-9).all()
    assert (len(users) + dropped) * 0.61**2 == pytest.approx(triangle.area, rel=0.02)
    houses = shapely.union_all(
        [shapely.box(-40, -20, -20, 20), shapely.box(20, -20, 40, 20), shapely.box(-5, 50, 5, 60)]
    )
    assert dropped * 0.61**2 == pytest.approx(houses.intersection(triangle).area, rel=0.08)
    for arguments, says in (
        ((shapely.Polygon(), 1.0, 1.5), "covers nothing"),
        ((triangle, 0.0, 1.5), "cannot be"),
        ((triangle, 1e-3, 1.5), "too large"),
        ((shapely.box(-30, -5, -25, 5), 1.0, 1.5), "none is outdoors"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            area_grid(town, *arguments)


def test_street_users_keep_to_the_street(town: Site) -> None:
    line = shapely.LineString([(-60, -30), (0, -30), (0, 40)])
    users, dropped = street_grid(town, [line], 6.0, 0.31, 1.5)
    distance = shapely.distance(line, shapely.points(users[:, :2]))
    assert distance.max() <= 3.0 * math.sqrt(2) + 1e-9  # at the outer corner of the bend
    assert dropped == 0
    assert len(users) * 0.31**2 == pytest.approx(130 * 6, rel=0.05)
    lanes, _ = lane_users(town, [line], [-1.5, 1.5], 2.0, 1.5)
    np.testing.assert_allclose(shapely.distance(line, shapely.points(lanes[:, :2])), 1.5, atol=5e-3)
    steps = np.hypot(*np.diff(lanes[:, :2], axis=0).T)
    assert (np.abs(steps - 2.0) < 1e-9).mean() > 0.9
    with pytest.raises(SiteTwinError, match="no street"):
        street_grid(town, [], 6.0, 1.0, 1.5)


def test_boxes_of_latitude_and_longitude(boston: Site) -> None:
    lat, lon = to_geographic(boston, np.array([[-50.0, -40.0], [50.0, 40.0]]))
    box = latlon_box(boston, lat[0], lon[0], lat[1], lon[1])
    assert box.area == pytest.approx(100 * 80, rel=1e-3)
    assert box.bounds == pytest.approx((-50, -40, 50, 40), abs=0.05)
    with pytest.raises(SiteTwinError, match="is empty"):
        latlon_box(boston, lat[1], lon[0], lat[0], lon[1])
