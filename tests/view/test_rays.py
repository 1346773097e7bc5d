"""Clicks and the rays that they show."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel import Radio
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import load_scene, user_grid
from sitetwin.view.quantities import path_powers
from sitetwin.view.rays import path_table, picked_user, ray_segments, strongest_first


@given(st.integers(0, 399), st.integers(0, 2**32 - 1))
def test_a_click_on_a_user_picks_it(user: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0))
    users = np.stack([x.ravel(), y.ravel(), np.full(400, 1.5)], axis=1)
    eye = np.array([*rng.uniform(-30, 50, 2), rng.uniform(20, 60)])
    assert picked_user(users, eye, rng.uniform(0.1, 9) * (users[user] - eye)) == user


def test_of_users_in_line_the_nearer_one_is_meant() -> None:
    users = np.array([[0.0, 20.0, 0.0], [0.0, 10.0, 0.0], [0.0, -5.0, 0.0]])
    assert picked_user(users, np.zeros(3), np.array([0.0, 1.0, 0.0])) == 1


def test_a_click_beside_everybody_means_nobody() -> None:
    users = np.array([[0.0, 20.0, 0.0]])
    assert picked_user(users, np.zeros(3), np.array([0.1, 1.0, 0.0])) is None
    assert picked_user(users, np.zeros(3), np.array([0.0, -1.0, 0.0])) is None
    assert picked_user(np.zeros((0, 3)), np.zeros(3), np.array([0.0, 1.0, 0.0])) is None


def test_rays_run_from_the_transmitter_to_the_user_with_the_lengths_of_the_paths() -> None:
    site = load_scene("simple_street_canyon")
    users, _ = user_grid((-20.0, -8.0, 20.0, 8.0), 8.0, 1.5, site)
    paths = trace(site, np.array([-33.0, 0.0, 12.0]), users, TraceSettings(max_depth=2))
    power = path_powers(paths, site, 3.5e9, Radio(), "in leaf")
    user = int(np.argmax(paths.counts))
    rows = strongest_first(paths, power, user)
    assert (np.diff(power[rows]) <= 0).all()
    segments, colours = ray_segments(paths, power, user)
    assert colours.shape == segments.shape
    assert len(segments) == (paths.depth[rows] + 1).sum()
    lengths = np.sqrt(((segments[:, 1] - segments[:, 0]) ** 2).sum(axis=1))
    at = 0
    for row in rows[::-1]:  # the weakest is drawn first
        pieces = slice(at, at + paths.depth[row] + 1)
        np.testing.assert_allclose(lengths[pieces].sum(), paths.length[row], rtol=1e-9)
        np.testing.assert_array_equal(segments[pieces][0, 0], paths.transmitter)
        np.testing.assert_array_equal(segments[pieces][-1, 1], users[user])
        assert (colours[pieces] == colours[at, 0]).all()
        at = pieces.stop
    table = path_table(paths, power, user)
    assert f"user {user}" in table
    assert "line of sight" in table
    assert f"{10 * np.log10(power[rows[0]]):.1f} | {1e9 * paths.delay[rows[0]]:.1f}" in table
