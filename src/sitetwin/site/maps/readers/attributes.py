"""Translate the attributes of other data sets to OpenStreetMap's tags."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from sitetwin.site.maps.height_keys import FEET, SPELLINGS
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.readers.height_attributes import METRES, HeightKey, Unit, numbers_of

HEIGHTS = frozenset({"height", "buildingheight", "bldgheight", "bldghgt", "measuredheight", "heightm", "hgt"})
"""Names of a building's height in metres (CityGML, Microsoft, Overture and many cities)."""

HEIGHTS_IN_FEET = frozenset({"heightft", "heightfeet", "buildingheightft", "heightroof"})
"""Names of a building's height in feet; `heightroof` is New York City's."""

STOREYS = frozenset(
    {"stories", "storeys", "storey", "levels", "floors", "numfloors", "nofloors", "numstories", "numstoreys"}
    | {"numberofstories", "numberofstoreys", "storeysaboveground", "buildinglevels", "bldglevels", "floorcount"}
)
"""Names of the number of storeys."""

_OTHERS = {
    "facadematerial": "building:material",
    "facadecolor": "building:colour",
    "roofmaterial": "roof:material",
    "roofshape": "roof:shape",
    "rooftype": "roof:shape",
    "roofcolor": "roof:colour",
    "roofheight": "roof:height",
    "minheight": "min_height",
    "minfloor": "building:min_level",
}
"""Other names, of Overture and OpenStreetMap with other punctuation."""

_LAND_USE = "landuse"
_NUMBER_ONLY = re.compile(r"[0-9.,]+")
_NOT_A_LETTER = re.compile(r"[^a-z0-9]")


def to_tags(
    properties: Mapping[str, Any], ledger: Ledger, key: str, chosen: Mapping[str, HeightKey] | None = None
) -> tuple[dict[str, str], bool]:
    """Translate the attributes of one feature.

    Names are compared without case and punctuation ("Bldg_Height" is "bldgheight"). Heights and numbers of storeys of 0
    or less mean "unknown" in such data sets, and are left out. ``land_use`` is the use of a building if the feature has
    a height or storeys, otherwise it becomes ``landuse``. Names that are in no table stay unchanged.

    Args:
        properties: Names and values of the attributes.
        ledger: Account of the import; it records what was assumed and dropped.
        key: Key of the feature, for the ledger.
        chosen: By name, further attributes that hold heights or storeys (`choose_attributes`).

    Returns:
        Tags, and whether there was an attribute for a building's height or storeys, even one with an unknown value.
    """
    plain = dict(_flat(properties, ledger, key))
    short = {name: _short(name) for name in plain}
    chosen = chosen or {}
    of_building = any(_is_of_building(name, short[name]) or name in chosen for name in plain)
    tags: dict[str, str] = {}
    translated: dict[str, str] = {}
    spare: dict[str, str] = {}  # other spellings, for where the value under the key itself cannot be read
    for name, value in plain.items():
        target = _target(name, short[name], of_building)
        text = _text(value)
        if text is None:
            continue
        if name in chosen and not chosen[name].asked:
            text = _measure(text, chosen[name].target, chosen[name].unit, ledger, key)
            target = chosen[name].target
        elif target in ("height", "building:levels") and short[name] not in _OTHERS:
            text = _measure(text, target, "ft" if short[name] in HEIGHTS_IN_FEET else "m", ledger, key)
        if text:
            (tags if target == name else translated).setdefault(target, text)
            if name in SPELLINGS.get(target, ()):
                spare[name] = text
    kept = {name: text for name, text in spare.items() if any(name in SPELLINGS.get(target, ()) for target in tags)}
    return {**kept, **translated, **tags}, of_building


def known_targets(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the known names under which some rows have "height" and "building:levels", with a value above 0."""
    found: dict[str, str] = {}
    for name, values in numbers_of(rows).items():
        if (values > 0).any() and _is_of_building(name, _short(name)):
            of_storeys = _short(name) in STOREYS or name in SPELLINGS["building:levels"]
            found.setdefault("building:levels" if of_storeys else "height", name)
    return found


def unit_of_known(name: str) -> Unit:
    """Return the unit of heights under a known name."""
    return "ft" if _short(name) in HEIGHTS_IN_FEET or name in FEET else "m"


def _is_of_building(name: str, short: str) -> bool:
    """Whether a known name is that of a building's height or storeys."""
    spelled = name in SPELLINGS["height"] or name in SPELLINGS["building:levels"]
    return spelled or short in HEIGHTS or short in HEIGHTS_IN_FEET or short in STOREYS


def _flat(properties: Mapping[str, Any], ledger: Ledger, key: str) -> list[tuple[str, Any]]:
    """The attributes, with those of a nested "tags" among them (as osmtogeojson once wrote)."""
    rows: list[tuple[str, Any]] = []
    for name, value in properties.items():
        if name == "tags" and isinstance(value, Mapping):
            rows += _flat({str(k): v for k, v in value.items() if k != "tags"}, ledger, key)
        elif isinstance(value, (Mapping, list, tuple)):
            ledger.note("dropped", "attribute that is no text, number or truth value", key)
        else:
            rows.append((str(name), value))
    return rows


@lru_cache(maxsize=1024)
def _short(name: str) -> str:
    """A name without case and punctuation; files have the same few names a thousand times."""
    return _NOT_A_LETTER.sub("", name.lower())


def _target(name: str, short: str, of_building: bool) -> str:
    if ":" in name:
        return name  # OpenStreetMap's own: whoever uses the tag reads it
    if short in HEIGHTS or short in HEIGHTS_IN_FEET:
        return "height"
    if short in STOREYS:
        return "building:levels"
    if short == _LAND_USE and name != _LAND_USE:
        return "building:use" if of_building else _LAND_USE
    return _OTHERS.get(short, name)


def _text(value: Any) -> str | None:
    """A value as OpenStreetMap would write it; None for no value."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value).strip() or None


def _measure(text: str, target: str, unit: Unit, ledger: Ledger, key: str) -> str | None:
    """A height or a number of storeys; None where it means "unknown"."""
    try:
        number = float(text)
    except ValueError:
        # With a unit, a decimal comma, or nonsense: whoever uses the tag reads it.
        return f"{text} {unit}" if unit not in ("m", "levels") and _NUMBER_ONLY.fullmatch(text) else text
    if number <= 0:
        ledger.note("assumed", f"attribute for {target} of 0 or less means unknown", key)
        return None
    return text if unit in ("m", "levels") else f"{number * METRES[unit]:.3f}"
