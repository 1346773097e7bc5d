"""Find the connected bodies of a mesh."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def connected_bodies(corners: Float[np.ndarray, "triangles 3 3"]) -> Int[np.ndarray, " triangles"]:
    """Label triangles by the body they belong to; triangles that share a corner belong to one body.

    Args:
        corners: (T, 3, 3) float64, corners of the triangles, metres.

    Returns:
        (T,) int64 body of each triangle; bodies are numbered by their first triangle.
    """
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    index = index.reshape(-1, 3)
    ends = np.concatenate([index[:, :2], index[:, 1:]])
    graph = coo_array((np.ones(len(ends), np.int8), ends.T), shape=(len(vertices), len(vertices)))
    label = connected_components(graph, directed=False)[1][index[:, 0]]
    _, first, place = np.unique(label, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[place]
