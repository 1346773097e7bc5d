"""Controls: what a learned codec must beat. The global KLT is `sitetwin.learn.csi.klt.global_klt`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.energy import power


@dataclass(frozen=True)
class ZeroCodec:
    """Feeds nothing back and recovers zero: NMSE 0 dB by definition."""

    shape: tuple[int, int] = (32, 32)
    budget: Budget = field(default_factory=Budget)

    def encode(self, x: Tensor) -> Code:
        """Empty codes."""
        return Code(torch.zeros(len(x), 0))

    def decode(self, code: Code) -> Tensor:
        """(N, T, B) zeros."""
        return torch.zeros(len(code.values), *self.shape, dtype=torch.complex64)

    def costs(self) -> Costs:
        """Nothing."""
        return Costs(0, 0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class MeanCodec:
    """Feeds nothing back and recovers the mean of the training matrices.

    Attributes:
        mean: (T, B) complex64.
        budget: Not used up.
    """

    mean: Tensor
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def fit(cls, x: Tensor) -> MeanCodec:
        """Mean of (N, T, B) training matrices.

        Raises:
            SiteTwinError: No matrices.
        """
        if len(x) == 0:
            raise SiteTwinError("the mean needs at least one training matrix")
        return cls(x.mean(dim=0))

    def encode(self, x: Tensor) -> Code:
        """Empty codes."""
        return Code(torch.zeros(len(x), 0))

    def decode(self, code: Code) -> Tensor:
        """(N, T, B) copies of the mean."""
        return self.mean.expand(len(code.values), *self.mean.shape).clone()

    def costs(self) -> Costs:
        """The mean, at the base station."""
        numbers = 2 * self.mean.numel()
        return Costs(0, numbers, 0, 0, 0, 4 * numbers, 0, 0)


@dataclass(frozen=True, eq=False)
class TwinLookupCodec:
    """Nearest neighbour in the twin: the index of the most correlated training matrix, and one complex gain.

    Attributes:
        entries: (N, T, B) complex64 of unit norm.
        budget: Of which ceil(log2 N) index bits and two reals are used.
    """

    entries: Tensor
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        if len(self.entries) == 0:
            raise SiteTwinError("the lookup table needs at least one training matrix")
        if self.budget.reals_left(len(self.entries)) < 2:
            raise SiteTwinError(
                f"an index of {len(self.entries)} entries leaves no room for the gain in the feedback budget"
            )

    def encode(self, x: Tensor) -> Code:
        """Index and least-squares gain of each matrix."""
        table = self.entries.flatten(1)
        values, index = [], []
        for part in x.flatten(1).split(512):
            inner = part @ table.mH
            best = power(inner).argmax(dim=1)
            index.append(best)
            values.append(torch.view_as_real(inner.gather(1, best[:, None])[:, 0]))
        return Code(torch.cat(values), torch.cat(index)) if values else Code(torch.zeros(0, 2), torch.zeros(0).long())

    def decode(self, code: Code) -> Tensor:
        """(N, T, B): the entry times the gain."""
        if code.index is None:
            raise SiteTwinError("a lookup code without its index cannot be decoded; keep the index that encode gave")
        return self.entries[code.index] * torch.view_as_complex(code.values.contiguous())[:, None, None]

    def costs(self) -> Costs:
        """The whole table on both sides; one correlation with every entry at the user equipment."""
        numbers = 2 * self.entries.numel()
        size = self.entries[0].numel()
        return Costs(
            parameters_ue=numbers,
            parameters_bs=numbers,
            macs_ue=4 * self.entries.numel() + 2 * len(self.entries),
            macs_bs=4 * size,
            bytes_ue=4 * numbers,
            bytes_bs=4 * numbers,
            reals=2,
            index_bits=Budget.index_bits(len(self.entries)),
        )
