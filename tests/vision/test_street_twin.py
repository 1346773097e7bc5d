"""The twin that keeps in step: the own car is left out, hidden objects block, beams are ranked and counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import AntennaArray
from sitetwin.errors import SiteTwinError
from sitetwin.site.places.pose import Pose
from sitetwin.vision.camera import Camera
from sitetwin.vision.scene import (
    Station,
    StreetObject,
    StreetTwin,
    Traced,
    TwinOptions,
    UserOptions,
    rank_beams,
    sight_powers,
)
from sitetwin.vision.scene.blockage import with_sighting
from sitetwin.vision.street import CanyonPlan, make_canyon

STATION = Station(Pose((0.0, -7.5, 5.0), math.pi / 2), AntennaArray.ula(16))
STREET = make_canyon(CanyonPlan(lanes=2, trees=0.0, seed=5, half_length=30.0))
OPTIONS = TwinOptions(draws=2, user=UserOptions(gps_sigma=0.3))


def thing(x, y, name="car", sigma=0.2, heading=0.0):
    return StreetObject(name, np.array([x, y], float), sigma**2 * np.eye(2), heading)


def test_the_hidden_user_is_carried_and_its_own_car_is_no_obstacle():
    """A bus drives before the user: the user's car is hidden, the twin knows, and knows it half a second before."""
    twin = StreetTwin(STREET.houses, STATION, OPTIONS, np.random.default_rng(1))
    found = []
    for k in range(16):
        own, bus = (-8.0 + 2.0 * k, 4.95), (17.0 - 2.2 * k, 1.65)
        hidden = abs(own[0] * 0.75 - bus[0]) < 5.5
        sightings = [thing(*bus, "bus")] + ([] if hidden else [thing(*own)])
        moment = twin.step(0.25 * k, np.array(own), sightings)
        found.append((hidden, moment))
        assert all(abs(one.position[1] - 4.95) > 1.5 for one in moment.objects)
    assert [moment.blocked > 0.5 for hidden, moment in found[2:] if hidden].count(False) <= 1
    assert found[0][1].blocked < 0.5
    first = next(k for k, (hidden, _) in enumerate(found) if hidden)
    assert found[first - 1][1].blocked_ahead > 0.5
    moment = found[first + 1][1]
    traced, ranking = twin.trace(moment)
    assert not traced.in_sight.all()
    assert ranking.source == "traced"
    assert sorted(ranking.order.tolist()) == list(range(64))


def test_before_the_first_fix_there_is_no_moment():
    twin = StreetTwin(STREET.houses, STATION, OPTIONS)
    assert twin.step(0.0, None, [thing(0, 5)]) is None
    moment = twin.step(0.25, np.array([1.0, 5.0]), [thing(0.5, 5)])
    assert moment.objects == ()
    assert moment.blocked < 0.05  # nothing that is known; a vehicle that nobody saw may stand there
    with pytest.raises(SiteTwinError):
        twin.step(0.0, None)


def test_beams_are_a_mixture_of_what_is_best_in_sight_and_without_it():
    reflected = np.zeros((3, 64))
    reflected[0, 10], reflected[1, 40], reflected[2, 40] = 1e-6, 1e-9, 2e-9
    powers = reflected.copy()
    powers[:, 20] = 1e-3  # the line of sight, far over the rest
    place = np.tile([8.0, 5.0, 1.6], (5, 1))
    towards = int(sight_powers(STATION, place)[0].argmax())
    traced = Traced(powers, reflected)
    assert traced.in_sight.all()
    hidden = rank_beams(traced, STATION, place, 0.9)
    assert hidden.order[0] == 40  # each draw has one vote, however strong its paths are
    assert hidden.probability[40] == pytest.approx(2 * hidden.probability[10], rel=1e-3)
    clear = rank_beams(traced, STATION, place, 0.1)
    assert clear.order[0] == towards  # and not 20, which the traced scene says: the user's places decide
    assert clear.probability[towards] == pytest.approx(9 * hidden.probability[towards], rel=1e-3)
    assert hidden.probability.sum() == pytest.approx(1.0)
    assert hidden.source == "traced"
    sure = rank_beams(traced, STATION, place, 0.0)
    assert sure.sweep < rank_beams(traced, STATION, place, 0.5).sweep


@settings(deadline=None, max_examples=25)
@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_to_see_the_users_car_makes_a_blockage_less_probable(one, other):
    low, high = sorted((one, other))
    for blocked in (low, high):
        assert 0.0 < with_sighting(blocked, 0) < with_sighting(blocked, 1) < with_sighting(blocked, 2) < 1.0
    for unseen in range(4):
        assert with_sighting(low, unseen) <= with_sighting(high, unseen)
    assert with_sighting(low, 7) == with_sighting(low, 2)


def test_a_frame_that_is_missing_or_shows_another_place_says_nothing():
    fix = np.array([0.0, 4.95])
    camera = Camera.from_view(Pose(STATION.pose.position, math.pi / 2, 0.1))
    away = Camera.from_view(Pose(STATION.pose.position, -math.pi / 2, 0.1))

    def after(camera, frames):
        twin = StreetTwin(STREET.houses, STATION, OPTIONS, np.random.default_rng(1), camera)
        return [twin.step(0.25 * k, fix, frame).blocked for k, frame in enumerate(frames)][-1]

    unknown = with_sighting(0.0, None)
    assert after(camera, [(), ()]) == pytest.approx(with_sighting(0.0, 2))
    assert after(None, [(), ()]) == pytest.approx(with_sighting(0.0, 2))
    assert after(camera, [(), None]) == after(away, [(), ()]) == pytest.approx(unknown)
    assert after(camera, [None, None, ()]) == pytest.approx(with_sighting(0.0, 1))
    assert with_sighting(0.0, 0) < unknown < with_sighting(0.0, 2)


def test_a_car_that_hid_the_user_is_not_lost_for_good():
    """A bus is taken for the user's car once, when it is at the user's place; it blocks all the same."""
    twin = StreetTwin(STREET.houses, STATION, OPTIONS, np.random.default_rng(1))
    twin.step(0.0, np.array([0.0, 4.95]), [thing(0.0, 4.2, "van", 0.6)])
    for k in range(1, 4):
        moment = twin.step(0.25 * k, np.array([0.0, 4.95]), [thing(0.0, 1.65, "van", 0.1)])
    assert any(one.name == "van" for one in moment.objects)


def test_without_a_path_beams_look_at_the_user():
    place = np.array([[5.0, 4.0, 1.6]])
    ranking = rank_beams(Traced(np.zeros((1, 64)), np.zeros((1, 64))), STATION, place, 1.0)
    azimuth = math.degrees(math.atan2(11.5, 5.0) - math.pi / 2)
    assert ranking.source == "line-of-sight"
    # A linear array sees sin(azimuth) cos(elevation), so that a user below it is seen nearer to the boresight.
    assert 45.0 - 90.0 / 63 * ranking.order[0] == pytest.approx(azimuth, abs=2.0)
    with pytest.raises(SiteTwinError, match="to its own place"):
        sight_powers(STATION, np.array([[0.0, -7.5, 5.0]]))
