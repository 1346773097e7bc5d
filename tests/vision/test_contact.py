"""Places of pixels on the ground: geometry by closed forms, covariance by Monte Carlo."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose, build_site, itu_material
from sitetwin.vision import Camera
from sitetwin.vision.contact import checked_covariance, contact_points
from sitetwin.vision.ground import Ground

CAMERA = Camera.from_view(Pose((2.0, 1.0, 7.0), 0.8, 0.25, 0.05))
SPREAD = np.diag([0.05, 0.04, 0.06, 0.004, 0.003, 0.005, 0.01]) ** 2


def slope(tilt=0.08):
    """A hillside whose height grows with x, as two triangles; and a wall that is no ground."""
    ground = np.array([(-50, -90, 0), (150, -90, 0), (150, 90, 0), (-50, 90, 0)], dtype=float)
    ground[:, 2] = tilt * ground[:, 0]
    wall = np.array([(60, -90, 0), (60, 90, 0), (60, 90, 30), (60, -90, 30)], dtype=float)
    triangles = np.array([(0, 1, 2), (0, 2, 3), (4, 5, 6), (4, 6, 7)])
    owner, names = np.array([0, 0, 1, 1]), ["ground", "wall"]
    return build_site(
        "hill", np.concatenate([ground, wall]), triangles, owner, names, [0, 0], [itu_material("concrete")]
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(-5, 5), st.floats(0, 960), st.floats(300, 540))
def test_a_point_of_a_level_ground_is_projected_back(level, column, row):
    pixel = np.array([[column, row]])
    points, covariance = contact_points(CAMERA, pixel, Ground(level=level))
    assert points[0, 2] == pytest.approx(level)
    np.testing.assert_allclose(CAMERA.project(points)[0], pixel, atol=1e-6)
    assert np.linalg.eigvalsh(covariance[0]).min() > -1e-9 * np.trace(covariance[0])
    assert covariance[0, 2, 2] == pytest.approx(0, abs=1e-12)


def test_the_ground_of_a_site_is_met_on_its_slope():
    ground = Ground.of_site(slope())
    pixels = np.array([[480.0, 500.0], [300.0, 400.0], [700.0, 350.0], [480.0, 5.0]])
    points, _ = contact_points(CAMERA, pixels, ground)
    np.testing.assert_allclose(points[:3, 2], 0.08 * points[:3, 0], atol=1e-9)
    np.testing.assert_allclose(CAMERA.project(points[:3])[0], pixels[:3], atol=1e-6)
    assert np.isnan(points[3]).all()
    np.testing.assert_allclose(ground.height(points[:3, :2]), points[:3, 2], atol=1e-9)
    assert np.isnan(ground.height(np.array([[500.0, 0.0]]))).all()


@pytest.mark.parametrize("ground", [Ground(level=0.2), Ground.of_site(slope())], ids=["level", "slope"])
def test_the_covariance_is_the_scatter_of_many_draws(ground):
    rng = np.random.default_rng(0)
    pixel = np.array([[420.0, 430.0]])
    points, covariance = contact_points(
        CAMERA, pixel, ground, pixel_sigma=(1.5, 1.0), camera_covariance=SPREAD, ground_sigma=0.05
    )
    drawn = []
    for _ in range(4000):
        camera = CAMERA.moved(rng.normal(size=7) * np.sqrt(np.diag(SPREAD)))
        rays = camera.rays(pixel + rng.normal(size=2) * (1.5, 1.0))
        lower = camera.position - (0, 0, rng.normal() * 0.05)  # the ground lifted, as a camera let down
        meets, _ = ground.meet(lower[None], rays)
        drawn.append(meets[0] + camera.position - lower)
    scatter = np.cov(np.array(drawn).T)
    size = np.sqrt(np.outer(np.diag(scatter), np.diag(scatter)))
    assert np.abs((scatter - covariance[0]) / size)[:2, :2].max() < 0.08
    assert np.linalg.norm(np.mean(drawn, axis=0) - points[0]) < 0.05


def test_nothing_over_the_horizon_and_no_covariance_that_is_none():
    points, covariance = contact_points(CAMERA, np.array([[480.0, 0.0]]), Ground())
    assert np.isnan(points).all()
    assert np.isnan(covariance).any()
    with pytest.raises(SiteTwinError, match="7 x 7"):
        checked_covariance(np.eye(3))
    with pytest.raises(SiteTwinError, match="negative direction"):
        contact_points(CAMERA, np.array([[480.0, 400.0]]), Ground(), camera_covariance=-np.eye(7))
    with pytest.raises(SiteTwinError, match="negative"):
        contact_points(CAMERA, np.array([[480.0, 400.0]]), Ground(), ground_sigma=-1.0)
    with pytest.raises(SiteTwinError, match="finite"):
        Ground(level=np.inf)


def test_the_ground_about_a_place_is_that_of_the_whole():
    ground = Ground.of_site(slope())
    places = np.array([[10.0, 3.0], [-20.0, -40.0]])
    np.testing.assert_array_equal(ground.near(np.array([0.0, 0.0]), 60.0).height(places), ground.height(places))
    assert np.isnan(ground.near(np.array([900.0, 0.0]), 10.0).height(places)).all()
    assert Ground(level=2.0).near(np.zeros(2), 1.0).height(places).tolist() == [2.0, 2.0]


def test_a_site_without_ground_is_refused():
    wall = np.array([(0, 0, 0), (5, 0, 0), (5, 0, 5)], dtype=float)
    site = build_site("wall", wall, np.array([[0, 1, 2]]), np.array([0]), ["wall"], [0], [itu_material("concrete")])
    with pytest.raises(SiteTwinError, match="no ground"):
        Ground.of_site(site)
