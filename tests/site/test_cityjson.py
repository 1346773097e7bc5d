"""CityJSON by hand: what stands where, of what material, and a sentence for every broken file."""

from __future__ import annotations

import contextlib
import json
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Ellipsoid, ExtrudedPolygon, Site, ground_height, itu_material, load_scene
from sitetwin.site import load_cityjson as load
from sitetwin.site.importers import gltf
from sitetwin.site.importers.cityjson_file import LARGEST_CITYJSON
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.maps.rules import MaterialRules, Rule
from sitetwin.site.projection import LocalProjection
from tests.site.city_files import CityWriter, box_rings, courtyard_house, multi, solid
from tests.site.test_mesh_files import JSON, places


def frame_of(site: Site) -> LocalProjection:
    assert site.georeference is not None
    return LocalProjection.of(site.georeference)


def save(city: CityWriter | dict[str, Any], folder: Path, name: str = "a.city.json") -> Path:
    document = city.document if isinstance(city, CityWriter) else city
    (folder / name).write_text(json.dumps(document))
    return folder / name


def corners_of(site: Site, name: str) -> np.ndarray:
    return site.vertices[site.triangles[site.triangle_object == site.objects.index(name)]]


def area(corners: np.ndarray) -> float:
    return float(
        np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    )


@pytest.mark.parametrize("version", ["1.0", "1.1", "2.0"])
def test_a_house_with_a_courtyard(tmp_path: Path, version: str) -> None:
    city = CityWriter(version=version)
    city.add("h", "Building", [courtyard_house(city)])
    site = load_scene(save(city, tmp_path))
    assert site.objects == ("ground", "h-walls", "h-roof")
    roof, walls = corners_of(site, "h-roof"), corners_of(site, "h-walls")
    assert area(roof) == pytest.approx(30 * 20 - 10 * 8)
    assert (np.cross(roof[:, 1] - roof[:, 0], roof[:, 2] - roof[:, 0])[:, 2] > 0).all()
    assert area(walls) == pytest.approx(20 * (100 + 36))
    # Walls look outwards: by the divergence theorem, with the roof and without the floor at z = 0.
    body = np.concatenate([roof, walls])
    flux = np.einsum("ij,ij->i", body[:, 0], np.cross(body[:, 1], body[:, 2])).sum() / 6
    assert flux == pytest.approx(20 * (30 * 20 - 10 * 8))
    assert site.num_facets == 1 + 8 + 1
    assert [site.objects[k] for k in site.ground_objects] == ["ground"]
    assert site.buildings[0] == ("ground", "h")
    assert site.georeference is None


def test_the_highest_level_of_detail_or_the_one_asked_for(tmp_path: Path) -> None:
    city = CityWriter()
    geometries = [
        multi(city, [[(0, 0, 0), (10, 0, 0), (10, 10, 0), (0, 10, 0)]], lod="0"),
        solid(city, box_rings((0, 0, 0), (10, 10, 6)), lod="1.2", semantic=False),
        solid(city, box_rings((0, 0, 0), (10, 10, 8)), lod="2.2"),
        solid(city, box_rings((0, 0, 0), (10, 10, 7)), lod="2.1"),
    ]
    city.add("h", "Building", geometries)
    path = save(city, tmp_path)
    for asked, height in ((None, 8), ("2", 8), ("2.1", 7), ("2.0", 8), ("1", 6), ("1.3", 6), ("3", 8)):
        assert load(path, lod=asked).bounds[1, 2] == height, asked
    with pytest.raises(SiteTwinError, match="no surface"):
        load(path, lod="0")
    with pytest.raises(SiteTwinError, match="no level of detail"):
        load(path, lod="9")


def test_surfaces_without_semantics_go_by_their_direction(tmp_path: Path) -> None:
    city = CityWriter()
    city.add("h", "Building", [solid(city, box_rings((0, 0, 0), (10, 10, 6)), lod=1, semantic=False)])
    site = load(save(city, tmp_path))
    assert area(corners_of(site, "h-roof")) == pytest.approx(100)
    assert area(corners_of(site, "h-walls")) == pytest.approx(240)


def test_a_reference_system_becomes_the_local_frame(tmp_path: Path) -> None:
    """UTM 32N: the origin lies in the middle of the file, north is true north, lengths are those on the ground."""
    x, y = 691_000.0, 5_334_000.0  # in Munich, 2.6 degrees east of the meridian of the zone
    city = CityWriter(epsg=25832, translate=(x, y, 0.0))
    rings = box_rings((x - 100, y - 60, 512.0), (x + 100, y + 60, 530.0))
    city.add("h", "Building", [solid(city, rings)])
    site = load(save(city, tmp_path))
    assert site.georeference is not None
    assert site.georeference.latitude == pytest.approx(48.13, abs=0.05)
    assert site.georeference.longitude == pytest.approx(11.57, abs=0.05)
    assert "+512.000 m" in site.georeference.vertical_datum
    roof = corners_of(site, "h-roof").reshape(-1, 3)
    np.testing.assert_allclose(roof[:, 2], 18.0, atol=1e-9)
    from pyproj import Transformer

    want = Transformer.from_crs(4326, 25832, always_xy=True).transform(*frame_of(site).to_wgs84(roof[:, :2]).T)
    np.testing.assert_allclose(np.sort(np.unique(np.round(want[0], 3))), [x - 100, x + 100], atol=2e-3)
    np.testing.assert_allclose(np.sort(np.unique(np.round(want[1], 3))), [y - 60, y + 60], atol=2e-3)
    from pyproj import Geod

    a, b = frame_of(site).to_wgs84(roof[:2, :2])
    true = Geod(ellps="WGS84").inv(*a, *b)[2]
    assert np.linalg.norm(roof[0, :2] - roof[1, :2]) == pytest.approx(true, rel=1e-7)


def test_feet_of_a_survey(tmp_path: Path) -> None:
    """EPSG:2263, New York, US survey feet in the plane; heights in the same unit."""
    foot = 1200 / 3937
    city = CityWriter(epsg=2263, translate=(987_000.0, 212_000.0, 0.0))
    city.add("h", "Building", [solid(city, box_rings((987_000, 212_000, 30), (987_100, 212_200, 130)))])
    ledger = Ledger()
    site = load(save(city, tmp_path), ledger=ledger)
    assert site.bounds[1, 2] == pytest.approx(100 * foot)
    assert area(corners_of(site, "h-roof")) == pytest.approx(100 * 200 * foot**2, rel=2e-4)  # scale of the projection
    assert any("unit of the plane" in e.what for e in ledger.entries)


def test_parts_join_their_building_and_replace_its_coarse_body(tmp_path: Path) -> None:
    city = CityWriter()
    city.add("b", "Building", [solid(city, box_rings((0, 0, 0), (20, 10, 9)), lod="1")], children=["p1", "p2"])
    city.add("p1", "BuildingPart", [solid(city, box_rings((0, 0, 0), (10, 10, 8)))], parents=["b"])
    city.add("p2", "BuildingPart", [solid(city, box_rings((10, 0, 0), (20, 10, 12)))], parents=["b"])
    city.add("i", "BuildingInstallation", [solid(city, box_rings((4, 4, 8), (5, 5, 10)))], parents=["p1"])
    city.add("r", "BuildingRoom", [solid(city, box_rings((1, 1, 1), (4, 4, 4)))], parents=["b"])
    ledger = Ledger()
    site = load(save(city, tmp_path), ledger=ledger)
    assert site.objects == ("ground", "b-walls", "b-roof")
    assert area(corners_of(site, "b-roof")) == pytest.approx(100 + 100 + 1)
    dropped = {e.what for e in ledger.entries if e.kind == "dropped"}
    assert any("BuildingRoom" in what for what in dropped)
    assert any("coarser body" in what for what in dropped)


def test_feet_reach_the_flat_ground(tmp_path: Path) -> None:
    city = CityWriter()
    city.add("low", "Building", [solid(city, box_rings((0, 0, 2), (10, 10, 12)))])
    city.add("high", "Building", [solid(city, box_rings((30, 0, 5), (40, 10, 15)))])
    ledger = Ledger()
    site = load(save(city, tmp_path), ledger=ledger)
    assert corners_of(site, "high-walls")[..., 2].min() == 2.0
    assert corners_of(site, "high-roof")[..., 2].min() == 15.0
    np.testing.assert_array_equal(ground_height(site, np.array([[20.0, 5.0], [35.0, 5.0]])), 2.0)
    np.testing.assert_allclose(site.bounds[:, 0], [-50, 90])
    assert site.num_facets == 1 + 5 + 5
    assert [e.examples for e in ledger.entries if e.what.startswith("foot of a building")] == [["high"]]
    city.add("hill", "Building", [solid(city, box_rings((60, 0, 20), (70, 10, 30)))])
    with pytest.warns(SiteTwinWarning, match=r"18\.0 m apart"):
        load(save(city, tmp_path))


RULES = MaterialRules(
    name="test",
    base={"wall": "concrete", "roof": "concrete", "ground": "medium_dry_ground"},
    materials={
        "brick": itu_material("brick", 0.2),
        "metal": itu_material("metal", 0.01),
        "concrete": itu_material("concrete", 0.2),
        "wet_ground": itu_material("wet_ground"),
        "medium_dry_ground": itu_material("medium_dry_ground"),
    },
    rules=(
        Rule("wall", "facade", ("klinker",), "brick"),
        Rule("roof", "height", ("6.5",), "metal"),
        Rule("ground", "natural", ("water",), "wet_ground"),
    ),
)


def test_the_default_rules_are_those_of_maps(tmp_path: Path) -> None:
    city = CityWriter()
    city.add("s", "Road", [multi(city, [[(60, -40, 0), (90, -40, 0), (90, -10, 0), (60, -10, 0)]])])
    city.add("h", "Building", [solid(city, box_rings((0, 0, 0), (10, 10, 8)))], attributes={"roof:material": "slate"})
    ledger = Ledger()
    site = load(save(city, tmp_path), ledger=ledger)
    of_map = MaterialRules.default()
    material = {
        site.objects[o]: site.materials[m]
        for o, m in zip(site.triangle_object, site.facet_material[site.triangle_facet], strict=True)
    }
    assert material["ground-road"] == of_map.materials["asphalt"]
    assert material["h-walls"] == of_map.materials[of_map.wall({"building": "yes"})]
    assert material["h-roof"] == of_map.materials[of_map.roof({"building": "yes", "roof:material": "slate"})]
    assert any("m thick" in e.what for e in ledger.entries if e.kind == "assumed")


def test_relief_water_roads_and_rules(tmp_path: Path) -> None:
    city = CityWriter()
    slope = [[(-50, -50, 0), (50, -50, 0), (50, 50, 4)], [(-50, -50, 0), (-50, 50, 4), (50, 50, 4)]]
    city.add("t", "TINRelief", [{**multi(city, slope), "type": "CompositeSurface"}])
    city.add("w", "WaterBody", [multi(city, [[(60, 0, 0), (90, 0, 0), (90, 40, 0), (60, 40, 0)]])])
    city.add("s", "Road", [multi(city, [[(60, -40, 0), (90, -40, 0), (90, -10, 0), (60, -10, 0)]])])
    attributes = {"facade": "Klinker", "measuredHeight": 6.5, "nested": {"a": 1}}
    city.add("h", "Building", [solid(city, box_rings((0, 0, 1), (10, 10, 8)))], attributes=attributes)
    site = load(save(city, tmp_path), rules=RULES)
    assert site.objects == ("ground", "ground-water", "ground-road", "h-walls", "h-roof")
    material = {
        site.objects[o]: site.materials[m].name
        for o, m in zip(site.triangle_object, site.facet_material[site.triangle_facet], strict=True)
    }
    assert material == {
        "ground": "medium_dry_ground",
        "ground-water": "wet_ground",
        "ground-road": "medium_dry_ground",
        "h-walls": "brick",
        "h-roof": "metal",
    }
    ground = corners_of(site, "ground")
    assert (np.cross(ground[:, 1] - ground[:, 0], ground[:, 2] - ground[:, 0])[:, 2] > 0).all()
    assert ground_height(site, np.array([[0.0, 25.0]]))[0] == pytest.approx(3.0)


def test_trees_plant_covers_and_instances(tmp_path: Path) -> None:
    city = CityWriter()
    city.add("h", "Building", [solid(city, box_rings((-20, -20, 0), (-10, -10, 9)))])
    city.document["geometry-templates"] = {
        "templates": [{"type": "MultiSurface", "lod": "2", "boundaries": [[[0, 1, 2]], [[0, 1, 3]]]}],
        "vertices-templates": [[-1.0, -2.0, 0.0], [1.0, 2.0, 0.0], [1.0, -2.0, 3.0], [-1.0, 2.0, 3.0]],
    }
    matrix = [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 1, 0, 0, 0, 1]
    instance = {"type": "GeometryInstance", "template": 0, "transformationMatrix": matrix}
    city.add("t", "SolitaryVegetationObject", [{**instance, "boundaries": [city.vertex((10, 20, 0))]}])
    wood = solid(city, box_rings((20, 20, 0), (50, 40, 15)), semantic=False)
    city.add("w", "PlantCover", [{**wood, "type": "MultiSolid", "boundaries": [wood["boundaries"]]}])
    lawn = multi(city, [[(0, 0, 0), (5, 0, 0), (5, 5, 0)]])
    city.add("flat", "PlantCover", [lawn])
    ledger = Ledger()
    site = load(save(city, tmp_path), ledger=ledger)
    tree, cover = site.vegetation.volumes
    assert isinstance(tree, Ellipsoid)
    np.testing.assert_allclose((tree.centre, tree.semi_axes), [(10, 20, 4), (2, 4, 3)])
    assert isinstance(cover, ExtrudedPolygon)
    assert (cover.z_min, cover.z_max) == (0, 15)
    assert set(cover.ring) == {(20.0, 20.0), (50.0, 20.0), (50.0, 40.0), (20.0, 40.0)}
    assert [e.examples for e in ledger.entries if e.what == "plant cover without a height"] == [["flat"]]


def test_a_text_sequence_is_the_same_site(tmp_path: Path) -> None:
    whole, parts = CityWriter(epsg=7415, translate=(85_000.0, 447_000.0, 0.0)), []
    for k in range(2):
        low, high = (85_000.0 + 40 * k, 447_000.0, 1.0), (85_020.0 + 40 * k, 447_010.0, 9.0)
        whole.add(f"b{k}", "Building", [solid(whole, box_rings(low, high))])
        part = CityWriter(translate=(85_000.0, 447_000.0, 0.0))
        part.add(f"b{k}", "Building", [solid(part, box_rings(low, high))])
        keep = {key: part.document[key] for key in ("CityObjects", "vertices")}
        parts.append({"type": "CityJSONFeature", "id": f"b{k}", **keep})
    head = {**deepcopy(whole.document), "CityObjects": {}, "vertices": []}
    (tmp_path / "a.city.jsonl").write_text("\n".join(map(json.dumps, [head, *parts])) + "\n")
    one, two = load_scene(save(whole, tmp_path)), load_scene(tmp_path / "a.city.jsonl")
    assert one.geometry_hash == two.geometry_hash
    assert one.georeference == two.georeference
    assert one.georeference is not None
    assert (one.georeference.latitude, one.georeference.longitude) == pytest.approx((52.0, 4.37), abs=0.05)  # Delft
    assert load_scene(tmp_path / "a.city.jsonl").hash == two.hash


def test_inner_shells_closures_and_crossed_outlines_are_accounted_for(tmp_path: Path) -> None:
    city = CityWriter()
    geometry = solid(city, box_rings((0, 0, 0), (10, 10, 8)))
    geometry["boundaries"].append(solid(city, box_rings((2, 2, 2), (4, 4, 4)))["boundaries"][0])
    bow = [[(20, 0, 5), (30, 10, 5), (30, 0, 5), (20, 6, 5)]]
    closure = multi(city, [[(0, 0, 9), (1, 0, 9), (1, 1, 9)]], lod="2")
    closure["semantics"] = {"surfaces": [{"type": "ClosureSurface"}], "values": [0]}
    city.add("h", "Building", [geometry, closure, multi(city, bow, lod="2"), {"type": "MultiPoint", "boundaries": [0]}])
    ledger = Ledger()
    load(save(city, tmp_path), ledger=ledger)
    said = " ".join(e.what for e in ledger.entries)
    for what in ("inner shell", "ClosureSurface", "crosses itself", "MultiPoint"):
        assert what in said


def house() -> dict[str, Any]:
    city = CityWriter(epsg=25832, translate=(691_000.0, 5_334_000.0, 0.0))
    low, high = (691_000.0, 5_334_000.0, 500.0), (691_010.0, 5_334_010.0, 510.0)
    city.add("h", "Building", [solid(city, box_rings(low, high))], attributes={"a": 1}, parents=[])
    return city.document


def changed(keys: list[Any], value: Any) -> dict[str, Any]:
    document = house()
    place: Any = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return document


GEOMETRY: list[Any] = ["CityObjects", "h", "geometry", 0]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"type": "FeatureCollection"}, "no CityJSON"),
        (changed(["version"], "3.0"), "version 3.0"),
        (changed(["vertices"], [[0, 0]]), "not three numbers"),
        (changed(["vertices"], [[0, 0, "x"]]), "not three numbers"),
        (changed(["vertices"], [[0, 0, 10**30]]), "more than 64 bits"),
        (changed(["transform"], {"scale": [1, 1]}), "not three numbers"),
        (changed(["transform", "scale"], [1e308, 1, 1]), "infinity"),
        (changed(["transform", "translate"], [1e200, 0, 0]), "infinity"),
        (changed(["transform", "translate"], [1e8, 0, 0]), "area of EPSG|local coordinates"),
        (changed(["metadata", "referenceSystem"], "https://www.opengis.net/def/crs/EPSG/0/4326"), "not a projected"),
        (
            changed(["metadata", "referenceSystem"], "https://www.opengis.net/def/crs/EPSG/0/999999"),
            "PROJ does not know",
        ),
        (changed(["metadata", "referenceSystem"], "Gauss-Krueger"), "no EPSG code"),
        (changed([*GEOMETRY, "boundaries", 0, 0, 0, 0], 99), "vertex in 'h' that it does not have"),
        (changed([*GEOMETRY, "boundaries", 0, 0, 0, 0], -1), "vertex in 'h' that it does not have"),
        (changed([*GEOMETRY, "boundaries", 0, 0], 7), "malformed surface"),
        (changed([*GEOMETRY, "boundaries", 0], 7), "malformed geometry"),
        (changed([*GEOMETRY, "lod"], "high"), "level of detail 'high'"),
        (changed(["CityObjects"], []), "CityObjects"),
        (changed(["CityObjects", "h", "attributes"], [1]), "attributes"),
        (changed(["CityObjects", "h", "parents"], "x"), "parents"),
        (changed(["CityObjects", "h", "geometry"], [3]), "geometries"),
        (changed(["CityObjects", "h", "type"], "Cloud"), "no surface"),
        (changed([*GEOMETRY, "boundaries", 0], [[[0, 0, 1]], [[2, 2]]]), "no surface"),
    ],
)
def test_broken_cities_end_in_a_sentence(tmp_path: Path, document: dict[str, Any], says: str) -> None:
    with pytest.raises(SiteTwinError, match=says) as caught:
        load(save(document, tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "{", "[" * 200_000, "[1]", '{"type": NaN}', "\x00\xff", '{"type": "CityJSON"}\n{']
)
def test_what_is_no_json_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(SiteTwinError):
        load_scene(tmp_path / "a.json")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_document_ends_in_a_site_or_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    document = house()
    for _ in range(data.draw(st.integers(1, 3))):
        *above, key = data.draw(st.sampled_from(places(document)))
        place: Any = document
        for step in above:
            place = place[step]
        place[key] = data.draw(JSON)
    with contextlib.suppress(SiteTwinError), warnings.catch_warnings():
        warnings.simplefilter("ignore", SiteTwinWarning)
        load(save(document, tmp_path))


def test_a_city_may_have_as_much_json_as_its_file_may_have_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city, asked = CityWriter(version="2.0"), []
    city.add("h", "Building", [courtyard_house(city)])
    parse = gltf.parse_json
    monkeypatch.setattr(gltf, "parse_json", lambda *a, **how: asked.append(how["largest"]) or parse(*a, **how))
    load(save(city, tmp_path))
    assert asked == [LARGEST_CITYJSON]
