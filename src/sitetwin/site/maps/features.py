"""What a map says, in local metres: the form that every map reader makes and that every builder takes."""

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
        key: Its name in the source, unique in a map: "node/42", "way/17", "relation/5", or "feature/3" for the fourth
            feature of a file without ids.
        geometry: Point, LineString, Polygon or MultiPolygon; x east and y north of the map's origin, metres. As drawn:
            it may cross itself, and a builder that repairs it says so.
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
        name: Short name.
        features: In a canonical order that does not depend on the order of the file.
        georeference: Origin of the local frame.
        clip: (west, south, east, north) metres, the rectangle that was asked for, or None for the whole file.
        source: What was read, with its SHA-256; JSON-serialisable, without timestamps of the reading.
    """

    name: str
    features: tuple[Feature, ...]
    georeference: Georeference
    clip: tuple[float, float, float, float] | None = None
    source: Mapping[str, Any] = field(default_factory=dict)
