"""Fig. 6 and Table III: networks that correct the twin's channels, beside the controls that the paper lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn import (
    ChannelCorrector,
    ChannelPairs,
    GainCorrector,
    MeanCorrector,
    MlpCorrector,
    NearestMeasurement,
    PositionCorrector,
    Split,
    UNetCorrector,
    WienerCorrector,
    ZeroCorrector,
    block_split,
    common_gain,
    nearest_distance,
    random_split,
)
from sitetwin.studies.precoding.config import PrecodingStudy
from sitetwin.studies.precoding.judge import Judge, Judgement


@dataclass(frozen=True, eq=False)
class SeedChannels:
    """Channels of the users of one seed whom the target reaches.

    Attributes:
        truth: (users, antennas, taps) complex64, without errors of measurement.
        measured: The same as the drive test reports them.
        twin: What the twin says.
        positions: (users, 3) float64, reported positions.
        drive: (users) int64.
    """

    truth: Tensor
    measured: Tensor
    twin: Tensor
    positions: Tensor
    drive: Tensor


def correctors(study: PrecodingStudy, split: str) -> dict[str, ChannelCorrector]:
    """Every method that is run on a split, by the name that results use."""
    sizes = study.evaluation
    found: dict[str, ChannelCorrector] = {
        "zero": ZeroCorrector(),
        "mean": MeanCorrector(),
        "one gain": GainCorrector(),
        "linear (Wiener)": WienerCorrector(),
        "nearest measurement": NearestMeasurement(),
        "position only": PositionCorrector(sizes.mlp, sizes.mlp_size),
        "MLP": MlpCorrector(sizes.mlp, size=sizes.mlp_size),
        "U-Net": UNetCorrector(sizes.unet, size=sizes.unet_size),
    }
    if sizes.tap_samples and split == "random":
        found["MLP, single taps"] = MlpCorrector(sizes.taps, "tap", sizes.mlp_size)
        found["U-Net, single taps"] = UNetCorrector(sizes.taps, "tap", sizes.unet_size)
    return found


def split_users(study: PrecodingStudy, channels: SeedChannels, kind: str, seed: int) -> Split:
    """Training and test users of one seed.

    Raises:
        SiteTwinError: One side would be empty.
    """
    sizes, generator = study.evaluation, torch.Generator().manual_seed(seed)
    users = len(channels.positions)
    if kind == "random":
        return random_split(users, generator, sizes.train_share)
    if kind == "blocks":
        return block_split(channels.positions, generator, sizes.block_m, sizes.guard_m, 1 - sizes.train_share)
    drives = channels.drive.unique()
    held = drives[torch.randperm(len(drives), generator=generator)[: max(1, round(len(drives) * 0.3))]]
    is_test = torch.isin(channels.drive, held)
    test, rest = is_test.nonzero()[:, 0], (~is_test).nonzero()[:, 0]
    train = rest[nearest_distance(channels.positions[rest], channels.positions[test]) >= sizes.guard_m]
    if not len(train) or not len(test):
        raise SiteTwinError("a split into whole drives leaves one side empty; drive lines farther apart")
    return Split(train, test, None, len(rest) - len(train))


def judge_networks(study: PrecodingStudy, channels: SeedChannels, kind: str, seed: int) -> dict[str, Judgement]:
    """Fit every method on training users, and judge it on test users.

    Args:
        study: The configuration.
        channels: Channels of all users.
        kind: The split.
        seed: The seed.

    Returns:
        A judgement for "genie", "twin" and each corrector.
    """
    split = split_users(study, channels, kind, seed)
    order = torch.randperm(len(split.train), generator=torch.Generator().manual_seed(seed + 1000))
    kept = max(1, round(study.evaluation.validation_share * len(order)))
    seen = ChannelPairs(channels.twin, channels.measured, channels.positions).scaled("link").phase_aligned()
    clean = ChannelPairs(channels.twin, channels.truth, channels.positions).scaled("link").phase_aligned()
    train, validation = seen.take(split.train[order[kept:]]), seen.take(split.train[order[:kept]])
    test = clean.take(split.test)
    judge = Judge(study.link, test.measured)
    found = {"genie": judge.of_curve(judge.genie)}
    found["twin"] = judge.of_channels(test.twin, common_gain(train.measured, train.twin))
    for name, corrector in correctors(study, kind).items():
        corrector.fit(train, torch.Generator().manual_seed(seed), validation)
        gain = common_gain(train.measured, corrector.predict(train.twin, train.positions))
        found[name] = judge.of_channels(corrector.predict(test.twin, test.positions), gain)
    return found


def reached(truth: Tensor) -> np.ndarray:
    """(users) bool: users whom a path reaches in the target."""
    return (truth.abs() > 0).flatten(1).any(1).numpy()
