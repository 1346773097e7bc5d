"""Hand-made wedges, and paths over them by the Keller point."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site.materials import Material
from tests.channel.worlds import image_vertices, mirrored, plane_site

CONDUCTOR = Material("conductor", relative_permittivity=1.0, conductivity=1e15)
SPEED_OF_LIGHT = 299_792_458.0


def turning(rng: np.random.Generator) -> np.ndarray:
    """A random rotation matrix."""
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def wedge_site(exterior, materials=(CONDUCTOR, CONDUCTOR), turn=None, exchanged=False, planes=()):
    """A site of one infinite wedge whose edge is the z axis, face 0 at azimuth 0, face n at azimuth `exterior`.

    Args:
        exterior: Exterior angle, rad; 2 pi is a half plane, with one facet.
        materials: Of face 0 and face n.
        turn: (3, 3) rotation of everything.
        exchanged: Whether the wedge calls the face at azimuth `exterior` its face 0.
        planes: Further facets (normal, offset), of the first material.
    """
    turn = np.eye(3) if turn is None else turn
    tangents = np.array([[1.0, 0.0, 0.0], [np.cos(exterior), np.sin(exterior), 0.0]])
    normals = np.array([[0.0, 1.0, 0.0], [np.sin(exterior), -np.cos(exterior), 0.0]])
    free = exterior == 2 * np.pi
    facets = np.array([0, -1] if free else [0, 1])
    faces = [(turn @ n, 0.0) for n in normals[: 1 if free else 2]] + [(turn @ np.array(n), d) for n, d in planes]
    material = [0] if free else [0, 1]
    site = plane_site(faces, materials, material + [0] * len(planes))
    order = [1, 0] if exchanged else [0, 1]
    if exchanged and not free:
        facets = facets[order]
    axis = turn @ np.array([0.0, 0.0, -1.0 if exchanged else 1.0])
    site.wedges = SimpleNamespace(
        direction=axis[None],
        facets=facets[None].astype(np.int32),
        exterior_angle=np.array([exterior]),
        normals=(normals[order] @ turn.T)[None],
        tangents=(tangents[order] @ turn.T)[None],
        wavelengths=np.array([[0.0, np.inf]]),
        reflects_below=np.full(len(faces), np.inf),
    )
    return site


def keller_point(source, target, origin, axis) -> np.ndarray:
    """The point of a line at which the path from source to target over it is shortest."""
    along_s, along_t = (source - origin) @ axis, (target - origin) @ axis
    off_s = np.linalg.norm(source - origin - along_s * axis)
    off_t = np.linalg.norm(target - origin - along_t * axis)
    return origin + (along_s + (along_t - along_s) * off_s / (off_s + off_t)) * axis


def edge_paths(tx, users, site, chains=(((), 0, ()),), origin=(0.0, 0.0, 0.0)) -> Paths:
    """Every chain (facets before, wedge, facets after) for every user; a chain without wedge has None there."""
    tx, users = np.asarray(tx, float), np.asarray(users, float).reshape(-1, 3)
    depth = max(len(a) + len(b) + (w is not None) for a, w, b in chains)
    rows = [_row(tx, user, site, chain, np.asarray(origin)) for user in users for chain in chains]
    count = len(rows)
    kinds, facets = np.zeros((count, depth), np.uint8), np.full((count, depth), -1, np.int32)
    vertices = np.full((count, depth, 3), np.nan)
    length, departure, arrival = np.zeros(count), np.zeros((count, 3)), np.zeros((count, 3))
    for i, (kind, facet, points) in enumerate(rows):
        n = len(kind)
        kinds[i, :n], facets[i, :n], vertices[i, :n] = kind, facet, points[1:-1]
        steps = np.diff(points, axis=0)
        size = np.linalg.norm(steps, axis=1)
        length[i], departure[i], arrival[i] = size.sum(), steps[0] / size[0], -steps[-1] / size[-1]
    nothing = np.zeros(0)
    return Paths(
        tx,
        users,
        np.arange(len(users) + 1) * len(chains),
        kinds,
        facets,
        vertices,
        length,
        departure,
        arrival,
        np.zeros(count + 1, np.int64),
        nothing.astype(np.int32),
        nothing,
        nothing,
    )


def _row(tx, user, site, chain, origin):
    before, wedge, after = chain
    if wedge is None:
        points = image_vertices(tx, user, site, before)
        kind, facet = [Interaction.REFLECTION] * len(before), list(before)
    else:
        source, target = tx, user
        for f in before:
            source = mirrored(source, site.facet_normal[f], site.facet_offset[f])
        for f in reversed(after):
            target = mirrored(target, site.facet_normal[f], site.facet_offset[f])
        point = keller_point(source, target, origin, site.wedges.direction[wedge])
        first, last = image_vertices(tx, point, site, before), image_vertices(point, user, site, after)
        points = np.concatenate([first, point[None], last])
        kind = (
            [Interaction.REFLECTION] * len(before) + [Interaction.DIFFRACTION] + [Interaction.REFLECTION] * len(after)
        )
        facet = [*before, wedge, *after]
    return kind, facet, np.concatenate([tx[None], points, user[None]])


def around(radius, azimuth, height=0.0, turn=None) -> np.ndarray:
    """(N, 3) points at azimuths about the z axis."""
    azimuth, height = np.broadcast_arrays(np.asarray(azimuth, float), height)
    points = np.stack([radius * np.cos(azimuth), radius * np.sin(azimuth), height], axis=-1)
    return points if turn is None else points @ turn.T
