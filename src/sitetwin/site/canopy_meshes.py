"""Canopy volumes as closed triangle meshes, for drawing and for export."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from sitetwin.site.importers.polygons import triangulate_rings
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon, Volume


def canopy_mesh(
    volume: Volume, around: int = 16, rings: int = 7
) -> tuple[Float[np.ndarray, "vertices 3"], Int[np.ndarray, "triangles 3"]]:
    """Make a closed mesh of a volume; round surfaces are inscribed, so that the drawing is a little smaller.

    Args:
        volume: The canopy or trunk.
        around: Number of corners that stand for a circle in plan.
        rings: Number of these circles between the lower and the upper end of an ellipsoid.

    Returns:
        (V, 3) float64 vertices in metres, and (T, 3) int64 triangles that face outwards.
    """
    if isinstance(volume, Ellipsoid):
        ball, faces = _unit_ball(around, rings)
        points = ball * volume.semi_axes
        c, s = np.cos(volume.yaw), np.sin(volume.yaw)
        x, y, z = points.T
        return np.stack([c * x - s * y, s * x + c * y, z], axis=1) + np.asarray(volume.centre), faces
    if isinstance(volume, Cylinder):
        ring = np.asarray(volume.centre) + volume.radius * _circle(around)
        return _prism(ring, volume.z_min, volume.z_max)
    return _polygon(volume)


def _circle(around: int) -> np.ndarray:
    """(around, 2) corners on the unit circle."""
    turn = 2.0 * np.pi * np.arange(around) / around
    return np.column_stack([np.cos(turn), np.sin(turn)])


@cache
def _unit_ball(around: int, rings: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of a sphere about the origin."""
    rise = np.pi * np.arange(1, rings + 1) / (rings + 1)
    cosine, sine = _circle(around).T
    ball = np.stack(
        [np.outer(np.sin(rise), cosine), np.outer(np.sin(rise), sine), np.outer(np.cos(rise), np.ones(around))], axis=-1
    ).reshape(-1, 3)
    top, bottom = len(ball), len(ball) + 1
    here = np.arange(around)
    there = (here + 1) % around
    faces = [np.stack([np.full(around, top), here, there], axis=1)]
    for row in range(rings - 1):
        a, b = row * around + here, row * around + there
        faces += [np.stack([a, a + around, b + around], axis=1), np.stack([a, b + around, b], axis=1)]
    last = (rings - 1) * around
    faces.append(np.stack([np.full(around, bottom), last + there, last + here], axis=1))
    return np.concatenate([ball, [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]]), np.concatenate(faces)


def _polygon(volume: ExtrudedPolygon) -> tuple[np.ndarray, np.ndarray]:
    ring = np.array(volume.ring)
    x, y = ring.T
    if np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) < 0:
        ring = ring[::-1]
    return _prism(ring, volume.z_min, volume.z_max)


def _prism(ring: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """A vertical prism over a counter-clockwise ring (n, 2)."""
    size = len(ring)
    vertices = np.concatenate([np.column_stack([ring, np.full(size, z)]) for z in (low, high)])
    here = np.arange(size)
    there = (here + 1) % size
    lid = triangulate_rings([vertices[size:]]) + size
    sides = [np.stack([here, there, there + size], axis=1), np.stack([here, there + size, here + size], axis=1)]
    return vertices, np.concatenate([*sides, lid, lid[:, ::-1] - size])
