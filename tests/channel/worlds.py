"""Hand-made worlds for the tests: planes without edges, and the paths over chains of them by the image method."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from sitetwin.rays.paths import Interaction, Paths
from sitetwin.site.materials import Material
from sitetwin.site.vegetation import Vegetation


def plane_site(planes, materials=None, facet_material=None, vegetation=None):
    """A site of infinite planes, each (normal, offset); what channel reads of a Site and nothing else."""
    normals = np.array([np.array(n, float) / np.linalg.norm(n) for n, _ in planes]).reshape(-1, 3)
    materials = materials or (Material("wall", relative_permittivity=5.0, conductivity=0.05),)
    return SimpleNamespace(
        facet_normal=normals,
        facet_offset=np.array([d / np.linalg.norm(n) for n, d in planes], float),
        facet_material=np.zeros(len(planes), np.int32)
        if facet_material is None
        else np.array(facet_material, np.int32),
        materials=tuple(materials),
        vegetation=vegetation or Vegetation.none(),
    )


def mirrored(point, normal, offset):
    """Image of a point in a plane."""
    return point - 2 * (np.dot(normal, point) - offset) * normal


def image_vertices(tx, rx, site, chain: Sequence[int]) -> np.ndarray:
    """(len(chain), 3) reflection points from tx to rx over the planes of the chain."""
    images = [np.asarray(tx, float)]
    for facet in chain:
        images.append(mirrored(images[-1], site.facet_normal[facet], site.facet_offset[facet]))
    points, target = [], np.asarray(rx, float)
    for facet, image in zip(reversed(chain), reversed(images[1:]), strict=True):
        n, d = site.facet_normal[facet], site.facet_offset[facet]
        share = (d - n @ target) / (n @ (image - target))
        target = target + share * (image - target)
        points.append(target)
    return np.array(points[::-1]).reshape(-1, 3)


def make_paths(tx, users, site, chains: Sequence[Sequence[Sequence[int]]], crossings=()) -> Paths:
    """Paths of each user over the chains listed for it; a chain entry ``("canopy", centre)`` scatters there.

    Args:
        tx: Transmitter.
        users: (U, 3).
        site: What `plane_site` made.
        chains: For each user, its chains.
        crossings: (path row, volume, entry, exit), rows ascending.
    """
    tx, users = np.asarray(tx, float), np.asarray(users, float).reshape(-1, 3)
    depth = max((len(c) for cs in chains for c in cs), default=0)
    rows = []
    for user, own in zip(users, chains, strict=True):
        for chain in own:
            scatter = [i for i, c in enumerate(chain) if isinstance(c, tuple)]
            kinds = [Interaction.CANOPY if isinstance(c, tuple) else Interaction.REFLECTION for c in chain]
            facets = [c[1] if isinstance(c, tuple) else c for c in chain]
            if scatter:
                at = scatter[0]
                centre = site.vegetation.scatter_centres[facets[at]]
                vertices = np.concatenate(
                    [
                        image_vertices(tx, centre, site, facets[:at]),
                        centre[None],
                        image_vertices(centre, user, site, facets[at + 1 :]),
                    ]
                )
            else:
                vertices = image_vertices(tx, user, site, facets)
            points = np.concatenate([tx[None], vertices, user[None]])
            steps = np.diff(points, axis=0)
            lengths = np.linalg.norm(steps, axis=1)
            rows.append((kinds, facets, vertices, lengths.sum(), steps[0] / lengths[0], -steps[-1] / lengths[-1]))
    count = len(rows)
    kinds = np.zeros((count, depth), np.uint8)
    facets = np.full((count, depth), -1, np.int32)
    vertices = np.full((count, depth, 3), np.nan)
    for i, row in enumerate(rows):
        n = len(row[0])
        kinds[i, :n], facets[i, :n], vertices[i, :n] = row[0], row[1], row[2]
    per_path = np.bincount([c[0] for c in crossings], minlength=count) if crossings else np.zeros(count, np.int64)
    return Paths(
        transmitter=tx,
        users=users,
        offsets=np.concatenate([[0], np.cumsum([len(c) for c in chains])]).astype(np.int64),
        kinds=kinds,
        facets=facets,
        vertices=vertices,
        length=np.array([r[3] for r in rows], float),
        departure=np.array([r[4] for r in rows], float).reshape(-1, 3),
        arrival=np.array([r[5] for r in rows], float).reshape(-1, 3),
        crossing_offsets=np.concatenate([[0], np.cumsum(per_path)]).astype(np.int64),
        crossing_volume=np.array([c[1] for c in crossings], np.int32),
        crossing_entry=np.array([c[2] for c in crossings], float),
        crossing_exit=np.array([c[3] for c in crossings], float),
    )


def free_paths(counts, rng: np.random.Generator, spread=600.0) -> Paths:
    """Ragged paths without interactions and with random lengths and directions, for synthesis tests."""
    counts = np.asarray(counts)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    number = int(offsets[-1])

    def unit():
        v = rng.standard_normal((number, 3))
        return v / np.linalg.norm(v, axis=1, keepdims=True)

    return Paths(
        transmitter=np.zeros(3),
        users=rng.uniform(-spread, spread, (len(counts), 3)),
        offsets=offsets,
        kinds=np.zeros((number, 0), np.uint8),
        facets=np.zeros((number, 0), np.int32),
        vertices=np.zeros((number, 0, 3)),
        length=rng.uniform(50.0, spread, number),
        departure=unit(),
        arrival=unit(),
        crossing_offsets=np.zeros(number + 1, np.int64),
        crossing_volume=np.zeros(0, np.int32),
        crossing_entry=np.zeros(0),
        crossing_exit=np.zeros(0),
    )
