"""Training of neural codecs: the published schedule, a modern one, checkpoints that resume bit for bit."""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.data import data_hash
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.learn.csi.neural import CodecNetwork, freeze_batchnorm
from sitetwin.store.files import disk_errors, write_file
from sitetwin.untrusted import read_bytes
from sitetwin.version import code_version

_DIGEST = hashlib.sha256().digest_size  # first bytes of a checkpoint: PyTorch compares no checksum
_LARGEST_CHECKPOINT = 2**33  # bytes of the weights of a network and of its optimiser

Progress = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with (epochs done, epochs in all, {"loss": ..., "validation_db": ...})."""


@dataclass(frozen=True)
class Schedule:
    """Settings of a training.

    Attributes:
        optimiser: "adam", or "adamw" with decoupled weight decay.
        learning_rate: Peak learning rate.
        batch: Samples per step; the last, smaller batch of an epoch is used too.
        epochs: Passes over the data.
        steps: If given, replaces `epochs`: as many epochs as make at least this number of steps. Keeps the work of
            small data sets equal to that of large ones.
        decay: "milestones" multiplies the rate by `factor` at each milestone; "cosine" falls to zero.
        milestones: Epochs at which the rate falls, for "milestones".
        factor: Factor of the learning rate at each milestone.
        warmup: Share of the steps over which the rate rises linearly, for "cosine".
        weight_decay: Weight decay, for "adamw".
        loss: "mse" is the mean over all real numbers, as published; "nmse" is the paper's eq. 7 (the sum over
            a unit-norm matrix).
        gradient_limit: If given, the largest gradient norm of a step.
        score_epochs: The score of a run is the mean validation NMSE of this many last epochs; 1 is the final model.
    """

    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-2
    batch: int = 32
    epochs: int = 160
    steps: int | None = None
    decay: Literal["milestones", "cosine"] = "milestones"
    milestones: tuple[int, ...] = (100,)
    factor: float = 0.1
    warmup: float = 0.0
    weight_decay: float = 0.0
    loss: Literal["mse", "nmse"] = "mse"
    gradient_limit: float | None = None
    score_epochs: int = 50

    def total_epochs(self, samples: int) -> int:
        """Epochs for a data set of `samples`."""
        if self.steps is None:
            return self.epochs
        return max(1, math.ceil(self.steps / math.ceil(samples / self.batch)))


PAPER = Schedule()
"""CSINet+ as published: Adam at 1e-2, batches of 32, 160 epochs, a tenth of the rate from epoch 100, MSE."""

PAPER_REFINEMENT = Schedule(learning_rate=1e-3, epochs=100, milestones=())
"""Refinement as in the conference code: 1e-3, 100 epochs."""

COSINE = Schedule(
    optimiser="adamw",
    learning_rate=2e-3,
    batch=64,
    epochs=60,
    decay="cosine",
    warmup=0.02,
    weight_decay=1e-4,
    loss="nmse",
    gradient_limit=1.0,
    score_epochs=1,
)
"""For the adaptive codec."""

COSINE_REFINEMENT = replace(COSINE, learning_rate=5e-4, epochs=10)
"""Refinement of the adaptive codec."""


@dataclass
class History:
    """Record of a training, epoch by epoch.

    Attributes:
        loss: Mean training loss of each epoch.
        validation: Linear mean NMSE on the validation set after each epoch; empty without one.
        seconds: Wall-clock training time so far, over all resumed parts. Excludes validation.
    """

    loss: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    seconds: float = 0.0


@dataclass(frozen=True)
class TrainingResult:
    """Outcome of `train`.

    Attributes:
        history: Epoch by epoch.
        finished: False where the run was asked to stop; calling `train` again with the same folder goes on.
        key: SHA-256 of the configuration, the name of its checkpoint.
        score_db: Mean validation NMSE of the last `score_epochs` epochs, dB; NaN without a validation set.
        samples: Training samples seen, for samples per second.
    """

    history: History
    finished: bool
    key: str
    score_db: float
    samples: int


def configuration_key(codec: CodecNetwork, schedule: Schedule, *data: Tensor, frozen_batchnorm: bool = False) -> str:
    """SHA-256 of the model, its initial weights (hence its seed), the schedule, the data and the code that trains."""
    text = json.dumps(
        {
            "model": codec.configuration,
            "weights": data_hash(*codec.state_dict().values()),
            "schedule": asdict(schedule),
            "data": [data_hash(d) for d in data],
            "frozen_batchnorm": frozen_batchnorm,
            "code": code_version("learn"),
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def train(
    codec: CodecNetwork,
    x: Tensor,
    schedule: Schedule,
    generator: torch.Generator,
    *,
    validation: Tensor | None = None,
    folder: Path | None = None,
    frozen_batchnorm: bool = False,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    save_every_s: float = 60.0,
    validate_last: int | None = None,
) -> TrainingResult:
    """Train a codec in place.

    The same codec, data, schedule and generator state give the same weights, whether or not the run was interrupted.

    Args:
        codec: Initial weights come with it.
        x: (N, T, B) complex64 training matrices.
        schedule: Settings of the training.
        generator: Order of the samples.
        validation: (V, T, B) complex64, for the history and the score only; nothing is chosen by it.
        folder: Folder of the checkpoints; none are written without it. A finished run is loaded instead of repeated.
        frozen_batchnorm: Keep batch normalisation as it is.
        progress: Called after each epoch.
        should_stop: Asked after each epoch; True saves and returns.
        save_every_s: Least time between checkpoints, seconds.
        validate_last: Validate after this many last epochs only, which is all that a score needs; after all by default.

    Raises:
        SiteTwinError: No training samples, a loss that is not finite, or an unreadable checkpoint.
    """
    if len(x) == 0:
        raise SiteTwinError("the training set is empty; give at least one CSI matrix")
    data = (x,) if validation is None else (x, validation)
    start = generator.get_state()
    validated = validate_last if validate_last is not None else schedule.total_epochs(len(x))
    key = configuration_key(codec, schedule, *data, start, torch.tensor(validated), frozen_batchnorm=frozen_batchnorm)
    run = _Run(codec, schedule, len(x), generator, frozen_batchnorm)
    path = None if folder is None else Path(folder) / f"{key}.pt"
    if path is not None and path.exists():
        run.load(path)
    real, total, saved = codec.training_inputs(x), run.epochs, time.monotonic()
    while run.done < total:
        run.epoch(real)
        if validation is not None and run.done > total - validated:
            run.history.validation.append(mean_nmse(codec, validation))
        if progress is not None:
            progress(run.done, total, run.latest())
        stop = should_stop is not None and should_stop() and run.done < total
        if path is not None and (stop or run.done == total or time.monotonic() - saved > save_every_s):
            run.save(path)
            saved = time.monotonic()
        if stop:
            break
    codec.eval()
    last = run.history.validation[-schedule.score_epochs :]
    score = to_db(sum(last) / len(last)) if last else math.nan
    return TrainingResult(run.history, run.done == total, key, score, run.done * len(x))


@torch.no_grad()
def mean_nmse(codec: CodecNetwork, x: Tensor, batch: int = 1024) -> float:
    """Linear mean NMSE over (N, T, B) complex64 matrices."""
    return float(torch.cat([nmse(part, codec.decode(codec.encode(part))) for part in x.split(batch)]).mean())


class _Run:
    """State of one training: what a checkpoint holds."""

    def __init__(
        self, codec: CodecNetwork, schedule: Schedule, samples: int, generator: torch.Generator, frozen: bool
    ) -> None:
        self.codec, self.schedule, self.generator, self.frozen = codec, schedule, generator, frozen
        self.samples = samples
        self.epochs = schedule.total_epochs(samples)
        self.steps_per_epoch = math.ceil(samples / schedule.batch)
        self.done = 0
        self.history = History()
        if frozen:
            freeze_batchnorm(codec)
        kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        options = {"weight_decay": schedule.weight_decay} if schedule.optimiser == "adamw" else {}
        weights = [p for p in codec.parameters() if p.requires_grad]
        self.optimiser = kinds[schedule.optimiser](weights, lr=schedule.learning_rate, **options)

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0 over the whole run."""
        s = self.schedule
        if s.decay == "milestones":
            epoch = step // self.steps_per_epoch
            return s.learning_rate * s.factor ** sum(epoch >= m for m in s.milestones)
        total = self.epochs * self.steps_per_epoch
        warmup = s.warmup * total
        if step < warmup:
            return s.learning_rate * (step + 1) / warmup
        return s.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))

    def epoch(self, real: Tensor) -> None:
        """One pass over the training inputs in random order."""
        began = time.monotonic()
        self.codec.train()
        if self.frozen:
            freeze_batchnorm(self.codec)
        order = torch.randperm(len(real), generator=self.generator)
        loss_sum = 0.0
        for i, index in enumerate(order.split(self.schedule.batch)):
            for group in self.optimiser.param_groups:
                group["lr"] = self.rate(self.done * self.steps_per_epoch + i)
            batch = real[index]
            try:
                loss = self.loss(self.codec(batch, self.generator), batch)
            except torch.linalg.LinAlgError as error:  # weights that are not finite end in a system without solution
                raise self.divergence() from error
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if self.schedule.gradient_limit is not None:
                nn.utils.clip_grad_norm_(self.codec.parameters(), self.schedule.gradient_limit)
            self.optimiser.step()
            loss_sum += float(loss.detach()) * len(index)
        if not math.isfinite(loss_sum):
            raise self.divergence()
        self.done += 1
        self.history.loss.append(loss_sum / len(real))
        self.history.seconds += time.monotonic() - began

    def divergence(self) -> SiteTwinError:
        return SiteTwinError(
            f"training of {self.codec.configuration['model']} diverged in epoch {self.done + 1}; "
            f"lower the learning rate (now {self.schedule.learning_rate:g}) and check the data for NaN"
        )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        if self.schedule.loss == "mse":
            return nn.functional.mse_loss(output, target)
        return (output - target).square().flatten(1).sum(1).mean()

    def latest(self) -> dict[str, float]:
        numbers = {"loss": self.history.loss[-1]}
        if self.history.validation:
            numbers["validation_db"] = to_db(self.history.validation[-1])
        return numbers

    def save(self, path: Path) -> None:
        """Write beside and rename into place, behind the SHA-256 of the content."""
        state: dict[str, Any] = {
            "model": self.codec.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "done": self.done,
            "history": asdict(self.history),
        }
        written = io.BytesIO()  # on a full disk, PyTorch itself only says that a writer failed
        torch.save(state, written)
        content = written.getvalue()
        with disk_errors("keeping a checkpoint", path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, _digest(path, content) + content)

    def load(self, path: Path) -> None:
        try:
            kept = read_bytes(path, f"the checkpoint {path}", _LARGEST_CHECKPOINT)
            digest, content = kept[:_DIGEST], kept[_DIGEST:]
            if _digest(path, content) != digest:
                raise ValueError("it does not agree with its checksum")
            state = torch.load(io.BytesIO(content), weights_only=True)
            self.codec.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.generator.set_state(state["generator"])
            self.done = state["done"]
            self.history = History(**state["history"])
        except Exception as error:
            raise SiteTwinError(
                f"the checkpoint {path} cannot be read ({type(error).__name__}); delete it to train anew"
            ) from error


def _digest(path: Path, content: bytes) -> bytes:
    """SHA-256 of a checkpoint and its name, which says of which training it is."""
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()
