"""Correctors of a twin's channels: scores by laws, controls on planted maps, networks that learn and can be kept."""

import math

import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn import (
    ChannelPairs,
    CorrectorSchedule,
    GainCorrector,
    MeanCorrector,
    MlpCorrector,
    MlpSize,
    NearestMeasurement,
    PositionCorrector,
    UNetCorrector,
    UNetSize,
    WienerCorrector,
    ZeroCorrector,
    beamforming_efficiency,
    channel_scores,
    common_gain,
)
from sitetwin.learn.correctors.networks import UNet

ANTENNAS, TAPS = 3, 6
SHORT = CorrectorSchedule(epochs=40, rate=3e-3, batch=32)
SMALL_UNET, SMALL_MLP = UNetSize((8, 16, 16, 16)), MlpSize((64, 64, 64))


def complex_normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def planted(users=200, seed=0, noise=0.0):
    """Channels whose measured ones are a fixed linear map of the twin's."""
    twin = complex_normal(users, ANTENNAS, TAPS, seed=seed)
    mixing = complex_normal(ANTENNAS * TAPS, ANTENNAS * TAPS, seed=99) / math.sqrt(ANTENNAS * TAPS)
    measured = (twin.flatten(1) @ mixing).view_as(twin) + noise * complex_normal(*twin.shape, seed=seed + 1)
    positions = torch.rand(users, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 50
    return ChannelPairs(twin, measured, positions)


def all_correctors():
    return [
        ZeroCorrector(),
        MeanCorrector(),
        GainCorrector(),
        WienerCorrector(),
        NearestMeasurement(),
        UNetCorrector(CorrectorSchedule(2), size=SMALL_UNET),
        MlpCorrector(CorrectorSchedule(2), size=SMALL_MLP),
        MlpCorrector(CorrectorSchedule(2), "tap", SMALL_MLP),
        UNetCorrector(CorrectorSchedule(2), "tap", SMALL_UNET),
        PositionCorrector(CorrectorSchedule(2), SMALL_MLP),
    ]


# Scores


def test_a_random_phase_of_each_link_costs_3_db_of_nmse_and_no_beam():
    truth = complex_normal(4000, ANTENNAS, TAPS)
    turns = 2 * math.pi * torch.rand(4000, generator=torch.Generator().manual_seed(1))
    found = truth * torch.polar(torch.ones(4000), turns)[:, None, None]
    scores = channel_scores(truth, found, gain=1.0)
    assert scores.nmse_raw_db == pytest.approx(10 * math.log10(2), abs=0.15)
    assert scores.nmse_phase_db < -100
    assert scores.efficiency == pytest.approx(1, abs=1e-5)


def test_channels_of_equal_energy_never_exceed_6_db_and_opposite_ones_reach_it():
    truth = complex_normal(50, ANTENNAS, TAPS)
    assert channel_scores(truth, -truth, 1.0).nmse_raw_db == pytest.approx(20 * math.log10(2), abs=1e-4)


def test_unrelated_channels_too_strong_by_7_53_db_give_the_published_8_24_db():
    truth = complex_normal(20000, ANTENNAS, TAPS)
    found = complex_normal(20000, ANTENNAS, TAPS, seed=5) * math.sqrt(10**0.753)
    assert channel_scores(truth, found, 1.0).nmse_raw_db == pytest.approx(8.24, abs=0.03)


def test_the_common_gain_makes_the_error_orthogonal_to_what_was_found():
    pairs = planted()
    gain = common_gain(pairs.measured, pairs.twin)
    error = pairs.measured - gain * pairs.twin
    inner = torch.linalg.vecdot(pairs.twin.flatten(), error.flatten())
    assert abs(inner) < 1e-3 * float(pairs.measured.flatten().norm())
    assert common_gain(pairs.measured, torch.zeros_like(pairs.twin)) == 0


def test_beams_of_nothing_are_worth_one_antenna_and_of_a_tone_do_not_see_its_factor():
    truth = complex_normal(30, ANTENNAS, TAPS)
    assert beamforming_efficiency(truth, torch.zeros_like(truth), 16).tolist() == pytest.approx([1 / ANTENNAS] * 30)
    whole = torch.nn.functional.pad(truth, (0, 16 - TAPS))
    turned = torch.fft.ifft(torch.fft.fft(whole) * complex_normal(30, 1, 16, seed=3))
    assert beamforming_efficiency(whole, turned, 16).numpy() == pytest.approx(1, abs=1e-4)


def test_scores_of_what_is_not_finite_are_refused_and_counted():
    truth = complex_normal(10, ANTENNAS, TAPS)
    found = truth.clone()
    found[3, 0, 0] = torch.nan
    with pytest.raises(SiteTwinError, match="1 of 10 users is not finite"):
        channel_scores(truth, found, 1.0)


def test_a_training_ends_when_validation_users_have_seen_no_progress():
    pairs, other = planted(60), planted(20)
    worse = ChannelPairs(other.twin, torch.randn_like(other.measured) * 100, other.positions)  # nothing to be learnt
    told = {}
    for patience in (2, None):
        steps = []
        schedule = CorrectorSchedule(20, rate=0.9, batch=60, patience=patience)
        corrector = MlpCorrector(schedule, size=SMALL_MLP)
        with pytest.MonkeyPatch.context() as patched:
            step = torch.optim.Adam.step
            patched.setattr(torch.optim.Adam, "step", lambda self, s=step, n=steps: (n.append(1), s(self))[1])
            corrector.fit(pairs, torch.Generator().manual_seed(0), worse)
        told[patience] = len(steps)
    assert told[2] < told[None] == 20
    with pytest.raises(SiteTwinError, match="a patience of an epoch or more"):
        CorrectorSchedule(patience=0)


# Scaling and phases


def test_links_or_sets_get_unit_power_an_antenna():
    pairs = planted()
    loud = ChannelPairs(pairs.twin * torch.linspace(1, 9, 200)[:, None, None], pairs.measured * 7, pairs.positions)
    link, whole = loud.scaled("link"), loud.scaled("set")
    for channels in (link.twin, link.measured):
        assert channels.abs().square().sum((1, 2)).numpy() / ANTENNAS == pytest.approx(1, abs=1e-5)
    for channels, before in ((whole.twin, loud.twin), (whole.measured, loud.measured)):
        assert float(channels.abs().square().sum((1, 2)).mean()) / ANTENNAS == pytest.approx(1, abs=1e-5)
        ratio = channels / before
        assert torch.allclose(ratio, ratio[0, 0, 0].expand_as(ratio), atol=1e-6)
    assert loud.scaled("none") is loud


def test_a_user_without_a_path_in_the_twin_stays_zero():
    pairs = planted(5)
    twin = pairs.twin.clone()
    twin[2] = 0
    scaled = ChannelPairs(twin, pairs.measured, pairs.positions).scaled("link").phase_aligned()
    assert bool((scaled.twin[2] == 0).all())
    assert bool(torch.isfinite(torch.view_as_real(scaled.measured)).all())


def test_aligned_phases_do_not_depend_on_what_turned_the_links_and_change_no_beam():
    pairs = planted()
    one, other = (torch.polar(torch.ones(200), 6 * torch.rand(200))[:, None, None] for _ in range(2))
    turned = ChannelPairs(pairs.twin * one, pairs.measured * other, pairs.positions)
    before, after = pairs.phase_aligned(), turned.phase_aligned()
    assert torch.allclose(before.twin, after.twin, atol=1e-4)
    assert torch.allclose(before.measured, after.measured, atol=1e-4)
    inner = torch.linalg.vecdot(after.twin.flatten(1), after.measured.flatten(1))
    assert torch.angle(inner).abs().max() < 1e-4
    assert torch.allclose(
        beamforming_efficiency(pairs.measured, pairs.twin, 16), beamforming_efficiency(after.measured, after.twin, 16)
    )


# Controls


def test_controls_give_what_their_names_say():
    pairs, other = planted(), planted(50, seed=7)
    asked = (other.twin, other.positions)
    assert bool((ZeroCorrector().fit(pairs).predict(*asked) == 0).all())
    mean = MeanCorrector().fit(pairs).predict(*asked)
    assert torch.allclose(mean, pairs.measured.mean(0).expand_as(mean))
    gain = GainCorrector().fit(pairs).predict(*asked)
    assert torch.allclose(gain, other.twin * common_gain(pairs.measured, pairs.twin))
    nearest = NearestMeasurement().fit(pairs)
    distance = torch.cdist(other.positions, pairs.positions)
    assert torch.equal(nearest.predict(*asked), pairs.measured[distance.argmin(1)])
    assert torch.equal(nearest.predict(pairs.twin, pairs.positions), pairs.measured)


def test_a_planted_linear_map_is_found_and_its_ridge_is_chosen_on_validation_users():
    pairs, test = planted(400), planted(100, seed=3)
    found = WienerCorrector().fit(pairs, None, planted(60, seed=9)).predict(test.twin, test.positions)
    assert channel_scores(test.measured, found, 1.0).nmse_raw_db < -60
    noisy, few = planted(24, noise=1.0), planted(60, seed=9, noise=1.0)
    careless = WienerCorrector().fit(noisy).predict(test.twin, test.positions)
    chosen = WienerCorrector().fit(noisy, None, few).predict(test.twin, test.positions)
    scores = [channel_scores(test.measured, found, 1.0).nmse_raw_db for found in (chosen, careless)]
    assert scores[0] <= scores[1] + 0.3


# Networks


@pytest.mark.parametrize("taps", [1, 2, 3, 6, 16, 17])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_the_unet_returns_what_it_was_given_in_shape(taps, kernel_size):
    network = UNet(4, taps, UNetSize((4, 4, 8, 8), kernel_size))
    assert network(torch.randn(3, 4, taps)).shape == (3, 4, taps)
    assert len(network.down) == len(network.up) == len(network.merge) == 4  # with input and output five a side


@pytest.mark.parametrize(
    "corrector", [UNetCorrector(SHORT, size=SMALL_UNET), MlpCorrector(SHORT, size=SMALL_MLP)], ids=["unet", "mlp"]
)
def test_networks_learn_a_planted_map_that_no_gain_explains(corrector):
    pairs, test = planted(600), planted(100, seed=3)
    corrector.fit(pairs, torch.Generator().manual_seed(0), planted(60, seed=9))
    found = channel_scores(test.measured, corrector.predict(test.twin, test.positions), 1.0)
    gain = channel_scores(test.measured, GainCorrector().fit(pairs).predict(test.twin, test.positions), 1.0)
    assert found.nmse_raw_db < gain.nmse_raw_db - 5


def test_a_network_of_single_taps_knows_of_no_other_tap():
    pairs = planted(50)
    corrector = MlpCorrector(CorrectorSchedule(2), "tap", SMALL_MLP).fit(pairs, torch.Generator().manual_seed(0))
    before = corrector.predict(pairs.twin, pairs.positions)
    changed = pairs.twin.clone()
    changed[:, 1, 2] *= 3
    after = corrector.predict(changed, pairs.positions)
    differs = ((before - after).abs() > 1e-6).any(0)
    assert differs.nonzero().tolist() == [[1, 2]]


def test_the_control_of_positions_does_not_look_at_the_twin():
    pairs = planted(50)
    corrector = PositionCorrector(CorrectorSchedule(2), SMALL_MLP).fit(pairs, torch.Generator().manual_seed(0))
    asked = pairs.positions
    assert torch.equal(corrector.predict(pairs.twin, asked), corrector.predict(pairs.twin * 0, asked))
    assert not torch.equal(corrector.predict(pairs.twin, asked), corrector.predict(pairs.twin, asked + 1))


def test_equal_generators_give_equal_networks_and_the_global_one_is_left_alone():
    pairs = planted(50)
    torch.manual_seed(3)
    one, other = (
        UNetCorrector(CorrectorSchedule(2), size=SMALL_UNET).fit(pairs, torch.Generator().manual_seed(5))
        for _ in range(2)
    )
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert torch.equal(one.predict(pairs.twin, pairs.positions), other.predict(pairs.twin, pairs.positions))


@pytest.mark.parametrize("corrector", all_correctors(), ids=lambda c: f"{c.kind} {getattr(c, 'sample', '')}".strip())
def test_a_corrector_read_back_predicts_the_same_and_refuses_other_channels(corrector, tmp_path):
    pairs = planted(40)
    corrector.fit(pairs, torch.Generator().manual_seed(0))
    corrector.save(tmp_path / "model.npz")
    again = type(corrector).load(tmp_path / "model.npz")
    asked = (pairs.twin, pairs.positions)
    assert torch.equal(again.predict(*asked), corrector.predict(*asked))
    with pytest.raises(SiteTwinError, match="3 antennas and 6 taps"):
        again.predict(pairs.twin[:, :2], pairs.positions)
    other = MeanCorrector if corrector.kind != "mean" else ZeroCorrector
    with pytest.raises(SiteTwinError, match="holds a model of the kind"):
        other.load(tmp_path / "model.npz")


def test_a_file_whose_network_has_another_size_is_refused(tmp_path):
    pairs = planted(40)
    corrector = MlpCorrector(CorrectorSchedule(1), size=SMALL_MLP).fit(pairs, torch.Generator().manual_seed(0))
    corrector.size = MlpSize((64, 64, 32))  # the header then lies about the arrays
    corrector.save(tmp_path / "model.npz")
    with pytest.raises(SiteTwinError, match="missing or of another size"):
        MlpCorrector.load(tmp_path / "model.npz")


# Refusals


def test_pairs_that_cannot_be_learnt_from_are_refused_and_counted():
    pairs = planted(10)
    silent, unknown = pairs.measured.clone(), pairs.twin.clone()
    silent[[2, 5]] = 0
    unknown[4, 0, 0] = torch.inf
    with pytest.raises(SiteTwinError, match=r"2 of 10 measured channels are zero \(first: number 2\)"):
        ChannelPairs(pairs.twin, silent, pairs.positions)
    with pytest.raises(SiteTwinError, match=r"1 of 10 channels of the twin are not finite \(first: number 4\)"):
        ChannelPairs(unknown, pairs.measured, pairs.positions)
    with pytest.raises(SiteTwinError, match="same users, antennas and taps"):
        ChannelPairs(pairs.twin[:, :2], pairs.measured, pairs.positions)


def test_what_cannot_be_fitted_says_why():
    pairs = planted(40)
    with pytest.raises(SiteTwinError, match="needs at least 4 measured channels, and there are 3"):
        MlpCorrector().fit(pairs.take(torch.arange(3)), torch.Generator())
    with pytest.raises(SiteTwinError, match=r"torch\.Generator"):
        MlpCorrector().fit(pairs)
    with pytest.raises(SiteTwinError, match="not fitted yet"):
        MlpCorrector().predict(pairs.twin, pairs.positions)
    with pytest.raises(SiteTwinError, match="scaling 'loud' is unknown"):
        pairs.scaled("loud")
    for bad in (lambda: UNetSize(()), lambda: UNetSize(kernel_size=2), lambda: MlpSize((0,))):
        with pytest.raises(SiteTwinError):
            bad()
    with pytest.raises(SiteTwinError, match="6 taps need at least as many subcarriers"):
        beamforming_efficiency(pairs.measured, pairs.twin, 5)
    with pytest.raises(SiteTwinError, match="'channel' or a 'tap'"):
        MlpCorrector(sample="user")
