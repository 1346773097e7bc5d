"""A network in place of the tracer: beam powers from the position alone ("ML approximates the replica").

In the far field the power of any beam of N elements in a row is a trigonometric polynomial of degree N - 1 in the
electrical angle pi sin(azimuth) (C. Balanis, "Antenna Theory", ch. 6). Those harmonics are the network's inputs, beside
the position; what it has to learn is the street: distances, shadows, echoes.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_HIDDEN = 256
_STEPS = 1500
_BATCH = 256
_FLOOR = 1e-3
"""Power below the strongest beam of its row at which nulls are cut: what is fainter is never the best beam."""


class BeamPowerEmulator:
    """Levels of all beams at a position, learnt from traced ones.

    Args:
        boresight: Of the array, radians from east, counter-clockwise.
        antennas: Elements of the half-wave linear array.
        seed: Of weights and batches.
    """

    def __init__(self, boresight: float, antennas: int, seed: int) -> None:
        self.boresight, self.antennas, self.seed = boresight, antennas, seed
        self._network: torch.nn.Module | None = None
        self._mean, self._sd = 0.0, 1.0

    def fit(self, position: np.ndarray, power: np.ndarray) -> None:
        """Learn traced powers.

        Args:
            position: (N, 2) metres east and north of the station.
            power: (N, B) linear, the strongest of each row positive.
        """
        level = torch.from_numpy(cut_levels_db(power)).float()
        self._mean, self._sd = float(level.mean()), float(level.std())
        target, inputs = (level - self._mean) / self._sd, self._inputs(position)
        generator = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = torch.nn.Sequential(
                torch.nn.Linear(inputs.shape[1], _HIDDEN),
                torch.nn.GELU(),
                torch.nn.Linear(_HIDDEN, _HIDDEN),
                torch.nn.GELU(),
                torch.nn.Linear(_HIDDEN, power.shape[1]),
            )
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
        for _ in range(_STEPS):
            rows = torch.randint(len(target), (_BATCH,), generator=generator)
            loss = torch.nn.functional.mse_loss(network(inputs[rows]), target[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        self._network = network.requires_grad_(False)

    def levels_db(self, position: np.ndarray) -> np.ndarray:
        """(N, B) dB over the strongest beam of each row, nulls cut at -30 dB, at positions (N, 2)."""
        assert self._network is not None
        with torch.no_grad():
            answer = self._network(self._inputs(position)) * self._sd + self._mean
        return answer.numpy().astype(np.float64)

    def _inputs(self, position: np.ndarray) -> Tensor:
        """(N, 3 + 2 (antennas - 1)): position in units of 30 m and harmonics of the electrical angle."""
        x, y = torch.from_numpy(np.ascontiguousarray(position)).unbind(-1)
        angle = math.pi * torch.sin(torch.atan2(y, x) - self.boresight)
        harmonics = angle[:, None] * torch.arange(1, self.antennas)
        place = torch.stack([x / 30, y / 30, torch.hypot(x, y) / 30], dim=1)
        return torch.cat([place, torch.sin(harmonics), torch.cos(harmonics)], dim=1).float()


def cut_levels_db(power: np.ndarray) -> np.ndarray:
    """(N, B) what the emulator learns of linear powers: dB over each row's strongest beam, nulls cut."""
    return np.asarray(10 * np.log10(power / power.max(axis=1, keepdims=True) + _FLOOR))
