"""Convolutions of few channels against PyTorch's own."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sitetwin.learn.csi.convolution import FewChannels


def _both(layer: FewChannels, x: Tensor, plain: bool) -> list[Tensor]:
    """Output and all gradients of a sum that weighs each output otherwise."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    y = nn.Conv2d.forward(layer, x) if plain else layer(x)
    weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)
    (y * weights).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    assert layer.bias is not None
    assert layer.bias.grad is not None
    return [y.detach(), x.grad, layer.weight.grad, layer.bias.grad]


@given(
    inputs=st.integers(1, 17),
    outputs=st.integers(1, 17),
    side=st.sampled_from([1, 3, 5, 7]),
    height=st.integers(1, 9),
    width=st.integers(1, 12),
)
@settings(max_examples=40, deadline=None)
def test_outputs_and_gradients_are_those_of_pytorch(
    inputs: int, outputs: int, side: int, height: int, width: int
) -> None:
    torch.manual_seed(0)
    layer = FewChannels(inputs, outputs, side).double()
    x = torch.randn(3, inputs, height, width, dtype=torch.float64)
    for mine, theirs in zip(_both(layer, x, plain=False), _both(layer, x, plain=True), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


def test_parameters_and_initial_weights_are_those_of_pytorch() -> None:
    torch.manual_seed(3)
    mine = FewChannels(2, 8, 7)
    torch.manual_seed(3)
    theirs = nn.Conv2d(2, 8, 7, padding=3)
    for (a, x), (b, y) in zip(mine.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert a == b
        assert torch.equal(x, y)
