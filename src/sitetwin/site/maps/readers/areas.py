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

_KINDS = frozenset((*_EXCEPT, *_ONLY, "barrier", "surface"))
_ABOUT_THE_MAP = frozenset({"type", "source", "created_by", "note", "fixme", "FIXME", "attribution", "odbl"})


def is_area(tags: Mapping[str, str]) -> bool:
    """Return whether a closed way with these tags is an area."""
    if tags.get("area") in ("yes", "no"):
        return tags["area"] == "yes"
    return any(tags.get(key, "no") != "no" and tags[key] not in lines for key, lines in _EXCEPT.items()) or any(
        tags.get(key) in areas for key, areas in _ONLY.items()
    )


def names_kind(tags: Mapping[str, str]) -> bool:
    """Return whether tags tell the kind of a thing, by one of OpenStreetMap's keys for areas or lines."""
    return any(tags[key] != "no" for key in _KINDS & tags.keys())


def same_kind(tags: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Return whether two sets of tags make areas of the same kind: they agree in a key of areas."""
    return any(tags[key] == others.get(key) for key in _EXCEPT if key in tags)


def says_something(tags: Mapping[str, str]) -> bool:
    """Return whether tags describe the thing itself, not only its author or source."""
    return any(key not in _ABOUT_THE_MAP and not key.startswith(("source:", "tiger:", "sitetwin:")) for key in tags)
