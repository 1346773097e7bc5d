"""Seeds and parts of the CSI study side by side, one thread each: small models train faster so than one by one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing.queues import Queue
from pathlib import Path

import numpy as np
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.store.files import own_place
from sitetwin.studies.csi.config import CsiStudy
from sitetwin.studies.csi.measurements import CaseData, SeedData, SeedResult
from sitetwin.studies.csi.registry import FAMILIES, Case
from sitetwin.studies.csi.seed import SeedRun
from sitetwin.studies.frame import read_part, write_part

Tell = Callable[[float], None]
"""It is told the share of all seeds' work that is done, 0 to 1."""

Task = tuple[int, str]
"""A seed and a family of codecs, which makes a part of it."""

News = Queue  # type: ignore[type-arg]  # of (Task, float); at run time it takes no parameters
"""What workers tell of their tasks."""

PackedData = tuple[int, np.ndarray, np.ndarray, dict[Case, tuple[np.ndarray, ...]]]
"""`SeedData` as NumPy arrays."""

_CONTEXT = multiprocessing.get_context("spawn")
_news: News | None = None  # of this process, if it is a worker


def run_seeds(
    study: CsiStudy, make: Callable[[int], SeedData], folder: Path, workers: int, tell: Tell
) -> list[SeedResult]:
    """Run all parts of all seeds in worker processes; what the folder holds already is not run again.

    Each worker uses one thread, so that the results do not depend on the number of cores. Ctrl-C is this process's
    alone: workers ignore it, and are ended whenever this function raises.

    Args:
        study: The configuration.
        make: Makes the data of a seed; called for seeds that are to run, one after the other.
        folder: Folder of the study; finished parts are kept under ``seeds/``, trained networks under ``models/``.
        workers: Processes.
        tell: Progress.

    Returns:
        The results in the order of the seeds and parts.

    Raises:
        SiteTwinError: A worker was killed from outside, or the disk cannot be written.
    """
    for name in ("seeds", "models"):
        own_place(folder, name).mkdir(parents=True, exist_ok=True)
    news: News = _CONTEXT.Queue()
    tasks = [(seed, part) for seed in study.evaluation.seeds for part in FAMILIES]
    results: dict[Task, SeedResult] = {}
    waiting: dict[Future[SeedResult], Task] = {}
    shares = dict.fromkeys(tasks, 0.0)
    data: SeedData | None = None
    key = ""
    with _workers(workers, news) as pool:

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
            listen(workers)  # one task waits beside those that run
            if data is None or data.seed != seed:
                data = make(seed)
                key = data.hash()
            kept = _load(folder, seed, part, key)
            if kept is not None:
                results[seed, part], shares[seed, part] = kept, 1.0
                continue
            with _deaf_children():
                waiting[pool.submit(_work, study, _packed(data), part, folder)] = (seed, part)
        data = None
        listen(0)
    tell(1.0)
    return [results[task] for task in tasks]


@contextlib.contextmanager
def _workers(count: int, news: News) -> Iterator[ProcessPoolExecutor]:
    """Worker processes, which an exception ends at once: what they have not kept yet is lost."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, mp_context=_CONTEXT, initializer=_begin_worker, initargs=(news,))
    try:
        yield pool
    except BaseException as error:
        for worker in set(multiprocessing.active_children()) - others:
            worker.terminate()
        pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise SiteTwinError(
                "a worker of the study was killed, as systems do that run out of memory; run it again with fewer "
                "workers: finished parts are kept"
            ) from error
        raise
    pool.shutdown()


@contextlib.contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started inside inherit that Ctrl-C is held back, and so are not interrupted while they import either.

    It is held back, not ignored: here it is answered as soon as the processes have been started.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield  # the workers' initializer has to do
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker(news: News) -> None:
    """First thing in a worker: leave Ctrl-C to the study's main process, and know where news go."""
    global _news
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    news.cancel_join_thread()  # a worker whose last news nobody reads can still end
    _news = news
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the study's main process to end; a worker that outlives it would go on working unseen."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _packed(data: SeedData) -> PackedData:
    """NumPy arrays travel through a pipe; tensors would take shared memory, of which containers have little."""
    cases: dict[Case, tuple[np.ndarray, ...]] = {
        case: (d.train.numpy(), d.test.numpy(), d.block.numpy(), d.by_other_engine.numpy())
        for case, d in data.cases.items()
    }
    return data.seed, data.twin.numpy(), data.wrong_site.numpy(), cases


def _unpacked(packed: PackedData) -> SeedData:
    seed, twin, wrong_site, cases = packed
    rebuilt = {case: CaseData(*(torch.from_numpy(array) for array in arrays)) for case, arrays in cases.items()}
    return SeedData(seed, torch.from_numpy(twin), torch.from_numpy(wrong_site), rebuilt)


def _work(study: CsiStudy, packed: PackedData, part: str, folder: Path) -> SeedResult:
    torch.set_num_threads(1)
    data = _unpacked(packed)
    task = (data.seed, part)

    def tell(share: float) -> None:
        if _news is not None:
            _news.put((task, share))

    result = SeedRun(study, data, part, folder / "models", tell).run()
    write_part(_path(folder, *task), result.data, asdict(result))
    return result


def _path(folder: Path, seed: int, part: str) -> Path:
    return folder / "seeds" / f"seed-{seed}-{part}.json"


def _load(folder: Path, seed: int, part: str, data: str) -> SeedResult | None:
    """A finished part, if it was measured on the very same data."""
    kept = read_part(_path(folder, seed, part), data)
    try:
        return SeedResult(**kept)
    except TypeError:
        return None  # absent or damaged: it is made again
