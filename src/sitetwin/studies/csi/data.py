"""CSI sets of worlds, on which codecs are trained and judged."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel import FieldOptions, OfdmGrid, PathGains, Radio, frequency_response, path_gains
from sitetwin.channel.formats.source import strongest
from sitetwin.channel.synthesis import delay_angle  # the study tells itself what its taps miss
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn import CsiSet, PhaseReference, block_split, prepare, random_split, spatial_blocks
from sitetwin.rays import Paths
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.worlds import World, Worlds

PHASE_REFERENCE: PhaseReference = "corner"  # the element that the published code makes real and positive


@dataclass(frozen=True, eq=False)
class TargetUsers:
    """Who is trained on and tested, of one seed and split.

    Attributes:
        test_users: (T,) int64, indices into the users.
        train_users: (N,) int64, in random order; prefixes are the smaller training sets.
        test_block: (T,) int64, spatial block of each test user, on the grid that a split into blocks follows.
        by_other_engine: (T,) bool, test users whose channels come from the other ray tracer.
        guard: Users dropped between training and test.
    """

    test_users: Tensor
    train_users: Tensor
    test_block: Tensor
    by_other_engine: Tensor
    guard: int


@dataclass(frozen=True, eq=False)
class TargetSet:
    """Target data of one seed and split.

    Attributes:
        users: Users whose data these are.
        test: Test users' CSI.
        train: Training users' CSI.
    """

    users: TargetUsers
    test: CsiSet
    train: CsiSet


def delay_angle_matrices(study: CsiStudy, world: World, users: np.ndarray) -> Tensor:
    """Truncated delay-angle matrices G of some users of a world.

    Args:
        study: The configuration.
        world: One world.
        users: (N,) int64, users with at least one path.

    Returns:
        (N, taps, antennas) complex64.
    """
    link = study.link
    grid = OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)
    options = FieldOptions(foliage=world.foliage)

    def matrices(paths: Paths) -> Tensor:
        gains = _gains(study, world, paths, options)
        with _plane_waves():
            g = delay_angle(paths, gains, grid, world.radio, num_taps=link.taps)
        return g[:, 0].transpose(1, 2).contiguous()

    return _per_user(world, users, matrices)


def _gains(study: CsiStudy, world: World, paths: Paths, options: FieldOptions) -> PathGains:
    """Gains of paths; those beyond a user's strongest ones are zero, except in the world that stands for reality."""
    gains = path_gains(paths, world.traced, study.link.carrier_hz, world.radio, Radio(), options)
    if world.key == "target_b":
        return gains
    rows, _ = strongest(paths.user_of_path, gains.power.sum((-2, -1)).numpy(), study.link.paths)
    kept = torch.zeros(paths.num_paths)
    kept[torch.from_numpy(rows)] = 1.0
    return replace(gains, values=gains.values * kept[:, None, None])


def _per_user(world: World, users: np.ndarray, figures: Callable[[Paths], Tensor]) -> Tensor:
    """Figures of users' paths, a row per user, each from the paths of the engine that stands for the user's reality."""
    result = figures(world.paths.select_users(users))
    if world.other_paths is not None:
        place = np.searchsorted(world.other_users, users)
        place = np.minimum(place, len(world.other_users) - 1)
        rows = np.flatnonzero(world.other_users[place] == users)
        if len(rows):
            result[rows] = figures(world.other_paths.select_users(place[rows]))
    return result


@contextmanager
def _plane_waves() -> Iterator[None]:
    """Plane waves also in the array's near field, as in the published study; a note of the results says so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the shortest path is", category=SiteTwinWarning)
        yield


def kept_energy(study: CsiStudy, world: World, users: np.ndarray) -> Tensor:
    """Share of each channel's energy that lies in the kept delay taps; the full energy by Parseval's theorem.

    Args:
        study: The configuration.
        world: One world.
        users: (N,) int64, users with at least one path.

    Returns:
        (N,) float32, 0..1.
    """
    link = study.link
    grid = OfdmGrid(link.carrier_hz, link.subcarriers, link.subcarrier_spacing_hz)
    options = FieldOptions(foliage=world.foliage)

    def shares(paths: Paths) -> Tensor:
        gains = _gains(study, world, paths, options)
        with _plane_waves():
            kept = delay_angle(paths, gains, grid, world.radio, num_taps=link.taps).abs().square().sum((1, 2, 3))
            whole = frequency_response(paths, gains, grid, world.radio).abs().square().sum((1, 2, 3))
        return kept / (whole * link.antennas / link.subcarriers)

    parts = np.array_split(users, max(1, len(users) // 2000))  # whole responses are large
    return torch.cat([_per_user(world, part, shares) for part in parts])


def target_users(study: CsiStudy, worlds: Worlds, key: str, split: str, seed: int) -> TargetUsers:
    """Draw the users of one seed and split them.

    Args:
        study: The configuration.
        worlds: The worlds.
        key: "target_a" or "target_b".
        split: "blocks" or "random".
        seed: Seed of users and split. The users that the other engine traced are always among those drawn.
    """
    evaluation, world = study.evaluation, worlds.worlds[key]
    rng = np.random.default_rng([seed, 1])
    covered = np.flatnonzero(world.covered)
    other = np.intersect1d(world.other_users, covered)[: evaluation.sampled_users]
    ours = np.setdiff1d(covered, world.other_users)
    count = min(evaluation.sampled_users - len(other), len(ours))
    sampled = np.union1d(other, rng.choice(ours, size=count, replace=False))
    generator = torch.Generator().manual_seed(seed)
    positions = torch.from_numpy(worlds.users[sampled])
    if split == "blocks":
        parts = block_split(positions, generator, evaluation.block_m, evaluation.guard_m, evaluation.test_share)
    else:
        parts = random_split(len(sampled), generator, 1 - evaluation.random_test_share)
    block = spatial_blocks(positions, evaluation.block_m) if parts.block is None else parts.block
    test = _some(parts.test, evaluation.test_users, generator, "test")
    most = max(*evaluation.train_sizes, evaluation.pool or len(parts.train))
    train = _some(parts.train, most, generator, "training")
    test_users, train_users = torch.from_numpy(sampled)[test], torch.from_numpy(sampled)[train]
    return TargetUsers(
        test_users=test_users,
        train_users=train_users,
        test_block=block[test],
        by_other_engine=torch.from_numpy(np.isin(test_users.numpy(), world.other_users)),
        guard=parts.dropped,
    )


def target_set(study: CsiStudy, worlds: Worlds, key: str, split: str, seed: int) -> TargetSet:
    """The CSI of the `target_users` of the same arguments."""
    users, world = target_users(study, worlds, key, split, seed), worlds.worlds[key]
    return TargetSet(
        users,
        test=prepare(delay_angle_matrices(study, world, users.test_users.numpy()), PHASE_REFERENCE),
        train=prepare(delay_angle_matrices(study, world, users.train_users.numpy()), PHASE_REFERENCE),
    )


def source_set(study: CsiStudy, world: World, seed: int) -> CsiSet:
    """Training CSI from the twin or the wrong site: users anywhere, since rendering costs nothing, in random order.

    Raises:
        SiteTwinError: The world has fewer users with a path than the largest training set.
    """
    rng = np.random.default_rng([seed, 2])
    covered, most = np.flatnonzero(world.covered), max(study.evaluation.train_sizes)
    if len(covered) < most:
        raise SiteTwinError(
            f"the world '{world.key}' has {len(covered)} users with a path but the study asks for {most} training "
            "matrices; use a larger area, a finer grid, or smaller training sets"
        )
    users = rng.permutation(covered)[:most]
    return prepare(delay_angle_matrices(study, world, users), PHASE_REFERENCE)


def _some(rows: Tensor, count: int, generator: torch.Generator, what: str) -> Tensor:
    """`count` of the rows in random order."""
    if len(rows) < count:
        raise SiteTwinError(
            f"the site has {len(rows)} {what} users after the split but the study asks for {count}; use a larger area, "
            "a finer grid or smaller sizes"
        )
    return rows[torch.randperm(len(rows), generator=generator)[:count]]
