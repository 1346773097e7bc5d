"""Shapes for Sionna PHY, without Sionna."""

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.link import response_of_taps, sionna_cir, sionna_ofdm_channel
from tests.link.worlds import rayleigh_taps


def test_taps_are_paths_at_their_delays():
    taps = rayleigh_taps(np.random.default_rng(0), 3, 2, 5)
    a, tau = sionna_cir(taps, 10e6)
    assert (a.shape, tau.shape, a.dtype, tau.dtype) == ((3, 1, 1, 1, 2, 5, 1), (3, 1, 1, 5), np.complex64, np.float32)
    np.testing.assert_allclose(tau[1, 0, 0], np.arange(5) * 1e-7)
    k = np.arange(16) - 8
    turns = np.exp(-2j * np.pi * k * 10e6 / 16 * tau[0, 0, 0][:, None])
    h = sionna_ofdm_channel(response_of_taps(taps, 16), 2)
    assert h.shape == (3, 1, 1, 1, 2, 2, 16)
    np.testing.assert_allclose(np.einsum("up,pk->uk", a[:, 0, 0, 0, 1, :, 0], turns), h[:, 0, 0, 0, 1, 1], atol=1e-5)


def test_what_cannot_be_is_refused():
    with pytest.raises(SiteTwinError, match="sampling_rate_hz is 0"):
        sionna_cir(np.ones((1, 1, 1), complex), 0)
    with pytest.raises(SiteTwinError, match="channels have the shape"):
        sionna_ofdm_channel(np.ones((1, 1), complex))
