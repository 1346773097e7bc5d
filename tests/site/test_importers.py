"""Scene files: the same mesh and materials as Sionna RT reads, and a sentence for every broken one."""

from __future__ import annotations

import contextlib
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.backend import mitsuba
from sitetwin.errors import SiteTwinError
from sitetwin.site import Site, builtin_scenes, load_scene
from sitetwin.site.importers import obj
from sitetwin.site.importers.meshes import read_mesh
from sitetwin.site.importers.mitsuba_xml import parse_scene

HEAD = '<scene version="2.1.0"><bsdf type="itu-radio-material" id="c"><string name="type" value="concrete"/></bsdf>'


def ply(vertices: np.ndarray, faces: np.ndarray, form: str = "binary_little_endian") -> bytes:
    order = ">" if form.endswith("big_endian") else "<"
    head = (
        f"ply\nformat {form} 1.0\nelement vertex {len(vertices)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    ).encode()
    if form == "ascii":
        rows = [" ".join(f"{v:.9g}" for v in row) for row in vertices]
        rows += [" ".join(map(str, [len(face), *face])) for face in faces]
        return head + ("\n".join(rows) + "\n").encode()
    body = np.asarray(vertices, order + "f4").tobytes()
    return head + body + b"".join(struct.pack(f"{order}B{len(f)}i", len(f), *f) for f in faces)


TRIANGLE = ply(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.0]]), np.array([[0, 1, 2]]))


def scene(folder: Path, shapes: str, head: str = HEAD, mesh: bytes | None = TRIANGLE) -> Path:
    if mesh is not None:
        (folder / "m.ply").write_bytes(mesh)
    (folder / "s.xml").write_text(head + shapes + "</scene>")
    return folder / "s.xml"


def shape(kind: str = "ply", extra: str = "", name: str = "mesh-a", material: str = "c") -> str:
    file = '<string name="filename" value="m.ply"/>' if kind in ("ply", "obj") else ""
    return f'<shape type="{kind}" id="{name}">{file}<ref id="{material}" name="bsdf"/>{extra}</shape>'


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 8), min_size=3, max_size=4), min_size=1, max_size=40),
    st.sampled_from(["binary_little_endian", "binary_big_endian", "ascii"]),
)
def test_ply_files_of_triangles_and_quads_give_each_face_in_its_order(faces: list[list[int]], form: str) -> None:
    """Oracle: a face of four corners is the fan of two triangles from its first corner."""
    data = ply(np.arange(27.0).reshape(9, 3), faces, form)  # type: ignore[arg-type]
    want = [fan for f in faces for fan in ((f[0], f[k], f[k + 1]) for k in range(1, len(f) - 1))]
    np.testing.assert_array_equal(read_mesh(data, "ply", "m.ply")[1], want)
    with pytest.raises(SiteTwinError, match="truncated"):
        read_mesh(data[:-3], "ply", "m.ply")


def test_meshes_in_text_are_bounded_before_they_are_cut_into_words(monkeypatch: pytest.MonkeyPatch) -> None:
    points = b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    for data, says in (
        (points + b"f 1 2 3\n" * 100, "more than 99 lines"),
        (points + b"f 1 2 3\r" * 100, "more than 99 lines"),
        (points + b"f " + b"1 2 3 " * 200, "a line of more than"),
        (points + b"f " + b"1 2 3 " * 40, "too many corners"),
        (points + (b"f" + b" 1" * 9 + b"\n") * 20, "too many corners"),
        (points + b"#" * 3000, "MB of text"),
    ):
        for name, limit in (
            ("MOST_LINES", 99),
            ("LONGEST_LINE", 999),
            ("MOST_CLIPPING", 999),
            ("LARGEST_TEXT_MESH", 2000),
        ):
            monkeypatch.setattr(obj, name, limit)
        with pytest.raises(SiteTwinError, match=f"'m.obj' has .*{says}"):
            read_mesh(data, "obj", "m.obj")
    data = ply(np.zeros((200, 3)), np.array([[0, 1, 2]]), "ascii")
    with pytest.raises(SiteTwinError, match="more than 99 lines"):
        read_mesh(data, "ply", "m.ply")


@pytest.mark.parametrize("name", ["simple_street_canyon_with_cars", "box_two_screens", "triple_reflector", "etoile"])
def test_same_mesh_and_materials_as_sionna(name: str) -> None:
    mi = mitsuba()
    import sionna.rt as rt

    theirs, ours = rt.load_scene(getattr(rt.scene, name), merge_shapes=False), load_scene(name)
    assert set(ours.objects) == set(theirs.objects)
    for k, object_name in enumerate(ours.objects):
        other = theirs.objects[object_name]
        parameters = mi.traverse(other.mi_mesh)
        points = np.array(parameters["vertex_positions"]).reshape(-1, 3)
        want = points[np.array(parameters["faces"]).reshape(-1, 3)]
        rows = ours.triangle_object == k
        got = ours.vertices[ours.triangles[rows]]
        key = lambda mesh: sorted(map(tuple, np.sort(mesh.reshape(-1, 9).astype(np.float32), axis=1).tolist()))  # noqa: E731
        assert key(got) == key(want)
        material = ours.materials[ours.facet_material[ours.triangle_facet[rows][0]]]
        assert material.itu == other.radio_material.itu_type
        assert material.thickness == pytest.approx(float(np.ravel(other.radio_material.thickness)[0]))


def test_munich(munich: Site) -> None:
    site = munich
    assert site.num_triangles + site.provenance["dropped_degenerate_triangles"] == 38_936
    assert [site.objects[k] for k in site.ground_objects] == ["ground"]
    assert {m.itu for m in site.materials} <= {"marble", "metal", "brick", "wood", "concrete"}
    assert all(m.thickness == 0.1 for m in site.materials)
    names, building = site.buildings
    assert names[building[site.objects.index("Altes_Rathaus-itu_marble")]] == "Altes_Rathaus"
    assert (
        building[site.objects.index("Altes_Rathaus-itu_marble")]
        == building[site.objects.index("Altes_Rathaus-itu_metal")]
    )
    assert load_scene("Munich").hash == site.hash
    source = json.dumps(site.provenance)
    assert "site-packages" not in source
    assert len(site.provenance["source"]["meshes_sha256"]) == 64


def test_unknown_name_lists_the_built_in_scenes() -> None:
    with pytest.raises(SiteTwinError, match=r"did you mean 'munich'\? Built-in are: .*etoile"):
        load_scene("munch")
    assert {"munich", "etoile", "florence", "san_francisco", "simple_street_canyon", "box"} <= set(builtin_scenes())


@pytest.mark.parametrize("form", ["binary_little_endian", "binary_big_endian", "ascii"])
def test_ply_forms_and_quads(form: str, rng: np.random.Generator) -> None:
    points = rng.normal(size=(6, 3)).astype(np.float32)
    faces: list = [[0, 1, 2], [2, 3, 4, 5]]
    vertices, triangles = read_mesh(ply(points, faces, form), "ply", "m.ply")  # type: ignore[arg-type]
    np.testing.assert_allclose(vertices, points, rtol=1e-7)
    assert triangles.tolist() == [[0, 1, 2], [2, 3, 4], [2, 4, 5]]
    vertices, triangles = read_mesh(ply(points, np.array(faces[:1]), form), "ply", "m.ply")
    assert triangles.tolist() == [[0, 1, 2]]


def test_obj_with_negative_and_slashed_indices() -> None:
    text = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1\nf -3 -2 -1\n"
    assert read_mesh(text, "obj", "m.obj")[1].tolist() == [[0, 1, 2], [0, 1, 2]]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_broken_meshes_end_in_a_sentence(data: st.DataObject) -> None:
    good = bytearray(TRIANGLE)
    cut = data.draw(st.integers(0, len(good)))
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=6)
    ):
        good[position] = value
    with contextlib.suppress(SiteTwinError):
        vertices, faces = read_mesh(bytes(good[:cut]), "ply", "m.ply")
        assert not len(faces) or faces.max() < len(vertices)


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200), st.text(max_size=100).map(lambda t: f"<scene>{t}</scene>".encode("utf-8", "replace"))
    )
)
def test_any_bytes_end_in_a_sentence(data: bytes) -> None:
    with pytest.raises(SiteTwinError, match=r"s\.xml"):
        parse_scene(data, "s.xml")


def test_transforms_and_primitives_as_mitsuba_applies_them(tmp_path: Path) -> None:
    transform = (
        '<transform name="to_world"><scale x="2" y="3" z="0.5"/><rotate x="0.36" y="0.48" z="0.8" angle="40"/>'
        '<translate x="10" y="-4" z="7"/><matrix value="0 -1 0 1  1 0 0 2  0 0 1 3  0 0 0 1"/></transform>'
    )
    site = load_scene(scene(tmp_path, shape("cube", transform) + shape("rectangle", transform, "mesh-b")))
    mi = mitsuba()
    body = shape("cube", transform) + shape("rectangle", transform, "mesh-b")
    body = body.replace('<ref id="c" name="bsdf"/>', "")
    loaded = mi.load_string(f'<scene version="2.1.0">{body}</scene>', optimize=False)
    boxes = {s.id(): s.bbox() for s in loaded.shapes()}
    for k, name in enumerate(("mesh-a", "mesh-b")):
        mine = site.vertices[np.unique(site.triangles[site.triangle_object == k])]
        np.testing.assert_allclose(mine.min(axis=0), np.array(boxes[name].min).ravel(), atol=1e-5)
        np.testing.assert_allclose(mine.max(axis=0), np.array(boxes[name].max).ravel(), atol=1e-5)


def test_materials_by_sionnas_rules(tmp_path: Path) -> None:
    head = (
        '<scene version="2.1.0"><default name="d" value="0.25"/>'
        '<bsdf type="twosided" id="mat-itu_glass"><bsdf type="diffuse"/></bsdf>'
        '<bsdf type="radio-material" id="own"><float name="relative_permittivity" value="4"/>'
        '<float name="conductivity" value="0.02"/><float name="thickness" value="$d"/>'
        '<float name="scattering_coefficient" value="0.3"/><float name="xpd_coefficient" value="0.1"/></bsdf>'
    )
    site = load_scene(scene(tmp_path, shape(material="mat-itu_glass") + shape(name="b", material="own"), head))
    glass, own = site.materials
    assert (glass.name, glass.itu, glass.thickness) == ("itu_glass", "glass", 0.1)
    assert (own.relative_permittivity, own.conductivity, own.thickness) == (4.0, 0.02, 0.25)
    assert (own.scattering_coefficient, own.xpd_coefficient) == (0.3, 0.1)
    assert any("itu_glass" in a and "0.1 m assumed" in a for a in site.provenance["assumptions"])


@pytest.mark.parametrize("kind", ["integer", "float"])
def test_scattering_lobes_by_sionnas_names(tmp_path: Path, kind: str) -> None:
    lobes = (
        '<string name="scattering_pattern" value="backscattering"/><float name="lambda_" value="0.7"/>'
        f'<{kind} name="alpha_r" value="5"/><{kind} name="alpha_i" value="9"/>'
    )
    head = HEAD.replace("</bsdf>", lobes + "</bsdf>")
    material = load_scene(scene(tmp_path, shape(), head)).materials[0]
    assert (material.scattering_pattern, material.alpha_r, material.alpha_i) == ("backscattering", 5, 9)
    assert material.forward_share == 0.7
    with pytest.raises(SiteTwinError, match=r"alpha_r 2\.5, which is no whole number"):
        load_scene(scene(tmp_path, shape(), HEAD.replace("</bsdf>", '<float name="alpha_r" value="2.5"/></bsdf>')))


NAN = ply(np.array([[0, 0, 0], [1, 0, 0], [0, np.nan, 0.0]]), np.array([[0, 1, 2]]))
HUGE = ply(np.array([[0, 0, 0], [1, 0, 0], [0, 1e9, 0.0]]), np.array([[0, 1, 2]]))
BOMB = '<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("shapes", "head", "mesh", "says"),
    [
        ("", HEAD, TRIANGLE, "no shape"),
        (shape(), HEAD, None, "does not exist"),
        (shape(), HEAD, NAN, "NaN"),
        (shape(), HEAD, HUGE, "from the origin"),
        (shape(), HEAD, TRIANGLE[:-5], "truncated"),
        (shape("sphere"), HEAD, TRIANGLE, "type 'sphere'"),
        (shape("shapegroup"), HEAD, TRIANGLE, "type 'shapegroup'"),
        (shape(material="nowhere"), HEAD, TRIANGLE, "does not define it"),
        (shape().replace('<ref id="c" name="bsdf"/>', ""), HEAD, TRIANGLE, "no material"),
        (shape() + shape(), HEAD, TRIANGLE, "two shapes"),
        (shape(), HEAD.replace("concrete", "concret"), TRIANGLE, "did you mean concrete"),
        (shape(), HEAD.replace("itu-radio-material", "diffuse"), TRIANGLE, "unknown type 'diffuse'"),
        (shape(), HEAD + '<include filename="/etc/passwd"/>', TRIANGLE, "<include>"),
        (shape(), BOMB + HEAD, TRIANGLE, "document type"),
        (shape().replace("m.ply", "/dev/zero"), HEAD, TRIANGLE, "absolute"),
        (shape().replace("m.ply", "$mesh"), HEAD, TRIANGLE, "mesh without a <default>"),
        (shape(extra='<transform name="to_world"><lookat/></transform>'), HEAD, TRIANGLE, "<lookat>"),
        (shape(extra='<transform name="to_world"><scale value="x"/></transform>'), HEAD, TRIANGLE, "malformed"),
        (
            shape(extra='<transform name="to_world"><rotate z="3" angle="9"/></transform>'),
            HEAD,
            TRIANGLE,
            "unit vector",
        ),
        (shape()[:-3], HEAD, TRIANGLE, "well-formed"),
        (shape().replace("m.ply", "."), HEAD, TRIANGLE, "is no file"),
        (shape(extra='<transform name="to_world"><scale value="1e999"/></transform>'), HEAD, TRIANGLE, "infinity"),
        (shape(), HEAD.replace("concrete", "concreet"), TRIANGLE, r"scene file '.*s\.xml': 'concreet' is no material"),
        ("<a>" * 40 + "</a>" * 40, HEAD, TRIANGLE, "nests"),
    ],
)
def test_broken_scenes_end_in_a_sentence(tmp_path: Path, shapes: str, head: str, mesh: bytes | None, says: str) -> None:
    with pytest.raises(SiteTwinError, match=says) as caught:
        load_scene(scene(tmp_path, shapes, head, mesh))
    assert "\n" not in str(caught.value)


OUTSIDE = [
    ("/{outside}/m.ply", "absolute path"),
    ("C:\\m.ply", "absolute path"),
    ("c:/m.ply", "absolute path"),
    ("\\\\server\\share\\m.ply", "absolute path"),
    ("file:///{outside}/m.ply", "absolute path"),
    ("https://example.org/m.ply", "absolute path"),
    ("../m.ply", "outside the folder"),
    ("..\\m.ply", "outside the folder"),
    ("meshes/../../m.ply", "outside the folder"),
    ("meshes\\..\\..\\m.ply", "outside the folder"),
    ("./meshes/../../scenes/../m.ply", "outside the folder"),
    ("meshes/link.ply", "outside the folder"),
    ("meshes/linked/m.ply", "outside the folder"),
    ("meshes/circle.ply", "outside the folder|does not exist|cannot be read"),
    ("meshes/chain.ply", "outside the folder"),
    ("%2e%2e/m.ply", "does not exist"),  # Mitsuba knows no such escapes: a folder of that name
    ("..%2fm.ply", "does not exist"),
    ("~/m.ply", "does not exist"),
    ("$folder/m.ply", "outside the folder"),
    ("meshes/pipe.ply", "no file"),
]


@pytest.mark.parametrize(("name", "says"), OUTSIDE)
def test_scenes_open_no_mesh_outside_their_folder(tmp_path: Path, name: str, says: str) -> None:
    inside = tmp_path / "scenes"
    (inside / "meshes").mkdir(parents=True)
    (tmp_path / "m.ply").write_bytes(TRIANGLE)  # lawful, so that only its place can be the reason
    (inside / "meshes" / "link.ply").symlink_to(tmp_path / "m.ply")
    (inside / "meshes" / "linked").symlink_to(tmp_path)
    (inside / "meshes" / "chain.ply").symlink_to("link.ply")
    (inside / "meshes" / "circle.ply").symlink_to("circle.ply")
    os.mkfifo(inside / "meshes" / "pipe.ply")
    name = name.replace("{outside}", str(tmp_path).lstrip("/"))
    head = HEAD + '<default name="folder" value=".."/>'
    with pytest.raises(SiteTwinError, match=says) as caught:
        load_scene(scene(inside, shape().replace("m.ply", name), head, TRIANGLE))
    assert "\n" not in str(caught.value)


def test_scenes_open_meshes_by_links_within_their_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "n.ply").write_bytes(TRIANGLE)
    (tmp_path / "link.ply").symlink_to(tmp_path / "other" / "n.ply")
    assert load_scene(scene(tmp_path, shape().replace("m.ply", "other/../link.ply"), HEAD, TRIANGLE)).num_facets == 1


def test_missing_scene_file(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match=r"none\.xml' does not exist"):
        load_scene(tmp_path / "none.xml")
    with pytest.raises(SiteTwinError, match="does not exist"):
        load_scene(str(tmp_path / "none.xml"))
