"""Canopy volumes as closed triangle meshes, for drawing."""

from __future__ import annotations

import numpy as np

from sitetwin.site.importers.polygons import triangulate_rings
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon, Volume

_AROUND = 16
_RINGS = 7


def canopy_mesh(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 in metres and triangles (T, 3) int64 of a volume's surface, faces outwards.

    Round surfaces are drawn with 16 corners on the circle, inscribed: the drawing is a little smaller than the volume.
    """
    if isinstance(volume, Ellipsoid):
        return _ellipsoid(volume)
    if isinstance(volume, Cylinder):
        turn = 2.0 * np.pi * np.arange(_AROUND) / _AROUND
        ring = np.asarray(volume.centre) + volume.radius * np.column_stack([np.cos(turn), np.sin(turn)])
        return _prism(ring, volume.z_min, volume.z_max)
    return _polygon(volume)


def _ellipsoid(volume: Ellipsoid) -> tuple[np.ndarray, np.ndarray]:
    turn = 2.0 * np.pi * np.arange(_AROUND) / _AROUND
    rise = np.pi * np.arange(1, _RINGS + 1) / (_RINGS + 1)
    ball = np.stack(
        [
            np.outer(np.sin(rise), np.cos(turn)),
            np.outer(np.sin(rise), np.sin(turn)),
            np.outer(np.cos(rise), np.ones(_AROUND)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    points = np.concatenate([ball, [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]]) * volume.semi_axes
    c, s = np.cos(volume.yaw), np.sin(volume.yaw)
    turned = np.stack([c * points[:, 0] - s * points[:, 1], s * points[:, 0] + c * points[:, 1], points[:, 2]], axis=1)
    top, bottom = len(ball), len(ball) + 1
    here = np.arange(_AROUND)
    there = (here + 1) % _AROUND
    faces = [np.stack([np.full(_AROUND, top), here, there], axis=1)]
    for row in range(_RINGS - 1):
        a, b = row * _AROUND + here, row * _AROUND + there
        faces += [np.stack([a, a + _AROUND, b + _AROUND], axis=1), np.stack([a, b + _AROUND, b], axis=1)]
    last = (_RINGS - 1) * _AROUND
    faces.append(np.stack([np.full(_AROUND, bottom), last + there, last + here], axis=1))
    return turned + np.asarray(volume.centre), np.concatenate(faces)


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
