"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

SITE_HELP = (
    "Folder of a saved site (`sitetwin site import` makes it of maps), name of a built-in Sionna RT scene (munich), or "
    "file: Mitsuba XML, CityJSON, GLB, glTF, OBJ, PLY, or a Wireless InSite project."
)
SiteName = Annotated[str, typer.Argument(metavar="SITE", help=SITE_HELP)]
SiteOfPaths = Annotated[
    str | None,
    typer.Option(
        help="The site of the paths: saved folder, built-in scene or file; by default the built-in scene they name."
    ),
]
Spacing = Annotated[float, typer.Option(help="Distance between users in metres.")]
Height = Annotated[float, typer.Option(help="Height of the users above the ground in metres.")]
Depth = Annotated[int, typer.Option(min=0, max=8, help="Most interactions of a path.")]
Diffraction = Annotated[bool, typer.Option("--diffraction", help="Trace paths with one diffraction at an edge too.")]
DiffractionModel = Annotated[
    str, typer.Option(help="Coefficients of edges: luebbers, or sionna, as Sionna RT has them, to compare.")
]
Transmissions = Annotated[
    int, typer.Option(min=0, max=16, help="Most walls (slabs) that a path may pass straight through.")
]
Season = Annotated[str, typer.Option(help="summer or winter: whether deciduous trees bear leaves.")]
Foliage = Annotated[
    str, typer.Option(help="Loss in leaves: default, woodland, nzg, weissberger, fitu-r, cost235 or none.")
]
OutOfRange = Annotated[
    str, typer.Option(help="Carrier outside a material's range: clamp (warns), extrapolate (warns), error.")
]
Diffuse = Annotated[int, typer.Option(min=0, help="Most paths per user that surfaces scatter diffusely.")]
DiffuseTile = Annotated[float, typer.Option(help="Longest edge of the tiles that scatter, in metres.")]
Scattering = Annotated[
    float | None,
    typer.Option(help="Scattering coefficient of all surfaces, 0 to 1; by default what the scene says."),
]
DiffuseSeed = Annotated[int, typer.Option(min=0, help="Seed of the phases of diffuse scattering.")]
Air = Annotated[
    str,
    typer.Option(
        "--atmosphere", help="Loss in air: none, standard (sea level), or PRESSURE,TEMPERATURE,VAPOUR in hPa, K, g/m3."
    ),
]
Rain = Annotated[float, typer.Option(help="Rain in mm/h; with rain, the air is standard if not given.")]
Carrier = Annotated[float, typer.Option(help="Carrier in Hz.")]
ArrayYaw = Annotated[float, typer.Option(help="Its boresight in degrees, from east, counter-clockwise.")]
ArrayDowntilt = Annotated[float, typer.Option(help="Its boresight in degrees below the horizon.")]
UserArray = Annotated[str, typer.Option(help="Array of the users, in the same form.")]
UserPattern = Annotated[str, typer.Option(help="Pattern of the users' elements.")]
