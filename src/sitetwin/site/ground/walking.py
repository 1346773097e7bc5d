"""Compiled walk through the free space of a mesh, from points that something covers to a place under open sky."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np

from sitetwin.compiled import compiled

SKY, COVERED, ENCLOSED = 0, 1, 2
"""Nothing but the ground is above a point; something is, but there is a way out; or there is none."""

_STEP = 1.5  # metres of a step east or north, and the side in plan of the cells of which each is visited once
_LEVEL = 2.0  # metres, the height of these cells, and the greatest height above the floor at which the walk goes
_APART = 0.2  # metres to either side that must be free too: what is narrower is a crack
_HIGHER = 0.3  # metres by which one of the sides is higher, for cracks that lie
_EDGE = 1e-9  # barycentric slack: nobody slips between two triangles
_MOST_PLACES = 400_000  # of one walk: a hall of 40 ha; who has not come out by then is enclosed
_IN_CELL = 8  # places in one cell, which walls may part
_BUCKETS = 1 << 17


# Plain named tuples, which Numba knows; it reads no annotations.
Surfaces = namedtuple(
    "Surfaces", ("corners", "is_ground", "low", "high", "cell", "shape", "offsets", "members", "levels")
)
"""Triangles in plan on a uniform grid: (T, 3, 3) corners in metres; (T,) bool, which are ground; the grid's lowest and
highest corner (2,), the side of its cells in metres and their numbers (2,); and the triangles of each cell, by offsets,
with the lowest and highest point (M, 2) of each.
"""

_Places = namedtuple("_Places", ("where", "keys", "following", "walk"))
"""Places that walks came to, in chains by their cells: where, key of the cell, next of the chain, walk."""


@compiled()
def _column(point, mesh):  # type: ignore[no-untyped-def]
    """Whether a body is above a point, whether ground is, and the next surfaces below and above, metres."""
    corners, low, high, shape = mesh.corners, mesh.low, mesh.high, mesh.shape
    floor, ceiling, body, ground = -np.inf, np.inf, False, False
    x, y, z = point[0], point[1], point[2]
    if x < low[0] or x > high[0] or y < low[1] or y > high[1]:
        return body, ground, floor, ceiling
    i = min(int((x - low[0]) / mesh.cell), shape[0] - 1)
    j = min(int((y - low[1]) / mesh.cell), shape[1] - 1)
    number = i * shape[1] + j
    for k in range(mesh.offsets[number], mesh.offsets[number + 1]):
        t = mesh.members[k]
        ax, ay, az = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
        ux, uy, uz = corners[t, 1, 0] - ax, corners[t, 1, 1] - ay, corners[t, 1, 2] - az
        vx, vy, vz = corners[t, 2, 0] - ax, corners[t, 2, 1] - ay, corners[t, 2, 2] - az
        area = ux * vy - uy * vx
        if abs(area) <= 1e-9:
            continue
        u = ((x - ax) * vy - (y - ay) * vx) / area
        v = (ux * (y - ay) - uy * (x - ax)) / area
        if u < -_EDGE or v < -_EDGE or u + v > 1.0 + _EDGE:
            continue
        height = az + u * uz + v * vz
        if height > z:
            ceiling = min(ceiling, height)
            if mesh.is_ground[t]:
                ground = True
            else:
                body = True
        else:
            floor = max(floor, height)
    return body, ground, floor, ceiling


@compiled()
def _meets(a, b, corners, t):  # type: ignore[no-untyped-def]
    """Whether a segment meets a triangle (Moeller and Trumbore, 1997)."""
    dx, dy, dz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    ox, oy, oz = corners[t, 0, 0], corners[t, 0, 1], corners[t, 0, 2]
    ux, uy, uz = corners[t, 1, 0] - ox, corners[t, 1, 1] - oy, corners[t, 1, 2] - oz
    vx, vy, vz = corners[t, 2, 0] - ox, corners[t, 2, 1] - oy, corners[t, 2, 2] - oz
    px, py, pz = dy * vz - dz * vy, dz * vx - dx * vz, dx * vy - dy * vx
    det = px * ux + py * uy + pz * uz
    if det == 0.0:
        return False
    sx, sy, sz = a[0] - ox, a[1] - oy, a[2] - oz
    u = (sx * px + sy * py + sz * pz) / det
    if u < -_EDGE or u > 1.0 + _EDGE:
        return False
    qx, qy, qz = sy * uz - sz * uy, sz * ux - sx * uz, sx * uy - sy * ux
    v = (dx * qx + dy * qy + dz * qz) / det
    if v < -_EDGE or u + v > 1.0 + _EDGE:
        return False
    t = (vx * qx + vy * qy + vz * qz) / det
    return 0.0 <= t <= 1.0


@compiled()
def _free(a, b, mesh):  # type: ignore[no-untyped-def]
    """Whether nothing is between two points that are near one another."""
    low, cell, shape = mesh.low, mesh.cell, mesh.shape
    i0 = max(min(int((min(a[0], b[0]) - low[0]) / cell), shape[0] - 1), 0)
    i1 = max(min(int((max(a[0], b[0]) - low[0]) / cell), shape[0] - 1), 0)
    j0 = max(min(int((min(a[1], b[1]) - low[1]) / cell), shape[1] - 1), 0)
    j1 = max(min(int((max(a[1], b[1]) - low[1]) / cell), shape[1] - 1), 0)
    bottom, top = min(a[2], b[2]), max(a[2], b[2])
    for i in range(i0, i1 + 1):
        for j in range(j0, j1 + 1):
            number = i * shape[1] + j
            for k in range(mesh.offsets[number], mesh.offsets[number + 1]):
                if mesh.levels[k, 0] > top or mesh.levels[k, 1] < bottom:
                    continue
                if _meets(a, b, mesh.corners, mesh.members[k]):
                    return False
    return True


@compiled()
def _passes(a, b, lift, mesh):  # type: ignore[no-untyped-def]
    """Whether a step is free, in its middle and to both sides."""
    if not _free(a, b, mesh):
        return False
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.sqrt(dx * dx + dy * dy)
    for side in (-1.0, 1.0):
        rise = lift if side > 0 else 0.0
        across, along = -side * _APART * dy / length, side * _APART * dx / length
        c = (a[0] + across, a[1] + along, a[2] + rise)
        d = (b[0] + across, b[1] + along, b[2] + rise)
        if not _free(a, c, mesh):
            return False
        if not _free(c, d, mesh):
            return False
    return True


@compiled()
def _key(point):  # type: ignore[no-untyped-def]
    i, j, k = math.floor(point[0] / _STEP), math.floor(point[1] / _STEP), math.floor(point[2] / _LEVEL)
    return (int(i) * 73856093) ^ (int(j) * 19349663) ^ (int(k) * 83492791)


@compiled()
def _place(points, row):  # type: ignore[no-untyped-def]
    return points[row, 0], points[row, 1], points[row, 2]


@compiled()
def _empty(size):  # type: ignore[no-untyped-def]
    return np.empty((size, 3)), np.empty(size, np.int64), np.empty(size, np.int64), np.empty(size, np.int64)


@compiled()
def _known(point, places, heads, mesh):  # type: ignore[no-untyped-def]
    """The place in the cell of a point that is seen from it; -1 if there is none, -2 if the cell is full."""
    key = _key(point)
    row, count = heads[key & (_BUCKETS - 1)], 0
    while row >= 0:
        if places.keys[row] == key:
            if _free(point, _place(places.where, row), mesh):
                return row
            count += 1
        row = places.following[row]
    return -2 if count >= _IN_CELL else -1


@compiled()
def _added(point, walk, size, places, heads):  # type: ignore[no-untyped-def]
    """The places with one more."""
    if size == len(places.keys):
        longer = _Places(*_empty(2 * size))
        for row in range(size):
            longer.where[row, 0], longer.where[row, 1] = places.where[row, 0], places.where[row, 1]
            longer.where[row, 2], longer.keys[row] = places.where[row, 2], places.keys[row]
            longer.following[row], longer.walk[row] = places.following[row], places.walk[row]
        places = longer
    key = _key(point)
    bucket = key & (_BUCKETS - 1)
    places.where[size, 0], places.where[size, 1], places.where[size, 2] = point
    places.keys[size], places.walk[size], places.following[size] = key, walk, heads[bucket]
    heads[bucket] = size
    return places


@compiled()
def _walk(start, height, walk, size, places, heads, outcome, mesh):  # type: ignore[no-untyped-def]
    """Walk from a covered point: whether it comes to the open, the places with the new ones, and their number."""
    places, done, end = _added(start, walk, size, places, heads), size, size + 1
    while done < end and end - size < _MOST_PLACES:
        here = _place(places.where, done)
        done += 1
        _, _, _, ceiling = _column(here, mesh)
        lift = min(_HIGHER, 0.5 * (ceiling - here[2]))
        stopped = False
        for way in range(8):
            if way == 4 and not stopped:
                break  # the corners are reached by way of the sides
            number = 2 * way + 1 if way < 4 else (0, 2, 6, 8)[way - 4]  # of 3 x 3 neighbours, in rows
            there = (here[0] + _STEP * (number % 3 - 1), here[1] + _STEP * (number // 3 - 1), here[2])
            known = _known(there, places, heads, mesh)
            if known >= 0 and places.walk[known] == walk:
                continue  # this walk has been there
            if not _passes(here, there, lift, mesh):
                stopped = True
                continue
            body, ground, floor, ceiling = _column(there, mesh)
            if not body and not ground:
                return True, places, end
            if floor > -np.inf:
                there = (there[0], there[1], floor + min(height, 0.5 * (ceiling - floor)))
            known = _known(there, places, heads, mesh)
            if known >= 0 and places.walk[known] != walk:  # its outcome is this one's
                return outcome[places.walk[known]], places, end
            if known == -1:
                places = _added(there, walk, end, places, heads)
                end += 1
    return False, places, end


@compiled()
def openness(points, mesh):  # type: ignore[no-untyped-def]
    """Of points (N, 3), int8: `SKY` above them, `COVERED` with a way out to the open sky, or `ENCLOSED`.

    Every walk marks its places; a later walk, or a point, that sees one of them in its own cell shares its outcome.
    """
    result = np.zeros(len(points), dtype=np.int8)
    places = _Places(*_empty(1024))
    heads = np.full(_BUCKETS, -1, dtype=np.int64)
    outcome = np.zeros(len(points), dtype=np.bool_)  # of each walk: whether it ended in the open
    size, walks = 0, 0
    for n in range(len(points)):
        point = _place(points, n)
        body, ground, floor, _ = _column(point, mesh)
        if not body:
            continue
        if ground:  # in the ground, under a foundation
            result[n] = ENCLOSED
            continue
        known = _known(point, places, heads, mesh)
        if known >= 0:
            result[n] = COVERED if outcome[places.walk[known]] else ENCLOSED
            continue
        height = min(point[2] - floor, _LEVEL)
        out, places, size = _walk(point, height, walks, size, places, heads, outcome, mesh)
        outcome[walks], result[n] = out, COVERED if out else ENCLOSED
        walks += 1
    return result
