"""The command `sitetwin channels`: from a store of paths to a data set of channels."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli.console import Context, out, progress_bars, refuse_idle, say, writing_store
from sitetwin.cli.field_options import (
    ANGLES_DEG,
    CARRIERS_HZ,
    CHOICES,
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

_KINDS = ("cfr", "delay-angle", "gains")
_ARRAY = "single, ula:32 or upa:8x8; with a polarisation where it is not V: upa:8x8:VH (V, H, VH, cross)."
_PATTERN = "iso, dipole, hw_dipole, tr38901, or a measured one: FILE.msi, FILE.pln, FILE.csv."
_SPACINGS_HZ = (1.0, 1e11)
_MOST_SUBCARRIERS = 2**20
_CHOICES = CHOICES | {
    "--quantity": _KINDS,
    "--wavefront": ("plane", "spherical"),
    "--steering": ("carrier", "per-subcarrier"),
}


def register_channels(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("channels")(channels)


def channels(
    ctx: Context,
    paths: Annotated[Path, typer.Argument(help="Folder of the paths, as `sitetwin trace` wrote it.")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the data set to write.")],
    scene: SiteOfPaths = None,
    quantity: Annotated[str, typer.Option(help="cfr, delay-angle, or gains (of each path).")] = "cfr",
    carrier: Carrier = 3.5e9,
    subcarriers: Annotated[int, typer.Option(min=1, max=_MOST_SUBCARRIERS, help="Number of subcarriers.")] = 256,
    spacing: Annotated[float, typer.Option(help="Subcarrier spacing in Hz.")] = 30e3,
    taps: Annotated[int, typer.Option(min=1, help="Delay taps kept of delay-angle.")] = 32,
    bs_array: Annotated[str, typer.Option(help=f"Array of the transmitter: {_ARRAY}")] = "ula:32",
    bs_yaw: ArrayYaw = 0.0,
    bs_downtilt: ArrayDowntilt = 0.0,
    pattern: Annotated[str, typer.Option(help=f"Pattern of its elements: {_PATTERN}")] = "iso",
    ue_array: UserArray = "single",
    ue_pattern: UserPattern = "iso",
    season: Season = "summer",
    foliage: Foliage = "default",
    out_of_range: OutOfRange = "clamp",
    diffraction_model: DiffractionModel = "luebbers",
    atmosphere: Air = "none",
    scattering: Scattering = None,
    diffuse_seed: DiffuseSeed = 0,
    rain: Rain = 0.0,
    wavefront: Annotated[str, typer.Option(help="plane or spherical.")] = "plane",
    steering: Annotated[str, typer.Option(help="carrier, or per-subcarrier (beam squint).")] = "carrier",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a data set that was begun.")] = False,
) -> None:
    """Turn traced paths into a data set of channels, readable with xarray alone."""
    given = {"--quantity": quantity, "--season": season, "--out-of-range": out_of_range}
    given |= {"--wavefront": wavefront, "--steering": steering, "--diffraction-model": diffraction_model}
    check_choices(given, _CHOICES)
    if quantity == "gains":
        idle = {"subcarriers": "--subcarriers", "spacing": "--spacing"}
        refuse_idle(ctx, idle, "to gains, which are those at the carrier; leave it out, or ask for cfr")
    if quantity != "delay-angle":
        refuse_idle(ctx, {"taps": "--taps"}, f"to {quantity}; leave it out, or ask for delay-angle")
    check_range("--carrier", carrier, CARRIERS_HZ, "hertz, such as 3.5e9")
    check_range("--spacing", spacing, _SPACINGS_HZ, "hertz, such as 30e3")
    check_scattering(scattering)
    check_range("--bs-yaw", bs_yaw, ANGLES_DEG, "degrees")
    check_range("--bs-downtilt", bs_downtilt, ANGLES_DEG, "degrees")

    from sitetwin.channel.antennas.arrays import Radio
    from sitetwin.channel.antennas.names import named_array, named_pattern
    from sitetwin.channel.grid import OfdmGrid
    from sitetwin.channel.io import write_channels
    from sitetwin.channel.request import ChannelRequest
    from sitetwin.rays.jobs.io import open_paths, summarise

    begun = time.perf_counter()
    source = open_paths(paths)
    refuse_model_without_edges(ctx, source)
    request = ChannelRequest(
        grid=OfdmGrid(carrier, subcarriers, spacing),
        quantity=quantity,  # type: ignore[arg-type]  # checked above
        tx=Radio(named_array(bs_array, named_pattern(pattern)), (math.radians(bs_yaw), math.radians(bs_downtilt), 0.0)),
        rx=Radio(named_array(ue_array, named_pattern(ue_pattern))),
        num_taps=taps,
        season=season,  # type: ignore[arg-type]
        foliage=None if foliage == "none" else foliage,
        out_of_range=out_of_range,  # type: ignore[arg-type]
        wavefront=wavefront,  # type: ignore[arg-type]
        steering=steering,  # type: ignore[arg-type]
        atmosphere=atmosphere_of(atmosphere, rain),
        diffuse_seed=diffuse_seed,
        diffraction=diffraction_model,  # type: ignore[arg-type]
    )
    with writing_store(to, resume), progress_bars() as tell:
        site, summary = roughened(site_of_paths(source, scene), scattering), summarise(paths)
        scattered = source.configuration.get("settings", {}).get("diffuse_paths", 0)
        warn_of_lost_scattering(scattering, scattered, f"{paths} was traced")
        if summary.paths == 0:
            raise SiteTwinError(
                f"no user in {paths} has a path, so that all channels would be zero; trace again with the transmitter "
                "and the users nearer to each other"
            )
        store = write_channels(paths, site, to, request, tell, resume)
    _print_summary(summary, store, request, time.perf_counter() - begun)
    say(str(to))


def _print_summary(summary: Any, store: Any, request: Any, seconds: float) -> None:
    size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
    shape = " x ".join(f"{count} {dim}" for count, dim in zip(request.shape, request.dims[1:], strict=True))
    table = Table(show_header=False)
    for name, value in (
        ("quantity", request.quantity),
        (f"values per {request.dims[0]}", shape),
        ("users", f"{summary.users:,}"),
        ("users without a path", f"{summary.users_without_path:,}"),
        ("paths", f"{summary.paths:,}"),
        ("tiles", f"{len(store.tiles):,}"),
        ("size on disk", f"{size / 1e6:,.1f} MB"),
        ("seconds", f"{seconds:.1f}"),
    ):
        table.add_row(name, value)
    out.print(table)
