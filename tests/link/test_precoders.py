"""Laws of precoders: what changes nothing, what power they radiate, and the published table of the genie."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    NORMALISATIONS,
    PRECODERS,
    Precoder,
    effective_gains,
    normalise_power,
    precoder,
    semi_analytic,
    transmit_power,
)
from tests.link.worlds import complex_normal, ratio, rayleigh

SNRS = [-4.0, 0.0, 4.0, 8.0]


@pytest.fixture(scope="module")
def genie():
    return rayleigh(np.random.default_rng(11), 3000)


@pytest.mark.parametrize(
    ("name", "normalisation", "rates"),
    [
        ("mrt", "none", [4.27e-2, 1.38e-2, 3.72e-3, 8.5e-4]),
        ("mmse", "none", [3.57e-1, 2.23e-1, 8.1e-2, 8.7e-3]),
        ("mrt", "subcarrier", [1.21e-1, 4.03e-2, 6.58e-3, 5.2e-4]),
        ("mmse", "subcarrier", [1.21e-1, 4.03e-2, 6.58e-3, 5.2e-4]),
        ("mrt", "symbol", [1.37e-1, 6.34e-2, 2.25e-2, 6.2e-3]),
        ("mmse", "symbol", [1.20e-1, 3.64e-2, 3.26e-3, 2.9e-5]),
        ("mmse-per-antenna", "symbol", [1.29e-1, 4.98e-2, 1.00e-2, 7.6e-4]),
        ("mmse-as-printed", "symbol", [1.76e-1, 1.21e-1, 7.9e-2, 4.8e-2]),
    ],
)
def test_the_published_table_of_the_genie(genie, name, normalisation, rates):
    # The table was simulated with few channels: its rare deep fades differ between sets, most where power follows
    # the channel.
    found = semi_analytic(genie, precoder(name, genie, normalisation), SNRS).ber
    assert np.abs(np.log(found / rates)).max() < (0.6 if rates[-1] < 1e-4 else 0.15)


def test_mean_powers_without_normalisation(genie):
    power = {name: transmit_power(precoder(name, genie, "none").weights(1.0)).mean() for name in PRECODERS}
    moment = [np.mean(np.sum(np.abs(genie) ** 2, axis=1) ** n) for n in (1, 2, 3)]
    assert power["mrt"] == pytest.approx(moment[0], rel=1e-12)
    assert power["mmse-as-printed"] == pytest.approx(moment[2] + 2 * moment[1] + moment[0], rel=1e-12)
    assert [power["mrt"], power["mmse"]] == pytest.approx([4, 0.17], rel=0.02)
    assert [power["mmse-as-printed"], power["mmse-per-antenna-as-printed"]] == pytest.approx([164, 44], rel=0.05)


@pytest.mark.parametrize("name", PRECODERS)
def test_power_is_fixed_exactly(genie, name):
    some = genie[:50]
    weights = {n: precoder(name, some, n).weights(2.0) for n in NORMALISATIONS}
    per_subcarrier = np.sum(np.abs(weights["subcarrier"]) ** 2, axis=1)
    np.testing.assert_allclose(per_subcarrier, 1, rtol=1e-12)
    np.testing.assert_allclose(transmit_power(weights["symbol"]), 1, rtol=1e-12)
    assert transmit_power(weights["long-term"]).mean() == pytest.approx(1, rel=1e-12)
    scale = weights["long-term"] / weights["none"]
    np.testing.assert_allclose(scale, scale.flat[0], rtol=1e-12)


def test_long_term_power_is_a_weighted_mean(genie):
    some, probabilities = genie[:3], np.array([0.5, 0.5, 0.0])
    weights = precoder("mrt", some, "long-term", probabilities=probabilities).weights(1.0)
    assert transmit_power(weights) @ probabilities == pytest.approx(1, rel=1e-12)


def test_mmse_is_the_regularised_inverse(genie):
    h = genie[0, :, 5][:, None]
    exact = np.linalg.solve(h.conj() @ h.T + 0.3 * np.eye(4), h.conj())[:, 0]
    found = precoder("mmse", genie, "none", regularisation=0.3).weights(1.0)[0, :, 5]
    np.testing.assert_allclose(found, exact, rtol=1e-10)


def test_mmse_minimises_the_mean_square_error(genie):
    # E|s - y/beta|^2 over one common factor beta of an OFDM symbol with mean power 1: no other weights do better.
    some, snr = genie[:1, :, :16], 2.0

    def error(weights):
        gains = effective_gains(some, normalise_power(weights, "symbol"))[0]
        beta = (np.sum(np.abs(gains) ** 2) + 16 / snr) / np.sum(gains.real)
        return np.mean(np.abs(1 - gains / beta) ** 2) + 1 / (snr * beta**2)

    best = precoder("mmse", some, "none").weights(snr)
    rng = np.random.default_rng(3)
    for _ in range(20):
        other = best + 1e-2 * np.abs(best).mean() * complex_normal(rng, *best.shape)
        assert error(other) > error(best)


def test_directions_of_mrt_and_mmse_are_one(genie):
    some = genie[:20]
    mrt = precoder("mrt", some, "subcarrier").weights(1.0)
    for xi in (1e-6, 1e-2, 1.0, 1e3):
        mmse = precoder("mmse", some, "subcarrier", regularisation=xi).weights(1.0)
        np.testing.assert_allclose(mmse, mrt, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.abs(effective_gains(some, mrt)), np.linalg.norm(some, axis=1), rtol=1e-12)


def test_a_common_factor_of_the_known_channel_costs_nothing(genie):
    rng = np.random.default_rng(4)
    some = genie[:40]
    factor = complex_normal(rng, 40, 1, 128)
    for name in ("mrt", "mmse"):
        own = semi_analytic(some, precoder(name, some, "subcarrier"), SNRS).per_user
        turned = semi_analytic(some, precoder(name, some * factor, "subcarrier"), SNRS).per_user
        np.testing.assert_allclose(turned, own, rtol=1e-10)
    phase = np.exp(2j * np.pi * rng.random((40, 1, 1)))  # NMSE of 3 dB and no loss, for every normalisation
    for name in PRECODERS:
        own = semi_analytic(some, precoder(name, some), SNRS).per_user
        turned = semi_analytic(some, precoder(name, some * phase), SNRS).per_user
        np.testing.assert_allclose(turned, own, rtol=1e-9)


def test_long_term_inversion_takes_the_fading_away():
    rng = np.random.default_rng(5)
    h = rayleigh(rng, 4000, subcarriers=16, taps=4)
    inverse = precoder("mmse", h, "long-term", regularisation=1e-12)
    gains = np.abs(effective_gains(h, inverse.weights(1.0)))
    assert gains.std() / gains.mean() < 1e-9
    assert gains.mean() ** 2 == pytest.approx(3, rel=0.03)


def test_given_weights():
    rng = np.random.default_rng(6)
    h = rayleigh(rng, 5)
    first = np.zeros((5, 4), complex)
    first[:, 0] = 3
    given = Precoder.given(first, "subcarrier", known=h)
    np.testing.assert_allclose(effective_gains(h, given.weights(1.0)), h[:, 0], rtol=1e-12)
    assert not given.follows_snr
    assert precoder("mmse", h).follows_snr
    assert not precoder("mmse", h, regularisation=1.0).follows_snr


def _with(value):
    h = rayleigh(np.random.default_rng(7), 3)
    h[1] = value
    return h


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda h: precoder("mrt", _with(0)), r"known channels are zero for 1 of 3 users \(the first is number 1\)"),
        (lambda h: precoder("mrt", _with(np.nan)), "known channels hold NaN or infinity in 1 of 3 users"),
        (lambda h: precoder("mrt", h.real), "not complex"),
        (lambda h: precoder("mrt", h[0]), r"known channels have the shape \(4, 128\); give \[users, antennas"),
        (lambda h: precoder("mrt", h[:0]), "are empty"),
        (lambda h: precoder("zf", h), "precoder 'zf' is unknown; choose one of mrt, mmse"),
        (lambda h: precoder("mrt", h, "total"), "normalisation 'total' is unknown"),
        (lambda h: precoder("mmse", h, regularisation=-1.0), "regularisation is -1.0"),
        (lambda h: precoder("mmse", h, probabilities=np.ones(2)), "2 probabilities were given for 3 users"),
        (lambda h: precoder("mmse", h).weights(-2.0), "snr is -2.0"),
        (lambda h: Precoder.given(h[:, :, 0]), r"weights have the shape \(3, 4\)"),
        (lambda h: Precoder.given(h[:, :2], known=h), "weights have the shape"),
        (lambda h: Precoder.given(0 * h), "weights are zero for 3 of 3 users"),
        (lambda h: normalise_power(0 * h, "symbol"), "weights of 3 of 3 users have no power"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(SiteTwinError, match=said):
        call(rayleigh(np.random.default_rng(8), 3))


def test_snr_of_the_precoder_is_a_ratio():
    h = rayleigh(np.random.default_rng(9), 2)
    followed = precoder("mmse", h, "none").weights(ratio(3.0))
    fixed = precoder("mmse", h, "none", regularisation=1 / ratio(3.0)).weights(1.0)
    np.testing.assert_allclose(followed, fixed, rtol=1e-12)
