"""Counting bit errors: against exact rates, in both domains, for all constellations; stopping and intervals."""

import numpy as np
import pytest
from scipy.stats import kstest

from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    MODULATIONS,
    inversion_error_rate,
    kernels,
    modulation,
    monte_carlo,
    mrt_error_rate,
    precoder,
    response_of_taps,
    semi_analytic,
)
from sitetwin.link.constellations import Modulation
from sitetwin.link.counting import SimulatedCurve
from sitetwin.link.equalisers import Equaliser
from sitetwin.link.simulation import Transmission
from tests.link.worlds import complex_normal, ratio, rayleigh_taps


@pytest.fixture(scope="module")
def world():
    taps = rayleigh_taps(np.random.default_rng(21), 40, 4, 9)
    return taps, response_of_taps(taps, 32)


@pytest.mark.parametrize(
    ("constellation", "equaliser"),
    [*((name, "true") for name in MODULATIONS), ("bpsk", "twin"), ("qpsk", "twin"), ("64qam", "twin"),
     ("qpsk", "estimated"), ("16qam", "estimated")],
)  # fmt: skip
def test_counts_are_the_exact_rates(world, constellation, equaliser):
    taps, h = world
    rng = np.random.default_rng(1)
    other = response_of_taps(rayleigh_taps(rng, 40, 4, 9), 32)
    send = precoder("mmse", np.sqrt(0.9) * h + np.sqrt(0.1) * other)
    snr_db = [2.0]
    exact = semi_analytic(h, send, snr_db, constellation, equaliser=equaliser, rng=rng, draws=50).ber[0]
    # One user's errors are independent between symbols here, so that the spread of the counts is known from below.
    for channel, prefix in ((h, None), (taps, 8)):
        found = monte_carlo(
            channel, send, snr_db, constellation, rng=rng, prefix=prefix, equaliser=equaliser,
            target_errors=4000, symbols=32, most_rounds=60,
        )  # fmt: skip
        assert found.ber[0] == pytest.approx(exact, rel=0.07)


@pytest.mark.parametrize("snr_db", [-2.0, 2.0])
def test_closed_forms_lie_within_the_interval(snr_db):
    rng = np.random.default_rng(2)
    taps = rayleigh_taps(rng, 1500, 4, 4)
    h = response_of_taps(taps, 8)
    wrong = np.sqrt(0.5) * h + np.sqrt(0.5) * response_of_taps(rayleigh_taps(rng, 1500, 4, 4), 8)
    for known, correlation in ((h, 1.0), (wrong, 0.5)):
        curve = monte_carlo(h, precoder("mrt", known, "subcarrier"), [snr_db], rng=rng, target_errors=2000)
        low, high = curve.interval(rng, 0.999)
        assert low[0] < mrt_error_rate(ratio(snr_db), 4, correlation) < high[0]
    inverse = precoder("mmse", h, "long-term", regularisation=1e-9)
    curve = monte_carlo(taps, inverse, [snr_db], rng=rng, prefix=4, target_errors=2000)
    assert curve.ber[0] == pytest.approx(inversion_error_rate(ratio(snr_db), 4), rel=0.25)


def test_the_same_generator_gives_the_same_curve(world):
    taps, h = world
    first, second = (
        monte_carlo(taps, precoder("mrt", h), [0.0, 4.0], rng=np.random.default_rng(5), prefix=8, target_errors=500)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.errors, second.errors)
    assert first.ber[0] > first.ber[1]


def test_bits_that_are_sent_without_noise_arrive(world):
    _, h = world
    send = precoder("mrt", h)
    rng = np.random.default_rng(6)
    for name in MODULATIONS:
        kind = modulation(name)
        link = Transmission.at(h, Equaliser("true", send), kind, 1e9, None)
        labels = rng.integers(0, 2**kind.bits, (40, 3, 32), dtype=np.uint8)
        assert link.errors(labels, rng).sum() == 0


def test_every_wrong_bit_is_counted():
    # A receiver that turns everything by 180 degrees has all bits of BPSK and QPSK wrong, and the sign bits of QAM.
    h = np.ones((1, 1, 4), complex)
    for kind, share in ((modulation("bpsk"), 1.0), (modulation("qpsk"), 1.0), (modulation("64qam"), 1 / 3)):
        send = precoder("mrt", h)
        turned = precoder("mrt", -h)
        link = Transmission.at(h, Equaliser("twin", turned), kind, 1e9, None)
        link = Transmission(kind, -link.gains, link.weights, None, 0, 1e9, Equaliser("twin", send), link.gains)
        labels = np.arange(4 * 2**kind.bits, dtype=np.uint8).reshape(1, -1, 4) % 2**kind.bits
        assert link.errors(labels, np.random.default_rng(7)).sum() == share * labels.size * kind.bits


def test_stopping_at_errors_leaves_no_bias():
    # Rounds of one bit, stopped at the third error: 3/n is high by a fifth or more, (3 - 1)/(n - 1) is right.
    h = np.ones((1, 1, 1), complex)
    send, rng = precoder("mrt", h), np.random.default_rng(8)
    curves = [
        monte_carlo(h, send, [-3.0], "bpsk", rng=rng, target_errors=3, symbols=1, most_rounds=10_000)
        for _ in range(400)
    ]
    exact = float(modulation("bpsk").error_rate(ratio(-3.0)))
    rates = np.array([curve.ber[0] for curve in curves])
    assert all(curve.stopped[0] and curve.errors[0, 0] == 2 for curve in curves)
    assert abs(rates.mean() - exact) < 3.5 * rates.std() / np.sqrt(len(rates))
    assert np.mean([3 / (curve.bits[0] + 1) for curve in curves]) > 1.2 * exact


def test_rounds_come_to_an_end(world):
    _, h = world
    curve = monte_carlo(h, precoder("mrt", h), [30.0], rng=np.random.default_rng(9), most_rounds=3, symbols=2)
    assert (curve.rounds[0], curve.stopped[0], curve.bits[0]) == (3, False, 3 * 2 * 32 * 2)


def test_the_noise_is_normal():
    raw = np.random.default_rng(12).integers(0, 2**64, 100_000, dtype=np.uint64).view(np.int32).reshape(-1, 2)
    found = np.empty(raw.shape, np.float32)
    kernels.normal_pairs(raw, found)
    # The same bits by the formula, in double precision.
    radius = np.sqrt(-2 * np.log(((raw[:, 0] & 0x7FFFFFFF) + 0.5) / 2**31))
    angle = 2 * np.pi * raw[:, 1] / 2**32
    exact = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    assert np.abs(found - exact).max() < 5e-4
    assert np.abs(found - exact)[radius > 0.1].max() < 2e-5
    assert kstest(found.ravel(), "norm").pvalue > 1e-3
    assert kstest(found[:, 0] * found[:, 1], exact[:, 0] * exact[:, 1]).pvalue > 0.5
    assert np.corrcoef(found.T**2)[0, 1] == pytest.approx(0, abs=0.01)


def _curve(errors, bits):
    errors = np.asarray([errors])
    return SimulatedCurve(
        np.zeros(1), errors / bits, np.full(errors.shape[1], 1 / errors.shape[1]),
        errors=errors, bits=np.array([bits]),
    )  # fmt: skip


def test_the_interval_knows_clusters_and_rare_errors():
    rng = np.random.default_rng(10)
    low, high = _curve([0] * 20, 1000).interval(rng)
    assert low[0] == 0
    assert high[0] == pytest.approx(3.69 / 20_000, rel=0.01)  # -ln(0.025) of n
    clustered = np.zeros(100, int)
    clustered[:10] = 100
    low, high = _curve(list(clustered), 1000).interval(rng, draws=4000)
    spread = 1.96 * 0.03 * 0.1  # of a tenth of 100 users, each with a rate of a tenth
    assert [low[0], high[0]] == pytest.approx([0.01 - spread, 0.01 + spread], rel=0.25)
    low, high = _curve([50], 1000).interval(rng)
    assert [low[0], high[0]] == pytest.approx([0.0373, 0.0654], abs=2e-4)


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(11)
    exact, inside = mrt_error_rate(1.0, 2), 0
    for _ in range(80):
        h = complex_normal(rng, 120, 2, 1)
        curve = monte_carlo(h, precoder("mrt", h, "subcarrier"), [0.0], rng=rng, target_errors=100, symbols=16)
        low, high = curve.interval(rng, 0.9, 200)
        inside += bool(low[0] < exact < high[0])
    assert 64 <= inside <= 80


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prefix": 33}, "repeats an OFDM symbol of 32"),
        ({"target_errors": 0}, "target_errors is 0"),
        ({"most_rounds": 1}, "most_rounds is 1; give a whole number from 2"),
        ({"symbols": 0}, "symbols is 0"),
        ({"equaliser": "none"}, "equaliser 'none' is unknown"),
        ({"pilots": -1.0, "equaliser": "estimated"}, "pilots is -1.0"),
        ({"constellation": "qam"}, "modulation 'qam' is unknown"),
        ({"snr_db": [float("inf")]}, "snr_db is"),
    ],
)
def test_what_cannot_be_is_refused(world, change, said):
    taps, h = world
    choices = {"snr_db": [0.0], "prefix": 8, **change}
    with pytest.raises(SiteTwinError, match=said):
        monte_carlo(taps, precoder("mrt", h), rng=np.random.default_rng(0), **choices)


def test_channels_of_others_are_refused(world):
    taps, h = world
    rng = np.random.default_rng(0)
    with pytest.raises(SiteTwinError, match=r"of \(3, 4\) users and antennas but the precoder is of \(40, 4\)"):
        monte_carlo(taps[:3], precoder("mrt", h), [0.0], rng=rng, prefix=8)
    with pytest.raises(SiteTwinError, match="the precoder is for"):
        monte_carlo(h[:3], precoder("mrt", h), [0.0], rng=rng)


def test_constellations_are_shared():
    assert isinstance(modulation("qpsk"), Modulation)
    assert modulation("qpsk") is modulation(modulation("qpsk"))
