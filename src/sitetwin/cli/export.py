"""The command `sitetwin export`: paths and channels for other programs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from sitetwin.cli.console import Context, progress_bars, refuse_idle, say
from sitetwin.cli.field_options import (
    ANGLES_DEG,
    CARRIERS_HZ,
    atmosphere_of,
    check_choices,
    check_range,
    check_scattering,
    refuse_model_without_edges,
    roughened,
    site_of_paths,
    warn_of_lost_scattering,
)
from sitetwin.cli.options import (
    Air,
    ArrayDowntilt,
    ArrayYaw,
    Carrier,
    DiffractionModel,
    DiffuseSeed,
    Foliage,
    OutOfRange,
    Rain,
    Scattering,
    Season,
    SiteOfPaths,
    UserArray,
    UserPattern,
)
from sitetwin.errors import SiteTwinError

FORMATS = ("deepmimo", "sionna-cir", "mat", "npz", "parquet")
_OF_CHANNELS = ("mat", "npz")
_OF_GAINS = (
    "scene", "carrier", "bs_array", "bs_yaw", "bs_downtilt", "pattern", "ue_array", "ue_pattern", "season", "foliage",
    "out_of_range", "atmosphere", "rain", "scattering", "diffuse_seed", "diffraction_model",
)  # fmt: skip
_LIMITED = ("deepmimo", "sionna-cir")  # formats that keep the strongest paths


def register_export(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("export")(export)


def export(
    ctx: Context,
    store: Annotated[Path, typer.Argument(help="Store of paths, or data set of channels (mat and npz).")],
    form: Annotated[str, typer.Option("--format", help="deepmimo, sionna-cir, mat, npz or parquet.")],
    to: Annotated[Path, typer.Option("--out", help="File to write, or folder of the DeepMIMO scenario.")],
    scene: SiteOfPaths = None,
    carrier: Carrier = 3.5e9,
    bs_array: Annotated[str, typer.Option(help="Array of the transmitter: single, ula:32, upa:8x8:VH.")] = "single",
    bs_yaw: ArrayYaw = 0.0,
    bs_downtilt: ArrayDowntilt = 0.0,
    pattern: Annotated[str, typer.Option(help="Pattern of its elements, as for `sitetwin channels`.")] = "iso",
    ue_array: UserArray = "single",
    ue_pattern: UserPattern = "iso",
    season: Season = "summer",
    foliage: Foliage = "default",
    out_of_range: OutOfRange = "clamp",
    diffraction_model: DiffractionModel = "luebbers",
    atmosphere: Air = "none",
    rain: Rain = 0.0,
    scattering: Scattering = None,
    diffuse_seed: DiffuseSeed = 0,
    max_paths: Annotated[
        int | None, typer.Option(min=1, help="Strongest paths kept per user of deepmimo (25) and sionna-cir (all).")
    ] = None,
) -> None:
    """Write traced paths with their gains, or a data set of channels, in a format of other programs."""
    if form not in FORMATS:
        raise SiteTwinError(f"--format is {form!r}; choose one of {', '.join(FORMATS)}")
    check_choices({"--season": season, "--out-of-range": out_of_range, "--diffraction-model": diffraction_model})
    check_range("--carrier", carrier, CARRIERS_HZ, "hertz, such as 3.5e9")
    check_range("--bs-yaw", bs_yaw, ANGLES_DEG, "degrees")
    check_range("--bs-downtilt", bs_downtilt, ANGLES_DEG, "degrees")
    check_scattering(scattering)
    air = atmosphere_of(atmosphere, rain)
    if max_paths is not None and form not in _LIMITED:
        raise SiteTwinError(f"--max-paths says nothing to {form}, which holds all paths; leave it out")

    from sitetwin.channel.antennas.arrays import Radio
    from sitetwin.channel.antennas.names import named_array, named_pattern
    from sitetwin.channel.formats import GainSource, write_channel_arrays
    from sitetwin.channel.grid import OfdmGrid
    from sitetwin.channel.request import ChannelRequest
    from sitetwin.store import TileStore
    from sitetwin.store.outputs import refuse_existing

    refuse_existing(to)
    if form in _OF_CHANNELS and to.suffix != f".{form}":
        raise SiteTwinError(f"--out {to} does not end in .{form}, the format asked for; name the file so")
    opened = TileStore.open(store)
    with progress_bars() as tell:
        if opened.configuration.get("kind") == "channels":
            if form not in _OF_CHANNELS:
                raise SiteTwinError(
                    f"{store} holds channels, from which no {form} can be made; give the store of their paths, or "
                    f"choose one of {', '.join(_OF_CHANNELS)}"
                )
            idle = {name: f"--{name.replace('_', '-')}" for name in _OF_GAINS}
            refuse_idle(ctx, idle, f"to the channels in {store}, which were made with their own; leave it out")
            write_channel_arrays(opened, to, tell)
        else:
            refuse_model_without_edges(ctx, opened)
            request = ChannelRequest(
                OfdmGrid(carrier, 1, 1.0),
                "gains",
                tx=Radio(
                    named_array(bs_array, named_pattern(pattern)),
                    (math.radians(bs_yaw), math.radians(bs_downtilt), 0.0),
                ),
                rx=Radio(named_array(ue_array, named_pattern(ue_pattern))),
                season=season,  # type: ignore[arg-type]  # checked above
                foliage=None if foliage == "none" else foliage,
                out_of_range=out_of_range,  # type: ignore[arg-type]
                atmosphere=air,
                diffuse_seed=diffuse_seed,
                diffraction=diffraction_model,  # type: ignore[arg-type]
            )
            site = roughened(site_of_paths(opened, scene), scattering)
            scattered = opened.configuration.get("settings", {}).get("diffuse_paths", 0)
            warn_of_lost_scattering(scattering, scattered, f"{store} was traced")
            _write_paths(form, GainSource.open(store, site, request), to, max_paths, tell)
    say(str(to))


def _write_paths(form: str, source: Any, to: Path, max_paths: int | None, tell: Any) -> None:
    from sitetwin.channel import formats

    if form == "deepmimo":
        formats.write_deepmimo(source, to, 25 if max_paths is None else max_paths, tell)
    elif form == "sionna-cir":
        formats.write_sionna_cir(source, to, max_paths, tell)
    elif form == "parquet":
        formats.write_parquet(source, to, tell)
    else:
        formats.write_path_arrays(source, to, tell)
