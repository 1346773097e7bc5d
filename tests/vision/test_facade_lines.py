"""Streets drawn on images come back from their lines: direction, walls and heights, or a flag."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import Camera
from sitetwin.vision.scene.facade_lines import NO_FACADE, NO_STREET, facades_by_lines, street_heading

FAR = 60.0


def draw(heading, distance, kerb, top=9.0, windows=True, wall=(150, 120, 100)):
    """A camera that looks across a street, and its image: road, pavement, a wall with windows, sky."""
    camera = Camera.from_view(Pose((3.0, -2.0, 6.0), heading + math.pi / 2 + 0.1, 0.2))
    along = np.array([math.cos(heading), math.sin(heading), 0.0])
    across = np.array([-along[1], along[0], 0.0])
    image = np.full((camera.height, camera.width, 3), 215, np.uint8)

    def area(points, colour):
        corners = [camera.position * (1, 1, 0) + x * along + y * across + np.array([0, 0, z]) for x, y, z in points]
        pixels, _ = camera.project(np.array(corners))
        if np.isfinite(pixels).all():
            cv2.fillPoly(image, [np.rint(16 * pixels).astype(np.int32)], colour, cv2.LINE_AA, 4)

    for x in np.arange(-FAR, FAR, 2.0):  # in pieces, so that none reaches behind the camera
        if abs(x) > 2.2 * kerb:
            continue
        for y, z in ((4.0, kerb), (kerb, distance)):
            area([(x, y, 0), (x + 2, y, 0), (x + 2, z, 0), (x, z, 0)], (60, 60, 62) if z == kerb else (125, 122, 118))
        area([(x, distance, 0), (x + 2, distance, 0), (x + 2, distance, top), (x, distance, top)], wall)
    for x in np.arange(-24.0, 24.0, 2.6) if windows else ():
        for z in (1.0, 4.2):
            area(
                [(x, distance, z), (x + 1.2, distance, z), (x + 1.2, distance, z + 1.6), (x, distance, z + 1.6)],
                (40,) * 3,
            )
    return camera, image


@settings(deadline=None, max_examples=6)
@given(st.floats(-3.0, 3.0), st.floats(13.0, 20.0), st.floats(2.5, 5.0))
def test_a_street_comes_back(heading, distance, pavement):
    camera, image = draw(heading, distance, distance - pavement)
    found = facades_by_lines(camera, [image], [np.zeros(image.shape[:2], bool)])
    assert abs(math.remainder(found.heading - heading, math.pi)) < math.radians(0.3)
    assert found.heading_sigma < math.radians(0.5)
    assert found.flags == ()
    across = np.array([-math.sin(heading), math.cos(heading)])
    for wall in found.facades:
        ends = (np.array([wall.start, wall.end]) - camera.position[:2]) @ across
        assert ends == pytest.approx([distance] * 2, abs=0.35)
        assert wall.height == pytest.approx(9.0, abs=0.5)
        assert wall.outwards @ across == pytest.approx(1.0, abs=1e-3)
    assert sum(np.linalg.norm(wall.end - wall.start) for wall in found.facades) > 15.0


def test_what_hides_the_foot_of_a_wall_is_bridged_and_several_images_see_behind():
    camera, image = draw(0.2, 16.0, 12.5)
    none, before = np.zeros(image.shape[:2], bool), np.zeros(image.shape[:2], bool)
    before[200:, 400:560] = True
    covered = image.copy()
    covered[before] = (200, 20, 20)
    whole = facades_by_lines(camera, [image], [none])
    for images, hidden in (([covered], [before]), ([covered, image], [before, none])):
        found = facades_by_lines(camera, images, hidden)
        assert len(found.facades) == len(whole.facades) == 1
        assert np.linalg.norm(found.facades[0].start - whole.facades[0].start) < 1.0
        assert np.linalg.norm(found.facades[0].end - whole.facades[0].end) < 1.0


def test_a_vehicle_stands_before_the_walls():
    camera, image = draw(0.0, 16.0, 12.5)
    hidden = [np.zeros(image.shape[:2], bool)]
    beyond = np.array([[0.0, -2.0 + 15.0]])  # nothing between it and the wall is left
    assert facades_by_lines(camera, [image], hidden, vehicles=beyond).flags == (NO_FACADE,)
    assert facades_by_lines(camera, [image], hidden, vehicles=np.array([[0.0, 8.0]])).facades


def test_where_no_street_or_no_wall_is_seen_it_is_flagged():
    camera, image = draw(0.0, 16.0, 12.5)
    empty = np.full_like(image, 128)
    found = facades_by_lines(camera, [empty], [np.zeros(image.shape[:2], bool)])
    assert found.flags == (NO_STREET,)
    assert found.facades == ()
    assert math.isnan(found.heading)
    noise = np.random.default_rng(1).integers(0, 255, image.shape, dtype=np.uint8)
    assert facades_by_lines(camera, [noise], [np.zeros(image.shape[:2], bool)]).facades == ()
    camera, same = draw(0.0, 16.0, 12.5, windows=False, wall=(125, 122, 118))  # as grey as the pavement: no foot
    assert facades_by_lines(camera, [same], [np.zeros(image.shape[:2], bool)]).facades == ()
    whole = np.ones(image.shape[:2], bool)
    assert facades_by_lines(camera, [image], [whole]).flags == (NO_STREET,)


def test_lines_to_one_vanishing_point_tell_the_direction():
    camera = Camera.from_view(Pose((0.0, 0.0, 5.0), 1.0, 0.2))
    rng, heading = np.random.default_rng(2), 2.3
    along = np.array([math.cos(heading), math.sin(heading), 0.0])
    starts = np.column_stack([rng.uniform(6, 20, (40, 2)) @ np.array([[0.5, 0.9], [0.8, -0.2]]), rng.uniform(0, 9, 40)])
    ends, depth = camera.project(np.stack([starts, starts + 3 * along], axis=1))
    seen = (depth > 0.5).all(axis=1)
    found, sigma = street_heading(camera, ends[seen].reshape(-1, 4))
    assert found == pytest.approx(heading % math.pi, abs=1e-4)
    assert sigma < 1e-3
    assert math.isnan(street_heading(camera, ends[:3].reshape(-1, 4))[0])


def test_images_of_another_size_are_refused():
    camera, image = draw(0.0, 16.0, 12.5)
    with pytest.raises(SiteTwinError, match="give one or more of each"):
        facades_by_lines(camera, [], [])
    with pytest.raises(SiteTwinError, match="images of this camera"):
        facades_by_lines(camera, [image[:100]], [np.zeros((100, 960), bool)])
