"""An MLP-mixer as a CSI codec: an autoencoder of dense matrix products, which ordinary processors run fast.

Each delay tap is a token of the real and imaginary parts of its beams. Blocks mix the tokens, then the features, as in
Tolstikhin and others, "MLP-Mixer: an all-MLP architecture for vision" (NeurIPS 2021); one linear map makes the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sitetwin.learn.csi.codec import Budget
from sitetwin.learn.csi.neural import CodecNetwork, build
from sitetwin.learn.csi.refinement import RefinementConfig
from sitetwin.learn.csi.trained import NeuralCodec, file_schedules
from sitetwin.learn.csi.training import COSINE, COSINE_REFINEMENT, Schedule
from sitetwin.learn.model_files import ModelFile

_MOST = 1 << 12  # of blocks or of a width in a file


@dataclass(frozen=True)
class MixerConfig:
    """Sizes.

    Attributes:
        blocks: Blocks of the encoder, and as many of the decoder.
        token_hidden: Width of the products over the taps.
        feature_hidden: Width of the products over the beams.
    """

    blocks: int = 2
    token_hidden: int = 64
    feature_hidden: int = 128


class MixerBlock(nn.Module):
    """x + mixed tokens, then x + mixed features."""

    def __init__(self, tokens: int, features: int, config: MixerConfig) -> None:
        super().__init__()
        self.before_tokens, self.before_features = nn.LayerNorm(features), nn.LayerNorm(features)
        self.tokens = _two_layers(tokens, config.token_hidden)
        self.features = _two_layers(features, config.feature_hidden)

    def forward(self, x: Float[Tensor, "users tokens features"]) -> Float[Tensor, "users tokens features"]:
        """The mixed tokens."""
        x = x + self.tokens(self.before_tokens(x).transpose(1, 2)).transpose(1, 2)
        return x + self.features(self.before_features(x))


class ToTokens(nn.Module):
    """From (users, 2, taps, beams) to (users, taps, 2 beams)."""

    def forward(self, x: Float[Tensor, "users 2 taps beams"]) -> Float[Tensor, "users taps features"]:
        """Each tap's real parts, then its imaginary parts."""
        return x.transpose(1, 2).flatten(2)


class OfTokens(nn.Module):
    """From (users, taps, 2 beams) back to (users, 2, taps, beams)."""

    def forward(self, x: Float[Tensor, "users taps features"]) -> Float[Tensor, "users 2 taps beams"]:
        """The inverse of `ToTokens`."""
        return x.unflatten(2, (2, -1)).transpose(1, 2)


def _two_layers(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


def _assembled(budget: Budget, shape: tuple[int, int], config: MixerConfig) -> CodecNetwork:
    """The networks, whose weights torch's global generator draws."""
    taps, features = shape[0], 2 * shape[1]
    blocks = [[MixerBlock(taps, features, config) for _ in range(config.blocks)] for _ in range(2)]
    encoder = nn.Sequential(ToTokens(), *blocks[0], nn.Flatten(), nn.Linear(taps * features, budget.reals))
    decoder = nn.Sequential(
        nn.Linear(budget.reals, taps * features), nn.Unflatten(1, (taps, features)), *blocks[1], OfTokens()
    )
    configuration = {"model": "mixer", "shape": list(shape), "reals": budget.reals, **asdict(config)}
    return CodecNetwork(encoder, decoder, budget, configuration)


class MixerCodec(NeuralCodec):
    """An MLP-mixer, trained with a cosine schedule by default.

    Args:
        config: Sizes.
        schedule: How it is trained.
        refinement: How an update trains it on.
        budget: Real numbers of one report.
        checkpoints: Folder where trained weights are kept; see `NeuralCodec`.
    """

    kind: ClassVar[str] = "mixer"

    def __init__(
        self,
        config: MixerConfig = MixerConfig(),
        schedule: Schedule = COSINE,
        refinement: RefinementConfig = RefinementConfig(schedule=COSINE_REFINEMENT),  # noqa: B008  (frozen)
        budget: Budget | None = None,
        checkpoints: Path | None = None,
    ) -> None:
        super().__init__(schedule, refinement, budget, checkpoints)
        self.config = config

    def _untrained(self, x: Tensor, rng: torch.Generator) -> CodecNetwork:
        return build(lambda: _assembled(self.budget, (x.shape[1], x.shape[2]), self.config), rng)

    def _parameters(self) -> Mapping[str, Any]:
        return {**super()._parameters(), "config": asdict(self.config)}

    @classmethod
    def _restored(cls, file: ModelFile, budget: Budget, shape: tuple[int, int]) -> MixerCodec:
        config = file.parameter("config", MixerConfig)
        widths = (config.token_hidden, config.feature_hidden)
        if not (0 <= config.blocks <= len(file.arrays) and 0 < min(widths) <= max(widths) <= _MOST):
            raise file.refusal("its sizes are out of range")
        codec = cls(config, *file_schedules(file), budget)
        with torch.device("meta"):
            empty = _assembled(budget, shape, config)
        codec._restore(file, empty, shape)
        return codec
