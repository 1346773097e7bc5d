"""The two networks of arXiv 2501.16504: a one-dimensional U-Net and a multi-layer perceptron.

The paper gives the numbers of stages and layers, not of kernels and neurons; ours stand in `UNetSize` and `MlpSize`.
The precoding study chooses them on validation users.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError


@dataclass(frozen=True)
class UNetSize:
    """Size of the U-Net: five stages down and five up, of which the input and the output are one each.

    Attributes:
        kernels: Kernels of the hidden blocks on the way down, four as published.
        kernel_size: Taps that a kernel covers, odd.
    """

    kernels: tuple[int, ...] = (64, 128, 128, 256)
    kernel_size: int = 3

    def __post_init__(self) -> None:
        if not self.kernels or min(self.kernels) < 1 or max(self.kernels) > 4096:
            raise SiteTwinError(f"the U-Net needs hidden blocks of 1 to 4096 kernels, not {self.kernels}")
        if self.kernel_size % 2 != 1 or not 1 <= self.kernel_size <= 31:
            raise SiteTwinError(f"a kernel covers an odd number of taps from 1 to 31, not {self.kernel_size}")


@dataclass(frozen=True)
class MlpSize:
    """Size of the perceptron: an input, hidden layers and an output.

    Attributes:
        hidden: Neurons of the hidden layers, three as published.
    """

    hidden: tuple[int, ...] = (512, 512, 512)

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1 or max(self.hidden) > 16384:
            raise SiteTwinError(f"the perceptron needs hidden layers of 1 to 16384 neurons, not {self.hidden}")


class UNet(nn.Module):
    """Conv1D, batch normalisation, ReLU downwards; transposed Conv1D, ReLU, Conv1D, ReLU upwards; a last dense layer.

    The convolutions run along the delay taps; antennas and their real and imaginary parts are channels. A hidden block
    halves the taps while there is more than one. What enters a stage on the way down is appended to what leaves the
    stage of equal length on the way up, as in the U-Net that the paper modifies.

    Args:
        channels: Real numbers of a tap: twice the antennas.
        taps: Delay taps.
        size: Kernels.
    """

    def __init__(self, channels: int, taps: int, size: UNetSize) -> None:
        super().__init__()
        widths, lengths = [channels, *size.kernels], [taps]
        pad = size.kernel_size // 2
        self.down, self.up, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for before, after in pairwise(widths):
            stride = 2 if lengths[-1] > 1 else 1
            convolution = nn.Conv1d(before, after, size.kernel_size, stride, pad)
            self.down.append(nn.Sequential(convolution, nn.BatchNorm1d(after), nn.ReLU()))
            lengths.append((lengths[-1] - 1) // stride + 1)
        for before, after, here, wanted in zip(
            widths[:0:-1], [*widths[-2:0:-1], widths[1]], lengths[:0:-1], lengths[-2::-1], strict=True
        ):
            stride = 2 if wanted > here else 1
            extra = wanted - ((here - 1) * stride - 2 * pad + size.kernel_size)
            self.up.append(
                nn.Sequential(
                    nn.ConvTranspose1d(before, after, size.kernel_size, stride, pad, output_padding=extra), nn.ReLU()
                )
            )
        for kept, width in zip(widths[-2::-1], [*widths[-2:0:-1], widths[1]], strict=True):
            self.merge.append(nn.Sequential(nn.Conv1d(width + kept, width, size.kernel_size, 1, pad), nn.ReLU()))
        self.last = nn.Linear(widths[1] * taps, channels * taps)

    def forward(self, x: Float[Tensor, "rows channels taps"]) -> Float[Tensor, "rows channels taps"]:
        """Corrected channels."""
        kept, y = [], x
        for block in self.down:
            kept.append(y)
            y = block(y)
        for up, merge in zip(self.up, self.merge, strict=True):
            y = merge(torch.cat([up(y), kept.pop()], dim=1))
        return self.last(y.flatten(1)).view_as(x)


class Mlp(nn.Module):
    """Dense layers with ReLU between them.

    Args:
        inputs: Real numbers of a sample.
        outputs: Real numbers of a channel.
        size: Neurons of the hidden layers.
    """

    def __init__(self, inputs: int, outputs: int, size: MlpSize) -> None:
        super().__init__()
        widths = [inputs, *size.hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, x: Float[Tensor, "rows inputs"]) -> Float[Tensor, "rows outputs"]:
        """Corrected channels, real and imaginary parts."""
        return self.layers(x)
