"""The published way to place objects: masks, depth and boxes."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import (
    Camera,
    DepthMap,
    Detection,
    Frame,
    PerfectDepth,
    PerfectDetector,
    PerfectSegments,
    Segment,
    Truth,
)
from sitetwin.vision.masks import mask_objects, mask_overlap

CAMERA = Camera.from_view(Pose((1.0, 2.0, 3.0), 0.5, 0.1), width=96, height=54)


def scene():
    """Two plates before the camera, at 5 m and 9 m along its axis, of which the nearer hides a part of the other."""
    depth = np.full((54, 96), np.inf)
    who = np.full((54, 96), -1)
    for number, (rows, columns, away) in enumerate([((10, 40), (20, 60), 9.0), ((20, 50), (50, 80), 5.0)]):
        depth[slice(*rows), slice(*columns)], who[slice(*rows), slice(*columns)] = away, number
    return Frame(np.zeros((54, 96, 3), np.uint8), source="made", truth=Truth(depth, who, ("bus", "car")))


def perfect(frame, **options):
    depth = PerfectDepth().depth(frame, CAMERA)
    return mask_objects(CAMERA, depth, PerfectSegments().segments(frame), PerfectDetector().detect(frame), **options)


def test_a_mask_lies_at_the_mean_of_its_points():
    frame = scene()
    found = {one.name: one for one in perfect(frame)}
    assert set(found) == {"bus", "car"}
    centre = CAMERA.points(np.array([[65.0, 35.0]]), np.array([5.0]))[0]
    np.testing.assert_allclose(found["car"].position, centre, atol=1e-9)
    assert found["car"].overlap == 1.0
    assert found["bus"].overlap == pytest.approx(1000 / 1200)
    assert (found["bus"].position - CAMERA.position) @ CAMERA.axes[2] == pytest.approx(9.0)


def test_depth_along_the_ray_gives_the_same_place():
    frame = scene()
    depth = frame.truth.depth / (CAMERA.rays(CAMERA.pixel_centres()) @ CAMERA.axes[2])
    boxes, segments = PerfectDetector().detect(frame), PerfectSegments().segments(frame)
    found = mask_objects(CAMERA, DepthMap(depth, "range"), segments, boxes)
    for one, other in zip(found, perfect(frame), strict=True):
        np.testing.assert_allclose(one.position, other.position)


def test_the_median_withstands_pixels_of_the_background():
    frame = scene()
    depth = np.where(np.isfinite(frame.truth.depth), frame.truth.depth, 60.0)
    mask = np.zeros((54, 96), bool)
    mask[18:52, 48:82] = True  # a little too large
    car = [Detection((50.0, 20.0, 80.0, 50.0), "car")]
    mean, median = (
        mask_objects(CAMERA, DepthMap(depth), [Segment(mask)], car, middle=how)[0].position
        for how in ("mean", "median")
    )
    true = CAMERA.points(np.array([[65.0, 35.0]]), np.array([5.0]))[0]
    assert np.linalg.norm(median - true) < 0.6 < np.linalg.norm(mean - true)


def test_what_has_no_box_or_no_depth_is_dropped():
    frame = scene()
    segments = PerfectSegments().segments(frame)
    depth = PerfectDepth().depth(frame, CAMERA)
    assert mask_objects(CAMERA, depth, segments, []) == []
    assert mask_objects(CAMERA, depth, segments, [Detection((0.0, 0.0, 5.0, 5.0), "car")]) == []
    nothing = DepthMap(np.full((54, 96), np.nan))
    assert mask_objects(CAMERA, nothing, segments, PerfectDetector().detect(frame)) == []
    with pytest.raises(SiteTwinError, match="scale one"):
        mask_objects(CAMERA, DepthMap(np.ones((5, 5))), segments, [])


def test_pixels_of_a_box_are_those_whose_centre_it_holds():
    mask = np.zeros((10, 10), bool)
    mask[2:4, 3:7] = True
    assert mask_overlap(mask, Detection((3.0, 2.0, 7.0, 4.0), "car")) == 1.0
    assert mask_overlap(mask, Detection((3.4, 2.4, 7.4, 4.4), "car")) == 1.0
    assert mask_overlap(mask, Detection((3.0, 2.0, 7.0, 6.0), "car")) == 0.5
    assert mask_overlap(mask, Detection((-20.0, -20.0, -5.0, -5.0), "car")) == 0.0


def test_a_photograph_has_no_perfect_perception():
    with pytest.raises(SiteTwinError, match="photograph"):
        PerfectDetector().detect(Frame(np.zeros((54, 96, 3), np.uint8)))
