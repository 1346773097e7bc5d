"""Channels of known law for tests of the link."""

import numpy as np

from sitetwin.link import response_of_taps


def complex_normal(rng, *shape):
    """Circular complex numbers of variance 1."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / np.sqrt(2)


def rayleigh_taps(rng, users, antennas=4, taps=12):
    """[users, antennas, taps] independent Rayleigh taps of mean total power 1."""
    return complex_normal(rng, users, antennas, taps) / np.sqrt(taps)


def rayleigh(rng, users, antennas=4, taps=12, subcarriers=128):
    """[users, antennas, subcarriers] responses of such taps."""
    return response_of_taps(rayleigh_taps(rng, users, antennas, taps), subcarriers)


def ratio(snr_db):
    return 10 ** (snr_db / 10)
