"""The published networks of position-aided beam prediction, all repetitions trained side by side.

S. Jiang, A. Alkhateeb, arXiv 2301.07682: four inputs, three hidden layers of 256 with ReLU, one output per beam, cross
entropy, Adam. J. Morais, A. Behboodi, H. Pezeshki, A. Alkhateeb, arXiv 2205.09054: two inputs in 200 steps each, and a
hidden matrix that three layers share. R networks are one batched product, each with its own rows, weights and shuffles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

_HIDDEN = 256
_REACH_M = math.hypot(24.0, 28.0)


@dataclass(frozen=True)
class Schedule:
    """Schedule by which a network is trained.

    Attributes:
        epochs: Passes over the rows.
        rate: Learning rate of Adam at the start.
        batch: Number of rows per step.
        milestones: Epochs at which the rate is multiplied by `decay`.
        decay: Factor of the learning rate at each milestone.
        weight_decay: Weight decay of Adam, added to the gradient.
    """

    epochs: int = 80
    rate: float = 1e-2
    batch: int = 32
    milestones: tuple[int, ...] = (20, 40, 60)
    decay: float = 0.2
    weight_decay: float = 0.0


FINE_TUNING = Schedule(epochs=40, rate=1e-4, batch=8, milestones=())
"""Transfer from the twin to measured rows."""

SHARED_LAYER = Schedule(epochs=60, milestones=(20, 40), weight_decay=1e-5)
"""How the network of arXiv 2205.09054 is trained."""

_STEPS = 200  # of each of its inputs


def network_inputs(position: Shaped[np.ndarray, "*batch 2"]) -> Float[Tensor, "*batch 4"]:
    """float32: x / 30, y / 30, azimuth / pi, distance / sqrt(24^2 + 28^2), from metres."""
    x, y = torch.from_numpy(np.ascontiguousarray(position)).float().unbind(-1)
    return torch.stack([x / 30, y / 30, torch.atan2(y, x) / math.pi, torch.hypot(x, y) / _REACH_M], dim=-1)


def stepped_inputs(
    position: Shaped[np.ndarray, "*batch 2"], everyone: Shaped[np.ndarray, "everyone 2"]
) -> Float[Tensor, "*batch 2"]:
    """float32 of metres: each axis scaled to 0..1 over the positions of `everyone`, in 200 steps."""
    low, high = everyone.min(axis=0), everyone.max(axis=0)
    share = (position - low) / np.maximum(high - low, 1e-9)
    return torch.from_numpy(np.clip(np.floor(share * _STEPS), 0, _STEPS - 1) / _STEPS).float()


class BeamNetworks:
    """R networks of one shape.

    Args:
        networks: Number R of networks.
        beams: Number of beams: outputs of each network.
        generator: Source of the initial weights (uniform within 1 / sqrt(inputs), PyTorch's own default for layers).
        inputs: Number of inputs of each network: four and two hidden layers of their own, or two and one hidden layer
            that is applied three times.
    """

    def __init__(self, networks: int, beams: int, generator: torch.Generator, inputs: Literal[4, 2] = 4) -> None:
        shared = inputs == 2
        sizes = (inputs, _HIDDEN, _HIDDEN, beams) if shared else (inputs, _HIDDEN, _HIDDEN, _HIDDEN, beams)
        self._applied = (0, 1, 1, 1, 2) if shared else (0, 1, 2, 3)
        self.layers: list[tuple[Tensor, Tensor]] = []
        for rows, columns in pairwise(sizes):
            bound = 1 / math.sqrt(rows)
            weight = (torch.rand(networks, rows, columns, generator=generator) * 2 - 1) * bound
            bias = (torch.rand(networks, 1, columns, generator=generator) * 2 - 1) * bound
            self.layers.append((weight, bias))

    def copy(self) -> BeamNetworks:
        """Return networks with a copy of the weights."""
        return self._of([(weight.clone(), bias.clone()) for weight, bias in self.layers])

    @classmethod
    def joined(cls, networks: Sequence[BeamNetworks]) -> BeamNetworks:
        """Put copies of the networks of several objects of one shape side by side."""
        layers = zip(*(one.layers for one in networks), strict=True)
        parts = [(torch.cat([w for w, _ in layer]), torch.cat([b for _, b in layer])) for layer in layers]
        return networks[0]._of(parts)

    def alone(self, number: int) -> BeamNetworks:
        """Return one of the networks."""
        one = slice(number, number + 1)
        return self._of([(weight[one], bias[one]) for weight, bias in self.layers])

    def _of(self, layers: list[tuple[Tensor, Tensor]]) -> BeamNetworks:
        other = object.__new__(BeamNetworks)
        other._applied, other.layers = self._applied, layers
        return other

    def scores(self, inputs: Float[Tensor, "networks rows inputs"]) -> Float[Tensor, "networks rows beams"]:
        """Logits."""
        *hidden, last = self._applied
        for weight, bias in (self.layers[k] for k in hidden):
            inputs = torch.relu(torch.baddbmm(bias, inputs, weight))
        weight, bias = self.layers[last]
        return torch.baddbmm(bias, inputs, weight)

    def train(
        self,
        inputs: Float[Tensor, "networks rows inputs"],
        labels: Int[Tensor, "networks rows"],
        schedule: Schedule,
        generator: torch.Generator,
        held_out: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Train all networks, each on its own rows.

        Args:
            inputs: Rows of each network.
            labels: Best beam of each row.
            schedule: Schedule of the training: epochs, rates, batches.
            generator: Source of the shuffles.
            held_out: Inputs (R, m, 4) and labels (R, m) on which each network keeps the most accurate of its epochs.
        """
        tensors = [tensor.requires_grad_(True) for layer in self.layers for tensor in layer]
        optimiser = torch.optim.Adam(tensors, lr=schedule.rate, weight_decay=schedule.weight_decay, fused=True)
        steps = torch.optim.lr_scheduler.MultiStepLR(optimiser, list(schedule.milestones), schedule.decay)
        networks, rows = labels.shape
        kept, reached = [tensor.detach().clone() for tensor in tensors], torch.full((networks,), -1.0)
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
            if held_out is not None:
                accuracy = self._accuracy(*held_out)
                better = (accuracy > reached)[:, None, None]
                reached = torch.maximum(reached, accuracy)
                kept = [torch.where(better, new.detach(), old) for new, old in zip(tensors, kept, strict=True)]
        for tensor, best in zip(tensors, kept, strict=True):
            tensor.requires_grad_(False)
            if held_out is not None:
                tensor.copy_(best)

    def _accuracy(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """(R,) top-1; -inf for a network whose scores are not finite."""
        with torch.no_grad():
            scores = self.scores(inputs)
        top = (scores.argmax(dim=-1) == labels).float().mean(dim=1)
        return torch.where(scores.isfinite().flatten(1).all(dim=1), top, -torch.inf)
