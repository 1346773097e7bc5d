"""Shares of a pass over users for the workers of a `torch.utils.data.DataLoader` and the ranks of a training."""

from __future__ import annotations

from zlib import crc32

import torch
from torch.utils.data import get_worker_info


class Passes:
    """Counts the passes over a data set, the same in all workers of a loader."""

    def __init__(self) -> None:
        self._started = 0  # passes that this process began
        # Shared memory: number and mark of the last pass in one word, which processes read and write as a whole.
        self._last = torch.full((1,), -1 << 32, dtype=torch.int64).share_memory_()

    def next(self) -> int:
        """Number of the pass that begins, from 0.

        The first worker of a pass counts on from the last one and leaves a mark by which the others know the pass. A
        count of each worker's own would drift apart where a loader is left early or another has more workers.
        """
        info, last = get_worker_info(), int(self._last)
        mark = 0
        if info is not None:  # the loader draws the seed below anew for each pass, unless it keeps its workers
            mark = crc32(f"{info.seed - info.id} {self._started}".encode())
            self._started += 1
            if mark == last & 0xFFFFFFFF:
                return last >> 32
        number = (last >> 32) + 1
        self._last[0] = number << 32 | mark
        return number


def own_share() -> slice:
    """What this worker of this rank takes of a sequence, so that all of them together take each entry once."""
    info = get_worker_info()
    worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
    rank, ranks = rank_and_ranks()
    return slice(rank * workers + worker, None, ranks * workers)


def rank_and_ranks() -> tuple[int, int]:
    """Rank of this process and number of ranks, where `torch.distributed` runs; else 0 and 1."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
