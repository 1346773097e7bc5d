"""The published networks as predictors: one alone, or many side by side, each fitted to rows of its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.base import BeamPredictor
from sitetwin.learn.beams.data import BeamData, BeamSet, beam_set
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.learn.beams.network import (
    FINE_TUNING,
    SHARED_LAYER,
    BeamNetworks,
    Schedule,
    network_inputs,
    stepped_inputs,
)
from sitetwin.learn.model_files import ModelFile

Trained = TypeVar("Trained", bound="TrainedBeams")


class TrainedBeams(BeamPredictor):
    """A predictor around a network that is trained by gradients.

    Args:
        schedule: How a fit trains it.
    """

    _sizes: ClassVar[tuple[str, ...]]
    _inputs_of: ClassVar[int]

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule
        self._network: BeamNetworks | None = None

    @property
    def network(self) -> BeamNetworks:
        """The trained network, one alone.

        Raises:
            SiteTwinError: The predictor is not fitted yet.
        """
        if self._network is None:
            raise SiteTwinError(f"the predictor is not fitted yet ({self.kind}); call fit, or load one")
        return self._network

    def fit_each(
        self: Trained, sets: Sequence[BeamData], rng: torch.Generator, weights: torch.Generator | None = None
    ) -> list[Trained]:
        """Predictors of these parameters, one for each set of rows, trained side by side; this one is left as it is.

        Args:
            sets: What `BeamData` describes, of equally many rows and the same beams.
            rng: Source of the shuffles.
            weights: Source of the initial weights; `rng` by default.

        Raises:
            SiteTwinError: There is no set, or the sets differ in rows or beams.
        """
        rows = _alike(sets)
        networks = self._untrained(len(rows), rows[0].power.shape[1], weights or rng)
        self._train(networks, rows, self.schedule, rng)
        return [self._with(one, networks.alone(number)) for number, one in enumerate(rows)]

    def _with(self: Trained, rows: BeamSet, network: BeamNetworks) -> Trained:
        other = self._unfitted()
        other._rows, other._network = rows, network
        return other

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        self._network = self.fit_each([rows], _needed(rng))[0].network

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.network.scores(self._inputs(position)[None])[0].numpy()

    def _untrained(self, count: int, beams: int, rng: torch.Generator) -> BeamNetworks:
        return BeamNetworks(count, beams, rng)

    @abstractmethod
    def _inputs(self, position: np.ndarray) -> Tensor:
        """Inputs of the network at positions (..., 2)."""

    @abstractmethod
    def _train(self, networks: BeamNetworks, rows: Sequence[BeamSet], schedule: Schedule, rng: torch.Generator) -> None:
        """Train networks, each on its own rows."""

    def _samples(self, rows: Sequence[BeamSet]) -> tuple[Tensor, Tensor]:
        """Inputs and labels of each set."""
        labels = torch.from_numpy(np.stack([best_beams(one.power) for one in rows]))
        return self._inputs(np.stack([one.position for one in rows])), labels

    def _arrays(self) -> Mapping[str, Tensor]:
        pairs = enumerate(self.network.layers)
        return {
            f"{name}{k}": tensor for k, layer in pairs for name, tensor in zip(("weight", "bias"), layer, strict=True)
        }

    def _restore(self, file: ModelFile) -> None:
        """Take the weights of a file."""
        network = self._untrained(1, 1, torch.Generator())
        network.layers = [
            (
                file.array(f"weight{k}", f"one {self._sizes[k]} {self._sizes[k + 1]}", torch.float32),
                file.array(f"bias{k}", f"one one {self._sizes[k + 1]}", torch.float32),
            )
            for k in range(len(self._sizes) - 1)
        ]
        if network.layers[0][0].shape[:2] != (1, self._inputs_of):
            raise file.refusal("its network has other inputs")
        self._network = network


class NetworkBeams(TrainedBeams):
    """The published network of arXiv 2301.07682: pre-trained on many rows, of a twin for instance, tuned with few.

    Args:
        schedule: How a fit trains it.
        tuning: How an update trains it on, with the new rows alone.
    """

    kind: ClassVar[str] = "network"
    _sizes = ("inputs", "hidden", "hidden", "hidden", "beams")
    _inputs_of = 4

    def __init__(self, schedule: Schedule = Schedule(), tuning: Schedule = FINE_TUNING) -> None:  # noqa: B008  (frozen)
        super().__init__(schedule)
        self.tuning = tuning

    def update(self, data: BeamData, rng: torch.Generator | None = None) -> NetworkBeams:
        """A network trained on with these rows; this one is left as it is.

        Args:
            data: What `BeamData` describes.
            rng: Source of the shuffles.

        Raises:
            SiteTwinError: It is not fitted, there are no rows, or they are of other beams.
        """
        _ = self.rows  # the refusal of a predictor that is not fitted
        return self.update_each([self], [data], _needed(rng))[0]

    @staticmethod
    def update_each(
        predictors: Sequence[NetworkBeams], sets: Sequence[BeamData], rng: torch.Generator
    ) -> list[NetworkBeams]:
        """Each predictor trained on with rows of its own, side by side by the first one's tuning; all are left as is.

        Args:
            predictors: They are fitted to the same beams.
            sets: One for each predictor, of equally many rows.
            rng: Source of the shuffles.

        Raises:
            SiteTwinError: Predictors and sets are not equally many, or the sets differ in rows or beams.
        """
        rows = _alike(sets)
        if len(predictors) != len(rows):
            raise SiteTwinError(f"{len(predictors)} predictors go with {len(rows)} sets of rows; pair them")
        known = [one.rows.joined(new) for one, new in zip(predictors, rows, strict=True)]
        first, networks = predictors[0], BeamNetworks.joined([one.network for one in predictors])
        first._train(networks, rows, first.tuning, rng)
        return [
            one._with(all_rows, networks.alone(number))
            for number, (one, all_rows) in enumerate(zip(predictors, known, strict=True))
        ]

    def _inputs(self, position: np.ndarray) -> Tensor:
        return network_inputs(position)

    def _train(self, networks: BeamNetworks, rows: Sequence[BeamSet], schedule: Schedule, rng: torch.Generator) -> None:
        networks.train(*self._samples(rows), schedule, rng)

    def _unfitted(self) -> NetworkBeams:
        return NetworkBeams(self.schedule, self.tuning)

    def _parameters(self) -> Mapping[str, Any]:
        return {"schedule": asdict(self.schedule), "tuning": asdict(self.tuning)}

    @classmethod
    def _restored(cls, file: ModelFile) -> NetworkBeams:
        predictor = cls(file.parameter("schedule", Schedule), file.parameter("tuning", Schedule))
        predictor._restore(file)
        return predictor


class SharedLayerBeams(TrainedBeams):
    """The network of arXiv 2205.09054, whose hidden layer is applied three times.

    Three quarters of the rows, the first ones, train it; the others say which epoch is kept.

    Args:
        area: Least and greatest position, metres; the inputs are steps between them.
        schedule: How a fit trains it.
    """

    kind: ClassVar[str] = "network with a shared layer"
    least_rows: ClassVar[int] = 2
    _sizes = ("inputs", "hidden", "hidden", "beams")
    _inputs_of = 2

    def __init__(self, area: Float[np.ndarray, "2 2"], schedule: Schedule = SHARED_LAYER) -> None:
        super().__init__(schedule)
        if area.shape != (2, 2) or not np.isfinite(area).all():
            raise SiteTwinError("the area needs its least and its greatest position, finite metres (2, 2)")
        self.area = area

    def _untrained(self, count: int, beams: int, rng: torch.Generator) -> BeamNetworks:
        return BeamNetworks(count, beams, rng, inputs=2)

    def _inputs(self, position: np.ndarray) -> Tensor:
        return stepped_inputs(position, self.area)

    def _train(self, networks: BeamNetworks, rows: Sequence[BeamSet], schedule: Schedule, rng: torch.Generator) -> None:
        first = len(rows[0]) * 3 // 4
        inputs, labels = self._samples(rows)
        kept = (inputs[:, first:], labels[:, first:])
        networks.train(inputs[:, :first], labels[:, :first], schedule, rng, kept)

    def _unfitted(self) -> SharedLayerBeams:
        return SharedLayerBeams(self.area, self.schedule)

    def _parameters(self) -> Mapping[str, Any]:
        return {"schedule": asdict(self.schedule), "area": np.asarray(self.area, dtype=np.float64).tolist()}

    @classmethod
    def _restored(cls, file: ModelFile) -> SharedLayerBeams:
        area = file.parameter("area", tuple[tuple[float, float], tuple[float, float]])
        predictor = cls(np.array(area), file.parameter("schedule", Schedule))
        predictor._restore(file)
        return predictor


def _alike(sets: Sequence[BeamData]) -> list[BeamSet]:
    """The sets, which can be trained side by side."""
    rows = [beam_set(one) for one in sets]
    if not rows or not len(rows[0]):
        raise SiteTwinError("training needs at least one set of at least one row; give measured or traced rows")
    if any(one.power.shape != rows[0].power.shape for one in rows):
        raise SiteTwinError("networks train side by side on equally many rows of the same beams; make the sets alike")
    return rows


def _needed(rng: torch.Generator | None) -> torch.Generator:
    if rng is None:
        raise SiteTwinError("the network draws random numbers; pass a torch.Generator as rng")
    return rng
