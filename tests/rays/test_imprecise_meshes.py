"""Paths over edges do not depend on errors of corners within a mesh's precision, nor on where the ground was cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Site
from sitetwin.site.site import with_position_step
from tests.site.test_edge_precision import BOX, FACES, GROUND, house, quads_site

TRANSMITTER = np.array([-40.0, 3.0, 12.0])
USERS = np.array([(70.0, 5.0, 1.5), (95.0, -11.0, 1.5), (35.3, 47.1, 1.5), (5.7, 11.9, 1.5), (60.0, -55.0, 8.0)])
SETTINGS = TraceSettings(max_depth=2, diffraction=True, rays_per_lattice=20_000)


def lengths(site: Site, users: np.ndarray = USERS) -> list[np.ndarray]:
    """The lengths of each user's paths, ascending."""
    found: Paths = trace(site, TRANSMITTER, users, SETTINGS)
    return [np.sort(found.length[a:b]) for a, b in zip(found.offsets[:-1], found.offsets[1:], strict=True)]


def assert_alike(found: list[np.ndarray], expected: list[np.ndarray], error: float) -> None:
    assert [len(x) for x in found] == [len(x) for x in expected]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=error)


@pytest.fixture(scope="module")
def exact() -> list[np.ndarray]:
    return lengths(house(np.zeros(3)))


@settings(max_examples=3, deadline=None)
@given(st.floats(0, 5e-4), st.integers(0, 2**32 - 1))
def test_errors_of_corners_change_no_path(exact: list[np.ndarray], size: float, seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(-size, size, (6, 4, 3))
    assert_alike(lengths(house(np.zeros(3), noise)), exact, 5e-3)


def test_a_roof_a_little_off_changes_no_path(exact: list[np.ndarray]) -> None:
    assert_alike(lengths(house(np.array([3e-4, -3e-4, 3e-4]))), exact, 5e-3)


def test_quantised_positions_change_no_path(exact: list[np.ndarray]) -> None:
    step = 2e-3
    origin = np.random.default_rng(2).uniform(0, step, (6, 1, 3))
    quads = np.concatenate([GROUND[None], BOX[np.array(FACES)]])
    quads = np.round((quads - origin) / step) * step + origin
    site = with_position_step(quads_site(quads, ["ground", "w1", "w2", "w3", "w4", "roof"]), step)
    assert_alike(lengths(site), exact, 2e-2)


@settings(max_examples=3, deadline=None)
@given(st.floats(110, 1000))
def test_what_users_in_shadow_have_does_not_depend_on_where_the_ground_was_cut(
    exact: list[np.ndarray], radius: float
) -> None:
    quads = np.concatenate([radius / 100 * GROUND[None], BOX[np.array(FACES)]])
    found = lengths(quads_site(quads, ["ground", "w1", "w2", "w3", "w4", "roof"]))
    assert_alike(found, exact, 1e-6)
