"""The number of delay taps that holds the paths of all users."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sitetwin.channel import ChannelRequest, path_gains
from sitetwin.channel.delay_shares import DelayShares, first_moved_delays
from sitetwin.errors import SiteTwinError
from sitetwin.face.sources import PathsOf, PathSource, path_source, stores_in
from sitetwin.rays import Paths
from sitetwin.site import Site
from sitetwin.store import TileStore

_SIDE_LOBES = 12  # taps after a path, beyond which its kernel holds less than 1 % of its energy


def with_fitting_taps(paths: PathsOf | Sequence[PathsOf], site: Site, request: ChannelRequest) -> ChannelRequest:
    """Give a request as many delay taps as the paths of all users need.

    The taps reach from `request.first_tap` to 12 taps after the last path with at least 1 % of its user's power, and
    over all that 1/spacing tells apart at most.

    Args:
        paths: Paths from `trace`, a store of them, its folder, or several of them from several transmitters.
        site: The site in which they were traced, or a variant of the same geometry.
        request: A request for "cir" or "delay-angle"; its number of taps is replaced.

    Raises:
        SiteTwinError: The quantity has no delay taps, the paths end before the first tap, or no user has power.
    """
    if request.quantity not in ("cir", "delay-angle"):
        raise SiteTwinError(f"num_taps says nothing to {request.quantity}, which has no delay taps; leave it out")
    if isinstance(paths, (str, Path)):
        paths = stores_in(paths) or paths
    several = [paths] if isinstance(paths, (Paths, TileStore, str, Path)) else paths
    end = max(_end(path_source(one, site), site, request) for one in several)
    if not math.isfinite(end):
        raise SiteTwinError("no user has a path with power, so that no number of delay taps fits; give num_taps")
    count = math.ceil(end * request.grid.bandwidth_hz) + 1 + _SIDE_LOBES - request.first_tap
    if count <= _SIDE_LOBES:
        raise SiteTwinError(f"all paths end before the first tap, {request.first_tap}; give an earlier first_tap")
    if request.quantity == "delay-angle":
        count = min(count, request.grid.num_subcarriers)
    return replace(request, num_taps=count)


def _end(source: PathSource, site: Site, request: ChannelRequest) -> float:
    """Delay of the last notable path of any user, seconds; -inf without any."""
    end = -math.inf
    for low, high in source.tiles:
        for first in range(low, high, request.batch_users):
            users = np.arange(first, min(first + request.batch_users, high))
            some, part = source.take(users), request.select_users(torch.from_numpy(users))
            with torch.no_grad():
                gains = path_gains(some, site, part.grid.carrier_hz, part.tx, part.rx, part.options)
            begin: float | np.ndarray = 0.0
            if request.delay_reference == "first-path":
                begin = first_moved_delays(some, gains.moved).numpy()
            ends = DelayShares.of(some, gains, request.delay_taps, begin).end_s
            end = max(end, float(np.nanmax(ends, initial=-math.inf)))
    return end
