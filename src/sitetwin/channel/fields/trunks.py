"""Loss in tree trunks: wood as a lossy medium."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.channel.fields.foliage import vegetation_depth
from sitetwin.channel.fields.materials import complex_permittivity
from sitetwin.channel.fields.reflection import root_of_lossy
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths
from sitetwin.site.materials import OutOfRange, itu_material


def wood_db_per_m(frequency_hz: float, out_of_range: OutOfRange = "clamp") -> float:
    """Attenuation of a plane wave in wood, dB/m: ``8.686 k_0 |Im sqrt(eta)|`` (P.2040-4, section 2.1).

    The constants are those of dry wood in P.2040-4. Living wood holds water and attenuates more, so this is a lower
    bound.

    Args:
        frequency_hz: Frequency, Hz.
        out_of_range: Policy for frequencies outside the table: "clamp", "extrapolate" or "error".
    """
    constants = torch.tensor(itu_material("wood").evaluate(frequency_hz, out_of_range), dtype=torch.float64)
    eta = complex_permittivity(constants[0], constants[1], frequency_hz)
    _, decay = root_of_lossy(eta.real, -eta.imag)
    return 20 / math.log(10) * 2 * math.pi * frequency_hz / SPEED_OF_LIGHT * float(decay)


def trunk_loss_db(
    paths: Paths, vegetation: Any, frequency_hz: float, *, out_of_range: OutOfRange = "clamp"
) -> Float[Tensor, " paths"]:
    """Loss of each path in the trunks that it runs through; the season does not matter.

    Trunks are treated as an unbounded medium: reflection at the bark and creeping waves are not modelled.

    Args:
        paths: P paths.
        vegetation: The site's `Vegetation`.
        frequency_hz: Frequency, Hz.
        out_of_range: Policy for frequencies outside the table: "clamp", "extrapolate" or "error".

    Returns:
        (P,) float64, dB.
    """
    depth = vegetation_depth(paths, vegetation.is_trunk)
    if not depth.any():
        return torch.zeros(paths.num_paths, dtype=torch.float64)
    return torch.from_numpy(depth) * wood_db_per_m(frequency_hz, out_of_range)
