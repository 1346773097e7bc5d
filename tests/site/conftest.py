"""Small worlds for the tests of the site layer."""

from __future__ import annotations

import numpy as np
import pytest

from sitetwin.site import Site, build_site, itu_material, load_scene
from sitetwin.site.importers.meshes import unit_cube

GROUND_HALF = 100.0


def block(x0: float, y0: float, x1: float, y1: float, height: float) -> tuple[np.ndarray, np.ndarray]:
    """A closed box on the ground, faces outwards."""
    vertices, faces = unit_cube()
    low, high = np.array([x0, y0, 0.0]), np.array([x1, y1, height])
    return low + (vertices + 1) / 2 * (high - low), faces


def make_town(blocks: list[tuple[str, tuple[np.ndarray, np.ndarray], int]], name: str = "town") -> Site:
    """A flat ground of 200 m x 200 m with named meshes on it; the last number is the material."""
    ground = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], dtype=float) * GROUND_HALF
    meshes = [("ground", (ground, np.array([[0, 1, 2], [0, 2, 3]])), 0), *blocks]
    vertices = np.concatenate([m[0] for _, m, _ in meshes])
    starts = np.cumsum([0] + [len(m[0]) for _, m, _ in meshes])
    triangles = np.concatenate([m[1] + s for (_, m, _), s in zip(meshes, starts, strict=False)])
    owner = np.repeat(np.arange(len(meshes)), [len(m[1]) for _, m, _ in meshes])
    materials = [itu_material("concrete"), itu_material("marble", 0.1), itu_material("metal", 0.1)]
    return build_site(name, vertices, triangles, owner, [n for n, _, _ in meshes], [k for _, _, k in meshes], materials)


@pytest.fixture
def rng() -> np.random.Generator:
    """The tests' own source of randomness."""
    return np.random.default_rng(20_40)


@pytest.fixture(scope="session")
def munich() -> Site:
    """The city, read once."""
    return load_scene("munich")


@pytest.fixture
def town() -> Site:
    """Two houses of walls and a roof as separate objects (no floor), and one closed block."""
    parts: list[tuple[str, tuple[np.ndarray, np.ndarray], int]] = []
    for name, corners, height in (("house_1", (-40, -20, -20, 20), 10.0), ("house_2", (20, -20, 40, 20), 16.0)):
        vertices, faces = block(*corners, height)
        up = vertices[faces]
        area = np.cross(up[:, 1] - up[:, 0], up[:, 2] - up[:, 0])
        parts.append((f"{name}-itu_marble", (vertices, faces[np.abs(area[:, 2]) < 1e-9]), 1))
        parts.append((f"{name}-itu_metal", (vertices, faces[area[:, 2] > 1e-9]), 2))
    parts.append(("tower", block(-5, 50, 5, 60, 30.0), 1))
    return make_town(parts)
