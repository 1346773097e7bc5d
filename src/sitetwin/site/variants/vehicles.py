"""Park vehicles along streets or buildings: bodies of metal in the mesh, which the map does not know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from jaxtyping import Float, Int, Shaped
from pydantic import ConfigDict
from shapely.geometry.base import BaseGeometry

from sitetwin.errors import SiteTwinError
from sitetwin.site.bodies import MovingObject, add_bodies, box_object
from sitetwin.site.materials import Material
from sitetwin.site.mesh import LARGEST_COORDINATE, AnyMesh, Mesh
from sitetwin.site.places.placement import ground_height
from sitetwin.site.plan import PARKED, plan_shapes, standing_buildings
from sitetwin.site.variants.draws import digest
from sitetwin.site.vehicle_shapes import SHAPES, sections, shell

VEHICLE_METAL = Material("vehicle_metal", itu="metal")
"""Half-space, as nothing of interest lies within."""

MOST_VEHICLES = 100_000
_LONGEST_KERBS = 1e6  # m

_CAR, _VAN = (4.4, 1.8, 1.5), (5.4, 2.0, 2.3)  # length, width, height over the ground, metres
_CARS = ("sedan", "hatchback", "suv")
_UNDERSIDE = 0.15  # metres between the ground and a vehicle's body
_TO_KERB = 0.2  # metres between the wheels and the kerb
_APART = 0.3  # metres, at least, between a vehicle and whatever else stands there
_SLOPE = 0.2  # rise over run: ground beneath a vehicle that is steeper is no place to park (steps, walls)
_SIZE_SIGMA = 0.05  # of the logarithm of length, width and height together
_YAW_SIGMA = math.radians(1.5)
_STRAIGHT = 0.98  # chord over arc: where a kerb bends more than this within a bay, nobody parks


@dataclass(frozen=True)
class ParkedVehicles:
    """Number and places of parked vehicles.

    The sizes are round figures by judgement (4.4 m x 1.8 m x 1.5 m for cars, 5.4 m x 2.0 m x 2.3 m for vans, 5 %
    spread).

    Attributes:
        per_100_m: Vehicles per 100 m of kerb if `count` is not given; a full row has about 17. Both sides of a street
            are kerbs.
        count: Number of vehicles in all. If there is not enough room, fewer are parked, and the list of differences
            gives their number.
        streets: Centre lines of streets, each of two or more points (x, y), metres: vehicles stand on both sides of
            the carriageway, clear of crossing streets. Without any, they stand along the outlines of the buildings.
        street_width: Width of the carriageway with its parking bays, metres.
        setback: Distance of kerbs from buildings where no streets are given, metres.
        vans: Share of vans among the vehicles.
        bodies: "boxes", or "vehicles" for bodies with the outlines of cars and vans in their own sizes
            (`sitetwin.site.vehicle_shapes`), as a camera of `sitetwin.vision.render` sees them.

    Raises:
        SiteTwinError: A number is out of its range, or a street has fewer than two points.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    per_100_m: float = 8.0
    count: int | None = None
    streets: tuple[tuple[tuple[float, float], ...], ...] = ()
    street_width: float = 9.0
    setback: float = 2.5
    vans: float = 0.15
    bodies: str = "boxes"

    def __post_init__(self) -> None:
        lines = tuple(tuple((float(x), float(y)) for x, y in line) for line in self.streets)
        object.__setattr__(self, "streets", lines)
        for line in lines:
            if len(line) < 2 or not (np.abs(line) <= LARGEST_COORDINATE).all():  # NaN fails too
                raise SiteTwinError(
                    f"a street of {len(line)} points is no line, or reaches beyond {LARGEST_COORDINATE:g} m; give two "
                    "or more points, in metres"
                )
        for what, value, low, high in (
            ("per_100_m", self.per_100_m, 0.0, 20.0),
            ("street_width", self.street_width, 5.0, 100.0),
            ("setback", self.setback, 0.5, 50.0),
            ("vans", self.vans, 0.0, 1.0),
            ("count", self.count or 0, 0, MOST_VEHICLES),
        ):
            if not low <= value <= high:
                raise SiteTwinError(f"parked vehicles: {what} = {value} lies outside {low:g} to {high:g}")
        if self.bodies not in ("boxes", "vehicles"):
            raise SiteTwinError(f"parked vehicles have no bodies of the kind '{self.bodies}'; give boxes or vehicles")


@dataclass(frozen=True)
class _Kerb:
    """A line, the side of it on which vehicles stand (+1 left, -1 right), and the number of its street, or -1."""

    line: BaseGeometry
    side: float
    street: int


@dataclass(frozen=True, eq=False)
class _Bays:
    """Places along kerbs.

    `kerb` (N, 2) is the middle at the kerb, metres, `yaw` (N,) the kerb's direction, `inward` (N, 2) the unit vector
    from the kerb into the street, `street` (N,) the number of the street.
    """

    kerb: Float[np.ndarray, "bays 2"]
    yaw: Float[np.ndarray, " bays"]
    inward: Float[np.ndarray, "bays 2"]
    street: Int[np.ndarray, " bays"]


def park_vehicles(site: AnyMesh, vehicles: ParkedVehicles, rng: np.random.Generator) -> tuple[AnyMesh, dict[str, Any]]:
    """Park vehicles in a site; return the new site and the entry for its list of differences.

    Bays of one van's length are tried in random order. A vehicle stands on ground that is known and not steep, 0.3 m
    or more in plan from buildings, from other bodies in the mesh and from other vehicles, and clear of other streets.

    Args:
        site: The site.
        vehicles: Number and places of the vehicles.
        rng: Source of randomness.

    Raises:
        SiteTwinError: There is neither a street nor a building, the kerbs are longer than 1000 km, or more than 100,000
            vehicles are asked for.
    """
    taken = shapely.STRtree(plan_shapes(site.vertices[site.triangles[~site.is_ground]]))
    kerbs, streets = _kerbs(site, vehicles)
    length = float(sum(kerb.line.length for kerb in kerbs))
    if length > _LONGEST_KERBS:
        raise SiteTwinError(
            f"the kerbs of the parked vehicles are {length / 1e3:,.0f} km long (at most {_LONGEST_KERBS / 1e3:,.0f}); "
            "give the streets of the site alone"
        )
    wanted = round(vehicles.per_100_m * length / 100.0) if vehicles.count is None else vehicles.count
    if wanted > MOST_VEHICLES:
        raise SiteTwinError(f"{wanted} parked vehicles are too many; ask for {MOST_VEHICLES:,} at most with count")
    bays = _bays(kerbs)
    order = rng.permutation(len(bays.yaw))
    van = rng.random(len(order)) < vehicles.vans
    grown = np.exp(_SIZE_SIGMA * rng.standard_normal((len(order), 1)))
    size = np.where(van[:, None], _VAN, _CAR) * grown
    yaw = bays.yaw[order] + _YAW_SIGMA * rng.standard_normal(len(order)) + math.pi * rng.integers(2, size=len(order))
    shapes: list[str] | None = None
    if vehicles.bodies == "vehicles":
        shapes = np.where(van, "van", rng.choice(_CARS, len(order))).tolist()
        size = np.array([SHAPES[shape].size for shape in shapes]).reshape(-1, 3) * grown
    centre = bays.kerb[order] + bays.inward[order] * (_TO_KERB + size[:, 1:2] / 2)
    outline = rectangles(centre, size, yaw)
    foot = _feet(site, centre, outline)
    free = _free(outline, taken) & ~np.isnan(foot) & ~_in_other_street(outline, bays.street[order], streets)
    chosen = _first_apart(outline, np.flatnonzero(free), wanted)
    number = 0 if site.object_building is None else int((site.object_building < 0).sum())
    bodies = [
        _body(
            f"{PARKED}{number + k}",
            np.array([*centre[row], foot[row]]),
            size[row],
            float(yaw[row]),
            shapes[row] if shapes else None,
        )
        for k, row in enumerate(chosen.tolist(), start=1)
    ]
    difference = {
        "what": "parked vehicles",
        "vehicles": len(chosen),
        "asked_for": wanted,
        "vans": int(van[chosen].sum()),
        "kerb_m": round(length, 3),
        "along": "streets" if vehicles.streets else "buildings",
        **({"bodies": vehicles.bodies} if shapes else {}),
        "sha256": digest(np.column_stack([centre, foot, size, yaw])[chosen]),
    }
    if not bodies:
        return site, difference
    owner = site.buildings[1] if site.object_building is None else site.object_building
    parked = replace(add_bodies(site, bodies), object_building=np.append(owner, np.full(len(bodies), -1, np.int32)))
    return parked, difference


def rectangles(
    centre: Float[np.ndarray, "vehicles 2"],
    size: Float[np.ndarray, "vehicles sides"],
    yaw: Float[np.ndarray, " vehicles"],
) -> Shaped[np.ndarray, " vehicles"]:
    """Return the outlines of rectangles in plan, (N,) shapely polygons.

    Args:
        centre: (N, 2) centres, metres.
        size: (N, 2 or more) length and width, metres.
        yaw: (N,) heading, radians from east, counter-clockwise.
    """
    ahead = np.stack([np.cos(yaw), np.sin(yaw)], axis=1) * size[:, :1] / 2
    left = np.stack([-np.sin(yaw), np.cos(yaw)], axis=1) * size[:, 1:2] / 2
    corners = [centre - ahead - left, centre + ahead - left, centre + ahead + left, centre - ahead + left]
    return np.asarray(shapely.polygons(np.stack([*corners, corners[0]], axis=1)))


def _body(name: str, foot: np.ndarray, size: np.ndarray, yaw: float, shape: str | None) -> MovingObject:
    """A body of a type in any of its sizes, or a box."""
    if shape is None:
        underside = foot + np.array([0.0, 0.0, _UNDERSIDE])
        return box_object(name, underside, (size[0], size[1], size[2] - _UNDERSIDE), yaw=yaw, material=VEHICLE_METAL)
    turn = np.array([[math.cos(yaw), math.sin(yaw), 0.0], [-math.sin(yaw), math.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    corners = sections(shape).reshape(-1, 3) * (size[0] / SHAPES[shape].size[0])
    return MovingObject(name, corners @ turn + foot, shell(shape)[0], VEHICLE_METAL, np.zeros(3))


def _kerbs(site: Mesh, vehicles: ParkedVehicles) -> tuple[list[_Kerb], list[BaseGeometry]]:
    """All kerbs, and the carriageways of the streets."""
    if vehicles.streets:
        lines, half = _streets(vehicles), vehicles.street_width / 2
        with np.errstate(all="ignore"):  # of divisions within GEOS, where a street folds back on itself
            kerbs = [
                _Kerb(part, -side, number)
                for number, line in enumerate(lines)
                for side in (1.0, -1.0)
                for part in shapely.get_parts(line.offset_curve(side * half, join_style="mitre", mitre_limit=2.0))
            ]
        return kerbs, [line.buffer(half, cap_style="flat") for line in lines]
    chosen = standing_buildings(site)[site.buildings[1][site.triangle_object]]
    if not chosen.any():
        raise SiteTwinError(f"the site '{site.name}' has no buildings to park along; give the lines of streets")
    shape = shapely.union_all(plan_shapes(site.vertices[site.triangles[chosen]]), grid_size=1e-6)
    shape = shape.buffer(vehicles.setback, join_style="mitre", mitre_limit=2.0)
    # Oriented rings have the buildings on their left, hence the street on their right.
    oriented = [shapely.geometry.polygon.orient(part) for part in shapely.get_parts(shape)]
    rings = [ring for part in oriented for ring in (part.exterior, *part.interiors)]
    return [_Kerb(shapely.LineString(ring.coords), -1.0, -1) for ring in rings], []


def _streets(vehicles: ParkedVehicles) -> list[BaseGeometry]:
    """Centre lines to the millimetre; those without length are no streets."""
    lines = [shapely.LineString(np.round(line, 3)) for line in vehicles.streets]
    return [line for line in lines if line.length > 0]


def _bays(kerbs: Sequence[_Kerb]) -> _Bays:
    """Straight places of one van's length with the gaps about it, from the start of every kerb."""
    pitch = _VAN[0] + 2 * _APART
    found: list[tuple[np.ndarray, ...]] = []
    for kerb in kerbs:
        line = kerb.line
        at = pitch * np.arange(int(line.length / pitch) + 1)
        points = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
        if len(points) < 2:
            continue
        step = np.diff(points, axis=0)
        chord = np.hypot(step[:, 0], step[:, 1])
        straight = chord >= _STRAIGHT * pitch
        ahead = step[straight] / chord[straight][:, None]
        inward = kerb.side * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
        middle = 0.5 * (points[1:] + points[:-1])[straight]
        found.append((middle, np.arctan2(ahead[:, 1], ahead[:, 0]), inward, np.full(len(ahead), kerb.street)))
    if not found:
        return _Bays(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0, dtype=np.int64))
    return _Bays(*(np.concatenate(columns) for columns in zip(*found, strict=True)))


def _feet(site: Mesh, centre: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(N,) highest ground under each outline's corners, sides and middle; NaN where unknown or too steep."""
    if not len(outline):
        return np.zeros(0)
    corners = shapely.get_coordinates(outline).reshape(-1, 5, 2)[:, :4]
    beneath = np.concatenate([centre[:, None], corners, 0.5 * (corners + np.roll(corners, -1, axis=1))], axis=1)
    height = ground_height(site, beneath.reshape(-1, 2)).reshape(len(centre), -1)
    run = np.sqrt(((beneath - beneath[:, :1]) ** 2).sum(axis=2))
    steep = (np.abs(height - height[:, :1]) > _SLOPE * run).any(axis=1)
    return np.where(steep, np.nan, height.max(axis=1))


def _free(outline: np.ndarray, taken: shapely.STRtree) -> np.ndarray:
    """(N,) bool: outlines that keep their distance from all that stands there."""
    free = np.ones(len(outline), dtype=bool)
    free[taken.query(outline, predicate="dwithin", distance=_APART)[0]] = False
    return free


def _in_other_street(outline: np.ndarray, own: np.ndarray, streets: list[BaseGeometry]) -> np.ndarray:
    """(N,) bool: outlines that reach into the carriageway of a street that is not their own."""
    blocked = np.zeros(len(outline), dtype=bool)
    one, street = shapely.STRtree(streets).query(outline, predicate="intersects")
    blocked[one[street != own[one]]] = True
    return blocked


def _first_apart(outline: np.ndarray, candidates: np.ndarray, wanted: int) -> np.ndarray:
    """The first candidates, in their order, that keep `_APART` from those chosen before."""
    near: dict[int, list[int]] = {}
    for one, other in shapely.STRtree(outline).query(outline, predicate="dwithin", distance=_APART).T.tolist():
        near.setdefault(one, []).append(other)
    chosen: set[int] = set()
    for row in candidates.tolist():
        if len(chosen) >= wanted:
            break
        if chosen.isdisjoint(near.get(row, ())):
            chosen.add(row)
    return np.array(sorted(chosen), dtype=np.int64)
