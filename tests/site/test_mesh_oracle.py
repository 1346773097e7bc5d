"""Our readers of meshes against trimesh: the same triangles of lawful files, whatever wrote them."""

from __future__ import annotations

import io

import numpy as np
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.site.importers.gltf import read_gltf
from sitetwin.site.importers.gltf_nodes import gltf_surfaces
from sitetwin.site.importers.meshes import read_mesh
from sitetwin.site.maps.ledger import Ledger


@st.composite
def meshes(draw) -> trimesh.Trimesh:
    count = draw(st.integers(3, 12))
    value = st.integers(-(2**20), 2**20).map(lambda whole: whole / 64)  # exact in float32 and in few digits
    vertices = np.array(draw(st.lists(st.tuples(value, value, value), min_size=count, max_size=count)))
    corner = st.integers(0, count - 1)
    face = st.lists(corner, min_size=3, max_size=3, unique=True)
    faces = np.array(draw(st.lists(face, min_size=1, max_size=20)))
    return trimesh.Trimesh(vertices, faces, process=False)


def corners(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(T, 3, 3) corners of the triangles, in the order of the file."""
    return np.asarray(vertices, dtype=float)[np.asarray(faces)]


@settings(max_examples=40, deadline=None)
@given(meshes(), st.sampled_from(["ply binary", "ply ascii", "obj"]))
def test_files_that_trimesh_writes(mesh: trimesh.Trimesh, form: str) -> None:
    kind, _, encoding = form.partition(" ")
    how = {"encoding": "binary" if encoding == "binary" else "ascii"} if kind == "ply" else {"digits": 8}
    data = mesh.export(file_type=kind, **how)
    data = data if isinstance(data, bytes) else data.encode()
    found = corners(*read_mesh(data, kind, f"a.{kind}"))
    np.testing.assert_array_equal(found, mesh.triangles)
    theirs = trimesh.load(io.BytesIO(data), file_type=kind, process=False, maintain_order=True, force="mesh")
    np.testing.assert_array_equal(found, theirs.triangles)


@settings(max_examples=15, deadline=None)
@given(st.lists(meshes(), min_size=1, max_size=3), st.floats(-3, 3), st.booleans())
def test_scenes_of_placed_meshes_that_trimesh_writes(tmp_path_factory, parts, angle, binary) -> None:
    scene, expected = trimesh.Scene(), []
    for number, mesh in enumerate(parts):
        place = trimesh.transformations.rotation_matrix(angle, [1, 2, number], [3, 0, 1])
        scene.add_geometry(mesh, node_name=f"n{number}", geom_name=f"g{number}", transform=place)
        expected.append(trimesh.transform_points(mesh.triangles.reshape(-1, 3), place).reshape(-1, 9))
    file = tmp_path_factory.mktemp("gltf") / ("a.glb" if binary else "model.gltf")
    written = scene.export(file_type=file.suffix[1:])
    for name, data in {file.name: written}.items() if binary else written.items():
        (file.parent / name).write_bytes(data)
    found = [corners(s.vertices, s.triangles).reshape(-1, 9) for s in gltf_surfaces(read_gltf(file)[0], Ledger())]
    theirs = trimesh.load_scene(file, process=False).to_geometry().triangles.reshape(-1, 9)
    for rows in (np.concatenate(expected), theirs):
        np.testing.assert_allclose(*(r[np.lexsort(np.round(r, 1).T)] for r in (np.concatenate(found), rows)), atol=0.02)
