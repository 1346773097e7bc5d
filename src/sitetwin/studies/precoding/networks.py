"""Fig. 6 and Table III: networks that correct the twin's channels, beside the controls that the paper lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

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
    MlpSize,
    NearestMeasurement,
    PositionCorrector,
    Split,
    UNetCorrector,
    UNetSize,
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
        carrier_hz: Carrier frequency.
    """

    truth: Tensor
    measured: Tensor
    twin: Tensor
    positions: Tensor
    drive: Tensor
    carrier_hz: float = 0.0


def correctors(study: PrecodingStudy, unet: UNetSize, mlp: MlpSize, single_taps: bool) -> dict[str, ChannelCorrector]:
    """Every method that is run, by the name that results use."""
    sizes = study.evaluation
    found: dict[str, ChannelCorrector] = {
        "zero": ZeroCorrector(),
        "mean": MeanCorrector(),
        "one gain": GainCorrector(),
        "linear (Wiener)": WienerCorrector(),
        "nearest measurement": NearestMeasurement(),
        "position only": PositionCorrector(sizes.mlp, mlp),
        "MLP": MlpCorrector(sizes.mlp, size=mlp),
        "U-Net": UNetCorrector(sizes.unet, size=unet),
    }
    if single_taps:
        found["MLP, single taps"] = MlpCorrector(sizes.taps, "tap", mlp)
        found["U-Net, single taps"] = UNetCorrector(sizes.taps, "tap", unet)
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
    return drive_split(study, channels.positions, channels.drive, seed)


def drive_split(study: PrecodingStudy, positions: Tensor, drive: Tensor, seed: int) -> Split:
    """Training and test users in different drives.

    Args:
        study: The configuration.
        positions: (users, 3) float64, metres.
        drive: (users) int64.
        seed: Draws the drives that are held out.

    Raises:
        SiteTwinError: One side would be empty.
    """
    drives = drive.unique()
    generator = torch.Generator().manual_seed(seed)
    held = drives[torch.randperm(len(drives), generator=generator)[: max(1, round(len(drives) * 0.3))]]
    is_test = torch.isin(drive, held)
    test, rest = is_test.nonzero()[:, 0], (~is_test).nonzero()[:, 0]
    train = rest[nearest_distance(positions[rest], positions[test]) >= study.evaluation.guard_m]
    if not len(train) or not len(test):
        raise SiteTwinError("a split into whole drives leaves one side empty; drive lines farther apart")
    return Split(train, test, None, len(rest) - len(train))


@dataclass(frozen=True, eq=False)
class Sides:
    """Scaled and turned channels of the users of a split.

    Attributes:
        train: Measured channels to learn from.
        validation: Measured channels that choose epochs, ridges and sizes.
        test: True channels of the users who judge.
    """

    train: ChannelPairs
    validation: ChannelPairs
    test: ChannelPairs


def validation_split(study: PrecodingStudy, positions: Tensor, kind: str, seed: int) -> Split:
    """Split training users into those who are learnt from and those who validate.

    Args:
        study: The configuration.
        positions: (users, 3) float64, metres, of the training users.
        kind: How training and test users were split.
        seed: Draws the validation users.

    Raises:
        SiteTwinError: One side would be empty.
    """
    generator, sizes = torch.Generator().manual_seed(seed + 1000), study.evaluation
    if kind == "random":
        return random_split(len(positions), generator, 1 - sizes.validation_share)
    return block_split(positions, generator, sizes.block_m, sizes.guard_m, sizes.validation_share)


def split_sides(study: PrecodingStudy, channels: SeedChannels, kind: str, seed: int) -> Sides:
    """Training, validation and test users of one seed; validation users are as far from training as test users are.

    Raises:
        SiteTwinError: One side would be empty.
    """
    split = split_users(study, channels, kind, seed)
    seen = ChannelPairs(channels.twin, channels.measured, channels.positions).scaled("link").phase_aligned()
    clean = ChannelPairs(channels.twin, channels.truth, channels.positions).scaled("link").phase_aligned()
    held = validation_split(study, channels.positions[split.train], kind, seed)
    return Sides(seen.take(split.train[held.train]), seen.take(split.train[held.test]), clean.take(split.test))


def judge_networks(
    study: PrecodingStudy,
    channels: SeedChannels,
    kind: str,
    seed: int,
    unet: UNetSize,
    mlp: MlpSize,
    single_taps: bool = False,
    fitted: Mapping[str, ChannelCorrector] = MappingProxyType({}),
) -> dict[str, Judgement]:
    """Fit every method on training users, and judge it on test users.

    Args:
        study: The configuration.
        channels: Channels of all users.
        kind: The split.
        seed: The seed.
        unet: Kernels of the U-Net.
        mlp: Neurons of the perceptrons.
        single_taps: Whether networks of single taps are run too.
        fitted: Methods that were fitted to these training users already, by the names of `correctors`.

    Returns:
        A judgement for "genie", "twin" and each corrector.
    """
    sides = split_sides(study, channels, kind, seed)
    train, test = sides.train, sides.test
    judge = Judge(study.link, test.measured)
    found = {"genie": judge.of_curve(judge.genie)}
    found["twin"] = judge.of_channels(test.twin, common_gain(train.measured, train.twin))
    for name, corrector in correctors(study, unet, mlp, single_taps).items():
        ready = fitted.get(name)
        if ready is None:
            ready = corrector.fit(train, torch.Generator().manual_seed(seed), sides.validation)
        gain = common_gain(train.measured, ready.predict(train.twin, train.positions))
        found[name] = judge.of_channels(ready.predict(test.twin, test.positions), gain)
    return found


def reached(truth: Tensor) -> np.ndarray:
    """(users) bool: users whom a path reaches in the target."""
    return (truth.abs() > 0).flatten(1).any(1).numpy()
