"""A mixture of local Karhunen-Loeve transforms: transform coding with one subspace per zone of the site.

Users who see the same walls share path angles and delays, so their delay-angle vectors lie near one low-dimensional
complex subspace although their path phases are unrelated. K such subspaces are fitted to twin data (complex
k-subspaces, started by k-means++ in the projective distance 1 - |<x, y>|^2; then weighted principal components). The
user equipment sends the zone whose subspace leaves the least residual, and the coefficients in it. Related: Gaussian-
mixture transform coding (arXiv 2603.14325), zone-specific subspaces (arXiv 2501.02758).

What foliage changes most are path gains, not angles or delays: the subspaces of the twin stay right in the target
world.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.csi.data import PhaseReference, reference_phase
from sitetwin.learn.csi.subspaces import (
    complete_basis,
    k_subspaces,
    principal_subspace,
    subspace_energy,
    weighted_basis,
    zone_members,
)
from sitetwin.learn.energy import energy, power


@dataclass(frozen=True)
class KltConfig:
    """How a mixture of local KLTs is fitted.

    Attributes:
        zones: Number K of zones asked for; fewer where the data do not carry them.
        minimum_zone: Least training samples per zone on average; K shrinks to samples / minimum_zone.
        energy_floor: Share of the training energy that the common front-end may lose, so that all zones work in the r
            principal coordinates of the training set; 0 keeps all coordinates.
        assignment_rank: Rank of the subspaces while samples are grouped; below the final rank, which keeps zones local.
        iterations: Rounds of grouping at that rank.
        polish: Rounds at full rank with soft membership.
        neighbours: Zones that a sample contributes to in those rounds.
        temperature: Temperature of the soft membership: the energy share by which one zone must be better than another
            to get e times its weight.
        phase: "coded" feeds back all coefficients as complex numbers; "reference" turns the first one real, which
            saves one real, and the decoder restores the phase by the data set's phase reference.
        reference: Phase reference of the data set.
    """

    zones: int = 256
    minimum_zone: int = 4
    energy_floor: float = 1e-5
    assignment_rank: int = 4
    iterations: int = 10
    polish: int = 3
    neighbours: int = 3
    temperature: float = 0.05
    phase: Literal["coded", "reference"] = "coded"
    reference: PhaseReference = "corner"


@dataclass(frozen=True, eq=False)
class Mixture:
    """Subspaces fitted to training matrices. Immutable: an update gives a new one.

    Attributes:
        front: complex64, orthonormal principal directions of the training set, strongest first.
        bases: complex64, orthonormal columns, strongest first.
        budget: Feedback budget, with the index counted in it.
        shape: (taps, beams), D = taps x beams.
        config: How it was fitted.
        samples: complex64, the training samples in front-end coordinates. Only the update needs them; they stay at the
            base station and are not part of the model that is sent out.
        weights: float32, the weights of the samples.
    """

    front: Complex[Tensor, "size front"]
    bases: Complex[Tensor, "zones front rank"]
    budget: Budget
    shape: tuple[int, int]
    config: KltConfig
    samples: Complex[Tensor, "samples front"]
    weights: Float[Tensor, " samples"]

    @property
    def zones(self) -> int:
        """Number of zones K."""
        return len(self.bases)

    @property
    def rank(self) -> int:
        """Complex coefficients per report."""
        return self.bases.shape[2]

    @property
    def reals(self) -> int:
        """Real numbers of one code."""
        return 2 * self.rank - int(self.config.phase == "reference")

    def encode(self, x: Tensor) -> Code:
        """Zone index and coefficients of (N, T, B) complex64 matrices.

        The zone is the one of least residual, found exactly: all zones' coefficients come from one matrix product.
        """
        coordinates = x.flatten(1).to(torch.complex64) @ self.front.conj()
        values, index = [], []
        for part in coordinates.split(1024):
            coefficients, explained = subspace_energy(part, self.bases)
            zone = explained.argmax(dim=1)
            values.append(coefficients[torch.arange(len(part)), zone])
            index.append(zone)
        own = torch.cat(values) if values else coordinates.new_zeros(0, self.rank)
        if self.config.phase == "reference":
            own = own * torch.polar(torch.ones(len(own)), -torch.angle(own[:, 0]))[:, None]
            return Code(torch.view_as_real(own).flatten(1)[:, self._kept], torch.cat(index))
        return Code(torch.view_as_real(own).flatten(1), torch.cat(index))

    @property
    def _kept(self) -> Tensor:
        """Positions of the fed-back reals when the first coefficient is real: all but its imaginary part."""
        return torch.tensor([0, *range(2, 2 * self.rank)])

    def decode(self, code: Code) -> Tensor:
        """(N, T, B) complex64 from zone and coefficients of a checked code."""
        assert code.index is not None
        values = code.values
        if self.config.phase == "reference":
            full = values.new_zeros(len(values), 2 * self.rank)
            full[:, self._kept] = values
            values = full
        own = torch.view_as_complex(values.unflatten(1, (self.rank, 2)).contiguous())
        coordinates = own.new_zeros(len(own), self.front.shape[1])
        order = code.index.argsort(stable=True)
        counts = torch.bincount(code.index, minlength=self.zones).tolist()
        for zone, rows in enumerate(order.split(counts)):  # per zone, so that no basis is copied per user
            if len(rows):
                coordinates[rows] = own[rows] @ self.bases[zone].T
        x = (coordinates @ self.front.T).unflatten(1, self.shape)
        if self.config.phase == "reference":
            turn = -reference_phase(x, self.config.reference)
            x = x * torch.polar(torch.ones_like(turn), turn)[:, None, None]
        return x

    def costs(self) -> Costs:
        """Both sides hold the front-end and all bases; the user equipment projects on every zone."""
        big_d, r = self.front.shape
        numbers = 2 * (self.front.numel() + self.bases.numel())
        return Costs(
            parameters_ue=numbers,
            parameters_bs=numbers,
            macs_ue=4 * (big_d * r + r * self.zones * self.rank) + 2 * self.zones * self.rank,
            macs_bs=4 * (r * self.rank + big_d * r),
            bytes_ue=4 * numbers,
            bytes_bs=4 * numbers,
            reals=self.reals,
            index_bits=Budget.index_bits(self.zones),
        )

    def update(self, x: Tensor, weight: float = 3.0, new_zones: int = 0) -> Mixture:
        """Fold a few measured matrices in, in closed form.

        The front-end is extended by the directions it lacks. Each measured sample joins the zone that codes it best,
        and the zones so touched are fitted anew to the weighted union of their twin samples and the measured ones. On
        request the least used zones give way to new ones around the worst coded measured samples.

        Args:
            x: (n, T, B) complex64 measured matrices.
            weight: Weight of a measured sample against a twin sample.
            new_zones: Zones to replace; 0 for none.

        Returns:
            A new codec with the same number of zones and coefficients, hence the same feedback.

        Raises:
            SiteTwinError: The weight is not positive, or more new zones than zones or samples are asked for.
        """
        if not weight > 0:
            raise SiteTwinError(f"the weight of measured samples must be positive, not {weight:g}")
        if new_zones > min(self.zones - 1, len(x)):
            raise SiteTwinError(
                f"{new_zones} new zones were asked for, but there are {self.zones} zones and {len(x)} measured samples"
            )
        if len(x) == 0:
            return self
        wider = self._widened(x)
        real = x.flatten(1).to(torch.complex64) @ wider.front.conj()
        samples = torch.cat([wider.samples, real])
        weights = torch.cat([wider.weights, torch.full((len(real),), float(weight))])
        bases = _replace_zones(wider.bases, samples, weights, len(real), new_zones) if new_zones else wider.bases
        touched = subspace_energy(real, bases)[1].argmax(dim=1).unique().tolist()
        rows, membership = zone_members(samples, bases, self.config.neighbours, self.config.temperature)
        bases = bases.clone()
        for zone in touched:
            own = rows[zone]
            basis = weighted_basis(samples[own], weights[own] * membership[zone], self.rank)
            bases[zone] = complete_basis(basis, self.rank)
        return replace(wider, bases=bases, samples=samples, weights=weights)

    def _widened(self, x: Tensor) -> Mixture:
        """Return the codec in front-end coordinates that also hold `x` up to the energy floor."""
        flat = x.flatten(1).to(torch.complex64)
        missing = flat - (flat @ self.front.conj()) @ self.front.T
        if float(energy(missing).sum()) <= self.config.energy_floor * float(energy(flat).sum()):
            return self
        extra = principal_subspace(missing, self.config.energy_floor)
        extra = torch.linalg.qr(extra - self.front @ (self.front.mH @ extra))[0]
        front = torch.cat([self.front, extra], dim=1)
        added = extra.shape[1]
        bases = torch.nn.functional.pad(torch.view_as_real(self.bases), (0, 0, 0, 0, 0, added))
        samples = torch.nn.functional.pad(torch.view_as_real(self.samples), (0, 0, 0, added))
        return replace(
            self,
            front=front,
            bases=torch.view_as_complex(bases.contiguous()),
            samples=torch.view_as_complex(samples.contiguous()),
        )


def _replace_zones(bases: Tensor, samples: Tensor, weights: Tensor, measured: int, count: int) -> Tensor:
    """Bases with the least used zones moved onto the measured samples (the last rows) that are coded worst.

    A new zone starts from its seed and the nearest samples in the projective distance; seeds that an earlier new zone
    already codes are passed over.
    """
    bases, rank = bases.clone(), bases.shape[2]
    explained = subspace_energy(samples, bases)[1]
    usage = torch.bincount(explained.argmax(dim=1), weights=weights, minlength=len(bases))
    victims = usage.argsort(stable=True)[:count].tolist()
    total = energy(samples)
    covered = explained.max(dim=1).values
    for zone in victims:
        residual = (total - covered)[-measured:]
        seed = len(samples) - measured + int(residual.argmax())
        closeness = power(samples @ samples[seed].conj()) / total.clamp_min(1e-30)
        nearest = closeness.topk(min(2 * rank, len(samples))).indices
        own = weights[nearest] * closeness[nearest] / total[seed]
        bases[zone] = complete_basis(weighted_basis(samples[nearest], own, rank), rank)
        covered = torch.maximum(covered, subspace_energy(samples, bases[zone : zone + 1])[1][:, 0])
    return bases


def fit_mixture(x: Tensor, generator: torch.Generator, config: KltConfig, budget: Budget) -> Mixture:
    """Fit a mixture of local KLTs to training matrices.

    The same data, configuration and generator state give the same codec.

    Args:
        x: (N, T, B) complex64, normalised. A handful is enough: zones and rank shrink with N.
        generator: For the start of the grouping.
        config: How the mixture is fitted.
        budget: Feedback budget; the zone index is paid for out of it.

    Raises:
        SiteTwinError: No samples, fewer than one zone, or a budget too small for the index.
    """
    if len(x) == 0:
        raise SiteTwinError("the KLT needs at least one training matrix")
    if config.zones < 1 or config.minimum_zone < 1:
        raise SiteTwinError(
            "the KLT needs at least one zone and one sample per zone; set zones and minimum_zone to 1 or more"
        )
    flat = x.flatten(1).to(torch.complex64)
    zones = max(1, min(config.zones, len(x) // config.minimum_zone))
    rank = budget.complex_coefficients(zones, config.phase == "reference")
    if rank < 1:
        raise SiteTwinError(f"an index of {zones} zones leaves no coefficient in the feedback budget; use fewer zones")
    front = principal_subspace(flat, config.energy_floor)
    rank = min(rank, front.shape[1])
    samples = flat @ front.conj()
    weights = torch.ones(len(samples))
    bases = k_subspaces(samples, zones, min(config.assignment_rank, rank), config.iterations, generator)
    for _ in range(max(config.polish, 1)):
        rows, membership = zone_members(samples, bases, config.neighbours, config.temperature)
        bases = torch.stack(
            [complete_basis(weighted_basis(samples[i], m, rank), rank) for i, m in zip(rows, membership, strict=True)]
        )
    shape = (x.shape[1], x.shape[2])
    return Mixture(front, bases, budget, shape, config, samples, weights)
