"""Convolutions of few channels, trained faster on CPUs than by PyTorch's own gradient.

CPU libraries compute 16 output channels at a time. Layers of CSINet+ have 2 to 16, and so has the gradient of their
inputs, for which PyTorch's path is slower still. Here several neighbouring columns of the output count as channels of a
convolution that steps over them, and the gradient of the input is a convolution of that kind, too. The sums are the
same, in another order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.grad import conv2d_weight

_LANES = 16  # output channels that are computed together
_MOST_COLUMNS = 4  # more columns make kernels wide: the zeros in them cost more than the lanes gain


def _columns(channels: int, width: int) -> int:
    """Columns of the output that count as channels."""
    columns = min(_MOST_COLUMNS, max(1, _LANES // channels))
    return columns if width % columns == 0 else 1


def _stepping(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution of odd square kernels that keeps height and width, several columns at a time."""
    outputs, inputs, side, _ = weight.shape
    count = _columns(outputs, x.shape[3])
    if count == 1:
        return functional.conv2d(x, weight, bias, padding=side // 2)
    wide = weight.new_zeros(count, outputs, inputs, side, side + count - 1)
    for column in range(count):
        wide[column, ..., column : column + side] = weight
    wide = wide.reshape(count * outputs, inputs, side, side + count - 1)
    repeated = None if bias is None else bias.repeat(count)
    y = functional.conv2d(x, wide, repeated, stride=(1, count), padding=side // 2)
    users, _, height, steps = y.shape
    y = y.reshape(users, count, outputs, height, steps).permute(0, 2, 3, 4, 1)
    return y.reshape(users, outputs, height, steps * count)


class _Convolution(torch.autograd.Function):
    """The convolution with the gradient of its input as a convolution with the turned kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """The convolution."""
        ctx.save_for_backward(x, weight)
        return _stepping(x, weight, bias)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Gradients of input, kernel and bias."""
        x, weight = ctx.saved_tensors
        turned = weight.flip(2, 3).transpose(0, 1).contiguous()
        of_input = _stepping(gradient, turned, None) if ctx.needs_input_grad[0] else None
        of_weight = conv2d_weight(x, weight.shape, gradient, padding=weight.shape[2] // 2)
        return of_input, of_weight, gradient.sum((0, 2, 3))


class FewChannels(nn.Conv2d):
    """A convolution that keeps height and width, with PyTorch's parameters and initial weights.

    Without gradients it is PyTorch's own, so that exported graphs hold a plain convolution.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        side: Side of the square kernel, odd.
    """

    def __init__(self, inputs: int, outputs: int, side: int) -> None:
        super().__init__(inputs, outputs, side, padding=side // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(users, inputs, height, width) to (users, outputs, height, width)."""
        if not torch.is_grad_enabled() or self.bias is None:
            return super().forward(x)
        y: Tensor = _Convolution.apply(x, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return y
