"""Meshes of the viewer: nothing is lost, nothing is added."""

import math

import numpy as np
import pytest

from sitetwin.site import Cylinder, Ellipsoid, ExtrudedPolygon, Vegetation, load_scene
from sitetwin.view.scenery import canopy_mesh, city_meshes, split_long


def area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.swapaxes(vertices[faces].astype(np.float64), 0, 1)
    return 0.5 * float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = np.swapaxes(vertices[faces].astype(np.float64), 0, 1)
    return float((a * np.cross(b, c)).sum()) / 6


def test_the_meshes_of_a_city_cover_its_surface() -> None:
    site = load_scene("simple_street_canyon")
    meshes = city_meshes(site)
    assert len({mesh.name for mesh in meshes}) == len(meshes)
    drawn = sum(area(mesh.vertices, mesh.faces) for mesh in meshes)
    assert drawn == pytest.approx(area(site.vertices, site.triangles), rel=1e-6)
    assert {mesh.name.split("/")[0] for mesh in meshes} == {"ground", "roofs", "walls"}


def test_no_piece_is_long_and_none_turns_over() -> None:
    corners = np.array([[[0.0, 0.0, 0.0], [900.0, 0.0, 0.0], [0.0, 500.0, 0.0]]])
    pieces = split_long(corners, 50.0)
    steps = np.linalg.norm(np.roll(pieces, -1, axis=1) - pieces, axis=2)
    assert steps.max() <= 50.0
    normal = np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0])
    assert (normal[:, 2] > 0).all()
    assert 0.5 * normal[:, 2].sum() == pytest.approx(225_000.0)


def test_canopies_are_closed_and_of_the_right_size() -> None:
    bent = ExtrudedPolygon(((0, 0), (0, 10), (4, 10), (4, 4), (10, 4), (10, 0)), 2.0, 5.0)  # an L, clockwise
    for canopy, size, tolerance in (
        (bent, 3.0 * 64.0, 1e-6),
        (Cylinder((3.0, 4.0), 2.0, 1.0, 6.0), 5 * math.pi * 4, 0.05),
        (Ellipsoid((9.0, 1.0, 5.0), (3.0, 2.0, 1.0), 0.4), 4 / 3 * math.pi * 6, 0.05),
    ):
        vertices, faces = canopy_mesh(Vegetation((canopy,)), np.array([True]))
        assert volume(vertices, faces) == pytest.approx(size, rel=tolerance)


def test_only_chosen_canopies_are_drawn() -> None:
    both = Vegetation((Cylinder((0.0, 0.0), 1.0, 0.0, 1.0), Cylinder((50.0, 0.0), 1.0, 0.0, 1.0)))
    vertices, _ = canopy_mesh(both, np.array([False, True]))
    assert vertices[:, 0].min() > 48.0
    vertices, faces = canopy_mesh(both, np.array([False, False]))
    assert len(vertices) == len(faces) == 0
