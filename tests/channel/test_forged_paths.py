"""Compiled loops get no arrays that lead past an end, and leave no part of what they make unwritten."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import (
    AntennaArray,
    OfdmGrid,
    PathGains,
    Radio,
    delay_angle,
    frequency_response,
    impulse_response,
    path_gains,
)
from sitetwin.channel.numerics import ragged
from sitetwin.channel.numerics.ragged import Factors, sum_over_paths
from sitetwin.errors import SiteTwinError
from sitetwin.rays.jobs.io import paths_to_arrays
from sitetwin.rays.paths import Paths
from tests.rays.shapes import quad_site
from tests.rays.test_io import random_paths

GRID = OfdmGrid(3.5e9, 32, 60e3)


def gains_of(paths, tx):
    values = torch.randn(paths.num_paths, 1, 1, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    return PathGains.of(paths, values, 3.5e9, tx)


MAKERS = {
    "cfr": lambda paths, gains: frequency_response(paths, gains, GRID),
    "cir": lambda paths, gains: impulse_response(paths, gains, 1e8, 8),
    "delay-angle": lambda paths, gains: delay_angle(paths, gains, GRID, num_taps=8),
}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 9),
    shape=st.sampled_from([(1, 1), (1, 4), (2, 4), (1, 3)]),
    kind=st.sampled_from(sorted(MAKERS)),
)
def test_nothing_is_left_as_memory_was(seed, users, shape, kind):
    paths = random_paths(np.random.default_rng(seed), users)
    tx = Radio(AntennaArray.upa(*shape))
    gains = gains_of(paths, tx)
    plain, fresh = ragged.new_output, []

    def poisoned(size, dtype):
        fresh.append(plain(size, dtype).fill_(np.nan))
        return fresh[-1]

    calm = MAKERS[kind](paths, gains)
    try:
        ragged.new_output = poisoned
        found = MAKERS[kind](paths, gains)
    finally:
        ragged.new_output = plain
    assert fresh
    assert torch.equal(torch.view_as_real(found), torch.view_as_real(calm))
    assert not found[np.flatnonzero(paths.counts == 0)].any()


def test_users_in_any_order_are_all_written():
    paths = random_paths(np.random.default_rng(2), 7)
    gains = gains_of(paths, Radio())
    whole = frequency_response(paths, gains, GRID)
    order = torch.tensor([6, 0, 0, 3])
    out = torch.full((4, 1, 1, 32), np.nan, dtype=torch.complex64)
    frequency_response(paths, gains, GRID, users=order, out=out)
    assert torch.equal(out, whole[order])


@pytest.mark.parametrize("kind", sorted(MAKERS))
@pytest.mark.parametrize("forged", [-1, 10**9, 2**62])
def test_arrays_that_were_changed_after_all_checks_are_refused(kind, forged):
    paths = random_paths(np.random.default_rng(3), 6)
    gains = gains_of(paths, Radio(AntennaArray.ula(4)))
    paths.offsets[3] = forged
    with pytest.raises(SiteTwinError, match="'offsets' of paths do not rise"):
        MAKERS[kind](paths, gains)


@pytest.mark.parametrize("offsets", [[0, 2, 1, 3], [0, 1, 2], [1, 2, 3], [0, 1, 4], []])
def test_sums_follow_no_offsets_past_the_rows(offsets):
    ones = torch.ones(3, 1)
    factors = Factors(lambda rows, _: (ones[rows], ones[rows]), 1, 1, torch.float32, 3)
    with pytest.raises(ValueError, match="offsets do not rise from 0 to 3"):
        sum_over_paths(torch.tensor(offsets, dtype=torch.int64), factors)


def test_sums_are_of_users_that_are_there_and_fit_their_place():
    ones, offsets = torch.ones(3, 1), torch.tensor([0, 1, 1, 3])
    factors = Factors(lambda rows, _: (ones[rows], ones[rows]), 1, 1, torch.float32, 3)
    assert sum_over_paths(offsets, factors).flatten().tolist() == [1, 0, 2]
    for order in ([3], [-1]):
        with pytest.raises(ValueError, match="not all among 3"):
            sum_over_paths(offsets, factors, order=torch.tensor(order))
    with pytest.raises(ValueError, match="do not fit"):
        sum_over_paths(offsets, factors, torch.zeros(2, 1, 1))


def test_delay_references_are_one_for_each_user():
    paths = random_paths(np.random.default_rng(4), 5)
    gains = gains_of(paths, Radio())
    with pytest.raises(SiteTwinError, match="give one for each"):
        frequency_response(paths, gains, GRID, delay_reference_s=torch.zeros(5, 1))


@pytest.mark.parametrize("forged", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("name", ["departure", "length"])
def test_cycles_that_cannot_be_counted_reach_no_table(name, forged):
    paths = random_paths(np.random.default_rng(5), 6)
    getattr(paths, name)[2] = forged
    gains = gains_of(paths, Radio(AntennaArray.ula(8)))
    if name == "length" and forged == 1e30:
        delay_angle(paths, gains, GRID, num_taps=16)  # absurd, but its place between subcarriers is a number
        return
    with pytest.raises(SiteTwinError, match="not finite numbers in their range"):
        delay_angle(paths, gains, GRID, num_taps=16)


def one_bounce(facet=0, kind=1, volume=None):
    floor = [(0, 0, 0), (10, 0, 0), (10, 10, 0), (0, 10, 0)]
    crossed = np.zeros(0, np.int32) if volume is None else np.array([volume], np.int32)
    half = np.sqrt(0.5)
    paths = Paths(
        transmitter=np.array([2.0, 5, 3]),
        users=np.array([[8.0, 5, 3]]),
        offsets=np.array([0, 1]),
        kinds=np.array([[kind]], np.uint8),
        facets=np.array([[facet]], np.int32),
        vertices=np.array([[[5.0, 5, 0]]]),
        length=np.array([6 * np.sqrt(2)]),
        departure=np.array([[half, 0, -half]]),
        arrival=np.array([[-half, 0, -half]]),
        crossing_offsets=np.array([0, len(crossed)]),
        crossing_volume=crossed,
        crossing_entry=np.full(len(crossed), 1.0),
        crossing_exit=np.full(len(crossed), 2.0),
    )
    return paths, quad_site([floor])


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        ({"facet": 1}, "name facet 1 but the site has 1"),
        ({"facet": -1}, "name no facet"),
        ({"facet": 7, "kind": 3}, "name wedge 7"),
        ({"facet": 0, "kind": 2}, "name scatter centre 0"),
        ({"kind": 9}, "interactions of kind 9"),
        ({"volume": 0}, "cross canopy 0 but the site has 0"),
        ({"volume": -1}, "cross canopy -1 but the site has 0"),
    ],
)
def test_numbers_that_the_site_lacks_have_no_field(forged, said):
    assert path_gains(*one_bounce(), 3.5e9).values.abs() > 0
    with pytest.raises(SiteTwinError, match=said):
        path_gains(*one_bounce(**forged), 3.5e9)


def test_a_store_of_unknown_interactions_is_refused(tmp_path):
    from sitetwin.rays.jobs.io import load_paths, save_paths
    from sitetwin.store import TileStore

    paths, _ = one_bounce()
    save_paths(paths, tmp_path / "s")
    TileStore.open(tmp_path / "s").write_tile(0, paths_to_arrays(replace(paths, kinds=paths.kinds + np.uint8(8))))
    with pytest.raises(SiteTwinError, match="unknown kind"):
        load_paths(tmp_path / "s")


def test_spherical_waves_take_no_normal_of_a_facet_that_is_not_there():
    array = Radio(AntennaArray.ula(2))
    for forged in (7, -2):
        paths, site = one_bounce(facet=forged)
        gains = PathGains.of(paths, torch.ones(1, 1, 1, dtype=torch.complex64), 3.5e9, array, array)
        with pytest.raises(SiteTwinError, match="facet"):
            frequency_response(paths, gains, GRID, wavefront="spherical", site=site)
