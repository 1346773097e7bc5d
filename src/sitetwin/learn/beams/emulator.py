"""A network in place of the tracer: beam powers from the position alone ("ML approximates the replica").

In the far field the power of any beam of N elements in a row is a trigonometric polynomial of degree N - 1 in the
electrical angle pi sin(azimuth) (C. Balanis, "Antenna Theory", ch. 6). Those harmonics are the network's inputs, beside
the position; what it has to learn is the street: distances, shadows, echoes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.base import BeamPredictor
from sitetwin.learn.beams.data import BeamSet
from sitetwin.learn.model_files import ModelFile

_HIDDEN = 256
_STEPS = 1500
_BATCH = 256
_FLOOR = 1e-3
"""Power below the strongest beam of its row at which nulls are cut: what is fainter is never the best beam."""


class BeamPowerEmulator(BeamPredictor):
    """A network that predicts the levels of all beams at a position, learnt from traced levels.

    Predictions are dB over the strongest beam of each row, nulls cut at -30 dB. An update learns anew from all rows.

    Args:
        boresight: Where the array looks, radians from east, counter-clockwise.
        antennas: Elements of the half-wave linear array.
    """

    kind: ClassVar[str] = "beam power emulator"

    def __init__(self, boresight: float, antennas: int) -> None:
        super().__init__()
        if not (math.isfinite(boresight) and 2 <= antennas <= 4096):
            raise SiteTwinError(f"the emulator needs a finite boresight and 2 to 4096 antennas, not {antennas}")
        self.boresight, self.antennas = boresight, antennas
        self._network: torch.nn.Module | None = None
        self._mean, self._sd = 0.0, 1.0

    def _fit(self, rows: BeamSet, rng: torch.Generator | None) -> None:
        """Learn traced powers; the weights start from the seed of `rng`, the batches follow its state."""
        if rng is None:
            raise SiteTwinError("the emulator draws random numbers; pass a torch.Generator as rng")
        if np.isnan(rows.power).any() or not (rows.power.max(axis=1) > 0).all():
            raise SiteTwinError("the emulator learns traced powers: all beams known, the strongest of a row positive")
        level = torch.from_numpy(cut_levels_db(rows.power)).float()
        self._mean, self._sd = float(level.mean()), float(level.std())
        target, inputs = (level - self._mean) / self._sd, self._inputs(rows.position)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng.initial_seed())
            network = _layers(inputs.shape[1], rows.power.shape[1])
        optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _STEPS)
        for _ in range(_STEPS):
            drawn = torch.randint(len(target), (_BATCH,), generator=rng)
            loss = torch.nn.functional.mse_loss(network(inputs[drawn]), target[drawn])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        self._network = network.requires_grad_(False)

    def _predict(self, rows: BeamSet, position: np.ndarray) -> np.ndarray:
        assert self._network is not None
        with torch.no_grad():
            answer = self._network(self._inputs(position)) * self._sd + self._mean
        return answer.numpy().astype(np.float64)

    def _unfitted(self) -> BeamPowerEmulator:
        return BeamPowerEmulator(self.boresight, self.antennas)

    def _parameters(self) -> Mapping[str, Any]:
        return {"boresight": self.boresight, "antennas": self.antennas, "mean": self._mean, "sd": self._sd}

    def _arrays(self) -> Mapping[str, Tensor]:
        assert self._network is not None
        return self._network.state_dict()

    @classmethod
    def _restored(cls, file: ModelFile) -> BeamPowerEmulator:
        predictor = cls(file.parameter("boresight", float), file.parameter("antennas", int))
        predictor._mean, predictor._sd = file.parameter("mean", float), file.parameter("sd", float)
        inputs, beams = 3 + 2 * (predictor.antennas - 1), file.array("power", "rows beams", torch.float64).shape[1]
        with torch.device("meta"):
            network = _layers(inputs, beams)
        wanted = network.state_dict()
        weights = {name: file.arrays[name] for name in wanted if name in file.arrays}
        if any(name not in weights or weights[name].shape != value.shape for name, value in wanted.items()):
            raise file.refusal("its network is incomplete or of another size")
        network.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
        predictor._network = network.requires_grad_(False)
        return predictor

    def _inputs(self, position: np.ndarray) -> Tensor:
        """(N, 3 + 2 (antennas - 1)): position in units of 30 m and harmonics of the electrical angle."""
        x, y = torch.from_numpy(np.ascontiguousarray(position)).unbind(-1)
        angle = math.pi * torch.sin(torch.atan2(y, x) - self.boresight)
        harmonics = angle[:, None] * torch.arange(1, self.antennas)
        place = torch.stack([x / 30, y / 30, torch.hypot(x, y) / 30], dim=1)
        return torch.cat([place, torch.sin(harmonics), torch.cos(harmonics)], dim=1).float()


def _layers(inputs: int, beams: int) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Linear(inputs, _HIDDEN),
        torch.nn.GELU(),
        torch.nn.Linear(_HIDDEN, _HIDDEN),
        torch.nn.GELU(),
        torch.nn.Linear(_HIDDEN, beams),
    )


def cut_levels_db(power: Float[np.ndarray, "rows beams"]) -> Float[np.ndarray, "rows beams"]:
    """What the emulator learns of linear powers: dB over each row's strongest beam, nulls cut."""
    return np.asarray(10 * np.log10(power / power.max(axis=1, keepdims=True) + _FLOOR))
