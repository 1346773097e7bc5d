"""Paths and channels for other programs, in one call each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Unpack

from sitetwin.channel import formats
from sitetwin.channel.io import KIND
from sitetwin.errors import SiteTwinError
from sitetwin.face.requests import ChannelChoices, channel_request
from sitetwin.site import Site
from sitetwin.store import TileStore

_WRITERS: dict[str, Callable[..., Path]] = {
    "deepmimo": formats.write_deepmimo,
    "sionna-cir": formats.write_sionna_cir,
    "mat": formats.write_path_arrays,
    "npz": formats.write_path_arrays,
    "parquet": formats.write_parquet,
}
FORMATS = tuple(_WRITERS)
_LIMITED = ("deepmimo", "sionna-cir")  # formats that keep the strongest paths
_BY_ENDING = ("mat", "npz")
_OF_CHANNELS = (
    "bandwidth_hz",
    "delay_reference",
    "first_tap",
    "num_taps",
    "quantity",
    "spacing_hz",
    "subcarriers",
)  # choices that say nothing of single paths

Progress = Callable[[str, float], None]


def export_paths(
    paths: str | Path,
    site: Site,
    to: str | Path,
    form: str,
    *,
    max_paths: int | None = None,
    progress: Progress | None = None,
    **choices: Unpack[ChannelChoices],
) -> Path:
    """Write traced paths with the gain of each in a format of other programs.

    Args:
        paths: Folder that `TraceJob.run` wrote.
        site: The site they were traced in, or a variant of the same geometry.
        to: File to write, or folder of the DeepMIMO scenario. What is there already is refused.
        form: "deepmimo", "sionna-cir", "mat", "npz" or "parquet".
        max_paths: Strongest paths kept per user of deepmimo (25 by default) and sionna-cir (all by default).
        progress: Called with the stage and its finished share, 0 to 1.
        **choices: ``carrier_hz=3.5e9, radio=..., user_radio=...`` and how fields are computed; see `ChannelChoices`.

    Returns:
        What was written.

    Raises:
        SiteTwinError: There is no such format, a choice says nothing for it, the paths are of another site or no user
            has one, something is there already, or the disk cannot be written.
    """
    if form not in _WRITERS:
        raise SiteTwinError(f"there is no format '{form}'; choose one of {', '.join(FORMATS)}")
    if max_paths is not None and form not in _LIMITED:
        raise SiteTwinError(f"max_paths says nothing to {form}, which holds all paths; leave it out")
    if form in _BY_ENDING and Path(to).suffix != f".{form}":
        raise SiteTwinError(f"'{to}' does not end in .{form}, the format asked for; name the file so")
    idle = sorted(set(choices) & set(_OF_CHANNELS))
    if idle:
        raise SiteTwinError(f"{idle[0]} says nothing to paths, whose gains are those at the carrier; leave it out")
    wanted: ChannelChoices = {**choices, "quantity": "gains"}
    source = formats.GainSource.open(paths, site, channel_request(**wanted))
    more = {} if max_paths is None else {"max_paths": max_paths}
    return _WRITERS[form](source, to, progress=progress, **more)


def export_channels(channels: str | Path, to: str | Path, *, progress: Progress | None = None) -> Path:
    """Write a data set of channels as one NPZ or MAT file.

    Args:
        channels: Folder of the data set, as `channels_to_store` wrote it.
        to: File to write, ending in .npz or .mat. What is there already is refused.
        progress: Called with the stage and its finished share, 0 to 1.

    Raises:
        SiteTwinError: The folder holds no channels, the file is there already or ends otherwise, an array is too large
            for MAT, or the disk cannot be written.
    """
    store = TileStore.open(channels)
    if store.configuration.get("kind") != KIND:
        raise SiteTwinError(f"{channels} is a store, but not of channels; write paths with sitetwin.export_paths")
    return formats.write_channel_arrays(store, to, progress)
