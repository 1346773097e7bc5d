"""Find which parts of a map cover the ground, and how wide its lines are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import shapely

from sitetwin.site.maps import even_odd
from sitetwin.site.maps.crowding import refuse_crowds
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import parse_length
from sitetwin.site.maps.rules import MaterialRules

SIMPLIFY = 0.2
"""Metres by which an outline or a centre line may be straightened (Douglas-Peucker)."""

QUARTER_SEGMENTS = 2
"""Chords in a quarter circle, at the ends of roads."""

LANES: dict[str, tuple[int, float]] = {
    "motorway": (2, 3.75),
    "trunk": (2, 3.5),
    "primary": (2, 3.5),
    "secondary": (2, 3.25),
    "tertiary": (2, 3.25),
    "unclassified": (2, 3.0),
    "residential": (2, 2.75),
    "road": (2, 2.75),
    "living_street": (2, 2.5),
    "pedestrian": (2, 2.5),
    "busway": (1, 3.5),
    "service": (1, 3.5),
    "track": (1, 3.0),
    "motorway_link": (1, 3.75),
    "trunk_link": (1, 3.5),
    "primary_link": (1, 3.5),
    "secondary_link": (1, 3.5),
    "tertiary_link": (1, 3.5),
    "cycleway": (1, 2.0),
    "footway": (1, 2.0),
    "path": (1, 1.5),
    "steps": (1, 2.0),
    "bridleway": (1, 2.0),
}
"""By `highway`: lanes and metres per lane where a map gives no width. Lane widths follow the German guidelines for
roads (RAA 2008: 3.75 m on motorways; RASt 06: carriageways of 6.5 m for two lanes of main streets, 5.5 m in residential
streets); those of ways for walking and riding are by judgement."""

WATERWAYS = {"river": 12.0, "canal": 10.0, "stream": 2.0, "ditch": 1.0, "drain": 1.0}
"""By `waterway`: metres where a map gives no width; by judgement. Wider waters are mapped as areas."""

_WIDTHS = (0.3, 200.0)  # metres that a width may have
_ROAD, _WATER, _OTHER = range(3)
_BELOW = {"yes", "culvert", "flooded", "avalanche_protector"}
_FEW_PARTS = 1_000  # of an area, which GEOS straightens together in a tenth of a second
_STACKED = {"underground", "multi-storey", "rooftop"}


@dataclass(frozen=True)
class Area:
    """A part of the ground.

    Attributes:
        geometry: Polygon or MultiPolygon, metres.
        material: Name of the material in the table of the rules.
        rank: Order of the layers; the area of the lowest rank lies on top.
    """

    geometry: shapely.Geometry
    material: str
    rank: tuple[int, float, str]


def ground_areas(
    features: Sequence[Feature], rules: MaterialRules, ledger: Ledger, extent: tuple[float, float, float, float]
) -> list[Area]:
    """Return the areas of a map inside a rectangle, the topmost first.

    Lines become areas by their `width`, their `lanes`, or the tables of this module. Tunnels, features below the ground
    (`layer` under 0) and bridges are left out: the ground continues under a bridge.

    Args:
        features: The features of a map.
        rules: Rules for the materials; those for the ground decide which features count.
        ledger: Account of the import; it records assumptions, repairs and what was left out.
        extent: (west, south, east, north), metres.

    Raises:
        SiteTwinError: Ways or outlines cross one another more often than anybody can mean.
    """
    frame = shapely.box(*extent)
    areas: list[Area] = []
    roads: dict[tuple[str, float], list[shapely.Geometry]] = {}
    ways: dict[str, shapely.Geometry] = {}
    for feature in features:
        material = _ground_material(feature, rules, ledger)
        if material is None:
            continue
        if not shapely.intersects(frame, shapely.envelope(feature.geometry)):
            ledger.note("dropped", f"'{_key(feature.tags)}' beyond the ground's rectangle", feature.key)
            continue
        if feature.geometry.geom_type in ("LineString", "MultiLineString"):
            width = line_width(feature, ledger)
            if width is None:
                continue
            ledger.note("read", f"ground line '{_key(feature.tags)}'", feature.key)
            if "highway" in feature.tags:
                roads.setdefault((material, width), []).append(feature.geometry)
                ways[feature.key] = feature.geometry
            else:
                refuse_crowds([feature.geometry], [feature.key], "bends of a waterway")
                line = shapely.simplify(feature.geometry, SIMPLIFY)
                areas.append(Area(strips([line], width), material, (_WATER, 0.0, feature.key)))
            continue
        polygon = valid_area(feature, ledger)
        if polygon is not None:
            ledger.note("read", f"ground area '{_key(feature.tags)}'", feature.key)
            areas.append(Area(polygon, material, (_layer(feature.tags), polygon.area, feature.key)))
    refuse_crowds(list(ways.values()), list(ways), "streets and ways")
    for (material, width), lines in roads.items():
        merged = shapely.get_parts(shapely.line_merge(shapely.union_all(lines)))
        areas.append(Area(strips(shapely.simplify(merged, SIMPLIFY), width), material, (_ROAD, -width, material)))
    cut = shapely.intersection(np.array([a.geometry for a in areas], dtype=object), frame)
    refuse_crowds(cut, [a.rank[2] for a in areas], "outlines of the ground")
    inside = [Area(g, a.material, a.rank) for a, g in zip(areas, _polygonal(cut), strict=True) if not g.is_empty]
    return sorted(inside, key=lambda area: area.rank)


def _polygonal(geometries: np.ndarray) -> list[shapely.Geometry]:
    """The geometries without points and lines, which a cut along a border leaves."""
    result = []
    for geometry in geometries:
        if geometry.geom_type not in ("Polygon", "MultiPolygon"):
            parts = [p for p in shapely.get_parts(geometry) if p.geom_type in ("Polygon", "MultiPolygon")]
            geometry = shapely.union_all(parts)
        result.append(geometry)
    return result


def _ground_material(feature: Feature, rules: MaterialRules, ledger: Ledger) -> str | None:
    tags = feature.tags
    if feature.geometry.is_empty or feature.geometry.geom_type in ("Point", "MultiPoint"):
        return None
    if "building" in tags or "building:part" in tags:
        return None
    material = rules.ground(tags)
    if material is None:
        return None
    if tags.get("parking") in _STACKED:
        ledger.note("dropped", "parking that is not on the ground", feature.key)
        return None
    reason = off_the_ground(tags)
    if reason is not None:
        ledger.note("dropped", f"'{_key(tags)}' {reason}", feature.key)
        return None
    return material


def off_the_ground(tags: Mapping[str, str]) -> str | None:
    """Say why something is not part of the ground (below it, or on a bridge); None if it is part of it."""
    if tags.get("tunnel") in _BELOW or tags.get("location") == "underground" or _below(tags.get("layer", "")):
        return "below the ground"
    return "on a bridge: bridges are not built" if tags.get("bridge", "no") != "no" else None


def _below(layer: str) -> bool:
    try:
        return float(layer) < 0
    except ValueError:
        return False


def _key(tags: Mapping[str, str]) -> str:
    """What a feature is, for the account."""
    for key in ("highway", "area:highway", "waterway", "natural", "landuse", "leisure", "amenity", "surface"):
        if key in tags:
            return key
    return "other"


def _layer(tags: Mapping[str, str]) -> int:
    if "highway" in tags or "area:highway" in tags or tags.get("man_made") == "pier":
        return _ROAD
    if tags.get("natural") in ("water", "bay") or "waterway" in tags or tags.get("landuse") in ("basin", "reservoir"):
        return _WATER
    return _OTHER


def line_width(feature: Feature, ledger: Ledger) -> float | None:
    """Return the width of a line: metres on a grid of 5 cm, or None for a line that covers no ground.

    Args:
        feature: A line with its tags.
        ledger: Account of the import; it records an assumed width, and lines without a width.
    """
    tags = feature.tags
    if "highway" in tags:
        kind = tags["highway"]
        if kind not in LANES:
            ledger.note("dropped", f"highway={kind[:40]}: no way to drive or walk on", feature.key)
            return None
        lanes, lane_width = LANES[kind]
        counted = tags.get("lanes", "")
        if counted.isdecimal() and 0 < int(counted[:3]) <= 20:
            lanes = int(counted)
        default = lanes * lane_width
    elif tags.get("waterway") in WATERWAYS:
        default = WATERWAYS[tags["waterway"]]
    else:
        ledger.note("dropped", f"'{_key(tags)}' drawn as a line: it has no width", feature.key)
        return None
    given = parse_length(tags["width"]) if "width" in tags else None
    if given is not None and _WIDTHS[0] <= given <= _WIDTHS[1]:
        return max(round(given * 20), 1) / 20
    if "width" in tags:
        ledger.note("assumed", "width of a line that cannot be read: from lanes or class", feature.key)
    else:
        what = "highway" if "highway" in tags else "waterway"
        ledger.note("assumed", f"width of a {what} from lanes or class", feature.key)
    return default


def strips(lines: Sequence[shapely.Geometry] | np.ndarray, width: float) -> shapely.Geometry:
    """Return the area that lines of a width cover, metres: bends are mitred, ends are round with few chords."""
    covered = shapely.buffer(
        np.asarray(lines, dtype=object),
        width / 2,
        quad_segs=QUARTER_SEGMENTS,
        cap_style="round",
        join_style="mitre",
        mitre_limit=2.0,
    )
    return shapely.union_all(covered)


def valid_area(feature: Feature, ledger: Ledger) -> shapely.Geometry | None:
    """Return the area of a feature, repaired if its outline crosses itself; None if it covers nothing.

    Args:
        feature: A polygon with its tags.
        ledger: Account of the import; it records a repair, and areas without extent.

    Raises:
        SiteTwinError: The outline crosses itself more often than anybody can mean.
    """
    geometry = feature.geometry
    if not geometry.is_valid:
        geometry = even_odd.few_parts(geometry, feature.key)
        ledger.note("repaired", "ground area whose outline crosses itself", feature.key)
    geometry = _polygonal(np.array([_straightened(geometry)], dtype=object))[0]
    if geometry.is_empty or geometry.area <= 0:
        ledger.note("dropped", "ground area without extent", feature.key)
        return None
    return geometry


def _straightened(area: shapely.Geometry) -> shapely.Geometry:
    """An area with fewer corners; of many parts each for itself, since GEOS looks at each part for each corner."""
    parts = shapely.get_parts(area)
    if len(parts) <= _FEW_PARTS:
        return shapely.simplify(area, SIMPLIFY)
    simple = shapely.multipolygons(shapely.simplify(parts, SIMPLIFY))
    return simple if simple.is_valid else area  # parts that meet may be pushed over one another
