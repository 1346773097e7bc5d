"""Figures of the tables: published scores as golden values, and laws of losses and accuracies."""

import inspect
from itertools import pairwise

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import distance_based_accuracy
from sitetwin.vision.profiles import (
    ProfileCodebook,
    Reconstruction,
    accuracy_of_picks,
    linear_array_book,
    lost_db,
    mean_loss_db,
    overall_accuracy,
    table_row,
    wide_accuracy,
    wide_agreement,
)

PUBLISHED = {  # scenarios 31 to 34 and the published overall score
    "Avatar": (0.6536, 0.7074, 0.8576, 0.7120, 0.7162),
    "TII": (0.5331, 0.7173, 0.7910, 0.8209, 0.6671),
    "MMJ": (0.3700, 0.8012, 0.8857, 0.8865, 0.6310),
    "805Mainstream": (0.4047, 0.6716, 0.7310, 0.7547, 0.5742),
    "ULTIMO": (0.3100, 0.6889, 0.7557, 0.8061, 0.5466),
    "Import_CERTH": (0.1991, 0.5667, 0.7186, 0.7399, 0.4606),
}
"""Leaderboard of the DeepSense 6G multi-modal beam prediction challenge, 2022."""


@pytest.mark.parametrize("team", PUBLISHED)
def test_published_scores_are_means_over_test_rows(team):
    *scenarios, overall = PUBLISHED[team]
    of = dict(zip(("31", "32", "33", "34"), scenarios, strict=True))
    assert overall_accuracy(of, "samples") == pytest.approx(overall, abs=2e-4)


def test_the_weights_of_the_text_give_other_numbers():
    for team, expected in (("Avatar", 0.7063), ("TII", 0.6548)):
        of = dict(zip(("31", "32", "33", "34"), PUBLISHED[team][:4], strict=True))
        assert overall_accuracy(of, "weights") == pytest.approx(expected, abs=1e-4)


def test_scores_of_scenarios_that_do_not_make_one_are_refused():
    with pytest.raises(SiteTwinError, match="unseen scenario 31"):
        overall_accuracy({"32": 0.5, "33": 0.5}, "weights")
    with pytest.raises(SiteTwinError, match="scenario 5 is not known"):
        overall_accuracy({"5": 0.5}, "samples")
    assert overall_accuracy({"5": 0.5, "1": 1.0}, "samples", {"5": 1, "1": 3}) == pytest.approx(0.875)
    with pytest.raises(SiteTwinError, match="weights or samples"):
        inspect.unwrap(overall_accuracy)({"31": 0.5, "32": 0.5}, "mean")


def test_accuracy_of_picks_is_the_definition_by_hand():
    picks = np.array([[10, 12, 9], [1, 30, 40], [20, 19, 21]])
    best = np.array([9, 60, 20])
    by_hand = [(0.8 + 0.8 + 1.0) / 3, 0.0, 1.0]
    np.testing.assert_allclose(accuracy_of_picks(picks, best), by_hand)
    rng = np.random.default_rng(0)
    score, power = rng.random((50, 64)), rng.random((50, 64))
    order = np.argsort(-score, axis=1)
    np.testing.assert_allclose(accuracy_of_picks(order, power.argmax(axis=1)), distance_based_accuracy(score, power))
    with pytest.raises(SiteTwinError, match="three picks"):
        accuracy_of_picks(picks[:, :2], best)


def test_losses_by_hand_and_more_picks_never_lose_more():
    power = np.array([[1.0, 0.5, 0.1], [0.2, 0.2, 0.8]])
    score = np.array([[0.0, 1.0, 0.5], [0.0, 0.1, 1.0]])
    np.testing.assert_allclose(lost_db(score, power), [20 * np.log10(2), 0])
    np.testing.assert_allclose(lost_db(score, power, log_factor=10), [10 * np.log10(2), 0])
    assert mean_loss_db(score, power) == pytest.approx(20 * np.log10(1.5))
    rng = np.random.default_rng(1)
    score, power = rng.random((80, 64)), rng.random((80, 64))
    losses = [lost_db(score, power, k) for k in (1, 2, 3, 64)]
    assert all((a >= b).all() for a, b in pairwise(losses))
    assert not losses[-1].any()
    assert not np.signbit(losses[-1]).any()
    assert np.isfinite(lost_db(score, np.where(power > 0.5, power, 0.0))).all()


def test_a_row_of_the_tables_and_the_real_split():
    rng = np.random.default_rng(2)
    power = rng.random((100, 64))
    power[:, [0, 63]] = np.nan
    blocked = np.arange(100) < 30
    score = np.where(blocked[:, None], rng.random((100, 64)), np.nan_to_num(power, nan=-np.inf))
    row = table_row(score, power, blocked)
    assert row["los_dba"] == 1
    assert row["los_top1"] == 0
    assert row["nlos_top1"] > 0
    assert row["p50_top1"] == 0
    assert row["p95_top1"] == pytest.approx(2 * row["p95_top1_10log"])
    assert row["top1"] == pytest.approx(np.mean(lost_db(score, power) == 0))
    assert "nlos_dba" not in table_row(score, power, np.zeros(100, dtype=bool))


def test_wide_beams_agree_with_themselves():
    book = ProfileCodebook.of(linear_array_book(), np.isin(np.arange(64), [0, 63]))
    rng = np.random.default_rng(3)
    truth = np.zeros((40, 180))
    truth[np.arange(40), rng.integers(50, 130, 40)] = 1
    power = truth @ book.patterns.T + 0.001
    wide = book.wide()
    found = wide.scores(Reconstruction().profiles(power, book))
    assert wide_accuracy(found, found) == 1
    assert wide_accuracy(-found, found, 6) == 1
    assert wide_accuracy(-found, found, 1) < 0.2
    assert wide_agreement(book.measured(power), found, book.sectors()) > 0.85
