"""The one shape of channel correctors: parameters in the constructor, then fit, predict, save, load."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.correctors.data import ChannelPairs, check_pairs
from sitetwin.learn.model_files import ModelFile, read_model, write_model

Some = TypeVar("Some", bound="ChannelCorrector")


class ChannelCorrector(ABC):
    """What turns a twin's channels into better ones, after it has seen some that were measured.

    Attributes:
        kind: Name of the corrector, in files and tables.
        least: Measured channels without which it cannot be fitted.
    """

    kind: ClassVar[str]
    least: ClassVar[int] = 1

    def __init__(self) -> None:
        self._shape: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Antennas and taps of the channels.

        Raises:
            SiteTwinError: It is not fitted yet.
        """
        if self._shape is None:
            raise SiteTwinError(f"the corrector is not fitted yet ({self.kind}); call fit, or load one")
        return self._shape

    def fit(
        self: Some,
        pairs: ChannelPairs,
        rng: torch.Generator | None = None,
        validation: ChannelPairs | None = None,
    ) -> Some:
        """Learn from pairs, and return this corrector.

        Args:
            pairs: Channels of the twin and measured ones of the same users.
            rng: Source of all random numbers; correctors without random numbers need none.
            validation: Other users, on which a corrector chooses its own settings (a network its epoch, a linear map
                its ridge). Where it is not given, the last settings or the fixed ones are taken.

        Raises:
            SiteTwinError: There are too few pairs, or a generator is missing.
        """
        check_pairs(pairs, self.least, self.kind)
        if validation is not None and validation.measured.shape[1:] != pairs.measured.shape[1:]:
            raise SiteTwinError("validation needs channels of the same antennas and taps as those that are learnt from")
        self._fit(pairs, rng, validation)
        self._shape = (pairs.measured.shape[1], pairs.measured.shape[2])
        return self

    def predict(
        self, twin: Complex[Tensor, "users antennas taps"], positions: Float[Tensor, "users 3"]
    ) -> Complex[Tensor, "users antennas taps"]:
        """Corrected channels.

        Args:
            twin: Channels of the twin, scaled and turned as those that it was fitted to.
            positions: Where the users say that they are, m.

        Raises:
            SiteTwinError: It is not fitted, or the channels are of other antennas or taps, or not finite.
        """
        if tuple(twin.shape[1:]) != self.shape or len(twin) != len(positions):
            raise SiteTwinError(
                f"the corrector knows channels of {self.shape[0]} antennas and {self.shape[1]} taps, and was given "
                f"{tuple(twin.shape)} with {len(positions)} positions; give channels of the same array and taps"
            )
        if not bool(torch.isfinite(twin).all() and torch.isfinite(positions).all()):
            raise SiteTwinError("the twin's channels or the positions are not finite; leave these users out")
        return self._predict(twin, positions)

    def save(self, path: Path | str) -> None:
        """Write the fitted corrector into one file of plain numbers.

        Raises:
            SiteTwinError: It is not fitted, or the disk cannot be written.
        """
        parameters = {"shape": list(self.shape), **self._parameters()}
        write_model(Path(path), self.kind, parameters, self._arrays())

    @classmethod
    def load(cls: type[Some], path: Path | str) -> Some:
        """Read a corrector that `save` wrote. The file is not trusted: nothing is executed, all of it is checked.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        file = read_model(Path(path), cls.kind)
        shape = file.parameter("shape", tuple[int, int])
        if min(shape) < 1 or max(shape) > 1 << 16:
            raise file.refusal("its antennas or taps are no size of a channel")
        corrector = cls._restored(file, shape)
        corrector._shape = shape
        return corrector

    @abstractmethod
    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        """Learn from enough pairs."""

    @abstractmethod
    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        """Corrected channels of checked ones."""

    def _parameters(self) -> Mapping[str, Any]:
        """Parameters for the file, JSON-serialisable."""
        return {}

    @abstractmethod
    def _arrays(self) -> Mapping[str, Tensor]:
        """Numbers for the file."""

    @classmethod
    @abstractmethod
    def _restored(cls: type[Some], file: ModelFile, shape: tuple[int, int]) -> Some:
        """The corrector of a file."""
