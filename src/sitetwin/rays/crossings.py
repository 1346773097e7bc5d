"""Where paths run through vegetation."""

from __future__ import annotations

import numpy as np

from sitetwin.site import Site


def vegetation_crossings(
    site: Site, points: np.ndarray, segments: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Entry and exit of each path through each vegetation volume.

    Args:
        site: The site with its vegetation.
        points: (P, N, 3) float64, metres: transmitter, interaction points, user; a path that has fewer interactions
            repeats the user at the end.
        segments: (P,) number of segments of each path, 1 for line of sight.

    Returns:
        Offsets (P + 1,) int64, volume (C,) int32, entry (C,) and exit (C,) float64 in metres along the path. A volume
        that holds a vertex is listed once for the segment before it and once for the one after.
    """
    num_paths = len(points)
    if not site.vegetation.num_volumes or not num_paths:
        return np.zeros(num_paths + 1, np.int64), np.zeros(0, np.int32), np.zeros(0), np.zeros(0)
    path = np.repeat(np.arange(num_paths), segments)
    number = np.arange(len(path)) - np.repeat(np.cumsum(segments) - segments, segments)
    start, end = points[path, number], points[path, number + 1]
    along = distance_before(points)[path, number]
    segment, volume, entry, exit_ = site.vegetation.chords(start, end)
    counts = np.bincount(path[segment], minlength=num_paths)
    order = np.lexsort((entry + along[segment], path[segment]))
    return (
        np.concatenate([[0], np.cumsum(counts)]),
        volume[order].astype(np.int32),
        (entry + along[segment])[order],
        (exit_ + along[segment])[order],
    )


def distance_before(points: np.ndarray) -> np.ndarray:
    """(P, N) float64: metres travelled from the first point of each row to each of its points.

    Each row is summed for itself and no BLAS is used, so that other rows of a batch cannot change a bit.
    """
    steps = np.diff(points, axis=1)
    result = np.zeros(points.shape[:2])
    for k in range(steps.shape[1]):
        x, y, z = steps[:, k, 0], steps[:, k, 1], steps[:, k, 2]
        result[:, k + 1] = result[:, k] + np.sqrt(x * x + y * y + z * z)
    return result
