"""Keys under which maps keep heights of buildings: those of OpenStreetMap's scheme, and other spellings of the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sitetwin.site.maps.height_names import looks_like_a_height
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import parse_count, parse_length

ESTIMATES = frozenset({"est_height", "building:est_height", "height:est"})
"""Heights that mappers estimated by eye."""

FEET = ("height:ft", "height_ft", "building:height:ft", "building:height_ft")
"""Heights that are in feet by their name."""

SPELLINGS: dict[str, tuple[str, ...]] = {
    "height": ("building:height", "height:building", "height_m", "building:height_m", *FEET, *sorted(ESTIMATES)),
    "min_height": ("building:min_height",),
    "building:levels": (
        *("building:levels:aboveground", "levels", "building:storeys", "building:stories", "building:floors"),
        *("storeys", "stories", "floors", "num_floors", "num_stories"),
    ),
    "building:min_level": ("building:min_levels", "min_level"),
    "roof:height": ("building:roof:height",),
    "roof:levels": ("building:roof:levels",),
    "roof:angle": ("building:roof:angle",),
}
"""By key of the scheme (wiki: Simple 3D Buildings): other spellings, the first that can be read counts."""

HEIGHT_KEYS = frozenset(SPELLINGS) | {key for others in SPELLINGS.values() for key in others}

COUNTS = frozenset({"building:levels", "building:min_level", "roof:levels", "roof:angle"})
"""Those that are numbers without a unit."""

_NUMBER = re.compile(r"[0-9.,]+")
_LIKE_A_HEIGHT = re.compile(
    r"(?:^|[:_])(?:\w*height(?:_m|_ft)?|hgt|num_floors|num_stories|ele|elevation|levels?|storeys?|stories|floors?)(?:$|[:_])"
)
_OF_NO_HEIGHT = re.compile(r"^(?:source|note|fixme|addr|check_date|sitetwin|level)(?:$|[:_])|[:_](?:source|note)$")


def with_known_keys(key: str, tags: Mapping[str, str], ledger: Ledger) -> Mapping[str, str]:
    """Return the tags of a building with its heights under the keys of the scheme.

    Args:
        key: Key of the feature.
        tags: Its tags.
        ledger: Account of the import; it records which other spelling was read, and what looks like a height but is
            not read.
    """
    given = [name for name in tags if _LIKE_A_HEIGHT.search(name.lower()) and not _OF_NO_HEIGHT.search(name.lower())]
    if not given:
        _note_other_names(key, tags, ledger)
        return tags
    found: dict[str, str] = {}
    read = set(SPELLINGS)
    for target, others in SPELLINGS.items():
        names = [name for name in (target, *others) if name in tags]
        chosen = next((name for name in names if _says(tags[name], target)), None)
        read |= {name for name in names if name == chosen or tags[name] == tags.get(chosen or "")}
        if chosen is not None and chosen != target:
            unit = " ft" if chosen in FEET and _NUMBER.fullmatch(tags[chosen].strip()) else ""
            found[target] = tags[chosen] + unit
            kind = "an estimate by eye" if chosen in ESTIMATES else f"as '{target}'"
            ledger.note("assumed", f"'{chosen}' of a building is read, {kind}", key)
    for name in sorted(set(given) - read):
        ledger.note("dropped", f"'{name[:40]}' of a building is not read", key)
    return {**tags, **found} if found else tags


def _note_other_names(key: str, tags: Mapping[str, str], ledger: Ledger) -> None:
    """Name what may be a height in another language: OpenStreetMap's scheme has English keys."""
    for name, text in sorted(tags.items()):
        if looks_like_a_height(name) and (parse_length(text) or 0.0) > 0:
            what = f"'{name[:40]}' of a building is not read; if it is its height, say --height-key {name[:40]}"
            ledger.note("dropped", what, key)


def _says(text: str, target: str) -> bool:
    """Whether a value can be read; a height of 0 means that it is unknown."""
    value = parse_count(text.replace("°", "").strip()) if target in COUNTS else parse_length(text)
    return value is not None and not (target == "height" and value == 0)
