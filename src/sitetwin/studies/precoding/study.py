"""The precoding study: physics, materials and a network on top of a channel twin, judged by bit error rate.

After M. Haider and others, "Digital twin enabled site specific channel precoding: over the air CIR inference", arXiv
2501.16504. Their measured channels are not public: target worlds stand for them here, which differ from the twin in
listed ways, and all results are called synthetic. Measured channels of the user take the place of the target instead.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, itu_material
from sitetwin.studies.frame import Progress, claim_folder, read_part, silent, versions, write_part, write_results
from sitetwin.studies.precoding.config import PrecodingStudy, Split
from sitetwin.studies.precoding.drive_test import DriveTest, read_drive_test, study_of_drive_test
from sitetwin.studies.precoding.judge import TARGET_BER
from sitetwin.studies.precoding.results import PrecodingResults, SizeTried, of_seeds
from sitetwin.studies.precoding.seed import NMSES, SharedTwin, judge_seed
from sitetwin.studies.precoding.worlds import Users, open_place, place_users, twin_world
from sitetwin.studies.records import checked_record

_LIBRARIES = ("numpy", "scipy", "torch", "mitsuba", "drjit", "sionna-rt")
_ROOMS = ("backend.py", "site", "rays", "channel", "link", "learn", "calibrate", "measured", "studies/precoding")


def run_precoding_study(
    study: PrecodingStudy,
    folder: str | Path,
    progress: Progress = silent,
    measured: str | Path | None = None,
    splits: Sequence[str] | None = None,
) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        folder: Folder for configuration.json, results.json, run.json and the finished seeds.
        progress: Is told the stage and the share of it that is done.
        measured: File of measured channels at the study's place. They stand in the place of the simulated target; their
            array and band are those of the link.
        splits: How users are split: "random", "blocks", "drives"; by default as the study says, and of measured
            channels into drives wherever their file tells them apart.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study or one that other code began, it cannot be written, a world is
            impossible, the measured channels cannot be those of the place, or a split is unknown or impossible.
    """
    folder, started = Path(folder), time.perf_counter()
    _check_splits(study, splits, measured is not None)
    site, station = open_place(study)  # before the claim: a place that was refused may be mended and tried again
    drive = None if measured is None else read_drive_test(Path(measured), study, site)
    users = place_users(study, site) if drive is None else drive.users
    told = ""
    if drive is not None:
        study, told = study_of_drive_test(study, drive, splits)
    elif splits is not None:
        study = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"splits": tuple(splits)})})
    key = claim_folder(folder, study, _ROOMS, None if drive is None else drive.digest)
    seeds = study.evaluation.seeds
    parts = [read_part(_part(folder, seed), f"{key} {seed}") for seed in seeds]
    if any(part is None for part in parts):
        world = SharedTwin(study, site, station, users, twin_world(study, site, station, users, progress), drive)
        with _one_thread():
            for place, seed in enumerate(seeds):
                if parts[place] is None:
                    trained = place < study.evaluation.trained_seeds
                    sizes = _sizes(parts[0]) if place else None
                    parts[place] = judge_seed(world, seed, progress, trained, sizes)
                    write_part(_part(folder, seed), f"{key} {seed}", parts[place])
    document = _document(study, site, users, [part for part in parts if part is not None], drive)
    document["notes"] += [told] if told else []
    checked_record(PrecodingResults, document)
    return write_results(folder, document, {"seconds": time.perf_counter() - started})


def _check_splits(study: PrecodingStudy, splits: Sequence[str] | None, measured: bool) -> None:
    """Refuse splits that are unknown, or into drives where simulated users have no two."""
    if splits is None:
        return
    unknown = [one for one in splits if one not in get_args(Split)]
    if unknown or not splits or len(set(splits)) < len(splits):
        raise SiteTwinError(f"splits are {', '.join(splits) or 'none'}; name {', '.join(get_args(Split))}, each once")
    if "drives" in splits and not measured and len(study.place.drives) < 2:
        raise SiteTwinError("a split into whole drives needs two or more drives; add one to the place")


def _sizes(first: dict[str, Any] | None) -> list[SizeTried]:
    """Sizes that were chosen on the first seed."""
    assert first is not None  # seeds are run in their order
    return [SizeTried.model_validate(one) for one in first["sizes"]]


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


def _document(
    study: PrecodingStudy, site: Site, users: Users, parts: list[dict[str, Any]], drive: DriveTest | None
) -> dict[str, Any]:
    first, last, step = study.link.snr_db
    return {
        "schema_version": "sitetwin.precoding-results/1",
        "title": f"Precoding with a channel twin of {site.name}",
        "profile": study.profile,
        "synthetic": drive is None,
        "measured": None if drive is None else drive.facts(),
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": study.hash(),
        "seeds": list(study.evaluation.seeds),
        "versions": versions(*_LIBRARIES),
        "snr_db": np.arange(first, last + step / 2, step).tolist(),
        "target_ber": TARGET_BER,
        "site_hash": site.hash,
        "indoors": users.indoors,
        "notes": [*_notes(study, site), *dict.fromkeys(note for part in parts for note in part["notes"])],
        "sizes": parts[0]["sizes"],
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
            "user_loss_db": of_seeds([one["user_loss_db"] for one in members]).model_dump(mode="json"),
            "silent_users": float(np.mean([one["silent"] for one in members])),
            "users": float(np.mean([one["users"] for one in members])),
        }
        for name in NMSES:
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
