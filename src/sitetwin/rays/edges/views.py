"""Which facets a diffracted wave may meet next: those that Keller's cones strike, and those that users see."""

from __future__ import annotations

from typing import Any

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.cells import CellUsers
from sitetwin.rays.chains import mirror
from sitetwin.rays.device import array3, gather3, gather_points, norm, split, to_device
from sitetwin.rays.edges.light import SETS, LitWedges
from sitetwin.rays.edges.scene import FACET_ROW, EdgeScene
from sitetwin.rays.lattice import fibonacci_directions, random_rotation
from sitetwin.rays.specular.discovery import distinct
from sitetwin.site.facets import dot

_CONE_RAYS = 512  # of one set from each lit wedge
_VIEW_USERS = 4  # of one set in each cell
_VIEW_RAYS = 512  # of one set from each such user
_FACET_POINTS = 16  # of one set on each facet, for the sights from cells
_LANES = 1 << 22


def facets_from_wedges(scene: EdgeScene, lit: LitWedges, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Facets that rays on the Keller cones of lit wedges hit first.

    Each ray leaves a point of the lit part of the edge under the angle at which the light meets the edge there, in a
    direction drawn evenly from the open space around it. The points are spread evenly along the edge for every other
    ray, and evenly as the source sees the edge for the rest: an edge beside the source sends its cones far apart.

    Args:
        scene: The site on the device.
        lit: The lit wedges.
        seed: Seed of the draws.

    Returns:
        Lit wedge (a row of `lit`) and facet of each distinct pair, ascending, and a bit for each set that met it.
    """
    import drjit as dr

    mi = mitsuba()
    facets = scene.site.num_facets
    at_once = max(1, _LANES // _CONE_RAYS)
    keys, sets = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for number in range(SETS):
        rng = np.random.default_rng([seed, 2, number])
        for first in range(0, len(lit.wedge), at_once):
            rows = np.repeat(np.arange(first, min(first + at_once, len(lit.wedge))), _CONE_RAYS)
            drawn = _even_pairs(len(rows) // _CONE_RAYS, _CONE_RAYS, rng)
            at, share = (to_device(mi.Float64, x) for x in (_along_edge(scene, lit, rows, drawn[:, 0]), drawn[:, 1]))
            edge = scene.wedge(to_device(mi.UInt32, lit.wedge[rows].astype(np.uint32)))
            point = edge.start + edge.direction * at
            before = to_device(mi.Int32, lit.before[rows])
            image = scene.mirror(scene.source, dr.maximum(before, 0))
            source = dr.select(before < 0, scene.source, image)
            along, across = split(point - source, edge.direction)
            phi = edge.exterior * share
            tangent = dr.cross(edge.normal, edge.direction)
            away = tangent * dr.cos(phi) + edge.normal * dr.sin(phi)
            facet = _facet_hit(scene, edge.lifted(point, phi), edge.direction * along + away * norm(across))
            found = distinct(rows[facet >= 0] * facets + facet[facet >= 0])
            keys.append(found)
            sets.append(np.full(len(found), 1 << number, np.uint8))
    return _distinct_pairs(np.concatenate(keys), np.concatenate(sets), facets)


def facets_from_cells(scene: EdgeScene, cells: CellUsers, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Facets that users see.

    Args:
        scene: The site on the device.
        cells: The users by cell.
        seed: Seed of the choice of users and directions.

    Returns:
        Place in ``cells.cells`` and facet of each distinct pair, ascending, and a bit for each set that met it.
    """
    import drjit as dr

    mi = mitsuba()
    facets, count = scene.site.num_facets, len(cells.cells)
    points = array3(cells.points)
    keys, sets = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for number in range(SETS):
        rng = np.random.default_rng([seed, 3, number])
        for _ in range(_VIEW_USERS):
            held = np.diff(cells.offsets)
            user = cells.offsets[:-1] + (rng.random(count) * held).astype(np.int64)
            directions = fibonacci_directions(_VIEW_RAYS, random_rotation(rng))
            lane = dr.arange(mi.UInt32, count * _VIEW_RAYS)
            origin = gather_points(
                points, dr.gather(mi.UInt32, to_device(mi.UInt32, user.astype(np.uint32)), lane // _VIEW_RAYS)
            )
            towards = dr.gather(mi.Vector3f, directions, lane % _VIEW_RAYS)
            facet = _facet_hit(scene, origin, towards)
            place = np.repeat(np.arange(count), _VIEW_RAYS)
            found = distinct(place[facet >= 0] * facets + facet[facet >= 0])
            keys.append(found)
            sets.append(np.full(len(found), 1 << number, np.uint8))
    return _distinct_pairs(np.concatenate(keys), np.concatenate(sets), facets)


def sides_struck(scene: EdgeScene, wedge: np.ndarray, facet: np.ndarray) -> np.ndarray:
    """(F, 2) bool, whether wedges lie, even partly, before the facets that their cones strike, or behind them.

    Args:
        scene: The site on the device.
        wedge: (N,) wedges.
        facet: (N,) facet struck from each.
    """
    site = scene.site
    normal, offset = site.facet_normal[facet], site.facet_offset[facet]
    sides = np.zeros((site.num_facets, 2), dtype=bool)
    for end in (site.wedges.start[wedge], site.wedges.end[wedge]):
        height = dot(normal, end) - offset
        sides[facet[height > 0], 0] = True
        sides[facet[height < 0], 1] = True
    return sides


def facets_in_sight(
    scene: EdgeScene, cells: CellUsers, sides: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which facets users see: one ray of each set from each cell to each facet, however small it looks.

    A facet reflects what stands on one side of it to the same side, so no ray is aimed at it from the other.

    Args:
        scene: The site on the device.
        cells: The users by cell.
        sides: (F, 2) bool, the sides of each facet that matter, before it and behind it.
        seed: Seed of the choice of users and of points on the facets.

    Returns:
        As `facets_from_cells`.
    """
    import drjit as dr

    mi = mitsuba()
    wanted = np.flatnonzero(sides.any(axis=1))
    facets, count, many = scene.site.num_facets, len(cells.cells), len(wanted)
    points, names = array3(cells.points), to_device(mi.Int32, wanted.astype(np.int32))
    before, behind = (to_device(mi.Bool, sides[wanted, side]) for side in range(2))
    keys, sets = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    at_once = max(1, _LANES // max(many, 1))
    for number in range(SETS if many else 0):
        rng = np.random.default_rng([seed, 5, number])
        held = np.diff(cells.offsets)[:, None]
        user = cells.offsets[:-1, None] + (rng.random((count, _VIEW_USERS)) * held).astype(np.int64)
        users = to_device(mi.UInt32, user.astype(np.uint32))
        targets = array3(_points_on(scene, wanted, rng).reshape(-1, 3))
        for first in range(0, count, at_once):
            lane = dr.arange(mi.UInt32, min(at_once, count - first) * many)
            origin, target = _aims(points, users, targets, first + lane // many, lane % many)
            place = lane % many
            height = dr.dot(gather3(scene.facets, dr.gather(mi.Int32, names, place) * FACET_ROW), origin - target)
            faces = (height > 0) & dr.gather(mi.Bool, before, place) | (height < 0) & dr.gather(mi.Bool, behind, place)
            lane = dr.gather(mi.UInt32, lane, dr.compress(faces))
            origin, target = _aims(points, users, targets, first + lane // many, lane % many)
            seen = _first_hit(scene, origin, target - origin) == dr.gather(mi.Int32, names, lane % many)
            index = dr.gather(mi.UInt32, lane, dr.compress(seen)).numpy().astype(np.int64)
            found = (first + index // many) * facets + wanted[index % many]
            keys.append(found)
            sets.append(np.full(len(found), 1 << number, np.uint8))
    return _distinct_pairs(np.concatenate(keys), np.concatenate(sets), facets)


def _aims(points: Any, users: Any, targets: Any, cell: Any, place: Any) -> tuple[Any, Any]:
    """A user of each cell and a point of each facet (Dr.Jit), a different combination in each cell."""
    import drjit as dr

    user = dr.gather(mitsuba().UInt32, users, cell * _VIEW_USERS + place % _VIEW_USERS)
    target = place * _FACET_POINTS + (cell + place // _VIEW_USERS) % _FACET_POINTS
    return gather_points(points, user), gather_points(targets, target)


def _points_on(scene: EdgeScene, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(G, _FACET_POINTS, 3) points drawn evenly from facets, metres."""
    site = scene.site
    corners = site.vertices[site.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    order = np.argsort(site.triangle_facet, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(np.sqrt(dot(normal, normal))[order])])
    edges = np.searchsorted(site.triangle_facet[order], np.arange(site.num_facets + 1))
    low, high = total[edges[wanted]][:, None], total[edges[wanted + 1]][:, None]
    drawn = low + (high - low) * rng.random((len(wanted), _FACET_POINTS))
    place = np.searchsorted(total, drawn, side="right") - 1
    triangle = order[np.clip(place, edges[wanted][:, None], edges[wanted + 1][:, None] - 1)]
    u, v = rng.random((2, len(wanted), _FACET_POINTS, 1))
    root = np.sqrt(u)
    a, b, c = (corners[triangle, k] for k in range(3))
    return np.asarray(a * (1 - root) + b * (root * (1 - v)) + c * (root * v))


def _along_edge(scene: EdgeScene, lit: LitWedges, rows: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """(N,) metres from the start of the edges, within their lit parts, for numbers drawn from [0, 1)."""
    wedges, mirrored = scene.site.wedges, np.maximum(lit.before, 0)
    image = mirror(scene.transmitter, scene.site.facet_normal[mirrored], scene.site.facet_offset[mirrored])
    step = np.where(lit.before[:, None] < 0, scene.transmitter, image) - wedges.start[lit.wedge]
    foot = dot(step, wedges.direction[lit.wedge])
    across = step - foot[:, None] * wedges.direction[lit.wedge]
    distance = np.sqrt(dot(across, across))[:, None]
    seen = np.arctan((lit.lit - foot[:, None]) / distance)[rows]
    low, high = lit.lit[rows].T
    evenly = low + (high - low) * drawn
    by_angle = foot[rows] + distance[rows, 0] * np.tan(seen[:, 0] + (seen[:, 1] - seen[:, 0]) * drawn)
    return np.where(np.arange(len(rows)) % 2 == 0, evenly, np.clip(by_angle, low, high))


def _even_pairs(rows: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """(rows * count, 2) in [0, 1): for each row `count` points spread evenly over the square, shifted at random.

    The additive sequence of the plastic number (M. Roberts, "The unreasonable effectiveness of quasirandom sequences",
    2018), a two-dimensional kin of the golden ratio's.
    """
    steps = np.arange(count)[:, None] * np.array([0.7548776662466927, 0.5698402909980532])
    return ((rng.random((rows, 1, 2)) + steps) % 1.0).reshape(-1, 2)


def _facet_hit(scene: EdgeScene, origin: Any, direction: Any) -> np.ndarray:
    """(N,) facet first hit, -1 where there is none."""
    return np.asarray(_first_hit(scene, origin, direction).numpy()).astype(np.int64)


def _first_hit(scene: EdgeScene, origin: Any, direction: Any) -> Any:
    """The same as Dr.Jit Int32."""
    import drjit as dr

    mi = mitsuba()
    step = mi.Vector3f(direction)
    ray = mi.Ray3f(mi.Point3f(origin), step / dr.norm(step))
    hit = scene.caster.scene.ray_intersect_preliminary(ray, coherent=False)
    valid = hit.is_valid()
    return dr.select(valid, dr.gather(mi.Int32, scene.caster.triangle_facet, hit.prim_index, valid), -1)


def _distinct_pairs(keys: np.ndarray, sets: np.ndarray, facets: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.argsort(keys, kind="stable")
    keys, sets = keys[order], sets[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    bits = np.bitwise_or.reduceat(sets, first) if len(first) else sets
    return keys[first] // facets, (keys[first] % facets).astype(np.int32), bits
