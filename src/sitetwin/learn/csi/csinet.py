"""CSINet+ as in the digital-twin CSI feedback papers' own code.

Guo, Wen, Jin and Li, "Convolutional neural network-based multiple-rate compressive sensing for massive MIMO CSI
feedback", with the two changes of Jiang and Alkhateeb: tanh instead of the sigmoid before the refinement blocks, and
a decoder output of unit Frobenius norm. 155.5 thousand parameters and 22.61 million multiply-adds at 32 x 32 and 32
reals.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sitetwin.learn.csi.codec import Budget
from sitetwin.learn.csi.convolution import FewChannels
from sitetwin.learn.csi.neural import CodecNetwork, build
from sitetwin.learn.csi.refinement import RefinementConfig
from sitetwin.learn.csi.trained import NeuralCodec, file_schedules
from sitetwin.learn.csi.training import PAPER, Schedule
from sitetwin.learn.model_files import ModelFile

SLOPE = 0.3  # of the leaky ReLU below zero


def _convolution(inputs: int, outputs: int, kernel: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(FewChannels(inputs, outputs, kernel), nn.BatchNorm2d(outputs), activation)


class RefineNet(nn.Module):
    """A residual correction of the 2-channel estimate: 7x7 to 8, 5x5 to 16, 3x3 back to 2 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            _convolution(2, 8, 7, nn.LeakyReLU(SLOPE)),
            _convolution(8, 16, 5, nn.LeakyReLU(SLOPE)),
            _convolution(16, 2, 3, nn.Tanh()),
        )

    def forward(self, x: Float[Tensor, "users 2 taps beams"]) -> Float[Tensor, "users 2 taps beams"]:
        """The corrected estimate."""
        return x + self.correction(x)


def csinet_plus_network(
    generator: torch.Generator,
    budget: Budget = Budget(),  # noqa: B008  (frozen)
    shape: tuple[int, int] = (32, 32),
    refinements: int = 5,
) -> CodecNetwork:
    """The untrained networks of CSINet+.

    Args:
        generator: Source of the initial weights (PyTorch's default distributions).
        budget: M = `budget.reals` real numbers of code.
        shape: Delay taps and beams.
        refinements: RefineNet blocks of the decoder; 5 is published, fewer is another model.
    """
    return build(lambda: _assembled(budget, shape, refinements), generator)


def _assembled(budget: Budget, shape: tuple[int, int], refinements: int) -> CodecNetwork:
    """The networks, whose weights torch's global generator draws."""
    size = 2 * shape[0] * shape[1]
    encoder = nn.Sequential(
        _convolution(2, 2, 7, nn.LeakyReLU(SLOPE)),
        _convolution(2, 2, 7, nn.LeakyReLU(SLOPE)),
        nn.Flatten(),
        nn.Linear(size, budget.reals),
    )
    decoder = nn.Sequential(
        nn.Linear(budget.reals, size),
        nn.Unflatten(1, (2, *shape)),
        _convolution(2, 2, 7, nn.Tanh()),
        *[RefineNet() for _ in range(refinements)],
    )
    configuration = {
        "model": "csinet+",
        "shape": list(shape),
        "reals": budget.reals,
        "refinements": refinements,
    }
    return CodecNetwork(encoder, decoder, budget, configuration)


class CsiNetPlus(NeuralCodec):
    """CSINet+, trained and refined as published by default.

    Args:
        schedule: How it is trained.
        refinement: How an update trains it on.
        budget: Real numbers of one report.
        refinements: RefineNet blocks of the decoder; 5 is published, fewer is another model.
        checkpoints: Folder where trained weights are kept; see `NeuralCodec`.
    """

    kind: ClassVar[str] = "csinet+"

    def __init__(
        self,
        schedule: Schedule = PAPER,
        refinement: RefinementConfig = RefinementConfig(),  # noqa: B008  (frozen)
        budget: Budget | None = None,
        refinements: int = 5,
        checkpoints: Path | None = None,
    ) -> None:
        super().__init__(schedule, refinement, budget, checkpoints)
        self.refinements = refinements

    @classmethod
    def of_network(cls, network: CodecNetwork) -> CsiNetPlus:
        """A codec around a network of `csinet_plus_network` that was trained elsewhere, without training matrices."""
        codec = cls(budget=network.budget, refinements=network.configuration["refinements"])
        codec._network, codec.shape = network.eval(), network.shape
        return codec

    def _untrained(self, x: Tensor, rng: torch.Generator) -> CodecNetwork:
        return csinet_plus_network(rng, self.budget, (x.shape[1], x.shape[2]), self.refinements)

    def _parameters(self) -> Mapping[str, Any]:
        return {**super()._parameters(), "refinements": self.refinements}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> CsiNetPlus:
        refinements = file.parameter("refinements", int)
        if not 0 <= refinements <= len(file.arrays):
            raise file.refusal("its number of refinement blocks is out of range")
        codec = cls(*file_schedules(file), budget, refinements)
        with torch.device("meta"):
            empty = _assembled(budget, shape, refinements)
        codec._restore(file, empty, shape)
        return codec
