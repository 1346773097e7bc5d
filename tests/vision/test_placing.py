"""Boxes of bodies become their places again, and cut or hopeless boxes say what they can."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.site import Pose
from sitetwin.vision import Camera, Detection, Ground
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.scene.edges import hidden_edges
from sitetwin.vision.scene.objects import CLASS_SIZES
from sitetwin.vision.scene.placing import EDGE_SIGMA, Placing, place_boxes

CAMERA = Camera.from_view(Pose((0.0, -7.0, 6.0), math.pi / 2, 0.2))
STREET = Placing(headings=(0.0,))


def box_of(name, place, heading=0.0, grown=1.0):
    foot = np.array([[*place, 0.0]])
    size = grown * np.array([CLASS_SIZES[name]])
    return outlines(CAMERA, foot, np.array([heading]), size)[0]


def placed(box, name, placing=STREET, **options):
    return place_boxes(CAMERA, [Detection(tuple(map(float, box)), name)], Ground(), placing, **options)[0]


@pytest.mark.parametrize("name", ["car", "van", "bus", "truck", "person", "bicycle"])
@pytest.mark.parametrize("place", [(0.0, 6.0), (9.0, 9.0), (-14.0, 16.0)])
def test_a_true_box_gives_the_true_place(name, place):
    found = placed(box_of(name, place), name)
    assert np.linalg.norm(found.position - place) < 0.06 * math.hypot(*place)
    assert found.name == name


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_what_a_nearer_object_hides_moves_no_place(side):
    """A bus stands before half a car: the visible half's box would put the car aside."""
    car, bus = box_of("car", (0.0, 9.0)), box_of("bus", (6.4 * side, 3.0))
    seen = car.copy()
    seen[0 if side < 0 else 2] = bus[2 if side < 0 else 0]
    assert 0.3 < (seen[2] - seen[0]) / (car[2] - car[0]) < 0.8
    boxes = [Detection(tuple(map(float, box)), name) for box, name in ((seen, "car"), (bus, "bus"))]
    assert hidden_edges(boxes).tolist() == [[side < 0, False, side > 0, False], [False] * 4]
    found, blocker = place_boxes(CAMERA, boxes, Ground(), STREET)
    alone = placed(seen, "car")
    assert np.linalg.norm(found.position - (0.0, 9.0)) < 0.5 < np.linalg.norm(alone.position - (0.0, 9.0))
    assert np.linalg.norm(blocker.position - (6.4 * side, 3.0)) < 0.6


def test_what_stands_before_the_whole_width_leaves_the_sides():
    car, bus = box_of("car", (0.0, 12.0)), box_of("bus", (0.0, 6.5))
    seen = car.copy()
    seen[3] = 0.6 * car[1] + 0.4 * car[3]
    bus[1] = seen[3]
    boxes = [Detection(tuple(map(float, box)), name) for box, name in ((seen, "car"), (bus, "bus"))]
    assert hidden_edges(boxes)[0].tolist() == [False, False, False, True]
    assert np.linalg.norm(place_boxes(CAMERA, boxes, Ground(), STREET)[0].position - (0.0, 12.0)) < 1.0
    assert not hidden_edges(boxes[:1]).any()


edge = st.floats(0.0, 1.0)
name = st.sampled_from(["car", "van", "bus", "truck", "person"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(edge, edge, edge, edge, name), max_size=8))
def test_any_boxes_have_sound_places_or_none(drawn):
    """Bodies that reach behind the camera, slivers and boxes that hide each other: an object checks its covariance."""
    boxes = []
    for one, two, three, four, name in drawn:
        left, right = sorted((CAMERA.width * one, CAMERA.width * two))
        upper, lower = sorted((CAMERA.height * three, CAMERA.height * four))
        if right > left and lower > upper:
            boxes.append(Detection((left, upper, right, lower), name))
    for found in place_boxes(CAMERA, boxes, Ground(), STREET):
        assert found is None or 0 < np.linalg.eigvalsh(found.covariance)[0] <= 1e2


def test_the_covariance_is_that_of_many_boxes():
    rng = np.random.default_rng(0)
    miss, stated = [], []
    for _ in range(50):
        place, grown = np.array([7.0, 8.0]) + rng.normal(0, 2, 2), math.exp(0.06 * rng.normal())
        box = box_of("car", place, rng.normal() * math.radians(3), grown)
        sigma = np.hypot(EDGE_SIGMA, 0.05 * np.tile(box[2:] - box[:2], 2))
        found = placed(box + rng.normal(size=4) * sigma, "car", Placing(headings=(0.0,), ground_sigma=0.0))
        miss.append(found.position - place)
        stated.append(found.covariance)
    whole = np.mean([m @ np.linalg.solve(c, m) for m, c in zip(miss, stated, strict=True)])
    assert 1.0 < whole < 3.2  # chi-square of two


def test_an_uncertain_camera_adds_to_the_covariance():
    spread = np.diag([0.0, 0, 0.1, 0.01, 0.005, 0.005, 0]) ** 2
    known, unsure = (placed(box_of("car", (5.0, 9.0)), "car", camera_covariance=c) for c in (None, spread))
    np.testing.assert_allclose(known.position, unsure.position)
    assert np.linalg.eigvalsh(unsure.covariance - known.covariance).min() > -1e-9
    drawn = []
    rng = np.random.default_rng(1)
    for _ in range(40):
        other = CAMERA.moved(rng.normal(size=7) * np.sqrt(np.diag(spread)))
        box = Detection(tuple(map(float, box_of("car", (5.0, 9.0)))), "car")
        drawn.append(place_boxes(other, [box], Ground(), STREET)[0].position)
    added = np.trace(unsure.covariance - known.covariance)
    assert 0.5 < added / np.trace(np.cov(np.array(drawn).T)) < 2.0


def test_a_bus_that_the_edge_cuts_is_not_taken_for_a_short_one():
    place = (18.0, 8.0)
    box = box_of("bus", place)
    assert box[2] > CAMERA.width
    box = np.clip(box, 0, [CAMERA.width, CAMERA.height] * 2)
    found = placed(box, "bus")
    assert np.linalg.norm(found.position - place) < 1.0


def test_a_van_that_is_called_a_car_is_known_by_its_shape():
    found = placed(box_of("van", (2.0, 7.0)), "car")
    assert found.name == "van"


def test_the_heading_is_one_of_those_of_the_street():
    found = placed(box_of("bus", (4.0, 14.0), 0.9), "bus", Placing(headings=(0.0, 0.9)))
    assert found.heading == pytest.approx(0.9, abs=0.05)
    found = placed(box_of("bus", (4.0, 14.0), 0.5), "bus", Placing())
    assert abs(math.remainder(found.heading - 0.5, math.pi)) < 0.2


def test_what_stands_nowhere_has_no_place():
    assert placed((100.0, 2.0, 120.0, 20.0), "car") is None  # over the horizon
    assert placed((0.0, 0.0, 960.0, 540.0), "car") is None  # nothing but the image's edge
    assert placed(box_of("car", (0.0, 6.0)), "traffic light") is None
    assert place_boxes(CAMERA, [], Ground()) == []


def test_a_lens_and_a_larger_image_give_the_same_place():
    lens = replace(CAMERA, distortion=(-0.08, 0.01, 0.0, 0.0, 0.0))
    foot = np.array([[6.0, 8.0, 0.0]])
    for camera in (lens, lens.resized(1920, 1080)):
        box = outlines(camera, foot, np.zeros(1), np.array([CLASS_SIZES["car"]]))[0]
        found = place_boxes(camera, [Detection(tuple(map(float, box)), "car")], Ground(), STREET)[0]
        assert np.linalg.norm(found.position - (6.0, 8.0)) < 0.5
