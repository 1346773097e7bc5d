"""Wedges: the straight edges at which a wave is diffracted, found from the mesh by geometry alone.

Around each mesh edge the incident faces are sorted by angle; two neighbours in angle enclose a sector, which is open
space or the inside of a body. Every open sector that is not flat is a wedge; a single face is a half plane (free edge).

The following rules decide which sectors are open. A face's winding says which of its sides is outside. A closed body
whose faces contradict each other, or that is wound inside out, is turned first; but a consistently wound body that
encloses everything else is a room and stays. Both faces of a sector agree in a consistently wound mesh. Where they
contradict each other and two faces meet, the larger sector is open (the body is on the smaller-angle side); where three
or more meet, every sector is open unless two backs enclose it (sheets joined along a line). A face of an open sheet
that occurs with both windings is ignored in these decisions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from sitetwin.site.edge_cover import Surfaces, open_parts
from sitetwin.site.edge_joining import Outline, Precision, collapsed_facets, join_edges, within
from sitetwin.site.edge_rims import ground_rims
from sitetwin.site.facets import FLATNESS, components, dot, mesh_tolerance, norm, unit
from sitetwin.site.mesh import Mesh
from sitetwin.site.thin_walls import Edges, merge_thin_walls
from sitetwin.site.winding import edge_number, turned_outwards, weld

SAME_ANGLE = 1e-3
"""Radians: faces around an edge closer than this in angle lie on each other."""


@dataclass(frozen=True, eq=False)
class Wedges:
    """The wedges of a mesh, in an order that does not depend on the order of its triangles: by start, end, angle.

    About ``direction`` the angle phi is measured from ``tangents[:, 0]`` towards ``normals[:, 0]``: face 0 lies at
    phi = 0, open space at 0 < phi < exterior_angle, face n at phi = exterior_angle. (tangent 0, normal 0, direction) is
    right-handed, and the start is the end that comes first by x, then y, then z. Exchanging the two faces reverses the
    direction, so the choice of face 0 has no physical meaning.

    Attributes:
        start: (W, 3) float64, metres.
        end: (W, 3) float64, metres.
        direction: (W, 3) float64, unit vectors from start to end.
        length: (W,) float64, metres.
        facets: (W, 2) int32, face 0 and face n; the second is -1 for a free edge.
        exterior_angle: (W,) float64, rad in (0, 2 pi]: above pi a convex wedge, below it a concave corner, 2 pi a
            free edge.
        normals: (W, 2, 3) float64, unit normals of face 0 and face n into the open space; those of a free edge are
            opposite.
        tangents: (W, 2, 3) float64, unit vectors in face 0 and face n, perpendicular to the edge, away from it.
        standoff: (W, 2, 3) float64, metres, from the edge to where rays to the side of face 0 and of face n begin: zero
            where the mesh draws the edge once.
        rim: (W,) bool, whether the edge is only where the ground was cut (`edge_rims`); nothing is diffracted there.
        wavelengths: (W, 2) float64, metres: the edge diffracts waves from the first length on and shorter than the
            second. Plain edges come first. They act at all short waves; the edges after them stand for several edges of
            a thin wall, and act at waves longer than the wall is thick, in place of those (`thin_walls`).
        reflects_below: (F,) float64, metres, wavelength from which on each facet is only a strip between edges that act
            as one, which reflects nothing of its own; inf for most.
        covered: Number of mesh edges that are not wedges because they lie on the surface of another facet (a wall that
            stands on the ground, a house built against a higher one).
    """

    start: Float[np.ndarray, "wedges 3"]
    end: Float[np.ndarray, "wedges 3"]
    direction: Float[np.ndarray, "wedges 3"]
    length: Float[np.ndarray, " wedges"]
    facets: Int[np.ndarray, "wedges 2"]
    exterior_angle: Float[np.ndarray, " wedges"]
    normals: Float[np.ndarray, "wedges 2 3"]
    tangents: Float[np.ndarray, "wedges 2 3"]
    standoff: Float[np.ndarray, "wedges 2 3"]
    rim: Bool[np.ndarray, " wedges"]
    wavelengths: Float[np.ndarray, "wedges 2"]
    reflects_below: Float[np.ndarray, " facets"]
    covered: int

    def __len__(self) -> int:
        return len(self.length)

    @cached_property
    def key(self) -> str:
        """SHA-256 of which edge has which number: two lists with the same key name the same edges by number."""
        digest = hashlib.sha256(b"sitetwin-edges-1")
        digest.update(np.ascontiguousarray(self.facets, "<i4").tobytes())
        digest.update(np.packbits(self.merged).tobytes())
        return digest.hexdigest()

    @property
    def merged(self) -> Bool[np.ndarray, " wedges"]:
        """(W,) bool: edges that stand for several."""
        return self.wavelengths[:, 0] > 0


@dataclass(frozen=True, eq=False)
class _Sides:
    """Faces at elementary edges, one row each: edge from point `low` to point `high` (low < high).

    `forward` tells whether the triangle runs from low to high; `inner` (N, 3) is its third corner.
    """

    low: np.ndarray
    high: np.ndarray
    forward: np.ndarray
    inner: np.ndarray
    facet: np.ndarray

    def take(self, rows: np.ndarray) -> _Sides:
        return _Sides(*(getattr(self, name)[rows] for name in ("low", "high", "forward", "inner", "facet")))


@dataclass(frozen=True, eq=False)
class _Sectors:
    """Open sectors at elementary edges.

    `ends` (N, 2) are indices of points, `facets` (N, 2) are face 0 and face n (-1 for a free edge), and `tangents` (N,
    2, 3) belong to the two faces.
    """

    ends: np.ndarray
    facets: np.ndarray
    tangents: np.ndarray

    def take(self, rows: np.ndarray) -> _Sectors:
        return _Sectors(self.ends[rows], self.facets[rows], self.tangents[rows])


def find_wedges(mesh: Mesh, precision: Precision | None = None) -> Wedges:
    """Find the wedges of a mesh.

    Corners are shared by position (within the mesh tolerance), not by index, so faces of different objects meet. Edges
    that run side by side within the precision of the mesh are one (`edge_joining`). An edge is cut where another body's
    corner touches it. Edges between coplanar facets are not wedges; collinear neighbours between the same two facets
    become one. Parts of an edge that lie on the surface of a foreign facet are covered and are cut off (`edge_cover`),
    because a body that touches another leaves no gap there. Edges close together are merged besides (`thin_walls`).

    Args:
        mesh: The mesh; a site is one.
        precision: How exact its corners are; by default as exact as single precision.
    """
    precision = precision or Precision()
    points, corners = weld(mesh.vertices[mesh.triangles])
    facet = mesh.triangle_facet.astype(np.int64)
    surfaces, thin = Surfaces(mesh, precision.cover), np.zeros(mesh.num_facets, dtype=bool)
    moved = np.zeros(len(points))
    sides = _sides_of(mesh, points, corners, facet)
    touched = surfaces.at(points)
    loose = _touching(mesh, sides, touched)
    joined = join_edges(points, _outline_of(points, sides), loose, precision)
    if (joined.place != np.arange(len(points))).any() or joined.moved.any():
        left = (joined.points == points).all(axis=1)
        points, moved = joined.points, joined.moved
        corners = joined.place[corners]
        thin = collapsed_facets(mesh, corners, precision)
        sides = _sides_of(mesh, points, corners[~thin[facet]], facet[~thin[facet]])
        if thin.any():
            surfaces = Surfaces(mesh, precision.cover, thin)
        loose = _touching(mesh, sides, surfaces.again(points, touched, left, thin))
    sides = _split(sides, points, loose)
    sectors = _open_sectors(mesh, points, sides)
    points, parts, covered = _open_parts(mesh, points, sides, sectors, surfaces)
    merged, ends = _merge_collinear(points, parts)
    moved = np.append(moved, np.zeros(len(points) - len(moved)))
    return _with_merged(mesh, _assemble(mesh, points, merged, ends, moved, covered), thin)


def _sides_of(mesh: Mesh, points: np.ndarray, corners: np.ndarray, facet: np.ndarray) -> _Sides:
    """The outline of triangles (T, 3) that still have three corners."""
    whole = (corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])
    return _outline(mesh, points, _all_sides(points, turned_outwards(points, corners[whole]), facet[whole]))


def _outline_of(points: np.ndarray, sides: _Sides) -> Outline:
    """The distinct edges among sides."""
    edge = edge_number(sides.low, sides.high)
    _, first, count = np.unique(edge, return_index=True, return_counts=True)
    low, high = sides.low[first], sides.high[first]
    axis = unit(points[high] - points[low])
    inward = sides.inner[first] - points[low]
    inward = unit(inward - dot(inward, axis)[:, None] * axis)
    return Outline(np.column_stack([low, high]), np.where(count == 1, sides.facet[first], -1), inward)


def _all_sides(points: np.ndarray, corners: np.ndarray, facet: np.ndarray) -> _Sides:
    first, second, third = (np.concatenate([corners[:, (k + shift) % 3] for k in range(3)]) for shift in range(3))
    return _Sides(
        low=np.minimum(first, second),
        high=np.maximum(first, second),
        forward=first < second,
        inner=points[third],
        facet=np.tile(facet, 3).astype(np.int64),
    )


def _outline(mesh: Mesh, points: np.ndarray, sides: _Sides) -> _Sides:
    """Without the edges inside a facet: exactly two faces, both of one facet, one on either side."""
    edge = edge_number(sides.low, sides.high)
    count = np.bincount(edge)
    across = np.cross(mesh.facet_normal[sides.facet], points[sides.high] - points[sides.low])
    balance = np.bincount(edge, np.where(dot(across, sides.inner - points[sides.low]) < 0, -1, 1))
    least, most = np.full(len(count), np.iinfo(np.int64).max), np.full(len(count), -1)
    np.minimum.at(least, edge, sides.facet)
    np.maximum.at(most, edge, sides.facet)
    inside = (count == 2) & (balance == 0) & (least == most)
    return sides.take(np.flatnonzero(~inside[edge]))


def _touching(mesh: Mesh, sides: _Sides, touched: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Ends of edges where another edge may be cut: those on a facet that has no corner there, and of lone faces."""
    edge = edge_number(sides.low, sides.high)
    single = np.bincount(edge)[edge] == 1
    which, facet = touched
    is_corner = np.zeros(int(max(which.max(initial=-1), sides.high.max(initial=-1))) + 1, dtype=bool)
    is_corner[sides.low], is_corner[sides.high] = True, True
    which, facet = which[is_corner[which]], facet[is_corner[which]]
    own = np.concatenate([sides.low, sides.high]) * mesh.num_facets + np.tile(sides.facet, 2)
    foreign = ~np.isin(which * mesh.num_facets + facet, own, kind="sort")
    return np.unique(np.concatenate([sides.low[single], sides.high[single], which[foreign]]))


def _split(sides: _Sides, points: np.ndarray, loose: np.ndarray) -> _Sides:
    """Cut edges at those of some points that lie on them."""
    if not len(loose):
        return sides
    a, b = points[sides.low], points[sides.high]
    step = b - a
    length = np.sqrt(dot(step, step))
    row, at = within(cKDTree(points[loose]), 0.5 * (a + b), 0.5 * length * (1 + 1e-9) + FLATNESS)
    at = loose[at]
    along = dot(points[at] - a[row], step[row]) / length[row] ** 2
    away = points[at] - a[row] - along[:, None] * step[row]
    tolerance = mesh_tolerance(points[at])
    cut = (np.sqrt(dot(away, away)) <= tolerance) & (along * length[row] > tolerance)
    cut &= (1 - along) * length[row] > tolerance
    row, at, along = row[cut], at[cut], along[cut]
    order = np.lexsort((along, row))
    row, at = row[order], at[order]
    pieces = np.bincount(row, minlength=len(length)) + 1
    source = np.repeat(np.arange(len(length)), pieces)
    first = np.cumsum(pieces) - pieces
    begin, end = sides.low[source], sides.high[source]
    inner = np.ones(len(source), dtype=bool)
    inner[first] = False
    begin[inner] = at
    end[np.flatnonzero(inner) - 1] = at
    turned = begin > end
    return _Sides(
        low=np.minimum(begin, end),
        high=np.maximum(begin, end),
        forward=sides.forward[source] ^ turned,
        inner=sides.inner[source],
        facet=sides.facet[source],
    )


def _open_sectors(mesh: Mesh, points: np.ndarray, sides: _Sides) -> _Sectors:
    """Pairs of faces, neighbours in angle around an edge, with open and not flat space between them."""
    edge = edge_number(sides.low, sides.high)
    order = np.lexsort((sides.facet, edge))
    sides, edge = sides.take(order), edge[order]
    first = np.flatnonzero(np.diff(edge, prepend=-1))
    axis = unit(points[sides.high] - points[sides.low])
    tangent = unit(np.cross(mesh.facet_normal[sides.facet], axis))
    tangent *= np.where(dot(tangent, sides.inner - points[sides.low]) < 0, -1.0, 1.0)[:, None]
    reference = tangent[first][edge]
    angle = np.arctan2(dot(np.cross(axis, reference), tangent), dot(reference, tangent)) % (2 * np.pi)
    angle[angle > 2 * np.pi - SAME_ANGLE] = 0.0
    order = np.lexsort((sides.facet, angle, edge))
    sides, edge, angle, tangent, axis = sides.take(order), edge[order], angle[order], tangent[order], axis[order]

    # Faces that lie on each other become one; it says which side is outside only if all of them agree.
    fresh = (np.diff(edge, prepend=-1) != 0) | (np.diff(angle, prepend=-1.0) > SAME_ANGLE)
    face = np.flatnonzero(fresh)
    winding = np.where(sides.forward, 1, -1)
    if len(face):
        most, least = np.maximum.reduceat(winding, face), np.minimum.reduceat(winding, face)
        winding = np.where(most == least, most, 0)
    edge, angle, tangent, axis, facet = edge[face], angle[face], tangent[face], axis[face], sides.facet[face]
    ends = np.column_stack([sides.low[face], sides.high[face]])

    count = np.bincount(edge)[edge] if len(edge) else edge
    start = np.flatnonzero(np.diff(edge, prepend=-1))
    following = np.arange(len(edge)) + 1
    following[np.append(start[1:], len(edge))[: len(start)] - 1] = start
    sector = angle[following] - angle
    sector[sector <= 0] += 2 * np.pi
    vote = winding - winding[following]  # 2: both say open, -2: both say solid
    contradicted = np.where(count == 2, sector > np.pi, True)
    open_space = (count == 1) | (vote > 0) | ((vote == 0) & contradicted)
    size = _facet_size(mesh)
    reach = np.minimum(size[facet], size[facet[following]])
    flat = np.abs(sector - np.pi) * reach <= mesh_tolerance(points[ends[:, 0]])
    rows = np.flatnonzero(open_space & ~(flat & (count > 1)))
    other = np.where(count == 1, -1, facet[following])
    return _Sectors(
        ends=ends[rows],
        facets=np.column_stack([facet, other])[rows],
        tangents=np.stack([tangent, tangent[following]], axis=1)[rows],
    )


def _facet_size(mesh: Mesh) -> np.ndarray:
    """(F,) diagonal of each facet's bounding box, metres."""
    corners = mesh.vertices[mesh.triangles]
    low, high = np.full((mesh.num_facets, 3), np.inf), np.full((mesh.num_facets, 3), -np.inf)
    np.minimum.at(low, mesh.triangle_facet, corners.min(axis=1))
    np.maximum.at(high, mesh.triangle_facet, corners.max(axis=1))
    span = high - low
    return np.sqrt(dot(span, span))


def _open_parts(
    mesh: Mesh, points: np.ndarray, sides: _Sides, sectors: _Sectors, surfaces: Surfaces
) -> tuple[np.ndarray, _Sectors, int]:
    """The sectors with the covered parts of their edges cut off, the points with the new ends, and what was covered."""
    count = len(sides.low)
    number = edge_number(np.append(sides.low, sectors.ends[:, 0]), np.append(sides.high, sectors.ends[:, 1]))
    incident = np.unique(number[:count] * mesh.num_facets + sides.facet)
    row, share, covered = open_parts(surfaces, points[sectors.ends], number[count:], incident)
    parts = sectors.take(row)
    ends = parts.ends.copy()
    step = points[ends[:, 1]] - points[ends[:, 0]]
    for side, limit in ((0, 0.0), (1, 1.0)):
        cut = np.flatnonzero(share[:, side] != limit)
        ends[cut, side] = len(points) + np.arange(len(cut))
        points = np.concatenate([points, points[parts.ends[cut, 0]] + share[cut, side, None] * step[cut]])
    return points, _Sectors(ends, parts.facets, parts.tangents), covered


def _merge_collinear(points: np.ndarray, sectors: _Sectors) -> tuple[_Sectors, np.ndarray]:
    """Neighbouring edges of the same two facets in one line become one: its longest part, and its ends (N, 2)."""
    count = len(sectors.ends)
    step = points[sectors.ends[:, 1]] - points[sectors.ends[:, 0]]
    length = np.sqrt(dot(step, step))
    direction = step / np.where(length > 0, length, 1.0)[:, None]
    pair = np.unique(sectors.facets, axis=0, return_inverse=True)[1].reshape(-1)
    owner, end = np.tile(np.arange(count), 2), np.concatenate([sectors.ends[:, 0], sectors.ends[:, 1]])
    order = np.lexsort((end, pair[owner]))
    a, b = owner[order][:-1], owner[order][1:]
    bend = np.cross(direction[a], direction[b])
    straight = np.sqrt(dot(bend, bend)) * np.minimum(length[a], length[b]) <= mesh_tolerance(points[end[order][:-1]])
    same_side = dot(sectors.tangents[a, 0], sectors.tangents[b, 0]) > 0
    joined = (pair[a] == pair[b]) & (end[order][:-1] == end[order][1:]) & straight & same_side
    group = components(count, a[joined], b[joined])
    group = np.where(_is_straight(points, sectors.ends, group, direction, length)[group], group, np.arange(count))
    order = np.lexsort((-length, group))
    longest = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    part = np.searchsorted(group[longest], group)
    along = dot(points[sectors.ends], direction[longest][part][:, None])
    ends = np.empty((len(longest), 2), dtype=np.int64)
    by_start, by_end = np.lexsort((along[:, 0], part)), np.lexsort((-along[:, 1], part))
    ends[:, 0] = sectors.ends[by_start[np.flatnonzero(np.diff(part[by_start], prepend=-1))], 0]
    ends[:, 1] = sectors.ends[by_end[np.flatnonzero(np.diff(part[by_end], prepend=-1))], 1]
    return sectors.take(longest), ends


def _is_straight(
    points: np.ndarray, ends: np.ndarray, group: np.ndarray, direction: np.ndarray, length: np.ndarray
) -> np.ndarray:
    """(N,) bool, true at the name of each group whose points lie in one line, rather than along a polygon."""
    axis = np.zeros_like(direction)
    np.add.at(axis, group, direction * length[:, None])
    axis = unit(axis)
    away = points[ends] - points[ends[group, 0]][:, None]
    away = away - dot(away, axis[group][:, None])[..., None] * axis[group][:, None]
    deviation = np.zeros(len(group))
    np.maximum.at(deviation, group, np.sqrt(dot(away, away)).max(axis=1, initial=0.0))
    return deviation <= 2 * mesh_tolerance(points[ends[:, 0]])


def _assemble(
    mesh: Mesh, points: np.ndarray, sectors: _Sectors, ends: np.ndarray, moved: np.ndarray, covered: int
) -> Wedges:
    start, end = points[ends[:, 0]], points[ends[:, 1]]
    step = end - start
    length = np.sqrt(dot(step, step))
    direction = unit(step)
    free = sectors.facets[:, 1] < 0
    tangents = np.empty_like(sectors.tangents)
    for side in range(2):
        facet = np.where(free, sectors.facets[:, 0], sectors.facets[:, side])
        tangent = unit(np.cross(mesh.facet_normal[facet], direction))
        tangents[:, side] = tangent * np.where(dot(tangent, sectors.tangents[:, side]) < 0, -1.0, 1.0)[:, None]
    normals = np.cross(direction[:, None], tangents)
    normals[:, 1] *= -1.0
    angle = np.arctan2(dot(normals[:, 0], tangents[:, 1]), dot(tangents[:, 0], tangents[:, 1])) % (2 * np.pi)
    angle[free] = 2 * np.pi
    # From so far out rays pass what the mesh draws beside the edge.
    half = 0.5 * angle[:, None]
    outward = np.cos(half) * tangents[:, 0] + np.sin(half) * normals[:, 0]
    standoff = 2.0 * moved[ends].max(axis=1, initial=0.0)[:, None] * outward
    order = np.lexsort((angle, *end.T[::-1], *start.T[::-1]))
    return Wedges(
        start=start[order],
        end=end[order],
        direction=direction[order],
        length=length[order],
        facets=sectors.facets[order].astype(np.int32),
        exterior_angle=angle[order],
        normals=normals[order],
        tangents=tangents[order],
        standoff=np.repeat(standoff[order, None], 2, axis=1),
        rim=ground_rims(mesh, np.stack([start, end], axis=1), sectors.facets, tangents, normals)[order],
        wavelengths=np.tile([0.0, np.inf], (len(order), 1)),
        reflects_below=np.full(mesh.num_facets, np.inf),
        covered=covered,
    )


def _with_merged(mesh: Mesh, wedges: Wedges, collapsed: np.ndarray) -> Wedges:
    """The wedges, and after them those that act in their place where walls are thinner than a wavelength."""
    ends = np.stack([wedges.start, wedges.end], axis=1)
    plain = Edges.plain(ends, wedges.facets.astype(np.int64), wedges.exterior_angle, wedges.tangents)
    thin = merge_thin_walls(mesh, plain, ~wedges.rim)
    waves = np.column_stack([np.zeros(len(wedges)), thin.plain_below])
    reflects_below = np.where(collapsed, 0.0, thin.reflects_below)
    if not len(thin.merged.extent):
        return replace(wedges, reflects_below=reflects_below)
    new = thin.merged
    step = new.ends[:, 1] - new.ends[:, 0]
    first = np.sign(step)
    leading = np.take_along_axis(first, (first != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    new = new.exchanged(leading < 0)
    start, end = new.ends[:, 0], new.ends[:, 1]
    direction = new.direction
    normals = np.cross(direction[:, None], new.tangents)
    normals[:, 1] *= -1.0
    aside = new.outermost - start[:, None]
    aside = aside - dot(aside, direction[:, None])[:, :, None] * direction[:, None]
    return Wedges(
        start=np.concatenate([wedges.start, start]),
        end=np.concatenate([wedges.end, end]),
        direction=np.concatenate([wedges.direction, direction]),
        length=np.concatenate([wedges.length, norm(step)]),
        facets=np.concatenate([wedges.facets, new.facets.astype(np.int32)]),
        exterior_angle=np.concatenate([wedges.exterior_angle, new.exterior]),
        normals=np.concatenate([wedges.normals, normals]),
        tangents=np.concatenate([wedges.tangents, new.tangents]),
        standoff=np.concatenate([wedges.standoff, aside]),
        rim=np.concatenate([wedges.rim, np.zeros(len(start), dtype=bool)]),
        wavelengths=np.concatenate([waves, np.column_stack([new.extent, thin.merged_below])]),
        reflects_below=reflects_below,
        covered=wedges.covered,
    )
