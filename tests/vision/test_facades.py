"""Walls along a street come back from their depth, wherever the street points, and stand for a map."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.rays import trace
from sitetwin.site import Pose
from sitetwin.vision import Camera
from sitetwin.vision.protocols import DepthMap
from sitetwin.vision.scene.facades import facade_site, find_facades
from sitetwin.vision.scene.twin import TWIN_SETTINGS
from sitetwin.vision.street import CanyonPlan, make_canyon

GROUND = make_canyon(CanyonPlan(lanes=2, trees=0.0, seed=5, half_length=30.0)).ground


def seen(heading: float, distance: float, low: float, high: float, top: float) -> tuple[Camera, DepthMap]:
    """A camera that looks across a street, and the depth of one wall beyond a level ground."""
    camera = Camera.from_view(Pose((3.0, -2.0, 6.0), heading + math.pi / 2, 0.15)).resized(320, 180)
    rays = camera.rays(camera.pixel_centres())
    along = np.array([math.cos(heading), math.sin(heading)])
    across = np.array([-along[1], along[0]])
    with np.errstate(divide="ignore"):
        to_wall = distance / (rays[..., :2] @ across)
        to_ground = -6.0 / rays[..., 2]
    hit = rays * to_wall[..., None]
    place, height = hit[..., :2] @ along, 6.0 + hit[..., 2]
    on_wall = (to_wall > 0) & (place > low) & (place < high) & (height > 0) & (height < top)
    ranges = np.where(on_wall, to_wall, np.where(to_ground > 0, to_ground, np.inf))
    return camera, DepthMap(ranges, "range")


@settings(deadline=None, max_examples=8)
@given(st.floats(-3.0, 3.0), st.floats(9.0, 25.0), st.floats(-18.0, -6.0), st.floats(5.0, 20.0))
def test_a_wall_comes_back(heading, distance, low, high):
    camera, depth = seen(heading, distance, low, high, 9.0)
    found = find_facades(camera, depth, heading)
    assert len(found) == 1
    wall = found[0]
    along = np.array([math.cos(heading), math.sin(heading)])
    across = np.array([-along[1], along[0]])
    ends = np.array([wall.start, wall.end]) - camera.position[:2]
    assert ends @ across == pytest.approx([distance] * 2, abs=0.15)
    view = math.tan(math.radians(54.0)) * distance  # what the image shows of it
    assert (ends @ along)[0] == pytest.approx(max(low, -view), abs=1.6)
    assert (ends @ along)[1] == pytest.approx(min(high, view), abs=1.6)
    assert wall.height == pytest.approx(9.0, abs=0.6)
    assert wall.outwards == pytest.approx(across)


def test_vehicles_are_no_walls_and_nothing_seen_is_no_wall():
    camera, depth = seen(0.0, 12.0, -8.0, 8.0, 9.0)
    hidden = np.ones((camera.height, camera.width), dtype=bool)
    assert find_facades(camera, depth, 0.0, moving=hidden) == []
    assert find_facades(camera, DepthMap(np.full_like(depth.values, np.nan)), 0.0) == []
    assert find_facades(camera, depth, 0.0, farthest=8.0) == []
    assert facade_site(GROUND, []) is GROUND
    with pytest.raises(SiteTwinError, match="give that of its image"):
        find_facades(camera, DepthMap(np.ones((3, 4))), 0.0)


def test_the_mirror_law_holds_on_a_facade():
    """A station and a user on one side of a wall: the reflected path is as long as to the user's image."""
    camera, depth = seen(0.0, 12.0, -12.0, 12.0, 9.0)
    site = facade_site(GROUND, find_facades(camera, depth, 0.0))
    start, user = np.array([3.0, -2.0, 6.0]), np.array([8.0, 4.0, 1.6])
    paths = trace(site, start, user[None], TWIN_SETTINGS)
    wall = find_facades(camera, depth, 0.0)[0].start[1]
    image = user * (1, -1, 1) + (0, 2 * wall, 0)
    assert np.abs(paths.length - np.linalg.norm(image - start)).min() < 1e-3
