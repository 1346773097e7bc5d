"""Networks of neural codecs: real tensors inside, the `Codec` protocol outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from jaxtyping import Complex
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.csi.data import to_complex, to_real


class CodecNetwork(nn.Module):
    """An encoder and a decoder on (N, 2, T, B) real tensors; the output has unit Frobenius norm by default.

    Attributes:
        configuration: JSON-serialisable description that, with the data, determines the untrained model.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, budget: Budget, configuration: dict[str, Any]) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.budget = budget
        self.configuration = configuration
        self.shape: tuple[int, int] = tuple(configuration["shape"])  # type: ignore[assignment]

    @property
    def code_reals(self) -> int:
        """Real numbers of one code."""
        return self.budget.reals

    def training_inputs(self, x: Complex[Tensor, "users taps beams"]) -> Tensor:
        """What `forward` takes and is compared with: (N, 2, T, B) float32 of (N, T, B) complex64 matrices."""
        return to_real(x)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, 2, T, B) -> its reconstruction (N, 2, T, B), unit Frobenius norm. `generator` is for training noise."""
        return unit_norm(self.decoder(self.encoder(x)))

    @torch.no_grad()
    def encode(self, x: Complex[Tensor, "users taps beams"]) -> Code:
        """Codes of complex64 matrices: reals, no index. This puts the model into evaluation mode."""
        self.eval()
        return Code(self.encoder(to_real(x)))

    @torch.no_grad()
    def decode(self, code: Code) -> Complex[Tensor, "users taps beams"]:
        """complex64 matrices of unit norm. This puts the model into evaluation mode."""
        self.eval()
        return to_complex(unit_norm(self.decoder(code.values)))

    def costs(self) -> Costs:
        """Counted on the modules: all tensors of the state, and the multiply-adds of convolutions and products.

        Normalisations, activations and biases are left out of the multiply-adds, as is usual.
        """
        ue, bs = _numbers(self.encoder), _numbers(self.decoder)
        return Costs(
            parameters_ue=ue,
            parameters_bs=bs,
            macs_ue=count_macs(self.encoder, torch.zeros(1, 2, *self.shape)),
            macs_bs=count_macs(self.decoder, torch.zeros(1, self.budget.reals)),
            bytes_ue=4 * ue,
            bytes_bs=4 * bs,
            reals=self.budget.reals,
            index_bits=0,
        )


def unit_norm(x: Tensor) -> Tensor:
    """`x` divided by its norm over all axes but the first."""
    norm = torch.linalg.vector_norm(x.flatten(1), dim=1).clamp_min(1e-12)
    return x / norm.view(-1, *[1] * (x.ndim - 1))


def trainable_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _numbers(module: nn.Module) -> int:
    """Parameters and fixed numbers (running statistics, bases) that the model cannot do without."""
    return sum(t.numel() for name, t in module.state_dict().items() if not name.endswith("num_batches_tracked"))


@torch.no_grad()
def count_macs(module: nn.Module, example: Tensor) -> int:
    """Multiply-adds of one forward pass, half the floating-point operations that torch counts."""
    module.eval()
    with FlopCounterMode(display=False) as counter:
        module(example)
    return counter.get_total_flops() // 2


Built = TypeVar("Built", bound=nn.Module)


def build(make: Callable[[], Built], generator: torch.Generator) -> Built:
    """A module whose initial weights come from `generator` alone; torch's global generator is left as it was."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def freeze_batchnorm(module: nn.Module) -> None:
    """Keep batch normalisation at its running statistics and its scale while the rest trains."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
            part.requires_grad_(False)
