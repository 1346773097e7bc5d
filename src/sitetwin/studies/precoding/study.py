"""The precoding study: physics, materials and a network on top of a channel twin, judged by bit error rate.

After M. Haider and others, "Digital twin enabled site specific channel precoding: over the air CIR inference", arXiv
2501.16504. Their measured channels are not public: target worlds stand for them here, which differ from the twin in
listed ways. All results are synthetic.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, itu_material
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.precoding.channels import antenna_errors, measured, outside_taps, taps_of
from sitetwin.studies.precoding.config import PrecodingStudy
from sitetwin.studies.precoding.judge import TARGET_BER, Judgement
from sitetwin.studies.precoding.networks import SeedChannels, judge_networks, reached
from sitetwin.studies.precoding.physics import TracedTwin, judge_materials, judge_ways, some_users, trace_ways
from sitetwin.studies.precoding.results import PrecodingResults, of_seeds
from sitetwin.studies.precoding.statistics import judge_statistics
from sitetwin.studies.precoding.worlds import Users, World, open_place, target_world, twin_world
from sitetwin.studies.records import checked_record

_LIBRARIES = ("numpy", "scipy", "torch", "mitsuba", "drjit", "sionna-rt")
_ROOMS = ("backend.py", "site", "rays", "channel", "link", "learn", "studies/precoding")
_NMSES = ("nmse_raw_db", "nmse_gain_db", "nmse_phase_db", "efficiency")


def run_precoding_study(study: PrecodingStudy, folder: str | Path, progress: Progress = silent) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        folder: Folder for configuration.json, results.json, run.json and the finished seeds.
        progress: Is told the stage and the share of it that is done.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study or one that other code began, it cannot be written, or a world is
            impossible.
    """
    folder, started = Path(folder), time.perf_counter()
    site, station, users = open_place(study)  # before the claim: a place that was refused may be mended and tried again
    key = claim_folder(folder, study, _ROOMS)
    parts = [read_part(_part(folder, seed), f"{key} {seed}") for seed in study.evaluation.seeds]
    if any(part is None for part in parts):
        twin = twin_world(study, site, station, users, progress)
        with _one_thread():
            for place, seed in enumerate(study.evaluation.seeds):
                if parts[place] is None:
                    parts[place] = _seed(study, site, station, users, twin, seed, progress)
                    write_part(_part(folder, seed), f"{key} {seed}", parts[place])
    document = _document(study, site, users, [part for part in parts if part is not None])
    checked_record(PrecodingResults, document)
    return write_results(folder, document, {"seconds": time.perf_counter() - started})


@contextmanager
def _one_thread() -> Iterator[None]:
    """Train on one thread: on several, sums come in another order, and networks differ from machine to machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _part(folder: Path, seed: int) -> Path:
    return folder / "parts" / f"seed-{seed}.json"


def _seed(
    study: PrecodingStudy,
    site: Site,
    station: np.ndarray,
    users: Users,
    twin: World,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """All judgements of one seed."""
    target = target_world(study, site, station, users, seed, progress)
    stage = f"judge, seed {seed}"
    progress(stage, 0.0)
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
    shown = kept[some_users(len(kept), seed, study.evaluation.ray_users)]
    ways = trace_ways(study, twin, station, users.positions[shown.numpy()], lambda x: progress(stage, 0.4 * x))
    rows: list[dict[str, Any]] = []
    silent_twin = 0
    for number, (carrier, truth) in enumerate(truths.items()):
        heard = taps_of(study, twin, carrier)
        silent_twin = int((~reached(heard[kept])).sum())
        channels = SeedChannels(
            truth=truth[kept],
            measured=measured(study, truth[kept], np.random.default_rng([seed, 17, number])),
            twin=heard[kept],
            positions=torch.from_numpy(users.positions)[kept],
            drive=torch.from_numpy(users.drive)[kept],
        )
        rows += _physics_rows(study, twin, ways, truth, kept, shown, carrier)
        statistics = judge_statistics(
            study, twin, target, truth[kept], heard[kept], kept, carrier, np.random.default_rng([seed, 18, number])
        )
        rows += [_row("statistics", carrier, "all", m, "", "mrt", one, len(kept)) for m, one in statistics.items()]
        for split in study.evaluation.splits:
            for method, one in judge_networks(study, channels, split, seed).items():
                rows.append(_row("networks", carrier, split, method, "", "mmse", one, len(kept)))
        progress(stage, 0.4 + 0.6 * (number + 1) / len(truths))
    world = {
        "seed": seed,
        "site_hash": target.site.hash,
        "differences": [dict(one) for one in target.differences],
        "users": len(kept),
        "without_path": len(users.positions) - len(kept),
        "twin_without_path": silent_twin,
        "outside_taps": outside_taps(study, target, max(study.link.carriers_hz)),
    }
    return {"world": world, "rows": rows}


def _physics_rows(
    study: PrecodingStudy,
    twin: World,
    ways: list[TracedTwin],
    truth: torch.Tensor,
    kept: torch.Tensor,
    shown: torch.Tensor,
    carrier: float,
) -> Iterator[dict[str, Any]]:
    for (method, engine, name), one in judge_ways(study, ways, twin, truth[shown], carrier).items():
        yield _row("rays", carrier, "all", method, engine, name, one, len(shown))
    for method, one in judge_materials(study, twin, truth[kept], kept, carrier).items():
        yield _row("materials", carrier, "all", method, "", "mmse", one, len(kept))


def _row(
    figure: str, carrier: float, split: str, method: str, engine: str, precoder: str, found: Judgement, users: int
) -> dict[str, Any]:
    scores = {} if found.scores is None else found.scores.to_dict()
    return {
        "about": [figure, carrier, split, method, engine, precoder],
        "ber": found.ber,
        "loss_db": found.loss_db,
        "silent": found.silent,
        "users": scores.get("users", users),
        **{name: _finite(scores[name]) for name in _NMSES if name in scores},
    }


def _finite(value: float) -> float:
    """An NMSE of exactly nothing, which JSON has no number for, is kept as -300 dB."""
    return max(value, -300.0)


def _document(study: PrecodingStudy, site: Site, users: Users, parts: list[dict[str, Any]]) -> dict[str, Any]:
    first, last, step = study.link.snr_db
    return {
        "schema_version": "sitetwin.precoding-results/1",
        "title": f"Precoding with a channel twin of {site.name}",
        "profile": study.profile,
        "synthetic": True,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": study.hash(),
        "seeds": list(study.evaluation.seeds),
        "versions": versions(*_LIBRARIES),
        "snr_db": np.arange(first, last + step / 2, step).tolist(),
        "target_ber": TARGET_BER,
        "site_hash": site.hash,
        "indoors": users.indoors,
        "notes": _notes(study, site),
        "worlds": [part["world"] for part in parts],
        "rows": _over_seeds([row for part in parts for row in part["rows"]]),
    }


def _over_seeds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for one in rows:
        groups[tuple(one["about"])].append(one)
    found = []
    for (figure, carrier, split, method, engine, precoder), members in groups.items():
        row: dict[str, Any] = {
            "figure": figure,
            "carrier_hz": carrier,
            "split": split,
            "method": method,
            "engine": engine,
            "precoder": precoder,
            "ber": np.mean([one["ber"] for one in members], axis=0).tolist(),
            "loss_db": of_seeds([one["loss_db"] for one in members]).model_dump(mode="json"),
            "silent_users": float(np.mean([one["silent"] for one in members])),
            "users": float(np.mean([one["users"] for one in members])),
        }
        for name in _NMSES:
            if name in members[0]:
                row[name] = of_seeds([one[name] for one in members]).model_dump(mode="json")
        found.append(row)
    return found


def _notes(study: PrecodingStudy, site: Site) -> list[str]:
    """What the computation assumed, a sentence each."""
    names = {m.itu for m in site.materials if m.itu} | {
        name for choice in study.materials.values() for name in asdict(choice).values()
    }
    notes = ["each element sees plane waves, and a path bends at one edge only"]
    for carrier in study.link.carriers_hz:
        outside = sorted(
            name for name in names if not any(known.contains(carrier / 1e9) for known in itu_material(name).ranges)
        )
        if outside:
            notes.append(
                f"at {carrier / 1e6:g} MHz ITU-R P.2040-4 gives no constants of {', '.join(outside)}; those at the "
                "nearest frequency that it gives stand for them"
            )
    return notes
