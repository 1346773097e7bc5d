"""The published end-to-end network: an image and an azimuth in, a profile out (section V-B, Fig. 5, equation 6).

ResNet-18 with its last layer replaced by one to 180 numbers; the user's azimuth projected to 180; both side by side
into a perceptron of two layers, whose 180 outputs are the profile. It is trained by Adam at 1e-3 on the mean squared
error. Not stated, and chosen here: 180 hidden neurons; the azimuth enters in units of 90 degrees; profiles have the
peak 1; an epoch is kept for its error on held-out drives. The paper's extractor has weights of ImageNet
("off-the-shelf"); without them, training begins from random weights, which says less of the paper than of the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from sitetwin.errors import SiteTwinError
from sitetwin.vision.profiles.adaptation import peak_one
from sitetwin.vision.profiles.codebook import ANGLES
from sitetwin.vision.profiles.resnet import ResNet18

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as its weights expect
_LEAST_PIXELS = 32


class EndToEnd(nn.Module):
    """The network.

    Args:
        hidden: Neurons between the two layers of the perceptron.
    """

    def __init__(self, hidden: int = ANGLES) -> None:
        super().__init__()
        self.image = ResNet18(ANGLES)
        self.azimuth = nn.Linear(1, ANGLES)
        self.head = nn.Sequential(nn.Linear(2 * ANGLES, hidden), nn.ReLU(), nn.Linear(hidden, ANGLES))

    def forward(
        self, images: Float[Tensor, "batch 3 height width"], azimuth: Float[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch 180"]:
        """Profiles of images and azimuths (in units of 90 degrees)."""
        return self.head(torch.cat([self.image(images), self.azimuth(azimuth)], dim=1))


@dataclass(frozen=True)
class Training:
    """How the network is trained.

    Attributes:
        epochs: Most passes over the rows.
        patience: Epochs without gain on the held-out rows after which training ends; before that it has not converged.
        rate: Of Adam, as printed.
        batch: Rows of a step; the paper states none.
    """

    epochs: int = 20
    patience: int = 5
    rate: float = 1e-3
    batch: int = 32


@dataclass(frozen=True, eq=False)
class Seen:
    """Rows as the network sees them.

    Attributes:
        images: Small: 112 to 160 columns keep a training on two cores within minutes.
        azimuth_deg: Of the user, degrees from boresight; NaN counts as straight ahead.
    """

    images: UInt8[np.ndarray, "rows height width 3"]
    azimuth_deg: Float[np.ndarray, " azimuths"]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.azimuth_deg):
            raise SiteTwinError(f"{len(self.images)} images have {len(self.azimuth_deg)} azimuths; pair them")
        if min(self.images.shape[1:3]) < _LEAST_PIXELS:
            raise SiteTwinError(
                f"images of {self.images.shape[2]} x {self.images.shape[1]} pixels are too small; give "
                f"{_LEAST_PIXELS} or more a side"
            )

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Images about zero mean and unit deviation, and azimuths in units of 90 degrees."""
        images = torch.from_numpy(np.ascontiguousarray(self.images[rows])).permute(0, 3, 1, 2).float() / 255
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
        azimuth = np.nan_to_num(self.azimuth_deg[rows]) / 90
        return (images - mean) / deviation, torch.from_numpy(azimuth).float()[:, None]


@dataclass(frozen=True, eq=False)
class TrainedEndToEnd:
    """A trained network.

    Attributes:
        network: In evaluation mode.
        epoch: The epoch that is kept, from 1.
        converged: Whether the held-out rows had stopped gaining before the epochs were used up.
        errors: Held-out error after each epoch.
    """

    network: EndToEnd
    epoch: int
    converged: bool
    errors: tuple[float, ...]

    def profiles(self, seen: Seen, batch: int = 64) -> Float[np.ndarray, "rows 180"]:
        """Predict profiles; an output below zero counts as zero."""
        return np.maximum(_outputs(self.network, seen, np.arange(len(seen.images)), batch), 0.0)


def train_end_to_end(
    seen: Seen,
    measured: Float[np.ndarray, "rows 180"],
    held_out: np.ndarray,
    seed: int,
    training: Training = Training(),
) -> TrainedEndToEnd:
    """Train the network from random weights.

    Args:
        seen: Images and azimuths.
        measured: Profiles of the same rows.
        held_out: (rows,) bool: rows of whole drives on which the epoch is chosen; they do not train.
        seed: Of first weights and order.
        training: Settings.

    Raises:
        SiteTwinError: Nothing is left to train on or to choose the epoch by, or a profile is not finite.
    """
    rows, judged = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    if len(rows) < 2 or not len(judged):
        raise SiteTwinError(
            f"the end-to-end network has {len(rows)} rows to train on and {len(judged)} to choose the epoch by; give "
            "two drives or more"
        )
    if not np.isfinite(measured).all():
        raise SiteTwinError("profiles that a network learns from must be finite; drop the other rows")
    wanted = torch.from_numpy(peak_one(measured)).float()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = EndToEnd()
    order = np.random.default_rng(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=training.rate)
    errors: list[float] = []
    best, kept = float("inf"), {name: value.clone() for name, value in network.state_dict().items()}
    while len(errors) < training.epochs and len(errors) - _best_at(errors) < training.patience:
        network.train()
        shuffled = order.permutation(rows)
        for first in range(0, len(shuffled) - 1, training.batch):  # a last single row has no batch statistics
            part = shuffled[first : first + training.batch]
            if len(part) < 2:
                continue
            images, azimuth = seen.batch(part)
            loss = (network(images, azimuth) - wanted[part]).square().sum(dim=1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        found = _outputs(network, seen, judged, 64)
        errors.append(float(((found - wanted[judged].numpy()) ** 2).sum(axis=1).mean()))
        if errors[-1] < best:
            best, kept = errors[-1], {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(kept)
    network.eval()
    converged = len(errors) - _best_at(errors) >= training.patience
    return TrainedEndToEnd(network, _best_at(errors), converged, tuple(errors))


def _best_at(errors: list[float]) -> int:
    """The epoch with the least error, from 1; 0 before the first."""
    return int(np.argmin(np.nan_to_num(errors, nan=np.inf))) + 1 if errors else 0


def _outputs(network: EndToEnd, seen: Seen, rows: np.ndarray, batch: int) -> np.ndarray:
    network.eval()
    with torch.no_grad():
        parts = [network(*seen.batch(rows[first : first + batch])) for first in range(0, len(rows), batch)]
    return torch.cat(parts).double().numpy() if parts else np.zeros((0, ANGLES))
