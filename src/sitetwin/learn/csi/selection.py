"""Which measured matrices to ask for: every selected one is uploaded whole, 2048 reals instead of 32.

All functions choose from a given pool of the target world's training users and return rows of that pool. Test users
must not be in it; `check_disjoint` says so where indices are at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Complex, Int
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.codec import Codec, reconstruct
from sitetwin.learn.csi.metrics import nmse
from sitetwin.learn.finite import check_finite


@dataclass(frozen=True, eq=False)
class Selection:
    """Chosen samples and what choosing them cost.

    Attributes:
        rows: int64, rows of the pool, in the order of choice.
        rule: Name of the rule.
        examined: Pool samples whose error the rule needed. Each user computes its own from the codec it has, but the
            ranking rules need those numbers at one place: one real per examined sample.
        reals_uploaded: Real numbers of the full matrices that were fed back.
    """

    rows: Int[Tensor, " chosen"]
    rule: str
    examined: int
    reals_uploaded: int

    @property
    def uploads(self) -> int:
        """Number of full CSI uploads."""
        return len(self.rows)

    def first(self, count: int) -> Selection:
        """The first `count` samples chosen, with their own upload; those examined stay those of the whole choice."""
        each = self.reals_uploaded // self.uploads if self.uploads else 0
        return replace(self, rows=self.rows[:count], reals_uploaded=each * len(self.rows[:count]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable summary without the rows."""
        return {
            "rule": self.rule,
            "uploads": self.uploads,
            "examined": self.examined,
            "reals_uploaded": self.reals_uploaded,
        }


def check_disjoint(pool: Int[Tensor, " pool"], test: Int[Tensor, " test"]) -> None:
    """Refuse a pool that shares users with the test set.

    Args:
        pool: User indices.
        test: User indices.

    Raises:
        SiteTwinError: They overlap.
    """
    shared = int(torch.isin(pool, test).sum())
    if shared:
        raise SiteTwinError(
            f"{shared} users are in the refinement pool and in the test set; split them before selecting"
        )


def _selection(rows: Tensor, rule: str, pool: Tensor, examined: int) -> Selection:
    return Selection(rows, rule, examined, 2 * len(rows) * pool[0].numel() if len(pool) else 0)


def _check(count: int, pool: Tensor) -> None:
    if not 0 <= count <= len(pool):
        raise SiteTwinError(
            f"{count} samples cannot be selected from a pool of {len(pool)}; ask for fewer or widen the pool"
        )


def select_random(pool: Complex[Tensor, "pool taps beams"], count: int, generator: torch.Generator) -> Selection:
    """`count` samples of the pool at random, without repeats.

    Raises:
        SiteTwinError: The pool is smaller than `count`.
    """
    _check(count, pool)
    return _selection(torch.randperm(len(pool), generator=generator)[:count], "random", pool, 0)


def select_highest_nmse(codec: Codec, pool: Complex[Tensor, "pool taps beams"], count: int) -> Selection:
    """The `count` samples of the pool that the codec recovers worst, worst first.

    Raises:
        SiteTwinError: The pool is smaller than `count`.
    """
    _check(count, pool)
    return highest_nmse_of(pool, reconstruct(codec, pool), count)


def highest_nmse_of(
    pool: Complex[Tensor, "pool taps beams"], recovered: Complex[Tensor, "pool taps beams"], count: int
) -> Selection:
    """As `select_highest_nmse`, from what was recovered of the pool.

    Raises:
        SiteTwinError: The pool is smaller than `count`.
    """
    _check(count, pool)
    error = nmse(pool, recovered)
    check_finite(error, "the NMSE with this codec", "samples")
    return _selection(error.argsort(descending=True, stable=True)[:count], "highest-nmse", pool, len(pool))


def select_above_threshold(
    codec: Codec, pool: Complex[Tensor, "pool taps beams"], threshold_db: float, limit: int | None = None
) -> Selection:
    """The samples whose NMSE exceeds a threshold, in the pool's order: the paper's rule, decided by each user alone.

    Args:
        codec: The codec in use.
        pool: complex64, in order of arrival.
        threshold_db: The paper's eta, dB.
        limit: The base station stops asking after that many uploads.
    """
    error = nmse(pool, reconstruct(codec, pool))
    check_finite(error, "the NMSE with this codec", "samples")
    rows = (error > 10 ** (threshold_db / 10)).nonzero()[:, 0][:limit]
    examined = len(pool) if limit is None or len(rows) < limit else int(rows[-1]) + 1 if limit else 0
    return _selection(rows, "above-threshold", pool, examined)


def select_k_centre(codec: Codec, pool: Complex[Tensor, "pool taps beams"], count: int) -> Selection:
    """Diverse badly coded samples: greedy k-centre on the residual vectors.

    The worst samples tend to share one shadow zone. Here the residuals e = x - x_hat are points with the phase-
    invariant distance ``||a||^2 + ||b||^2 - 2 |<a, b>|``; the zero residual is a centre from the start, so that well
    coded samples are never far; each next sample is the one farthest from all centres so far (Gonzalez 1985).

    It needs the residual vectors of the whole pool at one place. On air this would upload the pool, so as a field
    rule it is an upper reference for what diversity can bring; `examined` counts it.

    Raises:
        SiteTwinError: The pool is smaller than `count`.
    """
    _check(count, pool)
    return k_centre_of(pool, reconstruct(codec, pool), count)


def k_centre_of(
    pool: Complex[Tensor, "pool taps beams"], recovered: Complex[Tensor, "pool taps beams"], count: int
) -> Selection:
    """As `select_k_centre`, from what was recovered of the pool.

    Raises:
        SiteTwinError: The pool is smaller than `count`.
    """
    _check(count, pool)
    residual = (pool - recovered).flatten(1)
    check_finite(residual, "what this codec recovers", "samples")
    energy = residual.abs().square().sum(dim=1)
    distance = energy.clone()
    rows: list[int] = []
    for _ in range(count):
        best = int(distance.argmax())
        rows.append(best)
        inner = (residual @ residual[best].conj()).abs()
        distance = torch.minimum(distance, (energy + energy[best] - 2 * inner).clamp_min(0))
        distance[rows] = -1
    return _selection(torch.tensor(rows, dtype=torch.int64), "residual-k-centre", pool, len(pool))
