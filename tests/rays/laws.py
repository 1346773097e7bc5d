"""The laws that a path must obey, in plain float64 NumPy: the independent judge of every tracer.

Nothing here uses a tracer, a ray-casting library or single precision. A path is *valid* when every law holds and none
would be decided otherwise by moving a point by `Tolerance.position`; *invalid* when a law is broken beyond the
tolerance; *marginal* when the geometry is too close to an edge for the tolerance to decide.

The laws:
    endpoints   the path starts at the transmitter, ends at the user, and its length and directions are those of its
                vertices;
    facet       each vertex lies in a triangle of the facet it names (distance to the triangle in metres);
    mirror      the direction after a vertex is the one before it, mirrored at the facet's plane: equal angles, and
                incident ray, normal and reflected ray in one plane (angle in radians);
    side        both neighbours of a vertex lie on the same side of its facet's plane (metres);
    occlusion   no triangle of the mesh meets a segment, except those in the plane of a facet that the segment starts
                or ends on;
    edge        a point of diffraction lies on its wedge's edge (metres), each of the wedge's facets holds the edge;
    cone        the ray makes the same angle with the edge before and after it (Keller's law of edge diffraction);
    open        both neighbours of a point of diffraction lie in the open space between the wedge's faces (metres).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np

REFLECTION, DIFFRACTION = 1, 3


class Verdict(StrEnum):
    """What a judgement comes to."""

    VALID = "valid"
    MARGINAL = "marginal"
    INVALID = "invalid"


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the law that decided it ("" for a valid path)."""

    verdict: Verdict
    law: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Tolerance:
    """What counts as equal: metres for points, radians for directions."""

    position: float = 1e-4
    angle: float = 1e-6


VALID = Judgement(Verdict.VALID)
_SEVERITY = {Verdict.VALID: 0, Verdict.MARGINAL: 1, Verdict.INVALID: 2}


class LawTest:
    """Judges paths against the mesh of one site.

    Args:
        site: Anything with `vertices`, `triangles`, `triangle_facet`, `facet_normal` and `facet_offset`.
        tolerance: What counts as equal.
        cell: Side of the cells of the horizontal grid that narrows the occlusion test, metres.
    """

    def __init__(self, site: Any, tolerance: Tolerance | None = None, cell: float = 20.0) -> None:
        self.tolerance = tolerance or Tolerance()
        self._site = site
        self.corners = np.asarray(site.vertices, np.float64)[np.asarray(site.triangles)]
        self.facet = np.asarray(site.triangle_facet)
        self.plane_normal = np.asarray(site.facet_normal, np.float64)
        self.plane_offset = np.asarray(site.facet_offset, np.float64)
        self.outline = _outline_edges(np.asarray(site.vertices), np.asarray(site.triangles), self.facet)
        order = np.argsort(self.facet, kind="stable")
        starts = np.searchsorted(self.facet[order], np.arange(len(self.plane_offset) + 1))
        self._of_facet = [order[a:b] for a, b in pairwise(starts)]
        self._plane_margin = self.tolerance.position + self.facet_flatness()
        self._grid = _Grid(self.corners, cell, self.tolerance.position)

    def facet_flatness(self) -> np.ndarray:
        """(F,) largest distance of a facet's vertices from its plane, metres."""
        height = np.abs(
            np.einsum("tkc,tc->tk", self.corners, self.plane_normal[self.facet])
            - self.plane_offset[self.facet][:, None]
        ).max(axis=1)
        flatness = np.zeros(len(self.plane_offset))
        np.maximum.at(flatness, self.facet, height)
        return flatness

    def judge_paths(self, paths: Any, rows: np.ndarray | None = None) -> list[Judgement]:
        """Judgements of rows of a `Paths` table (all rows by default)."""
        user = np.repeat(np.arange(len(paths.users)), np.diff(paths.offsets))
        judgements = []
        for row in np.arange(len(paths.length)) if rows is None else rows:
            kinds = paths.kinds[row]
            depth = int(np.count_nonzero(kinds))
            if not np.isin(kinds[:depth], (REFLECTION, DIFFRACTION)).all():
                raise ValueError("the law test knows reflections and diffractions only")
            points = np.concatenate(
                [paths.transmitter[None], paths.vertices[row, :depth], paths.users[user[row]][None]]
            )
            judgement = self.judge(points, paths.facets[row, :depth], kinds[:depth])
            claims = self._claims(points, paths.length[row], paths.departure[row], paths.arrival[row])
            judgements.append(_worse(claims, judgement))
        return judgements

    def judge(
        self, points: np.ndarray, facets: np.ndarray, kinds: np.ndarray | None = None, *, occlusion: bool = True
    ) -> Judgement:
        """Judgement of one path.

        Args:
            points: (k + 2, 3) metres: transmitter, the k vertices, user.
            facets: (k,) facet that each vertex claims to lie on, or wedge.
            kinds: (k,) what happens there; reflections by default.
            occlusion: Whether anything in the way breaks a law.
        """
        kinds = np.full(len(facets), REFLECTION) if kinds is None else kinds
        points = np.asarray(points, np.float64)
        if not np.all(np.isfinite(points)):
            return Judgement(Verdict.INVALID, "endpoints", "a vertex is not finite")
        if np.any(np.linalg.norm(np.diff(points, axis=0), axis=1) < self.tolerance.position):
            return Judgement(Verdict.MARGINAL, "endpoints", "a segment is shorter than the tolerance")
        result = VALID
        reflection = (self._facet_law, self._side_law, self._mirror_law)
        diffraction = (self._edge_law, self._cone_law, self._open_law)
        for k, facet in enumerate(facets):
            for law in reflection if kinds[k] == REFLECTION else diffraction:
                result = _worse(result, law(points[k], points[k + 1], points[k + 2], int(facet)))
            if result.verdict is Verdict.INVALID:
                return result
        ends = [set(), *map(self._planes_at, facets, kinds), set()]
        for k in range(len(points) - 1 if occlusion else 0):
            result = _worse(result, self._occlusion_law(points[k], points[k + 1], ends[k], ends[k + 1]))
        return result

    def crossed(self, a: np.ndarray, b: np.ndarray, facet_a: int, facet_b: int) -> tuple[list[int], bool]:
        """Facets between the ends of a segment, from a on, and whether a rim is too near to be sure of them."""
        margin = self.tolerance.position
        keep = ~np.isin(self.facet, [facet_a, facet_b])
        corners = self.corners[keep]
        facets = np.unique(self.facet[keep][_segment_hits(a, b, corners)])
        height = self.plane_normal[facets] @ np.stack([a, b], axis=1) - self.plane_offset[facets][:, None]
        share = height[:, 0] / (height[:, 0] - height[:, 1])
        start, end = _edges(corners)
        rim = self.outline[keep]
        doubtful = bool((_segment_segment_distance(a, b, start[rim], end[rim]) <= margin).any())
        doubtful |= bool((np.diff(np.sort(np.concatenate([[0], share, [1]]))) * np.linalg.norm(b - a) <= margin).any())
        return [int(f) for f in facets[np.argsort(share)]], doubtful

    def _claims(self, points: np.ndarray, length: float, departure: np.ndarray, arrival: np.ndarray) -> Judgement:
        steps = np.diff(points, axis=0)
        sizes = np.linalg.norm(steps, axis=1)
        errors = {
            "length": (abs(sizes.sum() - length), self.tolerance.position),
            "departure": (np.linalg.norm(departure - steps[0] / sizes[0]), self.tolerance.angle),
            "arrival": (np.linalg.norm(arrival + steps[-1] / sizes[-1]), self.tolerance.angle),
        }
        for name, (error, limit) in errors.items():
            if not error <= limit:
                return Judgement(Verdict.INVALID, "endpoints", f"{name} is off by {error:.3g}")
        return VALID

    def _facet_law(self, before: np.ndarray, vertex: np.ndarray, after: np.ndarray, facet: int) -> Judgement:
        triangles = self._of_facet[facet]
        corners = self.corners[triangles]
        outside = _point_triangle_distance(vertex, corners).min()
        if outside > self.tolerance.position:
            return Judgement(Verdict.INVALID, "facet", f"{outside:.3g} m from facet {facet}")
        start, end = _edges(corners)
        rim = self.outline[triangles]
        if rim.any() and _point_segment_distance(vertex, start[rim], end[rim]).min() <= self.tolerance.position:
            return Judgement(Verdict.MARGINAL, "facet", f"on the rim of facet {facet}")
        return VALID

    def _side_law(self, before: np.ndarray, vertex: np.ndarray, after: np.ndarray, facet: int) -> Judgement:
        normal = self.plane_normal[facet]
        heights = np.array([(before - vertex) @ normal, (after - vertex) @ normal])
        if np.abs(heights).min() <= self.tolerance.position:
            return Judgement(Verdict.MARGINAL, "side", f"grazes facet {facet}")
        if heights[0] * heights[1] < 0:
            return Judgement(Verdict.INVALID, "side", f"passes through facet {facet}")
        return VALID

    def _mirror_law(self, before: np.ndarray, vertex: np.ndarray, after: np.ndarray, facet: int) -> Judgement:
        normal = self.plane_normal[facet]
        incoming = (vertex - before) / np.linalg.norm(vertex - before)
        outgoing = (after - vertex) / np.linalg.norm(after - vertex)
        mirrored = incoming - 2.0 * (incoming @ normal) * normal
        angle = np.linalg.norm(outgoing - mirrored)
        if angle > self.tolerance.angle:
            return Judgement(Verdict.INVALID, "mirror", f"{angle:.3g} rad off at facet {facet}")
        return VALID

    def _planes_at(self, facet: int, kind: int) -> set[int]:
        """The facets that a vertex lies on."""
        return {int(facet)} if kind == REFLECTION else set(self._site.wedges.facets[facet].tolist()) - {-1}

    def _edge_law(self, before: np.ndarray, vertex: np.ndarray, after: np.ndarray, wedge: int) -> Judgement:
        start, end = self._site.wedges.start[wedge], self._site.wedges.end[wedge]
        away = _point_segment_distance(vertex, start[None], end[None])[0]
        if away > self.tolerance.position:
            return Judgement(Verdict.INVALID, "edge", f"{away:.3g} m from wedge {wedge}")
        for facet in self._planes_at(wedge, DIFFRACTION):
            outside = _point_triangle_distance(vertex, self.corners[self._of_facet[facet]]).min()
            if outside > 2 * self._plane_margin[facet]:
                return Judgement(Verdict.INVALID, "edge", f"wedge {wedge} is not at its facet {facet}")
        if min(np.linalg.norm(vertex - start), np.linalg.norm(vertex - end)) <= self.tolerance.position:
            return Judgement(Verdict.MARGINAL, "edge", f"at the end of wedge {wedge}")
        return VALID

    def _cone_law(self, before: np.ndarray, vertex: np.ndarray, after: np.ndarray, wedge: int) -> Judgement:
        edge = self._site.wedges.end[wedge] - self._site.wedges.start[wedge]
        edge = edge / np.linalg.norm(edge)
        angles = []
        for step in (vertex - before, after - vertex):
            along = step @ edge
            angles.append(np.arctan2(np.linalg.norm(step - along * edge), along))
        if abs(angles[0] - angles[1]) > self.tolerance.angle:
            return Judgement(Verdict.INVALID, "cone", f"{angles[0] - angles[1]:.3g} rad off at wedge {wedge}")
        return VALID

    def _open_law(self, before: np.ndarray, vertex: np.ndarray, after: np.ndarray, wedge: int) -> Judgement:
        wedges = self._site.wedges
        for point in (before, after):
            x, y = (point - vertex) @ wedges.tangents[wedge, 0], (point - vertex) @ wedges.normals[wedge, 0]
            angle, radius, exterior = np.arctan2(y, x) % (2 * np.pi), np.hypot(x, y), wedges.exterior_angle[wedge]
            gap = min(angle, 2 * np.pi - angle, abs(angle - exterior))
            if radius * min(gap, 1.0) <= self.tolerance.position:
                return Judgement(Verdict.MARGINAL, "open", f"grazes a face of wedge {wedge}")
            if angle > exterior:
                return Judgement(Verdict.INVALID, "open", f"inside the body at wedge {wedge}")
        return VALID

    def _occlusion_law(self, a: np.ndarray, b: np.ndarray, on_a: set[int], on_b: set[int]) -> Judgement:
        margin = self.tolerance.position
        triangles = self._grid.near(a, b)
        triangles = triangles[_box_meets_segment(self.corners[triangles], a, b, margin)]
        for facet in on_a | on_b:
            height = self.corners[triangles] @ self.plane_normal[facet] - self.plane_offset[facet]
            triangles = triangles[np.abs(height).max(axis=1) > self._plane_margin[facet]]
        if not len(triangles):
            return VALID
        corners = self.corners[triangles]
        hit = _segment_hits(a, b, corners)
        touched = np.zeros(len(triangles), bool)
        for point in (a, b):
            touched |= _point_triangle_distance(point, corners) <= margin
        start, end = _edges(corners)
        rim = self.outline[triangles]
        close = np.zeros(rim.shape, bool)
        if rim.any():
            close[rim] = _segment_segment_distance(a, b, start[rim], end[rim]) <= margin
        brushed = np.isin(self.facet[triangles], self.facet[triangles][close.any(axis=1)])
        blocked = hit & ~touched & ~brushed
        if blocked.any():
            return Judgement(Verdict.INVALID, "occlusion", f"facet {self.facet[triangles][blocked][0]} is in the way")
        doubtful = touched | close.any(axis=1)
        if doubtful.any():
            return Judgement(Verdict.MARGINAL, "occlusion", f"brushes facet {self.facet[triangles][doubtful][0]}")
        return VALID


def _worse(first: Judgement, second: Judgement) -> Judgement:
    return second if _SEVERITY[second.verdict] > _SEVERITY[first.verdict] else first


def _edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends (T, 3, 3) of the three edges of triangles (T, 3, 3)."""
    return corners, np.roll(corners, -1, axis=1)


def _outline_edges(vertices: np.ndarray, triangles: np.ndarray, facet: np.ndarray) -> np.ndarray:
    """(T, 3) bool: edge k (corner k to k + 1) belongs to one triangle of its facet only: it is on the rim."""
    _, point = np.unique(np.round(vertices, 6), axis=0, return_inverse=True)
    named = point.reshape(-1)[triangles]
    low = np.minimum(named, np.roll(named, -1, axis=1))
    high = np.maximum(named, np.roll(named, -1, axis=1))
    _, edge = np.unique(np.stack([np.repeat(facet, 3), low.ravel(), high.ravel()], axis=1), axis=0, return_inverse=True)
    edge = edge.reshape(triangles.shape)
    _, once = np.unique(np.column_stack([facet, np.sort(named, axis=1)]), axis=0, return_index=True)
    return np.bincount(edge[once].ravel(), minlength=edge.max() + 1)[edge] == 1


def _segment_hits(a: np.ndarray, b: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(T,) bool: the closed segment meets the closed triangle (Moeller and Trumbore 1997, float64)."""
    step = b - a
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = np.cross(step, e2)
    determinant = np.einsum("tc,tc->t", e1, p)
    scale = np.linalg.norm(np.cross(e1, e2), axis=1) * np.linalg.norm(step)
    crosses = np.abs(determinant) > 1e-14 * scale
    inverse = 1.0 / np.where(crosses, determinant, 1.0)
    s = a - corners[:, 0]
    u = np.einsum("tc,tc->t", s, p) * inverse
    q = np.cross(s, e1)
    v = (q @ step) * inverse
    t = np.einsum("tc,tc->t", e2, q) * inverse
    return crosses & (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0) & (t <= 1)


def _point_segment_distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N,) distances of one point from segments (N, 3)."""
    step = end - start
    square = np.maximum(np.einsum("nc,nc->n", step, step), 1e-300)
    along = np.clip(np.einsum("nc,nc->n", point - start, step) / square, 0.0, 1.0)
    return np.linalg.norm(start + along[:, None] * step - point, axis=1)


def _point_triangle_distance(point: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(T,) distances of one point from triangles: to the plane above the inside, to the nearest edge elsewhere."""
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(e1, e2)
    square = np.maximum(np.einsum("tc,tc->t", normal, normal), 1e-300)
    s = point - corners[:, 0]
    u = np.einsum("tc,tc->t", np.cross(s, e2), normal) / square
    v = np.einsum("tc,tc->t", np.cross(e1, s), normal) / square
    height = np.abs(np.einsum("tc,tc->t", s, normal)) / np.sqrt(square)
    start, end = _edges(corners)
    rim = _point_segment_distance(point, start.reshape(-1, 3), end.reshape(-1, 3)).reshape(-1, 3).min(axis=1)
    return np.where((u >= 0) & (v >= 0) & (u + v <= 1), height, rim)


def _segment_segment_distance(a: np.ndarray, b: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(N,) distances between one segment and segments (N, 3): the four end distances and the common perpendicular."""
    step = b - a
    other = end - start
    distance = np.minimum(_point_segment_distance(a, start, end), _point_segment_distance(b, start, end))
    for corner in (start, end):
        along = np.clip((corner - a) @ step / (step @ step), 0.0, 1.0)
        distance = np.minimum(distance, np.linalg.norm(a + along[:, None] * step - corner, axis=1))
    normal = np.cross(step, other)
    square = np.einsum("nc,nc->n", normal, normal)
    skew = square > 1e-24 * (step @ step) * np.einsum("nc,nc->n", other, other)
    safe = np.where(skew, square, 1.0)
    gap = start - a
    s = np.einsum("nc,nc->n", np.cross(gap, other), normal) / safe
    t = np.einsum("nc,nc->n", np.cross(gap, step), normal) / safe
    inside = skew & (s >= 0) & (s <= 1) & (t >= 0) & (t <= 1)
    straight = np.abs(np.einsum("nc,nc->n", gap, normal)) / np.sqrt(safe)
    return np.where(inside, np.minimum(distance, straight), distance)


def _box_meets_segment(corners: np.ndarray, a: np.ndarray, b: np.ndarray, margin: float) -> np.ndarray:
    """(T,) bool: the triangle's bounding box, grown by `margin`, meets the segment (slab test)."""
    low, high = corners.min(axis=1) - margin, corners.max(axis=1) + margin
    step = b - a
    still = step == 0
    inverse = 1.0 / np.where(still, 1.0, step)
    t0, t1 = (low - a) * inverse, (high - a) * inverse
    within = (low <= a) & (a <= high)
    enter = np.where(still, np.where(within, -np.inf, np.inf), np.minimum(t0, t1))
    leave = np.where(still, np.where(within, np.inf, -np.inf), np.maximum(t0, t1))
    return np.maximum(enter.max(axis=1), 0.0) <= np.minimum(leave.min(axis=1), 1.0)


class _Grid:
    """Triangles listed by the cells of a horizontal grid that their bounding boxes cover."""

    def __init__(self, corners: np.ndarray, cell: float, margin: float) -> None:
        self._cell, self._margin = cell, margin
        low, high = corners[..., :2].min(axis=1), corners[..., :2].max(axis=1)
        self._origin = low.min(axis=0)
        self._shape = np.floor((high.max(axis=0) - self._origin) / cell).astype(int) + 1
        first, last = self._index(low - margin), self._index(high + margin)
        width = last - first + 1
        count = width.prod(axis=1)
        triangle = np.repeat(np.arange(len(corners)), count)
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        column = first[triangle, 0] + within % width[triangle, 0]
        row = first[triangle, 1] + within // width[triangle, 0]
        cells = column * self._shape[1] + row
        order = np.argsort(cells, kind="stable")
        self._triangles = triangle[order]
        self._starts = np.searchsorted(cells[order], np.arange(self._shape.prod() + 1))

    def _index(self, points: np.ndarray) -> np.ndarray:
        return np.clip(np.floor((points - self._origin) / self._cell).astype(int), 0, self._shape - 1)

    def near(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Indices of all triangles listed in a cell that the segment, widened by the margin, touches."""
        low, high = np.minimum(a, b)[:2] - self._margin, np.maximum(a, b)[:2] + self._margin
        first, last = self._index(low)[0], self._index(high)[0]
        columns = np.arange(first, last + 1)
        edge = self._origin[0] + columns * self._cell
        # The first and the last column reach to infinity: what lies outside the grid was clipped into them.
        left = np.where(columns == 0, -np.inf, edge - self._margin)
        right = np.where(columns == self._shape[0] - 1, np.inf, edge + self._cell + self._margin)
        x0, x1 = np.maximum(left, low[0]), np.minimum(right, high[0])
        run = b[0] - a[0]
        if abs(run) > self._margin:
            slope = (b[1] - a[1]) / run
            y0, y1 = a[1] + (x0 - a[0]) * slope, a[1] + (x1 - a[0]) * slope
            widen = self._margin * (1.0 + abs(slope))
            bottom = np.maximum(np.minimum(y0, y1) - widen, low[1])
            top = np.minimum(np.maximum(y0, y1) + widen, high[1])
        else:
            bottom, top = np.full(len(columns), low[1]), np.full(len(columns), high[1])
        found = []
        for column, y_low, y_high in zip(columns, bottom, top, strict=True):
            rows = self._index(np.array([[0.0, y_low], [0.0, y_high]]))[:, 1]
            base = column * self._shape[1]
            found.append(self._triangles[self._starts[base + rows[0]] : self._starts[base + rows[1] + 1]])
        return np.unique(np.concatenate(found))
