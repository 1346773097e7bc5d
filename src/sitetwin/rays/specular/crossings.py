"""Crossings of thin slabs as interactions of their own: vertices on the straight segments of specular paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.scatter.vegetation import path_points
from sitetwin.rays.specular.solving import SpecularPaths, no_crossings
from sitetwin.site import Site
from sitetwin.site.facets import dot


def with_crossings(site: Site, paths: Paths, place: np.ndarray, found: SpecularPaths) -> Paths:
    """Assembled paths with what the specular ones among them pass through.

    Args:
        site: The site.
        paths: All paths.
        place: Rows of the specular ones.
        found: The specular ones, with their crossings.
    """
    crossed, leg = no_crossings(paths.num_paths, found.crossed.shape[1])
    crossed[place], leg[place] = found.crossed, found.leg
    return insert_crossings(site, paths, crossed, leg)


def insert_crossings(site: Site, paths: Paths, crossed: np.ndarray, leg: np.ndarray) -> Paths:
    """Put the slabs that specular paths pass through among their reflections, in canonical order.

    Args:
        site: The site.
        paths: Specular paths, P of them, with room for D reflections.
        crossed: (P, N) int32, facets passed through, -1 for none.
        leg: (P, N), the segment of each crossing, counted from the user.

    Returns:
        Paths with room for D + N interactions.
    """
    row = np.arange(len(crossed))[:, None]
    points = path_points(paths.transmitter, paths.users[paths.user_of_path], paths.vertices)
    present = crossed >= 0
    segment = np.where(present, paths.depth[:, None] - leg, 0)
    start, end = points[row, segment], points[row, segment + 1]
    facet = np.where(present, crossed, 0)
    normal, offset = site.facet_normal[facet], site.facet_offset[facet]
    here, there = dot(normal, start) - offset, dot(normal, end) - offset
    share = np.divide(here, here - there, out=np.zeros_like(here), where=present)
    place = np.concatenate(
        [
            np.where(paths.kinds > 0, 2.0 * np.arange(paths.max_depth) + 1, np.inf),
            np.where(present, 2 * segment + share, np.inf),
        ],
        axis=1,
    )
    order = np.argsort(place, axis=1, kind="stable")
    crossing = np.where(present, Interaction.TRANSMISSION, Interaction.NONE).astype(np.uint8)
    vertices = np.where(present[..., None], start + share[..., None] * (end - start), np.nan)
    kinds = np.concatenate([paths.kinds, crossing], axis=1)[row, order]
    facets = np.concatenate([paths.facets, np.where(present, crossed, -1).astype(np.int32)], axis=1)[row, order]
    vertices = np.concatenate([paths.vertices, vertices], axis=1)[row, order]
    width = range(kinds.shape[1] - 1, -1, -1)
    depth = np.count_nonzero(kinds, axis=1)
    rows = np.lexsort((*(facets[:, k] for k in width), *(kinds[:, k] for k in width), depth, paths.user_of_path))
    return replace(
        paths,
        kinds=kinds[rows],
        facets=facets[rows],
        vertices=vertices[rows],
        length=paths.length[rows],
        departure=paths.departure[rows],
        arrival=paths.arrival[rows],
    )
