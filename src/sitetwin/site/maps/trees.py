"""Build the vegetation of a map: trees, tree rows, woods, parks, scrub and hedges, as canopies and trunks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps.canopies import HeightOf, lattice, prisms
from sitetwin.site.maps.crowding import refuse_crowds
from sitetwin.site.maps.even_odd import few_parts, valid_area
from sitetwin.site.maps.features import Feature
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.lengths import parse_length
from sitetwin.site.maps.tree_sizes import TreeOptions, TreeSize, leaves, tree_size
from sitetwin.site.vegetation import Cylinder, Vegetation, Volume

MOST_STEMS = 200_000
"""Trunks that are assumed in the woods of a site, and trees in its parks."""

MOST_TREES = 200_000
"""Trees of a map that are told apart, and those of its rows."""

_WAY_CLEARANCE = 3.0  # metres between the middle of a way and the trees that are assumed in a park

_POLYGONS = ("Polygon", "MultiPolygon")
_LINES = ("LineString", "MultiLineString")

PLANTS: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "wood": ((("natural", "wood"), ("landuse", "forest")), _POLYGONS),
    "scrub": ((("natural", "scrub"),), _POLYGONS),
    "hedge": ((("barrier", "hedge"),), (*_LINES, *_POLYGONS)),
    "tree row": ((("natural", "tree_row"),), _LINES),
    "tree": ((("natural", "tree"),), ("Point",)),
    "park": ((("leisure", "park"), ("landuse", "orchard")), _POLYGONS),
}
"""What grows: the tags of each kind, and how it is drawn."""


def plant_kinds(feature: Feature) -> list[str]:
    """Return the kinds of `PLANTS` that a feature belongs to."""
    return [
        kind
        for kind, (tags, drawn) in PLANTS.items()
        if feature.geometry.geom_type in drawn and any(feature.tags.get(key) == value for key, value in tags)
    ]


def build_vegetation(
    features: Sequence[Feature],
    ledger: Ledger,
    ground_height: HeightOf,
    *,
    options: TreeOptions | None = None,
    extent: tuple[float, float, float, float] | None = None,
    rng: np.random.Generator | None = None,
) -> Vegetation:
    """Build the vegetation of a map.

    `natural=tree` becomes an ellipsoidal crown over a trunk, `natural=tree_row` such trees every few metres. Woods
    (`natural=wood`, `landuse=forest`) are prisms of leaves from the height of the lowest branches to the top, with
    trunks below. A park or orchard (`leisure=park`, `landuse=orchard`) in which neither tree nor wood is mapped gets
    trees at the assumed spacing, off its waters and ways. Scrub (`natural=scrub`) and hedges (`barrier=hedge`) are
    dense from the ground. No wood or scrub grows inside a building. A trunk that would stand in a building's footprint
    is dropped. A mapped tree in a wood is dropped too, because the wood's canopy contains it.

    Args:
        features: The features of a map, buildings among them.
        ledger: Account of the import; it records what was read, assumed and dropped.
        ground_height: Function from points (N, 2) to the ground's heights (N,), metres; NaN where there is no ground.
        options: What is assumed where the map says nothing.
        extent: (west, south, east, north), metres; nothing grows outside this rectangle.
        rng: Source of randomness for `TreeOptions.spread` and for places in parks and woods; without it, these places
            form a regular grid.

    Returns:
        Crowns, prisms and trunks in the order of the features, by kind.

    Raises:
        SiteTwinError: A spread is set and `rng` is not given, there would be more than 200,000 assumed stems or
            mapped trees, or outlines cross more often than anybody can mean.
    """
    options = options or TreeOptions()
    if options.spread and rng is None:
        raise SiteTwinError("a spread of tree sizes is drawn at random; give a generator as rng, or a spread of 0")
    return _Planting(features, ledger, ground_height, options, extent, rng).run()


class _Planting:
    """One run: what has been planted so far, and where nothing may be."""

    def __init__(
        self,
        features: Sequence[Feature],
        ledger: Ledger,
        ground_height: HeightOf,
        options: TreeOptions,
        extent: tuple[float, float, float, float] | None,
        rng: np.random.Generator | None,
    ) -> None:
        self.ledger, self.ground_height, self.options, self.rng = ledger, ground_height, options, rng
        self.frame = None if extent is None else shapely.box(*extent)
        self.features = [f for f in features if not f.geometry.is_empty]
        built = [valid_area(f.geometry, f.key) for f in self.features if _is_built(f)]
        self.built = shapely.STRtree(built)
        self.kept_clear = shapely.STRtree(_ways_and_waters(self.features))
        self.woods: list[shapely.Geometry] = []
        self.wooded = shapely.STRtree([])
        self.volumes: list[Volume] = []
        self.stems = self.told_apart = 0

    def run(self) -> Vegetation:
        """Woods first, for they decide where trees are told apart."""
        of_kind: dict[str, list[Feature]] = {kind: [] for kind in PLANTS}
        for feature in self.features:
            for kind in plant_kinds(feature):
                of_kind[kind].append(feature)
        outlines = [*of_kind["wood"], *of_kind["scrub"]]
        refuse_crowds([f.geometry for f in outlines], [f.key for f in outlines], "outlines of woods and scrub")
        self.wooded = shapely.STRtree([shapely.envelope(feature.geometry) for feature in of_kind["wood"]])
        for feature in of_kind["wood"]:
            self._wood(feature)
        for feature in of_kind["scrub"]:
            self._thicket(feature, feature.geometry, "scrub", self.options.scrub_height)
        for feature in of_kind["hedge"]:
            self._hedge(feature)
        rows, trees = of_kind["tree row"], of_kind["tree"]
        for feature in rows:
            self._row(feature)
        places = np.array([(f.geometry.x, f.geometry.y) for f in trees]).reshape(-1, 2)
        self._count_trees(int(self._in_frame(shapely.points(places)).sum()))
        self._trees(trees, places, "tree")
        mapped = shapely.STRtree([*(f.geometry for f in (*rows, *trees)), *self.woods])
        for feature in of_kind["park"]:
            self._park(feature, mapped)
        return Vegetation(tuple(self.volumes))

    def _free(self, area: shapely.Geometry) -> shapely.Geometry:
        """The part of a valid area inside the frame, outside of buildings and of the woods so far."""
        if self.frame is not None:
            area = shapely.intersection(area, self.frame)
        near = self.built.geometries[np.sort(self.built.query(area))]
        rows = np.sort(self.wooded.query(area))  # what a wood fills lies in its outline
        woods = np.array([self.woods[row] for row in rows if row < len(self.woods)], dtype=object)
        return shapely.difference(area, shapely.union_all([*near, *woods[shapely.intersects(woods, area)]]))

    def _wood(self, feature: Feature) -> None:
        area = self._free(few_parts(feature.geometry, feature.key))
        height = self._height(feature, self.options.wood_height, "wood")
        base = self.options.clear_stem * height
        self._fill(feature, area, base, height, "wood")
        self.woods.append(area)
        if not self.options.stem_spacing or area.is_empty:
            return
        self._count_stems(area.area / self.options.stem_spacing**2, "woods", "stem_spacing")
        kind, cycle = leaves(feature.tags, self.options)
        places = lattice(area, self.options.stem_spacing, self.rng)
        radius = 0.5 * self.options.trunk_share * height
        for (x, y), z in zip(places.tolist(), self._ground(places), strict=True):
            if np.isfinite(z):
                self.volumes.append(Cylinder((x, y), radius, z, z + base, kind, cycle, part="trunk"))
        self.ledger.note("assumed", f"trunks of woods every {self.options.stem_spacing:g} m", feature.key, len(places))

    def _thicket(self, feature: Feature, geometry: shapely.Geometry, what: str, default: float) -> None:
        self._fill(
            feature, self._free(few_parts(geometry, feature.key)), 0.0, self._height(feature, default, what), what
        )

    def _hedge(self, feature: Feature) -> None:
        geometry = feature.geometry
        if geometry.geom_type in _LINES:
            width = parse_length(feature.tags.get("width", ""))
            if width is None or not 0.1 <= width <= 20.0:
                width = self.options.hedge_width
                self.ledger.note("assumed", f"hedge {width:g} m wide", feature.key)
            refuse_crowds([geometry], [feature.key], "bends of a hedge")
            geometry = shapely.buffer(
                geometry, 0.5 * width, cap_style="flat", join_style="mitre", mitre_limit=2.0, quad_segs=2
            )
        self._thicket(feature, geometry, "hedge", self.options.hedge_height)

    def _fill(self, feature: Feature, area: shapely.Geometry, base: float, top: float, what: str) -> None:
        found = prisms(area, base, top, self._ground, *leaves(feature.tags, self.options))
        if found:
            self.ledger.note("read", what, feature.key)
        else:
            self.ledger.note(
                "dropped", f"{what}: nothing of it outside of buildings, other woods and the rim", feature.key
            )
        self.volumes.extend(found)

    def _height(self, feature: Feature, default: float, what: str) -> float:
        height = parse_length(feature.tags.get("height", ""))
        if height is not None and 0.3 <= height <= 120.0:
            return height
        self.ledger.note("assumed", f"{what} {default:g} m high", feature.key)
        return default

    def _row(self, feature: Feature) -> None:
        for line in shapely.get_parts(feature.geometry):
            steps = max(round(line.length / self.options.row_spacing), 1)
            self._count_trees(steps)
            places = shapely.line_interpolate_point(line, np.linspace(0, line.length, steps + 1))
            if line.is_closed:
                places = places[:-1]
            count = len(places)
            self.ledger.note("assumed", f"trees of a row every {self.options.row_spacing:g} m", feature.key, count)
            self._trees([feature] * count, shapely.get_coordinates(places), "tree of a row")

    def _park(self, feature: Feature, mapped: shapely.STRtree) -> None:
        area = few_parts(feature.geometry, feature.key)
        if not self.options.park_spacing:
            return
        if len(mapped.query(area, predicate="intersects")):
            self.ledger.note("read", "park or orchard with trees on the map: none assumed", feature.key)
            return
        taken = self.kept_clear.geometries[np.sort(self.kept_clear.query(area))]
        area = shapely.difference(self._free(area), shapely.union_all(taken))
        if area.is_empty:
            return
        self._count_stems(area.area / self.options.park_spacing**2, "parks", "park_spacing")
        places = lattice(area, self.options.park_spacing, self.rng)
        self.ledger.note("assumed", f"trees of parks every {self.options.park_spacing:g} m", feature.key, len(places))
        self._trees([Feature(feature.key, feature.geometry, {})] * len(places), places, "tree of a park")

    def _count_stems(self, more: float, what: str, option: str) -> None:
        self.stems += int(more)
        if self.stems > MOST_STEMS:
            raise SiteTwinError(
                f"the {what} of the map would hold more than {MOST_STEMS:,} assumed trees; choose a wider {option}, "
                f"{option} = 0 for none, or a smaller area"
            )

    def _count_trees(self, more: int) -> None:
        self.told_apart += more
        if self.told_apart > MOST_TREES:
            raise SiteTwinError(
                f"the map holds more than {MOST_TREES:,} trees, those of its tree rows counted; import a smaller part "
                "of it, or leave the vegetation out"
            )

    def _trees(self, features: Sequence[Feature], places: np.ndarray, what: str) -> None:
        """Trees that stand free, each with its crown and trunk."""
        if not len(places):
            return
        points = shapely.points(places)
        draws = np.zeros((len(places), 2)) if self.rng is None else self.rng.standard_normal((len(places), 2))
        reasons = [
            ("inside a building", _covered(points, self.built.geometries)),
            ("inside a wood, whose canopy stands for it", _covered(points, self.woods)),
            ("outside of the rim", np.flatnonzero(~self._in_frame(points))),
        ]
        ground = self._ground(places)
        reasons.append(("where there is no ground", np.flatnonzero(~np.isfinite(ground))))
        dropped: dict[int, str] = {}
        for reason, rows in reasons:
            for row in rows.tolist():
                dropped.setdefault(row, reason)
        for row, feature in enumerate(features):
            if row in dropped:
                self.ledger.note("dropped", f"{what} {dropped[row]}", feature.key)
                continue
            size: TreeSize = tree_size(feature.tags, self.options, self.ledger, feature.key, tuple(draws[row].tolist()))
            x, y = places[row].tolist()
            self.volumes.extend(size.volumes(x, y, float(ground[row])))
            self.ledger.note("read", what, feature.key)

    def _in_frame(self, points: np.ndarray) -> np.ndarray:
        return np.ones(len(points), dtype=bool) if self.frame is None else shapely.intersects(self.frame, points)

    def _ground(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(self.ground_height(places), dtype=np.float64)


def _covered(points: np.ndarray, areas: Sequence[shapely.Geometry] | np.ndarray) -> np.ndarray:
    """The rows of points that areas cover; GEOS prepares the areas, so that many points cost little."""
    return np.unique(shapely.STRtree(points).query(np.asarray(areas, dtype=object), predicate="intersects")[1])


def _is_built(feature: Feature) -> bool:
    """Whether a tree cannot stand there: a footprint, but no mere roof, and nothing under the ground."""
    kind = feature.tags.get("building", "no")
    below = feature.tags.get("location") == "underground"
    return feature.geometry.geom_type in _POLYGONS and kind not in ("no", "roof", "carport") and not below


def _ways_and_waters(features: Sequence[Feature]) -> list[shapely.Geometry]:
    """Where the trees that are assumed in a park do not stand."""
    areas = []
    for feature in features:
        if "highway" in feature.tags and feature.geometry.geom_type in (*_LINES, *_POLYGONS):
            areas.append(shapely.buffer(feature.geometry, _WAY_CLEARANCE, quad_segs=2))
        elif feature.tags.get("natural") == "water" and feature.geometry.geom_type in _POLYGONS:
            areas.append(few_parts(feature.geometry, feature.key))
    return areas
