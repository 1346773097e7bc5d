"""Decide which closed ways of OpenStreetMap are areas, and which are lines that end where they start.

The tables follow the OpenStreetMap wiki, "Overpass turbo/Polygon Features" and "Key:area".
"""

from __future__ import annotations

from collections.abc import Mapping

_EXCEPT: dict[str, frozenset[str]] = {
    "building": frozenset(),
    "building:part": frozenset(),
    "landuse": frozenset(),
    "area:highway": frozenset(),
    "amenity": frozenset(),
    "leisure": frozenset({"track", "slipway"}),
    "natural": frozenset({"coastline", "cliff", "ridge", "arete", "tree_row", "earth_bank", "gully", "valley"}),
    "water": frozenset(),
    "wetland": frozenset(),
    "shop": frozenset(),
    "office": frozenset(),
    "craft": frozenset(),
    "tourism": frozenset(),
    "historic": frozenset({"citywalls"}),
    "place": frozenset(),
    "military": frozenset({"trench"}),
    "aeroway": frozenset({"runway", "taxiway", "parking_position"}),
    "man_made": frozenset({"cutline", "embankment", "pipeline", "breakwater", "groyne", "dyke"}),
    "golf": frozenset({"cartpath", "hole", "path"}),
}
"""Keys of areas, with the values that are lines nevertheless."""

_ONLY: dict[str, frozenset[str]] = {
    "highway": frozenset({"services", "rest_area", "platform"}),
    "waterway": frozenset({"riverbank", "dock", "boatyard", "dam", "fuel"}),
    "railway": frozenset({"station", "turntable", "roundhouse", "platform"}),
    "public_transport": frozenset({"station", "platform"}),
    "power": frozenset({"plant", "substation", "generator", "transformer"}),
}
"""Keys of lines, with the values that are areas nevertheless."""

_SQUARES = frozenset({"pedestrian", "footway", "living_street", "service"})
"""Values of `highway` that are areas where a multipolygon has them."""

_LINES = frozenset({"barrier", "railway", "waterway", "power", "natural", "man_made", "boundary"})
_YES_OR_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_KINDS = frozenset((*_EXCEPT, *_ONLY, "barrier", "surface"))
_ABOUT_THE_MAP = frozenset({"type", "source", "created_by", "note", "fixme", "FIXME", "attribution", "odbl"})


def is_area(tags: Mapping[str, str]) -> bool:
    """Return whether a closed way with these tags is an area."""
    said = _YES_OR_NO.get(tags.get("area", "").strip().lower())
    if said is not None:
        return said
    return any(tags.get(key, "no") != "no" and tags[key] not in lines for key, lines in _EXCEPT.items()) or any(
        tags.get(key) in areas for key, areas in _ONLY.items()
    )


def makes_area(tags: Mapping[str, str], kind: str) -> bool:
    """Return whether these tags make an area of a relation.

    Args:
        tags: Tags of a relation, or of the outer ways of one without tags.
        kind: Type of the relation. A multipolygon is an area already, so that fewer tags are needed; a border is one
            only if it says what covers the ground in it.
    """
    if kind == "boundary":
        return is_area({key: value for key, value in tags.items() if key != "place"})
    if is_area(tags):
        return True
    if "area" in tags or any(key in tags for key in _LINES):
        return False
    return tags.get("highway") in _SQUARES or ("surface" in tags and "highway" not in tags)


def as_line(tags: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]] | None:
    """Split the tags of an area whose outline is a line of its own, such as a park within a hedge or a ring road.

    Returns:
        The tags of the area and those of the line; None if there is no such line.
    """
    if "area" in tags or any(tags.get(key, "no") != "no" for key in ("building", "building:part")):
        return None
    lines = {key for key in ("barrier", "highway") if tags.get(key, "no") not in ("no", "pedestrian")}
    lines = {key for key in lines if tags[key] not in _ONLY.get(key, ())}
    if not lines:
        return None
    return (
        {key: value for key, value in tags.items() if key not in lines},
        {key: value for key, value in tags.items() if key not in _EXCEPT},
    )


def names_kind(tags: Mapping[str, str]) -> bool:
    """Return whether tags tell the kind of a thing, by one of OpenStreetMap's keys for areas or lines."""
    return any(tags[key] != "no" for key in _KINDS & tags.keys())


def same_kind(tags: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Return whether two sets of tags make areas of the same kind: both buildings, or they agree in a key of areas."""
    both = any(tags.get(key, "no") != "no" != others.get(key, "no") for key in ("building", "building:part"))
    return both or any(tags[key] == others.get(key) and tags[key] not in _EXCEPT[key] for key in _EXCEPT if key in tags)


def repeats(tags: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Return whether tags make an area and say nothing that others do not say."""
    own = {key: value for key, value in tags.items() if says_something({key: value}) and key != "area"}
    return is_area(tags) and all(others.get(key) == value for key, value in own.items())


def says_something(tags: Mapping[str, str]) -> bool:
    """Return whether tags describe the thing itself, not only its author or source."""
    return any(key not in _ABOUT_THE_MAP and not key.startswith(("source:", "tiger:", "sitetwin:")) for key in tags)
