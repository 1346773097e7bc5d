"""Merge paths with a single interaction into other paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site.facets import norm


def insert_single_bounces(
    paths: Paths, user: np.ndarray, kind: Interaction, index: np.ndarray, position: np.ndarray
) -> Paths:
    """Insert paths transmitter, point, user into other paths, in canonical order.

    Args:
        paths: The other paths, without paths of this kind; their vegetation crossings are dropped.
        user: (N,) user of each new path; the new paths of a user keep their order.
        kind: Kind of the interaction at the point.
        index: (N,) facet or scatter centre of each point.
        position: (N, 3) float64 points, metres.
    """
    out, back = position - paths.transmitter, position - paths.users[user]
    first, second = norm(out), norm(back)
    width = max(paths.max_depth, 1)
    added = len(user)

    def widened(array: np.ndarray, fill: float) -> np.ndarray:
        tail = np.full((len(array), width - array.shape[1], *array.shape[2:]), fill, dtype=array.dtype)
        return np.concatenate([array, tail], axis=1)

    kinds = np.concatenate([widened(paths.kinds, 0), np.zeros((added, width), np.uint8)])
    facets = np.concatenate([widened(paths.facets, -1), np.full((added, width), -1, np.int32)])
    vertices = np.concatenate([widened(paths.vertices, np.nan), np.full((added, width, 3), np.nan)])
    kinds[paths.num_paths :, 0] = kind
    facets[paths.num_paths :, 0] = index
    vertices[paths.num_paths :, 0] = position
    # Rows of a user keep their order; the new ones go behind single interactions of lower kinds.
    before = (paths.depth == 0) | ((paths.depth == 1) & (kinds[: paths.num_paths, 0] < kind))
    place = np.concatenate([np.where(before, 0, 2), np.ones(added, dtype=np.int64)])
    owner = np.concatenate([paths.user_of_path, user])
    order = np.lexsort((np.arange(len(owner)), place, owner))
    return replace(
        paths,
        offsets=np.searchsorted(owner[order], np.arange(paths.num_users + 1)),
        kinds=kinds[order],
        facets=facets[order],
        vertices=vertices[order],
        length=np.concatenate([paths.length, first + second])[order],
        departure=np.concatenate([paths.departure, out / first[:, None]])[order],
        arrival=np.concatenate([paths.arrival, back / second[:, None]])[order],
        crossing_offsets=np.zeros(len(order) + 1, np.int64),
        crossing_volume=np.zeros(0, np.int32),
        crossing_entry=np.zeros(0),
        crossing_exit=np.zeros(0),
    )
