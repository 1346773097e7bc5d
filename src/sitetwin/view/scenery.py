"""What stands in a site as coloured meshes for the viewer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt32
from matplotlib.colors import to_rgb

from sitetwin.drawing.surface_colours import material_colours
from sitetwin.site import Site, Vegetation
from sitetwin.site.canopy_meshes import canopy_mesh as volume_mesh

IN_LEAF, BARE, WOOD = (74, 138, 72), (139, 119, 92), (94, 74, 54)
"""Colours of canopies with and without leaves, and of trunks."""

_MOST_TRIANGLES = 400_000  # of one mesh: larger ones go in pieces, which the browser draws as they arrive
_FEW_CANOPIES = 3000  # up to here crowns are round, beyond they have 20 faces each
_FINE, _COARSE = (24, 11), (5, 2)  # corners of a crown around, and rings of them
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
    vertices: Float[np.ndarray, "vertices 3"]
    faces: UInt32[np.ndarray, "faces 3"]
    colour: tuple[int, int, int]


def city_meshes(site: Site) -> list[ColouredMesh]:
    """Divide the mesh of a site by material into ground, roofs and walls; roofs are darker, the ground is paler."""
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


def split_long(corners: Float[np.ndarray, "triangles 3 3"], limit: float) -> Float[np.ndarray, "pieces 3 3"]:
    """Cut triangles at the middle of their longest edges until none is longer than a limit.

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


def canopy_mesh(
    vegetation: Vegetation, chosen: Bool[np.ndarray, " volumes"]
) -> tuple[Float[np.ndarray, "vertices 3"], UInt32[np.ndarray, "faces 3"]]:
    """Join some canopies into one mesh.

    Args:
        vegetation: All canopies of a site.
        chosen: (V,) bool.

    Returns:
        (N, 3) float32 vertices in metres and (F, 3) uint32 faces, both possibly empty.
    """
    volumes = [v for v, wanted in zip(vegetation.volumes, chosen, strict=True) if wanted]
    around, rings = _FINE if len(volumes) <= _FEW_CANOPIES else _COARSE
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3), dtype=np.int64)], 0
    for volume in volumes:
        points, triangles = volume_mesh(volume, around, rings)
        vertices.append(points)
        faces.append(triangles + count)
        count += len(points)
    return np.concatenate(vertices).astype(np.float32), np.concatenate(faces).astype(np.uint32)
