"""Find buildings and building parts, the areas that are built of each, and the ground under each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.drawn import related_building
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.footprints import GRID, footprints
from sitetwin.site.maps.height_keys import with_known_keys
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.parts import Polygons, outline_of_part, uncovered

GROUND_SPACING = 5.0
"""Metres: the ground under a building is looked at along its outline at least this often."""

GroundHeight = Callable[[np.ndarray], np.ndarray]
"""Ground height of (N, 2) points, (N,) metres; NaN where there is none."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A building, a building part, or the rest of a building beside its parts.

    Attributes:
        feature: The feature on the map.
        building: The feature of the building that the piece belongs to; for a whole building, the feature itself. Parts
            that a relation holds together without an outline have a building with the relation's key and no tags.
        polygons: Area of the piece in plan; empty where parts cover all of it.
        ground: Lowest ground along the outlines of the building and all its parts, metres.
    """

    feature: Feature
    building: Feature
    polygons: Polygons
    ground: float


def is_building(tags: Mapping[str, str]) -> bool:
    """Return whether tags name a building."""
    return tags.get("building", "no") != "no"


def is_part(tags: Mapping[str, str]) -> bool:
    """Return whether tags name a part of a building that is not a building by itself."""
    return not is_building(tags) and tags.get("building:part", "no") != "no"


def find_pieces(features: Sequence[Feature], ground_height: GroundHeight, ledger: Ledger) -> list[Piece]:
    """Find the pieces to build, ordered by key.

    Args:
        features: The features of a map. Features that are not buildings are ignored; buildings under the ground or
            beyond the terrain are dropped.
        ground_height: Function from points (N, 2) to the ground's heights (N,), metres; NaN where there is no ground.
        ledger: Account of the import; it records what is read, repaired and dropped.

    Raises:
        SiteTwinError: The ground's heights have the wrong shape.
    """
    standing = _standing(features, ledger)
    drawn = [item for item in zip(standing, footprints(standing, ledger), strict=True) if item[1]]
    wholes = [item for item in drawn if is_building(item[0].tags)]
    parts = [item for item in drawn if is_part(item[0].tags)]
    parent = outline_of_part(
        [polygons for _, polygons in wholes],
        [polygons for _, polygons in parts],
        _related_outlines([feature for feature, _ in wholes], [feature for feature, _ in parts]),
    ).tolist()
    rows = wholes + parts
    owners = [
        *(feature for feature, _ in wholes),
        *(wholes[p][0] if p >= 0 else _without_outline(part) for (part, _), p in zip(parts, parent, strict=True)),
    ]
    _, building = np.unique(np.array([owner.key for owner in owners], dtype=str), return_inverse=True)
    ground = _lowest_ground([polygons for _, polygons in rows], building, ground_height)
    covers: dict[int, list[Polygons]] = {}
    for (_, polygons), number in zip(parts, parent, strict=True):
        covers.setdefault(number, []).append(polygons)
    pieces = []
    for row, (feature, polygons) in enumerate(rows):
        level = ground[building[row]]
        if np.isnan(level):
            ledger.note("dropped", "building outside of the terrain", feature.key)
            continue
        built = uncovered(polygons, covers[row], feature.key, ledger) if row in covers else polygons
        pieces.append(Piece(feature, owners[row], built, float(level)))
    return sorted(pieces, key=lambda piece: piece.feature.key)


def _standing(features: Sequence[Feature], ledger: Ledger) -> list[Feature]:
    """Buildings and parts above the ground, by key."""
    standing = []
    for feature in sorted(features, key=lambda feature: feature.key):
        if not (is_building(feature.tags) or is_part(feature.tags)):
            continue
        if feature.tags.get("location") == "underground":
            ledger.note("dropped", "building under the ground", feature.key)
            continue
        ledger.note("read", "building" if is_building(feature.tags) else "building part", feature.key)
        standing.append(replace(feature, tags=with_known_keys(feature.key, feature.tags, ledger)))
    return standing


def _related_outlines(wholes: list[Feature], parts: list[Feature]) -> list[list[int]]:
    """For each part the outlines of the building that a relation says it belongs to."""
    named: dict[str, list[int]] = {}
    for row, whole in enumerate(wholes):
        for key in {whole.key: None, related_building(whole.tags): None}:
            if key is not None:
                named.setdefault(key, []).append(row)
    return [named.get(related_building(part.tags) or "", []) for part in parts]


def _without_outline(part: Feature) -> Feature:
    """The building of a part that lies in no outline: that of its relation, else the part itself."""
    key = related_building(part.tags)
    return part if key is None else Feature(key, part.geometry, {})


def _lowest_ground(shapes: list[Polygons], building: np.ndarray, ground_height: GroundHeight) -> np.ndarray:
    """(N,) lowest ground under the outlines of each building, metres, rounded down to the grid; NaN where unknown."""
    lowest = np.full(len(shapes), np.inf)
    if shapes:
        polygons = np.array([polygon for group in shapes for polygon in group], dtype=object)
        owner = np.repeat(np.arange(len(shapes)), [len(group) for group in shapes])
        points, polygon = shapely.get_coordinates(shapely.segmentize(polygons, GROUND_SPACING), return_index=True)
        height = np.asarray(ground_height(points), dtype=np.float64)
        if height.shape != (len(points),):
            raise SiteTwinError(
                f"the ground gave heights of shape {height.shape} for {len(points)} points; one each is due"
            )
        known = np.isfinite(height)
        np.minimum.at(lowest, building[owner[polygon[known]]], height[known])
    return np.where(np.isfinite(lowest), np.floor(lowest / GRID) * GRID, np.nan)
