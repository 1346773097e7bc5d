"""Spreading independent chunks over threads.

PyTorch's own threads meet at a barrier after every operation. The chunks here are dozens of operations on tensors
that fit a core's cache, so each chunk runs on one thread and threads meet only at the end; PyTorch lets go of
Python's lock inside its operations.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def _forget_pools() -> None:
    """A forked child has none of its parent's threads."""
    global _lock
    _pools.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pools)


def _pool(threads: int) -> ThreadPoolExecutor:
    """Workers whose PyTorch operations use one thread each; made once.

    The number of threads is a setting of each thread, but setting it also leaves a mark on the caller's: it is put
    back here.
    """
    with _lock:
        if threads not in _pools:
            together = threading.Barrier(threads)

            def begin() -> None:
                together.wait()
                torch.set_num_threads(1)

            pool = ThreadPoolExecutor(threads, thread_name_prefix="sitetwin-channel")
            for started in [pool.submit(begin) for _ in range(threads)]:
                started.result()
            torch.set_num_threads(threads)
            _pools[threads] = pool
        return _pools[threads]


def in_parallel(work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """Results of `work` on the items, in their order, computed on as many threads as PyTorch may use.

    At most a few items per thread are under way at a time, so that memory stays bounded. Gradients are recorded as in
    the calling thread.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        for item in items:
            yield work(item)
        return
    grad = torch.is_grad_enabled()

    def task(item: A) -> B:
        with torch.set_grad_enabled(grad):
            return work(item)

    pool = _pool(threads)
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(task, item))
            if len(waiting) >= 4 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for left in waiting:
            left.cancel()
