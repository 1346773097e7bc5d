"""Scenes: filters against closed forms, matching and jumps, blockage against geometry, beams against angles."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as some

from sitetwin.channel import AntennaArray
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, trace
from sitetwin.site.places.pose import Pose
from sitetwin.vision.scene import (
    Motion,
    Station,
    StreetObject,
    Traced,
    Tracker,
    TrackOptions,
    UserOptions,
    UserTrack,
    beam_powers,
    blockage_probability,
    crossed,
    draw_boxes,
    fused,
    scene_site,
    trace_scene,
    with_bearing,
)
from sitetwin.vision.scene.objects import UNDERSIDE, Boxes
from sitetwin.vision.scene.user import GPS_JUMP, NO_FIX, NOT_SEEN, TRACK_RESTARTED
from sitetwin.vision.street import CanyonPlan, make_canyon

ONE = np.eye(2)
NUMBER = some.floats(-20, 20)
SPREAD = some.floats(0.05, 3.0)


def thing(x, y, name="car", sigma=0.3, heading=0.0, **more):
    return StreetObject(name, np.array([x, y], float), sigma**2 * ONE, heading, **more)


def covariance(one, two, turn):
    c, s = math.cos(turn), math.sin(turn)
    axes = np.array([[c, -s], [s, c]])
    return axes @ np.diag([one**2, two**2]) @ axes.T


@given(NUMBER, NUMBER, SPREAD, SPREAD, NUMBER, SPREAD, SPREAD, NUMBER)
@settings(deadline=None, max_examples=60)
def test_fusion_adds_information(x, y, a, b, turn, c, d, other):
    first, second = covariance(a, b, turn), covariance(c, d, other)
    mean, spread = fused(np.array([x, y]), first, np.array([y, x]), second)
    information = np.linalg.inv(first) + np.linalg.inv(second)
    assert np.linalg.inv(spread) == pytest.approx(information, rel=1e-6, abs=1e-9)
    expected = np.linalg.inv(first) @ (x, y) + np.linalg.inv(second) @ (y, x)
    assert information @ mean == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(some.floats(5, 60), some.floats(-3, 3), SPREAD, SPREAD, NUMBER, some.floats(0.002, 0.1))
@settings(deadline=None, max_examples=60)
def test_a_bearing_adds_information_across_alone(distance, direction, a, b, turn, sigma):
    place = distance * np.array([math.cos(direction), math.sin(direction)])
    before = covariance(a, b, turn)
    mean, after = with_bearing(place, before, np.zeros(2), direction, sigma)
    across = np.array([-math.sin(direction), math.cos(direction)])
    added = np.outer(across, across) / (distance * sigma) ** 2
    assert np.linalg.inv(after) == pytest.approx(np.linalg.inv(before) + added, rel=1e-5, abs=1e-6)
    assert mean == pytest.approx(place)  # it was seen where it was


def test_a_bearing_moves_a_poor_place_and_not_a_good_one():
    aside = math.atan2(1.0, 20.0)
    poor, _ = with_bearing(np.array([20.0, 0.0]), 9.0 * ONE, np.zeros(2), aside, 0.005)
    good, _ = with_bearing(np.array([20.0, 0.0]), 1e-4 * ONE, np.zeros(2), aside, 0.05)
    assert poor[1] == pytest.approx(1.0, abs=0.01)
    assert abs(good[1]) < 1e-3


def test_the_filter_is_the_batch_least_squares():
    """Without acceleration the filter's result is that of one linear fit to all measured places."""
    rng, sigma, times = np.random.default_rng(1), 0.4, 0.25 * np.arange(9)
    places = np.array([1.0, 2.0]) + np.outer(times, (3.0, -1.0)) + sigma * rng.standard_normal((9, 2))
    motion = Motion.begun(0.0, places[0], sigma**2 * ONE, 1e4)
    for time, place in zip(times[1:], places[1:], strict=True):
        motion = motion.at(time, 0.0).seen(place, sigma**2 * ONE)
    design = np.column_stack([np.ones(9), times - times[-1]])
    fit = np.linalg.lstsq(design, places, rcond=None)[0]
    assert motion.position == pytest.approx(fit[0], abs=1e-4)
    assert motion.velocity == pytest.approx(fit[1], abs=1e-4)
    spread = sigma**2 * np.linalg.inv(design.T @ design)
    assert motion.covariance[0, 0] == pytest.approx(spread[0, 0], rel=1e-4)
    assert motion.covariance[2, 2] == pytest.approx(spread[1, 1], rel=1e-4)


def test_prediction_does_not_depend_on_the_steps():
    start = Motion(0.0, np.array([0.0, 1.0, 4.0, -2.0]), np.diag([1.0, 2.0, 0.5, 0.3]))
    whole, halves = start.at(2.0, 1.3), start.at(0.7, 1.3).at(2.0, 1.3)
    assert halves.mean == pytest.approx(whole.mean)
    assert halves.covariance == pytest.approx(whole.covariance)


def test_hidden_objects_are_carried_on_and_forgotten_at_last():
    tracker = Tracker(TrackOptions(patience=2.0))
    for k in range(8):
        tracker.step(0.25 * k, [thing(2.0 * k, 0.0), thing(30.0 - 2.0 * k, 3.0, "bus")])
    numbers = {known.name: known.track for known in tracker.objects()}
    for k in range(8, 14):  # 1.5 s in which nothing is seen
        known = {one.name: one for one in tracker.step(0.25 * k, [])}
        assert known["car"].position == pytest.approx((2.0 * k, 0.0), abs=0.6)
        assert known["car"].track == numbers["car"]
    assert known["car"].since_seen == pytest.approx(1.5)
    assert known["car"].covariance[0, 0] > 0.09
    assert abs(math.remainder(known["bus"].heading, math.pi)) < 0.1  # a box looks the same from both ends
    ahead = {one.name: one for one in tracker.ahead(0.5)}
    assert ahead["bus"].position[0] == pytest.approx(known["bus"].position[0] - 4.0, abs=0.5)
    assert tracker.step(9.0, []) == []


def test_crossing_objects_keep_their_tracks_and_classes():
    tracker, seen = Tracker(), []
    for k in range(20):
        seen = tracker.step(0.2 * k, [thing(1.6 * k, 0.0), thing(30.0 - 1.6 * k, 2.5, "van")][:: 1 - 2 * (k % 2)])
    assert Counter(one.name for one in seen) == {"car": 1, "van": 1}
    assert {one.track for one in seen} == {0, 1}
    assert next(one for one in seen if one.name == "car").velocity == pytest.approx((8.0, 0.0), abs=0.6)


def drive(track, count, jump=(), objects=lambda k: (), missing=()):
    found = []
    for k in range(count):
        fix = np.array([-10.0 + 2.0 * k, 12.0]) + (np.array([0.0, 25.0]) if k in jump else 0.0)
        found.append(track.step(0.25 * k, None if k in missing else fix, objects(k)))
    return found


def test_jumps_of_gps_are_refused_and_flagged():
    found = drive(UserTrack(np.zeros(2)), 12, jump=(6,), missing=(8,))
    assert GPS_JUMP in found[6].flags
    assert NO_FIX in found[8].flags
    for k in (6, 7, 8):
        assert found[k].position == pytest.approx((-10.0 + 2.0 * k, 12.0), abs=0.5)
    assert not set(found[5].flags) & {GPS_JUMP, NO_FIX, TRACK_RESTARTED}


def test_fixes_that_agree_refute_a_track():
    found = drive(UserTrack(np.zeros(2)), 14, jump=tuple(range(8, 14)))
    assert TRACK_RESTARTED in found[10].flags
    assert found[13].position[1] == pytest.approx(37.0, abs=1.0)


def test_no_fix_no_place():
    track = UserTrack(np.zeros(2))
    assert track.step(0.0, None) is None
    assert track.step(1.0, np.array([np.nan, 1.0])) is None
    assert track.step(2.0, np.array([3.0, 1.0])).position == pytest.approx((3.0, 1.0))
    with pytest.raises(SiteTwinError, match="sort the moments"):
        track.step(1.0, np.array([3.0, 1.0]))


def test_the_own_car_is_the_nearest_by_covariance():
    """A car that is near in metres and known precisely is farther than one that is known poorly."""
    track = UserTrack(np.zeros(2), UserOptions(gps_sigma=0.3))
    near = thing(10.9, 12.0, sigma=0.05)
    wide = StreetObject("car", np.array([10.0, 13.2]), covariance(0.1, 1.5, 0.0))
    bus = thing(10.0, 12.0, "bus")
    place = track.step(0.0, np.array([10.0, 12.0]), [bus, near, wide])
    assert place.own == 2
    assert UserTrack(np.zeros(2)).step(0.0, np.array([10.0, 12.0]), [bus, thing(30, 12)]).own is None


def test_bearings_find_the_lasting_error_of_gps():
    """GPS is off by 2 m all along: the camera's bearings from many sides bring the place back."""
    bias = np.array([1.5, -1.3])
    options = UserOptions(gps_sigma=2.0, gps_seconds=60.0)
    alone, helped = UserTrack(np.zeros(2), options), UserTrack(np.zeros(2), options)
    for k in range(30):
        true = np.array([-15.0 + 1.0 * k, 9.0])
        without = alone.step(0.25 * k, true + bias)
        seen = helped.step(0.25 * k, true + bias, [thing(*true, sigma=0.5)])
    assert np.linalg.norm(without.position - true) == pytest.approx(2.0, abs=0.4)
    assert np.linalg.norm(seen.position - true) < 0.8
    assert NOT_SEEN in without.flags
    assert NOT_SEEN not in seen.flags


@given(NUMBER, NUMBER, some.floats(0, 6), NUMBER, NUMBER, some.floats(0, 6), some.floats(-4, 4))
@settings(deadline=None, max_examples=80)
def test_lines_cross_boxes_as_in_plan_and_height(x, y, z, u, v, w, heading):
    start, end = np.array([x, y, z]), np.array([u, v, w])
    box = Boxes(np.array([1.0, -2.0]), np.array(heading), np.array([6.0, 2.0, 2.5]))
    c, s = math.cos(heading), math.sin(heading)
    corners = [(1 + a * c - b * s, -2 + a * s + b * c) for a, b in ((3, 1), (-3, 1), (-3, -1), (3, -1))]
    line = shapely.LineString([start[:2], end[:2]])
    inner, outer = (shapely.Polygon(corners).buffer(by, join_style="mitre") for by in (-1e-3, 1e-3))
    if not line.intersects(outer):
        assert not crossed(box, start, end)
    part = line.intersection(inner)
    if part.length < 0.01:
        return  # it grazes the box, or stands upright
    at = [line.project(shapely.Point(p)) / line.length for p in part.coords]
    low, high = sorted(z + share * (w - z) for share in at)
    inside = low < 2.5 - 1e-6 and high > UNDERSIDE + 1e-6
    if abs(low - 2.5) > 0.02 and abs(high - UNDERSIDE) > 0.02:
        assert bool(crossed(box, start, end)) == inside


def test_blockage_is_the_share_of_draws():
    station, user = np.array([0.0, 0.0, 5.0]), np.array([20.0, 0.0, 1.6])
    rng = np.random.default_rng(2)
    van = StreetObject("bus", np.array([14.0, 0.0]), 1e-6 * ONE, math.pi / 2, 1e-3)
    assert blockage_probability([van], station, user, 1e-6 * ONE, rng) == 1.0
    assert blockage_probability([], station, user, 1e-6 * ONE, rng) == 0.0
    # Its end lies on the line of sight: half of the draws block it.
    edge = StreetObject("bus", np.array([14.0, 6.0]), covariance(1e-3, 1.0, 0.0), math.pi / 2, 1e-3)
    assert blockage_probability([edge], station, user, 1e-6 * ONE, rng, draws=4000) == pytest.approx(0.5, abs=0.04)


def test_draws_have_the_covariance_and_begin_with_the_mean():
    known = StreetObject("car", np.array([3.0, 4.0]), covariance(2.0, 0.5, 0.6), 0.3, 0.1)
    boxes = draw_boxes([known], 6000, np.random.default_rng(3))
    assert boxes.centre[0, 0] == pytest.approx((3.0, 4.0))
    assert boxes.size[0, 0] == pytest.approx(known.size)
    assert np.cov(boxes.centre[:, 0].T) == pytest.approx(known.covariance, rel=0.1, abs=0.1)
    assert boxes.heading[:, 0].std() == pytest.approx(0.1, rel=0.1)


STATION = Station(Pose((0.0, -7.5, 5.0), math.pi / 2, 0.1), AntennaArray.ula(16))
STREET = make_canyon(CanyonPlan(lanes=2, trees=0.0, seed=5, half_length=30.0))


def test_the_best_beam_looks_at_the_user():
    for azimuth in (-35.0, -10.0, 0.0, 22.0, 40.0):
        turn = math.pi / 2 + math.radians(azimuth)
        user = np.array([[12.0 * math.cos(turn), -7.5 + 12.0 * math.sin(turn), 4.0]])
        paths = trace(STREET.site, np.array(STATION.pose.position), user, TraceSettings(max_depth=0))
        powers = beam_powers(paths, STREET.site, STATION)[0]
        beam = 45.0 - 90.0 / 63 * powers.argmax()
        assert beam == pytest.approx(azimuth, abs=1.2)
        # Free space over the distance, times the array's gain.
        distance = float(np.linalg.norm(user[0] - STATION.pose.position))
        free = (299792458.0 / 60e9 / (4 * math.pi * distance)) ** 2
        assert powers.max() == pytest.approx(16 * free, rel=0.08)


def test_a_bus_takes_the_line_of_sight_away_and_draws_say_so():
    user = np.tile([4.0, 4.9, 1.6], (3, 1))
    rng = np.random.default_rng(4)
    clear = trace_scene(STREET.site, [], STATION, user[:1], rng)
    bus = StreetObject("bus", np.array([3.0, 1.65]), 0.01 * ONE, 0.0)
    hidden = trace_scene(STREET.site, [bus], STATION, user, rng)
    assert clear.in_sight.all()
    assert not hidden.in_sight.any()
    assert (hidden.reflected == hidden.powers).all()
    assert 0 < clear.reflected.max() < 0.1 * clear.powers.max()
    assert hidden.mean.max() < clear.mean.max()
    assert hidden.probability.sum() == pytest.approx(1.0)
    sites = scene_site(STREET.site, [bus], 2, rng)
    assert all(site.num_facets == STREET.site.num_facets + 6 for site in sites)


def test_users_that_share_a_scene_get_what_they_get_alone():
    user = np.array([[4.0, 4.9, 1.6], [-6.0, 4.9, 1.6], [9.0, 1.6, 1.6]])
    bus = StreetObject("bus", np.array([3.0, 1.65]), np.zeros((2, 2)), 0.0, 0.0)
    one = trace_scene(STREET.site, [bus], STATION, user, np.random.default_rng(0), scenes=1)
    for row in range(3):
        alone = trace_scene(STREET.site, [bus], STATION, user[row : row + 1], np.random.default_rng(0))
        assert one.reflected[row] == pytest.approx(alone.reflected[0], rel=1e-6)
        assert one.in_sight[row] == alone.in_sight[0]


def test_draws_without_a_path_do_not_vote():
    powers = np.zeros((3, 4))
    powers[1, 2], powers[2, 1] = 2.0, 5.0
    traced = Traced(powers, powers)
    assert not traced.in_sight.any()
    assert traced.probability == pytest.approx([0, 0.5, 0.5, 0])
    assert traced.relative == pytest.approx([0, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: thing(0, 0, "whale"), "no size of a 'whale'"),
        (lambda: thing(0, math.nan), "not finite"),
        (lambda: StreetObject("car", np.zeros(2), np.array([[1.0, 2.0], [2.0, 1.0]])), "no covariance"),
        (lambda: thing(0, 0, score=2.0), "score of 0 to 1"),
        (lambda: draw_boxes([], 0, np.random.default_rng(0)), "one or more"),
        (lambda: scene_site(STREET.site, [], 2), "give a generator"),
        (lambda: Station(STATION.pose, STATION.array, beams=1), "none to choose from"),
        (lambda: Motion(1.0, np.zeros(4), np.eye(4)).at(0.0, 1.0), "sort the moments"),
        (lambda: with_bearing(np.zeros(2), ONE, np.zeros(2), 0.0, 0.1), "to its own place"),
        (lambda: with_bearing(np.ones(2), ONE, np.zeros(2), 0.0, 0.0), "positive standard deviation"),
        (lambda: UserOptions(gps_sigma=0.0), "positive numbers"),
        (lambda: UserOptions(gps_lasting=1.5), "cannot last"),
        (lambda: UserTrack(np.zeros(2)).ahead(0.5), "before the first fix"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(SiteTwinError, match=words):
        make()
