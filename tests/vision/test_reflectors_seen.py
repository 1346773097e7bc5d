"""Point reflectors of an image: true masks of poles and trees, means of masks, feet of boxes."""

import math

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site.vegetation import Ellipsoid
from sitetwin.vision import Camera, DepthMap, Detection, Frame, Ground, Segment, Truth
from sitetwin.vision.profiles.seen import FARTHEST_M, boxed_reflectors, masked_reflectors
from sitetwin.vision.street import CanyonPlan
from sitetwin.vision.worlds import WorldPlan, make_world
from sitetwin.vision.worlds.standing import boxes_of, standing_masks


@pytest.fixture(scope="module")
def world():
    return make_world(WorldPlan("test", CanyonPlan(half_length=40.0, trees=1.0, seed=1), height=5.2, back=1.5))


def through(camera, middle, radius, low, top):
    """(rows, columns) depth along the axis of an upright cylinder seen by each pixel; infinite where it is not."""
    rays = camera.rays(camera.pixel_centres())
    away = camera.position[:2] - middle
    a, b = (rays[..., :2] ** 2).sum(-1), rays[..., :2] @ away
    root = b**2 - a * (away @ away - radius**2)
    along = (-b - np.sqrt(np.where(root > 0, root, np.nan))) / a
    height = camera.position[2] + along * rays[..., 2]
    seen = (root > 0) & (along > 0) & (height > low) & (height < top)
    return np.where(seen, along * (rays @ camera.axes[2]), np.inf)


def test_the_masks_of_poles_and_trees_are_the_pixels_that_show_them(world):
    """A picture of one pole and one crown alone, by the geometry of rays: no pixel more, and all but their edges."""
    camera = world.camera.resized(480, 270)
    number = next(k for k, foot in enumerate(world.canyon.poles) if camera.in_image(camera.project(foot)[0]))
    x, y, _ = world.canyon.poles[number]
    crown = next(
        one
        for one in world.canyon.site.vegetation.volumes
        if isinstance(one, Ellipsoid) and camera.in_image(camera.project(np.array(one.centre))[0])
    )
    pole = through(camera, np.array([x, y]), 0.05, 0.3, 5.5)
    leaves = through(camera, np.array(crown.centre[:2]), 0.5, crown.centre[2] - 0.5, crown.centre[2] + 0.5)
    depth = np.minimum(pole, leaves)
    truth = Truth(depth, np.full(depth.shape, -1), ())
    frame = Frame(np.zeros((270, 480, 3), np.uint8), truth=truth)
    masks = {one.name: one.mask for one in standing_masks(world, camera, frame)}
    assert set(masks) == {"pole", "tree"}
    np.testing.assert_array_equal(masks["pole"], np.isfinite(pole) & (pole <= leaves))
    np.testing.assert_array_equal(masks["tree"], np.isfinite(leaves) & (leaves < pole))
    hidden = Truth(depth, np.where(np.isfinite(pole), 0, -1), ("bus",))  # a vehicle's pixels are no pole's
    assert {one.name for one in standing_masks(world, camera, Frame(frame.image, truth=hidden))} == {"tree"}
    with pytest.raises(SiteTwinError, match="another size"):
        standing_masks(world, world.camera, frame)


def test_the_mean_of_a_leaning_poles_mask_is_on_the_pole(world):
    """A pole near the image's edge fills little of its box, and is named by it nevertheless."""
    camera = world.camera.resized(480, 270)
    foot = max(
        (one for one in world.canyon.poles if camera.in_image(camera.project(one)[0])),
        key=lambda one: abs(camera.project(one)[0][0] - 240),
    )
    depth = through(camera, foot[:2], 0.05, 0.3, 5.5)
    frame = Frame(np.zeros((270, 480, 3), np.uint8), truth=Truth(depth, np.full(depth.shape, -1), ()))
    masks = standing_masks(world, camera, frame)
    found = masked_reflectors(camera, DepthMap(depth), masks, boxes_of(masks), least_overlap=0.0)
    assert found.names == ("pole",)
    assert np.hypot(*(found.points[0, :2] - foot[:2])) < 0.1
    assert 0.3 < found.points[0, 2] < 5.5


def test_feet_of_boxes_are_where_they_stand():
    camera = Camera.from_view(world_pose())
    places = np.array([[12.0, 3.0, 0.0], [25.0, -8.0, 0.0], [1.2 * FARTHEST_M, 0.0, 0.0]])
    feet, _ = camera.project(places)
    boxes = [Detection((u - 9, v - 40, u + 9, v), "car") for u, v in feet]
    boxes.append(Detection((100.0, 300.0, 120.0, 340.0), "person"))  # reflects nothing that the paper states
    found = boxed_reflectors(camera, boxes, Ground())
    assert found.names == ("car", "car")
    np.testing.assert_allclose(found.points, places[:2], atol=1e-6)
    assert boxed_reflectors(camera, [], Ground()).points.shape == (0, 3)


def world_pose():
    from sitetwin.site import Pose

    return Pose((0.0, 0.0, 5.0), 0.1, math.radians(8))


def test_masks_of_what_reflects_nothing_are_left_out():
    camera = Camera.from_view(world_pose(), 96, 54)
    mask = np.zeros((54, 96), dtype=bool)
    mask[30:40, 20:30] = True
    box = Detection((20.0, 30.0, 30.0, 40.0), "person")
    assert masked_reflectors(camera, DepthMap(np.full((54, 96), 10.0)), [Segment(mask)], [box]).names == ()
