"""The study of codecs over time: a codec of a twin in use, while leaves fall and users move."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.statistics import seed_interval
from sitetwin.learn.upkeep.ageing import LinearPrediction
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.records import Estimate, checked_record
from sitetwin.studies.upkeep.config import UpkeepStudy
from sitetwin.studies.upkeep.motion import HELD, KNOWN, PREDICTED, run_motion
from sitetwin.studies.upkeep.results import SCHEMA, UpkeepResults
from sitetwin.studies.upkeep.season import fitted, run_season
from sitetwin.studies.upkeep.world import UpkeepWorld, build_upkeep_world, check_upkeep_cell

_LIBRARIES = ("numpy", "torch", "mitsuba", "drjit")
_ROOMS = (
    "backend.py",
    "compiled.py",
    "site",
    "rays",
    "channel",
    "store",
    "learn",
    "studies/csi/config.py",
    "studies/upkeep",
)  # whose code decides the results
_NOTES = (
    "All worlds are simulated; the target stands for reality. It has trees that attenuate and scatter, walls and roofs "
    "that are off, and a turned array; the twin knows none of them.",
    "Each tree drops its leaves on a day of its own. Bare crowns keep the loss and the scattering of branches.",
    "Late in the run the array is turned: a change that a codec of a site cannot bear.",
    "Users report once a day, drawn anew, so that reports are exchangeable, as the test for changes asks for.",
    "An upload is counted with 16 bits a real number, a download with the bytes that a user's encoder holds.",
    "Users that move are traced at every moment. Norm and common phase are not fed back; errors count after the best "
    "common phase and the right norm. A bound by known Doppler shifts holds directions, amplitudes and paths fixed.",
)


def run_upkeep_study(study: UpkeepStudy, folder: str | Path, progress: Progress = silent) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        folder: Folder for configuration.json, results.json, run.json and the finished parts.
        progress: Is told the stage and the share of it that is done.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study or one that other code began, it cannot be written, or the cell is
            impossible.
    """
    folder, started = Path(folder), time.perf_counter()
    check_upkeep_cell(study)  # before the claim: a cell that was refused may be mended and tried again
    key = claim_folder(folder, study, _ROOMS)
    world = build_upkeep_world(study, progress)
    traced = time.perf_counter() - started
    wanted = [True, False] if study.unchanging_too else [True]
    runs = [(method, seed, change) for method in study.methods for seed in study.seeds for change in wanted]

    @cache
    def codec(method: str, seed: int) -> CellCodec:
        return fitted(world, method, seed)

    seasons = []
    for number, (method, seed, change) in enumerate(runs):
        progress("days", number / len(runs))
        part = folder / "parts" / f"season-{method}-{seed}-{'changes' if change else 'summer'}.json"
        found = read_part(part, key)
        if found is None:
            found = run_season(world, codec(method, seed), method, seed, change)
            write_part(part, key, found)
        seasons.append(found)
    progress("days", 1.0)
    rows: list[dict[str, Any]] = []
    for number, seed in enumerate(study.seeds):
        part = folder / "parts" / f"motion-{seed}.json"
        found = read_part(part, key)
        if found is None:
            codecs = {method: codec(method, seed) for method in study.methods}
            found = run_motion(world, codecs, seed, _part_of(progress, number, len(study.seeds)))
            write_part(part, key, found)
        rows += found
    document = _document(study, world, seasons, rows)
    results = checked_record(UpkeepResults, document)
    seconds = {"worlds": traced, "all": time.perf_counter() - started}
    return write_results(folder, results, {"seconds": seconds})


def _part_of(progress: Progress, number: int, count: int) -> Callable[[float], None]:
    return lambda x: progress("users that move", (number + x) / count)


def _document(
    study: UpkeepStudy, world: UpkeepWorld, seasons: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    motion = study.motion
    bins = study.link.taps * study.link.antennas
    return {
        "schema": SCHEMA,
        "title": f"A codec over time: {study.cell.scene}",
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": study.hash(),
        "versions": versions(*_LIBRARIES),
        "site_hash": world.target.hash,
        "users": {
            "grid": len(world.users),
            "with_a_path": len(world.covered),
            "test": study.test_users,
            "fitted": min(study.samples, len(world.covered)),
            "trees": int((~world.target.vegetation.is_trunk).sum()),
        },
        "seasons": seasons,
        "ageing": _ageing(study, rows),
        "motion_costs": {
            "report_bits_per_second": study.bits / motion.period_s,
            "prediction_multiply_adds_per_second": LinearPrediction(motion.pairs).multiply_adds(bins) / motion.period_s,
        },
        "notes": [*_NOTES, f"Loss in crowns, with and without leaves: model '{study.leaves.model}'."],
    }


def _ageing(study: UpkeepStudy, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of all seeds as estimates."""
    motion, found = study.motion, []
    for method in ("", *study.methods):
        for speed in motion.speeds:
            for used in (HELD, PREDICTED, KNOWN):
                own = [r for r in rows if (r["method"], r["speed"], r["used"]) == (method, speed, used)]
                found.append(
                    {
                        "method": method,
                        "speed": speed,
                        "used": used,
                        "delay_ms": [1e3 * step * motion.period_s for step in range(motion.steps + 1)],
                        **{
                            name: [_estimate([r[name][step] for r in own]) for step in range(motion.steps + 1)]
                            for name in ("nmse_db", "sgcs")
                        },
                    }
                )
    return found


def _estimate(values: list[float]) -> dict[str, Any]:
    interval = seed_interval(values)
    told = Estimate(
        mean=interval.estimate, low=interval.low, high=interval.high, n=len(values), values=list(values), kind="seeds"
    )
    return told.model_dump(mode="json")
