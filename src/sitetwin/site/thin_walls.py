"""Edges closer together than a wavelength: the two edges of a thin wall act as one.

Single diffraction takes each edge for one that stands alone. Where two edges share a strip narrower than a wavelength
(the top of a wall, a coping, the side of a roof slab), or where two sheets end side by side, that is wrong by 20 dB:
the field at one edge is that which the other one has bent. Such edges together act as one edge between the two outer
faces: a knife edge on a wall, a right angle on a corner that is cut off. The carrier decides which of the two
descriptions holds, and a mesh has none. So the merged edges stand beside the plain ones, each with the wavelengths at
which it acts, and the strip reflects only what is shorter than its width.

The merged edge lies midway between the outermost edges. Rays to either side begin at the outermost edge of that side.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from sitetwin.site.edge_joining import within
from sitetwin.site.facets import dot, norm, unit
from sitetwin.site.mesh import Mesh

WIDEST = 0.5
"""Metres: edges farther apart are not merged; it is the wavelength of 600 MHz."""

_LEAST_BEND = 1e-3  # rad; a flatter edge is no obstacle
_MOST = 8  # plain edges in one merged edge
_NEXT = 64  # of the edges on one strip that come next after an edge, how many are tried with it
_ROUNDS = 5  # merges of merged edges: a coping of seven edges
_PARALLEL = 0.02  # rad
_STRAIGHT_OVER = 0.9  # cosine between a strip and the way from edge to edge
_MOST_OVER = 0.1  # rad by which the outer faces may lean towards each other
_OUTER = 2.0  # an outer face is at least so many times as wide as the strip; else the body is a rod
_SHARE = 0.8  # of an edge's length that merged edges must replace; strips end in mitres


@dataclass(frozen=True, eq=False)
class Edges:
    """E edges as they are merged, in the terms of `Wedges`.

    Attributes:
        ends: (E, 2, 3) metres, start and end.
        facets: (E, 2) face 0 and face n, -1 for the second of a free edge.
        exterior: (E,) rad.
        tangents: (E, 2, 3) unit vectors in face 0 and face n.
        outermost: (E, 2, 3) metres, points on the outermost merged edges at the sides of face 0 and of face n.
        extent: (E,) metres between the farthest of the merged edges, 0 for a plain one.
        together: (E,) metres along which the merged edges run together, the length of a plain one.
        members: (E, `_MOST`) the plain edges that it stands for, ascending, -1 behind them.
        strips: (E, `_MOST`) the facets between them, -1 behind them.
    """

    ends: Float[np.ndarray, "edges 2 3"]
    facets: Int[np.ndarray, "edges 2"]
    exterior: Float[np.ndarray, " edges"]
    tangents: Float[np.ndarray, "edges 2 3"]
    outermost: Float[np.ndarray, "edges 2 3"]
    extent: Float[np.ndarray, " edges"]
    together: Float[np.ndarray, " edges"]
    members: Int[np.ndarray, "edges most"]
    strips: Int[np.ndarray, "edges most"]

    @classmethod
    def plain(
        cls,
        ends: Float[np.ndarray, "edges 2 3"],
        facets: Int[np.ndarray, "edges 2"],
        exterior: Float[np.ndarray, " edges"],
        tangents: Float[np.ndarray, "edges 2 3"],
    ) -> Edges:
        """Make the edges of a mesh, which stand for themselves."""
        count = len(exterior)
        members = np.full((count, _MOST), -1)
        members[:, 0] = np.arange(count)
        return cls(
            ends,
            facets,
            exterior,
            tangents,
            np.repeat(ends[:, :1], 2, axis=1),
            np.zeros(count),
            norm(ends[:, 1] - ends[:, 0]),
            members,
            np.full((count, _MOST), -1),
        )

    @property
    def direction(self) -> Float[np.ndarray, "edges 3"]:
        return unit(self.ends[:, 1] - self.ends[:, 0])

    def take(self, rows: Int[np.ndarray, " rows"]) -> Edges:
        return Edges(*(getattr(self, f.name)[rows] for f in fields(self)))

    def exchanged(self, rows: Bool[np.ndarray, " edges"]) -> Edges:
        """Return the edges, some of them with face 0 and face n exchanged, which reverses the direction."""
        flip = rows.reshape(-1, 1)
        far = flip[:, :, None]
        return Edges(
            np.where(far, self.ends[:, ::-1], self.ends),
            np.where(flip, self.facets[:, ::-1], self.facets),
            self.exterior,
            np.where(far, self.tangents[:, ::-1], self.tangents),
            np.where(far, self.outermost[:, ::-1], self.outermost),
            self.extent,
            self.together,
            self.members,
            self.strips,
        )

    def followed_by(self, others: Edges) -> Edges:
        return Edges(*(np.concatenate([getattr(self, f.name), getattr(others, f.name)]) for f in fields(self)))


@dataclass(frozen=True, eq=False)
class ThinWalls:
    """Merged edges, and what they replace.

    Attributes:
        merged: M merged edges.
        plain_below: (W,) metres, wavelength from which on merged edges act in place of each plain edge, inf for never.
        merged_below: (M,) the same for each merged edge, which a wider merge replaces.
        reflects_below: (F,) metres, wavelength from which on each facet reflects nothing of its own, inf for never.
    """

    merged: Edges
    plain_below: Float[np.ndarray, " wedges"]
    merged_below: Float[np.ndarray, " merged"]
    reflects_below: Float[np.ndarray, " facets"]


def merge_thin_walls(mesh: Mesh, plain: Edges, usable: Bool[np.ndarray, " wedges"]) -> ThinWalls:
    """Merge the edges that lie closer together than `WIDEST`.

    Args:
        mesh: The mesh.
        plain: Its W edges.
        usable: (W,) bool, edges that diffract.
    """
    width, area = _facet_sizes(mesh)
    edges, fresh = plain, np.flatnonzero(usable & (plain.exterior > np.pi + _LEAST_BEND))
    tried = fresh
    for number in range(_ROUNDS):
        pair, strip = _on_strips(edges, tried, fresh, width)
        if number == 0:
            doubled = _side_by_side(edges, fresh)
            pair, strip = np.concatenate([pair, doubled]), np.append(strip, np.full(len(doubled), -1))
        made = _distinct(_merged(edges, pair, strip), edges, len(plain.extent))
        if not len(made.extent):
            break
        fresh = len(edges.extent) + np.arange(len(made.extent))
        tried = np.concatenate([tried, fresh])
        edges = edges.followed_by(made)
    merged = edges.take(np.arange(len(plain.extent), len(edges.extent)))
    merged = merged.take(np.flatnonzero((width[merged.facets] >= _OUTER * merged.extent[:, None]).all(axis=1)))
    return ThinWalls(merged, _plain_below(plain, merged), _merged_below(merged), _reflects_below(merged, area))


def _facet_sizes(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """(F,) width of each facet, its area over the diagonal of its bounding box, and (F,) its area."""
    corners = mesh.corners
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.bincount(mesh.triangle_facet, 0.5 * norm(cross), mesh.num_facets)
    low, high = np.full((mesh.num_facets, 3), np.inf), np.full((mesh.num_facets, 3), -np.inf)
    np.minimum.at(low, mesh.triangle_facet, corners.min(axis=1))
    np.maximum.at(high, mesh.triangle_facet, corners.max(axis=1))
    size = norm(np.where(high > low, high - low, 0.0))
    return area / np.where(size > 0, size, 1.0), area


def _on_strips(edges: Edges, tried: np.ndarray, fresh: np.ndarray, width: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of edges, one of them fresh, on a facet that may be a strip, and the facet.

    A strip that goes round a roof is wider than it looks by its area and its diagonal, up to four times.
    """
    facet = edges.facets[tried].reshape(-1)
    edge = np.repeat(tried, 2)
    narrow = (facet >= 0) & (width[np.maximum(facet, 0)] <= 4 * WIDEST) & (edges.facets[edge, 1] >= 0)
    facet, edge = facet[narrow], edge[narrow]
    order = np.lexsort((edge, facet))
    facet, edge = facet[order], edge[order]
    is_fresh = np.zeros(len(edges.extent), dtype=bool)
    is_fresh[fresh] = True
    pairs, strips = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)]
    for step in range(1, min(_NEXT, len(facet) - 1) + 1):
        same = np.flatnonzero(facet[step:] == facet[:-step])
        if not len(same):
            break
        chosen = same[is_fresh[edge[same]] | is_fresh[edge[same + step]]]
        pairs.append(np.column_stack([edge[chosen], edge[chosen + step]]))
        strips.append(facet[chosen])
    return np.concatenate(pairs), np.concatenate(strips)


def _side_by_side(edges: Edges, rows: np.ndarray) -> np.ndarray:
    """(N, 2) pairs of parallel free edges whose ends or middles come near each other."""
    free = rows[edges.facets[rows, 1] < 0]
    if not len(free):
        return np.zeros((0, 2), np.int64)
    ends = edges.ends[free]
    points = np.concatenate([ends[:, 0], ends.mean(axis=1), ends[:, 1]])
    half = 0.5 * norm(ends[:, 1] - ends[:, 0])
    row, found = within(cKDTree(points), ends.mean(axis=1), half + WIDEST)
    other = found % len(free)
    pair = np.unique(np.sort(np.column_stack([row, other])[row != other], axis=1), axis=0)
    parallel = norm(np.cross(*(edges.direction[free[pair[:, k]]] for k in (0, 1)))) <= _PARALLEL
    return np.asarray(free[pair[parallel]])


def _merged(edges: Edges, pair: np.ndarray, strip: np.ndarray) -> Edges:
    """Edges made of those pairs that lie close together and go together."""
    one, other = edges.take(pair[:, 0]), edges.take(pair[:, 1])
    doubled = strip < 0
    one = one.exchanged(~doubled & (one.facets[:, 0] == strip))
    other = other.exchanged(~doubled & (other.facets[:, 1] == strip))
    one, other = _turned(one, other, doubled)
    axis = unit(one.direction + other.direction)
    along = np.stack([dot(e.ends, axis[:, None]) for e in (one, other)], axis=1)  # (N, edge, end)
    middle = [e.ends.mean(axis=1) - dot(e.ends.mean(axis=1), axis)[:, None] * axis for e in (one, other)]
    across = middle[1] - middle[0]
    gap = norm(across)
    low, high = along[:, :, 0].max(axis=1), along[:, :, 1].min(axis=1)
    outer = [e - dot(e, axis)[:, None] * axis for e in (one.outermost[:, 0], other.outermost[:, 1])]
    extent = np.max([gap, norm(outer[1] - outer[0]), one.extent, other.extent], axis=0)
    facets = np.where(
        doubled[:, None],
        np.column_stack([one.facets.max(axis=1), other.facets.max(axis=1)]),
        np.column_stack([one.facets[:, 0], other.facets[:, 1]]),
    )
    exterior = np.where(doubled, 2 * np.pi, one.exterior + other.exterior - np.pi)
    shortest = np.minimum(along[:, 0, 1] - along[:, 0, 0], along[:, 1, 1] - along[:, 1, 0])
    good = (gap > 0) & (extent < WIDEST) & (high - low > np.maximum(extent, 0.5 * shortest))
    good &= (dot(one.direction, other.direction) > 0) & (norm(np.cross(one.direction, other.direction)) <= _PARALLEL)
    good &= (exterior > np.pi + _LEAST_BEND) & (exterior <= 2 * np.pi + _MOST_OVER) & (facets >= 0).all(axis=1)
    good &= np.where(
        doubled,
        (dot(one.tangents[:, 0], other.tangents[:, 1]) > 1 - _PARALLEL)
        & (np.abs(dot(across, one.tangents[:, 0])) <= 0.7 * gap),
        (dot(across, one.tangents[:, 1]) >= _STRAIGHT_OVER * gap)
        & (-dot(across, other.tangents[:, 0]) >= _STRAIGHT_OVER * gap),
    )
    members, strips = _union(one.members, other.members), _union(one.strips, other.strips, strip[:, None])
    good &= (facets[:, 0] != facets[:, 1]) & (members[:, _MOST:] < 0).all(axis=1) & (strips[:, _MOST:] < 0).all(axis=1)
    mitred = np.abs(along[:, 0] - along[:, 1]) <= 2 * extent[:, None]
    limits = np.where(mitred, along.mean(axis=1), np.column_stack([low, high]))
    line = 0.5 * (outer[0] + outer[1])
    made = Edges(
        line[:, None] + limits[:, :, None] * axis[:, None],
        facets,
        np.minimum(exterior, 2 * np.pi),
        _perpendicular(np.stack([one.tangents[:, 0], other.tangents[:, 1]], axis=1), axis),
        np.stack(outer, axis=1),
        extent,
        high - low,
        members[:, :_MOST],
        strips[:, :_MOST],
    )
    return made.take(np.flatnonzero(good))


def _union(*numbers: np.ndarray) -> np.ndarray:
    """(N, K) the numbers from 0 on of some tables (N, k), ascending, each once, -1 behind them."""
    every = np.sort(np.concatenate(numbers, axis=1), axis=1)
    every[:, 1:][every[:, 1:] == every[:, :-1]] = -1
    order = np.argsort(np.where(every < 0, np.iinfo(np.int64).max, every), axis=1)
    return np.take_along_axis(every, order, axis=1)


def _turned(one: Edges, other: Edges, doubled: np.ndarray) -> tuple[Edges, Edges]:
    """The edges; free ones side by side turned so that face 0 of one and face n of the other look apart."""
    across = other.ends.mean(axis=1) - one.ends.mean(axis=1)
    inwards = [dot(np.cross(edge.direction, edge.tangents[:, 0]), across) > 0 for edge in (one, other)]
    return one.exchanged(doubled & inwards[0]), other.exchanged(doubled & inwards[1])


def _perpendicular(tangents: np.ndarray, axis: np.ndarray) -> np.ndarray:
    return unit(tangents - dot(tangents, axis[:, None])[:, :, None] * axis[:, None])


def _distinct(made: Edges, edges: Edges, plain: int) -> Edges:
    """Merges that were not made before, each once, whichever two of their parts were put together."""
    key = np.concatenate([edges.members[plain:], made.members])
    first = np.unique(key, axis=0, return_index=True)[1] - (len(edges.members) - plain)
    return made.take(np.sort(first[first >= 0]))


def _plain_below(plain: Edges, merged: Edges) -> np.ndarray:
    """(W,) wavelength from which on merges replace each plain edge over most of its length, inf for never."""
    below = np.full(len(plain.extent), np.inf)
    row, column = np.nonzero(merged.members >= 0)
    part, size, together = merged.members[row, column], merged.extent[row], merged.together[row]
    order = np.lexsort((size, part))
    part, size, together = part[order], size[order], together[order]
    begin = np.flatnonzero(np.diff(part, prepend=-1))
    total = np.cumsum(together)
    total -= np.repeat((total - together)[begin], np.diff(begin, append=len(part)))
    enough = total >= _SHARE * plain.together[part]
    np.minimum.at(below, part[enough], size[enough])
    return below


def _merged_below(merged: Edges) -> np.ndarray:
    """(M,) wavelength from which on a merge of more edges replaces each merge, inf for never."""
    below = np.full(len(merged.extent), np.inf)
    count = (merged.members >= 0).sum(axis=1)
    of_member: dict[int, list[int]] = {}
    for row in np.flatnonzero(count > 2).tolist():
        for member in merged.members[row, : count[row]].tolist():
            of_member.setdefault(member, []).append(row)
    for row in range(len(below)) if of_member else ():
        members = set(merged.members[row, : count[row]].tolist())
        for wider in of_member.get(min(members), ()):
            if count[wider] > count[row] and members <= set(merged.members[wider].tolist()):
                below[row] = min(below[row], merged.extent[wider])
    return below


def _reflects_below(merged: Edges, area: np.ndarray) -> np.ndarray:
    """(F,) wavelength from which on each facet is only a strip between edges that act as one, inf for never."""
    limit = np.full(len(area), np.inf)
    row, column = np.nonzero(merged.strips >= 0)
    strip = merged.strips[row, column]
    covered = np.bincount(strip, merged.extent[row] * merged.together[row], len(area))
    np.minimum.at(limit, strip, merged.extent[row])
    return np.where(covered >= 0.5 * area, limit, np.inf)
