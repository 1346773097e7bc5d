"""Names, coordinates and units of the axes of channels, of a request and of a data set on disk alike."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dask.array
import numpy as np
import xarray as xr
from jaxtyping import Float

from sitetwin.channel import ChannelRequest
from sitetwin.channel.io import AXES
from sitetwin.channel.stored import channel_layout, read_channel_tile
from sitetwin.channel.user_delays import REFERENCE, first_delay_array, stored_facts
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site
from sitetwin.store import Array, TileStore

_AXIS_OF = {"subcarrier": "frequency"}  # the axis is named for what a user selects by
_DIRECTIONS = {"x": "east", "y": "north", "z": "above"}


@dataclass(frozen=True, eq=False)
class Labels:
    """Names, coordinates and attributes of an array.

    Attributes:
        name: Name of the array.
        dims: Names of the axes, users first.
        shape: Shape of one user's values.
        users: (users, 3) positions of the users, metres.
        axes: Coordinates by name, each over one of the axes, users among them.
        attributes: Units, carrier, site, conventions.
    """

    name: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    users: Float[np.ndarray, "users 3"]
    axes: Mapping[str, Array]
    attributes: dict[str, Any]


def labels_of_request(
    users: Float[np.ndarray, "users 3"],
    transmitter: Float[np.ndarray, " 3"],
    site: Site,
    request: ChannelRequest,
    of_users: Mapping[str, Array] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Labels:
    """Labels of channels that are made now, with arrays of one number per user and further attributes."""
    facts = {
        **request.value_attributes(),
        "transmitter": [float(x) for x in transmitter],
        "site": site.name,
        "site_hash": site.hash,
        **{name: value for name, value in request.configuration().items() if name != "batch_users"},
        **request.conventions(),
        **(more or {}),
    }
    axes = {**request.axes(), **(of_users or {})}
    return Labels(request.array_name, request.dims, request.shape, users, axes, plain_attributes(facts))


def labels_of_store(store: TileStore) -> Labels:
    """Labels of the channels in a finished data set on disk."""
    name = str(store.attributes["quantity"]).replace("-", "_")
    layouts = [channel_layout(store, index) for index in range(len(store.tiles))]
    values = layouts[0][name]
    if any(layout[name].shape[1:] != values.shape[1:] for layout in layouts):
        raise SiteTwinError(f"the tiles of {store.path} hold channels of different shapes; make them again")
    begin = {}
    small = ["users", *([REFERENCE] if REFERENCE in layouts[0] else [])]
    tiles = [read_channel_tile(store, index, small) for index in range(len(store.tiles))]
    users = np.concatenate([tile["users"] for tile in tiles])
    facts = {**values.attributes, **store.attributes, **stored_facts(store)}
    if REFERENCE in small:
        begin[REFERENCE] = first_delay_array(np.concatenate([tile[REFERENCE] for tile in tiles]))
    axes = store.read_group(AXES).arrays | begin
    return Labels(name, values.dims, values.shape[1:], users, axes, plain_attributes(facts))


def labelled(values: np.ndarray | dask.array.Array, labels: Labels) -> xr.DataArray:
    """Values with names, coordinates and units.

    Args:
        values: (users, ...) as the axes of the labels say.
        labels: The labels.
    """
    dims = tuple(_AXIS_OF.get(dim, dim) for dim in labels.dims)
    coordinates: dict[str, Any] = {
        axis: ("user", labels.users[:, number], {"units": "m", "long_name": f"{direction} of the local origin"})
        for number, (axis, direction) in enumerate(_DIRECTIONS.items())
    }
    coordinates["user"] = np.arange(len(labels.users))
    for name, array in labels.axes.items():
        axes = tuple(_AXIS_OF.get(dim, dim) for dim in array.dims)
        if set(axes) <= set(dims):
            coordinates[name] = (axes, array.data, array.attributes)
    for dim, size in zip(dims, values.shape, strict=True):
        coordinates.setdefault(dim, np.arange(size))
    return xr.DataArray(values, coordinates, dims, labels.name, labels.attributes)


def plain_attributes(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes that a NetCDF or Zarr file can hold: numbers, texts and lists of numbers; the rest as JSON."""
    plain: dict[str, Any] = {}
    for name, value in facts.items():
        numbers = isinstance(value, list) and all(isinstance(item, (int, float)) for item in value)
        if isinstance(value, bool) or value is None:
            plain[name] = str(value)
        else:
            plain[name] = (
                value if numbers or isinstance(value, (str, int, float)) else json.dumps(value, sort_keys=True)
            )
    return plain
