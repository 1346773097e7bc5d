"""Channels on demand, batch by batch: nothing forces all users' channels into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.band import band_nodes
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.synthesis.cfr import Steering, Wavefront, frequency_response
from sitetwin.channel.synthesis.cir import Pulse, impulse_response
from sitetwin.channel.synthesis.delay_angle import delay_angle, delay_angle_from_response
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Paths

Kind = Literal["cfr", "cir", "delay-angle"]


@dataclass
class ChannelLoader:
    """An iterable of (user indices, channels) made from paths on demand.

    Every pass over the loader yields each chosen user once; the same batch gives the same bits.

    Attributes:
        paths: The paths of all users.
        site: Their site.
        grid: The subcarriers; for "cir" its bandwidth is the sampling rate.
        tx: Radio of the transmitter.
        rx: Radio of the users.
        kind: "cfr" (B, R, T, K), "cir" (B, R, T, taps) or "delay-angle" (B, R, T, taps).
        batch_size: Users per batch; the last one may be smaller.
        users: Indices of the users wanted, in this order; all by default.
        generator: Shuffles the users anew on each pass; None keeps their order.
        options: Season, foliage, materials.
        num_taps: Taps of "cir" and "delay-angle".
        pulse: Of "cir".
        wavefront: See `frequency_response`.
        steering: See `frequency_response`.
        gain_nodes: Whether gains are taken at several frequencies where they vary by more than 0.1 dB over the band.
        dtype: torch.complex64 or torch.complex128.
    """

    paths: Paths
    site: Any
    grid: OfdmGrid
    tx: Radio = field(default_factory=Radio)
    rx: Radio = field(default_factory=Radio)
    kind: Kind = "cfr"
    batch_size: int = 1024
    users: Tensor | None = None
    generator: torch.Generator | None = None
    options: FieldOptions | None = None
    num_taps: int = 32
    pulse: Pulse = "sinc"
    wavefront: Wavefront = "plane"
    steering: Steering = "carrier"
    gain_nodes: bool = False
    dtype: torch.dtype = torch.complex64

    def __post_init__(self) -> None:
        if self.kind not in ("cfr", "cir", "delay-angle"):
            raise SiteTwinError(f"channels of kind '{self.kind}' are unknown; choose cfr, cir or delay-angle")
        if self.batch_size < 1:
            raise SiteTwinError(f"a batch of {self.batch_size} users was asked for; give at least 1")
        if self.kind == "cir" and (self.wavefront, self.steering, self.gain_nodes) != ("plane", "carrier", False):
            raise SiteTwinError(
                "impulse responses are made for plane waves at the carrier; use kind='cfr' for the others"
            )
        chosen = torch.arange(self.paths.num_users) if self.users is None else torch.as_tensor(self.users).long()
        if chosen.numel() and not 0 <= int(chosen.min()) <= int(chosen.max()) < self.paths.num_users:
            raise SiteTwinError(f"user indices must lie in 0..{self.paths.num_users - 1}")
        self.users = chosen

    def __len__(self) -> int:
        """Number of batches."""
        assert self.users is not None
        return -(-len(self.users) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (B,) int64 user indices and their channels."""
        assert self.users is not None
        order = self.users
        if self.generator is not None:
            order = order[torch.randperm(len(order), generator=self.generator)]
        for index in order.split(self.batch_size):
            yield index, self.channels(index)

    def channels(self, index: Tensor | np.ndarray) -> Tensor:
        """Channels of some users.

        Args:
            index: (B,) user indices.

        Returns:
            (B, R, T, K or taps) complex.
        """
        index = torch.as_tensor(index)
        paths = self.paths.select_users(index.numpy())
        rx = self.rx.select_users(index)
        facts = self.tx, rx, self.options
        carrier, band = self.grid.carrier_hz, self.grid.bandwidth_hz
        if self.gain_nodes:
            gains = band_nodes(paths, self.site, carrier, band, *facts, dtype=self.dtype)
        else:
            gains = path_gains(paths, self.site, carrier, *facts, dtype=self.dtype)
        if self.kind == "cir":
            return impulse_response(paths, gains, band, self.num_taps, self.tx, rx, pulse=self.pulse)
        one = gains.nodes_hz is None or len(gains.nodes_hz) == 1
        closed = one and self.wavefront == "plane" and self.steering == "carrier"
        if self.kind == "delay-angle" and closed:
            return delay_angle(paths, gains, self.grid, self.tx, rx, num_taps=self.num_taps)
        response = frequency_response(
            paths,
            gains,
            self.grid,
            self.tx,
            rx,
            wavefront=self.wavefront,
            steering=self.steering,
            site=self.site,
        )
        return response if self.kind == "cfr" else delay_angle_from_response(response, self.tx, self.num_taps)
