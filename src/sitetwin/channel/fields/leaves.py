"""Loss of paths in leaves, ready to be weighed volume by volume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from sitetwin.channel.fields.foliage import FoliageModel, Season, foliage_model, vegetation_depth, volumes_in_leaf
from sitetwin.channel.fields.tensors import checked_tensor, in_range
from sitetwin.rays.paths import Paths


@dataclass(frozen=True)
class LeafLoss:
    """Loss of P paths in leaves.

    Attributes:
        total: (P,) metres in leafy and bare crowns, 1 where there are none.
        volumes: Number of volumes of the vegetation.
        parts: For leafy and for bare crowns, where there are any: the path and the volume of each crossing, the metres
            in it (zero in other volumes), and (P,) the loss in dB if the whole depth were of this state.
    """

    total: Float[Tensor, " paths"]
    volumes: int
    parts: tuple[LeafPart, ...]

    @classmethod
    def of(
        cls, paths: Paths, vegetation: Any, frequency_hz: float, season: Season, model: str | FoliageModel
    ) -> LeafLoss:
        """Prepare the loss; arguments are those of `foliage_loss_db`."""
        clad, crown = volumes_in_leaf(vegetation, season), ~vegetation.is_trunk
        states = (crown & clad, True), (crown & ~clad, False)
        depths = [torch.from_numpy(vegetation_depth(paths, some)) for some, _ in states]
        total = depths[0] + depths[1]
        chosen = foliage_model(model, frequency_hz)
        row = torch.from_numpy(np.repeat(np.arange(paths.num_paths), np.diff(paths.crossing_offsets)))
        volume = torch.from_numpy(paths.crossing_volume.astype(np.int64))
        chord = torch.from_numpy(paths.crossing_exit - paths.crossing_entry)
        parts = []
        for (some, in_leaf), depth in zip(states, depths, strict=True):
            if bool((depth > 0).any()):
                counts = torch.from_numpy(some)[volume]
                inside = torch.where(counts, chord, torch.zeros_like(chord))
                parts.append(LeafPart(row, volume, inside, chosen(total, frequency_hz, in_leaf)))
        return cls(torch.where(total > 0, total, torch.ones_like(total)), len(crown), tuple(parts))

    def loss_db(self, factor: Tensor | None = None) -> Float[Tensor, " paths"]:
        """(P,) float64, dB.

        Args:
            factor: (V,) factors on the loss in each volume; None for one everywhere. The model is taken at the whole
                depth; each volume has the share of the loss that it has of the depth.

        Raises:
            SiteTwinError: The factors do not fit the vegetation, or one is negative or no number.
        """
        if factor is not None:
            labels = [f"volume {at}" for at in range(self.volumes)]
            factor = checked_tensor("foliage_factor", factor, {(self.volumes,): "one factor per volume of vegetation"})
            in_range("foliage_factor", factor, labels)
        loss = torch.zeros_like(self.total)
        for part in self.parts:
            inside = part.inside if factor is None else part.inside * factor[part.volume]
            depth = torch.zeros_like(self.total).index_add(0, part.row, inside)
            loss = loss + depth / self.total * part.loss_db
        return loss


@dataclass(frozen=True)
class LeafPart:
    """Crossings of crowns in one state, see `LeafLoss`."""

    row: Integer[Tensor, " crossings"]
    volume: Integer[Tensor, " crossings"]
    inside: Float[Tensor, " crossings"]
    loss_db: Float[Tensor, " paths"]


def foliage_loss_db(
    paths: Paths,
    vegetation: Any,
    frequency_hz: float,
    *,
    season: Season = "summer",
    model: str | FoliageModel = "default",
) -> Float[Tensor, " paths"]:
    """Compute the excess loss of each path through leaves (trunks: `sitetwin.channel.fields.trunks`).

    Where a path crosses both leafy and bare canopies, the model is taken at the whole depth for each state and
    weighted with the state's share of the depth, so that the saturation with depth is kept.

    Args:
        paths: P paths.
        vegetation: The site's `Vegetation`.
        frequency_hz: Frequency, Hz.
        season: "summer" or "winter"; deciduous trees lose their leaves.
        model: Name of a model of `MODELS`, or a model; "default" means `default_model`.

    Returns:
        (P,) float64, dB.
    """
    return LeafLoss.of(paths, vegetation, frequency_hz, season, model).loss_db()
