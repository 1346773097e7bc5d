"""The common interface of all codecs: parameters in the constructor, then fit, encode, decode, update, save, load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.learn.csi.codec import Budget, Code, Costs, check_code
from sitetwin.learn.csi.data import CsiData, Facts, check_facts, csi_facts, csi_matrices
from sitetwin.learn.csi.training import History
from sitetwin.learn.model_files import ModelFile, read_model, write_model

Some = TypeVar("Some", bound="CsiCodec")


class CsiCodec(ABC):
    """A codec of CSI feedback that can be fitted, used, updated with a few measured matrices, and kept on disk.

    The constructor takes parameters alone and computes nothing. `fit` learns from data and returns the codec itself;
    `update` leaves it as it is and returns a refined one. Data are what `CsiData` says: labelled channels, a `CsiSet`,
    or a tensor of prepared matrices (users, taps, beams).

    Attributes:
        kind: Name of the codec in files.
        budget: What one feedback report may carry.
        shape: Delay taps and beams, once the codec knows them.
        facts: Carrier, delays and angles of the labelled channels that the codec was fitted to; empty without labels.
        history: Epoch by epoch, what the last fit or update did; None where nothing is trained by gradients.
    """

    kind: ClassVar[str]

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.shape: tuple[int, int] | None = None
        self.facts: Facts = {}
        self.history: History | None = None

    def fit(self: Some, data: CsiData, rng: torch.Generator | None = None) -> Some:
        """Learn from training data.

        Args:
            data: Training matrices in any form of `CsiData`.
            rng: Source of all random numbers; codecs in closed form need none.

        Returns:
            This codec.

        Raises:
            SiteTwinError: The data are empty, not finite or of wrong axes, or leave the codec without a solution.
        """
        x = csi_matrices(data)
        if len(x) == 0:
            raise SiteTwinError(f"the {self.kind} codec needs at least one training matrix")
        self._fit(x, rng)
        self.shape, self.facts = (x.shape[1], x.shape[2]), csi_facts(data)
        return self

    def encode(self, data: CsiData) -> Code:
        """Encode matrices into what the users feed back.

        Raises:
            SiteTwinError: The codec is not fitted, or the matrices have another size, or the channels another carrier,
                other delays or other angles than those that it was fitted to.
        """
        return self._encode(self._matrices(data))

    def decode(self, code: Code) -> Complex[Tensor, "users taps beams"]:
        """The matrices that the base station recovers, complex64, normalised as the training matrices were.

        Raises:
            SiteTwinError: The codec is not fitted, or the code is of another codec: it has another number of reals, a
                number that is not finite, or an index that the codec does not know.
        """
        _ = self.fitted_shape  # the refusal of a codec that is not fitted
        check_code(code, self.kind, *self._report())
        return self._decode(code)

    def _matrices(self, data: CsiData) -> Complex[Tensor, "users taps beams"]:
        """Prepared matrices of the size, and from channels of the kind, that the codec was fitted to."""
        shape = self.fitted_shape
        check_facts(self.facts, data)
        return csi_matrices(data, shape)

    @abstractmethod
    def costs(self) -> Costs:
        """Return the numbers of parameters and multiply-adds, the memory and the feedback."""

    def update(self: Some, data: CsiData, rng: torch.Generator | None = None) -> Some:
        """Return a new codec that also knows a few measured matrices; this codec is not changed.

        Args:
            data: Measured matrices of the target world.
            rng: Source of all random numbers; codecs in closed form need none.

        Raises:
            SiteTwinError: The codec is not fitted, or cannot be updated with these data.
        """
        raise SiteTwinError(f"the {self.kind} codec cannot be updated; fit a new one to all data")

    def save(self, path: Path | str) -> None:
        """Write the fitted codec into one file of plain numbers.

        Raises:
            SiteTwinError: The codec is not fitted, or the disk cannot be written.
        """
        parameters, arrays = self.content()
        write_model(Path(path), self.kind, parameters, arrays)

    def content(self) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
        """What a file holds of the fitted codec: parameters, JSON-serialisable, and plain numbers.

        Raises:
            SiteTwinError: The codec is not fitted.
        """
        taps, beams = self.fitted_shape
        about: dict[str, Any] = {
            "shape": [taps, beams],
            "reals": self.budget.reals,
            "bits_per_real": self.budget.bits_per_real,
        }
        about |= {"facts": self.facts} if self.facts else {}
        return {**about, **self._parameters()}, self._arrays()

    @classmethod
    def load(cls: type[Some], path: Path | str) -> Some:
        """Read a codec that `save` wrote. The file is not trusted: nothing in it is executed, all of it is checked.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        return cls.of_file(read_model(Path(path), cls.kind))

    @classmethod
    def of_file(cls: type[Some], file: ModelFile) -> Some:
        """The codec of a file's content, all of which is checked.

        Raises:
            SiteTwinError: The content makes no codec of this kind.
        """
        shape, reals = file.parameter("shape", tuple[int, int]), file.parameter("reals", int)
        bits = file.parameter("bits_per_real", int)
        if not (min(shape) > 0 and max(shape) <= 1 << 16 and 0 < reals <= 1 << 20 and 0 < bits <= 64):
            raise file.refusal("its sizes are out of range")
        try:
            with said_of(f"the model {file.path}"):
                codec = cls._restored(file, Budget(reals, bits), shape)
        except (RuntimeError, TypeError, ValueError, OverflowError) as error:
            raise file.refusal("its numbers do not fit together") from error
        codec.shape = shape
        codec.facts = file.parameter("facts", Facts) if "facts" in file.parameters else {}
        return codec

    @property
    def report_sizes(self) -> tuple[int, int | None]:
        """Reals of one code, and how many values its index can have; None without an index.

        Raises:
            SiteTwinError: The codec is not fitted yet.
        """
        _ = self.fitted_shape
        return self._report()

    @property
    def value_bounds(self) -> tuple[float, float] | None:
        """Bounds that every real of a code keeps by construction; None where training codes tell the range."""
        return None

    def training_matrices(self) -> Complex[Tensor, "samples taps beams"] | None:
        """The matrices that the codec keeps of its training; None where it keeps none."""
        return None

    @property
    def fitted_shape(self) -> tuple[int, int]:
        """Delay taps and beams.

        Raises:
            SiteTwinError: The codec is not fitted yet.
        """
        if self.shape is None:
            raise SiteTwinError(f"the {self.kind} codec is not fitted yet; call fit, or load one")
        return self.shape

    @abstractmethod
    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        """Learn from at least one finite complex64 matrix (users, taps, beams)."""

    @abstractmethod
    def _encode(self, x: Tensor) -> Code:
        """Codes of checked matrices."""

    @abstractmethod
    def _report(self) -> tuple[int, int | None]:
        """Reals of one code, and how many values its index can have; None without an index."""

    @abstractmethod
    def _decode(self, code: Code) -> Tensor:
        """Matrices of a checked code."""

    @abstractmethod
    def _parameters(self) -> Mapping[str, Any]:
        """Parameters for the file, JSON-serialisable."""

    @abstractmethod
    def _arrays(self) -> Mapping[str, Tensor]:
        """Numbers for the file."""

    @classmethod
    @abstractmethod
    def _restored(cls: type[Some], file: ModelFile, budget: Budget, shape: tuple[int, int]) -> Some:
        """The codec of a file; a size that does not fit may raise any error of torch."""


def needed(rng: torch.Generator | None, kind: str) -> torch.Generator:
    """The generator, where one is needed.

    Raises:
        SiteTwinError: None was given.
    """
    if rng is None:
        raise SiteTwinError(f"the {kind} codec draws random numbers; pass a torch.Generator as rng")
    return rng
