"""Interference where the prefix is short: matrices against a transmission written out, powers against simulation."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.link import (
    interference,
    interference_matrices,
    monte_carlo,
    precoder,
    response_of_taps,
    semi_analytic,
    signal_to_interference,
    with_interference,
)
from tests.link.worlds import complex_normal, rayleigh_taps


def transmit(taps, weights, symbols, prefix):
    """Received subcarriers of the last OFDM symbol of a stream, step by step: plain convolution, no matrix."""
    count, size = symbols.shape
    stream = np.zeros((len(taps), count * (size + prefix)), complex)
    for t in range(len(taps)):
        for m in range(count):
            time = np.fft.ifft(np.fft.ifftshift(symbols[m] * weights[t])) * np.sqrt(size)
            block = np.concatenate([time[size - prefix :], time])
            stream[t, m * (size + prefix) : (m + 1) * (size + prefix)] = block
    received = sum(np.convolve(stream[t], taps[t]) for t in range(len(taps)))
    window = received[(count - 1) * (size + prefix) + prefix :][:size]
    return np.fft.fftshift(np.fft.fft(window)) / np.sqrt(size)


@pytest.mark.parametrize(
    ("size", "prefix", "length"), [(16, 4, 3), (16, 4, 5), (16, 4, 12), (16, 4, 25), (15, 3, 50), (8, 0, 6), (8, 8, 30)]
)
def test_the_matrices_are_the_transmission(size, prefix, length):
    rng = np.random.default_rng(size + length)
    taps, weights = complex_normal(rng, 3, length), complex_normal(rng, 3, size)
    matrices = interference_matrices(taps, weights, prefix)
    symbols = complex_normal(rng, len(matrices) + 1, size)
    expected = sum(matrices[i] @ symbols[-1 - i] for i in range(len(matrices)))
    np.testing.assert_allclose(expected, transmit(taps, weights, symbols, prefix), atol=1e-10)
    if length <= prefix + 1:
        own = np.sum(response_of_taps(taps[None], size)[0] * weights, axis=0)
        np.testing.assert_allclose(matrices[0], np.diag(own), atol=1e-12)
        assert len(matrices) == 1


def test_gain_and_power_are_those_of_the_matrices():
    rng = np.random.default_rng(1)
    taps, weights = complex_normal(rng, 2, 3, 14), complex_normal(rng, 2, 3, 16)
    found = interference(taps, weights, 4)
    for user in range(2):
        own, before = np.abs(interference_matrices(taps[user], weights[user], 4)) ** 2
        np.testing.assert_allclose(found.gain[user], np.diag(interference_matrices(taps[user], weights[user], 4)[0]))
        assert np.abs(found.gain[user]) ** 2 == pytest.approx(np.diag(own))
        assert found.carriers[user] == pytest.approx(own.sum(axis=1) - np.diag(own))
        assert found.symbols[user] == pytest.approx(before.sum(axis=1))


def test_powers_are_those_of_a_simulation_within_three_percent():
    rng = np.random.default_rng(2)
    size, prefix = 64, 4
    taps = rayleigh_taps(rng, 1, 2, 20)[0]
    weights = precoder("mrt", response_of_taps(taps[None], size)).weights(1.0)
    exact = interference(taps[None], weights, prefix)
    disturbance = []
    for _ in range(2500):
        symbols = (rng.integers(0, 2, (2, size)) * 2 - 1) + 1j * (rng.integers(0, 2, (2, size)) * 2 - 1)
        symbols = symbols / np.sqrt(2)
        got = transmit(taps, weights[0], symbols, prefix)
        disturbance.append(np.abs(got - exact.gain[0] * symbols[1]) ** 2)
    assert np.mean(disturbance) == pytest.approx(np.mean(exact.carriers + exact.symbols), rel=0.03)


def test_the_mean_formula_is_the_mean_of_the_matrices():
    rng = np.random.default_rng(3)
    taps = rayleigh_taps(rng, 400, 1, 40) * 1.0
    flat = np.ones((400, 1, 64), complex)
    found = interference(taps, flat, 10)
    power = np.mean(found.carriers + found.symbols)
    ratio = np.mean(np.abs(found.gain) ** 2) / power
    assert np.mean(signal_to_interference(taps, 64, 10)) == pytest.approx(ratio, rel=0.1)
    assert np.isinf(signal_to_interference(taps[..., :11], 64, 10)).all()


def test_bit_errors_are_those_of_the_time_domain_within_three_percent():
    rng = np.random.default_rng(4)
    taps = rayleigh_taps(rng, 60, 4, 40)
    send = precoder("mrt", response_of_taps(taps, 64), "subcarrier")
    for snr_db in (0.0, 5.0):
        exact = with_interference(taps, send, [snr_db], prefix=8).ber[0]
        counted = monte_carlo(taps, send, [snr_db], rng=rng, prefix=8, target_errors=12_000, symbols=16).ber[0]
        assert counted == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("constellation", ["bpsk", "qpsk", "16qam"])
def test_drawn_symbols_are_right_where_few_strong_terms_disturb(constellation):
    # One strong tap beyond the prefix, hardly any noise: interference is far from Gaussian.
    rng = np.random.default_rng(12)
    taps = np.zeros((4, 2, 7), complex)
    taps[:, :, 0], taps[:, :, 6] = complex_normal(rng, 4, 2), 0.7 * complex_normal(rng, 4, 2)
    send = precoder("mrt", response_of_taps(taps, 16))
    exact = with_interference(taps, send, [15.0], constellation, prefix=1, draws=2000, rng=rng).ber[0]
    counted = monte_carlo(
        taps, send, [15.0], constellation, rng=rng, prefix=1, target_errors=20_000, symbols=400, most_rounds=20
    ).ber[0]
    assert counted == pytest.approx(exact, rel=0.05)


@pytest.mark.parametrize("constellation", ["bpsk", "qpsk", "64qam"])
def test_a_long_prefix_changes_nothing(constellation):
    taps = rayleigh_taps(np.random.default_rng(5), 5, 4, 9)
    h = response_of_taps(taps, 32)
    for name in ("mrt", "mmse"):
        own = semi_analytic(h, precoder(name, h), [0.0, 8.0], constellation).per_user
        found = with_interference(taps, precoder(name, h), [0.0, 8.0], constellation, prefix=8).per_user
        np.testing.assert_allclose(found, own, rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda taps, send: with_interference(taps, send, [0.0], prefix=33), "repeats an OFDM symbol of 32"),
        (lambda taps, send: with_interference(taps, send, [0.0], prefix=-1), "prefix is -1"),
        (lambda taps, send: with_interference(taps[:1], send, [0.0], prefix=4), r"of \(1, 4\) users and antennas"),
        (lambda taps, send: with_interference(0 * taps, send, [0.0], prefix=4), "zero for 2 of 2 users"),
        (lambda taps, send: with_interference(taps * np.nan, send, [0.0], prefix=4), "NaN or infinity in 2 of 2"),
        (lambda taps, send: signal_to_interference(taps, 8, 9), "repeats an OFDM symbol of 8"),
    ],
)
def test_what_cannot_be_is_refused(call, said):
    taps = rayleigh_taps(np.random.default_rng(6), 2, 4, 9)
    with pytest.raises(SiteTwinError, match=said):
        call(taps, precoder("mrt", response_of_taps(taps, 32)))
