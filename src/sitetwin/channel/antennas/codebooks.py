"""Codebooks of beams: weights of an array's elements.

A path that leaves in the direction k has the element responses ``e^{+j 2 pi d_n . k}``, d_n the elements' positions in
wavelengths. The beam that looks there weighs them with ``e^{-j 2 pi d_n . k} / sqrt(N)``, so that all of them add up in
phase: its weights have norm 1, its power gain is N (H. Van Trees, Optimum Array Processing, section 2.3). Weights are
those of the elements of one port.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Complex, Float
from numpy.typing import ArrayLike
from torch import Tensor

from sitetwin.channel.antennas.arrays import AntennaArray
from sitetwin.errors import SiteTwinError


def steering_weights(array: AntennaArray, directions: Float[Tensor, "beams 3"]) -> Complex[Tensor, "beams positions"]:
    """Compute weights of beams that look in given directions.

    Args:
        array: N elements.
        directions: Unit vectors in the array's own frame: boresight +x, columns along +y, up +z. Only the components
            that the elements can distinguish matter: y and z for a planar array.

    Returns:
        Complex128 weights of norm 1; the signal of a beam is the sum of weight times channel over the elements.
    """
    cycles = directions.double() @ array.positions.double().T
    return torch.polar(torch.full_like(cycles, 1 / math.sqrt(array.num_positions)), -2 * math.pi * cycles)


def angular_codebook(
    array: AntennaArray, azimuth: ArrayLike, elevation: ArrayLike = 0.0
) -> Complex[Tensor, "beams positions"]:
    """Compute weights of beams on a grid of angles.

    Args:
        array: The elements.
        azimuth: (A,) azimuths, radians from boresight, positive to the left.
        elevation: (E,) elevations, radians above boresight, or one number for all beams.

    Returns:
        E * A beams: all azimuths of the first elevation, then those of the next.
    """
    rise, turn = (torch.atleast_1d(torch.as_tensor(angle, dtype=torch.float64)) for angle in (elevation, azimuth))
    rise, turn = (angle.flatten() for angle in torch.meshgrid(rise, turn, indexing="ij"))
    flat = torch.cos(rise)
    return steering_weights(array, torch.stack([flat * torch.cos(turn), flat * torch.sin(turn), torch.sin(rise)], 1))


def dft_codebook(array: AntennaArray, oversampling: int | tuple[int, int] = 1) -> Complex[Tensor, "beams positions"]:
    """Compute weights of the beams of a discrete Fourier transform over rows and columns.

    Without oversampling the beams are orthonormal, and beam b is the angle bin b of delay-angle channels (up to a phase
    common to all elements): rows and columns are counted after an fftshift, so that broadside is in the middle.

    Args:
        array: A uniform linear or planar array.
        oversampling: Beams per element, the same for rows and columns or (rows, columns); a single row or column of
            elements is not oversampled across.

    Returns:
        (rows * columns * oversampling of each) beams, columns fastest; `dft_cosines` gives their directions.

    Raises:
        SiteTwinError: The array is not uniform, or the oversampling is below 1.
    """
    cosines = dft_cosines(array, oversampling)
    return steering_weights(array, torch.cat([torch.zeros(len(cosines), 1, dtype=torch.float64), cosines], dim=1))


def dft_cosines(array: AntennaArray, oversampling: int | tuple[int, int] = 1) -> Float[Tensor, "beams 2"]:
    """Return the direction cosines along +y and +z at which the beams of `dft_codebook` have their peaks.

    They are known modulo one over the spacing in wavelengths; one beyond 1 looks in no direction.

    Args:
        array: A uniform linear or planar array.
        oversampling: Beams per element, the same for rows and columns or (rows, columns).

    Raises:
        SiteTwinError: The array is not uniform, or the oversampling is below 1.
    """
    if array.shape is None or array.spacing is None:
        raise SiteTwinError("DFT beams need a uniform array; build it with AntennaArray.ula or AntennaArray.upa")
    finer = (oversampling, oversampling) if isinstance(oversampling, int) else oversampling
    if min(finer) < 1:
        raise SiteTwinError(f"an oversampling of {oversampling} was asked for; give 1 or more beams per element")
    steps = []
    for count, factor, spacing in zip(array.shape, finer, array.spacing, strict=True):
        beams = count * (factor if count > 1 else 1)
        steps.append((torch.arange(beams, dtype=torch.float64) - beams // 2) / (beams * spacing))
    # Rows are counted from the top: the phase falls with the row where the path climbs.
    z, y = torch.meshgrid(-steps[0], steps[1], indexing="ij")
    return torch.stack([y.flatten(), z.flatten()], dim=1)
