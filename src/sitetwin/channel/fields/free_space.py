"""Loss and phase along a path without its interactions: spreading, leaves, trunks, gases, carrier phase."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.channel.fields.foliage import foliage_loss_db
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.trunks import trunk_loss_db
from sitetwin.channel.numerics.phasors import phasor
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths


def free_space(
    paths: Paths, site: Any, frequency_hz: float, carrier_hz: float, options: FieldOptions, dtype: torch.dtype
) -> Complex[Tensor, " paths"]:
    """(P,) ``lambda / (4 pi L) 10^(-A / 20) e^{-j 2 pi f_c tau}``."""
    length = torch.from_numpy(np.ascontiguousarray(paths.length))
    size = (SPEED_OF_LIGHT / frequency_hz / (4 * math.pi)) / length
    if options.foliage is not None and len(paths.crossing_volume):
        loss = foliage_loss_db(paths, site.vegetation, frequency_hz, season=options.season, model=options.foliage)
        loss = loss + trunk_loss_db(paths, site.vegetation, frequency_hz, out_of_range=options.out_of_range)
        size = size * 10 ** (-loss / 20)
    if options.atmosphere is not None:
        size = size * 10 ** (-length * (options.atmosphere.gas_db_per_km(frequency_hz) / 20e3))
    return phasor(length * (carrier_hz / SPEED_OF_LIGHT), dtype, size)
