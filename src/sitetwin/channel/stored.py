"""Channels read back from a data set on disk: each tile is seen to hold what its data set says it holds."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.store import Array, Group, TileStore
from sitetwin.store.array_files import ArrayLayout

KIND = "channels"

VALUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "cfr": ("cfr", ("user", "rx_antenna", "tx_antenna", "subcarrier")),
    "cir": ("cir", ("user", "rx_antenna", "tx_antenna", "delay")),
    "delay-angle": ("delay_angle", ("user", "rx_antenna", "angle", "delay")),
    "gains": ("gain", ("path", "rx_port", "tx_port")),
}
"""Name and axes of the array of values of each quantity."""

_FINITE = ("users", "delay", "departure", "arrival")  # others may be NaN for users without a path
_ROWS = ("user", "user_edge", "path")  # first axes of the arrays of a tile


def open_channel_store(path: str | Path) -> TileStore:
    """Open a store and check that it holds channels.

    Raises:
        SiteTwinError: The folder is no store, or the store holds no channels.
    """
    store = TileStore.open(path)
    check_holds_channels(store)
    return store


def check_holds_channels(store: TileStore) -> None:
    """Check that a store holds channels of a known quantity.

    Raises:
        SiteTwinError: It does not.
    """
    if store.configuration.get("kind") != KIND:
        raise SiteTwinError(f"{store.path} is a store, but not of channels; check the path")
    said = store.configuration.get("quantity"), store.attributes.get("quantity")
    if said[0] != said[1] or said[0] not in VALUES:
        raise SiteTwinError(f"{store.path} does not say which channels it holds; make them again from the paths")


def check_whole(store: TileStore) -> None:
    """Check that all tiles of a data set of channels are there.

    Raises:
        SiteTwinError: Some are missing, or there is none at all.
    """
    missing = len(store.missing_tiles())
    if missing or not store.tiles:
        raise SiteTwinError(
            f"{store.path} is not finished: {missing} of {len(store.tiles)} tiles are missing; resume the run that "
            "makes it"
        )


def channel_layout(store: TileStore, index: int) -> dict[str, ArrayLayout]:
    """What a tile of channels holds, by its metadata; no value is read.

    Raises:
        SiteTwinError: The tile is missing or damaged, or not of the data set's quantity.
    """
    layout = store.tile_layout(index)
    value, dims = VALUES[store.attributes["quantity"]]
    found = layout.get(value)
    start, stop = store.tiles[index]
    users = found.shape[0] if found is not None and dims[0] == "user" else stop - start
    if found is None or (found.dims, found.dtype, users) != (dims, np.complex64, stop - start):
        raise SiteTwinError(
            f"tile {index} of {store.path} does not hold {store.attributes['quantity']} of its users; make them again "
            "from the paths"
        )
    return layout


def read_channel_tile(store: TileStore, index: int, names: Collection[str] | None = None) -> Group:
    """Read a tile of channels, or some of its arrays.

    Args:
        store: A data set of channels.
        index: Number of the tile.
        names: Names of the arrays; all by default.

    Raises:
        SiteTwinError: The tile is missing or damaged, or holds what no channels can be.
    """
    tile = store.read_tile(index, names=names)
    value, dims = VALUES[store.attributes["quantity"]]
    due = {value, "users"} | ({"offsets", "delay"} if value == "gain" else set())
    absent = sorted(due - set(tile.arrays)) if names is None else sorted(set(names) - set(tile.arrays))
    wrong = [f"it has no '{absent[0]}'"] if absent else []
    for name, array in tile.arrays.items():
        if array.dims[0] not in _ROWS or (name == value and (array.dims, array.data.dtype) != (dims, np.complex64)):
            wrong.append(f"the axes or the type of '{name}' are not those of {store.attributes['quantity']}")
        if name == "users" and (array.dims, array.data.dtype) != (("user", "xyz"), np.float64):
            wrong.append("'users' are no positions")
        if name == "offsets" and not _are_offsets(array):
            wrong.append("'offsets' do not divide its paths")
        if name in (value, *_FINITE) and not _all_finite(array.data):
            wrong.append(f"'{name}' holds numbers that are not finite")
    if wrong:
        raise SiteTwinError(
            f"tile {index} of {store.path} holds no sound channels: {wrong[0]}; make them again from the paths"
        )
    return tile


def _are_offsets(array: Array) -> bool:
    """Whether offsets rise from 0; where they end, the store compares with the rows, if these are read too."""
    data = array.data
    if (data.dtype, data.ndim) != (np.int64, 1) or not len(data) or array.attributes.get("rows") != "path":
        return False
    return bool(data[0] == 0 and (np.diff(data) >= 0).all())


def _all_finite(values: np.ndarray) -> bool:
    """Whether all numbers are finite; a sum of squares says so five times sooner than a look at each."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat))) or bool(np.isfinite(flat).all())
