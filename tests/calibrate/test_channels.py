"""Materials of planted worlds, found again from their channels."""

import numpy as np
import pytest
import torch

from sitetwin.calibrate.channels import CalibrationSettings, calibrate_cell
from sitetwin.channel import OfdmGrid, frequency_response, path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.measured import csi_dataset
from sitetwin.measured.profiles import profiles_of_csi, pulse_shares, tap_powers
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import Material, build_site

CARRIER, STATION = 3.5e9, np.array([0.0, 0.0, 10.0])
STAGES = CalibrationSettings(stages=("offset", "materials"))
CORNERS = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
FACES = np.array([(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)])
TRIANGLES = np.concatenate([FACES[:, [0, 1, 2]], FACES[:, [0, 2, 3]]])


def street(permittivity=5.0):
    """Two rows of houses of one material along a street."""
    corners = np.array([(-20.0, 12.0, 0.0), (-20.0, -24.0, 0.0)])
    vertices = (corners[:, None] + CORNERS * (90.0, 12.0, 15.0)).reshape(-1, 3)
    triangles = (TRIANGLES + 8 * np.arange(2)[:, None, None]).reshape(-1, 3)
    stone = Material("stone", relative_permittivity=permittivity, conductivity=0.02)
    owner = np.repeat(np.arange(2), len(TRIANGLES))
    return build_site("street", vertices, triangles, owner, ["north", "south"], np.zeros(2, int), [stone])


def users(count, seed):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.uniform(5, 60, count), rng.uniform(-11, 11, count), np.full(count, 1.5)])


def channels(site, paths, seed, rate=122.88e6, subcarriers=256, snr_db=30.0, scale=1.0):
    """What a receiver with noise measures of paths."""
    gains = path_gains(paths, site, CARRIER, dtype=torch.complex128)
    grid = OfdmGrid(CARRIER, subcarriers, rate / subcarriers)
    h = scale * frequency_response(paths, gains, grid)[:, 0].numpy()
    rng = np.random.default_rng(seed)
    noise = np.sqrt((np.abs(h) ** 2).mean() * 10 ** (-snr_db / 10) / 2)
    h = h + noise * (rng.standard_normal(h.shape) + 1j * rng.standard_normal(h.shape))
    return csi_dataset(h, grid.frequencies_hz.numpy(), paths.users, np.full(len(h), np.nan))


def by_name(found):
    return {e.parameter.name: e for e in found.estimates}


@pytest.fixture(scope="module")
def planted():
    """A twin of the permittivity 5, its paths, and channels of a world of the permittivity 7.5 received 3 dB up."""
    twin = street()
    paths = trace(twin, STATION, users(80, 1), TraceSettings(max_depth=2))
    data = channels(street(7.5), paths, 2, scale=10 ** (3 / 20))
    return twin, paths, profiles_of_csi(data, taps=(-2, 80))


def test_a_planted_permittivity_and_offset_are_found(planted):
    found = by_name(calibrate_cell(*planted, settings=STAGES))
    stone, offset = found["relative_permittivity of stone"], found["offset_db"]
    assert stone.identified
    assert stone.sd < 0.05 * stone.value
    assert abs(stone.value - 7.5) < 3 * stone.sd
    assert abs(offset.value - 3.0) < max(3 * offset.sd, 0.05)
    assert not found["conductivity of stone"].identified


def test_scattering_is_not_asked_of_paths_without_it(planted):
    with pytest.raises(SiteTwinError, match="traced without diffuse ones; trace with diffuse_paths"):
        calibrate_cell(*planted, settings=CalibrationSettings(stages=("offset", "scattering")))


@pytest.mark.parametrize("window", ["hann", "rectangular"])
def test_shares_of_a_pulse_are_those_of_the_transform(window):
    subcarriers, delays = 64, np.array([0.0, 3.0, 7.3, 20.5, 63.9])
    response = np.exp(-2j * np.pi * np.arange(subcarriers) * delays[:, None] / subcarriers)
    powers = tap_powers(response[:, None, :], window)[:, 0]
    shares = pulse_shares(np.arange(subcarriers) - delays[:, None], subcarriers, window)
    np.testing.assert_allclose(powers, shares, atol=1e-12)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
