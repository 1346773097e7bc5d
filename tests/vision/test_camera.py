"""Cameras: pixels and rays undo each other, the lens is OpenCV's, and impossible cameras are refused."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera, DepthMap, Detection, Truth

ANGLES = st.floats(-math.pi, math.pi)
POSES = st.builds(
    Pose, st.tuples(*[st.floats(-1e3, 1e3)] * 3), ANGLES, st.floats(-1.5, 1.5), st.floats(-math.pi, math.pi)
)
LENSES = st.tuples(
    st.floats(-0.1, 0.3), st.floats(-0.02, 0.1), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01), st.floats(-0.005, 0.02)
)
PIXELS = st.tuples(st.floats(0, 960), st.floats(0, 540))


def camera_with(pose, lens):
    try:
        return Camera(pose, 500.0, 480.0, 470.0, 275.0, distortion=lens)
    except SiteTwinError:
        assume(False)


@settings(max_examples=50, deadline=None)
@given(POSES, LENSES, PIXELS, st.floats(0.1, 1e3))
def test_what_a_pixel_shows_is_projected_to_it(pose, lens, pixel, depth):
    camera = camera_with(pose, lens)
    point = camera.points(np.array([pixel]), np.array([depth]))
    seen, away = camera.project(point)
    np.testing.assert_allclose(seen, [pixel], atol=1e-6)
    np.testing.assert_allclose(away, depth, rtol=1e-6)
    ray = camera.rays(np.array([pixel]))
    np.testing.assert_allclose(np.linalg.norm(ray, axis=-1), 1)
    np.testing.assert_allclose(np.cross(ray, point - camera.position), 0, atol=1e-8 * depth + 1e-6)


@settings(max_examples=30, deadline=None)
@given(POSES, LENSES, st.lists(st.tuples(*[st.floats(-5, 5)] * 2, st.floats(5, 50)), min_size=1, max_size=5))
def test_the_lens_is_that_of_opencv(pose, lens, locals_):
    cv2 = pytest.importorskip("cv2")
    camera = camera_with(pose, lens)
    points = np.array(locals_) @ camera.axes + camera.position
    turn = camera.axes
    matrix = np.array([[500.0, 0, 470.0], [0, 480.0, 275.0], [0, 0, 1]])
    theirs = cv2.projectPoints(points, cv2.Rodrigues(turn)[0], -turn @ camera.position, matrix, np.array(lens))[0][:, 0]
    ours = camera.project(points)[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    back = cv2.undistortPoints(ours[:, None], matrix, np.array(lens), criteria=(3, 200, 1e-12))[:, 0]
    local = camera.rays(ours) @ camera.axes.T
    np.testing.assert_allclose(local[:, :2] / local[:, 2:], back, atol=1e-6)


def test_the_pose_is_that_of_a_radio():
    import torch

    from sitetwin.channel.numerics.rotation import rotation_matrix

    pose = Pose((1.0, 2.0, 3.0), 0.7, 0.3, -0.2)
    turned = rotation_matrix(torch.tensor(pose.orientation, dtype=torch.float64)).numpy()
    right, down, forward = Camera.from_view(pose).axes
    np.testing.assert_allclose(np.stack([forward, -right, -down], axis=1), turned, atol=1e-12)


def test_the_default_sees_110_degrees_and_left_is_left():
    camera = Camera.from_view(Pose((0.0, 0.0, 5.0)))
    assert camera.fx == pytest.approx(336.1, abs=0.01)
    edge = camera.rays(np.array([[0.0, 270.0]]))[0]
    assert math.degrees(math.atan2(edge[1], edge[0])) == pytest.approx(55.0)  # north of east is to the left
    pixels, depth = camera.project(np.array([[10.0, 0.0, 0.0], [-10.0, 0.0, 5.0]]))
    assert pixels[0] == pytest.approx([480, 270 + 336.1 / 2], abs=0.01)
    assert depth[0] == pytest.approx(10)
    assert np.isnan(pixels[1]).all()  # behind
    assert not camera.in_image(pixels).any() or camera.in_image(pixels)[0]


def test_points_beyond_the_fold_of_a_lens_are_not_seen():
    camera = Camera(Pose((0.0, 0.0, 0.0)), 600.0, 600.0, 480.0, 270.0, distortion=(-0.15, 0.0, 0.0, 0.0, 0.0))
    slopes = np.linspace(0, 6, 200)
    pixels, _ = camera.project(np.stack([np.ones(200), -slopes, np.zeros(200)], axis=1))
    seen = np.isfinite(pixels[:, 0])
    assert seen[:40].all()
    assert not seen[60:].any()
    assert (np.diff(pixels[seen, 0]) > 0).all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fx": 0.0}, "focal lengths"),
        ({"cx": math.nan}, "not finite"),
        ({"width": 0}, "is none"),
        ({"width": 10**5, "height": 10**5}, "is none"),
        ({"distortion": (-1.0, 0.0, 0.0, 0.0, 0.0)}, "two directions"),
    ],
)
def test_impossible_cameras_are_refused(changes, said):
    numbers = {"fx": 336.0, "fy": 336.0, "cx": 480.0, "cy": 270.0, "width": 960, "height": 540, **changes}
    with pytest.raises(SiteTwinError, match=said):
        Camera(Pose((0.0, 0.0, 5.0)), **numbers)


def test_a_view_of_half_a_circle_is_refused():
    with pytest.raises(SiteTwinError, match="field of view"):
        Camera.from_view(Pose((0.0, 0.0, 5.0)), field_of_view=math.pi)


def test_a_scaled_image_has_the_same_rays():
    camera = Camera(
        Pose((0.0, 0.0, 5.0), 1.0, 0.2), 400.0, 410.0, 470.0, 280.0, distortion=(-0.05, 0.01, 0.0, 0.0, 0.0)
    )
    small = camera.resized(480, 270)
    np.testing.assert_allclose(
        small.rays(np.array([[100.0, 50.0]])), camera.rays(np.array([[200.0, 100.0]])), atol=1e-9
    )
    with pytest.raises(SiteTwinError, match="no scaled one"):
        camera.resized(640, 480)


def test_range_becomes_depth_along_the_axis():
    camera = Camera.from_view(Pose((0.0, 0.0, 5.0)), width=96, height=54)
    depth = DepthMap(np.full((54, 96), 10.0), "range").along_axis(camera)
    points = camera.points(camera.pixel_centres(), depth)
    np.testing.assert_allclose(np.linalg.norm(points - camera.position, axis=-1), 10.0)
    assert depth[27, 0] == pytest.approx(10 * math.cos(math.radians(55)), rel=0.02)


def test_boxes_and_truths_that_are_none_are_refused():
    with pytest.raises(SiteTwinError, match="no box"):
        Detection((10.0, 0.0, 5.0, 5.0), "car")
    with pytest.raises(SiteTwinError, match="score"):
        Detection((0.0, 0.0, 5.0, 5.0), "car", 1.5)
    with pytest.raises(SiteTwinError, match="two images"):
        Truth(np.ones((2, 2)), np.zeros((2, 3), int), ("car",))
    with pytest.raises(SiteTwinError, match="without a class"):
        Truth(np.ones((2, 2)), np.full((2, 2), 3), ("car",))


def test_a_box_at_the_edge_is_cut():
    assert Detection((0.0, 100.0, 50.0, 120.0), "car").cut(960, 540)
    assert not Detection((10.0, 100.0, 50.0, 120.0), "car").cut(960, 540)
    assert Detection((10.0, 100.0, 50.0, 120.0), "car").contact == (30.0, 120.0)
