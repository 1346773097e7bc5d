"""The link against Sionna PHY: channels, precoders, modulator, both ways through the channel."""

import numpy as np
import pytest
import torch

from sitetwin.backend import mitsuba
from sitetwin.link import (
    MODULATIONS,
    ebn0_db,
    effective_gains,
    interference_matrices,
    modulation,
    multiuser_weights,
    precoder,
    response_of_taps,
    sionna_cir,
    sionna_ofdm_channel,
)
from tests.link.worlds import complex_normal, rayleigh_taps

SIZE, PREFIX, RATE = 32, 4, 7.68e6


@pytest.fixture(scope="module", autouse=True)
def phy():
    """Sionna PHY, where it is installed; the ray caster's compiler is chosen first, as `sionna` may load Sionna RT."""
    mitsuba()
    return pytest.importorskip("sionna.phy", exc_type=ImportError)


@pytest.fixture(scope="module")
def world():
    taps = rayleigh_taps(np.random.default_rng(1), 6, 4, 9)
    return taps, response_of_taps(taps, SIZE)


def test_impulse_responses_become_the_same_channel(world):
    from sionna.phy.channel import cir_to_ofdm_channel, subcarrier_frequencies

    taps, h = world
    a, tau = (torch.from_numpy(array) for array in sionna_cir(taps, RATE))
    found = cir_to_ofdm_channel(subcarrier_frequencies(SIZE, RATE / SIZE), a, tau).numpy()
    np.testing.assert_allclose(found, sionna_ofdm_channel(h), atol=2e-5)


def test_directions_of_precoders_are_those_of_sionna(world):
    from sionna.phy.mimo import cbf_precoding_matrix, rzf_precoding_matrix

    _, h = world
    one = torch.from_numpy(
        np.moveaxis(h, 1, 2)[:, :, None, :].astype(np.complex64)
    )  # [users, subcarriers, 1, antennas]
    mrt = precoder("mrt", h, "subcarrier").weights(1.0)
    np.testing.assert_allclose(np.moveaxis(cbf_precoding_matrix(one).numpy()[..., 0], 2, 1), mrt, atol=1e-6)
    for alpha in (0.01, 1.0, 100.0):
        mmse = precoder("mmse", h, "subcarrier", regularisation=alpha).weights(1.0)
        found = np.moveaxis(rzf_precoding_matrix(one, alpha).numpy()[..., 0], 2, 1)
        np.testing.assert_allclose(found, mmse, atol=1e-6)
    group = h.reshape(2, 3, 4, SIZE)
    matrix = torch.from_numpy(np.moveaxis(group, -1, 1).astype(np.complex64))
    ours = multiuser_weights(group, "mmse", 1.0, "subcarrier", regularisation=0.3) * np.sqrt(3)
    found = rzf_precoding_matrix(matrix, 0.3).numpy()  # [groups, subcarriers, antennas, users]
    np.testing.assert_allclose(np.transpose(found, (0, 3, 2, 1)), ours, atol=1e-5)


def test_an_ofdm_channel_gives_what_the_effective_gains_say(world):
    from sionna.phy.channel import ApplyOFDMChannel

    _, h = world
    rng = np.random.default_rng(2)
    weights = precoder("mmse", h).weights(3.0)
    symbols = complex_normal(rng, 6, 5, SIZE)
    x = (symbols[:, None] * weights[:, :, None, :])[:, None].astype(np.complex64)
    got = ApplyOFDMChannel()(torch.from_numpy(x), torch.from_numpy(sionna_ofdm_channel(h, 5))).numpy()[:, 0, 0]
    np.testing.assert_allclose(got, symbols * effective_gains(h, weights)[:, None], atol=1e-5)


@pytest.mark.parametrize("length", [5, 9])
def test_modulator_and_time_channel_give_what_the_matrices_say(world, length):
    from sionna.phy.channel import ApplyTimeChannel
    from sionna.phy.ofdm import OFDMDemodulator, OFDMModulator

    taps = world[0][:1, :, :length]
    weights = precoder("mrt", response_of_taps(taps, SIZE)).weights(1.0)[0]
    symbols = complex_normal(np.random.default_rng(3), 2, SIZE)
    x = torch.from_numpy((symbols * weights[:, None])[None, None].astype(np.complex64))
    time = OFDMModulator(PREFIX)(x)
    count = time.shape[-1]
    h_time = np.repeat(taps[0][None, None, None, None, :, None, :], count + length - 1, axis=5)
    received = ApplyTimeChannel(count, length)(time, torch.from_numpy(h_time.astype(np.complex64)))
    got = OFDMDemodulator(SIZE, 0, PREFIX)(received[..., :count]).numpy()[0, 0, 0]
    matrices = interference_matrices(taps[0], weights, PREFIX)
    expected = matrices[0] @ symbols[1]
    if len(matrices) > 1:
        expected = expected + matrices[1] @ symbols[0]
    np.testing.assert_allclose(got[1], expected, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODULATIONS if name != "bpsk"])
def test_constellations_are_those_of_sionna(name):
    from sionna.phy.mapping import Constellation

    kind = modulation(name)
    np.testing.assert_allclose(kind.points, Constellation("qam", kind.bits).points.numpy(), atol=1e-6)


def test_energy_per_bit_is_counted_as_sionna_says():
    from sionna.phy.ofdm import ResourceGrid
    from sionna.phy.utils import ebnodb2no

    plain = float(ebnodb2no(float(ebn0_db(7.0, "16qam")[0]), 4, 1.0))
    assert -10 * np.log10(plain) == pytest.approx(7.0, abs=1e-5)
    grid = ResourceGrid(num_ofdm_symbols=1, fft_size=128, subcarrier_spacing=240e3, cyclic_prefix_length=16)
    counted = float(ebn0_db(7.0, "16qam", subcarriers=128, prefix=16)[0])
    assert -10 * np.log10(float(ebnodb2no(counted, 4, 1.0, grid))) == pytest.approx(7.0, abs=1e-5)
