"""Figs. 4 and 5: what the number of rays, the mechanisms and the materials of a twin are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn import ChannelPairs, common_gain
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.rays.referee.sionna import ReferenceSettings, trace_reference
from sitetwin.studies.precoding.calibrated import Sounded, calibrated_taps
from sitetwin.studies.precoding.channels import path_taps, taps_of
from sitetwin.studies.precoding.config import PrecodingStudy
from sitetwin.studies.precoding.judge import Judge, Judgement
from sitetwin.studies.precoding.networks import SeedChannels, split_users
from sitetwin.studies.precoding.worlds import OTHER_ENGINE_PATHS, World, settings_of, with_fields

ShareDone = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class TracedTwin:
    """The twin's paths to some users, traced in one way.

    Attributes:
        label: What was traced, for tables.
        engine: "Sionna RT" or "sitetwin".
        rays: Rays of the other engine, or None.
        paths: Paths to the users.
    """

    label: str
    engine: str
    rays: int | None
    paths: Paths


def trace_ways(
    study: PrecodingStudy, twin: World, station: np.ndarray, positions: np.ndarray, done: ShareDone
) -> list[TracedTwin]:
    """Trace the twin with few and many rays of the other engine, and with more and more mechanisms of ours.

    Args:
        study: The configuration.
        twin: The twin.
        station: (3,) base station, metres.
        positions: (U, 3) users, metres.
        done: Is told the share that is done.
    """
    found = []
    full = settings_of(study)
    ways: list[tuple[str, TraceSettings]] = [("line of sight", TraceSettings(max_depth=0, seed=full.seed))]
    for depth in sorted({1, study.max_depth}):
        many = "reflection" if depth == 1 else "reflections"
        ways.append((f"{depth} {many}", TraceSettings(max_depth=depth, seed=full.seed)))
    if study.diffraction:
        ways.append((f"{study.max_depth} reflections, diffraction", replace(full, diffuse_paths=0)))
    if study.diffuse_paths:
        ways.append(("all mechanisms", full))
    count = len(study.evaluation.rays) + len(ways)
    for number, rays in enumerate(study.evaluation.rays):
        shot = ReferenceSettings(
            max_depth=study.max_depth,
            samples=rays,
            batch=50,
            max_num_paths=OTHER_ENGINE_PATHS,
            diffraction=study.diffraction,
            seed=full.seed,
        )
        paths = with_fields(trace_reference(twin.site, station, positions, shot))
        found.append(TracedTwin(f"{rays:,} rays", "Sionna RT", rays, paths))
        done((number + 1) / count)
    for number, (label, settings) in enumerate(ways, start=len(study.evaluation.rays)):
        found.append(TracedTwin(label, "sitetwin", None, trace(twin.site, station, positions, settings)))
        done((number + 1) / count)
    return found


def judge_ways(
    study: PrecodingStudy, ways: list[TracedTwin], twin: World, truth: Tensor, carrier_hz: float
) -> dict[tuple[str, str, str], Judgement]:
    """Judge ways to trace the twin by MRT and MMSE.

    Args:
        study: The configuration.
        ways: The twin's paths to the users.
        twin: The twin.
        truth: (users, antennas, taps) complex64, true channels of the same users, none zero.
        carrier_hz: Carrier frequency, Hz.

    Returns:
        A judgement for each label, engine and precoder; the label "genie" stands for the true channel.
    """
    found = {}
    taps = [path_taps(study.link, way.paths, twin.site, twin.radio, carrier_hz, None) for way in ways]
    for name in ("mrt", "mmse"):
        judge = Judge(study.link, truth, name)
        found["genie", "", name] = judge.of_curve(judge.genie)
        for way, heard in zip(ways, taps, strict=True):
            found[way.label, way.engine, name] = _judged(judge, heard)
    return found


def _judged(judge: Judge, taps: Tensor) -> Judgement:
    """Judge channels by those of the judge, each link scaled to unit power and turned as near as one phase allows."""
    positions = torch.zeros(len(taps), 3, dtype=torch.float64)
    pairs = ChannelPairs(taps, judge.truth, positions).scaled("link").phase_aligned()
    return judge.of_channels(pairs.twin, common_gain(pairs.measured, pairs.twin), pairs.measured)


def judge_materials(
    study: PrecodingStudy, twin: World, sounded: Sounded, channels: SeedChannels, kept: Tensor, seed: int
) -> tuple[dict[str, Judgement], list[str]]:
    """Judge the choices of materials by MMSE, on one trace of the twin, and materials that are fitted.

    Args:
        study: The configuration.
        twin: The twin.
        sounded: Channels that were measured, to which materials are fitted.
        channels: Channels of the users of the seed.
        kept: (users) int64, their rows among the users of the worlds.
        seed: The seed.

    Returns:
        A judgement for "genie", each choice and the fitted materials on the test users of blocks, the training users
        being for the fit; and a note where materials cannot be fitted.
    """
    split = split_users(study, channels, "blocks", seed)
    judge = Judge(study.link, channels.truth[split.test])
    found, test = {"genie": judge.of_curve(judge.genie)}, kept[split.test]
    for name, surfaces in study.materials.items():
        site = twin.site.variant(surfaces=surfaces)
        found[name] = _judged(judge, taps_of(study, twin, channels.carrier_hz, site)[test])
    if not study.evaluation.calibration_users:
        return found, []
    try:
        fitted, said = calibrated_taps(study, twin, sounded, kept[split.train], channels.carrier_hz, seed)
    except SiteTwinError as error:
        return found, [f"materials were not fitted at {channels.carrier_hz / 1e6:g} MHz, seed {seed}: {error}"]
    found["fitted"] = _judged(judge, fitted[test])
    return found, [f"at {channels.carrier_hz / 1e6:g} MHz, seed {seed}: {note}" for note in said]


def some_users(count: int, seed: int, most: int) -> Tensor:
    """(most) int64 rows of users, ascending, drawn without replacement."""
    chosen = np.random.default_rng([seed, 15]).permutation(count)[:most]
    return torch.from_numpy(np.sort(chosen))
