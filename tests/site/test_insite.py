"""Wireless InSite's meshes: what is written is read, and a sentence for every broken file."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import inside_building, load_scene, user_grid
from sitetwin.site.importers.insite_mesh import parse_mesh, triangles_of
from sitetwin.site.importers.polygons import newell_normal, triangulate
from sitetwin.site.materials import Material
from tests.site.insite_files import (
    CONCRETE,
    EARTH,
    GROUND,
    METAL,
    face,
    house,
    mesh,
    reference,
    setup,
    write_project,
)

COORDINATES = st.floats(-1e5, 1e5, allow_nan=False, width=64)
POLYGONS = st.lists(st.tuples(COORDINATES, COORDINATES, COORDINATES), min_size=3, max_size=9)


def areas(corners: np.ndarray) -> np.ndarray:
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


def star(radii: list[float], tilt: np.ndarray) -> np.ndarray:
    """A polygon that its centre sees whole, convex or not, in a tilted plane."""
    angle = 2 * np.pi * np.arange(len(radii)) / len(radii)
    flat = np.array(radii)[:, None] * np.stack([np.cos(angle), np.sin(angle), np.zeros(len(radii))], axis=1)
    x, _ = np.linalg.qr(tilt)
    return flat @ x.T * np.sign(np.linalg.det(x)) + 5.0


@given(st.lists(st.lists(POLYGONS, min_size=1, max_size=4), min_size=1, max_size=3), st.integers(1, 2))
def test_written_meshes_are_read(parts: list[list[list[tuple[float, float, float]]]], material: int) -> None:
    text = mesh([[face(polygon, material) for polygon in part] for part in parts], materials=CONCRETE + METAL)
    read = parse_mesh(text.replace("\n", "\r\n").encode(), "m.city")
    assert [f.corners.tolist() for f in read.faces] == [list(map(list, p)) for part in parts for p in part]
    assert [f.part for f in read.faces] == [k for k, part in enumerate(parts) for _ in part]
    assert {f.material for f in read.faces} == {material} == set(read.materials)


@given(st.lists(st.floats(0.2, 4.0), min_size=3, max_size=40), st.integers(0, 1000))
def test_triangles_tile_the_polygon(radii: list[float], seed: int) -> None:
    polygon = star(radii, np.random.default_rng(seed).normal(size=(3, 3)))
    rows = triangulate(polygon)
    assert rows is not None
    normal = newell_normal(polygon) / 2
    parts = areas(polygon[rows])
    size = np.linalg.norm(normal)
    np.testing.assert_allclose(parts.sum(axis=0), normal, atol=1e-12 * max(size, 1))
    # Each part faces as the whole does, so that equal sums mean that no two overlap.
    assert (parts @ normal >= -1e-12 * size**2).all()
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1).sum(), size, rtol=1e-9)


def test_concave_roof_is_no_fan() -> None:
    """An L of area 3 whose fan from the first corner would cover 4."""
    ell = np.array([(2, 1, 5), (1, 1, 5), (1, 2, 5), (0, 2, 5), (0, 0, 5), (2, 0, 5)], dtype=float)
    corners, owner = triangles_of(list(parse_mesh(mesh([[face(ell)]]).encode(), "m").faces), "m")
    parts = areas(corners)
    assert (parts[:, 2] > 0).all()
    assert parts[:, 2].sum() == pytest.approx(3.0)
    assert set(owner) == {0}


def test_dart_is_cut_at_its_notch() -> None:
    dart = np.array([(0, 0, 0), (4, 0, 0), (1, 1, 0), (0, 4, 0)], dtype=float)
    corners, _ = triangles_of(list(parse_mesh(mesh([[face(dart)]]).encode(), "m").faces), "m")
    assert areas(corners)[:, 2].tolist() == pytest.approx([2.0, 2.0])


def test_a_face_that_crosses_itself_is_named() -> None:
    bow = [(0, 0, 0), (1, 1, 0), (1, 0, 0), (0, 1.5, 0)]
    faces = list(parse_mesh(mesh([[GROUND, face(bow)]]).encode(), "m.city").faces)
    with pytest.raises(SiteTwinError, match=rf"'m.city', line {faces[1].line}: the outline of this face crosses"):
        triangles_of(faces, "m.city")


def test_project(tmp_path: Path) -> None:
    site = load_scene(write_project(tmp_path / "run"))
    assert site.objects == ("town 1", "town 2", "terrain ground")
    assert [site.objects[k] for k in site.ground_objects] == ["terrain ground"]
    assert site.num_facets == 11
    by_name = {m.name: m for m in site.materials}
    concrete = by_name["Concrete"]
    assert (concrete.relative_permittivity, concrete.conductivity, concrete.thickness) == (5.31, 0.08987, 0.3)
    assert (concrete.scattering_coefficient, concrete.xpd_coefficient) == (0.2, 0.4)
    assert concrete.scattering_pattern == "backscattering"
    assert (concrete.alpha_r, concrete.alpha_i, concrete.forward_share) == (6, 3, 0.8)
    assert by_name["Wet earth"].thickness is None
    assert by_name["Metal"].conductivity == 1e7
    inside = inside_building(site, np.array([[-10.0, 5, 2], [10, 5, 2], [0, 5, 2]]))
    assert inside.tolist() == [True, True, False]
    assert user_grid((-20, -20, 20, 20), 5.0, 1.5, site)[0].shape[1] == 3
    assert set(site.provenance["source"]["files"]) == {"town.city", "ground.ter"}
    assert str(tmp_path) not in str(site.provenance)
    assert load_scene(tmp_path / "run" / "town.setup").hash == site.hash
    assert load_scene(tmp_path / "run" / "town.city").objects == ("town 1", "town 2")


def test_a_copy_of_the_city_changes_no_geometry(tmp_path: Path) -> None:
    """Of two surfaces in one place a ray meets one: the first file's."""
    folder = write_project(tmp_path / "run")
    alone = load_scene(folder)
    copy = (folder / "town.city").read_text().replace("Concrete", "Asphalt").replace("5.31", "6.0")
    (folder / "roads.city").write_text(copy)
    (folder / "town.setup").write_text(
        setup((("town.city", "active"), ("ground.ter", "active"), ("roads.city", "active")))
    )
    both = load_scene(folder)
    assert both.geometry_hash == alone.geometry_hash
    assert (both.facet_material == alone.facet_material).all()
    assert both.materials == alone.materials
    assert "10 faces of 'roads.city' repeat earlier faces and are left out" in both.provenance["assumptions"]


def material_of(text: str) -> tuple[Material, tuple[str, ...]]:
    read = parse_mesh(mesh([house(0, 0)], materials=text).encode(), "m.city")
    return read.materials[1], read.assumptions


@given(
    st.sampled_from(["lambertian", "directive", "directive_with_backscatter"]),
    st.floats(0.01, 1), st.floats(0, 1), st.integers(1, 10), st.integers(1, 10), st.floats(0, 1),
)  # fmt: skip
def test_lobes_keep_their_parameters(
    model: str, share: float, cross: float, alpha: int, beta: int, weight: float
) -> None:
    text = f"""begin_<Material> Wall
Material 1
PEC
diffuse_scattering_model {model}
fields_diffusively_scattered {share!r}
cross_polarized_power {cross!r}
directive_alpha {alpha}
directive_beta {beta}.000
directive_lambda {weight!r}
reflection_coefficient_options do_not_use
end_<Material>
"""
    read, told = material_of(text)
    lobes = {"alpha_r": alpha, "alpha_i": beta, "forward_share": weight}
    used = {"lambertian": 0, "directive": 1, "directive_with_backscatter": 3}[model]
    pattern = {"directive_with_backscatter": "backscattering"}.get(model, model)
    want = Material(
        "Wall", relative_permittivity=1.0, conductivity=1e7, scattering_coefficient=share, xpd_coefficient=cross,
        scattering_pattern=pattern, **dict(list(lobes.items())[:used]),
    )  # fmt: skip
    assert read == want
    assert any("in InSite (reflection_coefficient_options do_not_use) of what falls on it" in line for line in told)


def test_what_a_material_leaves_out_of_its_lobes_is_told() -> None:
    for key, attribute, value in (
        ("alpha 6", "alpha_r", 4),
        ("beta 3", "alpha_i", 4),
        ("lambda", "forward_share", 0.75),
    ):
        line = next(line for line in CONCRETE.splitlines() if f"directive_{key}" in line)
        read, told = material_of(CONCRETE.replace(f"{line}\n", ""))
        assert getattr(read, attribute) == value
        assert any(f"{line.split()[0]} is not given, {value:g} is taken" in sentence for sentence in told)
    read, told = material_of(CONCRETE.replace("directive_with_backscatter", "kirchhoff"))
    assert read.scattering_coefficient == 0
    assert told == ("material 'Concrete': its diffuse scattering model 'kirchhoff' is not known, it scatters nothing",)
    assert material_of(CONCRETE.replace("directive_with_backscatter", "none"))[1] == ()
    with pytest.raises(SiteTwinError, match=r"line \d+: directive_alpha is 2.5, no whole number; round it"):
        material_of(CONCRETE.replace("alpha 6", "alpha 2.5"))


@pytest.mark.parametrize("word", ["yes", "no"])
def test_whether_the_run_scatters_is_told(tmp_path: Path, word: str) -> None:
    folder = write_project(tmp_path / "run")
    (folder / "town.setup").write_text(setup(diffuse=word))
    want = {"yes": "the project scatters diffusely", "no": "the project does not scatter diffusely"}[word]
    assert any(line.startswith(want) for line in load_scene(folder).provenance["assumptions"])


def test_ground_of_a_layer_becomes_a_half_space(tmp_path: Path) -> None:
    (tmp_path / "g.ter").write_text(mesh([[GROUND]], "terrain"))
    site = load_scene(tmp_path)
    assert site.materials[0].thickness is None
    assert any("half-space, not a layer of 0.3 m" in a for a in site.provenance["assumptions"])


def test_origin_becomes_the_georeference(tmp_path: Path) -> None:
    (tmp_path / "a.city").write_text(mesh([house(0, 0)], head=reference((40.7, -73.8))))
    (tmp_path / "g.ter").write_text(mesh([[GROUND]], "terrain", EARTH, reference((40.7, -73.8))))
    place = load_scene(tmp_path).georeference
    assert place is not None
    assert (place.latitude, place.longitude) == (40.7, -73.8)
    (tmp_path / "g.ter").write_text(mesh([[GROUND]], "terrain", EARTH, reference((40.8, -73.8))))
    with pytest.raises(SiteTwinError, match="save all files of the project with one origin"):
        load_scene(tmp_path)


def test_a_body_of_two_materials_is_one_building(tmp_path: Path) -> None:
    faces = [*house(0, 0)[:4], house(0, 0, 2)[4]]
    (tmp_path / "a.city").write_text(mesh([faces], materials=CONCRETE + METAL))
    site = load_scene(tmp_path / "a.city")
    assert site.objects == ("a-part_Concrete", "a-part_Metal")
    assert site.buildings[0] == ("a",)


@pytest.mark.parametrize(("shift", "height", "objects"), [(6.0, 0.3, 1), (10.5, 0.3, 2), (6.0, 0.4, 2), (10.0, 0.3, 2)])
def test_streets_laid_over_each_other_are_one_facet(tmp_path: Path, shift: float, height: float, objects: int) -> None:
    """Overlapping sheets of one plane; not sheets that are apart, in another plane, or only touch."""
    sheets = [
        [(a, b, z), (a + 10, b, z), (a + 10, b + 9, z), (a, b + 9, z)]
        for a, b, z in ((0.0, 0.0, 0.3), (shift, 2.0, height))
    ]
    (tmp_path / "a.city").write_text(mesh([[face(sheet)] for sheet in sheets]))
    site = load_scene(tmp_path / "a.city")
    assert (len(site.objects), site.num_facets) == (objects, objects)


def test_absent_and_inactive_features(tmp_path: Path) -> None:
    folder = write_project(tmp_path / "run")
    features = (("town.city", "active"), ("ground.ter", ""), ("trees.veg", "active"), ("gone.city", "active"))
    (folder / "town.setup").write_text(setup(features))
    with pytest.warns(SiteTwinWarning) as heard:
        site = load_scene(folder)
    assert sorted(str(w.message) for w in heard) == [
        "feature 'gone.city' of the project is absent and is left out",
        "feature 'trees.veg' is not a surface mesh and is left out",
    ]
    assert site.objects == ("town 1", "town 2")
    (folder / "town.setup").write_text(setup(()))
    with pytest.raises(SiteTwinError, match="no active surface mesh"):
        load_scene(folder)


def test_heights_above_a_hilly_terrain_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.city").write_text(mesh([house(0, 0)]))
    (tmp_path / "g.ter").write_text(mesh([[face([(-9, 0, 3), (9, 0, 0), (0, 9, 0)])]], "terrain", EARTH))
    with pytest.warns(SiteTwinWarning, match="above the terrain but taken above zero"):
        load_scene(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("Material 1\nnV", "Material 7\nnV"), r"line \d+: the face is of material 7, which the file lacks"),
        (("nVertices 4", "nVertices 5"), r"promises 5 vertices and lists 4"),
        (("nVertices 4", "nVertices -1"), r"number of vertices is '-1'"),
        (("nVertices 4", "nVertices 99999999999"), r"not a whole number up to 10000"),
        (("10.0", "nan"), r"NaN or infinite"),
        (("10.0", "1e9"), r"from the origin"),
        (("10.0", "ten"), r"should be the three coordinates"),
        (("cartesian", "spherical"), r"not cartesian"),
        (("latitude 0.", "latitude 99."), r"latitude of the origin is 99"),
        (("permittivity 5.31", "permittivity 0.5"), r"line \d+: material 'Concrete': relative_permittivity"),
        (("permittivity 5.310000\n", ""), r"<DielectricLayer> has no statement 'permittivity'"),
        (("thickness 3.000e-01", "thickness 0"), r"slab cannot be 0 m thick"),
        (("LayeredDielectric", "FrequencySelective"), r"neither a conductor"),
        (("end_<face>\n", ""), r"'end_<structure>|where end_<face>"),
        (("begin_<city>", "begin_<images>"), r"where end_<images>"),
        (("begin_<structure>", "begin_structure"), r"no block is open|where end_"),
    ],
)
def test_broken_files_name_their_fault(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    good = mesh([house(0, 0)])
    (tmp_path / "a.city").write_text(good.replace(*change))
    with pytest.raises(SiteTwinError, match=said):
        load_scene(tmp_path / "a.city")


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 99, b"begin_<a>\n" * 99, b"end_<a>", b"begin_<", b"\xff\xfe", b"x" * 999]
)
def test_foreign_files_are_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ter").write_bytes(data)
    with pytest.raises(SiteTwinError, match=r"a\.ter'"):
        load_scene(tmp_path)


@given(st.data())
def test_truncated_and_damaged_files_end_in_a_sentence(data: st.DataObject) -> None:
    good = bytearray(mesh([house(0, 0)]).encode())
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=6)
    ):
        good[position] = value
    with contextlib.suppress(SiteTwinError):
        parse_mesh(bytes(good[: data.draw(st.integers(0, len(good)))]), "m.city")


@given(st.integers(0, 1600))
def test_a_truncated_file_is_never_read(cut: int) -> None:
    text = mesh([house(0, 0)]).encode()
    cut = min(cut, len(text) - len("end_<city>\n") - 1)
    with pytest.raises(SiteTwinError):
        parse_mesh(text[:cut], "m.city")
