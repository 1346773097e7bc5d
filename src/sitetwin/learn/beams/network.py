"""The published network of position-aided beam prediction, all repetitions trained side by side.

S. Jiang, A. Alkhateeb, arXiv 2301.07682: four inputs, three hidden layers of 256 with ReLU, one output per beam, cross
entropy, Adam. R networks are one batched product, each with its own rows, weights and shuffles.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

_HIDDEN = 256
_REACH_M = math.hypot(24.0, 28.0)


@dataclass(frozen=True)
class Schedule:
    """How a network is trained.

    Attributes:
        epochs: Passes over the rows.
        rate: Of Adam at the start.
        batch: Rows per step.
        milestones: Epochs at which the rate is multiplied by `decay`.
        decay: See `milestones`.
    """

    epochs: int = 80
    rate: float = 1e-2
    batch: int = 32
    milestones: tuple[int, ...] = (20, 40, 60)
    decay: float = 0.2


FINE_TUNING = Schedule(epochs=40, rate=1e-4, batch=8, milestones=())
"""Transfer from the twin to measured rows."""


def network_inputs(position: np.ndarray) -> Tensor:
    """(..., 4) float32: x / 30, y / 30, azimuth / pi, distance / sqrt(24^2 + 28^2), from (..., 2) metres."""
    x, y = torch.from_numpy(np.ascontiguousarray(position)).float().unbind(-1)
    return torch.stack([x / 30, y / 30, torch.atan2(y, x) / math.pi, torch.hypot(x, y) / _REACH_M], dim=-1)


class BeamNetworks:
    """R networks of one shape.

    Args:
        networks: R.
        beams: Outputs of each.
        generator: Of the initial weights (uniform within 1 / sqrt(inputs), PyTorch's own default for layers).
    """

    def __init__(self, networks: int, beams: int, generator: torch.Generator) -> None:
        sizes = (4, _HIDDEN, _HIDDEN, _HIDDEN, beams)
        self.layers: list[tuple[Tensor, Tensor]] = []
        for inputs, outputs in pairwise(sizes):
            bound = 1 / math.sqrt(inputs)
            weight = (torch.rand(networks, inputs, outputs, generator=generator) * 2 - 1) * bound
            bias = (torch.rand(networks, 1, outputs, generator=generator) * 2 - 1) * bound
            self.layers.append((weight, bias))

    def copy(self) -> BeamNetworks:
        """The same weights, apart."""
        twin = object.__new__(BeamNetworks)
        twin.layers = [(weight.clone(), bias.clone()) for weight, bias in self.layers]
        return twin

    def scores(self, inputs: Tensor) -> Tensor:
        """(R, n, B) logits of inputs (R, n, 4)."""
        for weight, bias in self.layers[:-1]:
            inputs = torch.relu(torch.baddbmm(bias, inputs, weight))
        weight, bias = self.layers[-1]
        return torch.baddbmm(bias, inputs, weight)

    def train(self, inputs: Tensor, labels: Tensor, schedule: Schedule, generator: torch.Generator) -> None:
        """Train all networks, each on its own rows.

        Args:
            inputs: (R, n, 4).
            labels: (R, n) int64.
            schedule: Epochs, rates, batches.
            generator: Of the shuffles.
        """
        tensors = [tensor.requires_grad_(True) for layer in self.layers for tensor in layer]
        optimiser = torch.optim.Adam(tensors, lr=schedule.rate)
        steps = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(schedule.milestones), schedule.decay)
        networks, rows = labels.shape
        for _ in range(schedule.epochs):
            order = torch.rand(networks, rows, generator=generator).argsort(dim=1)
            for batch in order.split(schedule.batch, dim=1):
                x = inputs.gather(1, batch[..., None].expand(-1, -1, inputs.shape[2]))
                loss = torch.nn.functional.cross_entropy(
                    self.scores(x).flatten(0, 1), labels.gather(1, batch).flatten(), reduction="sum"
                )
                optimiser.zero_grad()
                (loss / batch.shape[1]).backward()  # each network's own mean: networks share no weight
                optimiser.step()
            steps.step()
        for tensor in tensors:
            tensor.requires_grad_(False)
