"""What hides the user's antenna in the image blocks its line of sight, where the camera stands at the station."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import AntennaArray
from sitetwin.site.places.pose import Pose
from sitetwin.vision import Camera, Detection
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.scene import Station, StreetObject, StreetTwin, TwinOptions, UserOptions
from sitetwin.vision.scene.blockage import by_view, crossed, with_sighting
from sitetwin.vision.scene.image_sight import View, view_of_user
from sitetwin.vision.scene.objects import CLASS_SIZES, Boxes
from sitetwin.vision.street import CanyonPlan, make_canyon

PLACE = (0.0, -7.5, 6.0)
CAMERA = Camera.from_view(Pose(PLACE, math.pi / 2, 0.15))


def seen(name, x, y, heading=0.0, cut=None):
    """The box of a body, and the object that it is; `cut` puts other edges into its place."""
    box = outlines(CAMERA, np.array([[x, y, 0.0]]), np.array([heading]), np.array([CLASS_SIZES[name]]))[0]
    edges = tuple(np.clip(box if cut is None else cut(*box), 0, [960, 540] * 2).tolist())
    return Detection(edges, name), StreetObject(name, np.array([x, y]), 0.04 * np.eye(2), heading, box=edges)


def view(user, others, own=None, antenna=1.65, placed=True):
    pairs = [*others, *([] if own is None else [own])]
    return view_of_user(
        CAMERA,
        [box for box, _ in pairs],
        [one for _, one in pairs] if placed else [],
        None if own is None else own[1],
        np.array([[*user, antenna]]),
        np.array([*user, 0.0]),
        0.0,
    )


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["bus", "van", "car"]), st.floats(-9, 9), st.floats(-3, 1.5), st.floats(-0.5, 0.5), st.floats(-6, 6)
)
def test_inside_a_silhouette_is_behind_the_body(name, x, y, heading, away):
    """The mirror of a line through a box: its image is a point in the image of the box (an oracle in space)."""
    user = np.array([x + away, y + 4.5])
    found = view(user, [seen(name, x, y, heading)])
    size = np.array(CLASS_SIZES[name])
    if found is None or abs(found.inside[0]) < 0.35:  # corners are rounded for boxes, and bodies stand over the ground
        return
    body = Boxes(np.array([x, y]), np.array(heading), size)
    hit = bool(crossed(body, np.array(PLACE), np.array([*user, 1.65])))
    under = Boxes(np.array([x, y]), np.array(heading), size * (1, 1, 0.15))  # what passes under a body is inside, too
    assert (found.inside[0] > 0) == hit or bool(crossed(under, np.array(PLACE), np.array([*user, 1.65])))


def test_farther_vehicles_hide_nothing_and_the_own_car_does_not_either():
    user = (0.0, 3.0)
    behind = seen("bus", 0.0, 9.0)
    own = seen("car", *user)
    alone = view(user, [], own)
    assert alone.inside[0] == -1.0
    assert alone.shown == pytest.approx(1.0, abs=0.01)
    assert view(user, [behind], own).inside[0] == -1.0
    before = seen("bus", 0.0, -1.0)
    hidden = view(user, [before])
    assert hidden.inside[0] > 0.3
    assert hidden.shown == 0.0
    half = seen("car", *user, cut=lambda left, upper, right, lower: (left, upper, 0.5 * (left + right), lower))
    assert view(user, [], half).shown == pytest.approx(0.5, abs=0.05)


def test_a_vehicle_that_could_not_be_placed_fills_its_box():
    user = (2.0, 3.0)
    bus = seen("bus", 0.0, -1.0, 0.8)  # stands across: the corners of its box are empty
    left, upper, right, lower = bus[0].box
    corner = [(x, y) for x in np.linspace(-9, 9, 60) for y in np.linspace(1, 5, 9)]
    empty = 0
    for place in corner:
        whole, body = view(place, [bus], placed=False), view(place, [bus])
        if whole is None or body is None:
            continue
        assert body.inside[0] <= whole.inside[0] + 1e-9
        empty += whole.inside[0] > 0 > body.inside[0]
    assert empty > 3
    assert view(user, [bus]) is not None
    assert upper < lower
    assert left < right


def test_a_place_behind_the_camera_is_not_shown():
    assert view((0.0, -20.0), []) is None


@settings(deadline=None, max_examples=30)
@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_hidden_is_more_probable(one, other, shown, more):
    low, high = sorted((one, other))
    little, much = sorted((shown, more))

    def told(inside, share, unseen=0):
        return by_view(View(np.array([inside]), share), unseen)

    assert 0.0 < told(low, little) <= told(high, little) < 1.0
    assert told(low, much) <= told(low, little)
    assert told(low, 0.0, 1) <= told(low, 0.0, 2) == told(low, 0.0, 7)


def test_the_mean_over_draws_is_less_sure_than_the_middle():
    sure, spread = View(np.array([0.6]), 0.0), View(np.array([1.0, 0.2, 0.6, -0.2, 1.0]), 0.0)
    assert by_view(spread, 3) < by_view(sure, 3)


def test_the_twin_looks_at_the_image_if_the_camera_stands_at_the_station():
    street = make_canyon(CanyonPlan(lanes=2, trees=0.0, seed=5, half_length=30.0))
    options = TwinOptions(draws=2, user=UserOptions(gps_sigma=0.2))
    fix, bus = np.array([0.0, 3.0]), seen("bus", 0.0, -1.0)

    def after(camera, boxes, station=PLACE):
        twin = StreetTwin(
            street.houses, Station(Pose(station, math.pi / 2), AntennaArray.ula(16)), options,
            np.random.default_rng(1), camera,
        )  # fmt: skip
        for k in range(3):
            moment = twin.step(0.25 * k, fix, [one for _, one in boxes], [box for box, _ in boxes])
        return moment.blocked

    car = seen("car", *fix)
    assert after(CAMERA, [bus]) > 0.8
    assert after(CAMERA, [car]) < 0.1
    assert after(CAMERA, []) < 0.8  # nothing is known to stand there
    other = (3.0, -7.5, 6.0)  # the camera does not see what the station sees: boxes in space decide, and no sighting
    assert after(CAMERA, [], other) == pytest.approx(with_sighting(0.0, None))
    assert after(CAMERA, [car], other) == pytest.approx(with_sighting(0.0, None))
