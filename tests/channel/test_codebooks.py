"""Codebooks by their laws: unitary, peaks where they are said to be, the angle bins of delay-angle channels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sitetwin.channel import AntennaArray, Radio, angle_transform
from sitetwin.channel.antennas.codebooks import angular_codebook, dft_codebook, dft_cosines, steering_weights
from sitetwin.errors import SiteTwinError

ARRAYS = {
    "ula": AntennaArray.ula(8),
    "odd ula": AntennaArray.ula(7, spacing=0.4),
    "upa": AntennaArray.upa(4, 6),
    "wide upa": AntennaArray.upa(3, 4, vertical_spacing=0.7, horizontal_spacing=0.6),
    "column": AntennaArray.upa(8, 1),
    "single": AntennaArray.single(),
}


def response(array, directions):
    """(beams, elements) of plane waves, written out."""
    return torch.exp(2j * math.pi * (directions @ array.positions.T))


def along(cosines):
    """Unit vectors with these cosines along y and z."""
    x = torch.sqrt((1 - cosines.square().sum(dim=1)).clamp_min(0))
    return torch.cat([x[:, None], cosines], dim=1)


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_dft_beams_are_orthonormal(array):
    book = dft_codebook(array)
    torch.testing.assert_close(book @ book.conj().T, torch.eye(array.num_positions, dtype=book.dtype))


@pytest.mark.parametrize("oversampling", [1, 2, (3, 4)])
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_a_beam_peaks_where_it_is_said_to(array, oversampling):
    book, cosines = dft_codebook(array, oversampling), dft_cosines(array, oversampling)
    real = cosines.square().sum(dim=1) <= 1
    gain = (book[real] * response(array, along(cosines[real]))).sum(dim=1).abs().square()
    torch.testing.assert_close(gain, torch.full_like(gain, array.num_positions))
    rng = np.random.default_rng(0)
    anywhere = rng.standard_normal((200, 3))
    anywhere = torch.from_numpy(anywhere / np.linalg.norm(anywhere, axis=1, keepdims=True))
    assert float((response(array, anywhere) @ book.T).abs().square().max()) <= array.num_positions * (1 + 1e-12)


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_dft_beams_are_the_angle_bins(array):
    rng = np.random.default_rng(1)
    channel = rng.standard_normal((5, array.num_positions)) + 1j * rng.standard_normal((5, array.num_positions))
    bins = angle_transform(torch.from_numpy(channel), array, axis=-1).abs()
    beams = (torch.from_numpy(channel) @ dft_codebook(array).T).abs() * math.sqrt(array.num_positions)
    torch.testing.assert_close(beams, bins)


def test_oversampled_beams_hold_the_plain_ones():
    array = AntennaArray.upa(2, 4)
    fine = dft_codebook(array, (1, 3)).reshape(2, 12, 8)
    plain = dft_codebook(array).reshape(2, 4, 8)
    torch.testing.assert_close(fine[:, ::3], plain)
    assert len(dft_codebook(AntennaArray.ula(8), 4)) == 32


def test_beams_on_a_grid_of_angles_look_there():
    array = AntennaArray.upa(4, 8)
    azimuth, elevation = np.array([-0.5, 0.1, 0.8]), np.array([0.2, -0.3])
    book = angular_codebook(array, azimuth, elevation)
    assert book.shape == (6, 32)
    rise, turn = elevation[1], azimuth[2]
    there = torch.tensor([[math.cos(rise) * math.cos(turn), math.cos(rise) * math.sin(turn), math.sin(rise)]]).double()
    powers = (response(array, there) @ book.T).abs().square().flatten()
    assert int(powers.argmax()) == 5
    assert float(powers[5]) == pytest.approx(32)
    torch.testing.assert_close(book[5:6], steering_weights(array, there))
    left = Radio(array).cycles(there)
    torch.testing.assert_close(torch.polar(torch.ones_like(left), 2 * math.pi * left), response(array, there))


def test_what_makes_no_codebook_is_refused():
    odd = AntennaArray(torch.tensor([[0.0, 0.1, 0.2], [0.3, -0.4, 0.0]], dtype=torch.float64))
    for call, says in (
        (lambda: dft_codebook(odd), "DFT beams need a uniform array"),
        (lambda: dft_codebook(AntennaArray.ula(4), 0), "oversampling of 0"),
        (lambda: dft_codebook(AntennaArray.ula(4), (2, -1)), "oversampling of"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            call()
