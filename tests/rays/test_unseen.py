"""What a trace says of the paths that it lacks: an estimate, an upper limit that holds, and the users it rests on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from sitetwin.rays import ChainList, TraceJob, TraceSettings, discover, solve, summarise, trace
from sitetwin.rays.unseen import Sampling, most_lost, share_of, unseen_in_words, unseen_pairs, unseen_weight
from sitetwin.site import Site
from tests.rays.enumeration import enumerate_paths
from tests.rays.laws import Verdict
from tests.rays.shapes import box_quads, ground, quad_site

SAMPLES = 6


def test_nothing_seen_once_is_no_proof_of_completeness() -> None:
    """165 pairs of chains that every lattice met: the estimate is zero, the limit is not.

    The rule of three, times two: hit rates may pile up at small values.
    """
    unseen = unseen_pairs(165, [Sampling(np.arange(165), np.full(165, SAMPLES), SAMPLES)])
    assert unseen.share == 0.0
    three = 2 * chi2.ppf(0.95, 2) / 2 * (SAMPLES - 1) / SAMPLES
    assert unseen.high == pytest.approx(three / (165 + three), rel=1e-12)
    assert unseen.high > 1 / 166  # one path of 166 may be missing


def test_the_limit_counts_chains_and_not_their_pairs() -> None:
    """Ten pairs of one chain met once are one event: the doubt is much wider than that of ten chains."""
    steady = np.full(990, SAMPLES)
    one = Sampling(np.r_[np.arange(990), np.full(10, 990)], np.r_[steady, np.full(10, 1)], SAMPLES)
    ten = Sampling(np.arange(1000), one.times, SAMPLES)
    together, apart = unseen_pairs(1000, [one]), unseen_pairs(1000, [ten])
    assert together.share == apart.share
    assert together.high > 2 * apart.high


def test_nothing_found_says_nothing() -> None:
    empty = Sampling(np.zeros(0, np.int64), np.zeros(0, np.int64), SAMPLES)
    assert (unseen_pairs(0, [empty]).share, unseen_pairs(0, [empty]).high) == (0.0, 1.0)
    alone = unseen_pairs(5, [Sampling(np.arange(5), np.ones(5, np.int64), 1)])
    assert alone.high == 1.0  # one sample has nothing to be compared with


@given(st.integers(1, 400), st.integers(0, 50), st.sampled_from([0.9, 0.95, 0.99]))
def test_users_that_lack_a_pair_have_the_exact_binomial_limit(users: int, lacking: int, confidence: float) -> None:
    """At the limit as few users, or fewer, would lack one with the probability 1 - confidence."""
    lacking = min(lacking, users)
    lost = np.where(np.arange(users) < lacking, 3, 0)
    share = most_lost(lost, confidence) / users / (3 if lacking else 1)
    if lacking == users:
        assert share == 1.0
    else:
        assert binom.cdf(lacking, users, share) == pytest.approx(1 - confidence, rel=1e-6)


def test_few_users_of_many_have_a_wider_limit() -> None:
    """Pairs outside the marked cells are counted where every user is a probe, and estimated where a few are."""
    sampling = Sampling(np.arange(500), np.full(500, SAMPLES), SAMPLES)
    lost = np.zeros(100, np.int64)
    every = unseen_pairs(500, [sampling], lost)
    some = unseen_pairs(500, [sampling], lost, sampled=True)
    assert every.share == some.share == 0.0
    assert some.high > 1.3 * every.high
    lost[:2] = 1
    assert unseen_pairs(500, [sampling], lost).share == 2 / 500
    assert unseen_pairs(500, [sampling], lost).high == pytest.approx(every.high + 2 / 500, abs=1e-4)


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=60),
    st.floats(0.5, 0.98),
    st.integers(2, 6),
)
def test_limits_are_shares_above_their_estimates(pairs: list, confidence: float, samples: int) -> None:
    weight, times = (np.array(column) for column in zip(*pairs, strict=True))
    weight, times = weight.astype(float), np.minimum(times, samples)
    middle, high = unseen_weight(weight, 1.0, times, samples, confidence)
    found = float(weight[times > 0].sum())
    assert 0 <= share_of(middle, found) <= 1
    assert 0 <= share_of(high, found) <= 1
    assert unseen_weight(weight, 1.0, times, samples, (1 + confidence) / 2)[1] >= high
    if confidence >= 0.9:
        assert high >= middle


@pytest.mark.parametrize("users", [30, 300])
@pytest.mark.parametrize(("hits", "spread"), [(0.3, 1.0), (1.0, 0.5), (2.0, 1.0), (5.0, 1.5)])
def test_the_limit_covers_what_is_missed(users: int, hits: float, spread: float) -> None:
    """Seeded worlds of 150 chains: wide beams are hit more often and serve more users. At least 95 % lie below."""
    rng = np.random.default_rng([users, int(10 * hits)])
    worlds, covered, silent, silent_covered = 300, 0, 0, 0
    for _ in range(worlds):
        rate = hits * np.exp(spread * rng.normal(size=150) - spread**2 / 2)
        times = rng.binomial(SAMPLES, 1 - np.exp(-rate))
        chain, _ = np.nonzero(rng.random((150, users)) < np.clip(0.02 * rate / hits, 0, 1)[:, None])
        seen = times[chain] > 0
        unseen = unseen_pairs(int(seen.sum()), [Sampling(chain[seen], times[chain[seen]], SAMPLES)])
        below = 1 - seen.mean() <= unseen.high
        covered += below
        silent += unseen.share == 0
        silent_covered += below and unseen.share == 0
    assert covered >= 0.95 * worlds
    assert silent_covered >= 0.95 * silent - 1  # also where the estimate is zero, which is when it is believed


def boxes(seed: int) -> Site:
    """A ground with small boxes, which a coarse lattice of rays meets only now and then."""
    rng = np.random.default_rng(seed)
    quads = [ground(60.0)]
    for _ in range(6):
        radius, angle = rng.uniform(12, 40), rng.uniform(0, 2 * np.pi)
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        wide, deep, high = rng.uniform(0.4, 1.5, 3)
        quads += box_quads((x - wide, y - deep, 0), (x + wide, y + deep, 2 * high))
    return quad_site(quads)


def few_users(seed: int) -> tuple[Site, np.ndarray, np.ndarray, ChainList]:
    rng = np.random.default_rng(seed)
    site, users = boxes(seed), np.column_stack([rng.uniform(-40, 40, (40, 2)), rng.uniform(0.5, 3, 40)])
    transmitter = np.array([rng.uniform(-10, 10), rng.uniform(-4, 4), rng.uniform(3, 12)])
    settings = TraceSettings(max_depth=1, rays_per_lattice=1000, unseen_bound=0.5, seed=seed)
    return site, transmitter, users, discover(site, transmitter, users, settings)


def test_a_missed_path_lies_below_the_limit_although_the_estimate_is_zero() -> None:
    """Traces of a few users against exhaustive enumeration: some estimates of zero are wrong, their limits are not."""
    wrong = 0
    for seed in range(40, 48):
        site, transmitter, users, chains = few_users(seed)
        told = chains.completeness
        oracle = enumerate_paths(site, transmitter, users, 1)
        valid = sum(v.verdict is Verdict.VALID for found in oracle for chain, v in found.items() if chain)
        paths = solve(site, chains, users, TraceSettings(max_depth=1))
        missed = 1 - np.count_nonzero(paths.depth) / valid
        if missed > 0 and told.unseen_share == 0:
            wrong += 1
            assert missed <= told.unseen_high
    assert wrong >= 3  # there is something to be wrong about


def test_estimate_limit_and_users_go_together(tmp_path) -> None:
    site, transmitter, users, _ = few_users(0)
    settings = TraceSettings(max_depth=1, rays_per_lattice=20_000, unseen_bound=0.5, diffraction=True)
    paths = trace(site, transmitter, users, settings)
    for key in ("completeness", "completeness_diffraction"):
        told = paths.attributes[key]
        assert told["unseen_share"] <= told["unseen_high"] < 1
        assert told["probe_users"] == len(users)
    assert "estimated; at most" in repr(paths)
    assert f"from {len(users)} users" in repr(paths)
    (store,) = TraceJob(site, transmitter, users, settings).run(tmp_path / "p")
    summary = summarise(store.path)
    assert summary.unseen_high == paths.attributes["completeness"]["unseen_high"]
    assert summary.unseen_high_diffracted == paths.attributes["completeness_diffraction"]["unseen_high"]
    assert summary.probe_users == summary.probe_users_diffracted == len(users)


def test_chains_of_older_stores_have_no_limit() -> None:
    chains = few_users(0)[3]
    arrays = chains.to_arrays()
    assert ChainList.from_arrays(arrays).completeness == chains.completeness
    del arrays["completeness_unseen_high"]
    old = ChainList.from_arrays(arrays).completeness
    assert old == replace(chains.completeness, unseen_high=None)
    assert "completeness_unseen_high" not in ChainList.from_arrays(arrays).to_arrays()
    words = unseen_in_words(old.unseen_share, old.unseen_high, old.probe_users)
    assert words.endswith("upper limit not stated, from 40 users")


def test_where_nothing_is_sought_nothing_is_missed() -> None:
    site, users = quad_site([ground(20.0)]), np.array([[3.0, 0, 1]])
    told = discover(site, np.array([0, 0, 5.0]), users, TraceSettings(max_depth=0)).completeness
    assert (told.unseen_share, told.unseen_high) == (0.0, 0.0)


def test_words() -> None:
    assert unseen_in_words(None) == "not stated"
    assert unseen_in_words(0.0, 0.0148, 100) == "0 of the paths, estimated; at most 0.015 (95%), from 100 users"
    assert unseen_in_words(1e-4, 0.5, 1) == "0.0001 of the paths, estimated; at most 0.5 (95%), from 1 user"
