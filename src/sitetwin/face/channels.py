"""Channels as labelled arrays: in memory where they are small, made on demand where they are not."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Unpack

import dask
import dask.array
import numpy as np
import torch
import xarray as xr
from jaxtyping import Complex

from sitetwin.channel import ChannelLoader, ChannelRequest
from sitetwin.channel.delay_shares import DelayNote, DelayShares, first_moved_delays
from sitetwin.channel.fields.moved import moved_paths
from sitetwin.channel.io import Progress, write_channels
from sitetwin.channel.stored import channel_layout, check_whole, open_channel_store, read_channel_tile
from sitetwin.channel.user_delays import ABOUT_SHARES, REFERENCE, first_delay_array, shares_facts
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.face import accessor as _accessor  # noqa: F401  # `.sitetwin` of labelled arrays
from sitetwin.face.fitting_taps import with_fitting_taps
from sitetwin.face.labels import labelled, labels_of_request, labels_of_store, plain_attributes
from sitetwin.face.requests import ChannelChoices, channel_request, check_no_gradients
from sitetwin.face.sources import PathsOf, PathSource, path_source, stores_in
from sitetwin.rays import Paths
from sitetwin.site import Site
from sitetwin.store import Array, TileStore, begin_collection, finish_collection

EAGER_BYTES = 256 * 2**20
"""Channels larger than this are made on demand, block by block."""

BLOCK_BYTES = 64 * 2**20

_ONE_AT_A_TIME = threading.Lock()  # a block's synthesis uses all cores by itself


def channels(
    paths: PathsOf | Sequence[PathsOf],
    site: Site,
    request: ChannelRequest | None = None,
    *,
    lazy: bool | None = None,
    **choices: Unpack[ChannelChoices],
) -> xr.DataArray:
    """Compute the channels of all users, with named axes and coordinates.

    Args:
        paths: Paths from `trace`, or the folder that `TraceJob.run` wrote. Several of them, from several transmitters
            to the same users, or a folder of several transmitters, give an array with a first axis "transmitter" and
            coordinates tx_x, tx_y, tx_z.
        site: The site they were traced in, or a variant of the same geometry: other materials, another season.
        request: What is wanted, ready-made; or the choices below.
        lazy: Whether values are computed block by block when they are used (Dask); by default if they need more than
            256 MB. `.compute()` or `.values` computes them.
        **choices: ``carrier_hz=28e9, radio=Radio("upa:8x8"), bandwidth_hz=100e6, subcarriers=256,
            quantity="delay-angle"`` and more; see `ChannelChoices`.

    Returns:
        complex64 array. Axes: user, rx_antenna, tx_antenna, frequency for "cfr"; user, rx_antenna, angle, delay for
        "delay-angle". Coordinates: x, y, z of each user in metres, frequency in Hz, delay in seconds, direction cosines
        of the angle bins. The attributes say carrier, normalisation and phase conventions. The squared magnitude is
        received over transmitted power.

    Raises:
        SiteTwinError: The paths belong to another site, the request is impossible, or gradients are asked of its
            tensors (see `channel_tensor`).
    """
    wanted, automatic = channel_request(request, **_counted(choices)), choices.get("num_taps") == "auto"
    if wanted.quantity == "gains":
        raise SiteTwinError("gains are numbers of paths, not of users; use sitetwin.gains(paths, site, ...)")
    check_no_gradients(wanted)
    if automatic:
        wanted = with_fitting_taps(paths, site, wanted)
    if isinstance(paths, (str, Path)):
        paths = stores_in(paths) or paths
    if isinstance(paths, (Paths, TileStore, str, Path)):
        return _of_one(path_source(paths, site), site, wanted, lazy)
    sources = [path_source(one, site) for one in paths]
    if lazy is None:
        lazy = wanted.bytes_per_row * sum(source.tiles[-1][1] for source in sources) > EAGER_BYTES
    return _of_each([_of_one(source, site, wanted, lazy) for source in sources])


def channel_tensor(
    paths: PathsOf,
    site: Site,
    request: ChannelRequest | None = None,
    *,
    dtype: torch.dtype = torch.complex64,
    **choices: Unpack[ChannelChoices],
) -> Complex[torch.Tensor, "users rx_antennas tx_antennas last"]:
    """Compute the channels of all users as one tensor, through which gradients flow.

    They flow into materials, leaves and offsets (``relative_permittivity={"brick": tensor}`` and the like, see
    `FieldOptions`) and into orientations and element positions of the radios.

    Args:
        paths: Paths from `trace`, or the folder that `TraceJob.run` wrote, of one transmitter.
        site: The site they were traced in, or a variant of the same geometry.
        request: What is wanted, ready-made; or the choices below.
        dtype: torch.complex64 or torch.complex128.
        **choices: As for `channels`.

    Returns:
        The values of `channels`: (users, rx_antennas, tx_antennas, subcarriers or delay taps).

    Raises:
        SiteTwinError: As for `channels`; or the paths are those of several transmitters.

    Example:
        ::

            brick = torch.tensor(4.0, requires_grad=True)
            h = st.channel_tensor(paths, site, carrier_hz=3.5e9, relative_permittivity={"brick": brick})
            h.abs().square().sum().backward()
    """
    wanted, automatic = channel_request(request, **_counted(choices)), choices.get("num_taps") == "auto"
    if automatic:
        wanted = with_fitting_taps(paths, site, wanted)
    source = path_source(paths, site)
    some = source.take(np.arange(len(source.positions)))
    return ChannelLoader(some, site, wanted, dtype=dtype).channels(np.arange(some.num_users))


def _counted(choices: ChannelChoices) -> ChannelChoices:
    """The choices without a number of delay taps that is yet to be found."""
    if choices.get("num_taps") == "auto":
        choices = choices.copy()
        choices["num_taps"] = 1
    return choices


def _of_one(source: PathSource, site: Site, wanted: ChannelRequest, lazy: bool | None) -> xr.DataArray:
    """Channels from one transmitter."""
    positions = source.positions
    users = np.arange(len(positions))
    wanted.check_users(len(users))
    begin = {} if wanted.delay_reference == "transmission" else {REFERENCE: _first_delays(source, site, wanted)}
    size = wanted.bytes_per_row * len(users)
    if len(users) and (lazy or (lazy is None and size > EAGER_BYTES)):
        labels = labels_of_request(positions, source.transmitter, site, wanted, begin)
        return labelled(_on_demand(source, site, wanted), labels)
    values, shares = synthesise(source, site, wanted, users)
    DelayNote().tell(shares, wanted)
    labels = labels_of_request(positions, source.transmitter, site, wanted, begin, shares_facts(shares, wanted))
    return labelled(values, labels)


def _of_each(parts: list[xr.DataArray]) -> xr.DataArray:
    """Channels from several transmitters to the same users, as one array."""
    if not parts:
        raise SiteTwinError("there are no paths; give the paths of at least one transmitter")
    for number, part in enumerate(parts):
        if not all(np.array_equal(part[axis], parts[0][axis]) for axis in "xyz"):
            raise SiteTwinError(f"paths number {number} are those of other users than the first; give the same users")
    joined = xr.concat(parts, "transmitter", combine_attrs="drop_conflicts")
    for name in ABOUT_SHARES:  # of each transmitter
        if all(name in part.attrs for part in parts):
            joined.attrs[name] = [part.attrs[name] for part in parts]
    places = np.array([part.attrs["transmitter"] for part in parts])
    metres = {"units": "m"}
    return joined.assign_coords(
        {f"tx_{axis}": ("transmitter", places[:, number], metres) for number, axis in enumerate("xyz")}
    )


def _first_delays(source: PathSource, site: Site, wanted: ChannelRequest) -> Array:
    """The delay 0 of each user, from all tiles of the source."""
    parts = [np.zeros(0)]
    for edges in source.tiles:
        users = np.arange(*edges)
        some, options = source.take(users), wanted.options.select_users(torch.from_numpy(users))
        with warnings.catch_warnings():  # of offsets, which say so when channels are made
            warnings.simplefilter("ignore", SiteTwinWarning)
            moved = moved_paths(some, site, options)
        parts.append(first_moved_delays(some, moved).detach().numpy())
    return first_delay_array(np.concatenate(parts))


def synthesise(
    source: PathSource, site: Site, wanted: ChannelRequest, users: np.ndarray
) -> tuple[np.ndarray, DelayShares]:
    """(chosen, ...) complex64 channels of some users, made in batches that memory bears, and what their taps miss."""
    values = np.empty((len(users), *wanted.shape), dtype=np.complex64)
    shares = [DelayShares.none()]
    with _ONE_AT_A_TIME, torch.no_grad():
        for first in range(0, len(users), wanted.batch_users):
            some = users[first : first + wanted.batch_users]
            part = wanted.select_users(torch.from_numpy(some))
            loader = ChannelLoader(source.take(some), site, part)
            made, missed = loader.channels_and_shares(torch.arange(len(some)))
            values[first : first + len(some)] = made.numpy()
            shares.append(missed)
    return values, DelayShares.joined(shares)


def _on_demand(source: PathSource, site: Site, wanted: ChannelRequest) -> dask.array.Array:
    """Channels of all users, as a Dask array whose blocks lie within the tiles of the source."""
    most = max(1, BLOCK_BYTES // wanted.bytes_per_row)
    edges = sorted({edge for low, high in source.tiles for edge in (*range(low, high, most), high)})
    make, note = dask.delayed(_block, pure=False, traverse=False), DelayNote()
    ranges = [np.arange(low, high) for low, high in pairwise(edges)]
    blocks = [make(source, site, wanted, users, note) for users in ranges]
    shapes = [(len(users), *wanted.shape) for users in ranges]
    return dask.array.concatenate(
        [dask.array.from_delayed(block, shape, np.complex64) for block, shape in zip(blocks, shapes, strict=True)]
    )


def _block(source: PathSource, site: Site, wanted: ChannelRequest, users: np.ndarray, note: DelayNote) -> np.ndarray:
    """Channels of one block, with a note the first time that taps miss something."""
    values, shares = synthesise(source, site, wanted, users)
    note.tell(shares, wanted)
    return values


def channels_to_store(
    folder: str | Path,
    paths: PathsOf,
    site: Site,
    request: ChannelRequest | None = None,
    *,
    progress: Progress | None = None,
    resume: bool = True,
    **choices: Unpack[ChannelChoices],
) -> xr.DataArray:
    """Write the channels of a store of paths into a data set on disk, and open it.

    Args:
        folder: Folder of the data set.
        paths: Store or folder that `TraceJob.run` wrote. From a folder of several transmitters a folder of as many data
            sets is made, with the names of the stores.
        site: The site in which the paths were traced, or a variant with the same geometry.
        request: A complete request for channels; or give `choices` instead.
        progress: Called with the stage and its finished share, 0 to 1.
        resume: Whether to go on with a data set of the same request that was begun.
        **choices: As for `channels`; ``quantity="gains"`` writes the gain of each path.

    Returns:
        What `open_channels` returns.

    Raises:
        SiteTwinError: The paths belong to another site, the request is impossible, the folder holds something else, or
            the disk cannot be written.
    """
    wanted, automatic = channel_request(request, **_counted(choices)), choices.get("num_taps") == "auto"
    if isinstance(paths, Paths):
        raise SiteTwinError("a data set on disk is made of a store of paths; write them with paths.save(folder) first")
    if automatic:
        wanted = with_fitting_taps(paths, site, wanted)
    source = paths.path if isinstance(paths, TileStore) else paths
    several = stores_in(source)
    if not several:
        write_channels(source, site, folder, wanted, progress, resume)
        return open_channels(folder)
    places = begin_collection(folder, [store.name for store in several])
    made = []
    for number, (store, place) in enumerate(zip(several, places, strict=True)):

        def tell(stage: str, share: float, number: int = number) -> None:
            if progress:
                progress(stage, (number + share) / len(several))

        made.append(write_channels(store, site, place, wanted, tell, resume))
    finish_collection(folder, {"title": f"channels of {len(made)} transmitters"}, made)
    return open_channels(folder)


def open_channels(folder: str | Path) -> xr.DataArray:
    """Open a data set of channels on disk as an array like that of `channels`; tiles are read when they are used.

    Gains have the axes path, rx_port and tx_port. Their coordinates are user, whose path it is, and delay in seconds.
    Data sets of several transmitters become one array, as by `channels`; gains get the coordinate transmitter, which
    counts whose path it is.

    Raises:
        SiteTwinError: The folder is not a finished data set of channels.
    """
    several = stores_in(folder)
    if several:
        parts = [open_channels(store) for store in several]
        return _of_each(parts) if "user" in parts[0].dims else _gains_of_each(parts)
    store = open_channel_store(folder)
    check_whole(store)
    if store.attributes["quantity"] == "gains":
        return _open_gains(store)
    labels = labels_of_store(store)
    shapes = [(stop - start, *labels.shape) for start, stop in store.tiles]
    return labelled(_tiles(store, labels.name, shapes, np.complex64), labels)


def _open_gains(store: TileStore) -> xr.DataArray:
    """Open gains of paths on disk; the users of the paths are read at once, the rest when it is used."""
    layouts = [channel_layout(store, index) for index in range(len(store.tiles))]
    tiles = [read_channel_tile(store, index, ["offsets"]) for index in range(len(store.tiles))]
    shapes = [layout["gain"].shape for layout in layouts]
    first = layouts[0]["gain"]
    if any(shape[0] != tile["offsets"][-1] for shape, tile in zip(shapes, tiles, strict=True)):
        raise SiteTwinError(f"the tiles of {store.path} have other paths than their gains; make them again")
    owners = [
        np.repeat(np.arange(*edges), np.diff(tile["offsets"])) for edges, tile in zip(store.tiles, tiles, strict=True)
    ]
    delays = _tiles(store, "delay", [shape[:1] for shape in shapes], np.float64)
    coordinates = {
        "user": ("path", np.concatenate(owners)),
        "delay": ("path", delays, {"units": "s"}),
        **{str(dim): np.arange(size) for dim, size in zip(first.dims[1:], shapes[0][1:], strict=True)},
    }
    values = _tiles(store, "gain", shapes, np.complex64)
    facts = plain_attributes({**first.attributes, **store.attributes})
    return xr.DataArray(values, coordinates, first.dims, "gain", facts)


def _gains_of_each(parts: list[xr.DataArray]) -> xr.DataArray:
    """Gains of paths from several transmitters, one after the other."""
    marked = [
        part.assign_coords(transmitter=("path", np.full(part.sizes["path"], number)))
        for number, part in enumerate(parts)
    ]
    return xr.concat(marked, "path", combine_attrs="drop_conflicts")


def _tiles(store: TileStore, name: str, shapes: Sequence[tuple[int, ...]], dtype: type) -> dask.array.Array:
    """Join all tiles into one lazy array; each tile is read when it is used."""
    read = dask.delayed(_read, pure=False, traverse=False)
    return dask.array.concatenate(
        [dask.array.from_delayed(read(store, i, name), shape, dtype) for i, shape in enumerate(shapes)]
    )


def _read(store: TileStore, index: int, name: str) -> np.ndarray:
    return read_channel_tile(store, index)[name]
