"""How far the twin of a street can be trusted: a network in place of its tracer, and other assumptions about it.

Both look through the published protocol's eyes: its boresight, which is from labels, and beams steered to the measured
peaks. Neither gives a row of the list of methods.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from sitetwin.learn.beams.data import BeamSet
from sitetwin.learn.beams.emulator import BeamPowerEmulator, cut_levels_db
from sitetwin.learn.beams.metrics import power_ratio, rank_of_best
from sitetwin.site.places.placement import outdoor_mask
from sitetwin.studies.beams.bench import Bench
from sitetwin.studies.beams.published import boresight_of_paper, dft_angles, steering_angles
from sitetwin.studies.beams.twin import StreetTwin

_TRAINED, _TESTED = 3000, 1000
_STRONG_DB = -10.0  # beams within this of the best are those that a choice of beams is about
_VARIANTS: tuple[tuple[str, float], ...] = (
    ("station_height_m", 2.0),
    ("station_height_m", 6.0),
    ("user_height_m", 1.0),
    ("user_height_m", 2.0),
    ("bandwidth_hz", 20e6),
    ("bandwidth_hz", 1e9),
)


def emulation(bench: Bench, twin: StreetTwin) -> Iterator[dict[str, Any]]:
    """Error and time of a network that gives the twin's beam powers from the position, at places it has not seen."""
    boresight, azimuth = boresight_of_paper(bench), steering_angles(bench)["measured"]
    rng = np.random.default_rng(bench.study.seed)
    low, high = twin.users.min(axis=0), twin.users.max(axis=0)
    place = rng.uniform(low, high, (_TRAINED + _TESTED, 2))
    place = place[outdoor_mask(twin.site, place + twin.station)]
    known, asked = place[:-_TESTED], place[-_TESTED:]

    def traced(users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        power = twin.at(users).beam_powers(boresight, azimuth)
        lit = power.sum(axis=1) > 0
        return users[lit], power[lit]

    network = BeamPowerEmulator(boresight, twin.assumptions.antennas)
    known, power = traced(known)
    begin = time.process_time()
    network.fit(BeamSet(known, power), torch.Generator().manual_seed(bench.study.seed))
    training = time.process_time() - begin
    begin = time.process_time()
    asked, truth = traced(asked)
    tracing = time.process_time() - begin
    begin = time.process_time()
    answer = network.predict(asked)
    asking = time.process_time() - begin
    level = cut_levels_db(truth)
    error = np.abs(answer - level)[level > _STRONG_DB]
    rows, of_rows = bench.power, twin.at(bench.east_north).beam_powers(boresight, azimuth)
    yield {
        "trained": len(known),
        "tested": len(asked),
        "beams": len(bench.beams),
        "error_db": {
            "within_db_of_best": -_STRONG_DB,
            "median": _round(np.median(error)),
            "mean": _round(error.mean()),
            "p95": _round(np.percentile(error, 95)),
        },
        "same_best_beam": _round((rank_of_best(answer, truth) == 0).mean()),
        "power_of_its_beam": _round(power_ratio(answer, truth, noise=False).mean()),
        "top1_measured": {
            "tracer": _round((rank_of_best(of_rows, rows) == 0).mean()),
            "network": _round((rank_of_best(network.predict(bench.east_north), rows) == 0).mean()),
        },
        "timing": {
            "users": len(asked),
            "tracer_cpu_s": tracing,
            "network_cpu_s": asking,
            "training_cpu_s": training,
        },
    }


def sensitivity(bench: Bench, twin: StreetTwin) -> Iterator[dict[str, Any]]:
    """What other heights, bands and codebooks would change: the twin's own picks."""
    boresight, azimuth = boresight_of_paper(bench), steering_angles(bench)["measured"]
    usual = twin.at(bench.east_north)
    base = usual.beam_powers(boresight, azimuth).argmax(axis=1)
    for name, value in (("none", 0.0), *_VARIANTS):
        changed = twin.assumptions if name == "none" else twin.assumptions.model_copy(update={name: value})
        power = usual.assuming(changed).beam_powers(boresight, azimuth)
        yield {
            "assumption": name,
            "value": value,
            "other_best_beam": _round((power.argmax(axis=1) != base).mean()),
            "twin_top1": _round((rank_of_best(power, bench.power) == 0).mean()),
        }
    for name, angles in (("uniform codebook", bench.uniform), ("DFT codebook", dft_angles(bench))):
        power = usual.beam_powers(boresight, angles)
        yield {
            "assumption": name,
            "value": None,
            "other_best_beam": _round((power.argmax(axis=1) != base).mean()),
            "twin_top1": _round((rank_of_best(power, bench.power) == 0).mean()),
        }


def _round(value: float) -> float:
    return round(float(value), 4)
