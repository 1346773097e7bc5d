"""Loss and phase along a path without its interactions: spreading, leaves, trunks, gases, carrier phase."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.channel.fields.leaves import LeafLoss
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.trunks import trunk_loss_db
from sitetwin.channel.numerics.phasors import phasor
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Paths


class FreeSpace:
    """What paths would be without their interactions; ready for other lengths and other factors on the leaves."""

    def __init__(
        self,
        paths: Paths,
        site: Any,
        frequency_hz: float,
        carrier_hz: float,
        options: FieldOptions,
        dtype: torch.dtype,
    ) -> None:
        self.length = torch.from_numpy(np.ascontiguousarray(paths.length))
        self.frequency_hz, self.carrier_hz, self.dtype = frequency_hz, carrier_hz, dtype
        self.air = options.atmosphere
        self.leaves: LeafLoss | None = None
        if options.foliage is not None and len(paths.crossing_volume):
            model, season = options.foliage, options.season
            self.leaves = LeafLoss.of(paths, site.vegetation, frequency_hz, season, model)
            policy = options.out_of_range
            self.trunks = trunk_loss_db(paths, site.vegetation, frequency_hz, out_of_range=policy)

    def factor(
        self, length: Float[Tensor, " paths"] | None = None, foliage_factor: Tensor | None = None
    ) -> Complex[Tensor, " paths"]:
        """(P,) ``lambda / (4 pi L) 10^(-A / 20) e^{-j 2 pi f_c tau}``.

        Args:
            length: (P,) lengths L, metres; those of the trace by default.
            foliage_factor: (V,) factors on the loss in the leaves of each volume.

        Raises:
            SiteTwinError: The factors do not fit the vegetation, or no path meets any.
        """
        length = self.length if length is None else length
        size = (SPEED_OF_LIGHT / self.frequency_hz / (4 * math.pi)) / length
        if self.leaves is not None:
            loss = self.leaves.loss_db(foliage_factor)
            loss = loss + self.trunks
            size = size * 10 ** (-loss / 20)
        elif foliage_factor is not None:
            raise SiteTwinError(
                "foliage_factor was given but leaves take nothing from these paths: none of them crosses vegetation, "
                "or foliage is None; leave the factors out"
            )
        if self.air is not None:
            size = size * 10 ** (-length * (self.air.gas_db_per_km(self.frequency_hz) / 20e3))
        return phasor(length * (self.carrier_hz / SPEED_OF_LIGHT), self.dtype, size)
