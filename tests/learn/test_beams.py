"""Beam prediction: metrics by hand, the structured twin on streets whose truth is known."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.calibrate import (
    TURNS_DEG,
    Street,
    StructuredConfig,
    StructuredTwin,
    choose_in_turn,
    choose_rows,
    find_sessions,
    turn_posterior,
)
from sitetwin.calibrate.choice import _in_doubt
from sitetwin.calibrate.tuning import certainty
from sitetwin.calibrate.turns import CHANGES_PER_DRIVE, TURN_SD_DEG
from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.baselines import chosen_neighbours, geometric, lookup_table, majority, nearest
from sitetwin.learn.beams.data import BeamSet
from sitetwin.learn.beams.emulator import BeamPowerEmulator, cut_levels_db
from sitetwin.learn.beams.metrics import (
    adaptive_sweep,
    distance_based_accuracy,
    fixed_sweep,
    label_ceiling,
    power_loss_db,
    power_ratio,
    rank_of_best,
)
from sitetwin.learn.beams.network import BeamNetworks, Schedule, network_inputs, stepped_inputs
from sitetwin.learn.beams.splits import drive_folds, random_splits

AZIMUTH = np.radians(np.linspace(-86, 94, 211))
PEAKS = np.linspace(40, -40, 16)


def patterns(peaks: np.ndarray = PEAKS) -> np.ndarray:
    """Gaussian beams of 6 degrees with a floor."""
    return np.exp(-0.5 * ((np.degrees(AZIMUTH) - peaks[:, None]) / 6) ** 2) + 0.01


def street(drives: int = 8, rows: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 2) and drives of cars that go to and fro on two lanes, at speeds of their own."""
    rng = np.random.default_rng(seed)
    place, number = [], []
    for drive in range(drives):
        sign = 1 if drive % 2 else -1
        north = sign * np.linspace(-20, 20, rows) * rng.uniform(0.8, 1.2)
        east = np.full(rows, 21.0 if drive % 2 else 15.0) + rng.normal(0, 0.1, rows)
        place.append(np.stack([east, north], axis=1))
        number.append(np.full(rows, drive))
    return np.concatenate(place), np.concatenate(number)


def measured(place, drive, boresight_deg=0.0, turn=None, along_m=0.0, lag=0.0, noise_db=0.3, seed=1):
    """Powers (N, 16) of an array whose boresight is off, whose position is off, and that may be turned by drive."""
    rng = np.random.default_rng(seed)
    local = place.copy()
    local[:, 1] += along_m
    for number in np.unique(drive):
        rows = drive == number
        local[rows, 1] += lag * np.gradient(place[rows, 1])
    angle = np.degrees(np.arctan2(local[:, 1], local[:, 0])) - boresight_deg
    if turn is not None:
        angle = angle - np.asarray(turn)[drive]
    power = np.stack([np.interp(0.93 * angle, np.degrees(AZIMUTH), row) for row in patterns()], axis=1) + 0.1
    return power * 10 ** (rng.normal(0, noise_db, power.shape) / 10)


def test_metrics_by_hand():
    power = np.array([[1.0, 4.0, 2.0, 0.5], [3.0, np.nan, 1.0, 2.0]])
    score = np.array([[0.1, 0.2, 0.9, 0.0], [0.5, 0.4, 0.3, 0.2]])
    assert rank_of_best(score, power).tolist() == [1, 0]
    np.testing.assert_allclose(power_ratio(score, power, noise=False), [0.5, 1])
    np.testing.assert_allclose(power_ratio(score, power), [(2 - 0.25) / (4 - 0.25), 1])
    assert power_loss_db(score, power) == pytest.approx(10 * np.log10((3.75 / 1.75 + 1) / 2))
    np.testing.assert_allclose(distance_based_accuracy(score, power), [(0.8 + 1 + 1) / 3, 1])
    assert fixed_sweep(np.array([0, 0, 0, 3]), 0.75).beams == 1
    assert fixed_sweep(np.array([0, 0, 0, 3]), 0.95).beams == 4
    assert label_ceiling(np.eye(4)[[0, 0, 1, 1]], np.arange(4), np.array([0, 0, 0, 1])) == pytest.approx(0.5**0.5)


@given(st.integers(0, 10_000))
def test_adaptive_sweeping_with_true_probabilities_delivers_what_is_asked(seed):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.full(8, 0.4), 4000)
    best = (probability.cumsum(axis=1) < rng.random((4000, 1))).sum(axis=1).clip(max=7)
    sweep = adaptive_sweep(probability, np.eye(8)[best], 0.9)
    assert sweep.reliability > 0.9 - 0.03
    assert sweep.beams < fixed_sweep(rank_of_best(probability, np.eye(8)[best]), 0.9).beams + 1


def test_power_without_a_best_beam_is_refused():
    with pytest.raises(SiteTwinError, match="no measured power"):
        rank_of_best(np.zeros((1, 2)), np.full((1, 2), np.nan))


@given(st.integers(0, 1000), st.integers(2, 5))
def test_every_drive_is_tested_once_and_never_in_its_own_pool(seed, folds):
    _, drive = street(drives=7, rows=5)
    splits = drive_folds(drive, folds, seed)
    assert sorted(np.concatenate([s.test for s in splits]).tolist()) == list(range(35))
    for split in splits:
        assert not set(drive[split.test]) & set(drive[split.pool])
    for split in random_splits(35, 3, seed):
        assert sorted([*split.pool, *split.test]) == list(range(35))


def test_more_folds_than_drives_are_refused():
    with pytest.raises(SiteTwinError, match="2 drives cannot make 5 folds"):
        drive_folds(np.array([0, 0, 1]), 5, 0)


def test_baselines_on_a_noiseless_street():
    place, drive = street()
    power = measured(place, drive, noise_db=0.0)
    geometry = geometric(place, patterns(), AZIMUTH, 0.0)
    assert (rank_of_best(geometry, power) < 2).all()  # the scale of 0.93 moves some to the next beam
    assert (rank_of_best(nearest(place, power, place, 1), power) == 0).all()
    assert (rank_of_best(lookup_table(place, power, place), power) == 0).mean() > 0.8
    assert majority(power, 3).sum() == pytest.approx(3)


def test_the_number_of_neighbours_is_that_of_the_best_left_out_answers():
    place = np.repeat(np.arange(6.0), 3)[:, None] * [1.0, 0.0] + np.tile([0, 0.1, 0.2], 6)[:, None] * [0.0, 1.0]
    truth = np.repeat(np.eye(2)[[0, 1, 0, 1, 0, 1]], 3, axis=0) + 0.1
    group = np.tile([0, 1, 2], 6)
    assert chosen_neighbours(place, truth, group, (1, 7, 100)) == 1  # beams alternate: the far neighbours are wrong
    noisy = np.repeat(np.eye(2)[[0, 1]], 9, axis=0) + 0.1
    noisy[::4] = noisy[::4, ::-1]  # a quarter of the labels is wrong: a vote over neighbours forgives it
    assert chosen_neighbours(place, noisy, group, (1, 5)) == 5
    assert chosen_neighbours(place, truth, np.zeros(18), (3, 1)) == 1  # nothing is ever left: the smallest


def test_ten_rows_find_boresight_and_offset():
    place, drive = street()
    power = measured(place, drive, boresight_deg=9.0, along_m=1.5)
    frame = Street.of(place, drive)
    rows = choose_rows(frame, np.random.default_rng(0).permutation(len(place)), 10)
    everyone = np.arange(len(place))[None]
    nothing = StructuredTwin(patterns(), AZIMUTH).fit(frame.rows(everyone[:, :0], power=power))
    before = nothing.predict(frame.rows(everyone))
    fitted = StructuredTwin(patterns(), AZIMUTH).fit(frame.rows(rows[None], power=power))
    after = fitted.predict(frame.rows(everyone))
    np.testing.assert_allclose(after.sum(axis=-1), 1, atol=1e-5)
    assert (rank_of_best(before[0], power) == 0).mean() < 0.4
    assert (rank_of_best(after[0], power) == 0).mean() > 0.85
    truth = 0.93 * (np.degrees(np.arctan2(place[:, 1] + 1.5, place[:, 0])) - 9.0)
    found = fitted.azimuth_deg(frame.rows(everyone))[0]
    assert np.median(np.abs(found - truth)) < 1.0


def test_a_turn_of_the_array_between_drives_is_found_and_used():
    place, drive = street(drives=12)
    turn = np.where(np.arange(12) >= 8, 9.0, 0.0)
    power = measured(place, drive, turn=turn)
    frame = Street.of(place, drive)
    test = np.flatnonzero(np.isin(drive, [3, 9]))
    pool = np.random.default_rng(0).permutation(np.flatnonzero(~np.isin(drive, [3, 9])))
    rows = choose_rows(frame, pool, 40)[None]
    twin = StructuredTwin(patterns(), AZIMUTH, tuned=False).fit(frame.rows(rows, power=power))
    found = twin.calibration
    turns = turn_posterior(found.drive, TURNS_DEG, found.turn_cost, np.array([[3, 9]]))[0] @ TURNS_DEG
    np.testing.assert_allclose(turns, [0, 9 * 0.93], atol=1.0)  # on the axis of the codebook
    answer = twin.predict(frame.rows(test[None]))[0]
    assert (rank_of_best(answer, power[test]) == 0).mean() > 0.8
    blind = StructuredTwin(patterns(), AZIMUTH, sessions=False, tuned=False).fit(frame.rows(rows, power=power))
    worse = blind.predict(frame.rows(test[None]))[0]
    assert (rank_of_best(worse, power[test]) == 0).mean() < 0.75


def test_fits_side_by_side_do_not_touch_each_other():
    place, drive = street()
    power = measured(place, drive, boresight_deg=5.0)
    frame = Street.of(place, drive)
    rows = np.random.default_rng(2).permutation(len(place))[:20].reshape(2, 10)
    both = StructuredTwin(patterns(), AZIMUTH).fit(frame.rows(rows, power=power)).calibration
    alone = StructuredTwin(patterns(), AZIMUTH).fit(frame.rows(rows[1:], power=power)).calibration
    torch.testing.assert_close(both.unknowns["boresight_deg"][1:], alone.unknowns["boresight_deg"], rtol=0, atol=0.05)


def test_rows_without_contrast_say_nothing_and_spoil_nothing():
    place, drive = street()
    power = measured(place, drive, boresight_deg=6.0)
    frame = Street.of(place, drive)
    rows = np.random.default_rng(2).permutation(len(place))[:12]
    power[rows[10], 1:] = np.nan
    power[rows[11]] = 0.5
    config = StructuredConfig(steps=60)
    found = StructuredTwin(patterns(), AZIMUTH, config).fit(frame.rows(rows[None], power=power)).calibration
    without = StructuredTwin(patterns(), AZIMUTH, config).fit(frame.rows(rows[None, :10], power=power)).calibration
    for name, value in found.unknowns.items():
        torch.testing.assert_close(value, without.unknowns[name], rtol=0, atol=0.05)


def test_certainty_is_chosen_inside_the_rows_of_each_fit_alone():
    place, drive = street(drives=4)
    power = measured(place, drive, noise_db=0.2)
    frame = Street.of(place, drive)
    order = np.random.default_rng(2).permutation(len(place))
    model = StructuredTwin(patterns(), AZIMUTH, StructuredConfig(steps=60), sessions=False)
    unseen = np.full_like(power, np.nan)
    unseen[order[:20]] = power[order[:20]]
    alone = certainty(model.fitter, frame.rows(order[None, :20], power=unseen))
    spoiled = power.copy()
    spoiled[order[20:40]] = power[order[20:40]][:, ::-1]
    both = certainty(model.fitter, frame.rows(order[:40].reshape(2, 20), power=spoiled))
    assert (both[0][0], both[1][0]) == (alone[0][0], alone[1][0])
    assert both[0][1] >= alone[0][0]
    few = certainty(model.fitter, frame.rows(order[None, :5], power=power))
    assert few[0].tolist() == [model.config.spread_m]


def test_rows_are_chosen_by_position_alone_and_spread():
    place, drive = street()
    frame = Street.of(place, drive)
    pool = np.random.default_rng(5).permutation(len(place))[:200]
    rows = choose_rows(frame, pool, 12)
    assert len(set(rows.tolist())) == 12
    assert set(rows.tolist()) <= set(pool.tolist())
    assert np.ptp(place[rows, 1]) > 0.7 * np.ptp(place[pool, 1])
    assert len(set(drive[rows] % 2)) == 2


def test_a_fix_at_the_station_does_not_spoil_the_choice():
    place, drive = street()
    place[7] = 0.0
    with np.errstate(all="raise", under="ignore"):
        rows = choose_rows(Street.of(place, drive), np.arange(len(place)), 12)
    assert np.ptp(place[rows, 1]) > 0.7 * np.ptp(place[:, 1])


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


def test_a_drive_with_a_hint_of_a_turn_is_where_the_next_row_is_bought():
    place, drive = street(drives=6)
    frame = Street.of(place, drive)
    everyone = np.arange(len(place))
    chosen = np.array([np.flatnonzero(drive == number)[5] for number in range(6)])
    straight = np.minimum(0.5 * TURNS_DEG**2, 6)
    cost = np.tile(straight, (6, 1))
    assert len(_in_doubt(frame, everyone, chosen, cost)) == len(place)
    cost[5] = np.minimum(0.5 * (TURNS_DEG - 9) ** 2, 6)
    assert set(drive[_in_doubt(frame, everyone, chosen, cost)]) == {5}
    sure = np.concatenate([cost, np.tile(cost[5], (3, 1))])
    assert set(drive[_in_doubt(frame, everyone, np.append(chosen, chosen[[5, 5, 5]]), sure)]) != {5}


def test_rows_chosen_in_turn_read_only_what_is_bought():
    place, drive = street(drives=12)
    power = measured(place, drive, turn=np.where(np.arange(12) >= 11, 9.0, 0.0))
    frame = Street.of(place, drive)
    pools = [np.random.default_rng(k).permutation(len(place)) for k in range(2)]
    model = StructuredTwin(patterns(), AZIMUTH, StructuredConfig(steps=60))
    rows = choose_in_turn(model, frame, pools, power, 20)
    at_once = np.stack([choose_rows(frame, pool, 20) for pool in pools])
    assert (rows[:, :15] == at_once[:, :15]).all()
    assert all(len(set(own.tolist())) == 20 for own in rows)
    unseen = np.full_like(power, np.nan)
    unseen[rows.ravel()] = power[rows.ravel()]
    assert (choose_in_turn(model, frame, pools, unseen, 20) == rows).all()
    assert (choose_in_turn(model, frame, pools, power, 10) == at_once[:, :10]).all()


def test_batched_networks_equal_a_network_alone():
    place, drive = street()
    x = network_inputs(place[:40])
    y = torch.from_numpy(np.argmax(measured(place, drive)[:40], axis=1))
    schedule = Schedule(epochs=3, batch=40)
    both = BeamNetworks(2, 16, torch.Generator().manual_seed(0))
    alone = both.copy().alone(1).copy()
    both.train(x.expand(2, -1, -1), y.expand(2, -1), schedule, torch.Generator().manual_seed(1))
    alone.train(x[None], y[None], schedule, torch.Generator().manual_seed(1))
    torch.testing.assert_close(both.scores(x.expand(2, -1, -1))[1:], alone.scores(x[None]), rtol=1e-3, atol=1e-3)


def test_the_network_learns_a_street():
    place, drive = street(drives=4)
    power = measured(place, drive)
    x, y = network_inputs(place)[None], torch.from_numpy(power.argmax(axis=1))[None]
    networks = BeamNetworks(1, 16, torch.Generator().manual_seed(0))
    networks.train(x, y, Schedule(epochs=16, milestones=(10,)), torch.Generator().manual_seed(1))
    assert (networks.scores(x)[0].argmax(dim=1) == y[0]).float().mean() > 0.5


def test_three_hidden_layers_share_one_matrix():
    networks = BeamNetworks(2, 5, torch.Generator().manual_seed(0), inputs=2)
    (a, p), (b, q), (c, r) = (tuple(t[1] for t in layer) for layer in networks.layers)
    x = torch.rand(2, 7, 2)
    hidden = torch.relu(x[1] @ a + p)
    for _ in range(3):
        hidden = torch.relu(hidden @ b + q)
    torch.testing.assert_close(networks.scores(x)[1], hidden @ c + r)
    torch.testing.assert_close(networks.alone(1).scores(x[1:])[0], hidden @ c + r)


def test_each_network_keeps_its_most_accurate_epoch():
    place, drive = street(drives=4)
    power = measured(place, drive)
    x, y = stepped_inputs(place, place).expand(3, -1, -1), torch.from_numpy(power.argmax(axis=1)).expand(3, -1)
    schedule = Schedule(epochs=12, rate=3e-3, milestones=())
    networks = BeamNetworks(3, 16, torch.Generator().manual_seed(0), inputs=2)
    seen = []
    one_by_one = networks.copy()
    accuracy = one_by_one._accuracy
    one_by_one._accuracy = lambda *held_out: seen.append(accuracy(*held_out)) or seen[-1]
    one_by_one.train(x, y, schedule, torch.Generator().manual_seed(1), (x[:, ::3], y[:, ::3]))
    torch.testing.assert_close(accuracy(x[:, ::3], y[:, ::3]), torch.stack(seen).max(dim=0).values)
    assert len(seen) == 12
    assert (torch.stack(seen).argmax(dim=0) < 11).any()  # for one of them at least it was not the last


def test_stepped_inputs_by_hand():
    everyone = np.array([[0.0, -10.0], [20.0, 30.0]])
    got = stepped_inputs(np.array([[0.0, -10.0], [20.0, 30.0], [10.04, 0.0]]), everyone)
    np.testing.assert_allclose(got, [[0, 0], [199 / 200, 199 / 200], [100 / 200, 50 / 200]])


def test_the_emulator_finds_the_beams_of_an_array_that_it_was_not_told():
    rng = np.random.default_rng(3)
    place = np.stack([rng.uniform(12, 22, 1500), rng.uniform(-18, 18, 1500)], axis=1)
    y = 0.5 * np.arange(16)
    steered = np.exp(-2j * np.pi * y[:, None] * np.sin(np.radians(PEAKS)))
    heard = np.exp(2j * np.pi * y * np.sin(np.arctan2(place[:, 1], place[:, 0]) - 0.2)[:, None])
    power = np.abs(heard @ steered) ** 2 / np.hypot(*place.T)[:, None] ** 2
    network = BeamPowerEmulator(0.2, 16)
    network.fit(BeamSet(place[:1200], power[:1200]), torch.Generator().manual_seed(1))
    answer, level = network.predict(place[1200:]), cut_levels_db(power[1200:])
    assert np.median(np.abs(answer - level)[level > -10]) < 0.3
    assert (answer.argmax(axis=1) == level.argmax(axis=1)).mean() > 0.95


def test_a_saved_twin_predicts_and_goes_on_as_before(tmp_path):
    place, drive = street()
    power = measured(place, drive, boresight_deg=4.0)
    power[3, 2] = np.nan
    frame = Street.of(place, drive)
    order = np.random.default_rng(2).permutation(len(place))
    first, more, asked = order[None, :12], order[None, 12:18], frame.rows(order[None, 20:60])
    first[0, 0] = 3
    twin = StructuredTwin(patterns(), AZIMUTH, StructuredConfig(steps=60)).fit(frame.rows(first, power=power))
    twin.save(tmp_path / "twin.npz")
    loaded = StructuredTwin.load(tmp_path / "twin.npz")
    np.testing.assert_array_equal(loaded.predict(asked), twin.predict(asked))
    before = twin.predict(asked)
    updated = twin.update(frame.rows(more, power=power))
    whole = StructuredTwin(patterns(), AZIMUTH, StructuredConfig(steps=60))
    whole.fit(frame.rows(np.concatenate([first, more], axis=1), power=power))
    np.testing.assert_allclose(updated.predict(asked), whole.predict(asked), atol=1e-6)
    np.testing.assert_allclose(
        loaded.update(frame.rows(more, power=power)).predict(asked), whole.predict(asked), atol=1e-6
    )
    np.testing.assert_array_equal(twin.predict(asked), before)


def test_what_a_structured_twin_cannot_do_is_said(tmp_path):
    place, drive = street(drives=2)
    power, frame = measured(place, drive), Street.of(place, drive)
    rows = frame.rows(np.arange(6)[None])
    twin = StructuredTwin(patterns(), AZIMUTH, StructuredConfig(steps=3))
    for call, said in (
        (lambda: twin.predict(rows), "not fitted"),
        (lambda: twin.update(rows), "not fitted"),
        (lambda: twin.fit(rows), "no powers"),
        (lambda: twin.fit(frame.rows(np.arange(6)[None], power=power[:, :5])), "5 beams .* 16"),
        (lambda: StructuredTwin(patterns(), AZIMUTH, known=("colour",)), "colour"),
        (lambda: StructuredTwin(patterns(), AZIMUTH[::-1].copy()), "rise"),
        (lambda: Street.of(place * np.nan, drive), "finite"),
        (lambda: StructuredTwin.load(tmp_path / "nowhere"), "no model"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            call()
    twin.fit(frame.rows(np.arange(6)[None], power=power)).save(tmp_path / "twin.npz")
    with pytest.raises(SiteTwinError, match="2 sets of rows"):
        twin.predict(frame.rows(np.arange(6).reshape(2, 3)))
    content = (tmp_path / "twin.npz").read_bytes()
    for length in (0, 40, len(content) // 2, len(content) - 3):
        (tmp_path / "twin.npz").write_bytes(content[:length])
        with pytest.raises(SiteTwinError, match="damaged"):
            StructuredTwin.load(tmp_path / "twin.npz")
