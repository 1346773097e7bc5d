"""The compiled delay-angle route against the same sums in double precision, and against the subcarriers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import AntennaArray, OfdmGrid, Radio, delay_angle, delay_angle_from_response, frequency_response
from sitetwin.channel.numerics.dirichlet import APART, _split, grid_table
from tests.channel.test_synthesis import C, F, random_gains, single
from tests.channel.worlds import free_paths


@pytest.mark.filterwarnings("ignore:the shortest path")
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    elements=st.sampled_from([4, 12, 32]),
    spacing=st.sampled_from([0.3, 0.5, 1.0, 1.7, 2.5]),
    subcarriers=st.sampled_from([32, 63, 256, 1001]),
    first=st.integers(-40, 40),
    taps=st.sampled_from([16, 32]),
    on_grid=st.booleans(),
)
def test_single_precision_meets_double_everywhere(seed, elements, spacing, subcarriers, first, taps, on_grid):
    """Wide arrays turn by several cycles, delays lie before the reference and beyond the period, or on grid points."""
    rng = np.random.default_rng(seed)
    paths = free_paths(rng.integers(0, 6, 9), rng)
    grid, tx = OfdmGrid(F, subcarriers, 30e3), Radio(AntennaArray.ula(elements, spacing=spacing))
    reference = torch.from_numpy(rng.uniform(-1e-5, 5e-5, paths.num_users))
    if on_grid:
        reference = reference * 0.0
        paths.length[:] = C / grid.bandwidth_hz * rng.integers(0, subcarriers, paths.num_paths)
        paths.departure[:, 1] = rng.integers(-elements, elements, paths.num_paths) / (elements * spacing)
    gains = random_gains(paths, rng, tx)
    options = {"num_taps": taps, "first_tap": first, "delay_reference_s": reference}
    if not paths.num_paths:
        return
    exact = delay_angle(paths, gains, grid, tx, **options)
    whole = elements * float(gains.at_carrier.abs().max())  # of one path; the taps may hold next to nothing
    assert float((delay_angle(paths, single(gains), grid, tx, **options) - exact).abs().max()) < 3e-6 * whole
    response = frequency_response(paths, gains, grid, tx, delay_reference_s=reference)
    assert float((exact - delay_angle_from_response(response, tx, taps, first)).abs().max()) < 1e-6 * whole


def test_large_results_are_the_small_ones():
    """More than the caches hold, written past them."""
    rng = np.random.default_rng(2)
    paths = free_paths(rng.integers(0, 4, 4500), rng)
    grid, tx = OfdmGrid(F, 64, 30e3), Radio(AntennaArray.ula(32))
    gains = single(random_gains(paths, rng, tx))
    whole = delay_angle(paths, gains, grid, tx)
    few = delay_angle(paths, gains, grid, tx, out=torch.full_like(whole, torch.nan)[:, :])
    assert torch.equal(whole, few)
    chosen = np.array([7, 4000, 12])
    some = paths.select_users(chosen)
    rows = np.concatenate([np.arange(paths.offsets[u], paths.offsets[u + 1]) for u in chosen])
    part = type(gains).of(some, gains.at_carrier[rows], F, tx)
    assert torch.allclose(delay_angle(some, part, grid, tx), whole[chosen], atol=1e-6 * float(whole.abs().max()))


def test_tables_hold_the_angles_of_the_grid():
    table = grid_table(8, -3, 5)
    assert table.shape == (2, 12)
    angle = np.pi / 8 * np.arange(-10, 2)
    assert table[0] == pytest.approx(np.sin(angle), abs=1e-7)
    assert table[1] == pytest.approx(np.cos(angle), abs=1e-7)


@pytest.mark.parametrize("size", [3, 10, 32, 49, 63, 98, 103, 1001])
def test_every_place_is_split_into_a_point_of_the_grid_and_the_way_from_it(size):
    """Next to whole periods as well, and numbers that are none stay within the table."""
    points = np.arange(-3 * size, 3 * size + 1)
    for away in (0.0, 0.25, -0.25, 0.4999, -0.4999):
        work, steps = np.empty((5, len(points))), np.empty(len(points), np.int64)
        _split((points + away) / size, size, work, steps)
        assert np.array_equal(steps, points % size)
        sign = np.where((points + np.floor(points / size)) % 2, 1, -1)
        assert work[0] == pytest.approx(sign * np.sin(np.pi * (away or APART)), rel=1e-4, abs=1e-12)
    wild = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 1e19])
    work, steps = np.empty((5, len(wild))), np.empty(len(wild), np.int64)
    _split(wild, size, work, steps)
    assert ((steps >= 0) & (steps < size)).all()
