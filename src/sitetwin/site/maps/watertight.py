"""Check whether triangles form a closed surface that faces outwards."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def open_edges(corners: Float[np.ndarray, "triangles 3 3"]) -> np.ndarray:
    """Find edges that the triangles do not pass equally often in both directions.

    A closed, consistently wound surface has no open edges: each edge has an even number of triangles, in balanced
    directions. Corners must agree to the bit.

    Args:
        corners: (T, 3, 3) corners of the triangles, metres.

    Returns:
        (N, 2, 3) ends of the open edges, metres.
    """
    flat = np.ascontiguousarray(corners + 0.0, dtype=np.float64).reshape(-1, 3)
    order = np.lexsort((flat[:, 2], flat[:, 1], flat[:, 0]))
    fresh = (np.diff(flat[order], axis=0, prepend=np.nan) != 0).any(axis=1)
    point = np.empty(len(flat), dtype=np.int64)
    point[order] = np.cumsum(fresh)
    begin, end = point, np.roll(point.reshape(-1, 3), -1, axis=1).ravel()
    edge = np.minimum(begin, end) * (len(flat) + 1) + np.maximum(begin, end)
    _, first, number = np.unique(edge, return_index=True, return_inverse=True)
    unequal = first[np.bincount(number, np.sign(end - begin)) != 0]
    return np.stack([flat[unequal], np.roll(flat.reshape(-1, 3, 3), -1, axis=1).reshape(-1, 3)[unequal]], axis=1)
