"""Another engine's chains solved again in double precision, and its edges found among a site's wedges."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from sitetwin.rays.paths import Interaction
from sitetwin.site.facets import dot
from sitetwin.site.site import Site

_AT_EDGE = 5e-3  # m; the engine's vertices have single precision
_SAMPLE_SPACING = 1.0  # m between points on the edges, for the search


def exact_vertices(
    site: Site,
    transmitter: np.ndarray,
    users: np.ndarray,
    facets: np.ndarray,
    guess: np.ndarray,
    kinds: np.ndarray | None = None,
) -> np.ndarray:
    """Points of reflection, diffraction and transmission of chains by the image method, in double precision.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        users: (P, 3) metres, the user of each path.
        facets: (P, D) facet of each bounce or transmission, or wedge of a diffraction, -1 beyond the last.
        guess: (P, D, 3) metres, returned where a chain has no unique solution: a segment parallel to its facet, or a
            diffraction without a wedge.
        kinds: (P, D) `Interaction`; reflections where there are facets, by default.

    Returns:
        (P, D, 3) metres, NaN beyond the last interaction.
    """
    if kinds is None:
        kinds = np.where(facets >= 0, Interaction.REFLECTION, Interaction.NONE)
    crosses = kinds == Interaction.TRANSMISSION
    if not crosses.any():
        return _bounces(site, transmitter, users, facets, guess, kinds)
    row = np.arange(len(kinds))[:, None]
    order = np.argsort(crosses | (kinds == Interaction.NONE), axis=1, kind="stable")  # bounces first
    left = np.where(crosses, Interaction.NONE, kinds)[row, order]
    bounces = _bounces(site, transmitter, users, facets[row, order], guess[row, order], left)
    vertices = np.empty(guess.shape)
    vertices[row, order] = bounces
    corners = np.concatenate([np.broadcast_to(transmitter, (len(row), 1, 3)), bounces, users[:, None]], axis=1)
    last = np.count_nonzero(left, axis=1)
    path, at = np.nonzero(crosses)
    before = np.cumsum(~crosses, axis=1)[path, at]
    start, facet = corners[path, before], facets[path, at]
    end = np.where((before == last[path])[:, None], users[path], corners[path, np.minimum(before + 1, last[path])])
    normal, offset = site.facet_normal[facet], site.facet_offset[facet]
    here, there = dot(normal, start) - offset, dot(normal, end) - offset
    oblique = np.abs(here - there) > 1e-12
    share = here / np.where(oblique, here - there, 1.0)
    vertices[path, at] = np.where(oblique[:, None], start + share[:, None] * (end - start), guess[path, at])
    return vertices


def _bounces(
    site: Site, transmitter: np.ndarray, users: np.ndarray, facets: np.ndarray, guess: np.ndarray, kinds: np.ndarray
) -> np.ndarray:
    """Points of reflection and diffraction of chains without transmissions."""
    vertices = np.full(guess.shape, np.nan)
    if not kinds.size:
        return vertices
    depth = np.count_nonzero(kinds, axis=1)
    bent = kinds == Interaction.DIFFRACTION
    place = np.where(bent.any(axis=1), bent.argmax(axis=1), -1)
    for count, at in np.unique(np.column_stack([depth, place]), axis=0):
        rows = np.flatnonzero((depth == count) & (place == at))
        source = np.broadcast_to(transmitter, (len(rows), 3))
        chain, start = facets[rows, :count], guess[rows, :count]
        if at < 0:
            vertices[rows, :count] = _reflections(site, source, users[rows], chain, start)
            continue
        wedge, known = np.maximum(chain[:, at], 0), chain[:, at] >= 0
        image = _mirrored(site, source, chain[:, :at])
        target = _mirrored(site, users[rows], chain[:, :at:-1])
        point = np.where(known[:, None], _keller_point(site, wedge, image, target), start[:, at])
        vertices[rows, at] = point
        vertices[rows, :at] = _reflections(site, source, point, chain[:, :at], start[:, :at])
        vertices[rows, at + 1 : count] = _reflections(site, point, users[rows], chain[:, at + 1 :], start[:, at + 1 :])
    return vertices


def _mirrored(site: Site, points: np.ndarray, chain: np.ndarray) -> np.ndarray:
    """Points (N, 3) mirrored in the facets of chains (N, k), one after the other."""
    for k in range(chain.shape[1]):
        normal, offset = site.facet_normal[chain[:, k]], site.facet_offset[chain[:, k]]
        points = points - 2.0 * (dot(points, normal) - offset)[:, None] * normal
    return points


def _keller_point(site: Site, wedge: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    start, direction = site.wedges.start[wedge], site.wedges.direction[wedge]
    along = [dot(end - start, direction) for end in (source, target)]
    across = [
        np.linalg.norm(end - start - a[:, None] * direction, axis=1)
        for end, a in zip((source, target), along, strict=True)
    ]
    at = (along[0] * across[1] + along[1] * across[0]) / (across[0] + across[1])
    return start + at[:, None] * direction


def _reflections(
    site: Site, source: np.ndarray, target: np.ndarray, chain: np.ndarray, guess: np.ndarray
) -> np.ndarray:
    """(N, k, 3) points of reflection between sources and targets (N, 3) along chains of k facets."""
    vertices = np.empty(guess.shape)
    for k in range(chain.shape[1] - 1, -1, -1):
        image = _mirrored(site, source, chain[:, : k + 1])
        normal, offset = site.facet_normal[chain[:, k]], site.facet_offset[chain[:, k]]
        ray = target - image
        slope = dot(ray, normal)
        solvable = np.abs(slope) > 1e-12
        share = (offset - dot(image, normal)) / np.where(solvable, slope, 1.0)
        target = np.where(solvable[:, None], image + share[:, None] * ray, guess[:, k])
        vertices[:, k] = target
    return vertices


def nearest_wedge(site: Site, points: np.ndarray) -> np.ndarray:
    """(N,) int32, the wedge with an open corner whose edge is nearest to each (N, 3) point; -1 beyond 5 mm."""
    wedges = site.wedges
    open_corner = np.flatnonzero((wedges.exterior_angle > np.pi) & ~wedges.merged)
    result = np.full(len(points), -1, dtype=np.int32)
    if not len(points) or not len(open_corner):
        return result
    samples = np.ceil(wedges.length[open_corner] / _SAMPLE_SPACING).astype(np.int64)
    owner = np.repeat(open_corner, samples)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(samples) - samples, samples)
    at = (number + 0.5) * wedges.length[owner] / np.repeat(samples, samples)
    tree = cKDTree(wedges.start[owner] + at[:, None] * wedges.direction[owner])
    near = tree.query_ball_point(points, 0.5 * _SAMPLE_SPACING + _AT_EDGE)
    row = np.repeat(np.arange(len(points)), [len(n) for n in near])
    wedge = owner[np.concatenate([np.asarray(n, np.int64) for n in near])]
    step = points[row] - wedges.start[wedge]
    along = np.clip(dot(step, wedges.direction[wedge]), 0.0, wedges.length[wedge])
    away = np.linalg.norm(step - along[:, None] * wedges.direction[wedge], axis=1)
    order = np.lexsort((wedge, away, row))
    order = order[away[order] <= _AT_EDGE]
    first = order[np.flatnonzero(np.diff(row[order], prepend=-1))]
    result[row[first]] = wedge[first]
    return result
