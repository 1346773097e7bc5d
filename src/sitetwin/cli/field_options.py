"""What the commands that compute fields read from their options: air, rain, roughness, the site, and ranges."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

from sitetwin.cli.console import Context, refuse_idle
from sitetwin.errors import SiteTwinError, SiteTwinWarning

if TYPE_CHECKING:
    from sitetwin.channel.fields.atmosphere import Atmosphere
    from sitetwin.site import Site
    from sitetwin.store import TileStore

CARRIERS_HZ = (1e6, 1e12)  # of the materials in ITU-R P.2040, and somewhat beyond
ANGLES_DEG = (-360.0, 360.0)
_RAINS_MM_H = (0.0, 3000.0)  # more than was ever measured over a minute
_AIR = {  # what the lines of P.676 are given for, widely
    "pressure": ((0.0, 2000.0), "hPa"),
    "temperature": ((100.0, 400.0), "K"),
    "vapour": ((0.0, 200.0), "g/m3"),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "--diffraction-model": ("luebbers", "sionna"),
    "--season": ("summer", "winter"),
    "--out-of-range": ("clamp", "extrapolate", "error"),
}


def check_choices(given: dict[str, str], choices: dict[str, tuple[str, ...]] = CHOICES) -> None:
    """Make sure that options name one of their choices.

    Raises:
        SiteTwinError: One does not.
    """
    for option, value in given.items():
        if value not in choices[option]:
            raise SiteTwinError(f"{option} is {value!r}; choose one of {', '.join(choices[option])}")


def check_range(option: str, value: float, limits: tuple[float, float], what: str) -> None:
    """Make sure that a number lies within its limits.

    Raises:
        SiteTwinError: It does not, or is none.
    """
    low, high = limits
    if not low <= value <= high:  # not a number, too
        raise SiteTwinError(f"{option} is {value}; give a number from {low:g} to {high:g} {what}".rstrip())


def atmosphere_of(text: str, rain: float) -> Atmosphere | None:
    """Air and rain as given by ``--atmosphere`` and ``--rain``; None for a vacuum.

    Raises:
        SiteTwinError: They are no words or numbers of an atmosphere.
    """
    from sitetwin.channel.fields.atmosphere import Atmosphere

    check_range("--rain", rain, _RAINS_MM_H, "mm/h")
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
        check_range(f"--atmosphere's {name}", value, limits, unit)
    return Atmosphere(pressure, temperature, vapour, rain)


def check_scattering(scattering: float | None) -> None:
    """Make sure that ``--scattering`` is a coefficient, if it was given.

    Raises:
        SiteTwinError: It is none.
    """
    if scattering is not None:
        check_range("--scattering", scattering, (0.0, 1.0), "")


def site_of_paths(source: TileStore, scene: str | None) -> Site:
    """The site of the given scene, or of the one that a store of paths names.

    Raises:
        SiteTwinError: There is no such scene, or the store names none.
    """
    from sitetwin.site import open_site

    if scene is not None:
        return open_site(scene)
    name = source.attributes.get("site")
    if name is None:
        raise SiteTwinError(f"{source.path} does not name the scene of its paths; give it with --scene")
    try:
        return open_site(str(name))
    except SiteTwinError as error:
        raise SiteTwinError(
            f"the paths in {source.path} are of the scene '{name}', which is not built in; give its file with --scene"
        ) from error


def roughened(site: Site, scattering: float | None) -> Site:
    """The site with another scattering coefficient on all surfaces, if one is given."""
    if scattering is None:
        return site
    return site.variant(materials={m.name: replace(m, scattering_coefficient=scattering) for m in site.materials})


def refuse_model_without_edges(ctx: Context, source: TileStore) -> None:
    """Refuse ``--diffraction-model`` where a store's paths were traced without diffraction.

    Raises:
        SiteTwinError: It was given.
    """
    if not source.configuration.get("settings", {}).get("diffraction"):
        why = f"to {source.path}, which was traced without --diffraction; leave it out"
        refuse_idle(ctx, {"diffraction_model": "--diffraction-model"}, why)


def warn_of_lost_scattering(scattering: float | None, diffuse_paths: int, what: str) -> None:
    """Warn where ``--scattering`` weakens reflections and what is scattered is nowhere."""
    if scattering and not diffuse_paths:
        warnings.warn(
            f"{what} without --diffuse: --scattering weakens reflections, what is scattered is lost",
            SiteTwinWarning,
            stacklevel=2,
        )
