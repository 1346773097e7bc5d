"""Channels as a PyTorch data set: computed while training runs, shared among workers and ranks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from sitetwin.channel import ChannelRequest
from sitetwin.channel.delay_shares import DelayNote
from sitetwin.channel.shards import Passes, own_share
from sitetwin.errors import SiteTwinError
from sitetwin.face.channels import synthesise
from sitetwin.face.requests import ChannelChoices, channel_request, check_no_gradients
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
        self._passes, self._note = Passes(), DelayNote()

    def __len__(self) -> int:
        """Return the number of users of all workers and ranks together."""
        return self._users

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """Yield the index of a user and its complex64 channel, (rx_antenna, tx_antenna, subcarrier) and the like."""
        own = self._order(self._passes.next())[own_share()]
        size = self._request.batch_users
        for first in range(0, len(own), size):
            some = own[first : first + size]
            channels, shares = synthesise(self._source, self._site, self._request, some)
            self._note.tell(shares, self._request)
            for user, channel in zip(some, channels, strict=True):
                yield int(user), torch.from_numpy(channel)

    def _order(self, number: int) -> np.ndarray:
        """Users in the order of a pass; tile by tile, so that a store on disk is read once."""
        users = np.arange(self._users)
        if self._seed is None:
            return users
        rng = np.random.default_rng([self._seed, number])
        tiles = [rng.permutation(users[low:high]) for low, high in self._source.tiles]
        return np.concatenate([tiles[place] for place in rng.permutation(len(tiles))])


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
    check_no_gradients(wanted)
    if seed is not None and seed < 0:
        raise SiteTwinError(f"seed is {seed}; a seed is 0 or more")
    if not isinstance(paths, (Paths, TileStore, str, Path)):
        raise SiteTwinError(
            f"paths were given as a {type(paths).__name__}; give Paths of one transmitter, or the folder of their store"
        )
    return ChannelDataset(path_source(paths, site), site, wanted, seed)
