"""Make channels on demand, batch by batch, so that memory holds only the channels of one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Integer
from torch import Tensor
from torch.utils.data import IterableDataset

from sitetwin.channel.delay_shares import DelayNote, DelayShares, first_moved_delays
from sitetwin.channel.fields.band import band_nodes
from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.numerics.selection import chosen_users
from sitetwin.channel.request import ChannelRequest
from sitetwin.channel.shards import Passes, own_share
from sitetwin.channel.synthesis.cfr import frequency_response
from sitetwin.channel.synthesis.cir import impulse_response
from sitetwin.channel.synthesis.delay_angle import delay_angle, delay_angle_from_response
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths


@dataclass(eq=False)
class ChannelLoader(IterableDataset[tuple[Tensor, Tensor]]):
    """An iterable of (user indices, channels) made from paths on demand.

    Every pass over the loader yields each chosen user once; the same batch gives the same bits. It is an
    `IterableDataset` of batches: ``DataLoader(loader, batch_size=None, num_workers=2)`` shares them among its workers,
    and among ranks where `torch.distributed` runs. For single users see `sitetwin.torch_dataset`.

    Attributes:
        paths: The paths of all users.
        site: Site of the paths.
        request: The request for channels: "cfr", "cir" or "delay-angle", with radios and frequencies.
        batch_size: Number of users per batch; the last batch may be smaller.
        users: Indices of the wanted users, in this order, or a mask (U,) bool; all by default.
        seed: Seed of the order of the users, which differs in each pass and is the same in all workers and ranks; None
            keeps their order.
        dtype: torch.complex64 or torch.complex128.

    Raises:
        SiteTwinError: The request is for gains, the batch is empty, users are out of range, the seed is negative, or
            orientations do not fit the users.
    """

    paths: Paths
    site: Any
    request: ChannelRequest
    batch_size: int = 1024
    users: Any = None
    seed: int | None = None
    dtype: torch.dtype = torch.complex64

    def __post_init__(self) -> None:
        if self.request.quantity == "gains":
            raise SiteTwinError("gains are of paths, not of users; compute them with path_gains")
        if self.batch_size < 1:
            raise SiteTwinError(f"a batch of {self.batch_size} users was asked for; give at least 1")
        if self.seed is not None and self.seed < 0:
            raise SiteTwinError(f"seed is {self.seed}; a seed is 0 or more")
        self.request.check_users(self.paths.num_users)
        self._passes, self._note = Passes(), DelayNote()
        self.users = chosen_users(self.users, self.paths.num_users)

    def __len__(self) -> int:
        """Return the number of batches of all workers and ranks together."""
        return -(-len(self.users) // self.batch_size)

    def __iter__(
        self,
    ) -> Iterator[tuple[Integer[Tensor, " chosen"], Complex[Tensor, "chosen rx_antennas tx_antennas last"]]]:
        """Yield (B,) int64 user indices and their channels."""
        order, number = self.users, self._passes.next()
        if self.seed is not None:
            order = order[torch.from_numpy(np.random.default_rng([self.seed, number]).permutation(len(order)))]
        for index in order.split(self.batch_size)[own_share()]:
            yield index, self.channels(index)

    def channels(self, index: Tensor | np.ndarray) -> Complex[Tensor, "chosen rx_antennas tx_antennas last"]:
        """Make the channels of some users.

        Args:
            index: (B,) user indices, or booleans.

        Returns:
            (B, R, T, K or taps) complex. Gradients flow into tensors of the request's options and radios.

        Raises:
            SiteTwinError: A user is out of range, or the paths and the site do not belong together.

        Warns:
            SiteTwinWarning: Once, if a user has more than 1 % of the power outside of the delay taps, or at a wrong
                delay because taps repeat after 1/spacing.
        """
        values, shares = self.channels_and_shares(index)
        self._note.tell(shares, self.request)
        return values

    def channels_and_shares(
        self, index: Tensor | np.ndarray
    ) -> tuple[Complex[Tensor, "chosen rx_antennas tx_antennas last"], DelayShares]:
        """Make the channels of some users, with what the delay taps miss of each; warns of nothing.

        Args:
            index: (B,) user indices, or booleans.

        Raises:
            SiteTwinError: As `channels`.
        """
        index = chosen_users(index, self.paths.num_users)
        want, paths = self.request.select_users(index), self.paths.select_users(index.numpy())
        carrier, band, between = want.grid.carrier_hz, want.grid.bandwidth_hz, (want.tx, want.rx, want.options)
        if want.gain_nodes:
            gains = band_nodes(paths, self.site, carrier, band, *between, dtype=self.dtype)
        else:
            gains = path_gains(paths, self.site, carrier, *between, dtype=self.dtype)
        begin: float | Tensor = 0.0
        if want.delay_reference == "first-path":
            begin = first_moved_delays(paths, gains.moved)
        shares = DelayShares.of(
            paths, gains, want.delay_taps, begin if isinstance(begin, float) else begin.detach().numpy()
        )
        return self._synthesise(paths, gains, begin), shares

    def _synthesise(self, paths: Paths, gains: PathGains, reference: float | Tensor) -> Tensor:
        """Channels with the delay 0 at a reference in seconds, one for all users or (B,)."""
        want, band = self.request, self.request.grid.bandwidth_hz
        if want.quantity == "cir":
            return impulse_response(
                paths,
                gains,
                band,
                want.num_taps,
                pulse=want.pulse,
                first_tap=want.first_tap,
                delay_reference_s=reference,
            )
        one = gains.nodes_hz is None or len(gains.nodes_hz) == 1
        if want.quantity == "delay-angle" and one and (want.wavefront, want.steering) == ("plane", "carrier"):
            taps, first = want.num_taps, want.first_tap
            return delay_angle(paths, gains, want.grid, num_taps=taps, first_tap=first, delay_reference_s=reference)
        choices = {"wavefront": want.wavefront, "steering": want.steering, "site": self.site}
        response = frequency_response(paths, gains, want.grid, delay_reference_s=reference, **choices)
        if want.quantity == "cfr":
            return response
        return delay_angle_from_response(response, want.tx, want.num_taps, want.first_tap)
