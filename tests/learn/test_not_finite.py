"""What is not finite wins nothing: every score either stays not a number or is refused with the count."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.learn import nmse, paired_difference_db, seed_interval, summarise, to_db
from sitetwin.learn.beams import metrics as beams
from sitetwin.learn.csi.metrics import rate_share, sgcs
from sitetwin.learn.statistics import bootstrap_blocks, bootstrap_users

NOTHING = st.sampled_from([math.nan, math.inf, -math.inf])


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_decibels_of_nothing_are_nothing(ratio):
    found = to_db(ratio)
    if math.isnan(ratio) or ratio < 0:
        assert math.isnan(found)
    elif ratio in (0.0, math.inf):
        assert found == (-math.inf if ratio == 0 else math.inf)
    else:
        assert found == pytest.approx(10 * math.log10(ratio))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), user=st.integers(0, 19), entry=st.integers(0, 11), value=NOTHING)
def test_a_planted_nothing_never_wins_among_codecs(seed, user, entry, value):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(20, 4, 3, dtype=torch.complex64, generator=rng)
    fair = x + 0.3 * torch.randn(20, 4, 3, dtype=torch.complex64, generator=rng)
    broken = fair.clone()
    broken[user].view(-1)[entry] = value
    bad, good = nmse(x, broken), nmse(x, fair)
    assert not bool(torch.isfinite(bad[user]))
    for score in (sgcs(x, broken), sgcs(x, broken, 8), rate_share(x, broken, 10.0, 8)):
        assert not bool(torch.isfinite(score[user]))
        assert bool(torch.isfinite(score[torch.arange(20) != user]).all())
    said = rf"1 of 20 users is not finite \(first: number {user}\)"
    blocks = torch.arange(20) // 5
    for judge in (
        lambda: summarise(bad),
        lambda: bootstrap_users(bad, rng, draws=5),
        lambda: bootstrap_blocks(bad, blocks, rng, draws=5),
        lambda: paired_difference_db(bad, good, rng, draws=5),
        lambda: paired_difference_db(good, bad, rng, blocks, draws=5),
    ):
        with pytest.raises(SiteTwinError, match=said):
            judge()


@given(values=st.lists(st.floats(-50, 0), min_size=1, max_size=6), value=NOTHING, data=st.data())
def test_a_seed_without_a_figure_gives_no_interval(values, value, data):
    values[data.draw(st.integers(0, len(values) - 1))] = value
    with pytest.raises(SiteTwinError, match=r"the value of 1 of \d seeds is not finite"):
        seed_interval(values)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), row=st.integers(0, 9), beam=st.integers(0, 7))
def test_a_planted_nothing_never_wins_among_predictors(seed, row, beam):
    rng = np.random.default_rng(seed)
    power, score = rng.uniform(0.1, 1, (10, 8)), rng.normal(size=(10, 8))
    judges = (
        beams.rank_of_best, beams.power_ratio, beams.power_loss_db, beams.distance_based_accuracy,
        lambda s, p: beams.adaptive_sweep(s, p, 0.9),
    )  # fmt: skip
    spoilt = score.copy()
    spoilt[row, beam] = np.nan
    for judge in judges:
        with pytest.raises(SiteTwinError, match=rf"the scores of 1 of 10 rows are not numbers \(first: row {row}\)"):
            judge(spoilt, power)
    for value in (np.inf, -0.5):
        wrong = power.copy()
        wrong[row, beam] = value
        for judge in judges:
            with pytest.raises(SiteTwinError, match="1 of 10 rows hold a power that is infinite or negative"):
                judge(score, wrong)
    for value in (np.nan, 0.0):
        wrong = power.copy()
        wrong[row] = value
        for judge in judges:
            with pytest.raises(SiteTwinError, match=rf"1 of 10 rows have no measured power .*first: row {row}\)"):
                judge(score, wrong)
