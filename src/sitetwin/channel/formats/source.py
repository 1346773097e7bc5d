"""Tiles of a store of paths with the gain of each path, from which all formats are made."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer

from sitetwin.channel.fields.gains import PathGains
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.io import check_source, root_attributes
from sitetwin.channel.request import ChannelRequest
from sitetwin.errors import SiteTwinError
from sitetwin.rays.jobs.io import arrays_to_paths, open_paths, transmitter_of
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.store import TileStore
from sitetwin.version import __version__

Progress = Callable[[str, float], None]
"""Called with the stage ("export") and the finished share of it, 0 to 1."""

PATH_CONVENTIONS = {
    "frame": "local east, north, up; metres",
    "directions": "unit vectors that point away from their antenna: arrival looks to where the wave comes from",
    "angles": "azimuth from east, counter-clockwise; zenith from up",
    "gain": "complex voltage gain of a path; |gain|^2 is received over transmitted power; the sum over paths of "
    "gain e^{-j 2 pi (f - f_c) delay} is the channel at frequency f",
    "kinds": "of interactions: " + ", ".join(f"{kind.value} {kind.name.lower()}" for kind in Interaction),
}


@dataclass(frozen=True, eq=False)
class GainSource:
    """Paths of users and their gains between the ports of two radios, tile by tile.

    Attributes:
        store: The finished store of paths.
        site: The site in which the paths were traced.
        request: Radios, carrier, season; its quantity is "gains".
    """

    store: TileStore
    site: Any
    request: ChannelRequest

    @classmethod
    def open(cls, path: str | Path, site: Any, request: ChannelRequest) -> GainSource:
        """Open a store of paths for export.

        Raises:
            SiteTwinError: The folder is not a finished store of paths, the store has another geometry than the site or
                no path, or the options give tensors.
        """
        if request.quantity != "gains":
            raise SiteTwinError(f"paths are exported with their gains, not as {request.quantity}; ask for 'gains'")
        request.options.check_storable()
        store = open_paths(path)
        check_source(store, site, request)
        source = cls(store, site, request)
        if not source.most_paths:
            raise SiteTwinError(f"no user in {path} has a path, so that there is nothing to export; trace again")
        return source

    @property
    def num_users(self) -> int:
        """Number of users."""
        return self.store.num_users

    @property
    def transmitter(self) -> Float[np.ndarray, " 3"]:
        """(3,) position of the transmitter, metres."""
        return transmitter_of(self.store)

    @cached_property
    def most_paths(self) -> int:
        """Largest number of paths of any user."""
        tiles = range(len(self.store.tiles))
        offsets = (self.store.read_tile(index, names=["offsets"])["offsets"] for index in tiles)
        return max((int(np.diff(of_tile).max(initial=0)) for of_tile in offsets), default=0)

    def tiles(self, tell: Progress | None = None) -> Iterator[tuple[int, Paths, PathGains, ChannelRequest]]:
        """Yield for each tile its first user, its paths, their gains and the radios."""
        for index, (start, stop) in enumerate(self.store.tiles):
            group = self.store.read_tile(index)
            paths = arrays_to_paths(group, self.transmitter, group.attributes)
            part = self.request.select_users(torch.arange(start, stop))
            with torch.no_grad():
                gains = path_gains(paths, self.site, part.grid.carrier_hz, part.tx, part.rx, part.options)
            if not bool(torch.isfinite(torch.view_as_real(gains.values)).all()):
                raise SiteTwinError(
                    f"gains of tile {index} of {self.store.path} are not finite numbers; check the antenna patterns "
                    f"and the carrier ({part.grid.carrier_hz:g} Hz)"
                )
            yield start, paths, gains, part
            if tell is not None:
                tell("export", (index + 1) / len(self.store.tiles))

    def facts(self, **more: Any) -> dict[str, Any]:
        """Return facts for readers, JSON-serialisable: conventions, carrier, radios, hashes, versions."""
        return {
            "made_by": f"sitetwin {__version__}",
            **root_attributes(self.store, self.site, self.request),
            "title": "propagation paths from one transmitter to users, with their gains",
            **PATH_CONVENTIONS,
            "versions": {name: importlib.metadata.version(name) for name in ("numpy", "torch")},
            **more,
        }


def strongest(
    owner: Integer[np.ndarray, " paths"], power: Float[np.ndarray, " paths"], most: int
) -> tuple[Integer[np.ndarray, " kept"], Integer[np.ndarray, " kept"]]:
    """Select the strongest paths of each user, by falling power; equal paths keep their order.

    Args:
        owner: (P,) user of each path, ascending.
        power: (P,) power of each path.
        most: Largest number of paths per user.

    Returns:
        Rows (N,) of the kept paths, user by user, and the rank (N,) of each within its user.
    """
    order = np.lexsort((-power, owner))
    first = np.searchsorted(owner, owner[order])
    rank = np.arange(len(order)) - first
    kept = rank < most
    return order[kept], rank[kept]
