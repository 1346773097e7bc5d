"""Options that several commands share, and how single options check themselves.

A value that cannot be is refused where the command line is read, by a sentence that names the option.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sitetwin.errors import SiteTwinError
from sitetwin.hertz import check_carrier, check_spacing

_ANGLES_DEG = (-360.0, 360.0)

PROFILES = ("quick", "paper", "full")
"""Of every study: minutes; the published protocol; everything that bounds need."""

SITE_HELP = (
    "Folder of a saved site (`sitetwin site import` makes it of maps), name of a built-in Sionna RT scene (munich), or "
    "file: Mitsuba XML, CityJSON, GLB, glTF, OBJ, PLY, or a Wireless InSite project."
)


def choice(*names: str, help: str, option: str | None = None, checked: bool = True, why: str = "") -> Any:
    """An option that takes one of some names: its help lists them and shells complete them.

    Args:
        names: What it takes.
        help: Its help.
        option: How it is written, if not as its parameter.
        checked: Whether another name is refused here; otherwise the library has the say.
        why: What the names mean, for the sentence that refuses another.
    """
    return typer.Option(
        *([option] if option else []),
        metavar=f"[{'|'.join(names)}]",
        autocompletion=lambda: list(names),
        callback=_one_of(names, why) if checked else None,
        help=help,
    )


def number(low: float, high: float, unit: str, help: str, option: str | None = None) -> Any:
    """An option that takes a number within limits, said in words that name their unit."""

    def check(ctx: Any, param: Any, value: float | None) -> float | None:
        if value is not None:
            check_range(param.opts[0], value, (low, high), unit)
        return value

    return typer.Option(*([option] if option else []), callback=check, help=help)


def carrier_option(help: str) -> Any:
    """An option that takes a carrier."""
    return typer.Option(callback=_checked_by(check_carrier), help=help)


def spacing_option(help: str) -> Any:
    """An option that takes a subcarrier spacing."""
    return typer.Option(callback=_checked_by(check_spacing), help=help)


def _checked_by(check: Callable[[str, float], None]) -> Callable[[Any, Any, float | None], float | None]:
    def checked(ctx: Any, param: Any, value: float | None) -> float | None:
        if value is not None:
            check(param.opts[0], value)
        return value

    return checked


def check_range(option: str, value: float, limits: tuple[float, float], what: str) -> None:
    """Make sure that a number lies within its limits.

    Raises:
        SiteTwinError: It does not, or is none.
    """
    low, high = limits
    if not low <= value <= high:  # not a number, too
        raise SiteTwinError(f"{option} is {value}; give a number from {low:g} to {high:g} {what}".rstrip())


def _one_of(names: tuple[str, ...], why: str) -> Callable[[Any, Any, str | None], str | None]:
    meaning = f" ({why})" if why else ""

    def check(ctx: Any, param: Any, value: str | None) -> str | None:
        if value is not None and value not in names:
            raise SiteTwinError(f"{param.opts[0]} is {value!r}; choose one of {', '.join(names)}{meaning}")
        return value

    return check


def _positive_metres(ctx: Any, param: Any, value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise SiteTwinError(f"{param.opts[0]} is {value}; give a positive number of metres")
    return value


SiteName = Annotated[str, typer.Argument(metavar="SITE", help=SITE_HELP)]
SiteOfPaths = Annotated[
    str | None,
    typer.Option(
        help="Site of the paths: saved folder, built-in scene or file; by default the one in which they were traced, "
        "if it lies where it lay."
    ),
]
Spacing = Annotated[float, typer.Option(callback=_positive_metres, help="Distance between users in metres.")]
Height = Annotated[
    float, typer.Option(callback=_positive_metres, help="Height of the users above the ground in metres.")
]
Indoors = Annotated[
    bool, typer.Option("--indoors", help="Allow transmitters and users inside buildings, as rooms need it.")
]
Carrier = Annotated[float, carrier_option("Carrier in Hz.")]

DELAY_REFERENCES = ("transmission", "first-path")

FirstTap = Annotated[
    int, typer.Option(help="Index of the first delay tap; negative to keep side lobes before delay 0.")
]

DelayReference = Annotated[
    str, choice(*DELAY_REFERENCES, help="Where delay 0 lies: at the transmission, or at the first path of each user.")
]
Transmissions = Annotated[
    int, typer.Option(min=0, max=16, help="Most slabs that a path may pass straight through; an outer wall is one.")
]
LatticeSeed = Annotated[int, typer.Option(min=0, help="Seed of the ray lattices.")]
ArrayYaw = Annotated[
    float, number(*_ANGLES_DEG, "degrees", "Boresight of the transmitter in degrees, from east, counter-clockwise.")
]
ArrayAzimuth = Annotated[
    float | None,
    number(*_ANGLES_DEG, "degrees", "Or the boresight of the transmitter in degrees from north, clockwise."),
]
ArrayDowntilt = Annotated[
    float, number(*_ANGLES_DEG, "degrees", "Boresight of the transmitter in degrees below the horizon.")
]
StudyFolder = Annotated[
    Path, typer.Option("--out", help="Folder of the results; the same folder goes on where it stopped.")
]
CellFile = Annotated[
    Path | None, typer.Option(help="TOML file of a base station and its users on a site; Munich by default.")
]
