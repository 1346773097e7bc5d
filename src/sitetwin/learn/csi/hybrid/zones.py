"""Zones: local subspaces of matrices, in the coordinates of a common front-end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from sitetwin.learn.csi.subspaces import (
    complete_basis,
    k_subspaces,
    principal_subspace,
    subspace_energy,
    weighted_basis,
    zone_members,
)

_NEIGHBOURS, _TEMPERATURE = 3, 0.05  # soft membership, as `mixture.KltConfig` has it
_GROUPING_RANK, _ROUNDS, _POLISH = 4, 10, 2


@dataclass(frozen=True, eq=False)
class Zones:
    """Subspaces.

    Attributes:
        front: Orthonormal directions that all zones share.
        bases: Orthonormal columns of each zone in their coordinates, strongest first.
        levels: Mean square of a zone's coefficients, real and imaginary part together.
        usage: Weight of the training matrices that lie in each zone.
    """

    front: Complex[Tensor, "size front"]
    bases: Complex[Tensor, "zones front rank"]
    levels: Float[Tensor, "zones rank"]
    usage: Float[Tensor, " zones"]

    def coordinates(self, x: Complex[Tensor, "users size"]) -> Complex[Tensor, "users front"]:
        """Coordinates in the front-end."""
        return x @ self.front.conj()

    def nearest(self, coordinates: Complex[Tensor, "users front"], rank: int, count: int) -> Int[Tensor, "users few"]:
        """Numbers of the zones whose first `rank` directions hold most of each matrix, the best one first."""
        bases = self.bases[:, :, :rank].contiguous()
        few = min(count, len(bases))
        parts = [subspace_energy(part, bases)[1].topk(few, dim=1).indices for part in coordinates.split(1024)]
        return torch.cat(parts) if parts else torch.zeros(0, few, dtype=torch.int64)

    def basis(self, zone: int) -> Complex[Tensor, "rank size"]:
        """The directions of one zone as rows over taps and beams."""
        return (self.front @ self.bases[zone]).T.contiguous()


def fit_zones(
    x: Complex[Tensor, "users size"],
    weights: Float[Tensor, " users"],
    zones: int,
    rank: int,
    chosen: int,
    floor: float,
    rng: torch.Generator,
) -> Zones:
    """Fit zones to matrices.

    Args:
        x: Training matrices.
        weights: Their weights.
        zones: Number of zones.
        rank: Directions of a zone, at most.
        chosen: Directions by which the zone of a matrix is chosen.
        floor: Share of the energy that the front-end may lose.
        rng: For the start of the grouping.
    """
    front = principal_subspace(x, floor)
    samples = x @ front.conj()
    rank = min(rank, front.shape[1])
    bases = k_subspaces(samples, zones, min(_GROUPING_RANK, rank), _ROUNDS, rng)
    for turn in range(_POLISH):
        size = rank if turn == _POLISH - 1 else min(chosen, rank)
        rows, members = zone_members(samples, bases, _NEIGHBOURS, _TEMPERATURE)
        bases = torch.stack(
            [
                complete_basis(weighted_basis(samples[i], m * weights[i], size), size)
                for i, m in zip(rows, members, strict=True)
            ]
        )
    return measured(front, bases, samples, weights, chosen)


def measured(front: Tensor, bases: Tensor, samples: Tensor, weights: Tensor, chosen: int) -> Zones:
    """Zones with the use and the coefficients that samples have in them."""
    count, _, rank = bases.shape
    zones = Zones(front, bases, torch.zeros(count, rank), torch.zeros(count))
    own = zones.nearest(samples, chosen, 1)[:, 0]
    power = torch.zeros(len(samples), rank)
    for zone in own.unique().tolist():
        rows = (own == zone).nonzero()[:, 0]
        power[rows] = (samples[rows] @ bases[zone].conj()).abs().square()
    everywhere = (power * weights[:, None]).sum(0) / weights.sum()
    usage = torch.zeros(count).index_add_(0, own, weights)
    levels = torch.zeros(count, rank).index_add_(0, own, power * weights[:, None])
    return Zones(front, bases, (levels + 2 * everywhere) / (usage[:, None] + 2), usage)
