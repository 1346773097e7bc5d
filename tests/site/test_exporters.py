"""Exported sites: other programs and our own readers find the same surfaces, materials and places."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
import trimesh

from sitetwin.backend import mitsuba
from sitetwin.channel.fields.materials import complex_permittivity
from sitetwin.channel.fields.reflection import half_space, slab
from sitetwin.errors import SiteTwinError
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import (
    Cylinder,
    Ellipsoid,
    ExtrudedPolygon,
    Material,
    Site,
    Vegetation,
    build_site,
    export_footprints,
    export_glb,
    export_mitsuba,
    itu_material,
    load_mesh,
    load_scene,
    with_georeference,
)
from sitetwin.site.canopy_meshes import canopy_mesh
from sitetwin.site.exporters.mitsuba import HALF_SPACE_THICKNESS
from sitetwin.site.projection import LocalProjection

TREES = Vegetation(
    (
        Ellipsoid((-60.0, 30.0, 8.0), (3.0, 2.0, 4.0), yaw=0.5, leaf_type="needleleaved", leaf_cycle="evergreen"),
        Cylinder((60.0, 30.0), 2.5, 2.0, 9.0),
        ExtrudedPolygon(((-70, -70), (-40, -70), (-40, -40), (-55, -60), (-70, -40)), 0.0, 12.0),
    )
)


def frame_of(site: Site) -> LocalProjection:
    assert site.georeference is not None
    return LocalProjection.of(site.georeference)


def corners_by_object(site: Site) -> dict[str, list[tuple[float, ...]]]:
    """Triangles of each object in single precision, turned to begin at their lowest corner, in order."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in site.objects}
    for triangle, owner in zip(site.vertices[site.triangles].astype(np.float32), site.triangle_object, strict=True):
        first = min(range(3), key=lambda k: tuple(triangle[k]))
        found[site.objects[owner]].append(tuple(np.roll(triangle, -first, axis=0).reshape(-1).tolist()))
    return {name: sorted(rows) for name, rows in found.items()}


def material_of_object(site: Site) -> dict[str, Material]:
    material = site.facet_material[site.triangle_facet]
    return {
        site.objects[o]: site.materials[m]
        for o, m in zip(site.triangle_object.tolist(), material.tolist(), strict=True)
    }


def odd_names() -> Site:
    """Names that XML, Mitsuba and Sionna RT stumble over; an object and a material of one name; own constants."""
    names = ["way/17-walls", "a<b>&\"c'", "price $5 \x01", "concrete", "mesh-é", "_x.y"]
    materials = [
        Material("concrete", relative_permittivity=6.5, conductivity=0.04, thickness=0.25),
        itu_material("concrete", 0.3, scattering_coefficient=0.25, xpd_coefficient=0.1),
        Material("itu_Wet <soil>", itu="wet_ground", scattering_coefficient=0.2, scattering_pattern="directive"),
    ]
    materials[1] = replace(materials[1], name="itu_concrete")
    triangles = np.arange(18).reshape(6, 3)
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0.3]])[None] + 3.0 * np.arange(6)[:, None, None]
    return build_site("odd", vertices.reshape(-1, 3), triangles, np.arange(6), names, [0, 1, 2, 0, 1, 2], materials)


def test_sionna_loads_what_was_exported(town: Site, tmp_path: Path) -> None:
    mitsuba()
    import sionna.rt as rt

    town = replace(town, materials=(itu_material("medium_dry_ground"), *town.materials[1:]))
    ledger = export_mitsuba(town, tmp_path / "town")
    scene = rt.load_scene(str(tmp_path / "town" / "scene.xml"), merge_shapes=False)
    scene.frequency = 3.5e9
    assert set(scene.objects) == set(town.objects)
    ours = material_of_object(town)
    for name, thing in scene.objects.items():
        theirs = thing.radio_material
        permittivity, conductivity = ours[name].evaluate(3.5e9)
        assert np.ravel(theirs.relative_permittivity)[0] == pytest.approx(permittivity, rel=1e-5)
        assert np.ravel(theirs.conductivity)[0] == pytest.approx(conductivity, rel=1e-5)
        assert np.ravel(theirs.thickness)[0] == pytest.approx(ours[name].thickness or HALF_SPACE_THICKNESS)
    assert [e.examples for e in ledger.entries if "half-space" in e.what] == [["medium_dry_ground"]]


def test_sionna_loads_odd_names_and_own_constants(tmp_path: Path) -> None:
    mitsuba()
    import sionna.rt as rt

    site = odd_names()
    ledger = export_mitsuba(site, tmp_path / "odd")
    scene = rt.load_scene(str(tmp_path / "odd" / "scene.xml"), merge_shapes=False)
    scene.frequency = 2e9
    assert len(scene.objects) == 6
    first = scene.objects["way/17-walls"].radio_material
    assert np.ravel(first.relative_permittivity)[0] == pytest.approx(6.5)
    assert np.ravel(first.conductivity)[0] == pytest.approx(0.04)
    second = scene.objects["a<b>&\"c'"].radio_material
    assert np.ravel(second.scattering_coefficient)[0] == pytest.approx(0.25)
    assert np.ravel(second.xpd_coefficient)[0] == pytest.approx(0.1)
    said = [entry.what for entry in ledger.entries]
    assert any("scattering lobe" in what for what in said)
    assert any("name changed" in what for what in said)
    again = load_scene(tmp_path / "odd" / "scene.xml")
    assert again.num_triangles == 6
    assert [m.itu for m in again.materials] == [None, "concrete", "wet_ground"]


def test_our_reader_finds_the_same_facets_in_the_scene(town: Site, tmp_path: Path) -> None:
    export_mitsuba(town, tmp_path / "town")
    again = load_scene(tmp_path / "town" / "scene.xml")
    assert corners_by_object(again) == corners_by_object(town)
    assert again.num_facets == town.num_facets
    np.testing.assert_allclose(again.facet_offset, town.facet_offset, atol=1e-4)


def test_paths_are_as_long_after_the_round_trip(town: Site, tmp_path: Path) -> None:
    settings = TraceSettings(max_depth=3, rays_per_lattice=20_000, unseen_bound=0.05)
    transmitter, users = np.array([0.0, 0.0, 8.0]), np.array([[5.0, 13.0, 1.5], [-9.0, -30.0, 1.5]])
    before = trace(town, transmitter, users, settings)
    assert len(before.length) > 5
    export_mitsuba(town, tmp_path / "town")
    export_glb(town, tmp_path / "town.glb")
    for again in (load_scene(tmp_path / "town" / "scene.xml"), load_scene(tmp_path / "town.glb")):
        after = trace(again, transmitter, users, settings)
        assert np.diff(after.offsets).tolist() == np.diff(before.offsets).tolist()
        for user in range(len(users)):
            rows = slice(before.offsets[user], before.offsets[user + 1])
            np.testing.assert_allclose(np.sort(after.length[rows]), np.sort(before.length[rows]), atol=1e-4)


@pytest.mark.parametrize("name", ["very_dry_ground", "medium_dry_ground", "wet_ground", "concrete", "asphalt_concrete"])
@pytest.mark.parametrize("frequency", [1e9, 3.5e9, 10e9])
def test_the_slab_of_a_half_space_reflects_like_one(name: str, frequency: float) -> None:
    """At every angle, down to three degrees of grazing, in both polarisations."""
    permittivity, conductivity = itu_material(name).evaluate(frequency)
    cosine = torch.linspace(0.05, 1.0, 200, dtype=torch.float64)
    eta = complex_permittivity(*(torch.full_like(cosine, v) for v in (permittivity, conductivity)), frequency)
    thickness = torch.full_like(cosine, 2 * np.pi * frequency / 299_792_458.0 * HALF_SPACE_THICKNESS)
    reflected, passed = slab(cosine, eta, thickness)
    for ours, half in zip(reflected, half_space(cosine, eta), strict=True):
        assert (ours - half).abs().max() < 0.04
    assert max(t.abs().max() for t in passed) < 0.2


def test_glb_is_what_other_programs_read(town: Site, tmp_path: Path) -> None:
    site = replace(town, vegetation=TREES)
    export_glb(site, tmp_path / "town.glb")
    scene = trimesh.load(tmp_path / "town.glb", file_type="glb")
    assert {node for node in scene.graph.nodes_geometry if "house" in node or node in ("ground", "tower")} == set(
        town.objects
    )
    transform, mesh = scene.graph["tower"]
    tower = scene.geometry[mesh].copy()
    tower.apply_transform(transform)
    assert tower.is_watertight
    assert tower.volume == pytest.approx(10 * 10 * 30, rel=1e-6)  # positive: still faces outwards
    np.testing.assert_allclose(tower.bounds, [[-5, 0, -60], [5, 30, -50]])  # y up, z south
    canopies = [node for node in scene.graph.nodes_geometry if node.split()[0] in ("ellipsoid", "cylinder", "polygon")]
    assert len(canopies) == 3
    assert "vegetation" in scene.graph.nodes


def test_glb_round_trip_keeps_geometry_materials_and_place(tmp_path: Path, town: Site) -> None:
    site = replace(with_georeference(town, 33.42, -111.93), vegetation=TREES)
    export_glb(site, tmp_path / "a.glb")
    again = load_mesh(tmp_path / "a.glb")
    assert corners_by_object(again) == corners_by_object(site)
    assert material_of_object(again) == material_of_object(site)
    assert again.num_facets == site.num_facets
    assert again.georeference == site.georeference
    assert any("canopies" in e["what"] for e in again.provenance["import"])
    assert load_mesh(tmp_path / "a.glb").hash == again.hash


def test_same_site_same_bytes(tmp_path: Path, town: Site) -> None:
    site = with_georeference(replace(town, vegetation=TREES), 48.0, 11.0)
    for k in (1, 2):
        export_glb(site, tmp_path / f"{k}.glb")
        export_footprints(site, tmp_path / f"{k}.geojson")
        export_mitsuba(site, tmp_path / str(k))
        export_mitsuba(site, tmp_path / str(k))  # an earlier export is replaced
    assert (tmp_path / "1.glb").read_bytes() == (tmp_path / "2.glb").read_bytes()
    assert (tmp_path / "1.geojson").read_bytes() == (tmp_path / "2.geojson").read_bytes()
    files = [sorted(p.relative_to(tmp_path / k) for p in (tmp_path / k).rglob("*.*")) for k in ("1", "2")]
    assert files[0] == files[1]
    assert all((tmp_path / "1" / f).read_bytes() == (tmp_path / "2" / f).read_bytes() for f in files[0])
    assert not list(tmp_path.glob(".*"))  # nothing is left beside


@pytest.mark.parametrize(
    ("volume", "size"),
    [
        (TREES.volumes[0], 4 / 3 * np.pi * 3 * 2 * 4),
        (TREES.volumes[1], np.pi * 2.5**2 * 7),
        (TREES.volumes[2], (30 * 30 - 0.5 * 30 * 20) * 12),
        (ExtrudedPolygon(((0, 0), (0, 4), (5, 4), (5, 0)), 1, 3), 40),
    ],
)
def test_canopies_are_drawn_closed_outwards_and_of_their_size(volume: Ellipsoid, size: float) -> None:
    vertices, faces = canopy_mesh(volume)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert 0.9 * size < mesh.volume <= size * (1 + 1e-9)


def courtyard() -> Site:
    """A ground at 5 m, a ring-shaped building on it, and a bridge between 9 m and 11 m."""
    outer, inner = shapely.box(-30, -20, 30, 20), shapely.box(-10, -5, 15, 10)
    triangles = shapely.get_parts(shapely.constrained_delaunay_triangles(outer - inner))
    roof = np.array([[(x, y, 25.0) for x, y in t.exterior.coords[:3]] for t in triangles])
    walls = []
    for ring in (outer.exterior, inner.exterior):
        for (x0, y0), (x1, y1) in zip(ring.coords[:-1], ring.coords[1:], strict=True):
            a, b, c, d = [x0, y0, 5], [x1, y1, 5], [x1, y1, 25], [x0, y0, 25]
            walls += [[a, b, c], [a, c, d]]
    deck = np.array([[[40, 0, z], [60, 0, z], [60, 8, z]] for z in (9.0, 11.0)])
    ground = np.array([[[-99, -99, 5], [99, -99, 5], [99, 99, 5]], [[-99, -99, 5], [99, 99, 5], [-99, 99, 5]]], float)
    parts = [ground, np.array(walls), roof, deck]
    corners = np.concatenate(parts)
    owner = np.repeat(np.arange(4), [len(p) for p in parts])
    names = ["ground", "way/1-walls", "way/1-roof", "way/2-roof"]
    materials = [itu_material("wet_ground"), itu_material("brick", 0.2), itu_material("metal", 0.01)]
    return build_site(
        "yard",
        corners.reshape(-1, 3),
        np.arange(3 * len(corners)).reshape(-1, 3),
        owner,
        names,
        [0, 1, 2, 2],
        materials,
    )


def test_footprints_have_holes_heights_and_materials(tmp_path: Path) -> None:
    site = with_georeference(replace(courtyard(), vegetation=TREES), 48.13, 11.57)
    export_footprints(site, tmp_path / "yard.geojson")
    features = {f["id"]: f for f in json.loads((tmp_path / "yard.geojson").read_text())["features"]}
    house = features["way/1"]
    shape = shapely.transform(shapely.from_geojson(json.dumps(house["geometry"])), lambda p: frame_of(site).to_local(p))
    assert shape.area == pytest.approx(60 * 40 - 25 * 15, rel=1e-5)
    assert len(shape.interiors) == 1
    assert shapely.is_ccw(shape.exterior)
    assert not shapely.is_ccw(shape.interiors[0])
    assert house["properties"] == {
        "building": "yes",
        "height": 20.0,
        "min_height": 0.0,
        "building:material": "brick",
        "roof:material": "metal",
    }
    assert (features["way/2"]["properties"]["min_height"], features["way/2"]["properties"]["height"]) == (4.0, 6.0)
    tree = features["canopy/0"]
    np.testing.assert_allclose(
        frame_of(site).to_local(np.array([tree["geometry"]["coordinates"]])),
        [[-60, 30]],
        atol=1e-3,
    )
    assert tree["properties"] == {
        "natural": "tree",
        "diameter_crown": round(2 * np.sqrt(6), 3),
        "height": 7.0,
        "leaf_type": "needleleaved",
        "leaf_cycle": "evergreen",
    }
    assert features["canopy/2"]["properties"]["natural"] == "wood"


def test_footprint_areas_are_those_of_the_roofs(tmp_path: Path, town: Site) -> None:
    site = with_georeference(town, -33.9, 151.2)
    export_footprints(site, tmp_path / "town.geojson")
    areas = {}
    for feature in json.loads((tmp_path / "town.geojson").read_text())["features"]:
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        areas[feature["id"]] = shapely.transform(shape, lambda p: frame_of(site).to_local(p)).area
    assert areas == pytest.approx({"house_1": 800.0, "house_2": 800.0, "tower": 100.0}, rel=1e-3)


def test_the_local_frame_is_a_transverse_mercator_of_scale_one() -> None:
    """Along the meridian of the origin lengths are those on the ellipsoid: 1' of latitude at 45 degrees is 1852.2 m."""
    site = with_georeference(odd_names(), 45.0, 7.0)
    assert site.georeference is not None
    north = frame_of(site).to_local(np.array([[7.0, 45.0 + 1 / 60]]))[0]
    assert north[0] == pytest.approx(0.0, abs=1e-6)
    assert north[1] == pytest.approx(1852.2, abs=0.2)
    points = np.random.default_rng(1).uniform(-3000, 3000, (50, 2))
    np.testing.assert_allclose(
        frame_of(site).to_local(frame_of(site).to_wgs84(points)),
        points,
        atol=1e-6,
    )


def test_georeference_by_hand(town: Site) -> None:
    first = with_georeference(town, 10.0, 190.0)
    assert (first.georeference.latitude, first.georeference.longitude) == (10.0, -170.0)  # type: ignore[union-attr]
    assert first.geometry_hash == town.geometry_hash
    assert first.provenance["differences"] == []
    second = with_georeference(first, 11.0, 20.0, "sea level")
    assert second.provenance["differences"][0]["what"] == "georeference"
    assert with_georeference(second, 11.0, 20.0) is second
    for latitude, longitude in ((np.nan, 0), (0, np.inf), (95, 0), (0, 400)):
        with pytest.raises(SiteTwinError):
            with_georeference(town, latitude, longitude)


@pytest.mark.skipif(
    "SITETWIN_ASU_CAMPUS" not in os.environ, reason="set SITETWIN_ASU_CAMPUS to the folder of that city"
)
def test_a_real_campus_is_placed_by_its_corners() -> None:
    """Its local extents and their degrees are known; the latter are off by 5 m from east to west, as published."""
    folder = Path(os.environ["SITETWIN_ASU_CAMPUS"])
    facts = json.loads((folder / "georeference.json").read_text())
    origin = [float(np.interp(0.0, facts[axis], facts[angle])) for axis, angle in (("y", "lat"), ("x", "lon"))]
    site = with_georeference(load_scene(folder), *origin)
    assert site.georeference is not None
    corners = frame_of(site).to_local(np.column_stack([facts["lon"], facts["lat"]]))
    np.testing.assert_allclose(corners[:, 0], facts["x"], atol=6.0)
    np.testing.assert_allclose(corners[:, 1], facts["y"], atol=0.5)


def test_what_cannot_be_written_ends_in_a_sentence(tmp_path: Path, town: Site) -> None:
    with pytest.raises(SiteTwinError, match="no georeference"):
        export_footprints(town, tmp_path / "a.geojson")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("text")
    with pytest.raises(SiteTwinError, match="something other"):
        export_mitsuba(town, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").is_file()
    with pytest.raises(SiteTwinError, match="is a folder"):
        export_glb(town, tmp_path / "mine")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SiteTwinError, match="cannot be written"):
        export_glb(town, tmp_path / "file" / "a.glb")
    with pytest.raises(SiteTwinError, match="cannot be written"):
        export_mitsuba(town, tmp_path / "file" / "a")
    if Path("/dev/full").exists() and os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir()
        locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(SiteTwinError, match="permissions"):
            export_glb(town, locked / "a.glb")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, town: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    export_glb(town, tmp_path / "a.glb")
    before = (tmp_path / "a.glb").read_bytes()
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(SiteTwinError, match="No space left"):
        export_glb(replace(town, vegetation=TREES), tmp_path / "a.glb")
    with pytest.raises(SiteTwinError, match="No space left"):
        export_mitsuba(town, tmp_path / "scene")
    assert (tmp_path / "a.glb").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.glb"]
