"""Seeds and parts of the CSI study side by side, one thread each: small models train faster so than one by one."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import queue
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch

from sitetwin.studies.csi_config import CsiStudy
from sitetwin.studies.csi_seed import PARTS, SeedData, SeedResult, SeedRun

Tell = Callable[[float], None]
"""Told the share of all seeds' work that is done, 0..1."""

Task = tuple[int, str]
"""A seed and a part of it."""


def run_seeds(
    study: CsiStudy, make: Callable[[int], SeedData], folder: Path, workers: int, tell: Tell
) -> list[SeedResult]:
    """Run all parts of all seeds in worker processes; what the folder holds already is not run again.

    Each worker uses one thread, so that the results do not depend on the number of cores.

    Args:
        study: The configuration.
        make: Makes the data of a seed; called for seeds that are to run, one after the other.
        folder: Of the study; finished parts are kept under ``seeds/``, trained networks under ``models/``.
        workers: Processes.
        tell: Progress.

    Returns:
        The results in the order of the seeds and parts.
    """
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    tasks = [(seed, part) for seed in study.evaluation.seeds for part in PARTS]
    results = {task: kept for task in tasks if (kept := _load(folder, *task)) is not None}
    waiting: dict[Future[SeedResult], Task] = {}
    shares = {task: float(task in results) for task in tasks}
    data: SeedData | None = None
    with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        news = manager.Queue()

        def listen(most: int) -> None:
            """Pass news on until no more than `most` tasks are under way."""
            while len(waiting) > most:
                with contextlib.suppress(queue.Empty):
                    task, share = news.get(timeout=0.2)
                    shares[task] = share
                for future in [f for f in waiting if f.done()]:
                    task = waiting.pop(future)
                    results[task], shares[task] = future.result(), 1.0
                tell(sum(shares.values()) / len(shares))

        for seed, part in tasks:
            if (seed, part) in results:
                continue
            listen(workers)  # one task waits beside those that run
            if data is None or data.seed != seed:
                data = make(seed)
            waiting[pool.submit(_work, study, data, part, folder, news)] = (seed, part)
        data = None
        listen(0)
    tell(1.0)
    return [results[task] for task in tasks]


def _work(
    study: CsiStudy, data: SeedData, part: str, folder: Path, news: queue.Queue[tuple[Task, float]]
) -> SeedResult:
    torch.set_num_threads(1)
    task = (data.seed, part)

    def tell(share: float) -> None:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            raise SystemExit("the study's main process is gone")  # else a killed study would go on working unseen
        news.put((task, share))

    result = SeedRun(study, data, part, folder / "models", tell).run()
    path = _path(folder, *task)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(asdict(result)), encoding="utf-8")
    beside.replace(path)
    return result


def _path(folder: Path, seed: int, part: str) -> Path:
    return folder / "seeds" / f"seed-{seed}-{part}.json"


def _load(folder: Path, seed: int, part: str) -> SeedResult | None:
    path = _path(folder, seed, part)
    if not path.exists():
        return None
    try:
        return SeedResult(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None  # a damaged file is made again
