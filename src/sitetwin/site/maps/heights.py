"""Determine heights of buildings from the map, or by a stated assumption."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.height_keys import COUNTS
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import has_several, parse_count, parse_length

LARGEST_HEIGHT = 1000.0
"""Metres: what a map says beyond it is not believed."""

SLAB = 0.2
"""Metres: thickness of the edge of a roof that stands without walls."""

ONE_STOREY = frozenset({"carport", "garage", "garages", "hut", "kiosk", "roof", "shed"})
"""Kinds of building that are taken for one level high where nothing else is said."""

_MOST_LEVELS = 300.0
SHORTEST = 0.1
"""Metres: least height of whatever stands."""


@dataclass(frozen=True)
class BuildingOptions:
    """What is assumed about buildings.

    Attributes:
        default_height: Height in metres of a building for which the map gives neither a height nor levels.
        default_spread: Spread of default heights, metres: they are drawn uniformly from `default_height` -+
            `default_spread`.
        level_height: Height of one level, metres (OpenStreetMap's convention is 3 m).
        foundation: Depth of the walls and the floor below the lowest ground under the outline, metres. So bodies are
            closed and no floor lies in the ground's surface.
        shared_walls: "merge": a wall between touching buildings is left out. "keep": it is kept as one surface, which
            faces away from the building whose key comes first.
    """

    default_height: float = 9.0
    default_spread: float = 0.0
    level_height: float = 3.0
    foundation: float = 0.5
    shared_walls: Literal["merge", "keep"] = "merge"

    def __post_init__(self) -> None:
        for name, high in (("default_height", LARGEST_HEIGHT), ("level_height", 100.0), ("foundation", 100.0)):
            value = getattr(self, name)
            if not 0.01 <= value <= high:
                raise SiteTwinError(f"{name} of buildings is {value:g} m; give 0.01 to {high:g} m")
        if not 0 <= self.default_spread <= self.default_height - SHORTEST:
            raise SiteTwinError(
                f"default_spread of buildings is {self.default_spread:g} m; give 0 to less than their default height "
                f"({self.default_height:g} m)"
            )
        if self.shared_walls not in ("merge", "keep"):
            raise SiteTwinError(f"shared walls of buildings: '{self.shared_walls}' is unknown; give 'merge' or 'keep'")


@dataclass(frozen=True)
class Heights:
    """Heights of a building or part above the lowest ground under the building, metres.

    Attributes:
        bottom: Height of the underside; None if it stands on the ground.
        top: Height of the highest point; None if it follows from the eaves and the roof's own height.
        eaves: Height where the roof begins; None if it follows from the top minus the roof's own height.
        loft: Height of the levels in the roof; with a flat roof, these levels lie below it.
        slab: Whether it is a roof without walls: its underside is `SLAB` below the eaves, unless `bottom` is given.
    """

    bottom: float | None
    top: float | None
    eaves: float | None
    loft: float
    slab: bool


def heights(
    key: str,
    tags: Mapping[str, str],
    outline_tags: Mapping[str, str] | None,
    options: BuildingOptions,
    ledger: Ledger,
    rng: np.random.Generator | None,
) -> Heights:
    """Derive heights from tags, in OpenStreetMap's sense: from the lowest ground under the building, roof included.

    The top is the first of these that the tags give: `height`; `building:levels` (which do not count the levels in the
    roof) plus the roof's own height; the top of the outline that a part belongs to; one level for sheds and the like;
    the default height. The underside is `min_height`, else `building:min_level`.

    Args:
        key: Key of the feature.
        tags: Tags of the feature.
        outline_tags: Tags of the building that a part belongs to.
        options: What is assumed about buildings.
        ledger: Account of the import; it records what was assumed, and values that are not credible.
        rng: Source of randomness for default heights, needed if a spread is set.
    """
    tags = _with_outline_height(key, tags, outline_tags, ledger)
    top, eaves = _length(key, tags, "height", ledger), None
    levels = _count(key, tags, "building:levels", ledger)
    roof_levels = _count(key, tags, "roof:levels", ledger) or 0.0
    if top == 0:
        ledger.note("dropped", "height of 0: counts as unknown", key)
    if not top:
        top = None
        if (levels or 0.0) + roof_levels > 0:
            eaves = (levels or 0.0) * options.level_height
            ledger.note("assumed", f"building height from levels of {options.level_height:g} m", key)
        else:
            top = _default(key, tags, options, ledger, rng)
    bottom = _length(key, tags, "min_height", ledger)
    if bottom is None:
        bottom = (_count(key, tags, "building:min_level", ledger) or 0.0) * options.level_height
    loft = roof_levels * options.level_height
    reach = top if top is not None else (eaves or 0.0) + loft
    if bottom > reach - SHORTEST:
        ledger.note("repaired", "min_height not below the top of its building, ignored", key)
        bottom = 0.0
    if top is not None and top < SHORTEST:
        ledger.note("repaired", f"building lower than {SHORTEST:g} m, raised to it", key)
        top = SHORTEST
    return Heights(bottom if bottom > 0 else None, top, eaves, loft, _has_no_walls(tags))


def _with_outline_height(
    key: str, tags: Mapping[str, str], outline: Mapping[str, str] | None, ledger: Ledger
) -> Mapping[str, str]:
    """A part without any height of its own takes that of its building."""
    words = ("height", "building:levels", "roof:levels")
    if outline is None or any(word in tags for word in words):
        return tags
    taken = {word: outline[word] for word in words if word in outline}
    if taken:
        ledger.note("assumed", "height of a building part from its building", key)
    return {**tags, **taken}


def _default(
    key: str, tags: Mapping[str, str], options: BuildingOptions, ledger: Ledger, rng: np.random.Generator | None
) -> float:
    if tags.get("building", tags.get("building:part")) in ONE_STOREY:
        ledger.note("assumed", f"height of a shed, garage or roof: one level of {options.level_height:g} m", key)
        return options.level_height
    if options.default_spread == 0:
        ledger.note("assumed", f"building height of {options.default_height:g} m, as none is given", key)
        return options.default_height
    if rng is None:
        raise SiteTwinError("a spread of default building heights needs a random number generator; pass rng")
    words = f"building height drawn from {options.default_height:g} -+ {options.default_spread:g} m, as none is given"
    ledger.note("assumed", words, key)
    return float(options.default_height + options.default_spread * rng.uniform(-1.0, 1.0))


def _has_no_walls(tags: Mapping[str, str]) -> bool:
    return "roof" in (tags.get("building"), tags.get("building:part")) or (
        tags.get("building") == "carport" or tags.get("wall") == "no"
    )


def _length(key: str, tags: Mapping[str, str], word: str, ledger: Ledger) -> float | None:
    """Metres of a tag, or None where it is missing or not credible."""
    return _credible(key, tags, word, parse_length(tags[word]) if word in tags else None, LARGEST_HEIGHT, ledger)


def _count(key: str, tags: Mapping[str, str], word: str, ledger: Ledger) -> float | None:
    return _credible(key, tags, word, parse_count(tags[word]) if word in tags else None, _MOST_LEVELS, ledger)


def _credible(
    key: str, tags: Mapping[str, str], word: str, value: float | None, most: float, ledger: Ledger
) -> float | None:
    if word not in tags:
        return None
    if value is None or not math.isfinite(value) or not 0 <= value <= most:
        ledger.note("dropped", f"{word} that is no number from 0 to {most:g}", key)
        return None
    if has_several(tags[word], counts=word in COUNTS):
        ledger.note("repaired", f"{word} with several values: the largest counts", key)
    return float(value)


def roof_height(key: str, tags: Mapping[str, str], run: float, options: BuildingOptions, ledger: Ledger) -> float:
    """Return a roof's height above its eaves, metres, from `roof:height`, `roof:angle`, `roof:levels` or 30 degrees.

    Args:
        key: Key of the feature.
        tags: Tags of the feature.
        run: Horizontal distance over which the roof rises from its eaves to its highest point, metres.
        options: What is assumed about buildings.
        ledger: Account of the import; it records what was assumed.
    """
    given = _length(key, tags, "roof:height", ledger)
    if given is not None:
        return given
    angle = _credible(key, tags, "roof:angle", _angle(tags.get("roof:angle")), 85.0, ledger)
    if angle is not None:
        return math.tan(math.radians(angle)) * run
    levels = _count(key, tags, "roof:levels", ledger)
    if levels:
        return levels * options.level_height
    ledger.note("assumed", "roof pitch of 30 degrees, as none is given", key)
    return math.tan(math.radians(30.0)) * run


def _angle(text: str | None) -> float | None:
    return None if text is None else parse_count(text.replace("°", "").strip())
