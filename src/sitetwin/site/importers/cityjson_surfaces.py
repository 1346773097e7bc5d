"""Choose the level of detail of CityJSON geometries, and cut its polygons into triangles with a role each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sitetwin.site.facets import norm
from sitetwin.site.importers.blocks import clip
from sitetwin.site.importers.cityjson_file import City, CityObject, check_range
from sitetwin.site.importers.gltf import is_whole
from sitetwin.site.importers.polygons import rings_area, triangulate_rings
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.mesh import MOST_TRIANGLES, check_triangle_count

WALL, ROOF, GROUND = "wall", "roof", "ground"

_DEPTH = {"MultiSurface": 1, "CompositeSurface": 1, "Solid": 2, "MultiSolid": 3, "CompositeSolid": 3}
"""Levels of lists above a surface."""

_ROLES = {
    "WallSurface": WALL, "Window": WALL, "Door": WALL, "OuterCeilingSurface": WALL, "RoofSurface": ROOF,
    "OuterFloorSurface": ROOF, "GroundSurface": GROUND, "TrafficArea": ROOF, "AuxiliaryTrafficArea": ROOF,
    "WaterSurface": ROOF, "InteriorWallSurface": None, "CeilingSurface": None, "FloorSurface": None,
    "ClosureSurface": None, "WaterGroundSurface": None, "WaterClosureSurface": None,
}  # fmt: skip
"""What each semantic surface is: the upper side of everything is a roof, and None is no outer surface of a body."""

_UPWARD = 0.25
"""Upward part of a unit normal from which a surface without semantics is a roof: roofs of up to 75 degrees."""

_AT_THE_FOOT = 0.01  # of the file's unit: a downward surface this near the lowest vertex is the ground surface
_MOST_LISTS = 5 * MOST_TRIANGLES
_AREA_TOLERANCE = 1e-3
"""Share of the area: the normal of a polygon a little out of plane is a little shorter than its triangles' sum."""

MOST_COPIED = 2_000_000
"""Triangles that instances of templates may make: a file of some kilobytes can name billions."""

Lod = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Triangles of one object.

    Attributes:
        lod: Level of detail of the triangles.
        corners: (T, 3, 3) float64, in the file's reference system.
        role: (T,) texts: "wall", "roof" (the upper side) or "ground" (the underside, on the ground).
    """

    lod: Lod
    corners: Float[np.ndarray, "triangles 3 3"]
    role: np.ndarray


@dataclass(frozen=True, eq=False)
class Cut:
    """Triangles of one geometry, by its vertices.

    Attributes:
        rows: (T, 3) int64, vertices of each triangle.
        face: (T,) int64, surface of each triangle.
        roles: (F,) texts: role of each surface by its semantics; empty where they say nothing.
        wrong: Number of surfaces whose triangles do not cover what their rings enclose.
        dropped: What was left out, and how often.
    """

    rows: Int[np.ndarray, "triangles 3"]
    face: Int[np.ndarray, " triangles"]
    roles: np.ndarray
    wrong: int
    dropped: dict[str, int]


def parse_lod(value: Any) -> Lod | None:
    """Parse a level of detail ("2", "2.2", 1) into comparable numbers; None for anything else."""
    match = re.fullmatch(r"([0-4])(?:\.(\d))?", str(value)) if not isinstance(value, bool) else None
    if match is None:
        return None
    return (int(match[1]),) if match[2] is None or match[2] == "0" else (int(match[1]), int(match[2]))


def surfaces_of(city: City, thing: CityObject, asked: Lod | None, least: Lod, ledger: Ledger) -> Surfaces | None:
    """Return the triangles of an object at its highest level of detail.

    Args:
        city: The file.
        thing: The object.
        asked: Level to take; "2" means the highest of 2.x. An object without this level is taken at its highest level
            below. None means the highest level.
        least: Lowest level that is taken (a building's footprint, level 0, is not a body).
        ledger: Account of the import; it records what is repaired and dropped.

    Returns:
        The surfaces, or None if no geometry is left.
    """
    found: list[tuple[Lod, Callable[[], Cut], np.ndarray]] = []
    for geometry in thing.geometries:
        resolved = _resolve(city, thing, geometry)
        if resolved is None:
            ledger.note("dropped", f"geometry of type {clip(str(geometry.get('type')))}: no surface", thing.key)
            continue
        lod = parse_lod(resolved[0])
        if lod is None:
            city.refuse(f"has a geometry of '{clip(thing.key)}' with the level of detail '{geometry.get('lod')}'")
        found.append((lod, *resolved[1:]))
    levels = {lod for lod, _, _ in found if lod >= least}
    if asked is not None:
        levels = {lod for lod in levels if lod[: len(asked)] == asked or lod < asked}
    if not levels:
        return None
    best = max(levels)
    pieces = [_placed(cut(), points, thing.key, ledger) for lod, cut, points in found if lod == best]
    return Surfaces(best, np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]))


def _resolve(
    city: City, thing: CityObject, geometry: dict[str, Any]
) -> tuple[Any, Callable[[], Cut], np.ndarray] | None:
    """Level of detail of a geometry of surfaces, its cut and its vertices; an instance is its template, moved.

    A template is cut into triangles once, where it lies in the file: a matrix keeps planes and lines.
    """
    if geometry.get("type") != "GeometryInstance":
        if not _has_surfaces(geometry):
            return None
        return geometry.get("lod", "0"), partial(cut_surfaces, city, thing, geometry, thing.vertices), thing.vertices
    index, anchor = geometry.get("template"), geometry.get("boundaries")
    if not is_whole(index) or not 0 <= index < len(city.templates):
        city.refuse(f"has an instance in '{clip(thing.key)}' of a template that it does not have")
    if not isinstance(anchor, list) or len(anchor) != 1 or not is_whole(anchor[0]):
        city.refuse(f"has an instance in '{clip(thing.key)}' without an anchor")
    if not 0 <= anchor[0] < len(thing.vertices):
        city.refuse(f"names a vertex in '{clip(thing.key)}' that it does not have")
    values = geometry.get("transformationMatrix")
    try:
        matrix = np.array(values, dtype=np.float64).reshape(4, 4)
    except (ValueError, TypeError, OverflowError):
        matrix = np.full((4, 4), np.nan)
    if not np.isfinite(matrix).all():
        city.refuse(f"has an instance in '{clip(thing.key)}' whose matrix is not sixteen numbers")
    template = city.templates[index]
    if not _has_surfaces(template):
        return None
    cut, points = _template(city, thing, index)
    with np.errstate(all="ignore"):  # what overflows is refused at once
        moved = [np.sum(points * matrix[k, :3], axis=1) + matrix[k, 3] for k in range(3)]
    placed = np.stack(moved, axis=1) + thing.vertices[anchor[0]]
    check_range(placed, city.where)
    return template.get("lod", "0"), lambda: cut, placed


def _template(city: City, thing: CityObject, index: int) -> tuple[Cut, np.ndarray]:
    """A template's triangles and the vertices that they use; cut when it is named first."""
    if index not in city.cuts:
        whole = cut_surfaces(city, thing, city.templates[index], city.template_vertices)
        used, rows = np.unique(whole.rows, return_inverse=True)
        city.cuts[index] = replace(whole, rows=rows.reshape(-1, 3)), city.template_vertices[used]
    cut, points = city.cuts[index]
    city.copied[0] += len(cut.rows)
    if city.copied[0] > MOST_COPIED:
        city.refuse(
            f"unpacks to more than {MOST_COPIED:,} triangles: instances copy a template of {len(cut.rows):,}",
            "take simpler templates or a part of the city",
        )
    return cut, points


def _has_surfaces(geometry: dict[str, Any]) -> bool:
    return isinstance(geometry.get("type"), str) and geometry["type"] in _DEPTH


def cut_surfaces(city: City, thing: CityObject, geometry: dict[str, Any], vertices: np.ndarray) -> Cut:
    """Cut the polygons of one geometry into triangles.

    Args:
        city: The file.
        thing: The object, for messages.
        geometry: A geometry of surfaces.
        vertices: (V, 3) float64, what the geometry's indices refer to.

    Raises:
        SiteTwinError: The geometry is malformed or has too many surfaces.
    """
    kinds, values = _semantics(geometry)
    faces: list[list[list[int]]] = []
    roles: list[str] = []
    dropped: Counter[str] = Counter()
    budget = [_MOST_LISTS]
    for surface, index in _walk(city, thing, geometry.get("boundaries"), values, _DEPTH[geometry["type"]], budget):
        if surface is None:
            dropped["inner shell of a solid: nothing outside can see it"] += 1
            continue
        kind = kinds[index] if is_whole(index) and 0 <= index < len(kinds) else ""
        role = _ROLES.get(kind, "")
        if role is None:
            dropped[f"{kind}: no outer surface of a body"] += 1
            continue
        faces.append(_rings(city, thing, surface, len(vertices)))
        roles.append(role)
    check_triangle_count(sum(sum(map(len, rings)) for rings in faces) // 3, f"'{city.where}'")
    cuts = [_cut(vertices, rings) for rings in faces]
    rows = np.concatenate([np.zeros((0, 3), dtype=np.int64), *(cut for cut, _ in cuts)])
    face = np.repeat(np.arange(len(faces)), [len(cut) for cut, _ in cuts])
    expected, area = np.array([due for _, due in cuts]), _areas(vertices[rows], face, len(faces))
    wrong = (area > 0) & (expected >= 0) & (np.abs(area - expected) > _AREA_TOLERANCE * area)
    return Cut(rows, face, np.array(roles, dtype="U6"), int(wrong.sum()), dict(dropped))


def _areas(corners: np.ndarray, face: np.ndarray, count: int) -> np.ndarray:
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.bincount(face, 0.5 * norm(normal), minlength=count)


def _placed(cut: Cut, vertices: np.ndarray, key: str, ledger: Ledger) -> tuple[np.ndarray, np.ndarray]:
    """(T, 3, 3) corners and (T,) roles of one geometry, with notes on what was dropped and repaired."""
    for what, times in cut.dropped.items():
        ledger.note("dropped", what, key, times)
    corners = vertices[cut.rows]
    empty = int(np.count_nonzero(_areas(corners, cut.face, len(cut.roles)) == 0))
    if empty:
        ledger.note("dropped", "surface without area", key, empty)
    if cut.wrong:
        what = "outline that crosses itself or is far from plane, cut as far as it goes"
        ledger.note("repaired", what, key, cut.wrong)
    if not len(corners):
        return corners, np.zeros(0, dtype="U6")
    return _with_roles(corners, cut.face, cut.roles, ledger, key)


def _semantics(geometry: dict[str, Any]) -> tuple[list[str], Any]:
    """Types of the semantic surfaces, and the nested indices into them."""
    semantics = geometry.get("semantics")
    if not isinstance(semantics, dict) or not isinstance(semantics.get("surfaces"), list):
        return [], None
    kinds = [str(entry.get("type", "")) if isinstance(entry, dict) else "" for entry in semantics["surfaces"]]
    return kinds, semantics.get("values")


def _walk(
    city: City, thing: CityObject, boundaries: Any, values: Any, depth: int, budget: list[int]
) -> Iterator[tuple[Any, Any]]:
    """Surfaces below nested lists with the index of their semantics; (None, None) for an inner shell."""
    if not isinstance(boundaries, list):
        city.refuse(f"has a malformed geometry in '{clip(thing.key)}'")
    budget[0] -= len(boundaries)
    if budget[0] < 0:
        check_triangle_count(MOST_TRIANGLES + 1, f"'{city.where}'")
    for k, child in enumerate(boundaries):
        value = values[k] if isinstance(values, list) and k < len(values) else None
        if depth == 1:
            yield child, value
        elif depth == 2 and k > 0:
            yield None, None
        else:
            yield from _walk(city, thing, child, value, depth - 1, budget)


def _rings(city: City, thing: CityObject, surface: Any, size: int) -> list[list[int]]:
    """Rings of vertex indices, checked; a corner that repeats the one before it is dropped."""
    if not isinstance(surface, list) or not all(isinstance(ring, list) for ring in surface):
        city.refuse(f"has a malformed surface in '{clip(thing.key)}'")
    rings = []
    for ring in surface:
        if not all(is_whole(index) and 0 <= index < size for index in ring):
            city.refuse(f"names a vertex in '{clip(thing.key)}' that it does not have")
        rings.append([index for k, index in enumerate(ring) if index != ring[k - 1]])
    return rings


def _cut(vertices: np.ndarray, rings: list[list[int]]) -> tuple[np.ndarray, float]:
    """(m, 3) vertices of the triangles of a polygon with holes, and the area due; negative for "not asked"."""
    if not rings or len(rings[0]) < 3:
        return np.zeros((0, 3), dtype=np.int64), -1.0
    if len(rings) == 1 and len(rings[0]) == 3:
        return np.array(rings, dtype=np.int64), -1.0
    kept = [np.array(ring, dtype=np.int64) for ring in rings if len(ring) >= 3]
    points = [vertices[ring] for ring in kept]
    return np.concatenate(kept)[triangulate_rings(points)], rings_area(points)


def _with_roles(
    corners: np.ndarray, face: np.ndarray, roles: np.ndarray, ledger: Ledger, key: str
) -> tuple[np.ndarray, np.ndarray]:
    """Roles of surfaces without semantics by their direction; roofs that face down are turned."""
    area = np.zeros((len(roles), 3))
    np.add.at(area, face, np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    upward = area[:, 2] / np.maximum(np.linalg.norm(area, axis=1), 1e-300)
    unknown = roles == ""
    highest = np.full(len(roles), -np.inf)
    np.maximum.at(highest, face, corners[..., 2].max(axis=1))
    at_foot = highest <= corners[..., 2].min() + _AT_THE_FOOT
    roles = np.where(unknown, WALL, roles)
    roles[unknown & (upward > _UPWARD)] = ROOF
    roles[unknown & (upward < -_UPWARD) & at_foot] = GROUND
    wrong = (roles == ROOF) & (upward < -_UPWARD)
    if wrong.any():
        ledger.note("repaired", "upper surface that faced down turned around", key, int(wrong.sum()))
        turned = wrong[face]
        corners[turned] = corners[turned][:, ::-1]
    return corners, roles[face]
