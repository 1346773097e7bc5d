"""What stands in a site as coloured meshes for the viewer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
import trimesh
from matplotlib.colors import to_rgb

from sitetwin.drawing.surface_colours import material_colours
from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, Site, Vegetation
from sitetwin.site.vegetation import Volume

IN_LEAF, BARE, WOOD = (74, 138, 72), (139, 119, 92), (94, 74, 54)
"""Colours of canopies with and without leaves, and of trunks."""

_MOST_TRIANGLES = 400_000  # of one mesh: larger ones go in pieces, which the browser draws as they arrive
_FEW_CANOPIES = 3000  # up to here crowns are round, beyond they have 20 faces each
_SIDES = 12  # of a cylinder
_PIECES, _SHORT = 30, 20.0  # triangles longer than a 30th of the site, and than 20 m, are cut
_ROOF_SHADE, _GROUND_TINT = 0.82, 0.35
_FACES_UP = 0.5


@dataclass(frozen=True, eq=False)
class ColouredMesh:
    """Triangles of one colour.

    Attributes:
        name: Unique in a site.
        vertices: (V, 3) float32, metres.
        faces: (F, 3) uint32.
        colour: Red, green, blue, 0 to 255.
    """

    name: str
    vertices: np.ndarray
    faces: np.ndarray
    colour: tuple[int, int, int]


def city_meshes(site: Site) -> list[ColouredMesh]:
    """The mesh of a site, divided by material into ground, roofs and walls; roofs are darker, the ground is paler."""
    corners = site.vertices[site.triangles]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lying = np.abs(normal[:, 2]) > _FACES_UP * np.sqrt((normal**2).sum(axis=1))
    ground = site.is_ground
    part = np.where(ground, 0, np.where(lying, 1, 2))
    material = site.facet_material[site.triangle_facet]
    colours = [np.array(to_rgb(colour)) for colour in material_colours(site.materials)]
    limit = max(float(np.ptp(site.bounds, axis=0).max()) / _PIECES, _SHORT)
    meshes = []
    for index, material_name in enumerate(m.name for m in site.materials):
        for kind, name in enumerate(("ground", "roofs", "walls")):
            rows = np.flatnonzero((material == index) & (part == kind))
            shade = (
                _GROUND_TINT + (1 - _GROUND_TINT) * colours[index],
                _ROOF_SHADE * colours[index],
                colours[index],
            )[kind]
            colour = [round(255 * float(c)) for c in shade]
            long = _edge_lengths(corners[rows]).max(axis=1) > limit
            parts = [
                _indexed(site, rows[~long][start : start + _MOST_TRIANGLES])
                for start in range(0, int((~long).sum()), _MOST_TRIANGLES)
            ]
            if long.any():
                pieces = split_long(corners[rows[long]], limit)
                parts.append((pieces.reshape(-1, 3), np.arange(3 * len(pieces)).reshape(-1, 3)))
            for number, (vertices, faces) in enumerate(parts):
                meshes.append(
                    ColouredMesh(
                        f"{name}/{material_name}/{number}",
                        vertices.astype(np.float32),
                        faces.astype(np.uint32),
                        (colour[0], colour[1], colour[2]),
                    )
                )
    return meshes


def _indexed(site: Site, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of some triangles, with the site's shared vertices."""
    used, faces = np.unique(site.triangles[rows], return_inverse=True)
    return site.vertices[used], faces.reshape(-1, 3)


def split_long(corners: np.ndarray, limit: float) -> np.ndarray:
    """Triangles cut at the middle of their longest edges until none is longer than a limit.

    A browser interpolates depth along a triangle in single precision; along one that spans the site and reaches
    behind the eye it is wrong by metres, and users vanish in the ground.

    Args:
        corners: (T, 3, 3) metres.
        limit: Metres.

    Returns:
        (T', 3, 3) with the same facings and the same area.
    """
    done = []
    while len(corners):
        lengths = _edge_lengths(corners)
        short = lengths.max(axis=1) <= limit
        done.append(corners[short])
        corners, first = corners[~short], lengths[~short].argmax(axis=1)
        row = np.arange(len(corners))
        a, b, c = (corners[row, (first + k) % 3] for k in range(3))
        middle = 0.5 * (a + b)
        corners = np.concatenate([np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)])
    return np.concatenate(done) if done else corners


def _edge_lengths(corners: np.ndarray) -> np.ndarray:
    """(T, 3) metres, edge k from corner k to the next."""
    steps = np.roll(corners, -1, axis=1) - corners
    return np.sqrt((steps**2).sum(axis=2))


def canopy_mesh(vegetation: Vegetation, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Some canopies as one mesh.

    Args:
        vegetation: All canopies of a site.
        chosen: (V,) bool.

    Returns:
        (N, 3) float32 vertices in metres and (F, 3) uint32 faces, both possibly empty.
    """
    volumes = [v for v, wanted in zip(vegetation.volumes, chosen, strict=True) if wanted]
    fine = len(volumes) <= _FEW_CANOPIES
    sphere = trimesh.creation.icosphere(subdivisions=2 if fine else 0)
    ball = np.asarray(sphere.vertices, dtype=np.float64), np.asarray(sphere.faces, dtype=np.int64)
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0
    for volume in volumes:
        points, triangles = _canopy(volume, ball)
        vertices.append(points)
        faces.append(triangles + count)
        count += len(points)
    return np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.uint32)


def _canopy(volume: Volume, ball: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(volume, Ellipsoid):
        x, y, z = (ball[0] * np.asarray(volume.semi_axes)).T
        c, s = math.cos(volume.yaw), math.sin(volume.yaw)
        return np.stack([c * x - s * y, s * x + c * y, z], axis=1) + np.asarray(volume.centre), ball[1]
    if isinstance(volume, Cylinder):
        angle = 2 * math.pi * np.arange(_SIDES) / _SIDES
        ring = np.asarray(volume.centre) + volume.radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        assert isinstance(volume, ExtrudedPolygon)
        ring = np.asarray(volume.ring)
        if not shapely.LinearRing(ring).is_ccw:
            ring = ring[::-1]
    return _prism(ring, volume.z_min, volume.z_max)


def _prism(ring: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Walls and both ends over a counter-clockwise ring (N, 2); ends of a ring that crosses itself are left out."""
    size = len(ring)
    i, j = np.arange(size), (np.arange(size) + 1) % size
    bottom, top = (np.column_stack([ring, np.full(size, z)]) for z in (low, high))
    walls = np.concatenate([np.column_stack([i, j, size + j]), np.column_stack([i, size + j, size + i])])
    plan = shapely.Polygon(ring)
    if not plan.is_valid:
        return np.concatenate([bottom, top]), walls
    parts = shapely.get_parts(shapely.constrained_delaunay_triangles(plan))
    flat = shapely.get_coordinates(parts).reshape(-1, 4, 2)[:, :3]
    clockwise = np.array([not shapely.LinearRing(f).is_ccw for f in flat], dtype=bool)
    flat[clockwise] = flat[clockwise, ::-1]
    caps = [np.concatenate([f, np.full((len(flat), 3, 1), z)], axis=2) for f, z in ((flat[:, ::-1], low), (flat, high))]
    lids = np.concatenate(caps).reshape(-1, 3)
    faces = np.concatenate([walls, 2 * size + np.arange(len(lids)).reshape(-1, 3)])
    return np.concatenate([bottom, top, lids]), faces
