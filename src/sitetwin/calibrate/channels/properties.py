"""Properties of materials that channels tell about, and the parameters of a site's classes and buildings."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.calibrate.channels.parameters import Parameter, Priors, Scale, Stage, changes_of, from_scale, to_scale
from sitetwin.errors import SiteTwinWarning
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site import Site, split_materials

METAL = 1e4
"""Conductivity in S/m from which a material is metal, whose constants no channel shows."""


@dataclass(frozen=True)
class Property:
    """A property of materials.

    Attributes:
        what: Its name in `FieldOptions` and `Material`.
        unit: Its unit.
        scale: Scale of its prior.
        low: Smallest value, and as a share of the nominal one; the larger counts.
        high: Largest value, and as a multiple of the nominal one; the smaller counts.
        sd: Attribute of `Priors` with its standard deviation.
        stage: Stage of classes.
        source: Where prior and bounds come from.
    """

    what: str
    unit: str
    scale: Scale
    low: tuple[float, float]
    high: tuple[float, float]
    sd: str
    stage: Stage
    source: str


_FACTOR = "a quarter to four times the value of ITU-R P.2040-4"

PROPERTIES = (
    Property(
        "relative_permittivity",
        "",
        "log-above-1",
        (1.05, 0.25),
        (80.0, 4.0),
        "permittivity_log",
        "materials",
        f"ITU-R P.2040-4, spread of its building materials; {_FACTOR}",
    ),
    Property(
        "conductivity",
        "S/m",
        "log",
        (1e-6, 0.02),
        (100.0, 50.0),
        "conductivity_log",
        "materials",
        "ITU-R P.2040-4; moisture changes it by factors; a fiftieth to fifty times its value",
    ),
    Property(
        "thickness",
        "m",
        "log",
        (1e-4, 0.25),
        (10.0, 4.0),
        "thickness_log",
        "materials",
        "the site's thickness; a quarter to four times of it",
    ),
    Property(
        "scattering_coefficient",
        "",
        "logit",
        (0.005, 0.0),
        (0.95, 1e9),
        "scattering_logit",
        "scattering",
        "Degli-Esposti and others, IEEE T-AP 55(1), 2007: 0.2 to 0.4 on buildings",
    ),
)


@dataclass(frozen=True, eq=False)
class MaterialTable:
    """Entries of a site whose buildings have materials of their own, with the class that each belongs to.

    Attributes:
        site: The split site.
        class_of: (M,) class of each entry, an index into `classes`.
        classes: Names of the materials of the site that was split.
        nominal: For each property (M,) values before calibration.
        touched: (M,) whether a path meets the entry.
        scatters: Whether surfaces scatter in the paths.
        priors: Give S of surfaces that the site takes as smooth.
    """

    site: Site
    class_of: Int[np.ndarray, " entries"]
    classes: tuple[str, ...]
    nominal: dict[str, Float[np.ndarray, " entries"]]
    touched: np.ndarray
    scatters: bool
    priors: Priors

    @classmethod
    def of(cls, site: Site, carrier_hz: float, facets_met: np.ndarray, scatters: bool, priors: Priors) -> MaterialTable:
        """Split a site by building, and evaluate its materials at a carrier.

        Args:
            site: The site as traced.
            carrier_hz: Carrier, Hz.
            facets_met: Numbers of the facets that paths meet.
            scatters: Whether surfaces scatter in the paths.
            priors: Gives S of surfaces that the site takes as smooth.
        """
        split = split_materials(site, by="building")
        count = len(split.materials)
        old = np.zeros(count, dtype=np.int64)
        old[split.facet_material] = site.facet_material
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="ITU-R", category=SiteTwinWarning)  # a note of the result says it
            known = np.array([m.evaluate(carrier_hz) for m in split.materials]).reshape(count, 2)
        rough = np.array([m.scattering_coefficient for m in split.materials])
        if scatters and not rough.any():
            rough[:] = priors.nominal_scattering
        nominal = {
            "relative_permittivity": known[:, 0],
            "conductivity": known[:, 1],
            "thickness": np.array([np.inf if m.thickness is None else m.thickness for m in split.materials]),
            "scattering_coefficient": rough,
        }
        touched = np.zeros(count, dtype=bool)
        touched[split.facet_material[facets_met]] = True
        return cls(split, old, _different([m.name for m in site.materials]), nominal, touched, scatters, priors)

    def values(self, parameters: Sequence[Parameter], theta: np.ndarray) -> dict[str, np.ndarray]:
        """For each property (M,) values at changes of the parameters."""
        return {
            one.what: self._changed(one, changes_of(parameters, theta, one.what, len(self.class_of)))
            for one in PROPERTIES
        }

    def _changed(self, one: Property, change: np.ndarray) -> np.ndarray:
        values = self.nominal[one.what].copy()
        for at in np.flatnonzero(change):
            low, high = bounds(one, values[at])
            place = to_scale(float(np.clip(values[at], low, high)), one.scale) + change[at]
            values[at] = np.clip(from_scale(place, one.scale), low, high)
        return values

    def parameters(self, priors: Priors) -> list[Parameter]:
        """Parameters of classes, then of the buildings of classes that several buildings have."""
        found: list[Parameter] = []
        for one in PROPERTIES:
            sd = getattr(priors, one.sd)
            if sd == 0 or (one.what == "scattering_coefficient" and not self.scatters):
                continue
            for number in np.unique(self.class_of).tolist():
                entries = np.flatnonzero((self.class_of == number) & self._varies(one))
                if not len(entries):
                    continue
                name = f"{one.what} of {self.classes[number]}"
                found.append(self._parameter(one, name, one.stage, sd, entries))
                own = sd * priors.building_share
                if len(entries) > 1 and own > 0 and one.what != "conductivity":  # which no building's channels show
                    found += [
                        self._parameter(one, self._name(one, at, name), "buildings", own, entries[[i]], name)
                        for i, at in enumerate(entries.tolist())
                    ]
        return found

    def _name(self, one: Property, at: int, of_class: str) -> str:
        """Name of the property of an entry; the part of a class that is no building has the name of the class."""
        name = f"{one.what} of {self.site.materials[at].name}"
        return f"{name} (no building)" if name == of_class else name

    def _varies(self, one: Property) -> np.ndarray:
        """(M,) whether a property of an entry can change: metal stays metal, a half-space has no thickness."""
        values = self.nominal[one.what]
        if one.what == "thickness":
            return np.isfinite(values) & (self.nominal["conductivity"] < METAL)
        fits = self.nominal["conductivity"] < METAL
        if one.what == "relative_permittivity":
            return fits & (values > 1.0)
        if one.what == "conductivity":
            return fits & (values > 0)
        return values > 0

    def _parameter(
        self, one: Property, name: str, stage: Stage, sd: float, entries: np.ndarray, within: str = ""
    ) -> Parameter:
        nominal = float(self.nominal[one.what][entries[0]])
        low, high = bounds(one, nominal)
        nominal = float(np.clip(nominal, low, high))
        return Parameter(
            name,
            one.what,
            one.unit,
            stage,
            nominal,
            sd,
            one.scale,
            low,
            high,
            one.source,
            tuple(entries.tolist()),
            within,
        )


def bounds(one: Property, nominal: float) -> tuple[float, float]:
    """Smallest and largest value of a property with a nominal value."""
    low, high = max(one.low[0], one.low[1] * nominal), min(one.high[0], one.high[1] * nominal)
    if low < high:
        return low, high
    return one.low[1] * nominal, one.high[1] * nominal  # of a value beyond those of building materials


def _different(names: list[str]) -> tuple[str, ...]:
    """Names that tell materials apart: a number is added to one that was there already."""
    found: list[str] = []
    for name in names:
        number, other = 1, name
        while other in found or (number > 1 and other in names):
            number += 1
            other = f"{name}_{number}"
        found.append(other)
    return tuple(found)


def paths_meeting(paths: Paths, site: Site, entries: Sequence[int]) -> Bool[np.ndarray, "paths depth"]:
    """Whether paths reflect at, pass, scatter at, or bend at an edge of facets of some materials."""
    own = np.isin(site.facet_material, list(entries))
    plain = np.isin(paths.kinds, (Interaction.REFLECTION, Interaction.TRANSMISSION, Interaction.DIFFUSE))
    met: np.ndarray = plain & own[np.where(plain, paths.facets, 0)]
    bent = paths.kinds == Interaction.DIFFRACTION
    if bent.any():
        sides = np.asarray(site.wedges.facets)[np.where(bent, paths.facets, 0)]
        met |= bent & (own[sides] & (sides >= 0)).any(axis=-1)
    return met


def facets_met(paths: Paths, site: Site) -> np.ndarray:
    """Numbers of the facets that paths reflect at, pass, scatter at, or whose edges they bend at."""
    kinds, at = paths.kinds, paths.facets
    there = np.isin(kinds, (Interaction.REFLECTION, Interaction.TRANSMISSION, Interaction.DIFFUSE))
    bent = kinds == Interaction.DIFFRACTION
    met = [at[there]]
    if bent.any():
        edges = np.unique(at[bent])
        met.append(np.asarray(site.wedges.facets)[edges].reshape(-1))
    whole = np.unique(np.concatenate(met))
    return whole[whole >= 0]
