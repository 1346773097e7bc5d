"""Add vegetation to traced paths: their crossings of canopies, and scattering at the canopies' centres."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sitetwin.rays.caster import RayCaster
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.scatter.bounces import insert_single_bounces
from sitetwin.rays.scatter.canopy import canopy_pairs
from sitetwin.site import Site
from sitetwin.site.facets import norm

_PATHS_AT_ONCE = 1 << 18  # bounds the memory of the segments


def add_vegetation(site: Site, paths: Paths, canopy_paths: int, caster: RayCaster | None = None) -> Paths:
    """Add vegetation crossings to paths, and canopy-scattered paths if the site has scatter centres.

    It works with paths of any engine, because vegetation is a medium apart from the mesh.

    Args:
        site: The site that the paths were traced in.
        paths: Paths without canopy-scattered ones; their crossings are replaced.
        canopy_paths: Largest number of canopy-scattered paths per user, the strongest by the bound of `canopy_pairs`.
        caster: Ray caster of the site, if there is one already.
    """
    if canopy_paths and len(site.vegetation.scatter_centres):
        paths = _with_scattered(site, paths, canopy_paths, caster or RayCaster(site))
    if not site.vegetation.num_volumes:
        return paths
    user, segments = paths.user_of_path, paths.depth + 1
    parts = []
    for first in range(0, max(paths.num_paths, 1), _PATHS_AT_ONCE):
        rows = slice(first, first + _PATHS_AT_ONCE)
        points = path_points(paths.transmitter, paths.users[user[rows]], paths.vertices[rows])
        parts.append(vegetation_crossings(site, points, segments[rows]))
    counts, volume, entry, exit_ = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return replace(paths, crossing_offsets=offsets, crossing_volume=volume, crossing_entry=entry, crossing_exit=exit_)


def _with_scattered(site: Site, paths: Paths, most: int, caster: RayCaster) -> Paths:
    """Canopy-scattered paths merged in, by centre within a user."""
    user, centre = canopy_pairs(site, caster, paths.transmitter, paths.users, most)
    return insert_single_bounces(paths, user, Interaction.CANOPY, centre, site.vegetation.scatter_centres[centre])


def vegetation_crossings(
    site: Site, points: np.ndarray, segments: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find entry and exit of each path through each vegetation volume.

    Args:
        site: The site with its vegetation.
        points: (P, N, 3) float64, metres, from `path_points`.
        segments: (P,) number of segments of each path, 1 for line of sight.

    Returns:
        Crossings of each path (P,) int64, volume (C,) int32, entry (C,) and exit (C,) float64 in metres along the path.
        A volume that holds a vertex is listed once for the segment before it and once for the one after.
    """
    path = np.repeat(np.arange(len(points)), segments)
    number = np.arange(len(path)) - np.repeat(np.cumsum(segments) - segments, segments)
    along = distance_before(points)[path, number]
    segment, volume, entry, exit_ = site.vegetation.chords(points[path, number], points[path, number + 1])
    counts = np.bincount(path[segment], minlength=len(points))
    entry, exit_ = entry + along[segment], exit_ + along[segment]
    order = np.lexsort((volume, entry, path[segment]))
    return counts, volume[order].astype(np.int32), entry[order], exit_[order]


def path_points(transmitter: np.ndarray, users: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Join transmitter, interaction points and user of each path in one array.

    Args:
        transmitter: (3,) position of the transmitter, metres.
        users: (P, 3) metres, the user of each path.
        vertices: (P, D, 3) metres, NaN where a path has fewer.

    Returns:
        (P, D + 2, 3) float64, metres; a path with fewer interactions repeats its user at the end.
    """
    points = np.empty((len(users), vertices.shape[1] + 2, 3))
    points[:, 0] = transmitter
    points[:, 1:-1] = np.where(np.isnan(vertices), users[:, None], vertices)
    points[:, -1] = users
    return points


def distance_before(points: np.ndarray) -> np.ndarray:
    """Return (P, N) float64: the distance in metres from the first point of each row to each of its points.

    Each row is summed separately and without BLAS, so that other rows of a batch cannot change a bit.
    """
    result = np.zeros(points.shape[:2])
    for k in range(points.shape[1] - 1):
        result[:, k + 1] = result[:, k] + norm(points[:, k + 1] - points[:, k])
    return result
