"""Codecs that are trained by gradients: the frame around a network, and how both sides of it are kept on disk."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Complex
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.base import CsiCodec, needed
from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.csi.data import CsiData
from sitetwin.learn.csi.neural import CodecNetwork
from sitetwin.learn.csi.refinement import RefinementConfig, refine
from sitetwin.learn.csi.training import Schedule, train
from sitetwin.learn.model_files import ModelFile

Trained = TypeVar("Trained", bound="NeuralCodec")
_WEIGHT = "network."
_SAMPLES = "samples"


class NeuralCodec(CsiCodec):
    """An encoder and a decoder network, trained together.

    The training matrices are kept (and saved) with the codec: a refinement by rehearsal trains on them again. They stay
    at the base station and are not counted in the costs.

    Args:
        schedule: How the networks are trained.
        refinement: How an update trains them on.
        budget: Real numbers of one report.
        checkpoints: Folder where trained weights are kept by the hash of all that decides them; a fit or an update that
            was done before is read from there, and one that was interrupted goes on.
    """

    def __init__(
        self,
        schedule: Schedule,
        refinement: RefinementConfig,
        budget: Budget | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        super().__init__(budget)
        self.schedule, self.refinement, self.checkpoints = schedule, refinement, checkpoints
        self._network: CodecNetwork | None = None
        self._samples: Tensor | None = None

    @property
    def network(self) -> CodecNetwork:
        """Encoder and decoder.

        Raises:
            SiteTwinError: The codec is not fitted yet.
        """
        if self._network is None:
            raise SiteTwinError(f"the {self.kind} codec is not fitted yet; call fit, or load one")
        return self._network

    def costs(self) -> Costs:
        """Counted on the networks, see `CodecNetwork.costs`."""
        return self.network.costs()

    def update(
        self: Trained,
        data: CsiData,
        rng: torch.Generator | None = None,
        refinement: RefinementConfig | None = None,
    ) -> Trained:
        """Return a codec that is trained further with measured matrices; this codec is not changed.

        Args:
            data: Measured matrices.
            rng: Order of the samples.
            refinement: Settings of the refinement, in place of the constructor's.

        Raises:
            SiteTwinError: The codec is not fitted, or there are no measured matrices.
        """
        config = refinement or self.refinement
        network, outcome = refine(
            self.network,
            self._matrices(data),
            needed(rng, self.kind),
            config,
            twin=self._samples if config.rehearsal else None,
            folder=self.checkpoints,
        )
        codec = self._like(network.eval(), self._samples)
        codec.history = outcome.history
        return codec

    def training_matrices(self) -> Complex[Tensor, "samples taps beams"] | None:
        """The matrices of the first fit, on which a rehearsal trains again."""
        return self._samples

    def _like(self: Trained, network: CodecNetwork, samples: Tensor | None) -> Trained:
        """A codec of the same parameters around another network."""
        codec = object.__new__(type(self))
        codec.__dict__.update(self.__dict__)
        codec._network, codec._samples = network, samples
        return codec

    def _fit(self, x: Tensor, rng: torch.Generator | None) -> None:
        rng = needed(rng, self.kind)
        network = self._untrained(x, rng)
        self.history = train(network, x, self.schedule, rng, folder=self.checkpoints).history
        self._network, self._samples = network.eval(), x

    @abstractmethod
    def _untrained(self, x: Tensor, rng: torch.Generator) -> CodecNetwork:
        """The network before training, initial weights from `rng`."""

    def _encode(self, x: Tensor) -> Code:
        return self.network.encode(x)

    def _report(self) -> tuple[int, int | None]:
        return self.network.code_reals, None

    def _decode(self, code: Code) -> Tensor:
        return self.network.decode(code)

    def _parameters(self) -> Mapping[str, Any]:
        return {"schedule": asdict(self.schedule), "refinement": asdict(self.refinement)}

    def _arrays(self) -> Mapping[str, Tensor]:
        weights = {_WEIGHT + name: tensor for name, tensor in self.network.state_dict().items()}
        return weights if self._samples is None else {**weights, _SAMPLES: self._samples}

    def _restore(self, file: ModelFile, empty: CodecNetwork, shape: tuple[int, int]) -> None:
        """Take weights and training matrices from a file, into a network made on the meta device: it has no memory."""
        weights = {
            name.removeprefix(_WEIGHT): tensor for name, tensor in file.arrays.items() if name.startswith(_WEIGHT)
        }
        for name, wanted in empty.state_dict().items():
            found = weights.get(name)
            if found is None or (found.shape, found.dtype) != (wanted.shape, wanted.dtype):
                raise file.refusal(f"the weights {name} are missing or of another size")
        empty.load_state_dict(weights, assign=True)
        self._network = empty.eval()
        if _SAMPLES in file.arrays:
            self._samples = file.array(_SAMPLES, "samples taps beams", torch.complex64).reshape(-1, *shape)


def file_schedules(file: ModelFile) -> tuple[Schedule, RefinementConfig]:
    """How a saved codec was trained, and how it is refined."""
    return file.parameter("schedule", Schedule), file.parameter("refinement", RefinementConfig)
