"""Correctors that anybody would try first; a network that does not beat them has learnt nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from sitetwin.learn.correctors.base import ChannelCorrector
from sitetwin.learn.correctors.data import ChannelPairs, nearest_rows
from sitetwin.learn.correctors.metrics import common_gain
from sitetwin.learn.energy import energy
from sitetwin.learn.finite import best_finite
from sitetwin.learn.model_files import ModelFile

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Ridges that a linear map chooses from, as shares of the mean power of an input."""


class ZeroCorrector(ChannelCorrector):
    """Nothing at all: an NMSE of 0 dB."""

    kind: ClassVar[str] = "zero"

    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        pass

    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        return torch.zeros_like(twin)

    def _arrays(self) -> Mapping[str, Tensor]:
        return {}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> ZeroCorrector:
        return cls()


class MeanCorrector(ChannelCorrector):
    """The mean of the measured channels, for everybody."""

    kind: ClassVar[str] = "mean"

    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        self._mean = pairs.measured.mean(0)

    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        return self._mean.expand_as(twin).clone()

    def _arrays(self) -> Mapping[str, Tensor]:
        return {"mean": self._mean}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> MeanCorrector:
        corrector = cls()
        corrector._mean = file.array("mean", "antennas taps", torch.complex64)
        if tuple(corrector._mean.shape) != shape:
            raise file.refusal("its mean has another shape than its header says")
        return corrector


class GainCorrector(ChannelCorrector):
    """The twin's channels with one complex gain, fitted by least squares."""

    kind: ClassVar[str] = "one gain"

    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        self._gain = torch.tensor([common_gain(pairs.measured, pairs.twin)], dtype=torch.complex64)

    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        return twin * self._gain

    def _arrays(self) -> Mapping[str, Tensor]:
        return {"gain": self._gain}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> GainCorrector:
        corrector = cls()
        corrector._gain = file.array("gain", "one", torch.complex64)
        if len(corrector._gain) != 1:
            raise file.refusal("it has not one gain")
        return corrector


class WienerCorrector(ChannelCorrector):
    """The best linear map from all taps of the twin to all taps of the measurement: a Wiener filter with a ridge.

    The ridge is the one of `RIDGES` with the least error on validation users; 0.1 where there are none.
    """

    kind: ClassVar[str] = "linear (Wiener)"
    least: ClassVar[int] = 2

    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        x, y = pairs.twin.flatten(1).to(torch.complex128), pairs.measured.flatten(1).to(torch.complex128)
        gram, cross = x.mH @ x / len(x), x.mH @ y / len(x)
        scale = float(gram.diagonal().real.mean()) or 1.0
        eye = torch.eye(len(gram), dtype=gram.dtype)

        def solved(ridge: float) -> Tensor:
            return torch.linalg.solve(gram + ridge * scale * eye, cross)

        if validation is None:
            self._map = solved(0.1).to(torch.complex64)
            return
        other, wanted = validation.twin.flatten(1).to(torch.complex128), validation.measured.flatten(1)
        maps = [solved(ridge) for ridge in RIDGES]
        errors = np.array([float(energy((other @ one - wanted).flatten())) for one in maps])
        self._map = maps[int(best_finite(-errors, "the error on validation users"))].to(torch.complex64)

    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        return (twin.flatten(1) @ self._map).view_as(twin)

    def _arrays(self) -> Mapping[str, Tensor]:
        return {"map": self._map}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> WienerCorrector:
        corrector = cls()
        corrector._map = file.array("map", "numbers numbers", torch.complex64)
        if len(corrector._map) != shape[0] * shape[1]:
            raise file.refusal("its map is of other channels")
        return corrector


class NearestMeasurement(ChannelCorrector):
    """The channel that was measured nearest to the user; the twin is not looked at.

    Where test users stand between training users, as in a random split, this control shows what the split leaks.
    """

    kind: ClassVar[str] = "nearest measurement"

    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        self._measured, self._positions = pairs.measured, pairs.positions

    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        return self._measured[nearest_rows(self._positions, positions)]

    def _arrays(self) -> Mapping[str, Tensor]:
        return {"measured": self._measured, "positions": self._positions}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> NearestMeasurement:
        corrector = cls()
        corrector._measured = file.array("measured", "users antennas taps", torch.complex64)
        corrector._positions = file.array("positions", "users axes", torch.float64)
        if tuple(corrector._measured.shape[1:]) != shape or corrector._positions.shape[1] != 3:
            raise file.refusal("its measurements are of other channels")
        if not len(corrector._measured):
            raise file.refusal("it has no measurement")
        return corrector
