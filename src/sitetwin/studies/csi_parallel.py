"""Seeds of the CSI study side by side, one thread each: small models train faster so than one after the other."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import torch

from sitetwin.studies.csi_config import CsiStudy
from sitetwin.studies.csi_seed import SeedData, SeedResult, SeedRun

Tell = Callable[[int, float], None]
"""Told a seed and the share of its work that is done, 0..1."""


def run_seeds(
    study: CsiStudy, seeds: Iterator[tuple[int, Callable[[], SeedData]]], folder: Path, workers: int, tell: Tell
) -> list[SeedResult]:
    """Run seeds in worker processes; a seed whose result is in the folder already is not run again.

    Each worker uses one thread, so that the results do not depend on the number of cores.

    Args:
        study: The configuration.
        seeds: Seed and a function that makes its data; called only for seeds that are to run, and one ahead of need.
        folder: Of the study; finished seeds are kept under ``seeds/``, trained networks under ``models/``.
        workers: Processes.
        tell: Progress.

    Returns:
        The results in the order of the seeds.
    """
    (folder / "seeds").mkdir(parents=True, exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    context = multiprocessing.get_context("spawn")
    results: dict[int, SeedResult] = {}
    waiting: dict[int, Future[SeedResult]] = {}
    order: list[int] = []
    with context.Manager() as manager, ProcessPoolExecutor(workers, mp_context=context) as pool:
        news = manager.Queue()

        def listen(most: int) -> None:
            """Pass news on until no more than `most` seeds are under way."""
            while len(waiting) > most:
                with contextlib.suppress(queue.Empty):
                    tell(*news.get(timeout=0.2))
                for seed in [s for s, future in waiting.items() if future.done()]:
                    results[seed] = waiting.pop(seed).result()
                    tell(seed, 1.0)

        for seed, make in seeds:
            order.append(seed)
            kept = _load(folder, seed)
            if kept is not None:
                results[seed] = kept
                tell(seed, 1.0)
                continue
            listen(workers)
            waiting[seed] = pool.submit(_work, study, make(), folder, news)
        listen(0)
    return [results[seed] for seed in order]


def _work(study: CsiStudy, data: SeedData, folder: Path, news: queue.Queue[tuple[int, float]]) -> SeedResult:
    torch.set_num_threads(1)
    result = SeedRun(study, data, folder / "models", lambda share: news.put((data.seed, share))).run()
    path = _path(folder, data.seed)
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(asdict(result)), encoding="utf-8")
    beside.replace(path)
    return result


def _path(folder: Path, seed: int) -> Path:
    return folder / "seeds" / f"seed-{seed}.json"


def _load(folder: Path, seed: int) -> SeedResult | None:
    path = _path(folder, seed)
    if not path.exists():
        return None
    try:
        return SeedResult(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None  # a damaged file is made again
