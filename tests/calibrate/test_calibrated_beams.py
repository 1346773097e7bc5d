"""The calibrated twin of beams on synthetic streets whose truth is known: what it finds, and what changes nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.calibrate import (
    TURNS_DEG,
    BeamPriors,
    CalibratedBeams,
    Track,
    choose_rows,
    find_sessions,
    turn_posterior,
)
from sitetwin.calibrate.geometry import UNKNOWNS, Street, direction
from sitetwin.calibrate.guard import folds_of
from sitetwin.calibrate.readings import GRID_DEG, Patterns, directions, root_powers
from sitetwin.calibrate.turns import CHANGES_PER_DRIVE, TURN_SD_DEG
from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.metrics import rank_of_best
from sitetwin.learn.beams.trees import ExtraTrees

AZIMUTH = np.radians(np.linspace(-86, 94, 211))
PEAKS = np.linspace(40, -40, 16)


def patterns(turned_deg: float = 0.0) -> np.ndarray:
    """Gaussian beams of 6 degrees with a floor, on an axis that may be turned."""
    return np.exp(-0.5 * ((np.degrees(AZIMUTH) - PEAKS[:, None] - turned_deg) / 6) ** 2) + 0.01


def street(drives: int = 8, rows: int = 40, seed: int = 0, fastest: float = 1.2) -> Track:
    """Cars that go to and fro on two lanes, at speeds of their own."""
    rng = np.random.default_rng(seed)
    place, number = [], []
    for drive in range(drives):
        sign = 1 if drive % 2 else -1
        north = sign * np.linspace(-20, 20, rows) * rng.uniform(0.8, fastest)
        east = np.full(rows, 21.0 if drive % 2 else 15.0) + rng.normal(0, 0.1, rows)
        place.append(np.stack([east, north], axis=1))
        number.append(np.full(rows, drive))
    return Track.of(np.concatenate(place), np.concatenate(number))


def measured(track: Track, boresight_deg=0.0, turn=None, moved=(0.0, 0.0), lag=0.0, noise_db=0.3, seed=1) -> np.ndarray:
    """Powers (N, 16) of an array whose boresight and place are off, and that may be turned by drive."""
    rng = np.random.default_rng(seed)
    local = track.position + np.array(moved) + lag * track.velocity
    angle = np.degrees(np.arctan2(local[:, 1], local[:, 0])) - boresight_deg
    if turn is not None:
        angle = angle - np.asarray(turn)[track.drive]
    power = np.stack([np.interp(0.93 * angle, np.degrees(AZIMUTH), row) for row in patterns()], axis=1) + 0.1
    return power * 10 ** (rng.normal(0, noise_db, power.shape) / 10)


def bought(track: Track, count: int, seed: int = 0, without: tuple[int, ...] = ()) -> np.ndarray:
    """Chosen rows, none of some drives."""
    pool = np.flatnonzero(~np.isin(track.drive, without))
    return choose_rows(track, np.random.default_rng(seed).permutation(pool), count)


def top1(model: CalibratedBeams, track: Track, power: np.ndarray, rows: np.ndarray) -> float:
    """Top-1 on all rows of a model that is fitted to some."""
    fitted = model.fit(track.rows(rows), power[rows])
    return float((rank_of_best(fitted.predict_proba(track), power) == 0).mean())


def test_a_dozen_rows_find_boresight_and_offset():
    track = street()
    power = measured(track, boresight_deg=9.0, moved=(0.0, 1.5))
    rows = bought(track, 12)
    model = CalibratedBeams(patterns(), AZIMUTH)
    assert top1(model, track, power, rows) > 0.85
    probability = model.predict_proba(track)
    np.testing.assert_allclose(probability.sum(axis=-1), 1, atol=1e-9)
    assert model.twin is not None
    truth = 0.93 * (np.degrees(np.arctan2(track.position[:, 1] + 1.5, track.position[:, 0])) - 9.0)
    assert np.median(np.abs(model.twin.direction_deg(track) - truth)) < 1.0


@settings(max_examples=5, deadline=None)
@given(added=st.floats(0.0, 5.0), gain_db=st.floats(-60, 60))
def test_a_constant_added_to_all_powers_and_a_gain_change_no_pick(added, gain_db):
    track = street(drives=4)
    power = measured(track, boresight_deg=9.0, moved=(0.0, 1.5))
    rows = bought(track, 12)
    model = CalibratedBeams(patterns(), AZIMUTH)
    before = model.fit(track.rows(rows), power[rows]).predict_proba(track)
    other = (power + added) * 10 ** (gain_db / 10)
    after = model.fit(track.rows(rows), other[rows]).predict_proba(track)
    np.testing.assert_allclose(after, before, atol=1e-4)


@pytest.mark.parametrize("turned", [-25.0, -15.0, 15.0, 25.0])
def test_a_turned_codebook_and_a_turned_array_change_nothing(turned):
    track = street()
    power = measured(track, boresight_deg=3.0, moved=(0.0, 1.0))
    rows = bought(track, 16)
    plain = top1(CalibratedBeams(patterns(), AZIMUTH), track, power, rows)
    assert plain > 0.85
    assert abs(top1(CalibratedBeams(patterns(turned), AZIMUTH), track, power, rows) - plain) <= 0.02
    c, s = np.cos(np.radians(turned)), np.sin(np.radians(turned))
    turn = np.array([[c, s], [-s, c]])
    other = Track(track.position @ turn, track.velocity @ turn, track.drive)
    assert abs(top1(CalibratedBeams(patterns(), AZIMUTH), other, power, rows) - plain) <= 0.02


@pytest.mark.parametrize("moved", [(2.0, 0.0), (-2.0, 2.0), (0.0, -3.0)])
def test_a_station_whose_place_is_off_by_metres_is_found(moved):
    track = street()
    power = measured(track, moved=moved)
    assert top1(CalibratedBeams(patterns(), AZIMUTH), track, power, bought(track, 20)) > 0.85


@pytest.mark.parametrize("lag", [-5.0, 3.0])
def test_a_lag_of_several_fixes_at_full_speed_is_found(lag):
    track = street(fastest=1.6)
    power = measured(track, lag=lag)
    model = CalibratedBeams(patterns(), AZIMUTH)
    assert top1(model, track, power, bought(track, 24)) > 0.85
    assert abs(model.account["modes"][0]["unknowns"]["lag"] - lag) < 1.5


def test_a_turn_of_the_array_between_drives_is_found_and_used():
    track = street(drives=12)
    power = measured(track, turn=np.where(np.arange(12) >= 8, 9.0, 0.0))
    test = np.flatnonzero(np.isin(track.drive, [3, 9]))
    rows = bought(track, 40, without=(3, 9))
    model = CalibratedBeams(patterns(), AZIMUTH).fit(track.rows(rows), power[rows])
    assert (rank_of_best(model.predict_proba(track.rows(test)), power[test]) == 0).mean() > 0.8
    assert max(abs(t) for t in model.account["modes"][0]["turns_deg"]) == pytest.approx(9 * 0.93, abs=1.5)


def test_causal_answers_take_no_turn_from_later_drives():
    track = street(drives=12)
    power = measured(track, turn=np.where(np.arange(12) >= 8, 9.0, 0.0))
    rows = bought(track, 40, without=(8,))
    asked = track.rows(np.flatnonzero(track.drive == 8))
    model = CalibratedBeams(patterns(), AZIMUTH, guarded=False).fit(track.rows(rows), power[rows])
    looks_back = model.predict_proba(asked, causal=True)
    assert model.twin is not None
    turns = model.twin._turns(model.twin.modes[0], asked.drive, causal=True) @ TURNS_DEG
    assert np.abs(turns).max() < 2.0  # nothing before drive 8 has told of the turn
    assert not np.allclose(looks_back, model.predict_proba(asked))
    back, ahead = (model.twin.direction_deg(asked, causal) for causal in (True, False))
    assert np.abs(back - ahead).max() > 2.0  # trees on the twin's direction look ahead no more than the twin does


def test_the_guard_says_where_the_codebook_is_wrong_and_sweeps_more():
    track = street(drives=10)
    power = measured(track)
    shuffled = patterns()[np.random.default_rng(3).permutation(16)]
    rows = bought(track, 40)
    right = CalibratedBeams(patterns(), AZIMUTH).fit(track.rows(rows), power[rows])
    wrong = CalibratedBeams(shuffled, AZIMUTH).fit(track.rows(rows), power[rows])
    assert "stands" in right.decision
    assert "not better" in wrong.decision
    assert wrong.account["weights"]["twin"] < 0.3
    swept = [model.sweep(model.predict_proba(track), 0.95).mean() for model in (right, wrong)]
    assert swept[1] > swept[0] + 0.1
    assert (rank_of_best(wrong.predict_proba(track), power) == 0).mean() > 0.4


def test_rows_without_contrast_say_nothing_and_spoil_nothing():
    track = street()
    power = measured(track, boresight_deg=6.0)
    rows = bought(track, 12)
    power[rows[10], 1:] = np.nan
    power[rows[11]] = 0.5
    model = CalibratedBeams(patterns(), AZIMUTH)
    found = model.fit(track.rows(rows), power[rows]).account["modes"][0]["unknowns"]
    without = model.fit(track.rows(rows[:10]), power[rows[:10]]).account["modes"][0]["unknowns"]
    assert found["boresight_deg"] == pytest.approx(without["boresight_deg"], abs=0.5)


def test_best_beams_alone_calibrate_too():
    track = street()
    power = measured(track, boresight_deg=9.0)
    labels = np.eye(16)[power.argmax(axis=1)]
    assert top1(CalibratedBeams(patterns(), AZIMUTH), track, labels, bought(track, 30)) > 0.75


@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(-40, 40))
@settings(max_examples=20, deadline=None)
def test_a_direction_is_read_back_from_its_powers_whatever_floor_and_gain(seed, floor, gain_db):
    book = Patterns(patterns(), AZIMUTH)
    truth = np.random.default_rng(seed).uniform(-38, 38, 10)
    power = np.stack([np.interp(truth, GRID_DEG, row) for row in book.power], axis=1)
    read, _ = directions(book.misfit((power + floor) * 10 ** (gain_db / 10)), 16)
    np.testing.assert_allclose(read, truth, atol=0.3)


def test_root_powers_by_hand():
    np.testing.assert_allclose(root_powers(np.array([[1.0, 2.0, 5.0], [4.0, np.nan, 3.0]]))[0], [0, 0.5, 1])
    assert np.isnan(root_powers(np.array([[4.0, np.nan, 3.0]]))[0]).tolist() == [False, True, False]


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_derivatives_of_the_direction_are_its_differences(seed):
    rng = np.random.default_rng(seed)
    track = street(drives=2, rows=6, seed=seed)
    seen = Street.of(track).seen(track)
    unknowns = rng.normal(0, 1, len(UNKNOWNS)) + np.eye(len(UNKNOWNS))[-1]
    _, slope = direction(unknowns, seen)
    for k in range(len(UNKNOWNS)):
        step = 1e-5 * np.eye(len(UNKNOWNS))[k]
        difference = (direction(unknowns + step, seen)[0] - direction(unknowns - step, seen)[0]) / 2e-5
        np.testing.assert_allclose(slope[:, k], difference, atol=1e-4)


def test_rows_are_chosen_by_position_alone_and_spread():
    track = street()
    pool = np.random.default_rng(5).permutation(len(track))[:200]
    rows = choose_rows(track, pool, 12)
    assert len(set(rows.tolist())) == 12
    assert set(rows.tolist()) <= set(pool.tolist())
    assert np.ptp(track.position[rows, 1]) > 0.7 * np.ptp(track.position[pool, 1])
    assert len(set(track.drive[rows] % 2)) == 2


def test_a_fix_at_the_station_does_not_spoil_the_choice():
    track = street()
    track.position[7] = 0.0
    with np.errstate(all="raise", under="ignore"):
        rows = choose_rows(track, np.arange(len(track)), 12)
    assert np.ptp(track.position[rows, 1]) > 0.7 * np.ptp(track.position[:, 1])


def test_speeds_are_medians_of_the_steps_so_far_and_are_not_clipped():
    place = np.stack([np.zeros(12), 4.0 * np.arange(12)], axis=1)
    place[6, 1] += 3.0
    track = Track.of(place)
    np.testing.assert_allclose(track.velocity[:, 1], 4.0)
    late = Track.of(place[::2], time=np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0]))
    assert late.velocity[-1, 1] == pytest.approx(8.0)
    with pytest.raises(SiteTwinError, match="finite"):
        Track.of(place * np.nan)


def test_parts_of_the_rows_keep_drives_together():
    drive = np.repeat(np.arange(7), [3, 5, 2, 8, 1, 4, 6])
    part = folds_of(drive)
    assert len(np.unique(part)) == 5
    assert all(len(np.unique(part[drive == number])) == 1 for number in range(7))
    assert len(np.unique(folds_of(np.zeros(20, dtype=np.int64)))) == 5


def test_trees_learn_a_step_and_answer_within_the_targets():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 3))
    y = np.stack([x[:, 0] > 0.2, x[:, 0] <= 0.2], axis=1).astype(np.float64)
    answer = ExtraTrees(50, 2, 1).fit(x, y).predict(x)
    np.testing.assert_allclose(answer.sum(axis=1), 1)
    assert ((answer[:, 0] > 0.5) == (x[:, 0] > 0.2)).mean() > 0.97
    np.testing.assert_array_equal(answer, ExtraTrees(50, 2, 1).fit(x, y).predict(x))


def test_a_saved_predictor_answers_as_before(tmp_path):
    track = street()
    power = measured(track, boresight_deg=4.0)
    power[3, 2] = np.nan
    rows = np.append(bought(track, 23), 3)
    model = CalibratedBeams(patterns(), AZIMUTH).fit(track.rows(rows), power[rows])
    model.save(tmp_path / "model.npz")
    loaded = CalibratedBeams.load(tmp_path / "model.npz")
    np.testing.assert_array_equal(loaded.predict_proba(track), model.predict_proba(track))
    content = (tmp_path / "model.npz").read_bytes()
    for length in (0, 40, len(content) // 2, len(content) - 3):
        (tmp_path / "model.npz").write_bytes(content[:length])
        with pytest.raises(SiteTwinError, match="damaged"):
            CalibratedBeams.load(tmp_path / "model.npz")


def test_without_a_codebook_the_rivals_answer():
    track = street()
    power = measured(track)
    rows = bought(track, 40)
    model = CalibratedBeams().fit(track.rows(rows), power[rows])
    assert "not known" in model.decision
    assert (rank_of_best(model.predict_proba(track), power) == 0).mean() > 0.4


def test_what_cannot_be_calibrated_is_said(tmp_path):
    track = street(drives=2)
    power = measured(track)
    model = CalibratedBeams(patterns(), AZIMUTH)
    for call, said in (
        (lambda: model.predict_proba(track), "not fitted"),
        (lambda: model.fit(track, power[:, :5]), "5 beams .* 16"),
        (lambda: model.fit(track, power[:5]), "pair them"),
        (lambda: model.fit(track, -power), "negative"),
        (lambda: model.fit(track.rows(np.arange(0)), power[:0]), "at least one"),
        (lambda: CalibratedBeams(patterns(), AZIMUTH[::-1].copy()), "rise"),
        (lambda: CalibratedBeams().fit(track.rows(np.arange(1)), power[:1]), "without a codebook one row"),
        (lambda: CalibratedBeams(patterns()), "both"),
        (lambda: CalibratedBeams.load(tmp_path / "nowhere"), "no model"),
        (lambda: CalibratedBeams.sweep(np.ones((1, 2)) / 2, 1.5), "between 0 and 1"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            call()
    for forged in (
        BeamPriors(lane_m=-1.0),
        BeamPriors(lane_common=5.0),
        BeamPriors(drive_m=1e200),
    ):
        few = CalibratedBeams(patterns(), AZIMUTH).fit(track.rows(np.arange(10)), power[:10])
        few.priors = forged
        few.save(tmp_path / "m.npz")
        with pytest.raises(SiteTwinError, match="out of range"):
            CalibratedBeams.load(tmp_path / "m.npz")


def test_change_points_of_costs_made_by_hand():
    turns = np.arange(-20.0, 21.0)
    drive = np.repeat(np.arange(10), 3)[None]
    truth = np.where(drive >= 7, 12.0, 0.0)
    cost = np.minimum(0.5 * (turns - truth[..., None]) ** 2, 12)
    found = find_sessions(drive, turns, cost)
    assert found.session[0].tolist() == [0] * 21 + [1] * 9
    assert found.turn_deg[0].tolist() == [0, 12]
    one_odd_row = cost.copy()
    one_odd_row[0, 4] = np.minimum(0.5 * (turns - 12) ** 2, 12)
    assert find_sessions(drive[:, :21], turns, one_odd_row[:, :21]).turn_deg.shape == (1, 1)


def test_the_posterior_of_turns_is_the_sum_over_all_histories():
    """Against every history of changes and turns of four drives, written out."""
    turns = np.array([-8.0, 0.0, 8.0])
    cost = np.array([[[2.0, 0.1, 3.0], [4.0, 1.0, 1.2], [3.0, 2.5, 0.0]]])
    drive = np.array([[1, 2, 4]])
    fresh = np.exp(-0.5 * (turns / TURN_SD_DEG) ** 2)
    fresh /= fresh.sum()
    total = np.zeros((4, 3))
    for history in itertools.product(range(3), repeat=4):
        chance = fresh[history[0]]
        for before, after in itertools.pairwise(history):
            chance *= (1 - CHANGES_PER_DRIVE) * (before == after) + CHANGES_PER_DRIVE * fresh[after]
        for row, number in enumerate((0, 1, 3)):
            chance *= np.exp(-cost[0, row, history[number]])
        total[range(4), history] += chance
    found = turn_posterior(drive, turns, cost, np.array([[3, 1, 2, 4]]))[0]
    np.testing.assert_allclose(found, (total / total.sum(axis=1, keepdims=True))[[2, 0, 1, 3]], rtol=1e-9)
