"""What users are coloured by, from a data set of channels: their power, and the bin of the angles that holds most."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sitetwin.channel.io import AXES
from sitetwin.channel.stored import KIND, check_holds_channels, check_whole, read_channel_tile
from sitetwin.errors import SiteTwinError
from sitetwin.store import Group, TileStore
from sitetwin.view.quantities import Quantity
from sitetwin.view.sources import Link

POWER, ANGLE = "channel power", "strongest angle"
"""Names of the quantities; the second of delay-angle channels only."""


def open_channels(path: Path) -> TileStore:
    """Open a finished data set of channels.

    Raises:
        SiteTwinError: The folder is none, or tiles are missing.
    """
    store = TileStore.open(path)
    if store.configuration.get("kind") != KIND:
        raise SiteTwinError(f"{path} is no data set of channels; give a folder that `sitetwin channels` wrote")
    check_holds_channels(store)
    check_whole(store)
    return store


def made_from(store: TileStore, link: Link) -> bool:
    """Tell whether channels were made from the paths of a link."""
    return bool(store.attributes.get("paths_configuration_hash") == link.store.configuration_hash)


def channel_quantities(store: TileStore, stride: int) -> dict[str, Quantity]:
    """Compute the quantities of every `stride`-th user, one tile in memory at a time.

    "channel power" is received over transmitted power: the mean of |value|² over antennas of both ends and over
    subcarriers; of impulse responses and delay-angle channels the same by Parseval's theorem, of the delays that were
    kept; of gains the sum over paths of the mean over ports. "strongest angle" is the bin of the transmitter's angles
    that holds most power over delays and receiving antennas.

    Raises:
        SiteTwinError: A tile is damaged.
    """
    ports = 1
    if store.attributes["quantity"] == "delay-angle":
        ports = int(np.max(store.read_group(AXES)["angle_port"])) + 1
    parts = [_of_tile(read_channel_tile(store, index), ports) for index in range(len(store.tiles))]
    power, angle = (np.concatenate(column)[::stride] for column in zip(*parts, strict=True))
    with np.errstate(divide="ignore"):
        found = {POWER: Quantity("channel power (dB)", np.where(power > 0, 10 * np.log10(power), np.nan), 5.0)}
    if store.attributes["quantity"] == "delay-angle":
        found[ANGLE] = Quantity("strongest of the angle bins", np.where(power > 0, angle, np.nan))
    return found


def _of_tile(tile: Group, ports: int) -> tuple[np.ndarray, np.ndarray]:
    """(U,) power and (U,) angle bin of the users of a tile; 0 where there are no angles."""
    if "cfr" in tile.arrays:
        power = (np.abs(tile["cfr"].astype(np.complex128)) ** 2).mean(axis=(1, 2, 3))
        return power, np.zeros(len(power))
    if "cir" in tile.arrays:
        power = (np.abs(tile["cir"].astype(np.complex128)) ** 2).sum(axis=3).mean(axis=(1, 2))
        return power, np.zeros(len(power))
    if "delay_angle" in tile.arrays:
        bins = (np.abs(tile["delay_angle"].astype(np.complex128)) ** 2).sum(axis=3).mean(axis=1)
        antennas = bins.shape[1]
        return bins.sum(axis=1) * ports / antennas**2, bins.argmax(axis=1).astype(np.float64)
    offsets = tile["offsets"]
    each = (np.abs(tile["gain"].astype(np.complex128)) ** 2).mean(axis=(1, 2))
    total = np.concatenate([[0.0], np.cumsum(each)])
    power = np.diff(total[offsets - offsets[0]])
    return power, np.zeros(len(power))
