"""Correctors around a network: the published two, and a control that knows the position alone."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.correctors.base import ChannelCorrector
from sitetwin.learn.correctors.data import ChannelPairs
from sitetwin.learn.correctors.networks import Mlp, MlpSize, UNet, UNetSize
from sitetwin.learn.csi.neural import build
from sitetwin.learn.model_files import ModelFile

Trained = TypeVar("Trained", bound="TrainedCorrector")
SAMPLES = ("channel", "tap")


@dataclass(frozen=True)
class CorrectorSchedule:
    """How a corrector is trained: Adam on the mean squared error.

    Attributes:
        epochs: Passes over the pairs.
        rate: Learning rate, 0.0008 as published.
        batch: Pairs of a step.
        patience: Epochs without a smaller error on validation users after which the training ends; None goes on.
    """

    epochs: int = 150
    rate: float = 8e-4
    batch: int = 64
    patience: int | None = None

    def __post_init__(self) -> None:
        patient = self.patience is None or self.patience >= 1
        if self.epochs < 1 or self.batch < 2 or not 0 < self.rate < 1 or not patient:
            raise SiteTwinError(
                "a training needs an epoch or more, two pairs a step or more, a rate in (0, 1) and a patience of an "
                f"epoch or more, not {self}"
            )


class TrainedCorrector(ChannelCorrector):
    """A corrector around a network.

    With validation users the epoch of least error there is kept, otherwise the last one.

    Args:
        schedule: How a fit trains it.
        sample: "channel": a sample is the whole channel of a user. "tap": a sample is one complex tap, which is what
            the text of arXiv 2501.16504 says; no tap then knows of the others.
    """

    least: ClassVar[int] = 4

    def __init__(self, schedule: CorrectorSchedule = CorrectorSchedule(), sample: str = "channel") -> None:
        super().__init__()
        if sample not in SAMPLES:
            raise SiteTwinError(f"a sample is a 'channel' or a 'tap', not '{sample}'")
        self.schedule, self.sample = schedule, sample
        self._network: nn.Module | None = None

    @abstractmethod
    def _untrained(self, antennas: int, taps: int) -> nn.Module:
        """The network with the weights that torch draws."""

    def _inputs(self, twin: Tensor, positions: Tensor) -> Tensor:
        """What the network takes: (N, 2 * antennas, taps) float32."""
        return torch.cat([twin.real, twin.imag], dim=1)

    def _prepare(self, pairs: ChannelPairs) -> None:
        """Learn what the inputs need, before any is made."""

    def _fit(self, pairs: ChannelPairs, rng: torch.Generator | None, validation: ChannelPairs | None) -> None:
        if rng is None:
            raise SiteTwinError("the network draws random numbers; pass a torch.Generator as rng")
        self._prepare(pairs)
        antennas, taps = self._sample_shape(pairs.measured.shape[1], pairs.measured.shape[2])
        network = build(lambda: self._untrained(antennas, taps), rng)
        held = None if validation is None else self._samples(validation)
        self._network = train(network, *self._samples(pairs), self.schedule, rng, held)

    def _sample_shape(self, antennas: int, taps: int) -> tuple[int, int]:
        return (1, 1) if self.sample == "tap" else (antennas, taps)

    def _as_samples(self, x: Tensor) -> Tensor:
        return x.reshape(-1, 1, 1) if self.sample == "tap" else x

    def _samples(self, pairs: ChannelPairs) -> tuple[Tensor, Tensor]:
        """Inputs, and outputs of the same rows (N, 2 * antennas * taps)."""
        wanted = self._as_samples(pairs.measured)
        inputs = self._inputs(self._as_samples(pairs.twin), pairs.positions)
        return inputs, torch.cat([wanted.real, wanted.imag], dim=1).flatten(1)

    @torch.no_grad()
    def _predict(self, twin: Tensor, positions: Tensor) -> Tensor:
        network = self._network
        assert network is not None  # fit and load set it before the shape
        network.eval()
        samples = self._as_samples(twin)
        rows = self._inputs(samples, positions)
        out = torch.cat([network(part).flatten(1) for part in rows.split(4096)]) if len(rows) else rows.flatten(1)
        real, imag = out.view(len(samples), 2, *samples.shape[1:]).unbind(1)
        return torch.complex(real, imag).reshape(twin.shape)

    def parameters(self) -> int:
        """Number of trainable parameters of the fitted network."""
        _ = self.shape
        assert self._network is not None
        return sum(p.numel() for p in self._network.parameters())

    def _parameters(self) -> Mapping[str, Any]:
        return {"schedule": asdict(self.schedule), "sample": self.sample}

    def _arrays(self) -> Mapping[str, Tensor]:
        assert self._network is not None
        return {f"network.{name}": value for name, value in self._network.state_dict().items()}

    def _restore(self: Trained, file: ModelFile, shape: tuple[int, int]) -> Trained:
        """Take the weights of a file."""
        network = build(lambda: self._untrained(*self._sample_shape(*shape)), torch.Generator())
        state = {name: file.arrays.get(f"network.{name}") for name in network.state_dict()}
        for name, value in network.state_dict().items():
            found = state[name]
            if found is None or found.shape != value.shape or found.dtype != value.dtype:
                raise file.refusal(f"the array network.{name} is missing or of another size")
        network.load_state_dict(state)
        self._network = network
        return self


class UNetCorrector(TrainedCorrector):
    """The one-dimensional U-Net of arXiv 2501.16504.

    Args:
        schedule: How a fit trains it.
        sample: What a sample is, as in `TrainedCorrector`.
        size: Kernels.
    """

    kind: ClassVar[str] = "U-Net"

    def __init__(
        self,
        schedule: CorrectorSchedule = CorrectorSchedule(),
        sample: str = "channel",
        size: UNetSize = UNetSize(),  # noqa: B008
    ) -> None:
        super().__init__(schedule, sample)
        self.size = size

    def _untrained(self, antennas: int, taps: int) -> nn.Module:
        return UNet(2 * antennas, taps, self.size)

    def _parameters(self) -> Mapping[str, Any]:
        return {**super()._parameters(), "size": asdict(self.size)}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> UNetCorrector:
        schedule, sample = (
            file.parameter("schedule", CorrectorSchedule),
            file.parameter("sample", Literal["channel", "tap"]),
        )
        return cls(schedule, sample, file.parameter("size", UNetSize))._restore(file, shape)


class MlpCorrector(TrainedCorrector):
    """The multi-layer perceptron that arXiv 2501.16504 compares with.

    Args:
        schedule: How a fit trains it.
        sample: What a sample is, as in `TrainedCorrector`.
        size: Neurons of the hidden layers.
    """

    kind: ClassVar[str] = "MLP"

    def __init__(
        self,
        schedule: CorrectorSchedule = CorrectorSchedule(),
        sample: str = "channel",
        size: MlpSize = MlpSize(),  # noqa: B008
    ) -> None:
        super().__init__(schedule, sample)
        self.size = size

    def _untrained(self, antennas: int, taps: int) -> nn.Module:
        return Mlp(2 * antennas * taps, 2 * antennas * taps, self.size)

    def _inputs(self, twin: Tensor, positions: Tensor) -> Tensor:
        return super()._inputs(twin, positions).flatten(1)

    def _parameters(self) -> Mapping[str, Any]:
        return {**super()._parameters(), "size": asdict(self.size)}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> MlpCorrector:
        schedule, sample = (
            file.parameter("schedule", CorrectorSchedule),
            file.parameter("sample", Literal["channel", "tap"]),
        )
        return cls(schedule, sample, file.parameter("size", MlpSize))._restore(file, shape)


class PositionCorrector(TrainedCorrector):
    """A perceptron that knows the user's position and nothing of the twin.

    Its inputs are sines and cosines of the position at octaves of wavelength, from twice the extent of the training
    users downwards: a plain perceptron of coordinates learns nothing that changes within metres.

    Args:
        schedule: How a fit trains it.
        size: Neurons of the hidden layers.
    """

    kind: ClassVar[str] = "position only"
    _octaves: ClassVar[int] = 8

    def __init__(self, schedule: CorrectorSchedule = CorrectorSchedule(), size: MlpSize = MlpSize()) -> None:  # noqa: B008
        super().__init__(schedule)
        self.size = size
        self._frame = torch.zeros(2, 3, dtype=torch.float64)

    def _prepare(self, pairs: ChannelPairs) -> None:
        low, high = pairs.positions.amin(0), pairs.positions.amax(0)
        self._frame = torch.stack([low, (high - low).amax().clamp_min(1e-3).expand(3)])

    def _untrained(self, antennas: int, taps: int) -> nn.Module:
        return Mlp(6 * self._octaves, 2 * antennas * taps, self.size)

    def _inputs(self, twin: Tensor, positions: Tensor) -> Tensor:
        turns = (positions - self._frame[0]) / self._frame[1] * torch.pi  # half a turn over the extent
        angles = turns[:, :, None] * 2.0 ** torch.arange(self._octaves, dtype=torch.float64)
        return torch.cat([angles.sin(), angles.cos()], dim=1).flatten(1).float()

    def _parameters(self) -> Mapping[str, Any]:
        return {**super()._parameters(), "size": asdict(self.size)}

    def _arrays(self) -> Mapping[str, Tensor]:
        return {**super()._arrays(), "frame": self._frame}

    @classmethod
    def _restored(cls, file: ModelFile, shape: tuple[int, int]) -> PositionCorrector:
        corrector = cls(file.parameter("schedule", CorrectorSchedule), file.parameter("size", MlpSize))
        corrector._frame = file.array("frame", "two axes", torch.float64)
        if tuple(corrector._frame.shape) != (2, 3) or not bool((corrector._frame[1] > 0).all()):
            raise file.refusal("its frame of positions is none")
        return corrector._restore(file, shape)


def train(
    network: nn.Module,
    inputs: Tensor,
    wanted: Tensor,
    schedule: CorrectorSchedule,
    rng: torch.Generator,
    validation: tuple[Tensor, Tensor] | None = None,
) -> nn.Module:
    """Train a network, and return it with the weights of its best epoch on validation rows, or of its last one.

    Args:
        network: The network.
        inputs: Its inputs, a row a sample.
        wanted: (N, numbers) what it should give, flattened.
        schedule: Epochs, rate, batch.
        rng: Source of the shuffles.
        validation: Inputs and wanted outputs of other samples.

    Raises:
        SiteTwinError: The error of every epoch is not finite.
    """
    optimiser = torch.optim.Adam(network.parameters(), lr=schedule.rate, fused=True)
    best, kept, since = torch.inf, None, 0
    for _ in range(schedule.epochs):
        network.train()
        for rows in _batches(len(inputs), schedule.batch, rng):
            optimiser.zero_grad()
            loss = nn.functional.mse_loss(network(inputs[rows]).flatten(1), wanted[rows])
            loss.backward()
            optimiser.step()
        if validation is None:
            continue
        network.eval()
        with torch.no_grad():
            error = float(nn.functional.mse_loss(network(validation[0]).flatten(1), validation[1]))
        since += 1
        if error < best:
            best, kept, since = error, copy.deepcopy(network.state_dict()), 0
        if since == schedule.patience:
            break
    if validation is not None:
        if kept is None:
            raise SiteTwinError("no epoch of the training has a finite error; lower the learning rate")
        network.load_state_dict(kept)
    network.eval()
    return network


def _batches(rows: int, batch: int, rng: torch.Generator) -> list[Tensor]:
    """Shuffled rows; a last batch of one row, which batch normalisation refuses, joins the one before."""
    parts = list(torch.randperm(rows, generator=rng).split(batch))
    if len(parts) > 1 and len(parts[-1]) == 1:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
