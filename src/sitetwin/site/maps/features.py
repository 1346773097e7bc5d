"""Features of a map in local metres: all map readers make them, and all builders take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shapely.geometry.base import BaseGeometry

from sitetwin.site.projection import Georeference


@dataclass(frozen=True)
class Feature:
    """One thing on a map.

    Attributes:
        key: Name of the feature in the source, unique in a map: "node/42", "way/17", "relation/5", or "feature/3" for
            the fourth feature of a file without ids.
        geometry: Point, LineString, Polygon or MultiPolygon; x east and y north of the map's origin, metres. It is
            unrepaired: it may cross itself, and a builder that repairs it records the repair.
        tags: Keys and values as in OpenStreetMap ("building", "height", "natural", ...). Readers of other formats
            translate their attributes.
    """

    key: str
    geometry: BaseGeometry
    tags: Mapping[str, str]


@dataclass(frozen=True)
class MapData:
    """A map in local metres.

    Attributes:
        name: Short name of the map.
        features: In a canonical order that does not depend on the order of the file.
        georeference: Place on earth of the local frame's origin.
        clip: (west, south, east, north) of the rectangle that was asked for, metres, or None for the whole file.
        source: The files that were read, with their SHA-256; JSON-serialisable, without timestamps.
        bounds: (west, south, east, north) of the rectangle that the files say they cover, metres, or None.
        coast: Coastlines with the land on their left, metres; they are not cut, and reach out of the clip.
    """

    name: str
    features: tuple[Feature, ...]
    georeference: Georeference
    clip: tuple[float, float, float, float] | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
    bounds: tuple[float, float, float, float] | None = None
    coast: tuple[BaseGeometry, ...] = ()
