"""Users that walk and drive: how their reports age, held or predicted, and what perfect knowledge would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from sitetwin.channel import advance
from sitetwin.errors import SiteTwinError
from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.csi.data import prepare
from sitetwin.learn.csi.metrics import to_db
from sitetwin.learn.upkeep.ageing import LinearPrediction, aged, in_one_phase
from sitetwin.rays import Paths, length_rates
from sitetwin.site import inside_building
from sitetwin.studies.upkeep.world import UpkeepWorld

Kept = dict[str, Any]

_LEAST = 1e-12  # NMSE, below what single precision tells

HELD, PREDICTED, KNOWN = "held", "predicted", "known Dopplers"


def run_motion(
    world: UpkeepWorld, codecs: dict[str, CellCodec], seed: int, progress: Callable[[float], None]
) -> list[Kept]:
    """Let users move, and judge what the base station uses; errors by codec, speed, use and delay.

    Channels are traced at every moment, so that paths bend, begin and end as they do.

    Args:
        world: The worlds; the day is in summer.
        codecs: Codecs by name; with "" reports lose nothing.
        seed: Seed of the users and their directions.
        progress: Is told the share that is done.

    Returns:
        For each codec, speed and use the NMSE in dB and the cosine similarity at each delay.
    """
    rows = []
    motion = world.study.motion
    for number, speed in enumerate(motion.speeds):
        places, velocities = tracks(world, speed, seed)
        progress(number / len(motion.speeds))
        paths = world.trace(places.reshape(-1, 3))
        users, moments = places.shape[:2]
        h = world.of_paths(paths, world.gains(paths, 0.0), 0.0).unflatten(0, (users, moments))
        heard = (h.abs().amax(dim=(2, 3)) > 0).all(dim=1).numpy()
        if not heard.any():
            raise SiteTwinError("no user that moves has a path at all moments; use more users, or a larger area")
        ahead = _ahead(world, paths, velocities, users)
        known = [one[torch.from_numpy(heard)] for one in ahead]
        for name, codec in ({"": None} | codecs).items():
            rows += [{"method": name, "speed": speed, **row} for row in _aged_rows(world, codec, h[heard], known)]
    return rows


def tracks(
    world: UpkeepWorld, speed: float, seed: int
) -> tuple[Float[np.ndarray, "users moments 3"], Float[np.ndarray, "users 3"]]:
    """Places of users at each moment, and their velocities: straight on, outdoors all the way.

    Args:
        world: The worlds.
        speed: Metres per second.
        seed: Seed of users and directions.

    Raises:
        SiteTwinError: Too few users can go on outdoors.
    """
    motion = world.study.motion
    rng = np.random.default_rng([seed, 4])
    order = rng.permutation(world.covered)
    angle = rng.uniform(0, 2 * np.pi, len(order))
    heading = np.stack([np.cos(angle), np.sin(angle), np.zeros(len(angle))], axis=1)
    seconds = motion.period_s * (np.arange(motion.moments) - motion.pairs - motion.steps + 1)
    kept: list[np.ndarray] = []
    for begin in range(0, len(order), motion.users):
        rows = np.arange(begin, min(begin + motion.users, len(order)))
        places = world.users[order[rows], None] + speed * heading[rows, None] * seconds[:, None]
        free = ~inside_building(world.target, places.reshape(-1, 3)).reshape(places.shape[:2]).any(axis=1)
        kept.append(rows[free])
        if sum(map(len, kept)) >= motion.users:
            break
    rows = np.concatenate(kept)[: motion.users]
    if len(rows) < motion.users:
        raise SiteTwinError(
            f"{len(rows)} users can go {speed:g} m/s straight on outdoors, and {motion.users} are asked for; ask for "
            "fewer"
        )
    velocities = speed * heading[rows]
    return world.users[order[rows], None] + velocities[:, None] * seconds[:, None], velocities


def _ahead(
    world: UpkeepWorld, paths: Paths, velocities: np.ndarray, users: int
) -> list[Complex[Tensor, "users taps beams"]]:
    """The channels that each user expects at each delay, if it knows its paths and their Doppler shifts."""
    motion = world.study.motion
    now = np.arange(users) * motion.moments + motion.pairs + motion.steps - 1
    here = paths.select_users(now)
    gains = world.gains(here, 0.0)
    rates = length_rates(here, velocities)
    found = []
    for step in range(motion.steps + 1):
        found.append(world.of_paths(*advance(here, gains, rates, step * motion.period_s), 0.0))
    return found


def _aged_rows(world: UpkeepWorld, codec: CellCodec | None, h: Tensor, known: list[Tensor]) -> list[Kept]:
    """Errors of one codec at one speed."""
    motion, link = world.study.motion, world.study.link
    ready = motion.pairs + motion.steps  # reports that are there
    reports = in_one_phase(_reported(world, codec, h[:, :ready].flatten(0, 1)).unflatten(0, (len(h), ready)))
    predict = LinearPrediction(motion.pairs)
    rows: dict[str, Kept] = {used: {"used": used, "nmse_db": [], "sgcs": []} for used in (HELD, PREDICTED, KNOWN)}
    for step in range(motion.steps + 1):
        truth = h[:, ready - 1 + step]
        for used, found in (
            (HELD, reports[:, -1]),
            (PREDICTED, predict(reports, step)),
            (KNOWN, _reported(world, codec, known[step])),
        ):
            score = aged(truth, found, link.subcarriers)
            rows[used]["nmse_db"].append(to_db(max(float(score.nmse.mean()), _LEAST)))
            rows[used]["sgcs"].append(float(score.sgcs.mean()))
    return list(rows.values())


def _reported(world: UpkeepWorld, codec: CellCodec | None, h: Tensor) -> Tensor:
    """What reports say of channels."""
    x = prepare(h, world.link.phase_reference).x
    return x if codec is None else codec.coder.recovered(x)
