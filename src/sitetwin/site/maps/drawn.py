"""Things on a map in WGS84 degrees, as a reader of one format returns them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

BUILDING = "sitetwin:building"
"""Tag of the outline and of the parts of a building that a ``type=building`` relation holds together: the outline's key
(the relation's, where it has none)."""

_KEY = re.compile(r"(?:(\d+)/)?([a-z]+)/(-?\d+)(?:\.(\d+))?")
_OSM_KEY = re.compile(r"(?:node|way|relation)/-?\d{1,20}")
_RANKS = {"node": 0, "way": 1, "relation": 2, "feature": 3}


@dataclass(frozen=True)
class Drawn:
    """One thing on a map, in degrees.

    Attributes:
        key: Key of the thing, such as "way/17", unique in a map.
        geometry: Point, LineString, Polygon or MultiPolygon; longitude and latitude, degrees.
        tags: Tags of the thing: keys and values as in OpenStreetMap.
    """

    key: str
    geometry: BaseGeometry
    tags: Mapping[str, str]

    def moved(self, geometry: BaseGeometry) -> Drawn:
        """Return this thing with another geometry, such as its geometry in local metres."""
        return replace(self, geometry=geometry)


def pieces(key: str, parts: Sequence[BaseGeometry], tags: Mapping[str, str]) -> list[Drawn]:
    """Split a thing into several: the first keeps the key "way/17", the second gets "way/17.2"."""
    return [Drawn(key if k == 0 else f"{key}.{k + 1}", part, tags) for k, part in enumerate(parts)]


def sort_key(key: str) -> tuple[int, int, str, int, int]:
    """Return the sort key of a thing: nodes, ways, relations, others, each by number."""
    match = _KEY.fullmatch(key)
    if match is None:
        return (len(_RANKS), 0, key, 0, 0)
    file, kind, number, piece = match.groups()
    return (_RANKS.get(kind, len(_RANKS)), int(file or 1), kind, int(number), int(piece or 0))


def is_building(tags: Mapping[str, str]) -> bool:
    """Return whether the tags name a building or a part of a building."""
    return any(tags.get(key, "no") != "no" for key in ("building", "building:part"))


def related_building(tags: Mapping[str, str]) -> str | None:
    """Return the key of the building to which a relation assigns the thing with these tags (`BUILDING`)."""
    key = tags.get(BUILDING, "")
    return key if _OSM_KEY.fullmatch(key) else None


def bounds(things: list[Drawn]) -> np.ndarray:
    """Return (N, 4) float64: west, south, east, north of each thing, degrees; NaN where a point has no place.

    All points count: those of a hole may lie beyond the outer ring of a broken polygon.
    """
    points, owner = shapely.get_coordinates(np.array([t.geometry for t in things], dtype=object), return_index=True)
    box = np.full((len(things), 4), (np.inf, np.inf, -np.inf, -np.inf))
    np.minimum.at(box[:, :2], owner, points)
    np.maximum.at(box[:, 2:], owner, points)
    box[box[:, 0] > box[:, 2]] = np.nan
    return box
