"""What an expert would try first: geometry, look-up tables, neighbours, majority; `BeamPredictor` says their shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.base import BeamPredictor
from sitetwin.learn.beams.baselines import geometric, lookup_table, majority, nearest
from sitetwin.learn.beams.data import BeamSet
from sitetwin.learn.model_files import ModelFile


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


class GeometricBeams(BeamPredictor):
    """Each beam's measured pattern in the direction of the user: line of sight, nothing learnt; it needs no fit.

    Args:
        pattern: Linear power of each beam.
        azimuth: Radians from boresight, rising.
        boresight: Radians from east, counter-clockwise.

    Raises:
        SiteTwinError: A number is not finite, or the angles do not rise.
    """

    kind: ClassVar[str] = "line of sight"
    least_rows: ClassVar[int] = 0

    def __init__(
        self, pattern: Float[np.ndarray, "beams angles"], azimuth: Float[np.ndarray, " angles"], boresight: float
    ) -> None:
        super().__init__()
        numbers = (pattern, azimuth, np.asarray(boresight))
        if not (all(np.isfinite(n).all() for n in numbers) and pattern.size and (np.diff(azimuth) > 0).all()):
            raise SiteTwinError("the codebook needs finite patterns at angles that rise; read it again")
        self.pattern, self.azimuth, self.boresight = pattern, azimuth, boresight
        self._rows = BeamSet(np.zeros((0, 2)), np.zeros((0, len(pattern))))

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        self.rows.joined(rows)  # the refusal of rows of other beams

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        return geometric(position, self.pattern, self.azimuth, self.boresight)

    def _unfitted(self) -> GeometricBeams:
        return GeometricBeams(self.pattern, self.azimuth, self.boresight)

    def _parameters(self) -> Mapping[str, Any]:
        return {"boresight": float(self.boresight)}

    def _arrays(self) -> Mapping[str, Tensor]:
        numbers = {"pattern": self.pattern, "azimuth": self.azimuth}
        return {name: torch.from_numpy(np.ascontiguousarray(n, dtype=np.float64)) for name, n in numbers.items()}

    @classmethod
    def _restored(cls, file: ModelFile) -> GeometricBeams:
        pattern, azimuth = (
            file.array(name, axes, torch.float64).numpy()
            for name, axes in (("pattern", "beams angles"), ("azimuth", "angles"))
        )
        return cls(pattern, azimuth, file.parameter("boresight", float))
