"""Covariance MRT and estimates from few pilots: against draws, against the formulas written out, and their limits."""

from dataclasses import replace

import numpy as np
import pytest

import sitetwin as st
from sitetwin.channel import OfdmGrid
from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    MixedPrior,
    PathPrior,
    SeparablePrior,
    covariance_mrt,
    covariance_of_responses,
    covariance_precoder,
    effective_gains,
    generic_prior,
    link_channels,
    observe_pilots,
    path_prior,
    pilot_precoder,
    pilot_tones,
    precoder,
    semi_analytic,
    snr_loss_db,
)
from tests.link.worlds import complex_normal

GRID = OfdmGrid(3.5e9, 32, 240e3)
OFFSETS = GRID.index.numpy() * GRID.spacing_hz


def random_prior(rng, users=3, paths=5, antennas=4):
    gains = complex_normal(rng, users, paths, antennas)
    return PathPrior(gains, rng.random((users, paths)) * 400e-9, OFFSETS).scaled()


def full_covariance(prior, user):
    """The covariance over antennas and subcarriers as one matrix, written out."""
    turns = np.exp(-2j * np.pi * np.outer(prior.delays[user], prior.offsets_hz))
    v = (prior.gains[user][:, :, None] * turns[:, None, :]).reshape(len(turns), -1)
    return v.T @ v.conj()


@pytest.mark.parametrize(("paths", "pilots"), [(3, 1), (3, 4), (40, 2)])
def test_the_estimate_is_the_textbooks(paths, pilots):
    rng = np.random.default_rng(paths)
    prior = random_prior(rng, paths=paths)
    tones = pilot_tones(32, pilots)
    observed, variance = observe_pilots(prior.draw(rng), tones, 10.0, rng)
    found = prior.estimate(observed, tones, variance)
    at = (np.arange(4)[:, None] * 32 + tones).ravel()
    for user in range(3):
        c = full_covariance(prior, user)
        inner = c[np.ix_(at, at)] + variance * np.eye(len(at))
        exact = c[:, at] @ np.linalg.solve(inner, observed[user].ravel())
        np.testing.assert_allclose(found[user].ravel(), exact, rtol=1e-8, atol=1e-10)


def test_the_estimate_is_unbiased_in_error_and_better_than_others():
    # The mean square error is the trace of the posterior covariance; the error is orthogonal to what was heard.
    rng = np.random.default_rng(1)
    one = random_prior(rng, users=1, paths=6)
    prior = PathPrior(np.repeat(one.gains, 4000, 0), np.repeat(one.delays, 4000, 0), OFFSETS)
    gaussian = prior._responses(complex_normal(rng, 4000, 6))
    tones = pilot_tones(32, 2)
    observed, variance = observe_pilots(gaussian, tones, 10.0, rng)
    error = prior.estimate(observed, tones, variance) - gaussian
    c = full_covariance(one, 0)
    at = (np.arange(4)[:, None] * 32 + tones).ravel()
    posterior = c - c[:, at] @ np.linalg.solve(c[np.ix_(at, at)] + variance * np.eye(len(at)), c[at])
    assert np.mean(np.abs(error) ** 2) == pytest.approx(np.trace(posterior).real / len(c), rel=0.05)
    assert np.abs(np.mean(error * observed[:, :1, :1].conj())) < 0.02


def test_many_strong_pilots_tell_all():
    rng = np.random.default_rng(2)
    prior = random_prior(rng)
    true = prior.draw(rng)
    tones = np.arange(32)
    observed, variance = observe_pilots(true, tones, 80.0, rng)
    np.testing.assert_allclose(prior.estimate(observed, tones, variance), true, atol=2e-3)


def test_random_phases_have_the_covariance():
    rng = np.random.default_rng(3)
    one = random_prior(rng, users=1)
    prior = PathPrior(np.repeat(one.gains, 20_000, 0), np.repeat(one.delays, 20_000, 0), OFFSETS)
    drawn = prior.draw(rng)
    for k in (0, 17):
        sampled = np.einsum("ua,ub->ab", drawn[:, :, k], drawn[:, :, k].conj()) / len(drawn)
        np.testing.assert_allclose(sampled, one.covariance()[0], atol=0.05)
    assert np.trace(one.covariance()[0]).real == pytest.approx(4)


def test_covariance_mrt_takes_most_of_the_mean_power():
    rng = np.random.default_rng(4)
    prior = random_prior(rng, users=6)
    weights = covariance_mrt(prior.covariance(), 32)
    np.testing.assert_allclose(np.sum(np.abs(weights) ** 2, axis=1), 1)
    np.testing.assert_array_equal(weights[:, :, 0], weights[:, :, -1])
    r = prior.covariance()
    best = np.einsum("ua,uab,ub->u", weights[:, :, 0], r, weights[:, :, 0].conj()).real
    np.testing.assert_allclose(best, np.linalg.eigvalsh(r)[:, -1])
    mean = np.mean([np.abs(effective_gains(prior.draw(rng), weights)) ** 2 for _ in range(400)], axis=(0, 2))
    np.testing.assert_allclose(mean, best, rtol=0.15)


def test_covariance_mrt_of_one_path_is_mrt_whatever_the_phase():
    rng = np.random.default_rng(5)
    prior = random_prior(rng, paths=1)
    h = prior.draw(rng)
    blind = semi_analytic(h, covariance_precoder(prior.covariance(), h, "subcarrier"), [0.0, 6.0]).per_user
    genie = semi_analytic(h, precoder("mrt", h, "subcarrier"), [0.0, 6.0]).per_user
    np.testing.assert_allclose(blind, genie, rtol=1e-9)


def test_covariances_from_responses():
    rng = np.random.default_rng(6)
    prior = random_prior(rng)
    turns = np.exp(-2j * np.pi * prior.delays[:, :, None] * prior.offsets_hz)
    responses = prior.gains[:, :, :, None] * turns[:, :, None, :]
    np.testing.assert_allclose(covariance_of_responses(responses), prior.covariance())
    each = covariance_of_responses(responses, per_subcarrier=True)
    np.testing.assert_allclose(each, np.repeat(prior.covariance()[:, None], 32, axis=1))
    squinting = responses * np.exp(1j * np.arange(32) * 0.05 * np.arange(4)[:, None])
    weights = covariance_mrt(covariance_of_responses(squinting, per_subcarrier=True))
    assert weights.shape == (3, 4, 32)
    r = covariance_of_responses(squinting, per_subcarrier=True)[1, 9]
    power = (weights[1, :, 9] @ r @ weights[1, :, 9].conj()).real
    assert power == pytest.approx(np.linalg.eigvalsh(r)[-1])


def test_a_generic_prior_has_its_profile():
    radio = st.Radio("ula:4")
    spread = 100e-9
    prior = generic_prior(GRID, radio, spread)
    # The delays of an exponential profile, integrated: its correlation over frequency.
    delay = (np.arange(200_000) + 0.5) * 1e-11
    law = np.exp(-delay / spread) / spread * 1e-11
    for step in (1, 5):
        exact = np.sum(law * np.exp(-2j * np.pi * step * 240e3 * delay))
        assert prior.frequency[step, 0] == pytest.approx(exact, abs=1e-3)
    uniform = generic_prior(GRID, radio, spread, "uniform").frequency
    width = np.sqrt(12) * spread
    delay = (np.arange(10_000) + 0.5) / 10_000 * width
    assert uniform[3, 0] == pytest.approx(np.mean(np.exp(-2j * np.pi * 3 * 240e3 * delay)), abs=1e-6)
    assert prior.space[0, 1] == pytest.approx(0, abs=1e-12)  # half a wavelength
    wide = st.Radio(st.AntennaArray.ula(2, spacing=0.25))
    assert generic_prior(GRID, wide, spread).space[0, 1] == pytest.approx(2 / np.pi)
    assert generic_prior(GRID, radio, spread, angles="independent").space == pytest.approx(np.eye(4))


def test_separable_and_path_priors_agree():
    # One covariance written in both ways: a grid of paths with all pairs of delay and direction.
    rng = np.random.default_rng(7)
    delays, directions = rng.random(5) * 300e-9, complex_normal(rng, 6, 4) / np.sqrt(6)
    gains = np.repeat(directions[None], 5, axis=0).reshape(1, 30, 4) / np.sqrt(5)
    paths = PathPrior(gains, np.repeat(delays, 6)[None], OFFSETS)
    turns = np.exp(-2j * np.pi * np.outer(OFFSETS, delays)) / np.sqrt(5)
    separable = SeparablePrior(directions.T @ directions.conj(), turns @ turns.conj().T)
    tones = pilot_tones(32, 3)
    observed, variance = observe_pilots(paths.draw(rng), tones, 5.0, rng)
    np.testing.assert_allclose(
        paths.estimate(observed, tones, variance), separable.estimate(observed, tones, variance), atol=1e-9
    )


def test_a_mixed_prior_is_each_of_its_two_at_the_ends_and_holds_what_the_twin_lacks():
    rng = np.random.default_rng(11)
    twin, generic = random_prior(rng, users=50, paths=3), generic_prior(GRID, st.Radio("ula:4"), 100e-9)
    tones = pilot_tones(32, 2)
    observed, variance = observe_pilots(twin.draw(rng), tones, 5.0, rng)
    for share, alone in ((0.0, twin), (1.0, generic)):
        mixed = MixedPrior(twin, generic, share).estimate(observed, tones, variance)
        np.testing.assert_allclose(mixed, alone.estimate(observed, tones, variance), atol=1e-9)
    # A world in which half of the power comes on paths that the twin does not have.
    lacking = replace(twin, gains=twin.gains / np.sqrt(2))
    missing = random_prior(np.random.default_rng(12), users=50, paths=20)
    channel = lacking.draw(rng) + missing.draw(rng) / np.sqrt(2)
    tones = pilot_tones(32, 8)
    observed, variance = observe_pilots(channel, tones, 20.0, rng)
    error = {
        share: np.mean(np.abs(MixedPrior(twin, generic, share).estimate(observed, tones, variance) - channel) ** 2)
        for share in (0.0, 0.5)
    }
    assert error[0.5] < 0.5 * error[0.0]


def test_the_right_prior_needs_fewer_pilots():
    rng = np.random.default_rng(8)
    one = random_prior(rng, users=400, paths=4)
    h = one.draw(rng)
    snrs = np.arange(-6.0, 16.0)
    genie = semi_analytic(h, precoder("mrt", h, "subcarrier"), snrs)
    generic = generic_prior(GRID, st.Radio("ula:4"), 120e-9, angles="independent")

    def loss(prior, pilots):
        send = pilot_precoder(h, prior, pilots, 10.0, rng, normalisation="subcarrier")
        return snr_loss_db(semi_analytic(h, send, snrs), genie, 1e-2)

    assert loss(one, 1) < loss(generic, 1) / 2
    assert loss(one, 4) < loss(one, 1)
    assert loss(one, 1) > 0


def test_pilots_are_evenly_spread():
    assert pilot_tones(128, 1).tolist() == [64]
    assert pilot_tones(128, 4).tolist() == [16, 48, 80, 112]
    assert pilot_tones(5, 5).tolist() == [0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def canyon():
    site = st.open_site("simple_street_canyon")
    users = np.array([[0.0, 0.0, 1.5], [10.0, 2.0, 1.5], [20.0, -2.0, 1.5], [0.0, 40.0, 1.5]])
    paths = st.trace(site, tx=(-33.0, 0.0, 12.0), users=users, max_depth=2)
    return site, paths, st.gains(paths, site, carrier_hz=3.5e9, radio=st.Radio("ula:4"))


@pytest.mark.parametrize("reference", ["transmission", "first-path"])
def test_the_prior_of_a_twin_holds_its_channel(canyon, reference):
    # The twin's own phases are one case of the prior's: with all of them 0 it gives the channel of the package.
    site, paths, gains = canyon
    served = np.asarray(paths.counts) > 0
    paths, gains = gains.select_users(paths, served)
    prior = path_prior(paths, gains, OfdmGrid(3.5e9, 32, 240e3), delay_reference=reference)
    array = st.channels(
        paths, site, carrier_hz=3.5e9, radio=st.Radio("ula:4"), subcarriers=32, spacing_hz=240e3,
        delay_reference=reference,
    )  # fmt: skip
    h = link_channels(array).values
    made = prior._responses(np.ones(prior.delays.shape))
    np.testing.assert_allclose(made, h, atol=1e-4 * np.abs(h).max())
    assert path_prior(paths, gains, GRID, max_paths=1).gains.shape[1] == 1


def test_users_without_a_path_are_named(canyon):
    site, _, gains = canyon
    far = st.trace(site, tx=(-33.0, 0.0, 12.0), users=np.array([[0.0, 0.0, 1.5], [0.0, 60.0, 1.5]]), max_depth=0)
    if np.asarray(far.counts).all():
        pytest.skip("this user sees the mast")
    gains = st.gains(far, site, carrier_hz=3.5e9, radio=st.Radio("ula:4"))
    with pytest.raises(SiteTwinError, match="1 of 2 users have no path in the twin"):
        path_prior(far, gains, GRID)


def _prior():
    return random_prior(np.random.default_rng(9))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PathPrior(np.zeros((2, 3, 4), complex), np.zeros((2, 3)), OFFSETS), "are zero for 2 of 2 users"),
        (lambda: PathPrior(np.ones((2, 3, 4), complex), np.full((2, 3), np.nan), OFFSETS), "delays of the shape"),
        (lambda: _prior().estimate(np.ones((2, 4, 1), complex), np.array([1]), 0.1), "observed pilots have the shape"),
        (lambda: _prior().estimate(np.ones((3, 4, 1), complex), np.array([40]), 0.1), "tones are"),
        (lambda: _prior().estimate(np.ones((3, 4, 1), complex), np.array([1]), 0.0), "noise_variance is 0.0"),
        (lambda: MixedPrior(_prior(), generic_prior(GRID, st.Radio("ula:4"), 1e-8), 1.5), "generic_share is 1.5"),
        (lambda: MixedPrior(_prior(), generic_prior(GRID, st.Radio("ula:2"), 1e-8), 0.5), "for one array and grid"),
        (lambda: pilot_tones(4, 5), "pilots is 5; give a whole number from 1 to 4"),
        (lambda: generic_prior(GRID, st.Radio(), -1e-9), "delay_spread_s is -1e-09"),
        (lambda: generic_prior(GRID, st.Radio(), 1e-9, "flat"), "profile 'flat' is unknown"),
        (lambda: covariance_mrt(np.ones((2, 3, 4), complex), 8), "not Hermitian"),
        (lambda: covariance_mrt(np.zeros((2, 4, 4), complex), 8), "a covariance is zero"),
        (lambda: covariance_mrt(_prior().covariance()), "give subcarriers"),
        (lambda: covariance_of_responses(np.ones((2, 3, 4))), "responses of the paths have the shape"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(SiteTwinError, match=said):
        call()
