"""All that is judged in one seed: one target world, at each carrier."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn import ChannelCorrector
from sitetwin.site import Site
from sitetwin.studies.frame import Progress
from sitetwin.studies.precoding.calibrated import Sounded, SoundedFile, SoundedTarget
from sitetwin.studies.precoding.channels import antenna_errors, measured, outside_taps, taps_of
from sitetwin.studies.precoding.config import PrecodingStudy
from sitetwin.studies.precoding.drive_test import DriveTest
from sitetwin.studies.precoding.judge import Judgement
from sitetwin.studies.precoding.networks import SeedChannels, judge_networks, reached
from sitetwin.studies.precoding.physics import TracedTwin, judge_materials, judge_ways, some_users, trace_ways
from sitetwin.studies.precoding.results import SizeTried
from sitetwin.studies.precoding.sizes import CHOSEN_ON, choose_sizes, chosen_mlp, chosen_unet
from sitetwin.studies.precoding.statistics import StatisticsUsers, judge_statistics
from sitetwin.studies.precoding.worlds import Users, World, target_world
from sitetwin.studies.records import as_document

NMSES = ("nmse_raw_db", "nmse_gain_db", "nmse_phase_db", "efficiency")
"""Scores of found channels that results keep."""


@dataclass(frozen=True, eq=False)
class SharedTwin:
    """What all seeds share.

    Attributes:
        study: The configuration.
        site: The twin's site.
        station: (3,) base station, metres.
        users: Users along the drives.
        twin: The twin, traced to them.
        drive: Measured channels in the place of simulated targets.
    """

    study: PrecodingStudy
    site: Site
    station: np.ndarray
    users: Users
    twin: World
    drive: DriveTest | None = None


@dataclass(frozen=True, eq=False)
class SeedWorlds:
    """The worlds of one seed and the users who are judged.

    Attributes:
        shared: The twin and what belongs to it.
        target: The world that stands for reality; None where channels were measured.
        kept: (users) int64, rows of the users whom the target reaches at every carrier.
        truths: True channels of these users by carrier, (users, antennas, taps) complex64; or measured ones.
        outside_taps: Share of the median user's power outside the taps.
        sounded: Channels to which materials are fitted.
    """

    shared: SharedTwin
    target: World | None
    kept: torch.Tensor
    truths: dict[float, torch.Tensor]
    outside_taps: float
    sounded: Sounded

    def channels(self, seed: int, carrier_hz: float) -> SeedChannels:
        """Channels of the users at a carrier, in the target, as measured there, and in the twin."""
        study, truth = self.shared.study, self.truths[carrier_hz]
        generator = np.random.default_rng([seed, 17, study.link.carriers_hz.index(carrier_hz)])
        return SeedChannels(
            truth=truth,
            measured=truth if self.target is None else measured(study, truth, generator),
            twin=taps_of(study, self.shared.twin, carrier_hz)[self.kept],
            positions=torch.from_numpy(self.shared.users.positions)[self.kept],
            drive=torch.from_numpy(self.shared.users.drive)[self.kept],
            carrier_hz=carrier_hz,
        )


def judge_seed(
    shared: SharedTwin, seed: int, progress: Progress, trained: bool, sizes: list[SizeTried] | None
) -> dict[str, Any]:
    """All judgements of one seed, for JSON.

    Args:
        shared: The twin.
        seed: The seed.
        progress: Is told the stage and the share of it that is done.
        trained: Whether networks are trained.
        sizes: Sizes that were chosen on an earlier seed; None chooses them here, at the lowest carrier.

    Raises:
        SiteTwinError: The target reaches too few users.
    """
    study, stage = shared.study, f"judge, seed {seed}"
    worlds = _simulated(shared, seed, progress) if shared.drive is None else _measured(shared, shared.drive)
    kept = worlds.kept
    progress(stage, 0.0)
    lowest = min(study.link.carriers_hz)
    chosen: dict[str, ChannelCorrector] = {}
    if sizes is None:
        sizes, chosen = choose_sizes(study, worlds.channels(seed, lowest), seed)
    shown = some_users(len(kept), seed, study.evaluation.ray_users)
    where = shared.users.positions[kept[shown].numpy()]
    ways = trace_ways(study, shared.twin, shared.station, where, lambda x: progress(stage, 0.1 + 0.2 * x))
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    shares: dict[str, float] = {}
    silent_twin = 0
    for number, carrier in enumerate(study.link.carriers_hz):
        channels = worlds.channels(seed, carrier)
        silent_twin = int((~reached(channels.twin)).sum())
        rows += _physics_rows(worlds, channels, ways, shown)
        judged, said = judge_materials(study, shared.twin, worlds.sounded, channels, kept, seed)
        rows += [_row("materials", carrier, "blocks", name, "", "mmse", one) for name, one in judged.items()]
        notes += said
        statistics, shares[f"{carrier / 1e6:g} MHz"] = _statistics_rows(worlds, channels, carrier, seed)
        rows += statistics
        if trained:
            unet, mlp = chosen_unet(sizes), chosen_mlp(sizes)
            for split in study.evaluation.splits:
                first = split == CHOSEN_ON and carrier == lowest
                taps, known = study.evaluation.tap_samples and first, chosen if first else {}
                for method, one in judge_networks(study, channels, split, seed, unet, mlp, taps, known).items():
                    rows.append(_row("networks", carrier, split, method, "", "mmse", one))
        progress(stage, 0.3 + 0.7 * (number + 1) / len(worlds.truths))
    world = {
        "seed": seed,
        "site_hash": shared.site.hash if worlds.target is None else worlds.target.site.hash,
        "differences": [] if worlds.target is None else [dict(one) for one in worlds.target.differences],
        "users": len(kept),
        "without_path": len(shared.users.positions) - len(kept),
        "twin_without_path": silent_twin,
        "outside_taps": worlds.outside_taps,
        "generic_share": shares,
    }
    return {"world": world, "sizes": [as_document(one) for one in sizes], "rows": rows, "notes": notes}


def _simulated(shared: SharedTwin, seed: int, progress: Progress) -> SeedWorlds:
    """Trace the target, and find the users whom it reaches."""
    study = shared.study
    target = target_world(study, shared.site, shared.station, shared.users, seed, progress)
    truths = {}
    for carrier in study.link.carriers_hz:  # the antennas' errors are those of the hardware, equal at all carriers
        errors = antenna_errors(study, np.random.default_rng([seed, 16]))
        truths[carrier] = taps_of(study, target, carrier) * errors[None, :, None]
    there = np.logical_and.reduce([reached(truth) for truth in truths.values()])
    if target.blocked is not None:
        there &= ~target.blocked
    kept = torch.from_numpy(there.nonzero()[0])
    if len(kept) < 40:
        raise SiteTwinError(f"the target of seed {seed} reaches {len(kept)} users only; move the drives or the station")
    outside = outside_taps(study, target, max(study.link.carriers_hz))
    kept_truths = {carrier: truth[kept] for carrier, truth in truths.items()}
    return SeedWorlds(shared, target, kept, kept_truths, outside, SoundedTarget(study, target, seed))


def _measured(shared: SharedTwin, drive: DriveTest) -> SeedWorlds:
    """The measured channels, of all users."""
    carrier = shared.study.link.carriers_hz[0]
    heard = taps_of(shared.study, shared.twin, carrier)
    if not reached(heard).any():
        raise SiteTwinError(
            f"no path of the twin reaches any of the {len(heard)} users of '{drive.name}'; check the site and where "
            "the base station stands"
        )
    link = shared.study.link
    taps, outside = drive.taps(link, heard)
    sounded = SoundedFile(link, shared.twin, drive.timed(link, heard))
    return SeedWorlds(shared, None, torch.arange(len(taps)), {carrier: taps}, outside, sounded)


def _physics_rows(
    worlds: SeedWorlds, channels: SeedChannels, ways: list[TracedTwin], shown: torch.Tensor
) -> Iterator[dict[str, Any]]:
    study, twin, carrier = worlds.shared.study, worlds.shared.twin, channels.carrier_hz
    for (method, engine, name), one in judge_ways(study, ways, twin, channels.truth[shown], carrier).items():
        yield _row("rays", carrier, "all", method, engine, name, one)


def _statistics_rows(
    worlds: SeedWorlds, channels: SeedChannels, carrier: float, seed: int
) -> tuple[list[dict[str, Any]], float]:
    shared = worlds.shared
    users = StatisticsUsers(channels.truth, channels.measured, channels.twin, worlds.kept.numpy())
    found, share = judge_statistics(shared.study, shared.twin, worlds.target, users, channels.positions, carrier, seed)
    return [_row("statistics", carrier, "blocks", method, "", "mrt", one) for method, one in found.items()], share


def _row(
    figure: str, carrier: float, split: str, method: str, engine: str, precoder: str, found: Judgement
) -> dict[str, Any]:
    scores = {} if found.scores is None else found.scores.to_dict()
    return {
        "about": [figure, carrier, split, method, engine, precoder],
        "ber": found.ber,
        "loss_db": found.loss_db,
        "user_loss_db": found.user_loss_db,
        "silent": found.silent,
        "users": found.users,
        **{name: _finite(scores[name]) for name in NMSES if name in scores},
    }


def _finite(value: float) -> float:
    """An NMSE of exactly nothing, which JSON has no number for, is kept as -300 dB."""
    return max(value, -300.0)
