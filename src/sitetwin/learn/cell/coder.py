"""What turns matrices into bits and back: every codec of a cell is one coder within the same shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Complex, Int, UInt8
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.model_files import ModelFile

Some = TypeVar("Some", bound="CellCoder")


@dataclass(frozen=True)
class Graph:
    """The dense part of one end of a coder, for export; what is no matrix arithmetic stays outside.

    Attributes:
        module: Takes and gives real tensors whose first axis is the users.
        inputs: Names of what it takes.
        outputs: Names of what it gives.
        example: Inputs of two users.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]


class CellCoder(ABC):
    """Matrices to bits and back, at a rate that is the same for all users or each user's own.

    A coder is made by `fit`, `update` or `restored`, and is not changed afterwards.

    Attributes:
        kind: Name of the coder in files.
        shape: Delay taps and beams.
    """

    kind: ClassVar[str]
    shape: tuple[int, int]

    @abstractmethod
    def encode(
        self, x: Complex[Tensor, "users taps beams"]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int[np.ndarray, " users"]]:
        """The reports of normalised matrices: bytes one after the other, each report from a whole byte on, and bits."""

    @abstractmethod
    def decode(
        self, payload: UInt8[np.ndarray, " bytes"], bits: Int[np.ndarray, " users"]
    ) -> Complex[Tensor, "users taps beams"]:
        """The matrices of reports.

        Raises:
            SiteTwinError: A report is not of this coder.
        """

    @abstractmethod
    def update(self: Some, x: Complex[Tensor, "users taps beams"], rng: torch.Generator) -> Some:
        """A coder that also knows measured matrices; this one is not changed.

        Raises:
            SiteTwinError: It cannot be updated.
        """

    @abstractmethod
    def encoder_graph(self) -> Graph:
        """The dense part of the encoder.

        Raises:
            SiteTwinError: It has none.
        """

    @abstractmethod
    def decoder_graph(self) -> Graph:
        """The dense part of the decoder.

        Raises:
            SiteTwinError: It has none.
        """

    def outside_of_graphs(self) -> dict[str, Any]:
        """What both ends do besides the graphs, JSON-serialisable: quantisers, entropy coding."""
        return {}

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What is said of the coder: its codec, bits, sizes and costs, JSON-serialisable."""

    @abstractmethod
    def parameters(self) -> dict[str, Any]:
        """Parameters for the file, JSON-serialisable."""

    @abstractmethod
    def arrays(self) -> Mapping[str, Tensor]:
        """Numbers for the file."""

    @classmethod
    @abstractmethod
    def restored(cls: type[Some], file: ModelFile, shape: tuple[int, int]) -> Some:
        """The coder of a file, none of whose content is believed.

        Raises:
            SiteTwinError: The content makes no coder.
        """

    def recovered(self, x: Complex[Tensor, "users taps beams"], batch: int = 2048) -> Complex[Tensor, "u taps beams"]:
        """What the base station recovers of matrices, in batches of users."""
        parts = [self.decode(*self.encode(part)) for part in x.split(batch)]
        return torch.cat(parts) if parts else x.clone()


Fit = Callable[[Complex[Tensor, "users taps beams"], int, torch.Generator], CellCoder]
"""Makes a coder of training matrices, the bits of one report, and a source of random numbers."""


def refuse_bits(bits: np.ndarray, each: int, what: str) -> None:
    """Refuse reports of another length, where all have one.

    Raises:
        SiteTwinError: A report is longer or shorter.
    """
    if (bits != each).any():
        wrong = int((bits != each).argmax())
        raise SiteTwinError(
            f"the report of user {wrong} has {int(bits[wrong])} bits, and one of {what} has {each}; decode it with the "
            "codec that made it"
        )
