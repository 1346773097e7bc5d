"""Cameras in files come back as they were, and what is none is refused in a sentence."""

import math

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera
from sitetwin.vision.camera_files import read_camera, write_camera

CAMERA = Camera(
    Pose((1.5, -2.0, 6.0), 0.1, 0.2, 0.03), 400.0, 401.0, 470.0, 260.0, 960, 540, (-0.1, 0.01, 0.0, 0.001, 0.0)
)
GOOD = "position = [0, 0, 5]\nwidth = 960\nheight = 540\nfield_of_view = 1.92\n"


def test_a_camera_comes_back(tmp_path):
    spread = np.diag(np.arange(1.0, 8.0)) * 1e-3
    found = read_camera(write_camera(tmp_path / "camera.toml", CAMERA, spread))
    assert found.camera == CAMERA
    np.testing.assert_array_equal(found.covariance, spread)
    assert read_camera(write_camera(tmp_path / "camera.toml", CAMERA)).covariance is None


def test_a_field_of_view_takes_the_place_of_focal_lengths(tmp_path):
    (tmp_path / "a.toml").write_text(GOOD)
    camera = read_camera(tmp_path / "a.toml").camera
    assert camera.fx == pytest.approx(480 / math.tan(0.96))
    assert camera.pose == Pose((0.0, 0.0, 5.0))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("position = [0, 0]\nwidth = 9\nheight = 9\nfield_of_view = 1.0", "no list of 3"),
        (GOOD.replace("960", "960.5"), "no whole numbers"),
        (GOOD.replace("1.92", "4.0"), "field of view"),
        (GOOD.replace("1.92", "true"), "no number"),
        (GOOD + "fx = 300.0", "both"),
        (GOOD + "tilt = 3", "the key 'tilt'"),
        (GOOD + "distortion = [1, 2]", "no list of 5"),
        (GOOD + "distortion = [-2, 0, 0, 0, 0]", "two directions"),
        (GOOD + "covariance = [[1]]", "7 rows"),
        ("position = [0, 0, 5]", "has no 'width'"),
        ("position =", "camera file"),
    ],
)
def test_what_is_no_camera_is_refused(tmp_path, text, said):
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(SiteTwinError, match=said) as caught:
        read_camera(tmp_path / "a.toml")
    assert "a.toml" in str(caught.value)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(SiteTwinError, match="cannot be written"):
        write_camera(tmp_path / "none" / "camera.toml", CAMERA)
