"""The CSI feedback study: what a digital twin is worth for CSI compression, from city to refined codec.

After S. Jiang, A. Alkhateeb, "Digital twin aided massive MIMO: CSI compression and feedback", arXiv 2402.19434.
"""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sitetwin.channel import FieldOptions, Radio, path_gains
from sitetwin.drawing.maps import roof_heights
from sitetwin.learn import to_db
from sitetwin.rays import Paths
from sitetwin.site import Ellipsoid
from sitetwin.store.files import disk_errors, write_file
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.data import (
    TargetUsers,
    delay_angle_matrices,
    kept_energy,
    source_set,
    target_set,
    target_users,
)
from sitetwin.studies.csi.kept import keep_codec, prune
from sitetwin.studies.csi.measurements import CaseData, SeedData
from sitetwin.studies.csi.parallel import run_seeds
from sitetwin.studies.csi.registry import HEADLINE_CASE
from sitetwin.studies.csi.results import checked_document
from sitetwin.studies.csi.summary import summarise
from sitetwin.studies.csi.worlds import World, Worlds, build_worlds, check_cells, describe
from sitetwin.studies.frame import Progress, claim_folder, silent, versions, write_results

_LIBRARIES = ("numpy", "torch", "mitsuba", "drjit", "sionna-rt")
_BESIDE = 20.0  # metres of roofs around the users
_ROOMS = (
    "backend.py",
    "compiled.py",
    "site",
    "rays",
    "channel",
    "store",
    "learn",
    "studies/csi",
)  # whose code decides the results


def run_csi_study(study: CsiStudy, folder: str | Path, progress: Progress = silent, workers: int | None = None) -> Path:
    """Run the study into a folder, or finish one that was interrupted there.

    Args:
        study: The configuration.
        folder: Folder for configuration.json, results.json, run.json, scene.npz and the codec of the headline.
            Checkpoints of trainings are removed when all is done.
        progress: Is told the stage and the share of it that is done.
        workers: Processes for the seeds; one per core by default.

    Returns:
        Path of results.json.

    Raises:
        SiteTwinError: The folder holds another study or one that other code began, it cannot be written, or a world is
            impossible.
    """
    folder = Path(folder)
    check_cells(study)  # before the claim: a cell that was refused may be mended and tried again
    claim_folder(folder, study, _ROOMS)
    seconds: dict[str, float] = {}
    started = time.perf_counter()
    worlds = build_worlds(study, progress)
    seconds["worlds"] = time.perf_counter() - started

    started = time.perf_counter()
    workers = workers or os.cpu_count() or 1
    results = run_seeds(
        study,
        lambda seed: _seed_data(study, worlds, seed),
        folder,
        workers,
        lambda share: progress("train and test", share),
    )
    seconds["seeds"] = time.perf_counter() - started

    shown = target_users(study, worlds, *HEADLINE_CASE, study.evaluation.seeds[0])
    with disk_errors("writing the map of the study", folder):
        _write_scene(study, worlds, shown, folder / "scene.npz")
    progress("keep the codec", 0.0)
    kept = keep_codec(study, worlds, folder)
    document = {
        "title": f"CSI feedback with a digital twin of {worlds.worlds['twin'].site.name}",
        "profile": study.profile,
        "configuration": study.model_dump(mode="json"),
        "configuration_hash": study.hash(),
        "seeds": list(study.evaluation.seeds),
        "versions": versions(*_LIBRARIES),
        "worlds": describe(worlds),
        "users": {
            **worlds.counts,
            "test": len(shown.test_users),
            "train_pool": len(shown.train_users),
            "guard": shown.guard,
            "test_by_other_engine": int(shown.by_other_engine.sum()),
        },
        "fidelity": _fidelity(study, worlds, shown),
        **summarise(study, results),
        "kept": kept,
    }
    run = {
        "seconds": {**seconds, "training": {f"{r.seed} {r.part}": r.seconds for r in results}},
        "workers": workers,
    }
    written = write_results(folder, checked_document(document), run)
    prune(folder)
    return written


def _seed_data(study: CsiStudy, worlds: Worlds, seed: int) -> SeedData:
    sets = {case: target_set(study, worlds, *case, seed) for case in study.evaluation.cases}
    return SeedData(
        seed=seed,
        twin=source_set(study, worlds.worlds["twin"], seed).x,
        wrong_site=source_set(study, worlds.worlds["wrong_site"], seed).x,
        cases={
            case: CaseData(data.train.x, data.test.x, data.users.test_block, data.users.by_other_engine)
            for case, data in sets.items()
        },
    )


def _fidelity(study: CsiStudy, worlds: Worlds, shown: TargetUsers) -> dict[str, Any]:
    """How far the twin is from the targets, on the test users of the first seed."""
    users = shown.test_users.numpy()
    both = users[worlds.worlds["twin"].covered[users]]
    twin = delay_angle_matrices(study, worlds.worlds["twin"], both).flatten(1)
    kept = kept_energy(study, worlds.worlds["target_b"], users)
    figures: dict[str, Any] = {
        "truncation_floor_db": to_db((1 - kept).mean()),
        "kept_energy_mean": float(kept.mean()),
    }
    for key in ("target_a", "target_b"):
        target = delay_angle_matrices(study, worlds.worlds[key], both).flatten(1)
        inner = (twin.conj() * target).sum(1).abs()
        similarity = inner / (twin.norm(dim=1) * target.norm(dim=1)).clamp_min(1e-30)
        ratio = 20 * torch.log10(target.norm(dim=1) / twin.norm(dim=1))
        figures[f"correlation_median_{key}"] = float(similarity.median())
        figures[f"power_difference_db_median_{key}"] = float(ratio.median())
    return figures


def path_gain_db(study: CsiStudy, world: World) -> np.ndarray:
    """(U,) float32: sum of the path powers of each user in dB, NaN without a path."""

    def sums(paths: Paths) -> np.ndarray:
        gains = path_gains(
            paths, world.traced, study.link.carrier_hz, Radio(), Radio(), FieldOptions(foliage=world.foliage)
        )
        power = gains.power[:, 0, 0].numpy()
        return np.bincount(paths.user_of_path, weights=power, minlength=paths.num_users)

    power = sums(world.paths)
    if world.other_paths is not None:
        power[world.other_users] = sums(world.other_paths)
    with np.errstate(divide="ignore"):
        return np.where(power > 0, 10 * np.log10(power), np.nan).astype(np.float32)


def _write_scene(study: CsiStudy, worlds: Worlds, shown: TargetUsers, path: Path) -> None:
    """What the map of the report shows."""
    target = worlds.worlds["target_b"]
    split = np.zeros(len(worlds.users), dtype=np.int8)
    split[shown.train_users.numpy()] = 1
    split[shown.test_users.numpy()] = 2
    crowns = [crown for crown in target.site.vegetation.volumes if isinstance(crown, Ellipsoid)]  # as they are planted
    xmin, ymin, xmax, ymax = study.site.area
    window = (xmin - _BESIDE, xmax + _BESIDE, ymin - _BESIDE, ymax + _BESIDE)
    heights, extent = roof_heights(target.site, window, step=1.0)
    content = io.BytesIO()
    np.savez_compressed(
        content,
        users_xy=worlds.users[:, :2].astype(np.float32),
        power_db=path_gain_db(study, target),
        twin_power_db=path_gain_db(study, worlds.worlds["twin"]),
        split=split,
        transmitter=np.asarray(study.site.base_station),
        trees_xy=np.array([c.centre[:2] for c in crowns]).reshape(-1, 2),
        trees_radius=np.array([c.semi_axes[0] for c in crowns]),
        height_map=heights.astype(np.float32),
        extent=np.asarray(extent),
    )
    write_file(path, content.getvalue())
