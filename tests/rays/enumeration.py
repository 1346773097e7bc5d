"""Exhaustive oracle for small scenes: every facet sequence is tried on every user, in plain float64 NumPy.

The number of sequences is F (F - 1)^(depth - 1): fit for scenes of some fifty facets at depth 3.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from tests.rays.laws import DIFFRACTION, REFLECTION, Judgement, LawTest, Verdict


def enumerate_paths(
    site: Any, transmitter: np.ndarray, users: np.ndarray, max_depth: int, law_test: LawTest | None = None
) -> list[dict[tuple[int, ...], Judgement]]:
    """Every specular path of every user, line of sight (the empty chain) included.

    Returns:
        For each user the chains (facets from the transmitter on) that are not invalid, with their judgement.
    """
    law_test = law_test or LawTest(site)
    transmitter = np.asarray(transmitter, np.float64)
    found: list[dict[tuple[int, ...], Judgement]] = [{} for _ in users]
    for depth in range(max_depth + 1):
        sequences = _sequences(site.num_facets, depth)
        images = _images(site, transmitter, sequences)
        for user, chains in zip(np.asarray(users, np.float64), found, strict=True):
            for row, vertices in _unfold(law_test, sequences, images, user):
                judgement = law_test.judge(np.vstack([transmitter, vertices, user]), sequences[row])
                if judgement.verdict is not Verdict.INVALID:
                    chains[tuple(int(f) for f in sequences[row])] = judgement
    return found


def enumerate_transmitted(
    site: Any, transmitter: np.ndarray, users: np.ndarray, max_depth: int, max_transmissions: int
) -> list[dict[tuple[tuple[int, int], ...], Judgement]]:
    """Every path of every user with specular reflections (kind 1) and straight crossings of slabs (kind 4).

    Returns:
        For each user the paths that are not invalid, named by (kind, facet) from the transmitter on.
    """
    law_test = LawTest(site)
    transmitter = np.asarray(transmitter, np.float64)
    slab = np.array([m.thickness is not None for m in site.materials])[site.facet_material]
    found: list[dict[tuple[tuple[int, int], ...], Judgement]] = [{} for _ in users]
    for depth in range(max_depth + 1):
        sequences = _sequences(site.num_facets, depth)
        images = _images(site, transmitter, sequences)
        for user, paths in zip(np.asarray(users, np.float64), found, strict=True):
            for row, vertices in _unfold(law_test, sequences, images, user):
                points, facets = np.vstack([transmitter, vertices, user]), [int(f) for f in sequences[row]]
                judgement = law_test.judge(points, np.array(facets), occlusion=False)
                ends, name, count = [-1, *facets, -1], [], 0
                for k in range(depth + 1):
                    crossed, doubtful = law_test.crossed(points[k], points[k + 1], ends[k], ends[k + 1])
                    if doubtful and judgement.verdict is Verdict.VALID:
                        judgement = Judgement(Verdict.MARGINAL, "occlusion", "near a rim")
                    if not slab[crossed].all():
                        judgement = Judgement(Verdict.INVALID, "occlusion", "an opaque facet is in the way")
                    count += len(crossed)
                    name += [(4, facet) for facet in crossed] + ([(1, facets[k])] if k < depth else [])
                if judgement.verdict is not Verdict.INVALID and count <= max_transmissions:
                    paths[tuple(name)] = judgement
    return found


def _sequences(num_facets: int, depth: int) -> np.ndarray:
    """(S, depth) all facet sequences in which no facet follows itself."""
    if depth == 0:
        return np.zeros((1, 0), dtype=int)
    sequences = np.array(list(product(range(num_facets), repeat=depth)), dtype=int)
    return sequences[np.all(sequences[:, 1:] != sequences[:, :-1], axis=1)]


def _images(site: Any, transmitter: np.ndarray, sequences: np.ndarray) -> np.ndarray:
    """(S, depth + 1, 3): the transmitter, mirrored at the planes of a sequence one after the other."""
    images = np.empty((len(sequences), sequences.shape[1] + 1, 3))
    images[:, 0] = transmitter
    for k in range(sequences.shape[1]):
        normal, offset = site.facet_normal[sequences[:, k]], site.facet_offset[sequences[:, k]]
        height = np.einsum("sc,sc->s", images[:, k], normal) - offset
        images[:, k + 1] = images[:, k] - 2.0 * height[:, None] * normal
    return images


def _unfold(
    law_test: LawTest, sequences: np.ndarray, images: np.ndarray, user: np.ndarray
) -> list[tuple[int, np.ndarray]]:
    """Rows whose image rays meet each plane between image and target, within the facet's bounding box."""
    margin = law_test.tolerance.position
    depth = sequences.shape[1]
    rows = np.arange(len(sequences))
    target = np.broadcast_to(user, (len(rows), 3))
    vertices = np.zeros((len(rows), depth, 3))
    for k in range(depth - 1, -1, -1):
        facet, image = sequences[rows, k], images[rows, k + 1]
        normal = law_test.plane_normal[facet]
        step = target - image
        slope = np.einsum("sc,sc->s", step, normal)
        meets = np.abs(slope) > 1e-12
        t = (law_test.plane_offset[facet] - np.einsum("sc,sc->s", image, normal)) / np.where(meets, slope, 1.0)
        point = image + t[:, None] * step
        low, high = _facet_boxes(law_test)
        inside = np.all((point >= low[facet] - margin) & (point <= high[facet] + margin), axis=1)
        keep = meets & (t >= 0) & (t <= 1) & inside
        vertices[rows, k] = point
        rows, target = rows[keep], point[keep]
    return [(int(row), vertices[row]) for row in rows]


def _facet_boxes(law_test: LawTest) -> tuple[np.ndarray, np.ndarray]:
    """(F, 3) lowest and highest corner of each facet."""
    low = np.full((len(law_test.plane_offset), 3), np.inf)
    high = -low
    np.minimum.at(low, law_test.facet, law_test.corners.min(axis=1))
    np.maximum.at(high, law_test.facet, law_test.corners.max(axis=1))
    return low, high


Chain = tuple[tuple[int, int], ...]
"""(kind, facet or wedge) of each interaction, from the transmitter on."""


def enumerate_edge_paths(
    site: Any,
    transmitter: np.ndarray,
    users: np.ndarray,
    before: int,
    after: int,
    law_test: LawTest | None = None,
) -> list[dict[Chain, Judgement]]:
    """Every path with one diffraction at a wedge that is no concave corner and no cut rim.

    There is up to one reflection on either side.

    The point of diffraction is found by bisection of the path length's slope along the edge, not by a formula.

    Returns:
        For each user the chains that are not invalid, with their judgement.
    """
    law_test = law_test or LawTest(site)
    wedges = np.flatnonzero((site.wedges.exterior_angle > np.pi + 1e-3) & ~site.wedges.rim)
    facets = np.arange(site.num_facets)
    grid = np.meshgrid(
        np.concatenate([[-1], facets if before else []]),
        wedges,
        np.concatenate([[-1], facets if after else []]),
        indexing="ij",
    )
    first, wedge, last = (axis.ravel().astype(int) for axis in grid)
    ends = np.stack([site.wedges.start[wedge], site.wedges.end[wedge]], axis=1)
    for end in range(2):  # a face does not reflect what runs along it
        facet = (first, last)[end]
        height = np.einsum("nkc,nc->nk", ends, law_test.plane_normal[facet]) - law_test.plane_offset[facet][:, None]
        apart = (facet < 0) | (np.abs(height).max(axis=1) > 1e-3)
        first, wedge, last, ends = first[apart], wedge[apart], last[apart], ends[apart]
    source = _mirrored(law_test, np.asarray(transmitter, np.float64), first)
    found = []
    for user in np.asarray(users, np.float64):
        target = _mirrored(law_test, user, last)
        vertex, stationary = _shortest(site.wedges, wedge, source, target)
        chains: dict[Chain, Judgement] = {}
        for row in np.flatnonzero(stationary):
            points, kinds, names = [transmitter], [DIFFRACTION], [int(wedge[row])]
            middle = [vertex[row]]
            if first[row] >= 0:
                middle.insert(0, _meeting(law_test, first[row], vertex[row], source[row]))
                kinds.insert(0, REFLECTION)
                names.insert(0, int(first[row]))
            if last[row] >= 0:
                middle.append(_meeting(law_test, last[row], vertex[row], target[row]))
                kinds.append(REFLECTION)
                names.append(int(last[row]))
            judgement = law_test.judge(np.array([*points, *middle, user]), np.array(names), np.array(kinds))
            if judgement.verdict is not Verdict.INVALID:
                chains[tuple(zip(kinds, names, strict=True))] = judgement
        found.append(chains)
    return found


def _mirrored(law_test: LawTest, point: np.ndarray, facet: np.ndarray) -> np.ndarray:
    """(N, 3) the point mirrored in the plane of each facet; unchanged for -1."""
    normal, offset = law_test.plane_normal[facet], law_test.plane_offset[facet]
    image = point - 2.0 * (normal @ point - offset)[:, None] * normal
    return np.where(facet[:, None] < 0, point, image)


def _shortest(wedges: Any, wedge: np.ndarray, source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Point of each edge with the shortest way from source to target, and whether it is no end of the edge."""
    start, step = wedges.start[wedge], wedges.end[wedge] - wedges.start[wedge]

    def slope(share: np.ndarray) -> np.ndarray:
        point = start + share[:, None] * step
        return sum(
            np.einsum("nc,nc->n", point - end, step) / np.linalg.norm(point - end, axis=1) for end in (source, target)
        )

    low, high = np.zeros(len(wedge)), np.ones(len(wedge))
    inner = (slope(low) < 0) & (slope(high) > 0)
    for _ in range(60):
        middle = 0.5 * (low + high)
        rising = slope(middle) > 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    return start + 0.5 * (low + high)[:, None] * step, inner


def _meeting(law_test: LawTest, facet: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where the line through two points meets the plane of a facet; far away where it does not."""
    normal = law_test.plane_normal[facet]
    slope = normal @ (other - one)
    share = (law_test.plane_offset[facet] - normal @ one) / slope if abs(slope) > 1e-12 else 1e9
    return one + share * (other - one)
