"""Channels on disk: data sets made from a store of paths, one tile of users after another, in a `TileStore`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sitetwin.channel.antennas.arrays import warn_near_field
from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.delay_shares import DelayNote, DelayShares
from sitetwin.channel.fields.materials import Surfaces
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.loader import ChannelLoader
from sitetwin.channel.request import ChannelRequest
from sitetwin.channel.stored import KIND, open_channel_store, read_channel_tile
from sitetwin.channel.user_delays import shares_facts, stored_facts, user_delays, write_taps_group
from sitetwin.channel.warned import Warned
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.jobs.io import arrays_to_paths, check_finished, geometry_of, open_paths, transmitter_of
from sitetwin.rays.paths import Paths
from sitetwin.store import CODE, Array, Group, TileStore
from sitetwin.store.ragged import take_groups
from sitetwin.untrusted import LARGEST_JSON, read_bytes
from sitetwin.version import code_version

AXES = "axes"  # group of the coordinates that all tiles share, beside them
ROOMS = ("backend.py", "compiled.py", "site", "rays", "channel", "store")
"""Rooms of the package whose code decides the bytes of a data set of channels."""

TILE_BYTES = 256 * 2**20
"""Most bytes of channels in one tile, which is in memory while it is written or read."""

Progress = Callable[[str, float], None]
"""Called with the stage ("channels") and the finished share of it, 0 to 1."""


def write_channels(
    paths_store: str | Path,
    site: Any,
    out: str | Path,
    request: ChannelRequest,
    progress: Progress | None = None,
    resume: bool = True,
    tile_bytes: int = TILE_BYTES,
) -> TileStore:
    """Make a data set of channels from a finished store of paths; an interrupted run can be continued.

    Tiles are those of the paths, cut where one would hold more than `tile_bytes` of channels. In memory at a time are
    one tile of paths, one tile of channels and one batch of users. The bytes written do not depend on where a run was
    interrupted. A warning that several batches give is given once.

    Args:
        paths_store: Folder of the store of paths.
        site: The site in which the paths were traced, or a variant with the same geometry (other materials, leaf
            cycles).
        out: Folder of the data set.
        request: The request: quantity, grid, radios and choices of the field computation.
        progress: Called with the stage and its finished share.
        resume: Whether to continue an existing data set of the same configuration.
        tile_bytes: Largest number of bytes of channels in a tile; a tile holds at least one user.

    Returns:
        The finished store.

    Raises:
        SiteTwinError: The paths are no finished store, damaged, or of another geometry; the carrier lies outside a
            material's range and the policy refuses that; the options give tensors; the folder holds something else; or
            the disk cannot be written.
    """
    request.options.check_storable()
    source = open_paths(paths_store)
    check_source(source, site, request)
    tell = progress or (lambda stage, share: None)
    warned = Warned()
    with warned.once():  # before the folder is made: a refused frequency leaves nothing behind
        Surfaces.of(site.materials, request.grid.carrier_hz, out_of_range=request.options.out_of_range)
    tiles = _cut(source, request, tile_bytes)
    _warn_of_disk(Path(out), source.num_users, request)
    store = TileStore.create(
        out,
        {
            "kind": KIND,
            CODE: code_version(*ROOMS),
            "paths": _content_hash(source),
            "site": site.hash,
            **request.configuration(),
        },
        root_attributes(source, site, request),
        tiles,
        resume=resume,
    )
    if not store.has_group(AXES):
        store.write_group(AXES, request.axes())
    reader, missed = _PathTiles(source), []
    for index in store.missing_tiles():
        start, stop = store.tiles[index]

        def tell_user(done: int, start: int = start) -> None:
            tell("channels", (start + done) / store.num_users)

        part = request.select_users(torch.arange(start, stop))
        missed.append(_write_tile(store, index, reader.users(start, stop), site, part, warned, tell_user))
        tell("channels", stop / store.num_users)
    DelayNote().tell(DelayShares.joined([DelayShares.none(), *missed]), request)
    write_taps_group(store, request)
    tell("channels", 1.0)
    return store


def load_channels(path: str | Path, users: slice | None = None) -> Group:
    """Read the channels of some users, or of all, into memory.

    Args:
        path: Folder of the data set.
        users: Indices of the users; only tiles with some of them are read. A slice may have a step.

    Returns:
        Labelled arrays by name, the tiles put end to end; for "gains", `offsets` count the rows that are returned. The
        attributes are the data set's, and its configuration.

    Raises:
        SiteTwinError: The folder is not a data set of channels, or a tile is missing or damaged.
    """
    store = open_channel_store(path)
    chosen = store.tiles_of(users)
    if not chosen:
        raise SiteTwinError(f"{path} holds no users; make channels of paths with users")
    parts = [_pick(read_channel_tile(store, index), np.asarray(inside, dtype=np.int64)) for index, inside in chosen]
    _check_alike(parts, store)
    arrays = {name: Array(a.dims, _join([part[name] for part in parts], a)) for name, a in parts[0].items()}
    arrays = {name: replace(array, attributes=parts[0][name].attributes) for name, array in arrays.items()}
    return Group(arrays, {**store.attributes, **stored_facts(store), "configuration": store.configuration})


def expected_bytes(paths_store: str | Path, request: ChannelRequest) -> int | None:
    """Return the size of the data set before compression, where it does not depend on the number of paths.

    Raises:
        SiteTwinError: The folder is no store of paths.
    """
    if request.quantity == "gains":
        return None
    return open_paths(paths_store).num_users * request.bytes_per_row


def check_source(source: TileStore, site: Any, request: ChannelRequest) -> None:
    """Check that channels can be made from a store of paths.

    Raises:
        SiteTwinError: The store is not finished or has another geometry than the site, or orientations do not fit its
            users.
    """
    check_finished(source)
    stated = geometry_of(source)
    if stated is None:
        raise SiteTwinError(
            f"{source.path} does not say in which site its paths were traced; write it with TraceJob, "
            "or with save_paths and 'geometry_hash' among the attributes of the paths"
        )
    if stated != site.geometry_hash:
        raise SiteTwinError(
            f"the paths in {source.path} were traced in another geometry ({stated[:12]}) than that of site "
            f"'{site.name}' ({site.geometry_hash[:12]}); give the scene in which they were traced"
        )
    request.check_users(source.num_users)


def _cut(source: TileStore, request: ChannelRequest, tile_bytes: int) -> list[tuple[int, int]]:
    """The tiles of the paths, cut evenly where their channels would be larger than `tile_bytes`."""
    if request.quantity == "gains":  # smaller than the paths, which fit
        return list(source.tiles)
    most = max(1, tile_bytes // request.bytes_per_row)
    tiles: list[tuple[int, int]] = []
    for start, stop in source.tiles:
        count = -(-(stop - start) // most)
        edges = [start + (stop - start) * i // count for i in range(count + 1)]
        tiles += pairwise(edges)
    return tiles


def _content_hash(source: TileStore) -> str:
    """SHA-256 of the manifest: it lists the checksum of every tile and holds no time."""
    file = source.path / "manifest.json"
    return hashlib.sha256(read_bytes(file, str(file), LARGEST_JSON)).hexdigest()


def _warn_of_disk(out: Path, users: int, request: ChannelRequest) -> None:
    if request.quantity == "gains" or out.exists():  # a resumed data set is there in part already
        return
    folder = out.absolute()
    while not folder.exists():
        folder = folder.parent
    needed, free = users * request.bytes_per_row, shutil.disk_usage(folder).free
    if needed > free:
        warnings.warn(
            f"the channels take {needed / 1e9:.1f} GB before compression, which saves little, and {out} has "
            f"{free / 1e9:.1f} GB free; a full disk stops the run, which can then be resumed",
            SiteTwinWarning,
            stacklevel=3,
        )


def root_attributes(source: TileStore, site: Any, request: ChannelRequest) -> dict[str, Any]:
    """Return facts about channels for readers: site, paths, radios, carrier, conventions; JSON-serialisable."""
    return {
        "title": f"channels from one transmitter to users: {request.quantity}",
        "frame": "local east, north, up; metres",
        "transmitter": transmitter_of(source).tolist(),
        "site": site.name,
        "site_hash": site.hash,
        "geometry_hash": site.geometry_hash,
        "paths_configuration_hash": source.configuration_hash,
        "paths_sha256": _content_hash(source),
        **{key: value for key, value in request.configuration().items() if key != "batch_users"},
        **request.conventions(),
    }


class _PathTiles:
    """Reads users out of a store of paths, keeping the tile that it read last."""

    def __init__(self, source: TileStore) -> None:
        self._source = source
        self._transmitter = transmitter_of(source)
        self._index = -1
        self._paths: Paths | None = None

    def users(self, start: int, stop: int) -> Paths:
        """The paths of users that lie in one tile."""
        index = next(i for i, (first, end) in enumerate(self._source.tiles) if first <= start and stop <= end)
        if self._paths is None or index != self._index:
            self._paths = None  # let go of the old tile before the new one is read
            group = self._source.read_tile(index)
            self._paths, self._index = arrays_to_paths(group, self._transmitter, group.attributes), index
        first, end = self._source.tiles[index]
        if (start, stop) == (first, end):
            return self._paths
        return self._paths.select_users(np.arange(start - first, stop - first))


def _write_tile(
    store: TileStore,
    index: int,
    paths: Paths,
    site: Any,
    request: ChannelRequest,
    warned: Warned,
    tell: Callable[[int], None],
) -> DelayShares:
    """Make and write one tile; its channels are gone when this returns, before the next one is made."""
    with torch.no_grad():
        arrays, shares = _synthesise(paths, site, request, warned, tell)
    if not np.isfinite(arrays[request.array_name].data).all():
        raise SiteTwinError(
            f"channels of tile {index} of {store.path} are not finite numbers; check the gains of the antenna patterns "
            f"and the carrier ({request.grid.carrier_hz:g} Hz)"
        )
    facts: dict[str, Any] = {"versions": {"torch": importlib.metadata.version("torch")}}
    if request.quantity == "cfr":
        facts |= shares_facts(shares, request)
    store.write_tile(index, {**_of_users(paths, request.quantity, request.rx), **arrays}, facts)
    return shares


def _of_users(paths: Paths, quantity: str, rx: Radio) -> dict[str, Array]:
    """What a tile says of its users beside their channels."""
    arrays = {
        "users": Array(("user", "xyz"), paths.users, {"units": "m", "description": "positions, local east, north, up"})
    }
    if quantity != "gains":
        facts = {"description": "paths of each user; the channel of a user without a path is zero"}
        arrays["num_paths"] = Array(("user",), paths.counts.astype(np.int32), facts)
    if rx.per_user:
        orientation = torch.as_tensor(rx.orientation).detach().double().numpy()
        facts = {"units": "rad", "description": "yaw, pitch, roll of each user"}
        arrays["rx_orientation"] = Array(("user", "yaw_pitch_roll"), orientation, facts)
    return arrays


def _synthesise(
    paths: Paths, site: Any, request: ChannelRequest, warned: Warned, tell: Callable[[int], None]
) -> tuple[dict[str, Array], DelayShares]:
    """The values of one tile, and what the delay taps miss."""
    if request.quantity == "gains":
        return _gains(paths, site, request, warned), DelayShares.none()
    loader = ChannelLoader(paths, site, request)
    values = np.empty((paths.num_users, *request.shape), dtype=np.complex64)
    parts = [DelayShares.none()]
    if request.wavefront == "plane" and paths.num_paths:
        for radio, whose in ((request.tx, "transmitter"), (request.rx, "receiver")):
            with warned.once():  # here, for the whole tile; what single batches say of it is then a repetition
                warn_near_field(radio.array, request.grid.carrier_hz, float(paths.length.min()), whose)
    # Not by iterating over the loader, which shares its users among the ranks of a training.
    for index in torch.arange(paths.num_users).split(request.batch_users):
        with warned.once():
            channels, missed = loader.channels_and_shares(index)
            values[index.numpy()] = channels.numpy()
        parts.append(missed)
        tell(int(index[-1]) + 1)
    shares = DelayShares.joined(parts)
    arrays = {request.array_name: Array(request.dims, values, request.value_attributes())}
    return {**arrays, **user_delays(paths, shares, request)}, shares


def _gains(paths: Paths, site: Any, request: ChannelRequest, warned: Warned) -> dict[str, Array]:
    """Gain, delay and directions of every path."""
    with warned.once():
        gains = path_gains(paths, site, request.grid.carrier_hz, request.tx, request.rx, request.options)
    directions = {
        "departure": "unit vector away from the transmitter, site frame",
        "arrival": "unit vector away from the user, site frame",
    }
    offsets = Array(
        ("user_edge",),
        paths.offsets.astype(np.int64),
        {
            "rows": "path",
            "description": "paths of user u: rows offsets[u]:offsets[u+1], in the order of the path store",
        },
    )
    return {
        "offsets": offsets,
        request.array_name: Array(request.dims, gains.numpy(), request.value_attributes()),
        "delay": Array(("path",), paths.delay, {"units": "s", "description": "length over the speed of light"}),
        **{
            name: Array(("path", "xyz"), getattr(paths, name), {"units": "1", "description": text})
            for name, text in directions.items()
        },
    }


def _pick(tile: Group, index: np.ndarray) -> dict[str, Array]:
    """The rows of some users of a tile, in the order asked for."""
    rows = np.zeros(0, dtype=np.int64)
    picked: dict[str, np.ndarray] = {}
    if "offsets" in tile.arrays:
        picked["offsets"], rows = take_groups(tile["offsets"], index)
    for name, array in tile.arrays.items():
        if name != "offsets":
            picked[name] = array.data[index if array.dims[0] == "user" else rows]
    return {name: replace(tile.arrays[name], data=data) for name, data in picked.items()}


def _check_alike(parts: list[dict[str, Array]], store: TileStore) -> None:
    """Tiles that are put end to end hold the same arrays, of one shape and type per user or path."""
    for part in parts:
        kinds = {name: (array.dims, array.data.dtype, array.data.shape[1:]) for name, array in part.items()}
        first = {name: (array.dims, array.data.dtype, array.data.shape[1:]) for name, array in parts[0].items()}
        if kinds != first:
            raise SiteTwinError(f"the tiles of {store.path} hold different arrays; make them again from the paths")


def _join(parts: list[Array], like: Array) -> np.ndarray:
    """Arrays put end to end; offsets are shifted to count the joined rows."""
    if len(parts) == 1:
        return parts[0].data
    if "rows" not in like.attributes:
        return np.concatenate([part.data for part in parts])
    counts = np.concatenate([np.diff(part.data) for part in parts])
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
