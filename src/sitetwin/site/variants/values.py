"""Give materials of a site other numbers: what was measured, or what a calibration found."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from numbers import Real
from typing import Any

import numpy as np
from pydantic import ConfigDict

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.site.materials import Material
from sitetwin.site.mesh import AnyMesh

_CONSTANTS = ("relative_permittivity", "conductivity")


@dataclass(frozen=True)
class MaterialValues:
    """Numbers that a material has from now on; None leaves what it has.

    Attributes:
        relative_permittivity: Real part of the relative permittivity, at least 1. It holds at every frequency.
        conductivity: Conductivity in S/m, at least 0. It holds at every frequency.
        thickness: Thickness in metres, of a slab; a half-space has none.
        scattering_coefficient: Scattering coefficient S, 0 to 1.
        xpd_coefficient: Share K_x of the scattered power in the cross polarisation, 0 to 1.
        carrier_hz: Frequency at which the values were found, Hz; it is noted. Where only one of permittivity and
            conductivity is given for a material of the ITU's tables, the other one is taken from there.

    Raises:
        SiteTwinError: A value is no finite number, or none is given.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    relative_permittivity: float | None = None
    conductivity: float | None = None
    thickness: float | None = None
    scattering_coefficient: float | None = None
    xpd_coefficient: float | None = None
    carrier_hz: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not (value is None or math.isfinite(value)):
                raise SiteTwinError(f"{name} is {value}; give a finite number")
        if not self.given():
            raise SiteTwinError(f"no value is given; give one of {', '.join(VALUES)}")

    def given(self) -> dict[str, float]:
        """The values that are given, without the carrier."""
        return {name: value for name, value in asdict(self).items() if value is not None and name in VALUES}


VALUES = tuple(field.name for field in fields(MaterialValues) if field.name != "carrier_hz")
"""Names of the values that may be given."""


def set_values(
    site: AnyMesh, values: Mapping[str, MaterialValues | Mapping[str, Any]]
) -> tuple[AnyMesh, list[dict[str, Any]]]:
    """Give materials other numbers; return the new site and an entry for each material.

    Materials keep their names. A material of the ITU's tables that gets a permittivity or a conductivity has constants
    of its own from then on, the same at every frequency.

    Args:
        site: The site.
        values: For names of materials in the site, their values; in a mapping, these may be tensors or arrays of one
            number, which become plain numbers: no gradient flows through a site.

    Raises:
        SiteTwinError: A name is not in the site, a value is out of range, a half-space gets a thickness, or one of the
            two constants of a table's material is given without a carrier.
    """
    known = [material.name for material in site.materials]
    for name in values:
        if name not in known:
            some = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
            raise SiteTwinError(f"the site '{site.name}' has no material '{name}'; it has {some}")
    materials, differences = [], []
    facets = np.bincount(site.facet_material, minlength=len(known))
    for old, count in zip(site.materials, facets.tolist(), strict=True):
        new = old
        if old.name in values:
            with said_of(f"values of '{old.name}'"):
                wanted = _as_values(values[old.name])
                new = _with_values(old, wanted)
            if new != old:
                at = {} if wanted.carrier_hz is None else {"carrier_hz": wanted.carrier_hz}
                differences.append({**_difference(old, new), "facets": count, **at})
        materials.append(new)
    return replace(site, materials=tuple(materials)), differences


def _difference(old: Material, new: Material) -> dict[str, Any]:
    was, now = old.to_dict(), new.to_dict()
    changed = [key for key in now if now[key] != was[key]]
    entry = {"before": {key: was[key] for key in changed}, "after": {key: now[key] for key in changed}}
    return {"what": "material values", "material": old.name, **entry}


def _as_values(given: MaterialValues | Mapping[str, Any]) -> MaterialValues:
    if isinstance(given, MaterialValues):
        return given
    unknown = sorted(set(given) - {field.name for field in fields(MaterialValues)})
    if unknown:
        raise SiteTwinError(f"a material has no value '{unknown[0]}'; it has {', '.join(VALUES)}")
    return MaterialValues(**{name: _plain(name, value) for name, value in given.items()})


def _plain(name: str, value: Any) -> float | None:
    """A plain number of what may be a tensor or an array of one."""
    number = value
    if not isinstance(value, Real) and getattr(value, "shape", None) in ((), (1,)):
        number = value.item()  # without the graph of a tensor
    if number is not None and (isinstance(number, bool) or not isinstance(number, Real)):
        raise SiteTwinError(f"{name} is a {type(value).__name__}; give one number")
    return None if number is None else float(number)


def _with_values(old: Material, values: MaterialValues) -> Material:
    given: dict[str, Any] = values.given()
    if "thickness" in given and old.thickness is None:
        raise SiteTwinError("it is a half-space, which has no thickness; leave it out, or exchange the material")
    if _needs_table(old, values):
        known = dict(zip(_CONSTANTS, old.evaluate(_carrier(old, values)), strict=True))
        given = known | given
    if set(given) & set(_CONSTANTS):
        given["itu"] = None
    return replace(old, **given)


def _needs_table(old: Material, values: MaterialValues) -> bool:
    """Whether one of the two constants has to come from a table of the ITU."""
    return old.itu is not None and len(set(values.given()) & set(_CONSTANTS)) == 1


def _carrier(old: Material, values: MaterialValues) -> float:
    """The frequency at which a table is to be read."""
    if values.carrier_hz is None:
        (missing,) = set(_CONSTANTS) - set(values.given())
        raise SiteTwinError(
            f"the {missing} of '{old.itu}' follows the frequency in the tables of the ITU; give it too, or give "
            "carrier_hz, the frequency at which it is taken"
        )
    return values.carrier_hz
