"""The one shape of beam predictors: parameters in the constructor, then fit, predict, update, save, load.

A prediction is a score for every beam, the higher the better; `sitetwin.learn.beams.metrics` judges scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.learn.beams.data import BeamData, BeamSet, beam_set, checked_positions
from sitetwin.learn.model_files import ModelFile, read_model, write_model

Data = TypeVar("Data")
Asked = TypeVar("Asked")
Rows = TypeVar("Rows")
Same = TypeVar("Same", bound="Predictor[Any, Any, Any]")
Some = TypeVar("Some", bound="BeamPredictor")


class Predictor(ABC, Generic[Data, Asked, Rows]):
    """A predictor of beams that is fitted to rows of powers, asked, refined with more rows, and kept on disk.

    `BeamPredictor` knows positions alone; `sitetwin.calibrate.CalibratedBeams` knows speeds and drives too.

    Attributes:
        kind: Name of the predictor in files.
    """

    kind: ClassVar[str]

    def __init__(self) -> None:
        self._rows: Rows | None = None

    @property
    def rows(self) -> Rows:
        """The rows it was fitted to.

        Raises:
            SiteTwinError: It is not fitted yet.
        """
        if self._rows is None:
            raise SiteTwinError(f"the predictor is not fitted yet ({self.kind}); call fit, or load one")
        return self._rows

    @abstractmethod
    def fit(self: Same, data: Data, rng: torch.Generator | None = None) -> Same:
        """Learn from rows with powers, and return this predictor."""

    @abstractmethod
    def predict(self, asked: Asked, /) -> np.ndarray:
        """Scores of all beams, the higher the better; beams are the last axis."""

    @abstractmethod
    def update(self: Same, data: Data, rng: torch.Generator | None = None) -> Same:
        """A predictor that knows these rows and those before; this one is left as it is."""

    @abstractmethod
    def save(self, path: Path | str) -> None:
        """Write the fitted predictor into one file of plain numbers."""

    @classmethod
    @abstractmethod
    def load(cls: type[Same], path: Path | str) -> Same:
        """Read a predictor that `save` wrote."""


class BeamPredictor(Predictor[BeamData, np.ndarray, BeamSet]):
    """A predictor of the best beams from the user's position.

    `fit` returns the predictor itself; `update` leaves it as it is and returns a refined one.

    Attributes:
        least_rows: Rows without which it cannot be fitted.
    """

    least_rows: ClassVar[int] = 1

    def fit(self: Some, data: BeamData, rng: torch.Generator | None = None) -> Some:
        """Learn from measured or traced rows.

        Args:
            data: What `BeamData` describes.
            rng: Source of all random numbers; predictors without random numbers need none.

        Returns:
            This predictor.

        Raises:
            SiteTwinError: There are no rows, or values that cannot be learnt from.
        """
        rows = beam_set(data)
        if len(rows) < self.least_rows:
            fewest = "one row" if self.least_rows == 1 else f"{self.least_rows} rows"
            raise SiteTwinError(f"the {self.kind} predictor needs at least {fewest}, and there are {len(rows)}")
        self._fit(rows, rng)
        self._rows = rows
        return self

    def predict(self, position: Float[np.ndarray, "asked 2"], /) -> Float[np.ndarray, "asked beams"]:
        """Scores of all beams at positions, metres east and north of the station.

        Raises:
            SiteTwinError: The predictor is not fitted, or a position is not finite.
        """
        return self._predict(self.rows, checked_positions(position))

    def update(self: Some, data: BeamData, rng: torch.Generator | None = None) -> Some:
        """A predictor that knows these rows and those before; this one is left as it is.

        Args:
            data: What `BeamData` describes.
            rng: Source of all random numbers, where there are any.

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
        if position.shape[1] != 2 or len(position) < cls.least_rows:
            raise file.refusal("its positions are none, or not in the plane")
        with said_of(f"the model {path}"):
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
