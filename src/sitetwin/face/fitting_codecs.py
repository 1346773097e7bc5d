"""A codec of CSI feedback for one's own cell, in one call; and channels of a file or a data set, with named axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import xarray as xr

from sitetwin.errors import SiteTwinError
from sitetwin.face.channels import channels, open_channels
from sitetwin.face.measured_links import LINK_CHOICES, measured_link
from sitetwin.face.places import checked_site
from sitetwin.face.requests import ChannelChoices
from sitetwin.face.sources import stores_in
from sitetwin.face.tracing import trace
from sitetwin.face.transmitters import Where, transmitters
from sitetwin.learn.cell.codec import CellCodec
from sitetwin.learn.cell.coder import Fit
from sitetwin.learn.cell.layers import layer_channels
from sitetwin.learn.cell.link import CellLink
from sitetwin.learn.cell.matrices import with_axes
from sitetwin.learn.csi.base import CsiCodec
from sitetwin.measured import read_named_csi
from sitetwin.rays import TraceSettings
from sitetwin.rays.positions import Positions, position_array
from sitetwin.site import Site
from sitetwin.store import TileStore

SAMPLES = 5120
"""Users of a twin that a codec is fitted to, unless fewer are there: as many as published."""

Progress = Callable[[str, float], None]


def open_csi(source: str | Path, axes: Sequence[str] | None = None) -> xr.DataArray:
    """Open channels with named axes: the folder of a data set, or a file (``.npz``, ``.h5``, ``.mat``).

    Args:
        source: Folder that `channels_to_store` wrote, or a file as `sitetwin.measured.read_named_csi` reads it.
        axes: Names of the axes of a file's array, where the file does not say them.

    Raises:
        SiteTwinError: There is nothing, or no channels; the data set is of several transmitters; or axes are not told.
    """
    where = Path(source)
    if not where.is_dir():
        return read_named_csi(where, axes)
    if axes is not None:
        raise SiteTwinError(f"{where} is a data set, which names its axes; leave the names out")
    if stores_in(where):
        raise SiteTwinError(f"{where} holds data sets of several transmitters; give one of them, as {where}/tx000")
    if TileStore.open(where).configuration.get("kind") != "channels":
        raise SiteTwinError(
            f"{where} holds paths, and a codec takes channels; make them with sitetwin channels {where} --out FOLDER"
        )
    return open_channels(where)


def fit_codec(
    source: Site | xr.DataArray | str | Path,
    tx: Where | None = None,
    users: Positions | None = None,
    *,
    method: str | CsiCodec | Fit = "klt",
    bits: int | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
    layers: int | None = None,
    settings: TraceSettings | None = None,
    progress: Progress | None = None,
    **choices: Unpack[ChannelChoices],
) -> CellCodec:
    """Fit a codec to a cell: to a site, whose paths are traced, or to channels that were made or measured.

    Args:
        source: A site, channels with named axes (as `open_csi` gives measured ones), or the folder of a data set of
            channels.
        tx: Where the station of a site stands, as for `transmitters`.
        users: (N, 3) positions of the users of a site, metres.
        method: As for `CellCodec`.
        bits: Bits of one report; 128 by default.
        samples: Most users that the codec is fitted to; more are drawn from at random.
        seed: Seed of the draw and of the fit.
        layers: Layers of users with several antennas; one codec is fitted to all of them, see
            `sitetwin.learn.layer_channels`. By default users have one antenna.
        settings: Settings of the tracer.
        progress: Called with the stage and its finished share.
        **choices: Carrier, band, radio, delay taps and fields of a site's channels, as for `channels`; of channels over
            subcarriers only ``num_taps`` and ``first_tap`` are taken. Measured channels, which do not say their link,
            need the station's ``radio`` and, without ``frequency``, ``carrier_hz`` and ``spacing_hz``; ``subcarriers``
            beside delay taps; and ``delay_reference`` where it is not the transmission.

    Raises:
        SiteTwinError: The source is none, a choice is missing or says nothing, or the channels make no codec.
    """
    tell = progress or (lambda stage, share: None)
    if samples < 1:
        raise SiteTwinError(f"{samples} users were asked for; fit to at least one")
    codec = CellCodec(method, bits)
    if isinstance(source, str | Path):
        source = open_csi(source)
    if isinstance(source, xr.DataArray):
        said = [name for name, value in (("tx", tx), ("users", users), ("settings", settings)) if value is not None]
        h, link, taps = _made(source, said, choices, samples, seed, layers)
        tell("fit", 0.0)
        codec.fit(h, link=link, seed=seed, **taps)
    else:
        site = checked_site(source)
        h = _traced(site, tx, users, samples, seed, settings, tell, choices)
        tell("fit", 0.0)
        codec.fit(_layered(h, layers), seed=seed)
    tell("fit", 1.0)
    return codec


def _made(
    source: xr.DataArray, said: list[str], choices: ChannelChoices, samples: int, seed: int, layers: int | None
) -> tuple[xr.DataArray, CellLink | None, dict[str, Any]]:
    """Some of the channels that were made or measured; their link where they do not say it; else the taps to keep."""
    known = with_axes(source)
    labelled = "tx" in source.attrs
    idle = sorted(set(choices) - set(("num_taps", "first_tap") if labelled else LINK_CHOICES))
    if idle or said:
        raise SiteTwinError(f"{[*said, *idle][0]} says nothing to channels that were made already; leave it out")
    if "user" not in known.dims:
        raise SiteTwinError("these channels have no axis of users; name it, as user or time")
    h = known.isel(user=_drawn(known.sizes["user"], samples, seed)).compute()
    if not labelled:
        return _layered(h, layers), measured_link(known, choices), {}
    taps = choices.get("num_taps")
    kept = {"taps": taps if isinstance(taps, int) else None, "first_tap": choices.get("first_tap")}
    return _layered(h, layers), None, kept


def _layered(h: xr.DataArray, layers: int | None) -> xr.DataArray:
    return h if layers is None else layer_channels(h, layers)


def _traced(
    site: Site,
    tx: Where | None,
    users: Positions | None,
    samples: int,
    seed: int,
    settings: TraceSettings | None,
    tell: Progress,
    choices: ChannelChoices,
) -> xr.DataArray:
    """Delay-angle channels of some users of a site."""
    if tx is None or users is None:
        raise SiteTwinError("a site needs a station and users; give tx and users, or channels that were made")
    if choices.get("quantity", "delay-angle") != "delay-angle":
        raise SiteTwinError("a codec is fitted to delay-angle channels; leave quantity out")
    station = transmitters(site, tx)
    if len(station) != 1:
        raise SiteTwinError(f"{len(station)} stations were given; a codec is that of one")
    places = position_array(users)
    some = places[_drawn(len(places), samples, seed)]
    tell("trace", 0.0)
    paths = trace(
        site, tuple(station[0].tolist()), some, settings=settings, progress=lambda share: tell("trace", share)
    )
    wanted: ChannelChoices = {**choices, "quantity": "delay-angle"}
    return channels(paths, site, lazy=False, **wanted)


def _drawn(count: int, samples: int, seed: int) -> np.ndarray:
    """Rows of at most so many users, in their order."""
    if count <= samples:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, samples, replace=False))
