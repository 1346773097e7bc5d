"""The semi-analytic evaluator against closed forms; curves, intervals, losses; equalisers with a wrong channel."""

import math

import numpy as np
import pytest
from scipy.stats import ncx2

from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    LinkCurve,
    Precoder,
    ebn0_db,
    modulation,
    mrt_error_rate,
    mrt_gain_nodes,
    mrt_long_term_error_rate,
    precoder,
    q_function,
    semi_analytic,
    snr_loss_db,
    user_snr_losses_db,
)
from tests.link.worlds import complex_normal, ratio, rayleigh


@pytest.mark.parametrize("constellation", ["bpsk", "qpsk", "16qam", "256qam"])
def test_closed_forms_on_weighted_gains_to_nine_digits(constellation):
    # Each node of the law is one user with four equal antennas; the law's weights are the users' probabilities.
    nodes = mrt_gain_nodes(4)
    h = np.repeat(np.sqrt(nodes.gains / 4)[:, None, None], 4, axis=1).astype(complex)
    snrs = np.array([-4.0, 4.0, 12.0, 30.0])
    fixed = semi_analytic(h, precoder("mrt", h, "subcarrier"), snrs, constellation, probabilities=nodes.probabilities)
    exact = [mrt_error_rate(ratio(s), 4, constellation=constellation) for s in snrs]
    np.testing.assert_allclose(fixed.ber, exact, rtol=1e-9)
    long_term = precoder("mrt", h, "long-term", probabilities=nodes.probabilities)
    found = semi_analytic(h, long_term, snrs, constellation, probabilities=nodes.probabilities)
    exact = [mrt_long_term_error_rate(ratio(s), 4, constellation) for s in snrs]
    np.testing.assert_allclose(found.ber, exact, rtol=1e-9)


@pytest.mark.parametrize("correlation", [0.9, 0.5])
def test_a_wrong_channel_in_fading(correlation):
    rng = np.random.default_rng(1)
    h, other = rayleigh(rng, 4000, subcarriers=16), rayleigh(rng, 4000, subcarriers=16)
    known = np.sqrt(correlation) * h + np.sqrt(1 - correlation) * other
    curve = semi_analytic(h, precoder("mrt", known, "subcarrier"), [2.0, 8.0])
    low, high = curve.interval(rng, 0.999)
    for row, snr_db in enumerate((2.0, 8.0)):
        assert low[row] < mrt_error_rate(ratio(snr_db), 4, correlation) < high[row]


def test_dividing_by_the_twins_channel_floors():
    rng = np.random.default_rng(2)
    h, other = rayleigh(rng, 6000, subcarriers=16), rayleigh(rng, 6000, subcarriers=16)
    for correlation, floor in ((0.9, 3.3e-4), (0.5, 4.3e-2)):
        known = np.sqrt(correlation) * h + np.sqrt(1 - correlation) * other
        found = semi_analytic(h, precoder("mrt", known, "subcarrier"), [16.0], equaliser="twin").ber[0]
        assert found == pytest.approx(floor, rel=0.12)


@pytest.mark.parametrize("constellation", ["bpsk", "qpsk", "16qam", "64qam", "256qam"])
def test_a_right_twin_as_equaliser_is_the_true_one(constellation):
    h = rayleigh(np.random.default_rng(3), 10, subcarriers=16)
    send = precoder("mmse", h)
    own = semi_analytic(h, send, [0.0, 10.0], constellation).per_user
    np.testing.assert_allclose(semi_analytic(h, send, [0.0, 10.0], constellation, equaliser="twin").per_user, own)


def test_a_turned_equaliser_by_hand():
    # QPSK turned by an angle: each axis sees cos +- sin of it.
    angle, snr = 0.3, 5.0
    expected = np.mean([q_function(np.sqrt(snr) * (np.cos(angle) + sign * np.sin(angle))) for sign in (1, -1)])
    found = modulation("qpsk").error_rate_after(np.array([np.exp(1j * angle)]), np.array([1 / snr]))
    assert found[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("constellation", ["16qam", "64qam"])
def test_a_wrong_equaliser_by_simulation(constellation):
    rng, kind = np.random.default_rng(4), modulation(constellation)
    bits = rng.integers(0, 2, (40_000 * kind.bits))
    ratio_left, variance = 0.9 * np.exp(0.1j), 0.02
    noise = np.sqrt(variance) * complex_normal(rng, 40_000)
    wrong = np.mean(kind.decide(kind.modulate(bits) * ratio_left + noise) != bits)
    exact = float(kind.error_rate_after(np.array([ratio_left]), np.array([variance]))[0])
    assert wrong == pytest.approx(exact, rel=0.05)


def test_an_estimated_equaliser_against_marcum():
    # BPSK by a reference with noise of its own: J. G. Proakis, Digital Communications, 4th edition, appendix B,
    # P = (1 - Q1(sqrt b, sqrt a) + Q1(sqrt a, sqrt b)) / 2.
    h = np.ones((1, 1, 4000), complex)
    snr, pilots = 2.0, 3.0
    roots = np.sqrt(snr), np.sqrt(pilots * snr)
    a, b = (roots[1] - roots[0]) ** 2 / 2, (roots[1] + roots[0]) ** 2 / 2

    def marcum(x, y):
        return ncx2.sf(y, 2, x)

    expected = (1 - marcum(b, a) + marcum(a, b)) / 2
    rng = np.random.default_rng(5)
    found = semi_analytic(
        h, precoder("mrt", h), 10 * np.log10(snr), "bpsk", equaliser="estimated", pilots=pilots, draws=40, rng=rng
    ).ber[0]
    assert found == pytest.approx(expected, rel=0.01)
    many = semi_analytic(h, precoder("mrt", h), [3.0], equaliser="estimated", pilots=1e9, rng=rng).ber
    np.testing.assert_allclose(many, semi_analytic(h, precoder("mrt", h), [3.0]).ber, rtol=1e-4)


def test_a_curve_tells_the_snr_of_a_bit_error_rate():
    h = np.ones((1, 1, 1), complex)
    snrs = np.arange(-4.0, 14.5, 1.0)
    curve = semi_analytic(h, precoder("mrt", h), snrs)
    assert curve.snr_db_at(1e-3) == pytest.approx(9.7998, abs=0.003)  # 20 log10 of 3.0902
    worse = LinkCurve(snrs + 2.5, curve.per_user, curve.probabilities)
    assert snr_loss_db(worse, curve) == pytest.approx(2.5, abs=1e-9)
    flat = LinkCurve(snrs, np.maximum(curve.per_user, 0.01), curve.probabilities)
    assert math.isinf(snr_loss_db(flat, curve))


def test_energy_per_bit():
    assert ebn0_db(10.0, "qpsk") == pytest.approx([10 - 3.0103], abs=1e-4)
    counted = ebn0_db(10.0, "qpsk", subcarriers=128, prefix=16) - ebn0_db(10.0, "qpsk")
    assert counted == pytest.approx([0.5115], abs=1e-4)


def test_the_interval_is_that_of_users():
    # 100 users of whom each is all right or all wrong: the interval is the binomial one.
    per_user = np.repeat([[0.0, 1.0]], 50, axis=0).reshape(1, 100)
    curve = LinkCurve(np.array([0.0]), per_user, np.full(100, 0.01))
    low, high = curve.interval(np.random.default_rng(6), draws=4000)
    assert [low[0], high[0]] == pytest.approx([0.5 - 1.96 * 0.05, 0.5 + 1.96 * 0.05], abs=0.015)


def _line():
    h = np.ones((2, 1, 1), complex)
    return semi_analytic(h, precoder("mrt", h), [0.0, 5.0])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda h: semi_analytic(h[:2], precoder("mrt", h), [0.0]), r"\(2, 4, 128\) but the precoder is for \(3, 4"),
        (lambda h: semi_analytic(h, Precoder.given(h[:2]), [0.0]), r"\(3, 4, 128\) but the precoder is for \(2, 4"),
        (lambda h: semi_analytic(0 * h, precoder("mrt", h), [0.0]), "channels are zero for 3 of 3 users"),
        (lambda h: semi_analytic(h, precoder("mrt", h), [np.nan]), "snr_db is"),
        (lambda h: semi_analytic(h, precoder("mrt", h), []), "snr_db is"),
        (lambda h: semi_analytic(h, precoder("mrt", h), [0.0], "psk"), "modulation 'psk' is unknown"),
        (lambda h: semi_analytic(h, precoder("mrt", h), [0.0], equaliser="mmse"), "equaliser 'mmse' is unknown"),
        (lambda h: semi_analytic(h, precoder("mrt", h), [0.0], equaliser="estimated"), "rng is None; give a gen"),
        (lambda h: semi_analytic(h, Precoder.given(h), [0.0], equaliser="twin"), "give Precoder.given"),
        (lambda h: semi_analytic(h, precoder("mrt", h), [0.0], probabilities=np.ones(2)), "for 3 users"),
        (lambda h: _line().snr_db_at(0.6), "target is 0.6"),
        (lambda h: _line().snr_db_at(0.4), "below the target 0.4; begin at a lower SNR"),
        (lambda h: snr_loss_db(_line(), _line(), 1e-9), "go on to a higher SNR"),
        (lambda h: semi_analytic(h, precoder("mrt", h), [0.0]).snr_db_at(), "two or more rising"),
        (lambda h: _line().interval(np.random.default_rng(0), 1.5), "level is 1.5"),
        (lambda h: ebn0_db(1.0, prefix=16), "subcarriers is None"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    with pytest.raises(SiteTwinError, match=said):
        call(rayleigh(np.random.default_rng(8), 3))


def test_losses_of_users_are_those_of_each_by_itself():
    rng = np.random.default_rng(11)
    h, other = rayleigh(rng, 60, subcarriers=8), rayleigh(rng, 60, subcarriers=8)
    snr_db = np.arange(-14.0, 31.0)
    genie, twin = (semi_analytic(h, precoder("mrt", known, "subcarrier"), snr_db) for known in (h, h + 0.5 * other))
    losses = user_snr_losses_db(twin, genie)
    for user in (0, 17):
        alone = [LinkCurve(snr_db, curve.per_user[:, [user]], np.ones(1)) for curve in (twin, genie)]
        assert losses[user] == pytest.approx(snr_loss_db(*alone), abs=0.05)
    short = [LinkCurve(snr_db[:20], curve.per_user[:20], curve.probabilities) for curve in (twin, genie)]
    assert np.isinf(user_snr_losses_db(short[0], genie)).any()  # a user who does not get there
    late = LinkCurve(snr_db[40:], genie.per_user[40:], genie.probabilities)
    assert np.isnan(late.user_snr_db_at(1e-3)).all()
    with pytest.raises(SiteTwinError, match="the curves are of 60 users, qpsk, and 1"):
        user_snr_losses_db(twin, LinkCurve(snr_db, genie.per_user[:, :1], np.ones(1)))


@pytest.mark.parametrize("name", ["mrt", "mmse", "mmse-as-printed", "mmse-per-antenna"])
@pytest.mark.parametrize("normalisation", ["none", "subcarrier", "symbol", "long-term"])
def test_power_gains_are_those_of_the_weights(name, normalisation):
    rng = np.random.default_rng(12)
    h, known = rayleigh(rng, 5, subcarriers=8), rayleigh(rng, 5, subcarriers=8)
    given = precoder(name, known, normalisation)
    gains = given.power_gains(h)
    for snr in (0.1, 30.0):
        heard = np.abs(np.einsum("utk,utk->uk", h, given.weights(snr))) ** 2
        np.testing.assert_allclose(gains(snr), heard, rtol=1e-10)
