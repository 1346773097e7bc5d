"""Beams: the half-spaces that bound where the users of a chain can be."""

from __future__ import annotations

import numpy as np

from sitetwin.backend import mitsuba
from sitetwin.rays.cells import CellUsers
from sitetwin.rays.chains import FacetFrames, mirror
from sitetwin.rays.device import to_device
from sitetwin.site import Site

_CULL_MARGIN = 1e-3  # m; beams are widened by this much against rounding, the exact test follows
_PAIRS = 1 << 22  # (chain, cell) pairs tested in one kernel


def beam_planes(site: Site, frames: FacetFrames, images: np.ndarray, facets: np.ndarray) -> np.ndarray:
    """Half-spaces that hold every user a chain can reach.

    Seen from the last image, the user lies behind the last facet and inside the pyramid over the bounding rectangle of
    each facet, once that facet is mirrored through the planes of the later ones.

    Args:
        site: The site.
        frames: Bounding rectangles of the facets.
        images: (C, k + 1, 3) from `source_images`.
        facets: (C, k) int32.

    Returns:
        (C, 4 k + 1, 4) float64; a point x is inside where ``plane[:3] . x >= plane[3]`` for all planes. Normals have
        unit length, so the difference is a distance in metres.
    """
    count, depth = facets.shape
    apex = images[:, -1]
    planes = np.empty((count, 4 * depth + 1, 4))
    for j in range(depth):
        corners = frames.corners(site, facets[:, j])
        for later in range(j + 1, depth):
            normal, offset = site.facet_normal[facets[:, later]], site.facet_offset[facets[:, later]]
            corners = mirror(corners, normal[:, None], offset[:, None])
        edges = corners - apex[:, None]
        normal = np.cross(edges, np.roll(edges, -1, axis=1))
        length = np.linalg.norm(normal, axis=2, keepdims=True)
        # A rectangle seen edge-on gives no pyramid; its planes then exclude nothing and the exact test decides.
        normal = np.divide(normal, length, out=np.zeros_like(normal), where=length > 1e-12)
        inwards = (normal * edges.mean(axis=1)[:, None]).sum(axis=2)
        normal *= np.where(inwards < 0, -1.0, 1.0)[..., None]
        planes[:, 4 * j : 4 * j + 4, :3] = normal
        planes[:, 4 * j : 4 * j + 4, 3] = (normal * apex[:, None]).sum(axis=2)
    normal, offset = site.facet_normal[facets[:, -1]], site.facet_offset[facets[:, -1]]
    away = np.where((normal * apex).sum(axis=1) > offset, -1.0, 1.0)
    planes[:, -1, :3] = away[:, None] * normal
    planes[:, -1, 3] = away * offset
    planes[..., 3] -= _CULL_MARGIN
    return planes


def all_pairs(planes: np.ndarray, users: CellUsers) -> tuple[np.ndarray, np.ndarray]:
    """Every (chain, cell) pair that the beams cannot rule out.

    Args:
        planes: (C, N, 4) from `beam_planes`.
        users: Users by cell.

    Returns:
        Two (Q,) int64 arrays: chain, and place in ``users.cells``; sorted by chain.
    """
    chains_at_once = max(1, _PAIRS // len(users.cells))
    kept = []
    for first in range(0, len(planes), chains_at_once):
        count = min(chains_at_once, len(planes) - first)
        chain = np.repeat(np.arange(first, first + count), len(users.cells))
        cell = np.tile(np.arange(len(users.cells)), count)
        keep = reaches(planes, chain, users, cell)
        kept.append((chain[keep], cell[keep]))
    return np.concatenate([k[0] for k in kept]), np.concatenate([k[1] for k in kept])


def reaches(planes: np.ndarray, chain: np.ndarray, users: CellUsers, cell: np.ndarray) -> np.ndarray:
    """Whether the box around a cell's users has a point on the inner side of every plane of a chain.

    Args:
        planes: (C, N, 4) from `beam_planes`.
        chain: (Q,) chain indices.
        users: Users by cell.
        cell: (Q,) places in ``users.cells``.

    Returns:
        (Q,) bool. True is conservative: it never rules out a user whom the chain reaches.
    """
    import drjit as dr

    mi = mitsuba()
    if not len(chain):
        return np.zeros(0, dtype=bool)
    number = planes.shape[1]
    plane_buffer = to_device(mi.Float64, planes)
    low_buffer, high_buffer = to_device(mi.Float64, users.low), to_device(mi.Float64, users.high)
    c, b = to_device(mi.UInt32, chain.astype(np.uint32)), to_device(mi.UInt32, cell.astype(np.uint32))
    low = [dr.gather(mi.Float64, low_buffer, 3 * b + axis) for axis in range(3)]
    high = [dr.gather(mi.Float64, high_buffer, 3 * b + axis) for axis in range(3)]
    keep = dr.full(mi.Bool, True, len(chain))
    for p in range(number):
        row = (c * number + p) * 4
        reach = -dr.gather(mi.Float64, plane_buffer, row + 3)
        for axis in range(3):
            normal = dr.gather(mi.Float64, plane_buffer, row + axis)
            reach += dr.maximum(normal * low[axis], normal * high[axis])
        keep &= reach >= 0
    return np.asarray(keep.numpy())
