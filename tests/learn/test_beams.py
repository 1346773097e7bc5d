"""Beam prediction: metrics by hand, baselines and networks on streets whose truth is known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize("step", [0.1, 0.4, 0.7])
@pytest.mark.parametrize("right", [0.7, 0.9])
def test_the_ceiling_is_what_label_noise_leaves_however_far_rows_stand_apart(step: float, right: float) -> None:
    """Beams are 3 m wide along the way; each label is that of the true beam with a known probability."""
    rng = np.random.default_rng(0)
    place = np.stack([np.zeros(6000), np.arange(6000) * step], axis=1)
    true = (place[:, 1] // 3).astype(int) % 40
    label = np.where(rng.random(6000) < right, true, rng.integers(0, 40, 6000))
    found = label_ceiling(np.eye(40)[label] + 0.01, place, np.zeros(6000, dtype=int))
    assert found == pytest.approx(right, abs=0.04)


def test_rows_far_apart_tell_no_ceiling() -> None:
    place = np.stack([np.zeros(200), np.arange(200) * 2.0], axis=1)
    power = np.eye(4)[np.arange(200) % 4] + 0.1
    assert np.isnan(label_ceiling(power, place, np.zeros(200, dtype=int)))
    assert np.isnan(label_ceiling(power, place / 10, np.arange(200)))
