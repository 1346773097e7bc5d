"""Shapefiles and GeoPackages: what GeoJSON of the same features says, or a refusal."""

from __future__ import annotations

import contextlib
import sqlite3
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from sitetwin.errors import SiteTwinError
from sitetwin.site.maps import MapData, read_map, read_maps
from sitetwin.site.maps.readers import vector
from tests.site.maps.vector_files import without_process, write_geojson, write_layer

X, Y = 691_000.0, 5_335_000.0  # EPSG:25832, in Munich
COURT = Polygon(box(X + 40, Y, X + 80, Y + 40).exterior, [box(X + 50, Y + 10, X + 70, Y + 20).exterior])
HOUSES = [box(X, Y, X + 20, Y + 20), COURT]
FIELDS = {"height": [12.5, None], "name": ["Höhe", None], "stories": [3, 4]}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector.subprocess, "run", without_process)


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return write_layer(tmp_path / "town.gpkg", HOUSES, FIELDS)


@pytest.fixture
def shapefile(tmp_path: Path) -> Path:
    return write_layer(tmp_path / "town.shp", HOUSES, FIELDS)


def same(one: MapData, other: MapData) -> None:
    assert [(f.key, f.tags) for f in one.features] == [(f.key, f.tags) for f in other.features]
    for ours, theirs in zip(one.features, other.features, strict=True):
        assert shapely.equals_exact(shapely.normalize(ours.geometry), shapely.normalize(theirs.geometry), 1e-6)


def refused(path: Path, says: str, **how) -> None:
    with pytest.raises(SiteTwinError, match=says) as refusal:
        read_map(path, **how)
    assert "\n" not in str(refusal.value)


def test_the_process_reads_what_geojson_says(package, shapefile, tmp_path, capfd) -> None:
    expected, _ = read_map(write_geojson(tmp_path / "town.geojson", HOUSES, FIELDS))
    assert [f.tags.get("height") for f in expected.features] == ["12.5", None]
    for file in (package, shapefile):
        found, ledger = read_map(file)
        same(found, expected)
        assert found.source["files"][0]["format"] in ("GeoPackage", "shapefile")
        assert any(entry.what.startswith("features of a") and entry.count == 2 for entry in ledger.entries)
    assert capfd.readouterr() == ("", "")  # GDAL says nothing of its own


COORDINATES = st.floats(-200, 200).map(lambda value: round(value, 2))
SIZES = st.floats(2, 60).map(lambda value: round(value, 2))
VALUES = {
    "height": st.one_of(st.none(), st.floats(2, 90).map(lambda value: round(value, 1))),
    "name": st.one_of(st.none(), st.text("aäßЖ漢 '\"", min_size=1, max_size=9).map(lambda t: f"x{t}x")),
    "levels": st.one_of(st.none(), st.integers(1, 30)),
}


@st.composite
def houses(draw):
    shapes = []
    for _ in range(draw(st.integers(1, 5))):
        x, y, width, depth = X + draw(COORDINATES), Y + draw(COORDINATES), draw(SIZES), draw(SIZES)
        shape = box(x, y, x + width, y + depth)
        if draw(st.booleans()):
            shape = Polygon(shape.exterior, [box(x + 0.5, y + 0.5, x + 1, y + 1).exterior])
        if draw(st.booleans()):
            shape = MultiPolygon([shape, box(x + 100, y, x + 105, y + 5)])
        if draw(st.booleans()):
            shape = shapely.force_3d(shape, 7.0)
        shapes.append(draw(st.sampled_from([shape, shape, shape, None])) if shapes else shape)
    fields = {
        name: [draw(values) for _ in shapes]
        for name, values in VALUES.items()
        if name == "height" or draw(st.booleans())
    }
    fields["height"][0] = 9.5
    return shapes, fields


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(houses())
def test_any_houses_are_those_of_geojson(here, tmp_path_factory, made) -> None:
    shapes, fields = made
    folder = tmp_path_factory.mktemp("town")
    expected, _ = read_map(write_geojson(folder / "town.geojson", shapes, fields))
    flat = all(shape is None or not shape.has_z for shape in shapes)
    for ending in (".shp", ".gpkg"):
        kind = "MultiPolygon" if ending == ".gpkg" else "Polygon"
        file = write_layer(folder / f"town{ending}", shapes, fields, geometry_type=kind if flat else f"{kind} Z")
        same(read_map(file)[0], expected)


@pytest.mark.parametrize(
    ("shapes", "fields", "crs"),
    [
        (
            [Point(11.57, 48.14), Point(11.571, 48.14)],
            {"natural": ["tree", "tree"], "height": ["8", None]},
            "EPSG:4326",
        ),
        ([LineString([(11.57, 48.14), (11.58, 48.14)])], {"highway": ["residential"], "lanes": [2]}, "EPSG:4326"),
        ([box(11.57, 48.14, 11.58, 48.15)], {"landuse": ["grass"]}, "EPSG:4326"),
        ([box(-71.06, 42.35, -71.059, 42.351)], {"HEIGHT_FT": [40.0]}, "EPSG:4269"),
        ([box(236_000, 900_000, 236_020, 900_020)], {"BLDG_HGT_F": [40.0], "NUM_FLOORS": [3]}, "EPSG:26986"),
        ([box(179.999, -16.8, 180.001, -16.799)], {"building": ["yes"]}, "EPSG:4326"),
        ([box(1_288_000, 6_130_000, 1_288_020, 6_130_020)], {"building": ["yes"], "GEBAEUDEHO": [11.0]}, "EPSG:3857"),
    ],
)
@pytest.mark.parametrize("ending", [".shp", ".gpkg"])
def test_points_lines_areas_feet_and_reference_systems(here, tmp_path, shapes, fields, crs, ending) -> None:
    expected, _ = read_map(write_geojson(tmp_path / "a.geojson", shapes, fields, crs))
    found, _ = read_map(write_layer(tmp_path / f"a{ending}", shapes, fields, crs))
    same(found, expected)


def test_a_name_may_say_that_polygons_are_buildings(here, tmp_path) -> None:
    write_layer(tmp_path / "all.gpkg", HOUSES, {"id": [1, 2]}, layer="Building_Footprints")
    write_layer(tmp_path / "all.gpkg", [Point(X, Y)], {"natural": ["tree"]}, layer="trees", append=True)
    found, ledger = read_map(tmp_path / "all.gpkg")
    assert [f.tags.get("building") or f.tags.get("natural") for f in found.features] == ["yes", "yes", "tree"]
    assert any("because the file's name says so" in entry.what for entry in ledger.entries)


def test_two_layers_of_buildings_are_asked_about(here, tmp_path) -> None:
    file = write_layer(tmp_path / "all.gpkg", HOUSES, FIELDS, layer="of 2019")
    write_layer(file, HOUSES[:1], {"building": ["yes"]}, layer="of 2023", append=True)
    write_layer(file, [Point(X, Y)], {"natural": ["tree"]}, layer="trees", append=True)
    refused(file, r"several layers \(of 2019, of 2023\).*--layer NAME")
    assert len(read_map(file, layers=["of 2023", "trees"])[0].features) == 2
    assert len(read_map(file, layers=["of 2019", "of 2023"])[0].features) == 3
    refused(file, "no layer 'of 1871'; its layers are of 2019", layers=["of 1871"])
    refused(file, "no file has a layer 'of 1871'", layers=["of 1871", "trees"])
    other = write_layer(tmp_path / "woods.shp", [Point(X, Y)], {"natural": ["tree"]})
    found, _ = read_maps([other, file], layers=["of 2023"])  # a single layer needs no choice
    assert {f.key for f in found.features} == {"feature/0", "2/feature/0"}


PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")


def parts_of(shapefile: Path) -> dict[str, bytes]:
    return {ending: shapefile.with_suffix(ending).read_bytes() for ending in PARTS}


def test_folders_and_archives_of_shapefiles(here, shapefile, tmp_path) -> None:
    expected, _ = read_map(shapefile)
    found, _ = read_map(tmp_path)
    same(found, expected)
    with zipfile.ZipFile(tmp_path / "town.shp.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for ending, data in parts_of(shapefile).items():
            archive.writestr(f"../data/Town{ending.upper()}", data)
        archive.writestr("__MACOSX/._Town.shp", b"no shapefile")
    found, _ = read_map(tmp_path / "town.shp.zip")
    same(found, expected)
    for ending in PARTS:
        shapefile.with_suffix(ending).rename(tmp_path / f"TOWN{ending.upper()}")
    found, _ = read_map(tmp_path / "TOWN.SHP")
    same(found, expected)
    refused(tmp_path / "TOWN.SHX", "part of a shapefile")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no shapefile")


@pytest.mark.parametrize(
    ("cpg", "encoding"),
    [(b"UTF-8", "utf-8"), (b"ISO-8859-1", "latin-1"), (b"1252", "cp1252"), (None, "utf-8"), (None, "latin-1")],
)
def test_texts_in_the_encoding_of_the_table(here, tmp_path, cpg, encoding) -> None:
    file = write_layer(tmp_path / "town.shp", HOUSES, {"name": ["xxxxxx", "y"], "building": ["yes", "yes"]})
    table = file.with_suffix(".dbf").read_bytes()
    table = table[:29] + b"\0" + table[30:]  # no language of its own
    text = "Höhe".encode(encoding).ljust(6)
    file.with_suffix(".dbf").write_bytes(table.replace(b"xxxxxx", text))
    file.with_suffix(".cpg").unlink()
    if cpg is not None:
        file.with_suffix(".cpg").write_bytes(cpg)
    found, _ = read_map(file)
    assert found.features[0].tags["name"] == "Höhe"


def test_a_reference_system_that_is_missing_is_asked_for(here, shapefile, tmp_path) -> None:
    expected, _ = read_map(shapefile)
    refused(shapefile, "every file names its own", crs="EPSG:25832")
    shapefile.with_suffix(".prj").unlink()
    refused(shapefile, r"no reference system in its \.prj; .*--crs EPSG")
    refused(shapefile, "not known", crs="EPSG:999999")
    found, _ = read_map(shapefile, crs="EPSG:25832")
    same(found, expected)
    package = write_layer(tmp_path / "none.gpkg", HOUSES, FIELDS)
    with sqlite3.connect(package) as database:
        database.execute("UPDATE gpkg_geometry_columns SET srs_id = -1")
    database.close()
    refused(package, "no reference system of that layer")
    same(read_map(package, crs="EPSG:25832")[0], expected)


@pytest.mark.parametrize(
    ("prj", "says"),
    [
        (b"nonsense", "not understood"),
        (b'LOCAL_CS["site",UNIT["metre",1]]', "no way to WGS84"),
        (b'GEOGCS["x",DATUM["d",SPHEROID["s",6378137,298.25],EXTENSION["PROJ4_GRIDS","/etc/passwd"]],PRIMEM["G",0],'
         b'UNIT["degree",0.0174532925199433]]', "by other files"),
    ],
)  # fmt: skip
def test_reference_systems_that_are_none(here, shapefile, prj, says) -> None:
    shapefile.with_suffix(".prj").write_bytes(prj)
    refused(shapefile, says)


def test_damaged_shapefiles(here, shapefile, tmp_path) -> None:
    whole = parts_of(shapefile)

    def put(says: str, **changes: bytes | None) -> None:
        for ending, data in {**whole, **{f".{name}": data for name, data in changes.items()}}.items():
            shapefile.with_suffix(ending).unlink(missing_ok=True)
            if data is not None:
                shapefile.with_suffix(ending).write_bytes(data)
        refused(shapefile, says)

    shp, shx, dbf = whole[".shp"], whole[".shx"], whole[".dbf"]
    put("lacks its part town.dbf", dbf=None)
    put("was cut short", shp=shp[:-10])
    put("cut short or is damaged", dbf=dbf[:-20])
    put("2 rows for the 1 shapes", shx=shx[:24] + struct.pack(">i", 54) + shx[28:-8])
    put("multipatches", shp=shp[:32] + struct.pack("<i", 31) + shp[36:])
    put("impossible length", shx=None, shp=shp[:104] + struct.pack(">i", 2**30) + shp[108:])
    put("no part of a shapefile", shx=b"x" * 200)
    put("another encoding than it says", dbf=dbf.replace("Höhe".encode(), b"H\xf6he "))
    put("is empty", shp=b"")


def test_hostile_archives(shapefile, tmp_path) -> None:
    file, whole = tmp_path / "a.zip", {f"a{ending}": data for ending, data in parts_of(shapefile).items()}

    def put(says: str, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> None:
        with zipfile.ZipFile(file, "w", packing) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        refused(file, says)

    put("claim to hold", whole | {"a.dbf": bytes(2**25)})
    put("by a method other than deflate", whole, zipfile.ZIP_BZIP2)
    put("without a shapefile", {"a.geojson": b"{}"})
    put("two files 'a.shp'", whole | {"b/a.shp": b""})
    sound = file.read_bytes()
    file.write_bytes(sound[:-30])
    refused(file, "is damaged or no archive")
    put("lacks its part", {"a.shp": whole["a.shp"]})
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    file.write_bytes(data)
    refused(file, "encrypted")


FOREVER = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
HOSTILE = {
    "is a view and no table": [
        "ALTER TABLE town RENAME TO old",
        f"CREATE VIEW town AS {FOREVER} SELECT x AS fid, geom FROM c, old",
    ],
    "computed columns": ["ALTER TABLE town ADD COLUMN z BLOB GENERATED ALWAYS AS (zeroblob(900000000)) VIRTUAL"],
    "is damaged": ["DROP TABLE gpkg_spatial_ref_sys"],
    "holds nothing that can be built": ["DROP TRIGGER rtree_town_geom_update1", "UPDATE town SET geom = x'4750'"],
}


@pytest.mark.parametrize(("says", "commands"), HOSTILE.items())
def test_hostile_geopackages(here, package, says, commands) -> None:
    with sqlite3.connect(package) as database:
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            database.create_function(name, 1, lambda blob: 0)
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            if "DROP TRIGGER" in commands[0]:
                database.execute(f'DROP TRIGGER "{trigger}"')
        for command in commands:
            if not command.startswith("DROP TRIGGER"):
                database.execute(command)
    database.close()
    refused(package, says)


def test_a_geopackage_that_never_ends_is_ended(package, monkeypatch) -> None:
    monkeypatch.setattr(vector, "_SECONDS", 2)
    with sqlite3.connect(package) as database:
        database.execute("ALTER TABLE gpkg_contents RENAME TO old")
        database.execute(f"CREATE VIEW gpkg_contents AS {FOREVER} SELECT old.* FROM old, c")
    database.close()
    refused(package, "takes more than 2 s|takes too long")


def test_the_folder_of_copies_may_have_any_name(here, package, tmp_path, monkeypatch) -> None:
    (tmp_path / "a %41?#b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a %41?#b"))
    assert len(read_map(package)[0].features) == len(HOUSES)


@pytest.mark.parametrize("python", ["", "no such file"])
def test_without_a_python_to_run_it_is_refused(package, monkeypatch, python) -> None:
    monkeypatch.setattr(sys, "executable", python)
    refused(package, "cannot be copied and read by a process of Python")


def test_changes_that_are_not_in_the_file_yet(package) -> None:
    database = sqlite3.connect(package)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE more (x)")
    database.commit()
    refused(package, "close the program that has it open")
    database.close()


def test_bodies_in_space_are_refused_and_arcs_are_followed(here, package, tmp_path) -> None:
    def with_geometry(wkb: bytes) -> Path:
        database = sqlite3.connect(package)
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE town SET geom = ?", (b"GP\0\x01" + struct.pack("<i", 25832) + wkb,))
        database.commit()
        database.close()
        return package

    corners = [(X, Y), (X + 10, Y + 10), (X + 20, Y), (X + 10, Y - 10), (X, Y)]
    arc = struct.pack("<BII", 1, 8, 5) + b"".join(struct.pack("<dd", *corner) for corner in corners)
    found, _ = read_map(with_geometry(struct.pack("<BII", 1, 10, 1) + arc))
    assert found.features[0].geometry.area == pytest.approx(np.pi * 100, rel=2e-3)
    ring = struct.pack("<I", 4) + b"".join(struct.pack("<dd", *corners[k]) for k in (0, 1, 2, 0))
    patch = struct.pack("<BII", 1, 16, 1) + struct.pack("<BII", 1, 17, 1) + ring
    refused(with_geometry(patch), "no points, lines or polygons")


PRISTINE: dict[str, dict[str, bytes]] = {}  # parts of the fixture before they are damaged


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_parts_are_read_or_refused(here, shapefile, data) -> None:
    whole = PRISTINE.setdefault(str(shapefile), parts_of(shapefile))
    damaged = data.draw(st.sampled_from(PARTS))
    for ending in PARTS:
        content = bytearray(whole[ending])
        if ending == damaged:
            for _ in range(data.draw(st.integers(1, 3))):
                content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        shapefile.with_suffix(ending).write_bytes(content)
    with contextlib.suppress(SiteTwinError):
        read_map(shapefile)


def test_without_the_package_it_says_how_to_get_it(package, monkeypatch) -> None:
    monkeypatch.setattr(vector, "find_spec", lambda name: None)
    refused(package, r"pip install 'sitetwin\[geo\]'")


def test_the_process_needs_nothing_of_ours() -> None:
    code = "import sys, runpy; runpy.run_path(sys.argv[1]); print({'sitetwin', 'numpy', 'pyogrio'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, vector.vector_child.__file__], capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "set()"
