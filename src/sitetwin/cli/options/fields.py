"""What the commands that compute fields let one choose: leaves, materials, edges, air, rain and roughness."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sitetwin.cli.console import note
from sitetwin.cli.failures import Context, refuse_idle
from sitetwin.cli.options.groups import option_group
from sitetwin.cli.options.single import check_range, choice, number
from sitetwin.errors import SiteTwinError, SiteTwinWarning

if TYPE_CHECKING:
    from sitetwin.channel.fields.atmosphere import Atmosphere
    from sitetwin.channel.fields.options import FieldOptions
    from sitetwin.site import Site
    from sitetwin.store import TileStore

SEASONS = ("summer", "winter")
_LEAVES = "in summer deciduous trees bear leaves, in winter they are bare"
FOLIAGE = ("default", "woodland", "nzg", "weissberger", "fitu-r", "cost235", "none")
OUT_OF_RANGE = ("clamp", "extrapolate", "error")
DIFFRACTION_MODELS = ("luebbers", "sionna")
_RAINS_MM_H = (0.0, 3000.0)  # more than was ever measured over a minute
_AIR = {  # what the lines of P.676 are given for, widely
    "pressure": ((0.0, 2000.0), "hPa"),
    "temperature": ((100.0, 400.0), "K"),
    "vapour": ((0.0, 200.0), "g/m3"),
}


def _checked_air(ctx: Any, param: Any, value: str) -> str:
    _read_air(value)
    return value


@option_group("Fields")
class FieldChoices:
    """How the gains of paths are computed, as it was given on the command line."""

    season: Annotated[
        str, choice(*SEASONS, why=_LEAVES, help="Season: deciduous trees bear leaves in summer alone.")
    ] = "summer"
    foliage: Annotated[
        str, choice(*FOLIAGE, help="Model of the loss in leaves; default takes the one that fits the carrier.")
    ] = "default"
    out_of_range: Annotated[
        str,
        choice(*OUT_OF_RANGE, help="What becomes of a carrier outside a material's range; clamp and extrapolate warn."),
    ] = "clamp"
    diffraction_model: Annotated[
        str,
        choice(
            *DIFFRACTION_MODELS, help="Diffraction coefficients: those of Luebbers, or those of Sionna RT, to compare."
        ),
    ] = "luebbers"
    atmosphere: Annotated[
        str,
        typer.Option(
            callback=_checked_air,
            autocompletion=lambda: ["none", "standard"],
            help="Air that weakens waves: none, standard (sea level), or PRESSURE,TEMPERATURE,VAPOUR in hPa, K, g/m3.",
        ),
    ] = "none"
    rain: Annotated[
        float, number(*_RAINS_MM_H, "mm/h", "Rain in mm/h; with rain, the air is standard if not given.")
    ] = 0.0
    scattering: Annotated[
        float | None,
        number(0.0, 1.0, "", "Scattering coefficient of all surfaces, 0 to 1; by default what the scene says."),
    ] = None
    surfaces: Annotated[
        bool | None,
        typer.Option(
            "--surfaces-scatter/--surfaces-smooth",
            help="Whether surfaces scatter, so that reflections keep sqrt(1 - S^2) of their amplitude; by "
            "default they do where diffuse paths were traced.",
        ),
    ] = None
    diffuse_seed: Annotated[int, typer.Option(min=0, help="Seed of the phases of diffuse scattering.")] = 0

    def keywords(self) -> dict[str, Any]:
        """The choices by the names of the fields of `FieldOptions`."""
        return {
            "season": self.season,
            "foliage": None if self.foliage == "none" else self.foliage,
            "out_of_range": self.out_of_range,
            "diffraction": self.diffraction_model,
            "atmosphere": self.air(),
            "diffuse_seed": self.diffuse_seed,
            **({} if self.surfaces is None else {"diffuse": self.surfaces}),
        }

    def options(self) -> FieldOptions:
        """The choices as the library takes them."""
        from sitetwin.channel.fields.options import FieldOptions

        return FieldOptions(**self.keywords())

    def air(self) -> Atmosphere | None:
        """Air and rain; None for a vacuum."""
        from sitetwin.channel.fields.atmosphere import Atmosphere

        numbers = _read_air(self.atmosphere)
        if numbers is not None:
            return Atmosphere(*numbers, self.rain)
        return None if self.atmosphere == "none" and self.rain == 0 else Atmosphere(rain_mm_h=self.rain)

    def roughened(self, site: Site) -> Site:
        """The site with another scattering coefficient on all surfaces, if one is given."""
        if self.scattering is None:
            return site
        rough = {m.name: replace(m, scattering_coefficient=self.scattering) for m in site.materials}
        return site.variant(materials=rough)

    def check_traced(self, ctx: Context, source: TileStore) -> None:
        """Refuse what says nothing to a store of paths that was traced without diffraction.

        Raises:
            SiteTwinError: ``--diffraction-model`` was given.
        """
        if not source.configuration.get("settings", {}).get("diffraction"):
            why = f"to {source.path}, which was traced without --diffraction; leave it out"
            refuse_idle(ctx, ("diffraction_model",), why)

    def site_of(self, source: TileStore, scene: str | None) -> Site:
        """The site of a store of paths, as rough as was asked for; with a note where roughness changes nothing.

        Raises:
            SiteTwinError: There is no such scene, or the store names none.
        """
        from sitetwin.rays.jobs.scene import site_of_paths
        from sitetwin.site import open_site

        site = self.roughened(site_of_paths(source) if scene is None else open_site(scene))
        diffuse = source.configuration.get("settings", {}).get("diffuse_paths", 0)
        self.warn_of_idle_scattering(diffuse, f"{source.path} was traced")
        return site

    def note_assumptions(self, site: Site, carriers_hz: Sequence[float], settings: Mapping[str, Any]) -> None:
        """Say what follows for fields from what is assumed of a site's materials.

        Args:
            site: The site.
            carriers_hz: Carriers of the fields, Hz.
            settings: Settings of the trace by name.
        """
        from sitetwin.site.assumption_effects import assumption_effects

        passes, diffuse = bool(settings.get("max_transmissions")), bool(settings.get("diffuse_paths"))
        told = self.surfaces is not None or (
            self.scattering is not None and not diffuse
        )  # asked for, or told elsewhere
        carriers = sorted(set(carriers_hz))
        for sentence in assumption_effects(site, carriers, transmissions=passes, diffuse=None if told else diffuse):
            note(sentence)

    def warn_of_idle_scattering(self, diffuse_paths: int, what: str) -> None:
        """Warn where ``--scattering`` changes nothing, because no surface scatters."""
        if self.scattering is not None and not (diffuse_paths if self.surfaces is None else self.surfaces):
            warnings.warn(
                f"{what} without --diffuse: no surface scatters, reflections keep all their power, and --scattering "
                "changes nothing",
                SiteTwinWarning,
                stacklevel=2,
            )


def _read_air(text: str) -> tuple[float, float, float] | None:
    """Pressure, temperature and vapour as given by ``--atmosphere``; None for a word.

    Raises:
        SiteTwinError: It is no word, and no numbers of an atmosphere.
    """
    if text in ("none", "standard"):
        return None
    try:
        pressure, temperature, vapour = (float(word) for word in text.split(","))
    except ValueError:
        raise SiteTwinError(
            f"--atmosphere is {text!r}; write none, standard, or hPa, K and g/m3 such as 1013.25,288.15,7.5"
        ) from None
    for value, (name, (limits, unit)) in zip((pressure, temperature, vapour), _AIR.items(), strict=True):
        check_range(f"--atmosphere's {name}", value, limits, unit)
    return pressure, temperature, vapour
