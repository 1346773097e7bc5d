"""`sitetwin site import`, `export` and `fetch`, and what becomes of a map on the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.site import (
    ParkedVehicles,
    Site,
    check_site,
    ground_height,
    inside_building,
    load_site,
    outdoor_mask,
)
from sitetwin.site.account import account_of
from sitetwin.site.exporters import export_footprints
from sitetwin.site.maps import MapOptions, read_maps, site_from_map
from sitetwin.site.projection import LocalProjection

PLACE = LocalProjection(48.1, 11.5)
HOUSE = [(0, 0), (20, 0), (20, 10), (0, 10)]
TOWER = [(20, 0), (32, 0), (32, 10), (20, 10)]  # shares a wall with the house
COURT = [(-40, 20), (-10, 20), (-10, 45), (-40, 45)]
YARD = [(-33, 26), (-17, 26), (-17, 39), (-33, 39)]
STREET = [(-60, -12), (60, -12)]
GARDEN = [(40, 20), (70, 20), (70, 50), (40, 50)]


def degrees(points: list[tuple[float, float]], closed: bool = True) -> list[list[float]]:
    ring = [*points, points[0]] if closed else points
    return PLACE.to_wgs84(np.array(ring, dtype=float)).tolist()


def osm(tmp_path: Path, extra: str = "") -> Path:
    """A small town as OpenStreetMap XML."""
    nodes, ways, number = [], [], 1

    def way(key: int, points: list[tuple[float, float]], tags: dict[str, str], closed: bool = True) -> None:
        nonlocal number
        refs = []
        for lon, lat in degrees(points, closed=False):
            nodes.append(f'<node id="{number}" lat="{lat:.9f}" lon="{lon:.9f}"/>')
            refs.append(number)
            number += 1
        if closed:
            refs.append(refs[0])
        inner = "".join(f'<nd ref="{r}"/>' for r in refs) + "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        ways.append(f'<way id="{key}">{inner}</way>')

    way(1, HOUSE, {"building": "yes", "height": "9 m", "building:material": "brick"})
    way(2, TOWER, {"building": "yes", "building:levels": "7"})
    way(3, COURT, {})
    way(4, YARD, {})
    way(5, STREET, {"highway": "residential"}, closed=False)
    way(6, GARDEN, {"landuse": "grass"})
    way(7, [(-60, 60), (-50, 60), (-50, 70), (-60, 70)], {"building": "house"})
    (lon, lat), *_ = degrees([(50.0, 0.0)])
    nodes.append(
        f'<node id="900" lat="{lat:.9f}" lon="{lon:.9f}"><tag k="natural" v="tree"/><tag k="height" v="12"/></node>'
    )
    relation = (
        '<relation id="8"><member type="way" ref="3" role="outer"/><member type="way" ref="4" role="inner"/>'
        '<tag k="type" v="multipolygon"/><tag k="building" v="yes"/><tag k="height" v="15"/></relation>'
    )
    file = tmp_path / "town.osm"
    file.write_text(f'<osm version="0.6">{"".join(nodes)}{"".join(ways)}{relation}{extra}</osm>')
    return file


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, [*arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, [*arguments])
    assert result.exit_code == 1
    *bars, sentence = result.stderr.splitlines()
    assert all("%" in bar for bar in bars), result.stderr
    return sentence


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Site:
    file = osm(tmp_path_factory.mktemp("town"))
    return site_from_map(*read_maps([file], origin=(48.1, 11.5)))


def test_points_of_a_map_site_are_where_the_map_says(town: Site) -> None:
    built = shapely.union_all(
        [shapely.Polygon(HOUSE), shapely.Polygon(TOWER), shapely.Polygon(COURT, [YARD]), shapely.box(-60, 60, -50, 70)]
    )
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-60, 60, 4000), rng.uniform(-15, 70, 4000), np.full(4000, 1.5)])
    near = shapely.distance(shapely.points(points[:, :2]), built.boundary) < 0.01
    expected = shapely.contains_xy(built, points[:, 0], points[:, 1])
    np.testing.assert_array_equal(inside_building(town, points)[~near], expected[~near])
    np.testing.assert_array_equal(outdoor_mask(town, points[:, :2])[~near], ~expected[~near])
    assert not inside_building(town, np.array([[10.0, 5.0, 9.5]]))[0]  # above the roof
    assert inside_building(town, np.array([[26.0, 5.0, 20.0]]))[0]  # the tower has 21 m


def test_surface_of_a_map_site_by_closed_form(town: Site) -> None:
    """House and tower share a wall up to 9 m, which neither has; foundations reach 0.5 m under the ground."""
    corners = town.vertices[town.triangles]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    names = np.array(town.objects)[town.triangle_object]
    walls = {key: area[names == f"way/{key}-walls"].sum() for key in (1, 2)}
    roofs = {key: area[names == f"way/{key}-roof"].sum() for key in (1, 2)}
    assert roofs == pytest.approx({1: 200.0, 2: 120.0}, rel=1e-4)
    floors = {1: 200.0, 2: 120.0}
    around = {1: (20 + 10 + 20) * 9.5, 2: (12 + 10 + 12) * 21.5 + 10 * 12.0}
    assert walls == pytest.approx({k: floors[k] + around[k] for k in floors}, rel=1e-4)
    court = area[names == "relation/8-roof"].sum()
    assert court == pytest.approx(30 * 25 - 16 * 13, rel=1e-4)


def test_a_map_site_is_sound_and_says_what_it_assumed(town: Site) -> None:
    assert check_site(town, 3.5e9).ok
    assert town.georeference is not None
    assert (town.georeference.latitude, town.georeference.longitude) == (48.1, 11.5)
    said = {(e["kind"], e["what"]) for e in town.provenance["import"]}
    assert ("assumed", "building height of 9 m, as none is given") in said
    assert town.vegetation.num_volumes == 2  # crown and trunk
    materials = {town.objects[o]: town.materials[m].name for o, m in _materials(town).items()}
    assert materials["way/1-walls"] == "brick"
    assert materials["ground-asphalt"] == "asphalt"


def _materials(site: Site) -> dict[int, int]:
    return dict(zip(site.triangle_object.tolist(), site.facet_material[site.triangle_facet].tolist(), strict=True))


def test_import_check_trace_and_export(tmp_path: Path) -> None:
    file = osm(tmp_path)
    said = run("site", "import", str(file), "--out", str(tmp_path / "a"), "--origin", "48.1,11.5")
    assert "buildings: 4," in said
    run("site", "import", str(file), "--out", str(tmp_path / "b"), "--origin", "48.1,11.5")
    for one in sorted((tmp_path / "a").iterdir()):
        assert one.read_bytes() == (tmp_path / "b" / one.name).read_bytes(), one.name
    run("site", "check", str(tmp_path / "a"), "--out", str(tmp_path))
    assert (tmp_path / "map.png").stat().st_size > 10_000
    site = str(tmp_path / "a")
    run("trace", site, "--tx=26,5,25", "--area=-60,-10,60,60", "--spacing=6", "--depth=1", "--out", str(tmp_path / "p"))
    run("site", "export", site, "--out", str(tmp_path / "scene"))
    assert (tmp_path / "scene" / "scene.xml").is_file()
    run("site", "export", site, "--format", "glb", "--out", str(tmp_path / "town.glb"))
    run("site", "check", str(tmp_path / "town.glb"))
    run("site", "export", site, "--format", "geojson", "--out", str(tmp_path / "town.geojson"))
    footprints = json.loads((tmp_path / "town.geojson").read_text())["features"]
    assert sum(f["geometry"]["type"].endswith("Polygon") for f in footprints) == 4


def test_footprints_come_back_as_buildings(town: Site, tmp_path: Path) -> None:
    from sitetwin.site import export_footprints, save_site

    save_site(town, tmp_path / "town")
    export_footprints(town, tmp_path / "town.geojson")
    run("site", "import", str(tmp_path / "town.geojson"), "--out", str(tmp_path / "again"), "--origin=48.1,11.5")
    again = load_site(tmp_path / "again")
    assert len(again.buildings[0]) - 1 == 4
    np.testing.assert_allclose(again.vertices[:, 2].max(), 21.0, atol=1e-6)
    points = np.column_stack([*np.random.default_rng(1).uniform(-55, 65, (2, 500)), np.full(500, 1.5)])
    np.testing.assert_array_equal(inside_building(again, points), inside_building(town, points))


def test_part_of_a_map(tmp_path: Path) -> None:
    file = osm(tmp_path)
    said = run("site", "import", str(file), "--out", str(tmp_path / "a"), "--around=48.1,11.5", "--radius=15")
    assert "buildings: 1," in said or "buildings: 2," in said
    (west, south), (east, north) = degrees([(-5.0, -15.0)])[0], degrees([(35.0, 15.0)])[0]
    said = run("site", "import", str(file), "--out", str(tmp_path / "b"), f"--box={west},{south},{east},{north}")
    assert "buildings: 2," in said


def test_drawn_heights_need_the_same_seed_for_the_same_site(tmp_path: Path) -> None:
    file, tops = osm(tmp_path), []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        to = tmp_path / name
        run("site", "import", str(file), "--out", str(to), "--height-spread=3", f"--seed={seed}")
        site = load_site(to)
        rows = site.triangle_object == site.objects.index("way/7-roof")
        tops.append(site.vertices[site.triangles[rows]][..., 2].max())
    assert tops[0] == tops[1] != tops[2]
    assert all(6 <= top <= 12 for top in tops)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--box=1,2,3,4", "--around=1,2", "--radius=5"], "give one of them"),
        (["--around=48.1,11.5"], "go together"),
        (["--box=11,48,11,48.2"], "is empty"),
        (["--around=11.5,48.1", "--radius=100"], "latitude"),
        (["--unit=cm"], "--unit says nothing"),
        (["--materials=mc9"], "mc9"),
        (["--shared-walls=often"], "merge or keep"),
        (["--default-height=-3"], "default_height"),
        (["--terrain=nowhere.tif"], "nowhere.tif"),
        (["--terrain-spacing=5"], "--terrain-spacing says nothing without --terrain"),
        (["--seed=3"], "--seed says nothing without --height-spread"),
    ],
)
def test_impossible_imports_leave_nothing(options: list[str], words: str, tmp_path: Path) -> None:
    assert words in refused("site", "import", str(osm(tmp_path)), "--out", str(tmp_path / "a"), *options)
    assert not (tmp_path / "a").exists()


def test_imports_of_scenes_end_with_their_account_too(tmp_path: Path) -> None:
    scene = (
        '<scene version="2.1.0"><sensor type="perspective"/><emitter type="constant"/><emitter type="point"/>'
        '<bsdf type="itu-radio-material" id="wall"><string name="type" value="brick"/></bsdf>'
        '<shape type="rectangle" id="mesh-pane"><ref id="wall"/></shape>'
        '<shape type="obj" id="mesh-pin"><string name="filename" value="pin.obj"/><ref id="wall"/></shape></scene>'
    )
    corners = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nv 2 2 0\n"
    (tmp_path / "pin.obj").write_text(corners + "f 1 2 3\nf 1 3 5\n")  # the second has no area
    (tmp_path / "scene.xml").write_text(scene)
    said = " ".join(run("site", "import", str(tmp_path / "scene.xml"), "--out", str(tmp_path / "a")).split())
    found = {(entry["kind"], entry["what"]): entry["count"] for entry in account_of(load_site(tmp_path / "a"))}
    assert found[("read", "objects")] == 2
    assert ("dropped", "<sensor> elements are left out: 1") in found
    assert ("dropped", "<emitter> elements are left out: 2") in found
    assert any(kind == "assumed" and "slab thickness 0.1 m" in what for kind, what in found)
    assert "triangle without area" in said
    noted = {(f.check, f.text) for f in check_site(load_site(tmp_path / "a")).findings}
    assert ("import, dropped", "<sensor> elements are left out: 1") in noted


@pytest.mark.parametrize("name", ["map", "map.xml", "map.txt"])
def test_a_map_is_one_by_its_content(name: str, tmp_path: Path) -> None:
    file = osm(tmp_path)
    run("site", "import", str(file), "--out", str(tmp_path / "a"))
    run("site", "import", str(file.rename(tmp_path / name)), "--out", str(tmp_path / "b"))
    assert load_site(tmp_path / "a").geometry_hash == load_site(tmp_path / "b").geometry_hash


def test_a_fetched_map_is_built_as_an_imported_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of both commands mean the same; the download is put in place by hand."""
    options = ("--default-height=5", "--shared-walls=keep", "--no-trees", "--materials=mc1")
    place, radius = "48.1,11.5", "--radius=200"
    monkeypatch.setattr("sitetwin.site.maps.fetch.OVERPASS", "http://127.0.0.1:9/api")
    refused("site", "fetch", place, radius, "--out", str(tmp_path / "fetched"))
    corners = [degrees(HOUSE, closed=False), degrees([(20, 30), (30, 30), (30, 40)], closed=False)]
    elements = [
        {
            "type": "way",
            "id": k,
            "nodes": [*(100 * k + n for n in range(len(ring))), 100 * k],
            "geometry": [{"lat": lat, "lon": lon} for lon, lat in [*ring, ring[0]]],
            "tags": {"building": "yes"},
        }
        for k, ring in enumerate(corners, 1)
    ]
    answer = tmp_path / "fetched.map" / "map.osm.json"
    answer.write_text(json.dumps({"version": 0.6, "elements": elements}))
    run("site", "fetch", place, radius, "--out", str(tmp_path / "fetched"), *options)
    run("site", "import", str(answer), "--around", place, radius, "--out", str(tmp_path / "imported"), *options)
    fetched, imported = (load_site(tmp_path / name) for name in ("fetched", "imported"))
    assert fetched.geometry_hash == imported.geometry_hash
    assert fetched.bounds[1, 2] == 5.0
    assert {m.name for m in fetched.materials} == {m.name for m in imported.materials} >= {"marble", "metal"}


def test_only_maps_are_joined(tmp_path: Path) -> None:
    (tmp_path / "m.obj").write_text("v 0 0 0\nv 9 0 0\nv 0 9 0\nf 1 2 3\n")
    both = [str(tmp_path / "m.obj"), str(osm(tmp_path))]
    assert "only map files can be joined" in refused("site", "import", *both, "--out", str(tmp_path / "a"))
    said = refused("site", "import", both[0], "--out", str(tmp_path / "a"), "--seed=3")
    assert "--seed says nothing" in said


def test_an_export_refuses_what_its_format_does_not_have(tmp_path: Path) -> None:
    to = str(tmp_path / "out")
    for words, said in (
        (("--format", "fbx"), "choose mitsuba, glb or geojson"),
        (("--format", "glb", "--carrier", "2e9"), "--carrier says nothing with --format glb"),
        (("--carrier", "nan"), "--carrier is nan; give a number from 1e+06 to 1e+12 hertz"),
    ):
        assert said in refused("site", "export", "box", "--out", to, *words)
    assert not (tmp_path / "out").exists()


def test_fetching_without_a_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sitetwin.site.maps.fetch.OVERPASS", "http://127.0.0.1:9/api")
    sentence = refused("site", "fetch", "48.1,11.5", "--radius=50", "--out", str(tmp_path / "a"))
    assert "curl" in sentence or "download" in sentence
    assert not (tmp_path / "a").exists()


def test_options_default() -> None:
    assert MapOptions().rules.name == "default"


def test_a_town_on_a_slope(tmp_path: Path) -> None:
    """Buildings, tree and users stand on the raster's plane, which rises 5 % to the east."""
    rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed (extra 'geo')")
    corner, opposite = degrees([(-400.0, 400.0), (400.0, -400.0)], closed=False)
    columns = np.linspace(corner[0], opposite[0], 201)
    middle = (columns[:-1] + columns[1:]) / 2
    east = PLACE.to_local(np.column_stack([middle, np.full(200, 48.1)]))[:, 0]
    profile = {
        "driver": "GTiff", "width": 200, "height": 200, "count": 1, "dtype": "float64", "crs": "EPSG:4326",
        "transform": rasterio.Affine(np.diff(columns)[0], 0, corner[0], 0, (opposite[1] - corner[1]) / 200, corner[1]),
    }  # fmt: skip
    with rasterio.open(tmp_path / "dem.tif", "w", **profile) as raster:
        raster.write(np.tile(500 + 0.05 * east, (200, 1)), 1)
    run(
        *("site", "import", str(osm(tmp_path)), "--origin=48.1,11.5", "--terrain", str(tmp_path / "dem.tif")),
        *("--out", str(tmp_path / "slope")),
    )
    site = load_site(tmp_path / "slope")
    assert check_site(site).ok
    points = np.array([[-30.0, 0.0], [45.0, 30.0], [0.0, 60.0]])
    np.testing.assert_allclose(ground_height(site, points), 0.05 * points[:, 0], atol=0.01)
    # The tower's lowest ground is at x = 20 m, its top 21 m above that; its floor 0.5 m below.
    rows = site.triangle_object == site.objects.index("way/2-roof")
    np.testing.assert_allclose(site.vertices[site.triangles[rows]][..., 2], 1.0 + 21.0, atol=0.02)
    crown = site.vegetation.volumes[0]
    assert crown.centre[2] + crown.semi_axes[2] == pytest.approx(0.05 * 50 + 12, abs=0.05)
    assert site.provenance["source"]["terrain"]["origin_height_m"] == pytest.approx(500, abs=0.01)


def test_what_would_be_refused_at_the_end_is_refused_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes.txt").write_text("keep")
    for words in (["import", str(osm(tmp_path))], ["fetch", "48.1,11.5"]):
        assert "holds something other than a site" in refused("site", *words, "--out", str(folder))
    assert [f.name for f in folder.iterdir()] == ["notes.txt"]


def test_a_map_in_place_of_a_site_gets_the_command_that_makes_one(tmp_path: Path) -> None:
    file = osm(tmp_path)
    sentence = refused("site", "check", str(file))
    assert f"sitetwin site import {file}" in sentence


def test_trunks_are_no_trees_of_their_own(town: Site, tmp_path: Path) -> None:
    """One tree on the map is one tree in the report and in the file, and comes back as one."""
    assert town.vegetation.is_trunk.sum() == 1
    report = check_site(town)
    assert (report.counts["canopies"], report.counts["trunks"]) == (1, 1)
    assert report.vegetation["shape"] == {"ellipsoid": 1}
    file = tmp_path / "town.geojson"
    ledger = export_footprints(town, file)
    assert ledger.count("dropped") == 1
    again = site_from_map(*read_maps([file], origin=(48.1, 11.5)))
    assert again.vegetation.num_volumes == town.vegetation.num_volumes


def test_parked_vehicles_are_no_footprints(town: Site, tmp_path: Path) -> None:
    parked = town.variant(vehicles=ParkedVehicles(count=3), rng=np.random.default_rng(0))
    export_footprints(town, tmp_path / "a.geojson")
    ledger = export_footprints(parked, tmp_path / "b.geojson")
    assert (tmp_path / "a.geojson").read_bytes() == (tmp_path / "b.geojson").read_bytes()
    assert any("parked vehicle" in entry.what and entry.count == 3 for entry in ledger.entries)
