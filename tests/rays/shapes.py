"""Small sites made by hand: rectangles and boxes, one facet per rectangle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sitetwin.site.materials import Material, itu_material
from sitetwin.site.site import Site

Corners = Sequence[Sequence[float]]


def quad_site(quads: Sequence[Corners], materials: Sequence[Material] | None = None) -> Site:
    """A site of planar quadrilaterals; quad k is facet k and object k, with material k (concrete, 0.1 m, by default).

    Args:
        quads: For each quadrilateral its four corners in order around, metres.
        materials: One for each quadrilateral.
    """
    corners = np.array(quads, dtype=np.float64)
    count = len(corners)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    base = 4 * np.arange(count)[:, None]
    chosen = tuple(materials) if materials is not None else (itu_material("concrete", 0.1),)
    return Site(
        name="by hand",
        vertices=corners.reshape(-1, 3),
        triangles=(base[:, None] + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3).astype(np.int32),
        triangle_facet=np.repeat(np.arange(count, dtype=np.int32), 2),
        triangle_object=np.repeat(np.arange(count, dtype=np.int32), 2),
        objects=tuple(f"quad {k}" for k in range(count)),
        facet_normal=normal,
        facet_offset=np.einsum("fc,fc->f", normal, corners[:, 0]),
        facet_material=np.arange(count, dtype=np.int32) if materials is not None else np.zeros(count, np.int32),
        materials=chosen,
    )


def box_quads(low: Sequence[float], high: Sequence[float]) -> list[Corners]:
    """The six faces of an axis-aligned box: bottom, top, front (low y), back, left (low x), right."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    return [
        [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)],
        [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)],
        [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
        [(x0, y1, z0), (x1, y1, z0), (x1, y1, z1), (x0, y1, z1)],
        [(x0, y0, z0), (x0, y1, z0), (x0, y1, z1), (x0, y0, z1)],
        [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
    ]


def ground(half_width: float = 10.0) -> Corners:
    """A horizontal square at z = 0."""
    w = half_width
    return [(-w, -w, 0.0), (w, -w, 0.0), (w, w, 0.0), (-w, w, 0.0)]
