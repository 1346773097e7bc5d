"""Controls: what a learned codec must beat. The global KLT is `sitetwin.learn.csi.klt.GlobalKltCodec`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.energy import power
from sitetwin.learn.model_files import ModelFile


class _Silent(CsiCodec):
    """A codec that feeds nothing back."""

    def _encode(self, x: Tensor) -> Code:
        return Code(torch.zeros(len(x), 0))

    def _report(self) -> tuple[int, int | None]:
        return 0, None

    def _parameters(self) -> Mapping[str, Any]:
        return {}


class ZeroCodec(_Silent):
    """Feeds nothing back and recovers zero: NMSE 0 dB by definition.

    Args:
        shape: Delay taps and beams; a fit replaces them by those of the data.
        budget: It is not used up.
    """

    kind: ClassVar[str] = "zero"

    def __init__(self, shape: tuple[int, int] = (32, 32), budget: Budget | None = None) -> None:
        super().__init__(budget)
        self.shape = shape

    def _decode(self, code: Code) -> Tensor:
        return torch.zeros(len(code.values), *self.fitted_shape, dtype=torch.complex64)

    def costs(self) -> Costs:
        """This codec costs nothing."""
        return Costs(0, 0, 0, 0, 0, 0, 0, 0)

    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        return

    def _arrays(self) -> Mapping[str, Tensor]:
        return {}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> ZeroCodec:
        return cls(shape, budget)


class MeanCodec(_Silent):
    """Feeds nothing back and recovers the mean of the training matrices.

    Attributes:
        mean: (taps, beams) complex64.
    """

    kind: ClassVar[str] = "mean"
    mean: Tensor

    def _decode(self, code: Code) -> Tensor:
        return self.mean.expand(len(code.values), *self.fitted_shape).clone()

    def costs(self) -> Costs:
        """The base station holds the mean."""
        taps, beams = self.fitted_shape
        numbers = 2 * taps * beams
        return Costs(0, numbers, 0, 0, 0, 4 * numbers, 0, 0)

    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        self.mean = x.mean(dim=0)

    def _arrays(self) -> Mapping[str, Tensor]:
        return {"mean": self.mean}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> MeanCodec:
        codec = cls(budget)
        codec.mean = file.array("mean", "taps beams", torch.complex64).reshape(shape)
        return codec


class TwinLookupCodec(CsiCodec):
    """Nearest neighbour in the twin: the index of the most correlated training matrix, and one complex gain.

    Args:
        most: Entries of the table: the first ones of the training matrices; None takes all.
        budget: Feedback budget; ceil(log2 N) index bits and two reals of it are used.

    Attributes:
        entries: (N, taps, beams) complex64 of unit norm.
    """

    kind: ClassVar[str] = "twin lookup"
    entries: Tensor

    def __init__(self, most: int | None = None, budget: Budget | None = None) -> None:
        super().__init__(budget)
        if most is not None and most < 1:
            raise SiteTwinError(f"the lookup table needs at least one training matrix, not {most}; None takes all")
        self.most = most

    @property
    def value_bounds(self) -> tuple[float, float]:
        """A gain between matrices of unit norm; those of the table, which find themselves, all have the gain 1."""
        return -1.0, 1.0

    def _report(self) -> tuple[int, int | None]:
        return 2, len(self.entries)

    def _decode(self, code: Code) -> Tensor:
        gain = torch.view_as_complex(code.values.contiguous()).reshape(-1, 1, 1)
        return self.entries[code.index].reshape(-1, *self.fitted_shape) * gain

    def costs(self) -> Costs:
        """The whole table on both sides; one correlation with every entry at the user equipment."""
        taps, beams = self.fitted_shape
        numbers = 2 * self.entries.numel()
        return Costs(
            parameters_ue=numbers,
            parameters_bs=numbers,
            macs_ue=4 * self.entries.numel() + 2 * len(self.entries),
            macs_bs=4 * taps * beams,
            bytes_ue=4 * numbers,
            bytes_bs=4 * numbers,
            reals=2,
            index_bits=Budget.index_bits(len(self.entries)),
        )

    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        entries = x[: self.most]
        if len(entries) == 0:
            raise SiteTwinError("the lookup table needs at least one training matrix")
        if self.budget.reals_left(len(entries)) < 2:
            raise SiteTwinError(
                f"an index of {len(entries)} entries leaves no room for the gain in the feedback budget; use fewer"
            )
        self.entries = entries

    def _encode(self, x: Tensor) -> Code:
        table = self.entries.flatten(1)
        values, index = [], []
        for part in x.flatten(1).split(512):
            inner = part @ table.mH
            best = power(inner).argmax(dim=1)
            index.append(best)
            values.append(torch.view_as_real(inner.gather(1, best[:, None])[:, 0]))
        return Code(torch.cat(values), torch.cat(index)) if values else Code(torch.zeros(0, 2), torch.zeros(0).long())

    def _parameters(self) -> Mapping[str, Any]:
        return {}

    def _arrays(self) -> Mapping[str, Tensor]:
        return {"entries": self.entries}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> TwinLookupCodec:
        codec = cls(None, budget)
        codec._fit(file.array("entries", "entries taps beams", torch.complex64).reshape(-1, *shape), None)
        return codec
