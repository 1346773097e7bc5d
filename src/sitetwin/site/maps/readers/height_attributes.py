"""Find the attribute that holds the heights of buildings in a data set that names it in its own way.

Data sets of cities name it in their language, and shapefiles cut names to ten characters. A name that looks like a
height counts if the values can be heights; the account says so, or which attribute may be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.height_names import looks_like, plain_name
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import parse_length

Unit = Literal["m", "ft", "dm", "cm", "mm", "levels"]
METRES: dict[str, float] = {"m": 1.0, "ft": 0.3048, "dm": 0.1, "cm": 0.01, "mm": 0.001}
"""Metres in a unit of lengths."""

_PLAIN = frozenset({"height", "buildingheight", "bldgheight", "bldghght", "hgt"})  # names that say no unit
_FEET = re.compile(r"ft$|feet|foot|pies$|piedi$")
_PART_OF_METRE = re.compile(r"(dm|cm|mm)$")
_KEY = re.compile(r"(.+?)(?::(m|ft|dm|cm|mm|levels))?")

_NUMBER = re.compile(r"[0-9.,]+")

_SHOWN = 8
_STOREY_OF_FEET = 7.5  # a storey that is higher than this in metres is given in feet
_ENOUGH = 5  # buildings by which the values of a known name are judged: fewer may be towers
_MANY, _ALIKE = 10, 1.5  # buildings that are no group of towers, and the ratio of the highest to the low ones


@dataclass(frozen=True)
class HeightKey:
    """An attribute that holds heights of buildings.

    Attributes:
        name: Name of the attribute or key.
        unit: "m", "ft", "dm", "cm", "mm", or "levels" for a number of storeys.
        asked: Whether its user named it, for all buildings of a map.
    """

    name: str
    unit: Unit = "m"
    asked: bool = False

    @classmethod
    def parse(cls, text: str) -> HeightKey:
        """Read "NAME", or with a unit "NAME:ft", "NAME:cm", "NAME:levels" and the like.

        Raises:
            SiteTwinError: The text is empty.
        """
        match = _KEY.fullmatch(text.strip())
        if match is None:
            raise SiteTwinError("the key of heights is empty; give the name of an attribute, such as HOEHE or HGT:ft")
        return cls(match[1], match[2] or "m", asked=True)  # type: ignore[arg-type]  # one of the units by its pattern

    def names(self, name: str) -> bool:
        """Return whether this is the name of an attribute, case, accents and punctuation aside."""
        return name == self.name or plain_name(name) == plain_name(self.name)

    def value(self, text: str) -> str:
        """Return a value with its unit."""
        return f"{text} {self.unit}" if self.unit not in ("m", "levels") and _NUMBER.fullmatch(text.strip()) else text

    @property
    def target(self) -> str:
        """The key of OpenStreetMap's scheme that the values belong to."""
        return "building:levels" if self.unit == "levels" else "height"


def numbers_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Return the attributes whose known values are numbers in most rows, each as (N,) float64 without the unknown."""
    found: dict[str, list[float]] = {}
    others: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            number = number_of(value)
            if number is not None:
                found.setdefault(str(name), []).append(number)
            elif value not in (None, ""):
                others[str(name)] = others.get(str(name), 0) + 1
    return {name: np.array(values) for name, values in found.items() if len(values) > others.get(name, 0)}


def number_of(value: Any) -> float | None:
    """A value as a number; None where it is none. Of a text it is the number that `parse_length` reads."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value) if abs(value) < 1e15 else None
    return parse_length(value) if isinstance(value, str) else None


def choose_attributes(
    rows: Sequence[Mapping[str, Any]], known: Mapping[str, str], ledger: Ledger
) -> dict[str, HeightKey]:
    """Choose the attributes that hold heights and storeys, where no known name does.

    Args:
        rows: Attributes of each polygon that may be a building.
        known: By key ("height", "building:levels"), the known name under which some of the rows have a value.
        ledger: Account of the import; it records what was chosen and why, and what may be meant otherwise.

    Returns:
        By name of the attribute, what it is.
    """
    numbers = numbers_of(rows)
    chosen: dict[str, HeightKey] = {}
    for target, unit in (("height", "m"), ("building:levels", "levels")):
        if target in known:
            continue
        names = sorted((n for n in numbers if looks_like(n, target)), key=lambda n: (_rank(n), n))
        keys = [HeightKey(name, _unit_of(name) if unit == "m" else "levels") for name in names]
        fitting = [key for key in keys if _is_plausible(numbers[key.name] * METRES.get(key.unit, 1.0), target)]
        for key in fitting[:1]:
            chosen[key.name] = key
    _check_feet(rows, chosen, known, ledger)
    for name, key in chosen.items():
        unit_word = {"m": "metres", "ft": "feet"}.get(key.unit, key.unit)
        words = "number of storeys" if key.unit == "levels" else f"height of buildings in {unit_word}"
        what = f"attribute '{name[:40]}' ({_range(numbers[name])}) is the {words}"
        ledger.note("assumed", what, count=len(numbers[name]))
    if not (chosen or known):
        _note_candidates(numbers, ledger)
    return chosen


def _unit_of(name: str) -> Unit:
    """The unit that a name of lengths ends with; metres if it says none."""
    plain = plain_name(name)
    if match := _PART_OF_METRE.search(plain):
        return match[1]  # type: ignore[return-value]  # one of the units by its pattern
    return "ft" if _FEET.search(plain) else "m"


def check_known(rows: Sequence[Mapping[str, Any]], name: str, unit: Unit, where: str) -> None:
    """Refuse heights under a known name that cannot be those of buildings over the ground.

    Args:
        rows: Attributes of each polygon that may be a building.
        name: Name of the attribute.
        unit: Its unit.
        where: Name of the file, for messages.

    Raises:
        SiteTwinError: Most are too high, or high and nearly alike as heights above the sea are.
    """
    given = numbers_of(rows)[name]
    values = given[given > 0] * METRES[unit]
    if len(values) < _ENOUGH:
        return
    low, middle, most = np.percentile(values, [10, 50, 100])
    if middle > 500 or low > 200 or (len(values) >= _MANY and low > 60 and most < _ALIKE * low):
        raise SiteTwinError(
            f"'{where}': the values of '{name[:40]}' ({_range(given)} {unit}) cannot be heights of buildings over the "
            "ground; if they are in another unit, or another attribute holds the heights, say --height-key NAME:cm "
            f"(NAME:ft, NAME:levels), and if they are right, --height-key {name[:40]}:{unit}"
        )


def _rank(name: str) -> int:
    """Plain heights before those of the top, before means."""
    plain = plain_name(name)
    return 2 if re.search(r"mean|avg|moy|med|mitt", plain) else 1 if re.search(r"max|top", plain) else 0


def _is_plausible(values: np.ndarray, target: str) -> bool:
    """Whether values can be heights over the ground (metres or feet) or storeys: most of a town is low, none is a mile.

    Numbers that count rows are none, nor are heights above the sea of a town that does not lie at it.
    """
    values = values[np.isfinite(values) & (values > 0)]
    if not len(values) or (len(values) > 10 and (np.diff(values) == 1).mean() > 0.5):
        return False
    low, middle, most = np.percentile(values, [10, 50, 100])
    if target == "height":
        return bool(1.5 <= middle <= 500 and low <= 200 and most <= 2800 and (low <= 60 or most > 2 * low))
    return bool(middle <= 60 and most <= 200)


def _check_feet(
    rows: Sequence[Mapping[str, Any]], chosen: dict[str, HeightKey], known: Mapping[str, str], ledger: Ledger
) -> None:
    """Take a height for feet where a storey would be too high in metres; of a known name, say only that it would."""
    heights = [n for n, key in chosen.items() if key.unit == "m"] or [n for k, n in known.items() if k == "height"]
    storeys = [n for n, key in chosen.items() if key.unit == "levels"] or [
        n for k, n in known.items() if k == "building:levels"
    ]
    if not (heights and storeys):
        return
    pairs = [(number_of(row.get(heights[0])), number_of(row.get(storeys[0]))) for row in rows]
    ratio = float(np.median([h / s for h, s in pairs if h and s and h > 0 and s > 0] or [0.0]))
    if ratio <= _STOREY_OF_FEET:
        return
    if heights[0] in chosen:
        chosen[heights[0]] = HeightKey(heights[0], "ft")
        ledger.note("assumed", f"heights in feet: a storey would be {ratio:.1f} m high in metres")
    elif plain_name(heights[0]) in _PLAIN:
        words = f"'{heights[0]}' in metres, though a storey would be {ratio:.1f} m high; --height-key {heights[0]}:ft"
        ledger.note("assumed", f"{words} reads feet")


def _note_candidates(numbers: Mapping[str, np.ndarray], ledger: Ledger) -> None:
    """Name the numeric attributes of a file of which none is known as a height."""
    text = numeric_attributes(numbers)
    if text:
        ledger.note(
            "dropped",
            f"numeric attributes, of which none is known as the height of buildings: {text}; name the one that is by "
            "--height-key NAME (or NAME:ft, NAME:cm, NAME:levels)",
        )


def numeric_attributes(numbers: Mapping[str, np.ndarray]) -> str:
    """Return the names and ranges of attributes, for messages; those that may be heights come first."""
    names = sorted(numbers, key=lambda n: (not _is_plausible(numbers[n], "height"), n.lower()))
    shown = [f"{name[:40]} ({_range(numbers[name])})" for name in names[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _range(values: np.ndarray) -> str:
    return f"{values.min():g} to {values.max():g}"
