"""Meshes in map coordinates and on their sides: one city in every format, offset, rotation and upward axis."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyproj
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.caster import RayCaster
from sitetwin.site import Georeference, Site, load_mesh, load_scene
from sitetwin.site.account import file_origin
from sitetwin.site.importers.sionna import load_mitsuba
from sitetwin.site.places.extent import check_on_site, check_users_on_site
from sitetwin.site.projection import LocalProjection
from tests.site.conftest import block
from tests.site.gltf_files import cube_document, glb
from tests.site.insite_files import face
from tests.site.insite_files import mesh as insite

Mesh = tuple[np.ndarray, np.ndarray]
GROUND = (np.array([[-90.0, -70, 0], [90, -70, 0], [90, 70, 0], [-90, 70, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))


def city(angle: float = 0.0, ground: bool = True) -> list[Mesh]:
    """Six houses of different heights, on a ground or on nothing, turned about the vertical axis."""
    places = [(-70, -50), (-20, -55), (30, -45), (-65, 20), (-10, 15), (45, 25)]
    houses = [block(x, y, x + 20 + k, y + 12 + 2 * k, 6.3 + 2.17 * k) for k, (x, y) in enumerate(places)]
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    return [(vertices @ turn.T, faces) for vertices, faces in ([GROUND] if ground else []) + houses]


def shifted(meshes: list[Mesh], by: np.ndarray | list[float]) -> list[Mesh]:
    return [(vertices + np.asarray(by), faces) for vertices, faces in meshes]


def lying(vertices: np.ndarray, up: str) -> np.ndarray:
    """Vertices east-north-up in the axes of a file whose upward axis is `up`."""
    x, y, z = vertices.T
    return np.stack({"x": (z, x, y), "y": (x, z, -y), "z": (x, y, z)}[up], axis=1)


def obj(meshes: list[Mesh], folder: Path, up: str) -> Path:
    rows, first = [], 1
    for number, (vertices, faces) in enumerate(meshes):
        rows += [f"o part_{number}", *(f"v {x!r} {y!r} {z!r}" for x, y, z in lying(vertices, up).tolist())]
        rows += [f"f {a + first} {b + first} {c + first}" for a, b, c in faces.tolist()]
        first += len(vertices)
    (folder / "city.obj").write_text("\n".join(rows) + "\n")
    return folder / "city.obj"


def ply_bytes(meshes: list[Mesh], up: str = "z", kind: str = "double") -> bytes:
    vertices = lying(np.concatenate([v for v, _ in meshes]), up)
    starts = np.cumsum([0] + [len(v) for v, _ in meshes[:-1]])
    faces = np.concatenate([f + start for (_, f), start in zip(meshes, starts, strict=True)])
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n"
    head += "".join(f"property {kind} {axis}\n" for axis in "xyz")
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    rows = np.zeros(len(faces), dtype=[("n", "u1"), ("corners", "<i4", (3,))])
    rows["n"], rows["corners"] = 3, faces
    return head.encode() + vertices.astype("<f8" if kind == "double" else "<f4").tobytes() + rows.tobytes()


def ply(meshes: list[Mesh], folder: Path, up: str) -> Path:
    (folder / "city.ply").write_bytes(ply_bytes(meshes, up))
    return folder / "city.ply"


def mitsuba(meshes: list[Mesh], folder: Path, up: str) -> Path:
    shapes = []
    for number, part in enumerate(meshes):
        (folder / f"{number}.ply").write_bytes(ply_bytes([part], up))
        name = f'<string name="filename" value="{number}.ply"/><ref id="mat-itu_concrete"/>'
        shapes.append(f'<shape type="ply" id="mesh-{number}">{name}</shape>')
    material = '<bsdf type="itu-radio-material" id="mat-itu_concrete"/>'
    (folder / "city.xml").write_text(f'<scene version="2.1.0">{material}{"".join(shapes)}</scene>')
    return folder / "city.xml"


def gltf(meshes: list[Mesh], folder: Path, up: str) -> Path:
    """A node for each part: positions near zero in single precision, their place as its translation."""
    document, data = cube_document()
    document["nodes"], document["scenes"] = [], [{"nodes": []}]
    for table in ("meshes", "accessors", "bufferViews"):
        document[table] = []
    data = b""
    for number, (vertices, faces) in enumerate(meshes):
        place = np.rint(vertices.mean(axis=0))
        positions = lying(vertices - place, up).astype("<f4").tobytes()
        indices = faces.astype("<u4").tobytes()
        for block_bytes, component, kind, count in (
            (positions, 5126, "VEC3", len(vertices)),
            (indices, 5125, "SCALAR", faces.size),
        ):
            document["bufferViews"].append({"buffer": 0, "byteOffset": len(data), "byteLength": len(block_bytes)})
            view = len(document["bufferViews"]) - 1
            document["accessors"].append({"bufferView": view, "componentType": component, "count": count, "type": kind})
            data += block_bytes
        primitive = {"attributes": {"POSITION": 2 * number}, "indices": 2 * number + 1}
        document["meshes"].append({"primitives": [primitive]})
        translation = lying(place[None], up)[0].tolist()
        document["nodes"].append({"name": f"part_{number}", "mesh": number, "translation": translation})
        document["scenes"][0]["nodes"].append(number)
    document["buffers"] = [{"byteLength": len(data)}]
    (folder / "city.glb").write_bytes(glb(document, data))
    return folder / "city.glb"


def wireless_insite(meshes: list[Mesh], folder: Path, up: str) -> Path:
    parts = [[face(triangle) for triangle in vertices[faces]] for vertices, faces in meshes]
    (folder / "city.city").write_text(insite(parts))
    return folder / "city.city"


Writer = Callable[[list[Mesh], Path, str], Path]
WRITERS: dict[str, Writer] = {"obj": obj, "ply": ply, "glb": gltf, "xml": mitsuba, "city": wireless_insite}


def quietly(path: Path) -> Site:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SiteTwinWarning)
        return load_scene(path)


def assert_same(site: Site, meshes: list[Mesh], offset: np.ndarray) -> None:
    """The site is the city: with the origin that it names, its corners are those of the file."""
    want = np.concatenate([vertices[faces] for vertices, faces in meshes]).reshape(-1, 3)
    got = site.corners.reshape(-1, 3)
    assert len(got) == len(want)
    origin = np.array(file_origin(site) or (0.0, 0.0, 0.0))
    apart, _ = cKDTree(want).query(got + (origin - offset))
    assert apart.max() < 2e-5
    if np.abs(offset).max() > 2e4:
        assert np.abs(site.bounds).max() < 2e3
        assert np.abs(site.bounds[:, :2].sum(axis=0)).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=6)
@given(
    angle=st.floats(0, 3.1),
    power=st.floats(0, 7),
    heading=st.floats(0, 6.28),
    height=st.sampled_from([0.0, 512.25]),
    up=st.sampled_from("xyz"),
)
def test_one_city_is_one_city(
    form: str, angle: float, power: float, heading: float, height: float, up: str, tmp_path_factory
) -> None:
    """In double precision, wherever it lies and whichever axis points up."""
    offset = np.round([10**power * np.cos(heading), 10**power * np.sin(heading), height], 3)
    meshes = city(angle)
    moved = shifted(meshes, offset)
    up = "z" if form == "city" else up
    site = quietly(WRITERS[form](moved, tmp_path_factory.mktemp("city"), up))
    assert_same(site, meshes, offset)
    assert site.provenance["source"].get("up", "z") == up


def test_the_shift_is_said(tmp_path: Path) -> None:
    moved = shifted(city(), [85_000.0, 447_500.0, 3.0])
    site = load_scene(obj(moved, tmp_path, "z"))
    assert file_origin(site) == (85_000.0, 447_500.0, 0.0)
    assert any("minus 85,000; 447,500; 0 m" in entry["what"] for entry in site.provenance["import"])
    with pytest.raises(SiteTwinError, match=r"coordinates of its file, so subtract 85000\.000 from x and 447500\.000"):
        check_on_site(site, [84_980.0, 447_500.0, 10.0])
    with pytest.raises(SiteTwinError, match="coordinates of its file"):
        check_users_on_site(site, np.array([[84_980.0, 447_500.0, 1.5]]))
    with pytest.raises(SiteTwinError, match="check the coordinates"):
        check_on_site(site, [5e6, 0.0, 10.0])


def test_a_site_far_from_its_origin_is_not_traced(tmp_path: Path) -> None:
    site = load_scene(obj(city(), tmp_path, "z"))
    RayCaster(site)
    for far in ([85_000.0, 447_500.0, 0.0], [0, -12_000, 0], [0, 0, 50_000]):
        with pytest.raises(SiteTwinError, match=r"from its own origin.*subtract about"):
            RayCaster(replace(site, vertices=site.vertices + far))


def test_a_reference_system_places_the_mesh_on_earth(tmp_path: Path) -> None:
    east, north = 691_607.0, 5_334_760.0  # Munich, UTM zone 32
    moved = shifted(city(0.3), [east, north, 515.0])
    path = obj(moved, tmp_path, "z")
    site = load_mesh(path, crs="EPSG:25832+7837")
    assert site.georeference is not None
    assert site.georeference.vertical_datum == "DHHN2016 height"
    corners = np.concatenate([vertices[faces] for vertices, faces in moved]).reshape(-1, 3)
    to_degrees = pyproj.Transformer.from_crs("EPSG:25832", "EPSG:4326", always_xy=True)
    plan = LocalProjection.of(site.georeference).to_local(np.column_stack(to_degrees.transform(*corners[:, :2].T)))
    want = np.column_stack([plan, corners[:, 2]])
    assert cKDTree(want).query(site.corners.reshape(-1, 3))[0].max() < 1e-4
    assert load_mitsuba(mitsuba(moved, tmp_path, "z"), crs="EPSG:25832").georeference is not None
    for wrong, says in (
        ({"crs": "EPSG:4326"}, "not a projected"),
        ({"crs": "EPSG:25832", "unit": "ft"}, "unit of its own"),
        ({"crs": "EPSG:25832", "georeference": Georeference(48.0, 11.0)}, "give one of the two"),
        ({"georeference": Georeference(48.0, 11.0)}, r"reference system \(--crs"),
    ):
        with pytest.raises(SiteTwinError, match=says):
            load_mesh(path, **wrong)


def test_an_origin_some_kilometres_off_is_moved_over_the_round_earth(tmp_path: Path) -> None:
    """The new plane's north is that of the new place: what lies where on earth does not change."""
    moved = shifted(city(), [20_000.0, 30_000.0, 0.0])
    before = Georeference(48.0, 11.0, "sea level")
    site = load_mesh(obj(moved, tmp_path, "z"), georeference=before)
    assert site.georeference is not None
    assert site.georeference.vertical_datum == "sea level"
    corners = np.concatenate([vertices[faces] for vertices, faces in moved]).reshape(-1, 3)
    want = LocalProjection.of(before).to_wgs84(np.ascontiguousarray(corners[:, :2]))
    got = LocalProjection.of(site.georeference).to_wgs84(np.ascontiguousarray(site.corners.reshape(-1, 3)[:, :2]))
    assert cKDTree(want).query(got)[0].max() < 1e-9
    near = load_mesh(obj(city(), tmp_path, "z"), georeference=before)
    assert near.georeference == before
    assert file_origin(near) is None


@pytest.mark.parametrize("form", ["ply", "obj"])
def test_what_single_precision_lost_is_said(form: str, tmp_path: Path) -> None:
    """Binary files that hold it, and text that was printed from it."""

    def written(offset: list[float], meshes: list[Mesh]) -> Path:
        single = [((v + offset).astype(np.float32).astype(np.float64), f) for v, f in meshes]
        if form == "obj":
            return obj([(np.round(vertices, 6), faces) for vertices, faces in single], tmp_path, "z")
        (tmp_path / "a.ply").write_bytes(ply_bytes(single, kind="float"))
        return tmp_path / "a.ply"

    with pytest.warns(SiteTwinWarning, match="rounded to 31 mm"):
        site = load_scene(written([85_000, 447_500, 0], city(0.3)))
    assert any("rounded to 31 mm" in entry["what"] for entry in site.provenance["import"])
    with pytest.raises(SiteTwinError, match="rounded to 5e\\+02 mm"):
        load_scene(written([691_000, 5_334_000, 0], city(0.3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_scene(written([300, 500, 100], city(0.3)))
        plain = [(np.rint(vertices), faces) for vertices, faces in city()]  # whole metres lose nothing
        load_scene(written([85_000, 447_500, 0], plain))
        load_scene(written([691_000, 5_334_000, 0], plain))


@pytest.mark.parametrize(("form", "usual"), [("obj", "z"), ("ply", "z"), ("xml", "z"), ("glb", "y")])
@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_a_city_on_its_side_is_turned_or_asked_for(form: str, usual: str, angle: float, tmp_path: Path) -> None:
    other = "y" if usual == "z" else "z"
    for up in (usual, other):
        meshes = city(angle)
        assert_same(quietly(WRITERS[form](meshes, tmp_path, up)), meshes, np.zeros(3))
    with pytest.warns(SiteTwinWarning, match=f"{other} points up.*--up {usual}"):
        load_scene(WRITERS[form](city(angle), tmp_path, other))
    without = WRITERS[form](city(angle, ground=False), tmp_path, other)
    with pytest.raises(SiteTwinError, match=f"--up {other}, or --up {usual}"):
        load_scene(without)
    load = load_mitsuba if form == "xml" else load_mesh
    assert_same(load(without, up=other), city(angle, ground=False), np.zeros(3))
    assert np.ptp(load(without, up=usual).bounds[:, 2]) > 100  # what the user says is done


def doubtful() -> dict[str, list[Mesh]]:
    """Models of which the geometry does not say what is up."""
    screen = (np.array([[0.0, -50, 0], [0, 50, 0], [0, 50, 20], [0, -50, 20]]), GROUND[1])
    court = [block(0, 0, 40, 6, 12), block(0, 24, 40, 30, 12), block(0, 6, 6, 24, 12)]
    return {
        "cube": [block(0, 0, 10, 10, 10)],
        "slab tower": [block(0, 0, 100, 10, 40)],
        "screen": [screen],
        "two screens": [screen, (screen[0] + [5.0, 0, 0], screen[1])],
        "screen before a house": [screen, block(3, -5, 11, 5, 10)],
        "courtyard": court,
        "row of houses": [block(12.0 * k, 0, 12.0 * k + 10, 8, 30) for k in range(3)],
        "hall": [block(0, 0, 60, 40, 8)],
    }


@pytest.mark.parametrize("model", doubtful())
def test_nothing_is_turned_without_clear_evidence(model: str, tmp_path: Path) -> None:
    meshes = doubtful()[model]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        site = load_scene(obj(meshes, tmp_path, "z"))
    assert_same(site, meshes, np.zeros(3))
    assert json.loads(json.dumps(site.provenance))["source"]["up"] == "z"


@settings(max_examples=12, deadline=None)
@given(up=st.sampled_from("xyz"), angle=st.floats(0, 6.3), kind=st.sampled_from([obj, ply]))
def test_a_model_on_its_head_is_refused(tmp_path_factory, up: str, angle: float, kind: Writer) -> None:
    hanging = [(vertices * [1, -1, -1], faces) for vertices, faces in city(angle)]
    path = kind(hanging, tmp_path_factory.mktemp("head"), up)
    with pytest.raises(SiteTwinError, match=f"on its head along {up}"):
        load_mesh(path)
    assert load_mesh(path, up=up).num_triangles > 0


@pytest.mark.parametrize("up", ["x", "y"])
def test_a_tower_on_its_side_is_asked_for(tmp_path: Path, up: str) -> None:
    tower = [GROUND, block(-10, -10, 10, 10, 210.0)]
    with pytest.raises(SiteTwinError, match=f"on its side: its ground lies across {up}.*--up {up}"):
        load_mesh(obj(tower, tmp_path, up))
    assert_same(load_mesh(obj(tower, tmp_path, up), up=up), tower, np.zeros(3))
    assert_same(load_mesh(obj(tower, tmp_path, "z")), tower, np.zeros(3))


@pytest.mark.parametrize("shrink", [[1e-3] * 3, [1 / 74e3, 1 / 111e3, 1.0]], ids=["kilometres", "degrees"])
def test_a_model_too_small_for_metres_is_asked_for(tmp_path: Path, shrink: list[float]) -> None:
    path = obj([(vertices * shrink, faces) for vertices, faces in city()], tmp_path, "z")
    with pytest.raises(SiteTwinError, match=r"0\.\d+ m wide.*--unit km.*degrees"):
        load_mesh(path)
    assert load_mesh(path, unit="m").num_triangles > 0


def test_several_tiny_bodies_are_a_city_in_kilometres(tmp_path: Path) -> None:
    spread = [(vertices * [20.0, 20.0, 1.0] * 1e-3, faces) for vertices, faces in city()]
    with pytest.raises(SiteTwinError, match="give its unit"):
        load_mesh(obj(spread, tmp_path, "z"))


@settings(max_examples=20, deadline=None)
@given(longitude=st.floats(-180, 180), latitude=st.floats(1, 89), height=st.floats(-400, 6000))
def test_geocentric_coordinates_are_refused(tmp_path_factory, longitude: float, latitude: float, height: float) -> None:
    to_earth = pyproj.Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True)
    meshes = []
    for vertices, faces in city():
        east, north = longitude + vertices[:, 0] / 1e6, latitude + vertices[:, 1] / 1e6
        meshes.append((np.stack(to_earth.transform(east, north, height + vertices[:, 2]), axis=1), faces))
    with pytest.raises(SiteTwinError, match=r"geocentric|on its (side|head)"):
        load_mesh(ply(meshes, tmp_path_factory.mktemp("earth"), "z"))


def test_map_coordinates_as_far_as_the_middle_of_the_earth_are_taken(tmp_path: Path) -> None:
    offset = np.array([500_000.0, 6_345_000.0, 20.0])  # Denmark, in UTM
    assert_same(load_mesh(obj(shifted(city(), offset), tmp_path, "z")), city(), offset)


def test_a_place_off_the_area_of_its_system_is_said(tmp_path: Path) -> None:
    path = obj(shifted(city(), [334_000.0, 16_252_000.0, 0.0]), tmp_path, "z")
    with pytest.warns(SiteTwinWarning, match=r"56\.\d+, 150\.\d+.*off the area of WGS 84 / UTM zone 56S"):
        load_mesh(path, crs="EPSG:32756")


@pytest.mark.parametrize("crs", ["EPSG:32760", "EPSG:3857", "EPSG:2193"])
def test_systems_over_the_antimeridian_have_an_area(tmp_path: Path, crs: str) -> None:
    to_plane = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = to_plane.transform(178.0, -38.7)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SiteTwinWarning)
        placed = load_mesh(obj(shifted(city(), [round(x), round(y), 0.0]), tmp_path, "z"), crs=crs.split(":")[1])
    assert placed.georeference is not None
    assert placed.georeference.longitude == pytest.approx(178.0, abs=0.01)
