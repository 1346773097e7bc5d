"""One run over the days: a codec in use while leaves fall and come back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor

from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.cell.matrices import CellMatrices
from sitetwin.learn.csi.data import prepare
from sitetwin.learn.csi.metrics import nmse, sgcs, to_db
from sitetwin.learn.upkeep.monitor import CodecMonitor, model_bytes
from sitetwin.learn.upkeep.settings import MonitorSettings
from sitetwin.studies.upkeep.config import UpkeepStudy
from sitetwin.studies.upkeep.results import LOOKED_AFTER, NEVER, ONCE
from sitetwin.studies.upkeep.world import UpkeepWorld


def fitted(world: UpkeepWorld, method: str, seed: int) -> CellCodec:
    """A codec of the twin, of users drawn by the seed."""
    study = world.study
    users = np.random.default_rng([seed, 1]).permutation(world.covered)[: study.samples]
    given = as_matrices(world.of_twin(users), world)
    return CellCodec(method, study.bits).fit(given, link=world.link, seed=seed)


def as_matrices(x: Tensor, world: UpkeepWorld) -> CellMatrices:
    """Normalised matrices, without those of users that are not reached."""
    heard = x.abs().amax(dim=(1, 2)) > 0
    return CellMatrices(prepare(x[heard], world.link.phase_reference), (), ~heard.numpy())


def split(world: UpkeepWorld, seed: int) -> tuple[Int[np.ndarray, " test"], Int[np.ndarray, " others"]]:
    """Users on whom codecs are judged, and all others, who report."""
    order = np.random.default_rng([seed, 2]).permutation(world.covered)
    return order[: world.study.test_users], order[world.study.test_users :]


def run_season(world: UpkeepWorld, codec: CellCodec, method: str, seed: int, changes: bool) -> dict[str, Any]:
    """Use a codec day by day; the content of a `SeasonRun`.

    On day 0 the base station asks for its first uploads, as an operator does who brings a codec of a twin into use.

    Args:
        world: The worlds.
        codec: The codec of the twin.
        method: Its name.
        seed: Seed of users and of the loop.
        changes: Whether leaves fall and come back and the array is turned; else all days are as day 0.
    """
    study = world.study
    test, others = split(world, seed)
    monitor = CodecMonitor(codec, _settings(study, seed))
    monitor.ask()
    rng = np.random.default_rng([seed, 3])
    days, happened = [], []
    once: CellCodec | None = None
    for day in range(study.leaves.days):
        now = float(day) if changes else 0.0
        if day % study.judged_every == 0:
            lives = {LOOKED_AFTER: monitor.codec, ONCE: once or monitor.codec, NEVER: codec}
            days.append(_judged(world, lives, test, now) | {"day": day, "version": monitor.codec.version})
        some = rng.choice(others, study.upkeep.reports_a_day, replace=len(others) < study.upkeep.reports_a_day)
        events = monitor.observe(as_matrices(world.on_day(some, now), world))
        happened += [{"day": day, **asdict(event)} for event in events]
        if once is None and any(event.what != "alarm" for event in events):  # with an update or without
            once = monitor.versions[0] if monitor.versions else codec
    return {
        "method": method,
        "seed": seed,
        "changes": changes,
        "days": days,
        "events": happened,
        "counts": monitor.counts,
        "report_bits": monitor.counts["report_bits"] / monitor.counts["reports"],
        "model_bytes": model_bytes(monitor.codec),
    }


def _settings(study: UpkeepStudy, seed: int) -> MonitorSettings:
    chosen = study.upkeep
    return MonitorSettings(
        reports_between_false_alarms=chosen.reports_between_false_alarms,
        keep=chosen.keep,
        check=chosen.check,
        rounds=chosen.rounds,
        seed=seed,
    )


def _judged(world: UpkeepWorld, lives: dict[str, CellCodec], test: np.ndarray, day: float) -> dict[str, Any]:
    """How each codec serves the test users on one day."""
    x = as_matrices(world.on_day(test, day), world).csi.x
    found = {life: codec.coder.recovered(x) for life, codec in lives.items()}
    crowns = ~world.target.vegetation.is_trunk
    leafy = world.days.in_leaf(day)[crowns]
    return {
        "turned": day >= world.study.turn.day,
        "in_leaf": float(leafy.mean()) if len(leafy) else 0.0,
        "nmse_db": {life: to_db(float(nmse(x, one).mean())) for life, one in found.items()},
        "sgcs": {life: float(sgcs(x, one, world.study.link.subcarriers).mean()) for life, one in found.items()},
    }
