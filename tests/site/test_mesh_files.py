"""Meshes of modelling programs: what is where, what is what, and a sentence for every broken or hostile file."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Georeference, Site, load_mesh, load_scene
from sitetwin.site.importers.mesh_files import UNITS
from sitetwin.site.maps.ledger import Ledger
from tests.site.gltf_files import cube_document, data_uri, glb, quaternion


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def volume(site: Site) -> float:
    """Signed volume of a closed mesh by the divergence theorem: positive where faces look outwards."""
    a, b, c = site.vertices[site.triangles].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def is_closed(site: Site) -> bool:
    corners = site.vertices[site.triangles]
    vertices, index = np.unique(corners.reshape(-1, 3), axis=0, return_inverse=True)
    return bool(trimesh.Trimesh(vertices, index.reshape(-1, 3), process=False).is_watertight)


def test_a_cube_y_up(tmp_path: Path) -> None:
    document, data = cube_document()
    document["nodes"][0] |= {"scale": [10, 20, 30], "translation": [1, 20, 5]}
    site = load_scene(write(tmp_path / "a.glb", glb(document, data)))
    np.testing.assert_allclose(site.bounds, [[-9, -35, 0], [11, 25, 40]])  # height is y, south is z
    assert volume(site) == pytest.approx(20 * 40 * 60)
    assert is_closed(site)
    assert site.num_facets == 6
    assert site.objects == ("house",)
    assert (site.materials[0].itu, site.materials[0].thickness) == ("brick", 0.1)
    flat = load_mesh(tmp_path / "a.glb", up="z")
    np.testing.assert_allclose(flat.bounds, [[-9, 0, -25], [11, 40, 35]])


@pytest.mark.parametrize("as_matrix", [False, True])
def test_nested_nodes_are_a_rigid_motion(tmp_path: Path, as_matrix: bool) -> None:
    """Two turns and shifts, one in another, by an oracle that is scipy's rotations."""
    from scipy.spatial.transform import Rotation

    axes = np.array([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0]])
    angles, shifts = (0.7, -1.9), np.array([[5.0, -3.0, 2.0], [1.0, 8.0, 0.5]])
    turns = [Rotation.from_rotvec(a * axis) for a, axis in zip(angles, axes, strict=True)]
    document, data = cube_document()
    nodes: list[dict[str, Any]] = []
    for axis, angle, turn, shift in zip(axes, angles, turns, shifts, strict=True):
        if as_matrix:
            matrix = np.eye(4)
            matrix[:3, :3], matrix[:3, 3] = turn.as_matrix(), shift
            nodes.append({"matrix": matrix.T.reshape(-1).tolist()})
        else:
            nodes.append({"rotation": quaternion(axis, angle), "translation": shift.tolist()})
    nodes[0]["children"], nodes[1]["mesh"] = [1], 0
    document["nodes"] = nodes
    site = load_mesh(write(tmp_path / "a.glb", glb(document, data)), up="z")
    cube = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    want = turns[0].apply(turns[1].apply(cube) + shifts[1]) + shifts[0]
    got = np.unique(site.vertices.round(9), axis=0)
    np.testing.assert_allclose(got, np.unique(want.round(9), axis=0), atol=1e-6)
    assert volume(site) == pytest.approx(8.0, rel=1e-6)
    assert is_closed(site)


def test_a_mirror_keeps_faces_outwards(tmp_path: Path) -> None:
    document, data = cube_document()
    document["nodes"][0]["scale"] = [-1, 2, 3]
    assert volume(load_mesh(write(tmp_path / "a.glb", glb(document, data)))) == pytest.approx(48.0)


def test_instances_materials_and_names(tmp_path: Path) -> None:
    document, data = cube_document()
    primitive = document["meshes"][0]["primitives"][0]
    document["meshes"][0]["primitives"] = [primitive, {**primitive, "material": 1}, {**primitive, "mode": 1}]
    document["materials"] += [{"name": "Facade.003"}, {"name": "never used"}]
    document["nodes"] = [{"name": "twin", "mesh": 0}, {"name": "twin", "mesh": 0, "translation": [5, 0, 0]}]
    document["scenes"][0]["nodes"] = [0, 1]
    ledger = Ledger()
    site = load_mesh(write(tmp_path / "a.glb", glb(document, data)), ledger=ledger)
    parts = ["twin-part_brick", "twin-part_Facade.003", "twin-part_brick (2)", "twin-part_Facade.003 (2)"]
    assert list(site.objects) == parts
    assert [(m.name, m.itu) for m in site.materials] == [("brick", "brick"), ("Facade.003", "concrete")]
    account = {(e.kind, e.what): e for e in ledger.entries}
    assert account["assumed", "material without radio constants taken for concrete"].examples == ["Facade.003"]
    assert account["dropped", "points or lines: they are no surface"].count == 2
    assert site.provenance["import"] == ledger.to_list()


@pytest.mark.parametrize(("mode", "want"), [(5, [[0, 1, 2], [1, 3, 2]]), (6, [[1, 2, 0], [2, 3, 0]])])
def test_strips_and_fans(tmp_path: Path, mode: int, want: list[list[int]]) -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.5], [1, 1, 0.2]])
    document, _ = cube_document()
    data = points.astype("<f4").tobytes()
    document["meshes"][0]["primitives"] = [{"attributes": {"POSITION": 0}, "mode": mode}]
    document["accessors"] = [{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"}]
    document["bufferViews"], document["buffers"] = [{"buffer": 0, "byteLength": 48}], [{"byteLength": 48}]
    site = load_mesh(write(tmp_path / "a.glb", glb(document, data)), up="z")
    np.testing.assert_allclose(site.vertices[site.triangles], points[np.array(want)], rtol=1e-6)


def test_quantised_and_strided_positions(tmp_path: Path) -> None:
    """16-bit fractions (KHR_mesh_quantization) in rows of eight bytes, scaled by the node."""
    vertices = np.array([[0, 0, 0], [32767, 0, 0], [0, 32767, 0]], "<i2")
    rows = np.zeros((3, 4), "<i2")
    rows[:, :3] = vertices
    document, _ = cube_document()
    document["extensionsRequired"] = ["KHR_mesh_quantization"]
    document["nodes"][0]["scale"] = [7, 7, 7]
    document["meshes"][0]["primitives"] = [{"attributes": {"POSITION": 0}}]
    document["accessors"] = [
        {"bufferView": 0, "componentType": 5122, "normalized": True, "count": 3, "type": "VEC3"},
    ]
    document["bufferViews"] = [{"buffer": 0, "byteLength": 24, "byteStride": 8}]
    document["buffers"] = [{"byteLength": 24}]
    site = load_mesh(write(tmp_path / "a.glb", glb(document, rows.tobytes())), up="z")
    np.testing.assert_allclose(site.bounds, [[0, 0, 0], [7, 7, 0]])


def test_buffers_beside_and_within_the_document(tmp_path: Path) -> None:
    document, data = cube_document()
    want = load_mesh(write(tmp_path / "a.glb", glb(document, data)))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "my buffer.bin").write_bytes(data)
    for uri in (data_uri(data), "sub/my%20buffer.bin"):
        document["buffers"][0]["uri"] = uri
        site = load_scene(write(tmp_path / "a.gltf", json.dumps(document).encode()))
        assert site.geometry_hash == want.geometry_hash
    assert sorted(site.provenance["source"]["files"]) == ["a.gltf", "sub/my buffer.bin"]


def changed(keys: list[Any], value: Any) -> bytes:
    """The cube with one entry of its document replaced."""
    document, data = cube_document()
    place: Any = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return glb(document, data)


NAN_DATA = np.full(24, np.nan, "<f4").tobytes() + cube_document()[1][96:]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (glb(*cube_document())[:-40], "truncated"),
        (glb(*cube_document())[:9], "header"),
        (glb(cube_document()[0], None), "without data"),
        (glb(b"[" * 100_000, b""), "JSON"),
        (glb(b'{"asset": NaN}', b""), "JSON"),
        (glb(b"{}", b""), "no glTF 2"),
        (glb(*cube_document()).replace(b"\x02\x00\x00\x00", b"\x01\x00\x00\x00", 1), "version 1"),
        (glb(cube_document()[0], NAN_DATA), "NaN"),
        (changed(["accessors", 0, "count"], 10**12), "more than|out of its buffer|whole number"),
        (changed(["accessors", 1, "count"], 3_000_000_000), "more than 10,000,000 triangles"),
        (changed(["accessors", 1, "count"], 360), "out of its buffer"),
        (changed(["accessors", 1, "count"], 35), "multiple of three"),
        (changed(["accessors", 0, "byteOffset"], -4), "byteOffset"),
        (changed(["accessors", 0, "count"], True), "count"),
        (changed(["accessors", 0, "count"], 7), "vertex it does not have"),
        (changed(["accessors", 0, "sparse"], {}), "sparse"),
        (changed(["accessors", 0, "type"], "VEC2"), "VEC3 is due"),
        (changed(["bufferViews", 1, "byteLength"], 2**35), "out of its buffer"),
        (changed(["buffers", 0, "byteLength"], 10**6), "shorter than it says"),
        (changed(["buffers", 0, "uri"], "../secret.bin"), "outside its folder"),
        (changed(["buffers", 0, "uri"], "%2e%2e/secret.bin"), "outside its folder"),
        (changed(["buffers", 0, "uri"], "/etc/passwd"), "no file beside it"),
        (changed(["buffers", 0, "uri"], "https://example.org/a.bin"), "no file beside it"),
        (changed(["buffers", 0, "uri"], "file:///etc/passwd"), "no file beside it"),
        (changed(["buffers", 0, "uri"], "..\\a.bin"), "no file beside it"),
        (changed(["buffers", 0, "uri"], "none.bin"), "does not exist"),
        (changed(["buffers", 0, "uri"], "data:;base64,@@@"), "base64"),
        (changed(["extensionsRequired"], ["KHR_draco_mesh_compression"]), "compressed"),
        (changed(["bufferViews", 0, "extensions"], {"EXT_meshopt_compression": {}}), "compressed"),
        (changed(["extensionsRequired"], ["VENDOR_new_geometry"]), "VENDOR_new_geometry"),
        (changed(["nodes", 0, "extensions"], {"EXT_mesh_gpu_instancing": {}}), "instanced"),
        (changed(["nodes", 0, "children"], [0]), "loop"),
        (changed(["nodes", 0, "matrix"], [1] * 16), "affine"),
        (changed(["nodes", 0, "matrix"], [1] * 15), "16 numbers"),
        (changed(["nodes", 0, "rotation"], [0, 0, 0, 0]), "quaternion"),
        (changed(["nodes", 0, "scale"], [1e400, 1, 1]), "JSON|infinity"),
        (changed(["nodes", 0, "scale"], [1e308, 1, 1]), "give its unit|infinite"),
        (changed(["nodes", 0, "mesh"], 4), "'meshes'"),
        (changed(["nodes"], 3), "'nodes'"),
        (changed(["scenes", 0, "nodes"], []), "no triangle"),
        (changed(["meshes", 0, "primitives"], {}), "list of primitives"),
    ],
)
def test_hostile_gltf_ends_in_a_sentence(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(cube_document()[1])
    with pytest.raises(SiteTwinError, match=says) as caught:
        load_mesh(write(tmp_path / "in" / "a.glb", data))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "origin",
    [3, {"latitude": 10**18, "longitude": 0, "vertical_datum": ""}, {"latitude": True}, {"latitude": 48.0}],
)
def test_an_origin_that_is_malformed_is_left_out(tmp_path: Path, origin: Any) -> None:
    (tmp_path / "a.glb").write_bytes(changed(["asset", "extras"], {"georeference": origin}))
    ledger = Ledger()
    assert load_mesh(tmp_path / "a.glb", ledger=ledger).georeference is None
    assert "origin on earth that is malformed" in [e.what for e in ledger.entries if e.kind == "dropped"]


@pytest.mark.parametrize(
    ("keys", "value", "says"),
    [
        (["nodes"], [{"children": [1, 2]}, {"mesh": 0}, {"mesh": 0}], "has 3 nodes, more than 2"),
        (["meshes", 0, "primitives"], [{"attributes": {"POSITION": 0}, "indices": 1}] * 3, "more than 2 primitives"),
    ],
)
def test_nodes_and_primitives_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: list[Any], value: Any, says: str
) -> None:
    path = write(tmp_path / "a.glb", changed(keys, value))
    load_mesh(path)
    monkeypatch.setattr("sitetwin.site.importers.gltf_nodes.MOST_NODES", 2)
    with pytest.raises(SiteTwinError, match=rf"a\.glb' .*{says}"):
        load_mesh(path)


@pytest.mark.parametrize("group", [b"", b"g %d\n"])
def test_objects_of_a_mesh_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: bytes) -> None:
    rows = [
        (group % k if group else b"") + b"v %d 0 0\nv %d 9 0\nv %d 0 9\nf -3 -2 -1\n" % (9 * k, 9 * k + 3, 9 * k)
        for k in range(3)
    ]
    path = write(tmp_path / "a.obj", b"".join(rows))
    assert len(load_mesh(path, up="z").objects) == 3
    monkeypatch.setattr("sitetwin.site.importers.mesh_files.MOST_OBJECTS", 2)
    with pytest.raises(SiteTwinError, match="has 3 objects, more than 2"):
        load_mesh(path)


@pytest.mark.parametrize(
    "constants", [{"name": {}}, {"name": "a", "itu": []}, {"name": "a", "itu": "brick", "thickness": 10**18}]
)
def test_radio_constants_that_are_malformed_are_left_out(tmp_path: Path, constants: dict[str, Any]) -> None:
    data = changed(["materials"], [{"name": "itu_brick", "extras": {"radio_material": constants}}])
    (tmp_path / "a.glb").write_bytes(data)
    ledger = Ledger()
    load_mesh(tmp_path / "a.glb", ledger=ledger)
    assert "radio constants of a material that are malformed" in [e.what for e in ledger.entries]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret.bin").write_bytes(cube_document()[1])
    (tmp_path / "in" / "a.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(SiteTwinError, match="outside its folder"):
        load_mesh(write(tmp_path / "in" / "a.glb", changed(["buffers", 0, "uri"], "a.bin")))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("sub/../../secret.bin", "outside its folder"),
        ("sub%2f..%2F..%2Fsecret.bin", "outside its folder"),
        ("linked/secret.bin", "outside its folder"),
        ("chain.bin", "outside its folder"),
        ("circle.bin", "cannot be found|outside its folder|cannot be read|does not exist"),
        ("x" * 5000, "cannot be found|cannot be read|does not exist"),
        ("%5c%5cserver%5cshare%5ca.bin", "no file beside it"),
        ("C%3A%5ca.bin", "no file beside it"),
        ("%2fetc%2fpasswd", "no file beside it"),
        ("a%00.bin", "no file beside it"),
        ("//example.org/a.bin", "no file beside it"),
        ("pipe.bin", "no file"),
    ],
)
def test_no_buffer_outside_the_folder_is_opened(tmp_path: Path, uri: str, says: str) -> None:
    inside = tmp_path / "in"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(cube_document()[1])
    (inside / "linked").symlink_to(tmp_path)
    (inside / "first.bin").symlink_to(tmp_path / "secret.bin")
    (inside / "chain.bin").symlink_to("first.bin")
    (inside / "circle.bin").symlink_to("circle.bin")
    os.mkfifo(inside / "pipe.bin")
    with pytest.raises(SiteTwinError, match=says) as caught:
        load_mesh(write(inside / "a.glb", changed(["buffers", 0, "uri"], uri)))
    assert "\n" not in str(caught.value)


def test_a_doubtful_unit_is_asked_for(tmp_path: Path) -> None:
    text = "o block\n" + "".join(f"v {x} {y} {z}\n" for x in (0, 9e4) for y in (0, 6e4) for z in (0, 3000))
    text += "f 1 2 4 3\nf 5 7 8 6\nf 1 5 6 2\nf 3 4 8 7\nf 1 3 7 5\nf 2 6 8 4\n"
    path = write(tmp_path / "town.obj", text.encode())
    with pytest.raises(SiteTwinError, match=r"--unit cm.*'cm' makes it 900 m by 30 m, 'mm' makes it 90 m by 3 m"):
        load_scene(path)
    for unit in ("cm", "mm", "m", "ft"):
        site = load_mesh(path, unit=unit)
        np.testing.assert_allclose(site.bounds[1], np.array([9e4, 6e4, 3000]) * UNITS[unit])
    with pytest.raises(SiteTwinError, match="no unit"):
        load_mesh(path, unit="parsec")
    with pytest.raises(SiteTwinError, match="upward axis"):
        load_mesh(path, up="w")
    placed = load_mesh(path, unit="cm", georeference=Georeference(48.0, 11.0))
    assert placed.georeference == Georeference(48.0, 11.0)


def test_obj_objects_materials_and_polygons(tmp_path: Path) -> None:
    """A face of five corners, one of them inwards; a quadrilateral that is not convex; groups and materials."""
    text = (
        "mtllib a.mtl\nv 0 0 0\nv 4 0 0\nv 4 4 0\nv 2 1 0\nv 0 4 0\nv 2 1.5 0\n"
        "g house\nusemtl itu_marble\nf 1 2 3 4 5\nusemtl itu-metal\nf 1 2 6\ng\ng shed roof\nf 1/1 4/1 3/2 5/2\n"
    )
    site = load_mesh(write(tmp_path / "a.obj", text.encode()))
    assert site.objects == ("house-part_marble", "house-part_metal", "shed roof")
    corners = site.vertices[site.triangles]
    area = 0.5 * np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    assert area[site.triangle_object == 0].sum() == pytest.approx(16 - 6)
    assert (area[site.triangle_object == 0] > 0).all()
    turned = load_mesh(tmp_path / "a.obj", up="y")
    assert np.ptp(turned.vertices[:, 1]) == 0
    assert np.ptp(turned.vertices[:, 2]) == 4


def test_bodies_of_a_file_without_names(tmp_path: Path) -> None:
    box = trimesh.creation.box((10, 10, 10))
    both = trimesh.util.concatenate([box, box.copy().apply_translation([30, 0, 0])])
    both.export(tmp_path / "two.ply")
    both.export(tmp_path / "two.obj", include_normals=False, header="")
    for name in ("two.ply", "two.obj"):
        site = load_scene(tmp_path / name)
        assert len(site.objects) == 2 or name == "two.obj"
        assert volume(site) == pytest.approx(2000.0)
        assert is_closed(site)
    site = load_scene(tmp_path / "two.ply")
    assert site.objects == ("two", "two (2)")
    assert any("connected bodies" in e["what"] for e in site.provenance["import"])


@pytest.mark.parametrize("form", ["glb", "obj", "ply"])
def test_what_trimesh_writes_is_what_we_read(tmp_path: Path, form: str) -> None:
    mesh = trimesh.creation.annulus(3.0, 7.0, 5.0, sections=16)
    trimesh.Scene({"ring": mesh}).export(tmp_path / f"ring.{form}")
    site = load_mesh(tmp_path / f"ring.{form}", up="z")
    assert is_closed(site)
    assert volume(site) == pytest.approx(mesh.volume, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.obj", b"v 0 0 0\nv 1 0 0\nf 1 2 3\n", "does not have"),
        ("a.obj", b"v 0 0 0\nv 1 0\nf 1 2 2\n", "malformed"),
        ("a.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "NaN"),
        ("a.obj", b"v 0 0 x\n", "malformed"),
        ("a.obj", b"# nothing\n", "no triangle"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", "no triangle"),
        (
            "a.ply",
            b"ply\nformat ascii 1.0\nelement vertex 999999999999\nend_header\n",
            "more elements than it has bytes",
        ),
        ("a.gltf", b"", "JSON"),
        ("a.stl", b"solid", "no mesh file"),
    ],
)
def test_broken_meshes_end_in_a_sentence(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    with pytest.raises(SiteTwinError, match=says):
        load_mesh(write(tmp_path / name, data))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match="does not exist"):
        load_scene(tmp_path / "none.glb")


BASE = {
    ".glb": glb(*cube_document()),
    ".obj": b"o a\nusemtl b\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv .5 2 0\nf 1 2 3 4\nf -1 -2 -3\nf 1 2 3 5 4\n",
    ".ply": (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 3\n"
        b"property float x\nproperty float y\nproperty float z\n"
        b"element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        + struct.pack("<9fB3i", 0, 0, 0, 1, 0, 0, 0, 1, 0, 3, 0, 1, 2)
    ),
}


@pytest.mark.parametrize("suffix", list(BASE))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_end_in_a_site_or_a_sentence(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    good = bytearray(BASE[suffix])
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), min_size=1, max_size=6)
    ):
        good[position] = value
    cut = data.draw(st.integers(0, len(good)))
    with warnings.catch_warnings(), contextlib.suppress(SiteTwinError):
        warnings.simplefilter("ignore", SiteTwinWarning)  # such as of a model that lies on its side
        load_mesh(write(tmp_path / f"a{suffix}", bytes(good[: max(cut, len(good) // 2)])), unit="m")


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-2, 40), st.sampled_from([2**31, 2**63, 10**30, 0.5, 1e308, "x", ""])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ab"), inner, max_size=2)),
    max_leaves=4,
)


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything within a JSON document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, child in inner for path in ((*above, key), *places(child, (*above, key)))]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_document_ends_in_a_site_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    document, binary = cube_document()
    document["nodes"][0] |= {"rotation": [0, 0, 0, 1], "children": [], "extras": {}}
    document = deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        *above, key = data.draw(st.sampled_from(places(document)))
        place: Any = document
        for step in above:
            place = place[step]
        place[key] = data.draw(JSON)
    with contextlib.suppress(SiteTwinError):
        load_mesh(write(tmp_path / "a.glb", glb(document, binary)), unit="m")
