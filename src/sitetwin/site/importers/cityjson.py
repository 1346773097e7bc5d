"""Make a `Site` from CityJSON files: buildings with walls and roofs, the ground, trees."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import shapely

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site.assumed import assumed_record
from sitetwin.site.build import build_site
from sitetwin.site.footprints import footprint
from sitetwin.site.importers.city_feet import draw_down, ground_to_reach, open_above
from sitetwin.site.importers.city_frame import CityFrame, city_frame
from sitetwin.site.importers.cityjson_file import City, CityObject, read_city
from sitetwin.site.importers.cityjson_surfaces import GROUND, ROOF, WALL, Lod, Surfaces, parse_lod, surfaces_of
from sitetwin.site.maps.bodies import Body, buildings_of
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.rules import MaterialRules
from sitetwin.site.mesh import check_triangle_count
from sitetwin.site.site import Site
from sitetwin.site.vegetation import Ellipsoid, ExtrudedPolygon, Vegetation, Volume
from sitetwin.site.verticals import VerticalIndex

CITYJSON_SUFFIXES = (".json", ".jsonl", ".cityjson", ".cityjsonl", ".ndjson")

GROUND_MARGIN = 50.0
"""Metres by which a ground that the file does not have reaches beyond the buildings."""

_BUILT = ("Building", "Bridge", "OtherConstruction", "CityFurniture", "GenericCityObject", "+GenericCityObject")
_STANDING = ("Building", "BuildingPart")
_INTERIOR = ("Room", "Storey", "Unit", "Furniture", "HollowSpace")
_PLANTS = ("SolitaryVegetationObject", "PlantCover")
_SURFACES = {
    "TINRelief": ("ground", {}),
    "WaterBody": ("ground-water", {"natural": "water"}),
    "Waterway": ("ground-waterway", {"natural": "water", "water": "canal"}),
    "Road": ("ground-road", {"highway": "road"}),
    "Railway": ("ground-railway", {"railway": "rail"}),
    "TransportSquare": ("ground-square", {"highway": "pedestrian", "area": "yes"}),
    "LandUse": ("ground-landuse", {"landuse": "yes"}),
}
_TAGS = {"measuredHeight": "height", "storeysAboveGround": "building:levels", "roofType": "roof:shape"}
_UNEVEN = 5.0  # m between the feet of buildings above which a flat ground is worth a warning
_LEAST_CANOPY = 0.5  # m


@dataclass(eq=False)
class _Family:
    """A building with its parts, in the reference system of the file."""

    tags: dict[str, str]
    pieces: list[Surfaces] = field(default_factory=list)


def load_cityjson(
    path: str | Path,
    *,
    lod: str | None = None,
    rules: MaterialRules | None = None,
    ledger: Ledger | None = None,
) -> Site:
    """Make a site from a CityJSON file (1.0, 1.1 or 2.0) or a CityJSON text sequence.

    Coordinates in a projected reference system are transformed to a local frame around the middle of the file. The
    place of this middle becomes the georeference; z = 0 is the lowest ground. A building with its parts becomes the
    objects ``<id>-walls`` and ``<id>-roof``. A building's ground surface is left out, because it lies on the ground;
    where the file has no ground (relief, roads, land use, water), a flat one at the lowest foot is added and the feet
    of the buildings are drawn down to it. Trees become ellipsoids of their extent; plant covers become prisms.

    Args:
        path: The file.
        lod: Level of detail to take, such as "2" (the highest of 2.x) or "1.2". An object without this level is taken
            at its highest level below. By default each object is taken at its highest level. Level 0 of a building is
            not a body and is never taken.
        rules: Materials by tags (attributes of the file, translated where OpenStreetMap has a key); the default table
            of maps by default. Ground that no rule names gets the table's base material.
        ledger: Account of the import, which is filled; it also stands in ``provenance["import"]``.

    Raises:
        SiteTwinError: The file is missing, malformed or truncated, its reference system is unknown or in degrees, or
            no surface is left; the message says how to mend it.
    """
    asked = parse_lod(lod) if lod is not None else None
    if lod is not None and asked is None:
        raise SiteTwinError(f"'{lod}' is no level of detail of CityJSON; give one such as 1, 2 or 2.2")
    ledger = ledger if ledger is not None else Ledger()
    rules = rules if rules is not None else MaterialRules.default()
    city = read_city(Path(path))
    families, grounds, plants = _sort(city, asked, ledger)
    corners = [piece.corners for family in families.values() for piece in family.pieces]
    corners += [piece.corners for _, _, piece in grounds]
    if not sum(map(len, corners)):
        raise SiteTwinError(
            f"'{city.where}' has no surface of a building or of the ground at the level of detail asked"
        )
    check_triangle_count(sum(map(len, corners)), f"'{city.where}'")
    frame = city_frame(city.where, city.reference, np.concatenate(corners).reshape(-1, 3), ledger)
    families = {key: replace(f, pieces=[_placed(p, frame) for p in f.pieces]) for key, f in families.items()}
    grounds = [(name, tags, _placed(piece, frame)) for name, tags, piece in grounds]
    lowest = _lowest_ground(families, grounds)
    if frame.shifts:  # heights above a distant datum become heights above the lowest ground
        frame = frame.raised(lowest)
        families = {key: replace(f, pieces=[_lowered(p, lowest) for p in f.pieces]) for key, f in families.items()}
        grounds = [(name, tags, _lowered(piece, lowest)) for name, tags, piece in grounds]
        lowest = 0.0
    bodies = list(_ground_bodies(grounds, rules))
    if not bodies:
        bodies = [_flat_ground(families, lowest, rules, ledger)]
        _draw_down(families, lowest, ledger)
    else:
        _reach_terrain(families, bodies, ledger)
    for key, family in families.items():
        bodies += _building_bodies(key, family, rules, ledger)
    volumes = [v for thing, piece in plants for v in _canopies(thing, _placed(piece, frame), ledger)]
    return _site(city, bodies, rules, Vegetation(tuple(volumes)), frame, ledger)


def _sort(
    city: City, asked: Lod | None, ledger: Ledger
) -> tuple[dict[str, _Family], list[tuple[str, dict[str, str], Surfaces]], list[tuple[CityObject, Surfaces]]]:
    """The objects of a file by what they are: buildings by their roots, surfaces of the ground, plants."""
    families: dict[str, _Family] = {}
    grounds, plants = [], []
    chosen: dict[str, Surfaces] = {}
    for key, thing in city.objects.items():
        outer = thing.kind == "CityFurniture" or not thing.kind.endswith(_INTERIOR)
        built = thing.kind.startswith(_BUILT) and outer
        if not (built or thing.kind in _SURFACES or thing.kind in _PLANTS):
            if thing.geometries:
                ledger.note("dropped", f"city object of type {thing.kind[:40]}: not modelled", key)
            continue
        least: Lod = (1,) if built else (0,)
        found = surfaces_of(city, thing, asked, least, ledger)
        if found is None or not len(found.corners):
            if thing.geometries:
                ledger.note("dropped", f"{thing.kind} without surfaces at the level of detail asked", key)
        elif built:
            chosen[key] = found
        elif thing.kind in _SURFACES:
            name, tags = _SURFACES[thing.kind]
            grounds.append((name, {**_tags(thing), **tags}, found))
        else:
            plants.append((thing, found))
    finest = _finest_parts(city, chosen)
    for key, found in chosen.items():
        if key in finest and found.lod < finest[key]:
            ledger.note("dropped", "coarser body of a building whose parts are there in more detail", key)
            continue
        root = _root(city, key)
        family = families.setdefault(root, _Family(_tags(city.objects[root])))
        family.tags = {**_tags(city.objects[key]), **family.tags}
        if city.objects[key].kind not in _STANDING:  # a balcony's or a bridge's underside is in the air
            found = replace(found, role=np.where(found.role == GROUND, WALL, found.role))
        family.pieces.append(found)
        ledger.note("read", f"{city.objects[key].kind} at level of detail {'.'.join(map(str, found.lod))}", key)
    return families, grounds, plants


def _finest_parts(city: City, chosen: dict[str, Surfaces]) -> dict[str, Lod]:
    """For each object with parts that are bodies, the finest level of detail among these."""
    finest: dict[str, Lod] = {}
    for key, found in chosen.items():
        if city.objects[key].kind.endswith("Part"):
            for parent in _ancestors(city, key):
                finest[parent] = max(finest.get(parent, ()), found.lod)
    return finest


def _ancestors(city: City, key: str) -> list[str]:
    """What an object is a part of, the outermost last; groups do not count, and a loop ends where it closes."""
    found: list[str] = []
    while True:
        above = [
            p
            for p in city.objects[key].parents
            if p in city.objects and city.objects[p].kind != "CityObjectGroup" and p not in found
        ]
        if not above:
            return found
        key = above[0]
        found.append(key)


def _root(city: City, key: str) -> str:
    above = _ancestors(city, key)
    return above[-1] if above else key


def _tags(thing: CityObject) -> dict[str, str]:
    """Attributes as tags; those that OpenStreetMap has a key for are given that key as well."""
    tags = {name: str(value) for name, value in thing.attributes.items()}
    tags |= {ours: tags[theirs] for theirs, ours in _TAGS.items() if theirs in tags}
    if thing.kind.startswith("Building"):
        tags.setdefault("building", "yes")
    elif thing.kind.startswith("Bridge"):
        tags.setdefault("man_made", "bridge")
    return tags


def _placed(piece: Surfaces, frame: CityFrame) -> Surfaces:
    return replace(piece, corners=frame.local(piece.corners.reshape(-1, 3)).reshape(-1, 3, 3))


def _lowered(piece: Surfaces, by: float) -> Surfaces:
    return replace(piece, corners=piece.corners - np.array([0.0, 0.0, by]))


def _lowest_ground(families: dict[str, _Family], grounds: list[tuple[str, dict[str, str], Surfaces]]) -> float:
    """Height of the lowest ground, or of the lowest foot of a building where the file has no ground."""
    ground = [float(piece.corners[..., 2].min()) for _, _, piece in grounds]
    feet = [float(piece.corners[..., 2].min()) for family in families.values() for piece in family.pieces]
    return min(ground or feet)


def _ground_bodies(grounds: list[tuple[str, dict[str, str], Surfaces]], rules: MaterialRules) -> Iterator[Body]:
    """The surfaces of the ground by kind and material, facing up."""
    groups: dict[tuple[str, str], list[np.ndarray]] = {}
    for name, tags, piece in grounds:
        corners = piece.corners[piece.role != GROUND] if (piece.role == ROOF).any() else piece.corners
        up = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] >= 0
        material = rules.ground(tags) or rules.base_ground
        groups.setdefault((name, material), []).append(np.where(up[:, None, None], corners, corners[:, ::-1]))
    several = len({name for name, _ in groups}) < len(groups)
    for (name, material), corners in groups.items():
        yield Body(f"{name}-part_{material}" if several else name, np.concatenate(corners), material)


def _flat_ground(families: dict[str, _Family], level: float, rules: MaterialRules, ledger: Ledger) -> Body:
    """A rectangle around the buildings."""
    points = np.concatenate([p.corners.reshape(-1, 3) for f in families.values() for p in f.pieces])
    (x0, y0), (x1, y1) = points[:, :2].min(axis=0) - GROUND_MARGIN, points[:, :2].max(axis=0) + GROUND_MARGIN
    a, b, c, d = (np.array([x, y, level]) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1)))
    ledger.note("assumed", "flat ground at the lowest foot of a building: the file has none")
    return Body("ground", np.array([[a, b, c], [a, c, d]]), rules.base_ground)


def _draw_down(families: dict[str, _Family], level: float, ledger: Ledger) -> None:
    """Draw the feet of buildings down to the flat ground."""
    highest = 0.0
    for key, family in families.items():
        family.pieces, drop = draw_down(family.pieces, level)
        _note_feet(family, key, level, drop, "flat ground", ledger)
        highest = max(highest, drop)
    if highest > _UNEVEN:
        warnings.warn(
            f"the feet of the buildings lie up to {highest:.1f} m apart, but the file has no terrain: a flat "
            "ground was put under them",
            SiteTwinWarning,
            stacklevel=3,
        )


def _reach_terrain(families: dict[str, _Family], grounds: list[Body], ledger: Ledger) -> None:
    """Draw down the feet of buildings that hang over the ground of the file."""
    terrain = VerticalIndex(np.concatenate([body.corners for body in grounds]))
    for key, family in families.items():
        level = ground_to_reach(family.pieces, terrain)
        if level is not None:
            family.pieces, drop = draw_down(family.pieces, level)
            _note_feet(family, key, level, drop, "ground", ledger)


def _note_feet(family: _Family, key: str, level: float, drop: float, what: str, ledger: Ledger) -> None:
    if drop > 1e-3:
        ledger.note("repaired", f"foot of a building drawn down to the {what}", key)
    if open_above(family.pieces, level):
        ledger.note("assumed", "building that the file does not close: rays enter it", key)


def _building_bodies(key: str, family: _Family, rules: MaterialRules, ledger: Ledger) -> Iterator[Body]:
    """Walls and roof of a building."""
    corners = np.concatenate([piece.corners for piece in family.pieces])
    role = np.concatenate([piece.role for piece in family.pieces])
    if (role == GROUND).any():
        ledger.note("dropped", "ground surface of a building: it lies on the ground", key)
    for suffix, part, material in (("walls", WALL, rules.wall(family.tags)), ("roof", ROOF, rules.roof(family.tags))):
        if (role == part).any():
            yield Body(f"{key}-{suffix}", corners[role == part], material, key)


def _canopies(thing: CityObject, piece: Surfaces, ledger: Ledger) -> Iterator[Volume]:
    """A tree as the ellipsoid of its extent; a plant cover as prisms over its outline."""
    points = piece.corners.reshape(-1, 3)
    low, high = points.min(axis=0), points.max(axis=0)
    ledger.note("assumed", "leaves: broadleaved and deciduous", thing.key)
    if thing.kind == "SolitaryVegetationObject":
        half = np.maximum((high - low) / 2, _LEAST_CANOPY / 2)
        ledger.note("assumed", "tree: ellipsoid of the extent of its drawing", thing.key)
        yield Ellipsoid(tuple((low + high) / 2), tuple(half))
        return
    height = high[2] - low[2]
    if height < _LEAST_CANOPY:
        stated = thing.attributes.get("averageHeight")
        height = float(stated) if isinstance(stated, (int, float)) and 0 < stated < 100 else 0.0
    if height < _LEAST_CANOPY:
        ledger.note("dropped", "plant cover without a height", thing.key)
        return
    for polygon in shapely.get_parts(footprint(piece.corners)):
        if len(polygon.interiors):
            ledger.note("repaired", "clearing in a plant cover filled", thing.key, len(polygon.interiors))
        yield ExtrudedPolygon(tuple(map(tuple, polygon.exterior.coords[:-1])), low[2], low[2] + height)


def _site(
    city: City, bodies: list[Body], rules: MaterialRules, vegetation: Vegetation, frame: CityFrame, ledger: Ledger
) -> Site:
    corners = np.concatenate([body.corners for body in bodies])
    check_triangle_count(len(corners), f"'{city.where}'")
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    used = list(dict.fromkeys(body.material for body in bodies))
    rules.note_assumptions(ledger, [body.material for body in bodies])
    grounds = [body.material for body in bodies if body.building is None]
    path = Path(city.where)
    return build_site(
        path.name.split(".")[0] or path.stem,
        vertices,
        index.reshape(-1, 3),
        np.repeat(np.arange(len(bodies)), [len(body.corners) for body in bodies]),
        [body.name for body in bodies],
        [used.index(body.material) for body in bodies],
        [rules.materials[name] for name in used],
        object_building=buildings_of(bodies),
        vegetation=vegetation,
        georeference=frame.georeference,
        provenance={
            "source": {
                "kind": "CityJSON",
                "files": {path.name: hashlib.sha256(city.data).hexdigest()},
                "epsg": city.reference.codes[0] if city.reference else None,
                **({"vertical_epsg": city.reference.codes[1]} if city.reference and city.reference.codes[1:] else {}),
                "origin": list(frame.origin),
                "material_rules": rules.name,
            },
            "assumptions": [e.what for e in ledger.entries if e.kind == "assumed"],
            "import": ledger.to_list(),
            **assumed_record(rules.assumed(used, grounds)),
        },
    )
