"""CSINet+ as in the digital-twin CSI feedback papers' own code.

Guo, Wen, Jin and Li, "Convolutional neural network-based multiple-rate compressive sensing for massive MIMO CSI
feedback", with the two changes of Jiang and Alkhateeb: tanh instead of the sigmoid before the refinement blocks, and
a decoder output of unit Frobenius norm. 155.5 thousand parameters and 22.61 million multiply-adds at 32 x 32 and 32
reals.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sitetwin.learn.csi.codec import Budget
from sitetwin.learn.csi.neural import NeuralCodec, build

SLOPE = 0.3  # of the leaky ReLU below zero


def _convolution(inputs: int, outputs: int, kernel: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.BatchNorm2d(outputs), activation)


class RefineNet(nn.Module):
    """A residual correction of the 2-channel estimate: 7x7 to 8, 5x5 to 16, 3x3 back to 2 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.correction = nn.Sequential(
            _convolution(2, 8, 7, nn.LeakyReLU(SLOPE)),
            _convolution(8, 16, 5, nn.LeakyReLU(SLOPE)),
            _convolution(16, 2, 3, nn.Tanh()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2, T, B) -> (N, 2, T, B)."""
        return x + self.correction(x)


def csinet_plus(
    generator: torch.Generator,
    budget: Budget = Budget(),  # noqa: B008  (frozen)
    shape: tuple[int, int] = (32, 32),
    refinements: int = 5,
) -> NeuralCodec:
    """Untrained CSINet+.

    Args:
        generator: Source of the initial weights (PyTorch's default distributions).
        budget: M = `budget.reals` real numbers of code.
        shape: Delay taps and beams.
        refinements: RefineNet blocks of the decoder; 5 is published, fewer is another model.
    """
    size = 2 * shape[0] * shape[1]

    def make() -> NeuralCodec:
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
        return NeuralCodec(encoder, decoder, budget, configuration)

    return build(make, generator)
