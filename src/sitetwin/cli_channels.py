"""The command `sitetwin channels`: from a store of paths to a data set of channels."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sitetwin.cli_console import Context, out, progress_bars, refuse_idle, say, writing_store
from sitetwin.cli_options import ArrayDowntilt, ArrayYaw, Carrier, Foliage, OutOfRange, Season, UserArray, UserPattern
from sitetwin.errors import SiteTwinError, SiteTwinWarning

_KINDS = ("cfr", "delay-angle", "gains")
_ARRAY = "single, ula:32 or upa:8x8; with a polarisation where it is not V: upa:8x8:VH (V, H, VH, cross)."
_PATTERN = "iso, dipole, hw_dipole, tr38901, or a measured one: FILE.msi, FILE.pln, FILE.csv."
_CARRIERS_HZ = (1e6, 1e12)  # of the materials in ITU-R P.2040, and somewhat beyond
_SPACINGS_HZ = (1.0, 1e11)
_ANGLES_DEG = (-360.0, 360.0)
_RAINS_MM_H = (0.0, 3000.0)  # more than was ever measured over a minute
_AIR = {  # what the lines of P.676 are given for, widely
    "pressure": ((0.0, 2000.0), "hPa"),
    "temperature": ((100.0, 400.0), "K"),
    "vapour": ((0.0, 200.0), "g/m3"),
}
_MOST_SUBCARRIERS = 2**20
_CHOICES: dict[str, tuple[str, ...]] = {
    "--quantity": _KINDS,
    "--season": ("summer", "winter"),
    "--out-of-range": ("clamp", "extrapolate", "error"),
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
    scene: Annotated[
        str | None, typer.Option(help="The scene of the paths, by name or file; by default the one they name.")
    ] = None,
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
    atmosphere: Annotated[
        str,
        typer.Option(help="Loss in air: none, standard (sea level), or PRESSURE,TEMPERATURE,VAPOUR in hPa, K, g/m3."),
    ] = "none",
    scattering: Annotated[
        float | None,
        typer.Option(help="Scattering coefficient of all surfaces, 0 to 1; by default what the scene says."),
    ] = None,
    diffuse_seed: Annotated[int, typer.Option(min=0, help="Seed of the phases of diffuse scattering.")] = 0,
    rain: Annotated[float, typer.Option(help="Rain in mm/h; with rain, the air is standard if not given.")] = 0.0,
    wavefront: Annotated[str, typer.Option(help="plane or spherical.")] = "plane",
    steering: Annotated[str, typer.Option(help="carrier, or per-subcarrier (beam squint).")] = "carrier",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a data set that was begun.")] = False,
) -> None:
    """Turn traced paths into a data set of channels, readable with xarray alone."""
    given = {"--quantity": quantity, "--season": season, "--out-of-range": out_of_range}
    _check({**given, "--wavefront": wavefront, "--steering": steering})
    if quantity == "gains":
        idle = {"subcarriers": "--subcarriers", "spacing": "--spacing"}
        refuse_idle(ctx, idle, "to gains, which are those at the carrier; leave it out, or ask for cfr")
    if quantity != "delay-angle":
        refuse_idle(ctx, {"taps": "--taps"}, f"to {quantity}; leave it out, or ask for delay-angle")
    _check_range("--carrier", carrier, _CARRIERS_HZ, "hertz, such as 3.5e9")
    _check_range("--spacing", spacing, _SPACINGS_HZ, "hertz, such as 30e3")
    if scattering is not None:
        _check_range("--scattering", scattering, (0.0, 1.0), "")
    _check_range("--bs-yaw", bs_yaw, _ANGLES_DEG, "degrees")
    _check_range("--bs-downtilt", bs_downtilt, _ANGLES_DEG, "degrees")

    from sitetwin.channel.arrays import Radio
    from sitetwin.channel.describe import named_array, named_pattern
    from sitetwin.channel.grid import OfdmGrid
    from sitetwin.channel.io import write_channels
    from sitetwin.channel.request import ChannelRequest
    from sitetwin.rays.io import open_paths, summarise

    begun = time.perf_counter()
    source = open_paths(paths)
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
        atmosphere=_atmosphere(atmosphere, rain),
        diffuse_seed=diffuse_seed,
    )
    with writing_store(to, resume), progress_bars() as tell:
        site, summary = _roughened(_site_of(source, scene), scattering), summarise(paths)
        if scattering and not source.configuration.get("settings", {}).get("diffuse_paths"):
            warnings.warn(
                f"{paths} was traced without --diffuse: --scattering weakens reflections, what is scattered is lost",
                SiteTwinWarning,
                stacklevel=2,
            )
        if summary.paths == 0:
            raise SiteTwinError(
                f"no user in {paths} has a path, so that all channels would be zero; trace again with the transmitter "
                "and the users nearer to each other"
            )
        store = write_channels(paths, site, to, request, tell, resume)
    _print_summary(summary, store, request, time.perf_counter() - begun)
    say(str(to))


def _check(choices: dict[str, str]) -> None:
    for option, value in choices.items():
        if value not in _CHOICES[option]:
            raise SiteTwinError(f"{option} is {value!r}; choose one of {', '.join(_CHOICES[option])}")


def _check_range(option: str, value: float, limits: tuple[float, float], what: str) -> None:
    low, high = limits
    if not low <= value <= high:  # not a number, too
        raise SiteTwinError(f"{option} is {value}; give a number from {low:g} to {high:g} {what}".rstrip())


def _atmosphere(text: str, rain: float) -> Any:
    """Air and rain as given on the command line; None for a vacuum."""
    from sitetwin.channel.atmosphere import Atmosphere

    _check_range("--rain", rain, _RAINS_MM_H, "mm/h")
    if text == "none" and rain == 0:
        return None
    if text in ("none", "standard"):
        return Atmosphere(rain_mm_h=rain)
    try:
        pressure, temperature, vapour = (float(word) for word in text.split(","))
    except ValueError:
        raise SiteTwinError(
            f"--atmosphere is {text!r}; write none, standard, or hPa, K and g/m3 such as 1013.25,288.15,7.5"
        ) from None
    for value, (name, (limits, unit)) in zip((pressure, temperature, vapour), _AIR.items(), strict=True):
        _check_range(f"--atmosphere's {name}", value, limits, unit)
    return Atmosphere(pressure, temperature, vapour, rain)


def _site_of(source: Any, scene: str | None) -> Any:
    """The site of the given scene, or of the one that the paths name."""
    from sitetwin.site import open_site

    if scene is not None:
        return open_site(scene)
    name = source.attributes.get("site")
    if name is None:
        raise SiteTwinError(f"{source.path} does not name the scene of its paths; give it with --scene")
    try:
        return open_site(name)
    except SiteTwinError as error:
        raise SiteTwinError(
            f"the paths in {source.path} are of the scene '{name}', which is not built in; give its file with --scene"
        ) from error


def _roughened(site: Any, scattering: float | None) -> Any:
    """The site with another scattering coefficient on all surfaces."""
    if scattering is None:
        return site
    return site.variant(materials={m.name: replace(m, scattering_coefficient=scattering) for m in site.materials})


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
