"""Complex subspaces: principal directions, k-subspaces, soft membership. Rows are samples; bases have them as columns.

A sample y in C^r is a row; its coefficients in an orthonormal basis U (r, d) are ``y @ U.conj()``, i.e. U^H y.
Everything depends on a sample through y y^H only, hence not on its common phase.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sitetwin.learn.energy import energy, power


def principal_subspace(samples: Tensor, floor: float) -> Tensor:
    """(D, r) complex64: fewest orthonormal principal directions that lose at most `floor` of the samples' energy.

    With ``floor = 0`` all coordinates are kept: the result is square and loses nothing of any other sample either.
    """
    count, size = samples.shape
    if floor > 0 and count < size:
        values, vectors = torch.linalg.eigh(samples.conj() @ samples.T)
        basis = samples.T @ vectors.flip(1)
        values = values.flip(0).clamp_min(0)
        keep = _needed(values, floor)
        return torch.linalg.qr(basis[:, :keep])[0]
    values, vectors = torch.linalg.eigh(samples.T @ samples.conj())
    keep = _needed(values.flip(0).clamp_min(0), floor) if floor > 0 else size
    return vectors.flip(1)[:, :keep].contiguous()


def _needed(values: Tensor, floor: float) -> int:
    """How many of the descending eigenvalues leave at most the share `floor` behind."""
    values = values.to(torch.float64)
    tail = values.sum() - values.cumsum(0)
    return min(int((tail > floor * values.sum()).sum()) + 1, len(values))


def subspace_energy(samples: Tensor, bases: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients (N, K, d) complex and energy (N, K) of (N, r) samples in each of (K, r, d) orthonormal bases."""
    zones, size, rank = bases.shape
    stacked = bases.permute(1, 0, 2).reshape(size, zones * rank)
    coefficients = (samples @ stacked.conj()).unflatten(1, (zones, rank))
    return coefficients, energy(coefficients)


def weighted_basis(samples: Tensor, weights: Tensor, rank: int) -> Tensor:
    """(r, m) complex, m <= rank: principal directions of weighted samples, strongest first, none without energy."""
    scaled = samples * weights.clamp_min(0).sqrt()[:, None]
    count, size = scaled.shape
    if count < size:
        values, vectors = torch.linalg.eigh(scaled.conj() @ scaled.T)
        basis = scaled.T @ vectors.flip(1)[:, :rank]
    else:
        values, vectors = torch.linalg.eigh(scaled.T @ scaled.conj())
        basis = vectors.flip(1)[:, :rank]
    values = values.flip(0)[:rank]
    keep = int((values > 1e-6 * values[:1].clamp_min(1e-30)).sum())
    return torch.linalg.qr(basis[:, :keep])[0]


def complete_basis(basis: Tensor, rank: int) -> Tensor:
    """Orthonormal columns with the span of `basis`; coordinate directions, first ones first, fill it up to `rank`.

    In front-end coordinates the first directions are the strongest of the whole site: a zone with few samples falls
    back on the global KLT.

    Args:
        basis: (r, m) complex64, m may be 0.
        rank: At most r.
    """
    have = basis.shape[1]
    if have < rank:
        outside = 1 - torch.linalg.vector_norm(basis[:rank], dim=1).square()
        candidates = (outside < 0.1).to(torch.uint8).argsort(stable=True)[: rank - have]  # skip what the basis holds
        basis = torch.cat([basis, torch.eye(len(basis), dtype=basis.dtype)[:, candidates]], dim=1)
    return torch.linalg.qr(basis)[0]


def spread_seeds(samples: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(count,) rows of k-means++ in the projective distance: each next seed is drawn by its energy outside the others.

    Args:
        samples: (N, r) complex.
        count: Number of seeds, at most N.
        generator: For the draws.
    """
    total = energy(samples)
    seeds = [int(torch.randint(len(samples), (1,), generator=generator))]
    best = _overlap(samples, seeds[0], total)
    for _ in range(count - 1):
        distance = (total - best).clamp_min(1e-12)
        distance[seeds] = 0
        seeds.append(int(torch.multinomial(distance, 1, generator=generator)))
        best = torch.maximum(best, _overlap(samples, seeds[-1], total))
    return torch.tensor(seeds)


def _overlap(samples: Tensor, seed: int, total: Tensor) -> Tensor:
    return power(samples @ samples[seed].conj()) / total[seed].clamp_min(1e-30)


def k_subspaces(samples: Tensor, zones: int, rank: int, iterations: int, generator: torch.Generator) -> Tensor:
    """(K, r, rank) complex orthonormal bases that group the samples by least residual.

    Lloyd's iteration on subspaces whose rank grows from 1 to `rank`; each update is one step of orthogonal iteration
    from the bases at hand, which is all the precision that grouping needs. A zone left empty starts again on the
    sample that is coded worst.
    """
    seeds = samples[spread_seeds(samples, zones, generator)]
    bases = (seeds / torch.linalg.vector_norm(seeds, dim=1, keepdim=True).clamp_min(1e-30))[:, :, None]
    total = energy(samples)
    for step in range(iterations):
        explained = torch.cat([subspace_energy(part, bases)[1] for part in samples.split(2048)])
        best, zone = explained.max(dim=1)
        counts = torch.bincount(zone, minlength=zones)
        worst = (total - best).argsort(descending=True, stable=True)
        for i, empty in enumerate((counts == 0).nonzero()[:, 0].tolist()):
            zone[worst[i]] = empty
        bases = _orthogonal_step(samples, zone, bases, min(rank, 1 + step // 2))
    return bases


def _orthogonal_step(samples: Tensor, zone: Tensor, bases: Tensor, rank: int) -> Tensor:
    """One orthogonal iteration per zone on the covariance of its samples, towards `rank` columns."""
    zones, size, have = bases.shape
    grown = bases.new_zeros(zones, size, min(rank, size))
    keep = min(have, grown.shape[2])
    order = zone.argsort(stable=True)
    counts = torch.bincount(zone, minlength=zones).tolist()
    for k, rows in enumerate(order.split(counts)):
        own = samples[rows]
        if len(rows) <= grown.shape[2] or have < grown.shape[2]:
            exact = weighted_basis(own, torch.ones(len(own)), grown.shape[2])
            grown[k, :, : exact.shape[1]] = exact
        else:
            start = bases[k, :, :keep]
            grown[k] = torch.linalg.qr(own.T @ (own.conj() @ start))[0]
    return grown


def zone_members(
    samples: Tensor, bases: Tensor, neighbours: int, temperature: float
) -> tuple[list[Tensor], list[Tensor]]:
    """For each zone the samples that count in it, and how much: a softmax over each sample's best zones.

    Overlapping zones are fitted to more samples each, which lowers the error of users near a border.

    Returns:
        Row indices and memberships (0..1) per zone. A zone without any member gets the sample that it codes best.
    """
    explained = torch.cat([subspace_energy(part, bases)[1] for part in samples.split(2048)])
    total = energy(samples)[:, None].clamp_min(1e-30)
    best, zone = explained.topk(min(neighbours, len(bases)), dim=1)
    share = torch.softmax(best / total / temperature, dim=1)
    row = torch.arange(len(samples))[:, None].expand_as(zone).flatten()
    zone, share = zone.flatten(), share.flatten()
    order = zone.argsort(stable=True)
    counts = torch.bincount(zone, minlength=len(bases)).tolist()
    rows, members = list(row[order].split(counts)), list(share[order].split(counts))
    for k, count in enumerate(counts):
        if count == 0:
            rows[k], members[k] = explained[:, k].argmax()[None], torch.ones(1)
    return rows, members
