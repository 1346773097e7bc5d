"""Mean and variance of the powers of taps: against impulse responses with phases that were drawn."""

import math

import numpy as np
import pytest
import torch

from sitetwin.channel import AntennaArray, Radio, TapLaw, impulse_response, path_gains, tap_power_law
from sitetwin.channel.delay_shares import first_delays
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import open_site

RATE, CARRIER = 50e6, 3.5e9
USERS = np.array([[-10.0, 2.0, 1.5], [20.0, -3.0, 1.5], [0.0, 40.0, 1.5]])  # the last one has no path


@pytest.fixture(scope="module")
def street():
    site = open_site("simple_street_canyon")
    paths = trace(site, np.array([-40.0, 0.0, 12.0]), USERS, TraceSettings(max_depth=3))
    assert paths.counts[2] == 0
    tx = Radio(AntennaArray.ula(2, polarisation="cross"))
    return paths, path_gains(paths, site, CARRIER, tx, Radio(), dtype=torch.complex128)


def drawn(paths, gains, draws, **choices):
    """(draws, users, rx, tx, taps) powers of impulse responses whose paths have random phases."""
    each = []
    for path in range(paths.num_paths):
        alone = torch.zeros_like(gains.values)
        alone[path] = gains.values[path]
        each.append(impulse_response(paths, gains.with_values(alone), RATE, 20, **choices).numpy())
    phases = np.exp(2j * np.pi * np.random.default_rng(3).random((draws, paths.num_paths)))
    sums = np.tensordot(phases, np.array(each), axes=1)
    return np.square(np.abs(sums))


@pytest.mark.filterwarnings("ignore::sitetwin.SiteTwinWarning")
@pytest.mark.parametrize("pulse", ["sinc", "raised-cosine"])
def test_mean_and_variance_are_those_of_drawn_phases(street, pulse):
    paths, gains = street
    law = tap_power_law(paths, gains, RATE, 20, pulse=pulse)
    seen = drawn(paths, gains, 4000, pulse=pulse)
    assert law.mean.shape == seen.shape[1:] == (3, 1, 4, 20)
    strong = law.mean > 1e-3 * law.mean.max()
    np.testing.assert_allclose(seen.mean(axis=0)[strong], law.mean[strong], rtol=0.08)
    several = strong & (law.variance > 0.05 * law.mean**2)
    assert several.sum() > 5
    np.testing.assert_allclose(seen.var(axis=0)[several], law.variance[several], rtol=0.12)
    assert not law.mean[paths.counts == 0].any()


@pytest.mark.filterwarnings("ignore::sitetwin.SiteTwinWarning")
def test_delays_count_from_a_reference_and_parts_make_the_whole(street, monkeypatch):
    paths, gains = street
    first = np.nan_to_num(first_delays(paths))
    whole = tap_power_law(paths, gains, RATE, 6, first_tap=-1, delay_reference_s=first)
    assert (whole.mean[:2].argmax(axis=-1) == 1).all()  # the direct path stands at tap 0
    monkeypatch.setattr("sitetwin.channel.tap_laws._AT_ONCE", 1)
    parts = tap_power_law(paths, gains, RATE, 6, first_tap=-1, delay_reference_s=first)
    np.testing.assert_array_equal(whole.signal, parts.signal)
    np.testing.assert_array_equal(whole.squares, parts.squares)


@pytest.mark.parametrize(("paths", "noise"), [([], 1.0), ([1.0] * 40, 0.0), ([1.0], 0.0), ([1.0], 0.3)])
def test_moments_in_db_are_those_of_drawn_sums(paths, noise):
    rng, powers = np.random.default_rng(4), np.array(paths)
    sums = (np.sqrt(powers) * np.exp(2j * np.pi * rng.random((100_000, len(powers))))).sum(axis=1)
    sums = sums + np.sqrt(noise / 2) * (rng.standard_normal(100_000) + 1j * rng.standard_normal(100_000))
    level = 20 * np.log10(np.abs(sums))
    law = TapLaw(*(np.array([float(x)]) for x in (powers.sum(), (powers**2).sum(), noise)))
    mean, sd = law.log_moments_db()
    limits = (0.3, 0.6) if len(powers) == 1 else (0.1, 0.12)  # what the docstring says of one path in noise
    assert float(mean[0]) == pytest.approx(level.mean(), abs=limits[0])
    assert float(sd[0]) == pytest.approx(level.std(), abs=limits[1])
    if (paths, noise) == ([1.0], 0.0):
        assert float(sd[0]) < 1e-4  # one path alone does not fade
    if not paths:
        assert float(sd[0]) == pytest.approx(10 / math.log(10) * math.pi / math.sqrt(6))
        assert float(mean[0]) == pytest.approx(-10 / math.log(10) * np.euler_gamma)


def test_a_tap_without_power_has_no_level():
    mean, sd = TapLaw(np.zeros(1), np.zeros(1), np.zeros(1)).log_moments_db()
    assert mean[0] == -np.inf
    assert np.isnan(sd[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_taps": 0}, "both must be positive"),
        ({"sampling_rate_hz": math.nan}, "both must be positive"),
        ({"noise": -1.0}, "the noise is -1.0; give a mean power"),
        ({"delay_reference_s": np.zeros(2)}, "for 3 users; give a finite number for each"),
        ({"delay_reference_s": np.array([math.nan, 0, 0])}, "give a finite number for each"),
    ],
)
def test_impossible_requests_are_refused(street, change, said):
    paths, gains = street
    with pytest.raises(SiteTwinError, match=said):
        tap_power_law(paths, gains, **{"sampling_rate_hz": RATE, "num_taps": 4, **change})
