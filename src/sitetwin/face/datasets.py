"""Channels as a PyTorch data set: computed while training runs, shared among workers and ranks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from sitetwin.channel import ChannelRequest
from sitetwin.errors import SiteTwinError
from sitetwin.face.channels import synthesise
from sitetwin.face.requests import ChannelChoices, channel_request
from sitetwin.face.sources import PathSource, path_source
from sitetwin.rays import Paths
from sitetwin.site import Site
from sitetwin.store import TileStore


class ChannelDataset(IterableDataset[tuple[int, Tensor]]):
    """Pairs of user and channel, each user once in a pass, for `torch.utils.data.DataLoader`.

    Users are shared among the loader's workers, and among ranks where `torch.distributed` runs: each user goes to one
    of them. If there is a seed, the order is drawn anew from it for each pass, the same in all workers and ranks.

    Args:
        source: Source of the paths.
        site: Site of the paths.
        request: Request for the channels.
        seed: Seed of the order; None keeps the users' order.
    """

    def __init__(self, source: PathSource, site: Site, request: ChannelRequest, seed: int | None = None) -> None:
        super().__init__()
        self._source, self._site, self._request, self._seed = source, site, request, seed
        self._users = source.tiles[-1][1]
        request.check_users(self._users)
        self._started = 0  # passes that this process began
        # Shared memory: number and mark of the last pass in one word, which processes read and write as a whole.
        self._last_pass = torch.full((1,), -1 << 32, dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        """Return the number of users of all workers and ranks together."""
        return self._users

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the index of a user and its complex64 channel, (rx_antenna, tx_antenna, subcarrier) and the like."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        rank, ranks = _rank()
        order = self._order(self._number_of_pass())
        own = order[rank * workers + worker :: ranks * workers]
        size = self._request.batch_users
        for first in range(0, len(own), size):
            some = own[first : first + size]
            for user, channel in zip(some, synthesise(self._source, self._site, self._request, some), strict=True):
                yield int(user), torch.from_numpy(channel)

    def _number_of_pass(self) -> int:
        """Number of the pass that begins, the same in all workers of a loader.

        The first worker of a pass counts on from the last one and leaves a mark by which the others know the pass. A
        count of each worker's own would drift apart where a loader is left early or another has more workers.
        """
        info, last = get_worker_info(), int(self._last_pass)
        mark = 0
        if info is not None:  # the loader draws the seed below anew for each pass, unless it keeps its workers
            mark = crc32(f"{info.seed - info.id} {self._started}".encode())
            self._started += 1
            if mark == last & 0xFFFFFFFF:
                return last >> 32
        number = (last >> 32) + 1
        self._last_pass[0] = number << 32 | mark
        return number

    def _order(self, number: int) -> np.ndarray:
        """Users in the order of a pass; tile by tile, so that a store on disk is read once."""
        users = np.arange(self._users)
        if self._seed is None:
            return users
        rng = np.random.default_rng([self._seed, number])
        tiles = [rng.permutation(users[low:high]) for low, high in self._source.tiles]
        return np.concatenate([tiles[place] for place in rng.permutation(len(tiles))])


def _rank() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def torch_dataset(
    paths: Paths | TileStore | str | Path,
    site: Site,
    request: ChannelRequest | None = None,
    *,
    seed: int | None = None,
    **choices: Unpack[ChannelChoices],
) -> ChannelDataset:
    """Make an `IterableDataset` of channels, which are computed while training runs, never all in memory at once.

    Args:
        paths: Paths from `trace`, or the folder that `TraceJob.run` wrote.
        site: The site in which the paths were traced, or a variant with the same geometry.
        request: A request for channels; or give `choices` instead.
        seed: Seed of the order of the users, which differs in each pass; None keeps their order.
        **choices: As for `sitetwin.channels`.

    Raises:
        SiteTwinError: As for `sitetwin.channels`; or the request is of gains, which belong to paths and not to users.
    """
    wanted = channel_request(request, **choices)
    if wanted.quantity == "gains":
        raise SiteTwinError("gains are numbers of paths, not of users; ask for cfr, cir or delay-angle")
    if seed is not None and seed < 0:
        raise SiteTwinError(f"seed is {seed}; a seed is 0 or more")
    if not isinstance(paths, (Paths, TileStore, str, Path)):
        raise SiteTwinError(
            f"paths were given as a {type(paths).__name__}; give Paths of one transmitter, or the folder of their store"
        )
    return ChannelDataset(path_source(paths, site), site, wanted, seed)
