"""DeepMIMO loads what is exported to it, and its channels are ours, carrier phase included."""

import numpy as np
import pytest
import torch

from sitetwin.channel import AntennaArray, ChannelRequest, OfdmGrid, Radio, frequency_response, path_gains
from sitetwin.channel.formats import GainSource, write_deepmimo
from sitetwin.rays import TraceJob, TraceSettings, load_paths
from tests.rays.shapes import ground, quad_site

pytestmark = pytest.mark.filterwarnings("ignore")  # DeepMIMO's own
deepmimo = pytest.importorskip("deepmimo", reason="DeepMIMO is not installed (extra 'benchmarks')")

CARRIER = 3.5e9
SUBCARRIERS, SPACING = 32, 240e3


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    walls = [
        [(-40, 30, 0), (40, 30, 0), (40, 30, 25), (-40, 30, 25)],
        [(-40, -25, 0), (-40, -25, 25), (40, -25, 25), (40, -25, 0)],
        [(20, -4, 0), (20, 4, 0), (20, 4, 18), (20, -4, 18)],
    ]
    site = quad_site([ground(60.0), *walls])
    x, y = np.meshgrid(np.arange(-30.0, 36, 11), np.arange(-20.0, 26, 11))
    users = np.stack([x.ravel(), y.ravel(), np.full(x.size, 1.5)], axis=1)
    users[7] = [30.0, 50.0, 1.5]
    folder = tmp_path_factory.mktemp("deepmimo")
    transmitter = np.array([-5.0, 1.0, 15.0])
    TraceJob(site, transmitter, users, TraceSettings(max_depth=3), tile_users=9).run(folder / "paths")
    request = ChannelRequest(OfdmGrid(CARRIER, 1, 1.0), "gains")
    write_deepmimo(GainSource.open(folder / "paths", site, request), folder / "toy")
    deepmimo.config.set("scenarios_folder", str(folder))
    return site, load_paths(folder / "paths"), deepmimo.load("toy")


def wanted(site, paths, array):
    """H at the carrier + k spacing, k = 0 ... N - 1: where DeepMIMO's subcarriers are."""
    tx = Radio(array)
    gains = path_gains(paths, site, CARRIER, tx, dtype=torch.complex128)
    both_sides = OfdmGrid(CARRIER, 2 * SUBCARRIERS, SPACING)
    return frequency_response(paths, gains, both_sides, tx).numpy()[..., SUBCARRIERS:]


def computed(dataset, antennas):
    parameters = deepmimo.ChannelParameters(
        bs_antenna={"shape": np.array([antennas, 1]), "spacing": 0.5},
        ue_antenna={"shape": np.array([1, 1])},
        ofdm={
            "subcarriers": SUBCARRIERS,
            "selected_subcarriers": np.arange(SUBCARRIERS),
            "bandwidth": SUBCARRIERS * SPACING,
        },
        num_paths=25,
    )
    return dataset.compute_channels(parameters) * np.sqrt(SUBCARRIERS)  # it divides by that


def from_first_element(count):
    """Half-wave elements along +y counted from the radio's position, as DeepMIMO places them."""
    positions = torch.zeros(count, 3, dtype=torch.float64)
    positions[:, 1] = 0.5 * torch.arange(count)
    return AntennaArray(positions)


@pytest.mark.parametrize("antennas", [1, 8])
def test_channels_are_ours_with_the_carrier_phase(world, antennas):
    site, paths, dataset = world
    want, got = wanted(site, paths, from_first_element(antennas)), computed(dataset, antennas)
    assert got.shape == want.shape == (paths.num_users, 1, antennas, SUBCARRIERS)
    largest = np.abs(want).max(axis=(1, 2, 3), keepdims=True)
    assert (np.abs(got - want) <= 1e-4 * largest).all()
    assert (largest > 0).sum() > 20


def test_neighbours_differ_by_the_carriers_phase(world):
    """The line of sight of users at different distances: its phase is -2 pi f_c tau, not zero."""
    _, paths, dataset = world
    sight = np.flatnonzero(np.asarray(dataset.los) == 1)
    assert len(sight) > 10
    tau = np.linalg.norm(paths.users[sight] - paths.transmitter, axis=1) / 299_792_458.0
    turns = np.asarray(dataset.phase)[sight, 0] / 360 + CARRIER * tau
    np.testing.assert_allclose(turns - np.round(turns), 0, atol=1e-4)


def test_what_deepmimo_derives(world):
    _, paths, dataset = world
    direct = np.bincount(paths.user_of_path[paths.depth == 0], minlength=paths.num_users) > 0
    expected = np.where(paths.counts == 0, -1, direct.astype(int))
    np.testing.assert_array_equal(dataset.los, expected)
    np.testing.assert_array_equal(dataset.num_paths, np.minimum(paths.counts, 25))
    np.testing.assert_allclose(dataset.rx_pos, paths.users, atol=1e-5)
    assert len(dataset.scene.objects) == 4
    assert len(dataset.materials) == 1
