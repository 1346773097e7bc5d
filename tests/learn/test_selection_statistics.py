"""Selection, splits and intervals."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from sitetwin.errors import SiteTwinError
from sitetwin.learn import splits, statistics
from sitetwin.learn.csi import selection
from sitetwin.learn.csi.codec import reconstruct
from sitetwin.learn.csi.controls import ZeroCodec
from sitetwin.learn.csi.data import prepare
from sitetwin.learn.csi.klt import GlobalKltCodec
from sitetwin.learn.csi.metrics import nmse


@pytest.fixture(scope="module")
def codec(world):
    return GlobalKltCodec().fit(prepare(world.twin).x)


@pytest.fixture(scope="module")
def pool(world):
    return prepare(world.target).x


def test_highest_nmse_is_the_top_of_the_pool(codec, pool):
    chosen = selection.select_highest_nmse(codec, pool, 25)
    error = nmse(pool, reconstruct(codec, pool))
    assert torch.equal(error[chosen.rows], error.sort(descending=True).values[:25])
    assert (chosen.uploads, chosen.reals_uploaded, chosen.examined) == (25, 25 * 2048, len(pool))


def test_threshold_takes_all_above_in_order_of_arrival(codec, pool):
    error = 10 * torch.log10(nmse(pool, reconstruct(codec, pool)))
    threshold = float(error.quantile(0.7))
    chosen = selection.select_above_threshold(codec, pool, threshold)
    assert chosen.rows.tolist() == [i for i, e in enumerate(error.tolist()) if e > threshold]
    limited = selection.select_above_threshold(codec, pool, threshold, limit=10)
    assert torch.equal(limited.rows, chosen.rows[:10])
    assert limited.examined == int(chosen.rows[9]) + 1


def test_random_selection_has_no_repeats(pool, rng):
    chosen = selection.select_random(pool, 100, rng)
    assert len(chosen.rows.unique()) == 100
    assert chosen.examined == 0


def test_k_centre_passes_over_copies():
    """Of two shadow zones the worse one is full of copies; the top-n rule sees only that one."""
    basis = torch.eye(64, dtype=torch.complex64).reshape(64, 8, 8)
    phases = torch.polar(torch.ones(10), torch.linspace(0, 5, 10))[:, None, None]
    pool = torch.cat([1.5 * phases * basis[0], 1.0 * phases * basis[1], 0.1 * basis[2:12]])
    chosen = selection.select_k_centre(ZeroCodec((8, 8)), pool, 2)  # the residual is the sample itself
    assert sorted(int(r) // 10 for r in chosen.rows) == [0, 1]


def test_a_pool_that_shares_users_with_the_test_set_is_refused():
    selection.check_disjoint(torch.arange(5), torch.arange(5, 9))
    with pytest.raises(SiteTwinError, match="2 users"):
        selection.check_disjoint(torch.arange(5), torch.arange(3, 9))


def test_more_than_the_pool_is_refused(codec, pool, rng):
    for call in (
        lambda: selection.select_random(pool, len(pool) + 1, rng),
        lambda: selection.select_highest_nmse(codec, pool, len(pool) + 1),
        lambda: selection.select_k_centre(codec, pool, -1),
    ):
        with pytest.raises(SiteTwinError, match="pool"):
            call()


def test_random_split_is_a_partition(rng):
    split = splits.random_split(101, rng)
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == list(range(101))
    assert len(split.train) == 80
    with pytest.raises(SiteTwinError):
        splits.random_split(1, rng)


def test_block_split_keeps_its_guard(world, rng):
    where = world.target_positions
    split = splits.block_split(where, rng, block_m=25, guard_m=10)
    assert not set(split.train.tolist()) & set(split.test.tolist())
    assert not set(split.block[split.train].tolist()) & set(split.block[split.test].tolist())
    distance = torch.cdist(where[split.train], where[split.test]).amin()
    assert distance >= 10
    assert split.dropped == len(where) - len(split.train) - len(split.test) > 0
    assert 0.2 <= len(split.test) / len(where) < 0.35
    corner = torch.floor((where - where.amin(0)) / 25)
    for block in split.block.unique():
        assert len(corner[split.block == block].unique(dim=0)) == 1


def test_random_test_users_have_closer_training_users_than_block_ones(world, rng):
    where = world.target_positions
    random, block = splits.random_split(len(where), rng), splits.block_split(where, rng)
    near = splits.nearest_distance(where[random.test], where[random.train]).median()
    far = splits.nearest_distance(where[block.test], where[block.train]).median()
    assert far > 10 > near
    naive = [min(math.dist(a, b) for b in where[random.train].tolist()) for a in where[random.test].tolist()]
    assert splits.nearest_distance(where[random.test], where[random.train]).tolist() == pytest.approx(naive)


def test_an_impossible_block_split_is_refused(rng):
    with pytest.raises(SiteTwinError, match="smaller"):
        splits.block_split(torch.rand(50, 2), rng)
    with pytest.raises(SiteTwinError, match="not finite"):
        splits.block_split(torch.full((5, 2), torch.nan), rng)


def test_seed_interval_is_students():
    values = [-17.1, -16.4, -18.0, -17.3, -16.9]
    got = statistics.seed_interval(values)
    low, high = stats.t.interval(0.95, 4, loc=sum(values) / 5, scale=stats.sem(values))
    assert (got.low, got.high) == pytest.approx((low, high))
    assert math.isnan(statistics.seed_interval([1.0]).low)


def test_user_bootstrap_agrees_with_the_normal_interval(rng):
    x = torch.rand(400, generator=rng, dtype=torch.float64)
    got = statistics.bootstrap_users(x, rng, lambda v: float(v.mean()))
    half = 1.96 * float(x.std()) / 20
    assert got.estimate == pytest.approx(float(x.mean()))
    assert got.high - got.low == pytest.approx(2 * half, rel=0.15)


def test_block_bootstrap_is_as_wide_as_the_blocks_demand(rng):
    """100 copies of 30 values carry 30 values' worth of information."""
    x = torch.rand(30, generator=rng, dtype=torch.float64)
    copies, block = x.repeat_interleave(100), torch.arange(30).repeat_interleave(100)

    def mean(v):
        return float(v.mean())

    users = statistics.bootstrap_users(copies, rng, mean, draws=400)
    blocks = statistics.bootstrap_blocks(copies, block, rng, mean, draws=400)
    plain = statistics.bootstrap_users(x, rng, mean, draws=400)
    assert blocks.high - blocks.low == pytest.approx(plain.high - plain.low, rel=0.25)
    assert blocks.high - blocks.low > 5 * (users.high - users.low)
    assert blocks.count == 30


def test_pairing_removes_what_the_users_have_in_common(rng):
    hard = torch.rand(500, generator=rng, dtype=torch.float64) ** 4
    a, b = hard * 0.9, hard
    paired = statistics.paired_difference_db(a, b, rng)
    assert paired.estimate == pytest.approx(10 * math.log10(0.9))
    assert paired.high - paired.low < 1e-9
    assert statistics.bootstrap_users(a, rng).high > statistics.bootstrap_users(b, rng).low
    with pytest.raises(SiteTwinError, match="same users"):
        statistics.paired_difference_db(a, b[1:], rng)
