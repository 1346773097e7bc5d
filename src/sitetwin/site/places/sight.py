"""Test the line of sight between points in double precision: for placing radios, not for tracing users."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Shaped

from sitetwin.site.facets import dot
from sitetwin.site.mesh import Mesh

_PAIRS = 1 << 21  # segments times triangles looked at at a time
_EDGE = 1e-9  # barycentric slack: nothing is seen through the seam of two triangles


def sees(
    site: Mesh,
    origin: Shaped[np.ndarray, " 3"] | Sequence[float],
    targets: Shaped[np.ndarray, "targets 3"] | Sequence[Sequence[float]],
) -> Bool[np.ndarray, " targets"]:
    """Return whether each target is in line of sight: no surface of the site is between; canopies do not count.

    Every triangle is tried (Moeller and Trumbore, "Fast, minimum storage ray/triangle intersection", 1997). A triangle
    that is touched at its rim blocks the view. A segment may begin or end on a surface.

    Args:
        site: The site, or a mesh alone.
        origin: (3,) position of the viewer, metres.
        targets: (N, 3) positions of the targets, metres.

    Returns:
        (N,) bool.
    """
    origin, targets = np.asarray(origin, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    low, high = np.minimum(origin, targets.min(axis=0)), np.maximum(origin, targets.max(axis=0))
    corners = site.vertices[site.triangles]
    corners = corners[((corners.min(axis=1) <= high) & (corners.max(axis=1) >= low)).all(axis=1)]
    clear = np.ones(len(targets), dtype=bool)
    step = max(1, _PAIRS // max(1, len(corners)))
    for first in range(0, len(targets), step):
        clear[first : first + step] = ~_blocked(corners, origin, targets[first : first + step])
    return clear


def _blocked(corners: np.ndarray, origin: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N,) bool: whether a triangle meets the segment between its ends."""
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    away = origin - corners[:, 0]
    q = np.cross(away, e1)
    direction = (targets - origin)[:, None, :]
    p = np.cross(direction, e2)
    det = dot(p, e1)
    with np.errstate(divide="ignore", invalid="ignore"):  # det = 0: parallel to the triangle, which then hides nothing
        u, v, t = dot(p, away) / det, dot(direction, q) / det, dot(e2, q) / det
        hit = (u >= -_EDGE) & (v >= -_EDGE) & (u + v <= 1 + _EDGE) & (t > 1e-9) & (t < 1 - 1e-9)
    return np.asarray((hit & (det != 0)).any(axis=1))
