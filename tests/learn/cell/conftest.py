"""Codecs of a small cell with image sources, and its channels over antennas and subcarriers."""

import numpy as np
import pytest
import torch

from sitetwin.channel import OfdmGrid, Radio
from sitetwin.learn import CellCodec, CellLink

GRID = OfdmGrid(3.5e9, num_subcarriers=64, spacing_hz=120e3)
RADIO = Radio("ula:16")
LINK = CellLink.of_radio(RADIO, GRID, taps=12)
AXES = ("user", "antenna", "subcarrier")


def cell_channels(users, seed=0, images=6):
    """(users, 16 antennas, 64 subcarriers) complex64 of users near each other, whose paths come from a few images."""
    rng = np.random.default_rng(0)
    places = rng.uniform(-150, 150, (images, 2))
    who = np.random.default_rng(seed).uniform(-30, 30, (users, 2))
    ray = who[:, None] - places
    length = np.hypot(ray[..., 0], ray[..., 1])
    gain = np.exp(-2j * np.pi * GRID.carrier_hz * length / 299_792_458.0) / length
    antenna = np.exp(1j * np.pi * np.arange(16) * (ray[..., 1] / length)[..., None])
    band = np.exp(-2j * np.pi * GRID.index.numpy() * GRID.spacing_hz * (length / 299_792_458.0)[..., None])
    return np.einsum("up,upa,upk->uak", gain, antenna, band).astype(np.complex64)


@pytest.fixture(scope="session")
def channels():
    """300 users of the twin."""
    return cell_channels(300)


@pytest.fixture(scope="session")
def others():
    """120 other users of the same cell."""
    return cell_channels(120, seed=1)


@pytest.fixture(scope="session")
def codec(channels):
    """A mixture of KLTs for the cell, 128 bits."""
    return CellCodec().fit(channels, axes=AXES, link=LINK)


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(7)
