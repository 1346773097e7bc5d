"""Closed forms against the law of the gain, against their limits, and against numbers that stand in print."""

import mpmath
import numpy as np
import pytest
from scipy.special import gamma as gamma_function

from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    MODULATIONS,
    awgn_error_rate,
    error_rate_of_gains,
    inversion_error_rate,
    maximal_ratio,
    modulation,
    mrt_error_rate,
    mrt_gain_nodes,
    mrt_long_term_error_rate,
)
from tests.link.worlds import complex_normal, ratio


def test_white_noise():
    assert [awgn_error_rate(ratio(s)) for s in (0, 4, 8)] == pytest.approx([0.15866, 0.05650, 0.006004], rel=1e-3)
    assert awgn_error_rate(2.0, "bpsk") == pytest.approx(awgn_error_rate(4.0, "qpsk"), rel=1e-14)


@pytest.mark.parametrize("name", MODULATIONS)
def test_error_rates_in_white_noise_by_counting_all_decisions(name):
    # Independent of the formula: all points, all regions, the bits of their labels.
    kind, snr = modulation(name), 9.0
    levels = np.unique(kind.points.real.round(12))
    edges = np.concatenate([[-np.inf], (levels[1:] + levels[:-1]) / 2, [np.inf]])
    own = {complex(p.round(12)): label for label, p in enumerate(kind.points)}
    deviation = np.sqrt(1 / snr / 2)
    cdf = np.vectorize(lambda x: float(mpmath.ncdf(x)))
    total = 0.0
    for point, label in own.items():
        in_phase = np.diff(cdf((edges - point.real) / deviation))
        quadrature = np.diff(cdf((edges - point.imag) / deviation)) if kind.bits > 1 else [1.0]
        for i, p in enumerate(in_phase):
            for j, q in enumerate(quadrature):
                decided = own[complex(levels[i], levels[j] if kind.bits > 1 else 0.0)]
                total += p * q * (decided ^ label).bit_count()
    assert total / len(own) / kind.bits == pytest.approx(float(kind.error_rate(snr)), rel=1e-10)


@pytest.mark.parametrize("name", MODULATIONS)
def test_neighbours_differ_in_one_bit_and_bits_come_back(name):
    kind = modulation(name)
    points = kind.points
    apart = np.abs(points[:, None] - points)
    least = apart[apart > 1e-9].min()
    for a, b in np.argwhere(np.isclose(apart, least)):
        assert int(a ^ b).bit_count() == 1
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1)
    bits = np.random.default_rng(0).integers(0, 2, (3, 40 * kind.bits))
    assert (kind.decide(kind.modulate(bits)) == bits).all()


def test_the_labels_are_those_of_3gpp():
    # TS 38.211, section 5.1.4, written out: 16-QAM of the bits b0 b1 b2 b3.
    for label, point in enumerate(modulation("16qam").points):
        b = [label >> (3 - i) & 1 for i in range(4)]
        real = (1 - 2 * b[0]) * (2 - (1 - 2 * b[2]))
        imaginary = (1 - 2 * b[1]) * (2 - (1 - 2 * b[3]))
        assert point == pytest.approx((real + 1j * imaginary) / np.sqrt(10))


def test_maximal_ratio_in_print_and_at_high_snr():
    printed = {-6: 1.728e-1, -2: 7.540e-2, 2: 1.796e-2, 6: 2.001e-3, 30: 2.172e-12}
    for snr_db, rate in printed.items():
        assert mrt_error_rate(ratio(snr_db), 4) == pytest.approx(rate, rel=5e-4)
        assert maximal_ratio(4, ratio(snr_db) / 2) == mrt_error_rate(ratio(snr_db), 4)
    steep = np.log10(mrt_error_rate(1e6, 4) / mrt_error_rate(1e7, 4))
    assert steep == pytest.approx(4, abs=1e-3)


def test_a_wrong_channel_leaves_one_order_of_diversity():
    printed = {(0.9, 2): 2.403e-2, (0.9, 8): 1.343e-3, (0.5, 2): 6.474e-2, (0.5, 8): 1.346e-2}
    for (r, snr_db), rate in printed.items():
        assert mrt_error_rate(ratio(snr_db), 4, r) == pytest.approx(rate, rel=5e-4)
    assert mrt_error_rate(2.0, 4, 0.0) == pytest.approx(maximal_ratio(1, 1.0), rel=1e-14)
    assert mrt_error_rate(1e7, 4, 0.9) == pytest.approx(0.1**3 / 2e7, rel=1e-3)


@pytest.mark.parametrize("constellation", MODULATIONS)
@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, 1.0])
def test_closed_forms_by_quadrature_over_the_law_of_the_gain(constellation, correlation):
    for antennas in (1, 2, 4, 16):
        nodes = mrt_gain_nodes(antennas, correlation)
        mean = nodes.gains @ nodes.probabilities
        assert nodes.probabilities.sum() == pytest.approx(1, rel=1e-12)
        assert mean == pytest.approx(1 + correlation * (antennas - 1), rel=1e-12)
        for snr_db in (-10, 0, 10, 25):
            found = error_rate_of_gains(nodes.gains, ratio(snr_db), constellation, nodes.probabilities)
            assert found == pytest.approx(mrt_error_rate(ratio(snr_db), antennas, correlation, constellation), rel=1e-9)


@pytest.mark.parametrize("constellation", MODULATIONS)
def test_long_term_power_by_quadrature_over_the_law_of_the_gain(constellation):
    for antennas in (1, 4, 16):
        nodes = mrt_gain_nodes(antennas)
        for snr_db in (-4, 8, 20, 60):
            found = error_rate_of_gains(nodes.gains**2 / antennas, ratio(snr_db), constellation, nodes.probabilities)
            assert found == pytest.approx(mrt_long_term_error_rate(ratio(snr_db), antennas, constellation), rel=1e-9)


def test_long_term_power_in_print_and_at_high_snr():
    printed = {-4: 1.406e-1, 0: 6.754e-2, 4: 2.508e-2, 8: 7.356e-3}
    for snr_db, rate in printed.items():
        assert mrt_long_term_error_rate(ratio(snr_db), 4) == pytest.approx(rate, rel=5e-4)
    for antennas in (1, 2, 4):
        high = 1e9
        limit = (high / antennas) ** (-antennas / 2) * 2 ** (antennas / 2 - 1) * gamma_function((antennas + 1) / 2)
        limit /= np.sqrt(np.pi) * gamma_function(antennas + 1)
        assert mrt_long_term_error_rate(high, antennas) == pytest.approx(limit, rel=1e-3)
    exact = mpmath.quad(
        lambda x: mpmath.ncdf(-x * mpmath.sqrt(mpmath.mpf(5) / 4)) * x**3 * mpmath.exp(-x) / 6, [0, 2, 8, 40]
    )
    assert mrt_long_term_error_rate(5.0, 4) == pytest.approx(float(exact), rel=1e-12)


def test_inversion_has_no_fading():
    assert [inversion_error_rate(ratio(s), 4) for s in (4, 8)] == pytest.approx([3.024e-3, 6.785e-6], rel=5e-4)


def test_the_law_of_the_gain_is_that_of_draws():
    rng = np.random.default_rng(2)
    h, e = complex_normal(rng, 200_000, 4), complex_normal(rng, 200_000, 4)
    known = np.sqrt(0.7) * h + np.sqrt(0.3) * e
    gain = np.abs(np.sum(h * known.conj(), axis=1)) ** 2 / np.sum(np.abs(known) ** 2, axis=1)
    nodes = mrt_gain_nodes(4, 0.7)
    for power in (1, 2, -0.3):
        assert np.mean(gain**power) == pytest.approx(nodes.gains**power @ nodes.probabilities, rel=0.02)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: awgn_error_rate(-1.0), "snr is -1.0; give a positive number"),
        (lambda: awgn_error_rate(float("nan")), "snr is nan"),
        (lambda: awgn_error_rate(True), "snr is True"),
        (lambda: awgn_error_rate(1.0, "8psk"), "modulation '8psk' is unknown; choose one of bpsk, qpsk"),
        (lambda: mrt_error_rate(1.0, 0), "antennas is 0"),
        (lambda: mrt_error_rate(1.0, 4, 1.5), "correlation is 1.5"),
        (lambda: mrt_gain_nodes(4, -0.1), "correlation is -0.1"),
        (lambda: inversion_error_rate(1.0, 1), "antennas is 1; give a whole number from 2"),
        (lambda: error_rate_of_gains(np.array([1.0, -1.0]), 1.0), "power gains are finite and not negative"),
        (lambda: error_rate_of_gains(np.ones(2), 1.0, "qpsk", np.ones(3)), "probabilities of the shape"),
        (lambda: modulation("qpsk").modulate(np.array([0, 1, 1])), "do not fill symbols of 2 bits"),
        (lambda: modulation("qpsk").modulate(np.array([0, 2])), "bits are 0 or 1"),
    ],
)
def test_impossible_numbers_are_refused(call, said):
    with pytest.raises(SiteTwinError, match=said):
        call()
