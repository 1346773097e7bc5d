"""Channels along a trajectory: the Doppler phase against exact evaluation, and against closed forms."""

import numpy as np
import pytest
import torch

from sitetwin.channel import OfdmGrid, Radio, impulse_response, paths_over_time, response_over_time
from sitetwin.errors import SiteTwinError
from sitetwin.rays import SPEED_OF_LIGHT, TraceSettings, Trajectory
from tests.rays.shapes import box_quads, ground, quad_site

SETTINGS = TraceSettings(max_depth=2, rays_per_lattice=100_000)
GRID = OfdmGrid(3.5e9, 16, 240e3)
SOURCE = np.array([-14.0, 1.0, 9.0])
SPEED = 20.0


def street():
    return quad_site([ground(60.0), *box_quads((-30, 8, 0), (20, 20, 15)), *box_quads((-20, -22, 0), (30, -9, 11))])


def drive():
    times = np.array([0.0, 0.5])
    return Trajectory(times, np.array([[-5.0, -2.0, 1.5], [-5.0 + 0.5 * SPEED, -1.0, 1.5]]))


def responses(interval):
    times = np.linspace(0.1, 0.12, 41)
    return response_over_time(street(), SOURCE, drive(), times, GRID, SETTINGS, interval_s=interval, dtype=C)


C = torch.complex128


def test_the_doppler_phase_carries_a_channel_over_a_short_interval():
    """The error is of second order: half the interval, a quarter of it."""
    exact = responses(None)
    errors = [float((responses(i) - exact).abs().max() / exact.abs().max()) for i in (0.04, 0.02, 0.01)]
    assert errors[2] < 0.02
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.5)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.5)
    still = exact[20:21].expand_as(exact)
    assert float((still - exact).abs().max() / exact.abs().max()) > 0.5  # without Doppler the channel would be another


def test_the_spectrum_of_a_lone_path_is_its_shift():
    """One path, a user who drives towards the transmitter: a line at +f v / c."""
    site = quad_site([[(900, 900, 0), (901, 900, 0), (901, 901, 0), (900, 901, 0)]])
    user = Trajectory([0.0, 0.4], [[500.0, 0, 1.5], [500.0 - 0.4 * SPEED, 0, 1.5]])
    rate, count = 2000.0, 512
    times = np.arange(count) / rate
    for interval in (None, 0.01):
        settings = TraceSettings(max_depth=0)
        h = response_over_time(
            site, np.array([0, 0, 1.5]), user, times, OfdmGrid(3.5e9, 1, 30e3), settings, interval_s=interval, dtype=C
        )
        spectrum = torch.fft.fft(h[:, 0, 0, 0] * torch.hann_window(count, dtype=torch.float64)).abs()
        frequency = np.fft.fftfreq(count, 1 / rate)[int(spectrum.argmax())]
        assert frequency == pytest.approx(3.5e9 * SPEED / SPEED_OF_LIGHT, abs=rate / count)


def test_impulse_responses_move_with_the_user():
    paths, gains = paths_over_time(street(), SOURCE, drive(), np.array([0.0, 0.25, 0.5]), 3.5e9, SETTINGS, dtype=C)
    assert paths.num_users == 3
    taps = impulse_response(paths, gains, 100e6, 64, Radio(), Radio())
    assert taps.shape == (3, 1, 1, 64)
    assert not torch.allclose(taps[0], taps[2])


def test_bad_moments_get_a_sentence():
    with pytest.raises(SiteTwinError, match="outside the trajectory"):
        paths_over_time(street(), SOURCE, drive(), np.array([0.6]), 3.5e9, SETTINGS, interval_s=0.1)
    with pytest.raises(SiteTwinError, match="moments"):
        paths_over_time(street(), SOURCE, drive(), np.zeros(0), 3.5e9, SETTINGS)
    with pytest.raises(SiteTwinError, match="interval"):
        paths_over_time(street(), SOURCE, drive(), np.array([0.1]), 3.5e9, SETTINGS, interval_s=0.0)
