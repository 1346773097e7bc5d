"""Predictors of beams in one shape: parameters in the constructor, then fit, predict, update, save, load.

A prediction is a score for every beam, the higher the better; `sitetwin.learn.beams.metrics` judges scores. The
structured twin, which needs the frame of a street, has the same shape: `sitetwin.calibrate.StructuredTwin`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.baselines import lookup_table, majority, nearest
from sitetwin.learn.beams.data import BeamData, BeamSet, beam_set, checked_positions
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.network import FINE_TUNING, BeamNetworks, Schedule, network_inputs
from sitetwin.learn.model_files import ModelFile, read_model, write_model

Some = TypeVar("Some", bound="BeamPredictor")


class BeamPredictor(ABC):
    """A predictor of the best beams from the user's position.

    `fit` returns the predictor itself; `update` leaves it as it is and returns a refined one.

    Attributes:
        kind: Name of the predictor in files.
    """

    kind: ClassVar[str]

    def __init__(self) -> None:
        self._rows: BeamSet | None = None

    @property
    def rows(self) -> BeamSet:
        """The rows it was fitted to.

        Raises:
            SiteTwinError: It is not fitted yet.
        """
        if self._rows is None:
            raise SiteTwinError(f"the {self.kind} predictor is not fitted yet; call fit, or load one")
        return self._rows

    def fit(self: Some, data: BeamData, rng: torch.Generator | None = None) -> Some:
        """Learn from measured or traced rows.

        Args:
            data: Positions and powers in any form of `BeamData`.
            rng: Source of all random numbers; predictors without random numbers need none.

        Returns:
            This predictor.

        Raises:
            SiteTwinError: There are no rows, or values that cannot be learnt from.
        """
        rows = beam_set(data)
        if not len(rows):
            raise SiteTwinError(f"the {self.kind} predictor needs at least one row")
        self._fit(rows, rng)
        self._rows = rows
        return self

    def predict(self, position: Float[np.ndarray, "asked 2"]) -> Float[np.ndarray, "asked beams"]:
        """Scores of all beams at positions, metres east and north of the station.

        Raises:
            SiteTwinError: The predictor is not fitted, or a position is not finite.
        """
        return self._predict(self.rows, checked_positions(position))

    def update(self: Some, data: BeamData, rng: torch.Generator | None = None) -> Some:
        """Return a predictor that knows these rows and the earlier rows; this predictor is not changed.

        Args:
            data: Positions and powers in any form of `BeamData`.
            rng: Source of all random numbers; predictors without random numbers need none.

        Raises:
            SiteTwinError: It is not fitted, or the rows are of other beams.
        """
        other = self._unfitted()
        return other.fit(self.rows.joined(beam_set(data)), rng)

    def save(self, path: Path | str) -> None:
        """Write the fitted predictor, with the rows it was fitted to, into one file of plain numbers.

        Raises:
            SiteTwinError: It is not fitted, or the disk cannot be written.
        """
        rows = self.rows
        arrays = {
            "position": torch.from_numpy(np.ascontiguousarray(rows.position, dtype=np.float64)),
            "power": torch.from_numpy(np.nan_to_num(rows.power, nan=-1.0).astype(np.float64)),
        }
        write_model(Path(path), self.kind, self._parameters(), {**arrays, **self._arrays()})

    @classmethod
    def load(cls: type[Some], path: Path | str) -> Some:
        """Read a predictor that `save` wrote. The file is not trusted: nothing is executed, all of it is checked.

        Raises:
            SiteTwinError: The file is missing, damaged, or holds something else.
        """
        file = read_model(Path(path), cls.kind)
        position = file.array("position", "rows axes", torch.float64).numpy()
        power = file.array("power", "rows beams", torch.float64).numpy()
        if position.shape[1] != 2 or not len(position):
            raise file.refusal("its positions are not in the plane")
        predictor = cls._restored(file)
        predictor._rows = BeamSet(position, np.where(power < 0, np.nan, power))
        return predictor

    @abstractmethod
    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        """Learn from at least one row."""

    @abstractmethod
    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        """Scores at checked positions, of the rows it was fitted to."""

    @abstractmethod
    def _unfitted(self: Some) -> Some:
        """Another one of the same parameters."""

    def _parameters(self) -> Mapping[str, Any]:
        """Parameters for the file, JSON-serialisable."""
        return {}

    def _arrays(self) -> Mapping[str, Tensor]:
        """Numbers for the file, besides the rows."""
        return {}

    @classmethod
    @abstractmethod
    def _restored(cls: type[Some], file: ModelFile) -> Some:
        """The predictor of a file, without its rows."""


class MajorityBeams(BeamPredictor):
    """How often each beam was the best, the same for every user: what any method must beat."""

    kind: ClassVar[str] = "majority"

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        return

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        return majority(rows.power, len(position))

    def _unfitted(self) -> MajorityBeams:
        return MajorityBeams()

    @classmethod
    def _restored(cls, file: ModelFile) -> MajorityBeams:
        return cls()


class NearestBeams(BeamPredictor):
    """Mean relative power of the nearest rows.

    Args:
        neighbours: Number of nearest rows that are averaged; all rows if there are fewer.
    """

    kind: ClassVar[str] = "nearest rows"

    def __init__(self, neighbours: int = 5) -> None:
        super().__init__()
        if neighbours < 1:
            raise SiteTwinError(f"at least one neighbour must answer, not {neighbours}")
        self.neighbours = neighbours

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        return

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        return nearest(rows.position, rows.power, position, min(self.neighbours, len(rows)))

    def _unfitted(self) -> NearestBeams:
        return NearestBeams(self.neighbours)

    def _parameters(self) -> Mapping[str, Any]:
        return {"neighbours": self.neighbours}

    @classmethod
    def _restored(cls, file: ModelFile) -> NearestBeams:
        return cls(file.parameter("neighbours", int))


class LookupBeams(BeamPredictor):
    """Counts of best beams in the cells of a table over the measured area (arXiv 2205.09054).

    Args:
        cells: Number of cells along each axis.
    """

    kind: ClassVar[str] = "look-up table"

    def __init__(self, cells: int = 25) -> None:
        super().__init__()
        if not 1 <= cells <= 1000:
            raise SiteTwinError(f"a table has 1 to 1000 cells along each axis, not {cells}")
        self.cells = cells

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        return

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        return lookup_table(rows.position, rows.power, position, self.cells)

    def _unfitted(self) -> LookupBeams:
        return LookupBeams(self.cells)

    def _parameters(self) -> Mapping[str, Any]:
        return {"cells": self.cells}

    @classmethod
    def _restored(cls, file: ModelFile) -> LookupBeams:
        return cls(file.parameter("cells", int))


class NetworkBeams(BeamPredictor):
    """The published network of arXiv 2301.07682: pre-trained on many rows, of a twin for instance, tuned with few.

    Args:
        schedule: How a fit trains it.
        tuning: How an update trains it on, with the new rows alone.
    """

    kind: ClassVar[str] = "network"

    def __init__(self, schedule: Schedule = Schedule(), tuning: Schedule = FINE_TUNING) -> None:  # noqa: B008  (frozen)
        super().__init__()
        self.schedule, self.tuning = schedule, tuning
        self._network: BeamNetworks | None = None

    def update(self, data: BeamData, rng: torch.Generator | None = None) -> NetworkBeams:
        """Return a network that is trained further with these rows; this network is not changed.

        Args:
            data: Positions and powers in any form of `BeamData`.
            rng: Source of the shuffles.

        Raises:
            SiteTwinError: It is not fitted, there are no rows, or they are of other beams.
        """
        rows, before = beam_set(data), self.rows
        if not len(rows):
            raise SiteTwinError("tuning needs at least one row")
        assert self._network is not None
        other = self._unfitted()
        other._rows, other._network = before.joined(rows), self._network.copy()
        _train(other._network, rows, self.tuning, _needed(rng))
        return other

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        rng = _needed(rng)
        self._network = BeamNetworks(1, rows.power.shape[1], rng)
        _train(self._network, rows, self.schedule, rng)

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        assert self._network is not None
        with torch.no_grad():
            return self._network.scores(network_inputs(position)[None])[0].numpy()

    def _unfitted(self) -> NetworkBeams:
        return NetworkBeams(self.schedule, self.tuning)

    def _parameters(self) -> Mapping[str, Any]:
        return {"schedule": asdict(self.schedule), "tuning": asdict(self.tuning)}

    def _arrays(self) -> Mapping[str, Tensor]:
        assert self._network is not None
        pairs = enumerate(self._network.layers)
        return {
            f"{name}{k}": tensor for k, layer in pairs for name, tensor in zip(("weight", "bias"), layer, strict=True)
        }

    @classmethod
    def _restored(cls, file: ModelFile) -> NetworkBeams:
        predictor = cls(file.parameter("schedule", Schedule), file.parameter("tuning", Schedule))
        sizes = ("inputs", "hidden", "hidden", "hidden", "beams")
        network = BeamNetworks(1, 1, torch.Generator())
        network.layers = [
            (
                file.array(f"weight{k}", f"one {sizes[k]} {sizes[k + 1]}", torch.float32),
                file.array(f"bias{k}", f"one one {sizes[k + 1]}", torch.float32),
            )
            for k in range(len(sizes) - 1)
        ]
        first = network.layers[0][0]
        if first.shape[:2] != (1, 4):
            raise file.refusal("its network has other inputs")
        predictor._network = network
        return predictor


def _train(network: BeamNetworks, rows: BeamSet, schedule: Schedule, rng: torch.Generator) -> None:
    labels = torch.from_numpy(best_beams(rows.power))
    network.train(network_inputs(rows.position)[None], labels[None], schedule, rng)


def _needed(rng: torch.Generator | None) -> torch.Generator:
    if rng is None:
        raise SiteTwinError("the network draws random numbers; pass a torch.Generator as rng")
    return rng
