"""Laws of the powers of taps, against sums of random phasors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibrate.street import channels, street, traced

from sitetwin.calibrate.channels.likelihood import Contamination, TapLaw, scores
from sitetwin.calibrate.channels.spread import LAGS, PathTaps, neighbours
from sitetwin.channel import AntennaArray
from sitetwin.errors import SiteTwinError
from sitetwin.measured.profiles import Profiles, dft_beams, profiles_of_csi, pulse_shares, tap_powers

SUBCARRIERS = 64


def drawn(delays, powers, noise, draws, window, seed=0):
    """(draws, K) powers of taps of paths with random phases, and noise."""
    rng = np.random.default_rng(seed)
    turns = np.exp(-2j * np.pi * np.arange(SUBCARRIERS) * np.asarray(delays)[:, None] / SUBCARRIERS)
    phases = np.exp(2j * np.pi * rng.random((draws, len(delays))))
    h = (phases * np.sqrt(powers)) @ turns
    sd = np.sqrt(noise * SUBCARRIERS / 2)
    h = h + sd * (rng.standard_normal(h.shape) + 1j * rng.standard_normal(h.shape))
    return tap_powers(h[:, None, :], window)[:, 0]


def profiles(window, noise, taps=SUBCARRIERS):
    return Profiles(np.ones((1, 1, taps)), np.zeros((1, 3)), np.full((1, 1), noise), 3.5e9, 1e8, 0, SUBCARRIERS, window)


@pytest.mark.parametrize("window", ["hann", "rectangular"])
def test_mean_variance_and_covariance_of_taps_are_those_of_random_phasors(window):
    delays, powers, noise = np.array([5.2, 6.1, 7.7]), np.array([1.0, 0.4, 0.2]), 0.05
    seen = drawn(delays, powers, noise, 20_000, window)
    taps = PathTaps(profiles(window, noise), np.zeros(3, np.int64), delays, np.ones((3, 1, 1)))
    shares, rows = taps.shares(), np.arange(3, 11)
    law = TapLaw((shares @ powers)[rows], (shares.power(2) @ powers**2)[rows], np.full(len(rows), noise))
    np.testing.assert_allclose(seen[:, rows].mean(axis=0), law.mean, rtol=0.03)
    spread = seen[:, rows].var(axis=0) / law.mean**2
    np.testing.assert_allclose(spread, law.relative_variance(0.0), rtol=0.06)
    lagged = [taps.shares(lag)[rows] for lag in LAGS]
    pairs = neighbours(taps.profiles, lagged, rows, powers, law, 0.0)
    known = np.cov(seen[:, rows].T)
    np.testing.assert_allclose(pairs.covariance, known[pairs.one, pairs.other], atol=0.03 * np.diag(known).max())


@pytest.mark.parametrize("window", ["hann", "rectangular"])
def test_shares_of_a_pulse_are_those_of_the_transform(window):
    delays = np.array([0.0, 3.0, 7.3, 20.5, 63.9])
    response = np.exp(-2j * np.pi * np.arange(SUBCARRIERS) * delays[:, None] / SUBCARRIERS)
    powers = tap_powers(response[:, None, :], window)[:, 0]
    shares = pulse_shares(np.arange(SUBCARRIERS) - delays[:, None], SUBCARRIERS, window)
    np.testing.assert_allclose(powers, shares, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)


@given(st.floats(0.05, 20.0), st.floats(0.0, 0.99), st.floats(0.02, 1.5), st.floats(0.005, 0.3))
@settings(max_examples=40, deadline=None)
def test_densities_of_taps_integrate_to_one(signal, alone, misfit, share):
    level = np.linspace(-60.0, 12.0, 40_001)
    law = TapLaw(*(np.full(level.shape, value) for value in (signal, alone * signal**2, 1.0)))
    each = scores(level, law, Contamination(misfit, share, -1e6))
    assert np.trapezoid(np.exp(each.each), level) == pytest.approx(1 - share, rel=5e-3)


def test_outliers_lose_their_weight():
    law = TapLaw(np.ones(2), np.full(2, 0.9), np.full(2, 0.01))
    found = scores(np.array([0.0, 6.0]), law, Contamination(0.1, 0.05, -3.0))
    assert found.inlier[0] > 0.9
    assert found.inlier[1] < 1e-3


def test_beams_are_unitary_and_keep_the_power():
    array = AntennaArray.upa(2, 3, polarisation="VH")
    weights = dft_beams(array)
    np.testing.assert_allclose(weights @ weights.conj().T, np.eye(12), atol=1e-12)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"power": np.full((1, 1, 4), np.nan)}, "powers of 1 of 1 profiles .* are NaN or infinite"),
        ({"power": -np.ones((1, 1, 4))}, "look like dB; give linear powers"),
        ({"power": np.zeros((1, 1, 4))}, "1 of 1 profiles are zero"),
        ({"noise": np.zeros((1, 1))}, "a noise power is not positive"),
        ({"carrier_hz": 0.0}, "the carrier is 0.0 Hz"),
        ({"subcarriers": 3}, "4 taps of 3 subcarriers"),
    ],
)
def test_profiles_that_are_none_are_refused(change, sentence):
    given = {
        "power": np.ones((1, 1, 4)),
        "positions": np.zeros((1, 3)),
        "noise": np.ones((1, 1)),
        "carrier_hz": 3.5e9,
        "rate_hz": 1e8,
        "first_tap": 0,
        "subcarriers": 8,
    }
    with pytest.raises(SiteTwinError, match=sentence):
        Profiles(**{**given, **change})


def test_channels_of_another_array_or_band_are_refused():
    site = street()
    paths = traced(site, count=4)
    data = channels(site, paths, 1)
    with pytest.raises(SiteTwinError, match="measured with 1 antennas and the array has 4"):
        profiles_of_csi(data, AntennaArray.ula(4))
    with pytest.raises(SiteTwinError, match="lies outside the measured band"):
        profiles_of_csi(data, carrier_hz=2.0e9)
    gap = data.isel(subcarrier=[*range(10), *range(12, 40)])
    with pytest.raises(SiteTwinError, match="not evenly spaced"):
        profiles_of_csi(gap)
