"""What an expert brings: laws that a curve and a process must keep, and streets that they must learn."""

from __future__ import annotations

import numpy as np
import pytest

from sitetwin.learn.beams.experts import cubic_lane, fractional_beams, gaussian_process

METHODS = (cubic_lane, gaussian_process)


def street(rows: int, seed: int, beams: int = 16) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Users on two lanes that go opposite ways past the station; the sweep comes two metres after the fix."""
    rng = np.random.default_rng(seed)
    heading = rng.choice([-1.0, 1.0], rows)
    place = np.stack([np.where(heading > 0, 14.0, 18.0), rng.uniform(-22, 22, rows)], axis=1)
    azimuth = np.degrees(np.arctan2(place[:, 1] + 2 * heading, place[:, 0]))
    off = azimuth[:, None] - np.linspace(55, -55, beams)
    power = np.exp(-0.5 * (off / 5) ** 2) ** 2 * rng.uniform(0.5, 2, (rows, 1)) + 0.05
    return place, np.stack([np.zeros(rows), heading], axis=1), power


@pytest.mark.parametrize("method", METHODS)
def test_a_street_is_learnt_from_forty_rows(method) -> None:
    place, velocity, power = street(40, 1)
    asked, speed, truth = street(300, 2)
    found = method(place, velocity, power, asked, speed)
    assert (found.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.8
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_gain_a_floor_and_a_turn_of_the_map_change_nothing(method) -> None:
    place, velocity, power = street(30, 3)
    asked, speed, _ = street(50, 4)
    plain = method(place, velocity, power, asked, speed)
    other = method(place, velocity, 7 * power + 0.1 * 7, asked, speed)
    np.testing.assert_allclose(plain, other, atol=1e-3)
    turn = np.array([[np.cos(2.5), np.sin(2.5)], [-np.sin(2.5), np.cos(2.5)]])
    turned = method(place @ turn, velocity @ turn, power, asked @ turn, speed @ turn)
    np.testing.assert_allclose(plain, turned, atol=1e-3)


def test_rows_that_no_curve_explains_do_not_bend_it() -> None:
    place, velocity, power = street(40, 5)
    wrong = power.copy()
    wrong[:6] = wrong[:6, ::-1]
    asked, speed, truth = street(300, 6)
    found = cubic_lane(place, velocity, wrong, asked, speed)
    assert (found.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.8


def test_far_from_all_rows_a_process_says_less() -> None:
    place, velocity, power = street(40, 7)
    near = np.abs(place[:, 1]) < 8
    asked = np.array([[14.0, 0.0], [14.0, 60.0]])
    found = gaussian_process(place[near], velocity[near], power[near], asked, np.array([[0.0, 1.0]] * 2))
    assert found[1].max() < found[0].max()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_few_rows_and_one_place_are_borne(method, rows: int) -> None:
    place, velocity, power = street(rows, 8)
    asked, speed, _ = street(5, 9)
    for one, still in ((place, velocity), (np.tile(place[:1], (rows, 1)), 0 * velocity)):
        found = method(one, still, power, asked, speed)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-9)


def test_the_fraction_of_a_beam_is_the_vertex() -> None:
    place = np.array([0.0, 0.3, -0.4])
    root = 1 - 0.2 * (np.arange(7) - 3 - place[:, None]) ** 2 / 4
    power = (root - root.min()) ** 2
    np.testing.assert_allclose(fractional_beams(power), 3 + place, atol=0.08)
    power[1, 2] = np.nan
    assert fractional_beams(power)[1] == 3
