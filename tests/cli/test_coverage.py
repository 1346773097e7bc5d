"""`sitetwin coverage` from end to end on a bare plane, where everything is known in closed form."""

import csv
import hashlib
import json
import re
import shutil
import warnings

import numpy as np
import pytest
from matplotlib import colormaps
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.drawing.maps import round_range
from sitetwin.drawing.style import figure_style
from sitetwin.errors import SiteTwinWarning
from sitetwin.report.coverage import rasters
from sitetwin.report.coverage.frames import MapFrame
from sitetwin.report.coverage.maps import Background, label_map
from sitetwin.report.coverage.rasters import geotiff, label_geotiff
from sitetwin.site import Georeference
from sitetwin.site.projection import LocalProjection
from sitetwin.studies.coverage.grid import GridRaster

C = 299_792_458.0
PLANE = (
    '<scene version="2.1.0"><bsdf type="itu-radio-material" id="c"><string name="type" value="concrete"/></bsdf>'
    '<shape type="rectangle" id="ground"><transform name="to_world"><scale value="200"/></transform>'
    '<ref id="c"/></shape></scene>'
)
WEST, EAST = "name=west position=-50,0,20 eirp_dbm=40", "name=east position=50,0,20 eirp_dbm=40"


def run(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def cover(scene, out, *stations, more=(), area="-40,-20,40,20"):
    given = [word for station in stations for word in ("--station", station)]
    return run("coverage", scene, f"--area={area}", "--spacing", 8, "--depth", 0, *given, "--out", out, *more)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "plane.xml"
    path.write_text(PLANE)
    return path


@pytest.fixture(scope="module")
def made(scene, tmp_path_factory):
    folder = tmp_path_factory.mktemp("coverage") / "c"
    result = cover(scene, folder, WEST, EAST)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    monkeypatch.setattr("sitetwin.report.coverage.writer._picture", lambda *arguments: b"no picture")


def table(folder):
    with (folder / "coverage.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table_is_friis(made):
    rows = table(made)
    assert len(rows) == 11 * 6
    for row in rows:
        place = np.array([float(row[key]) for key in ("x_m", "y_m", "z_m")])
        for name, x in (("west", -50.0), ("east", 50.0)):
            distance = np.linalg.norm(place - [x, 0, 20])
            gain = 20 * np.log10(C / 3.5e9 / (4 * np.pi * distance))
            assert float(row[f"rsrp_dbm {name}"]) == pytest.approx(40 - 10 * np.log10(3276) + gain, abs=1e-3)
        assert row["line_of_sight"] == "1"
        assert row["rician_k_db"] == "inf"
        best = max(("west", "east"), key=lambda name: float(row[f"rsrp_dbm {name}"]))
        if place[0] != 0:
            assert row["best_server"] == best


def test_two_equal_stations_share_the_plane_evenly(made):
    rows = {(float(r["x_m"]), float(r["y_m"])): r for r in table(made)}
    names = {"west": "east", "east": "west"}
    for (x, y), row in rows.items():
        mirror = rows[-x, y]
        assert float(row["sinr_db"]) == pytest.approx(float(mirror["sinr_db"]), abs=1e-4)
        if x == 0:
            assert float(row["sinr_db"]) == pytest.approx(0, abs=0.01)
            assert float(row["sinr_db"]) < 0
        else:
            assert names[row["best_server"]] == mirror["best_server"]


def test_the_summary_names_what_is_there(made):
    summary = json.loads((made / "coverage.json").read_text())
    for name, digest in summary["files"].items():
        assert hashlib.sha256((made / name).read_bytes()).hexdigest() == digest
    assert {f"{name}.png" for name in summary["quantities"]} <= set(summary["files"])
    assert sum(station["served_share"] for station in summary["stations"]) == pytest.approx(1)
    assert summary["stations"][0]["served_area_m2"] == 64 * summary["stations"][0]["served_users"]
    assert summary["quantities"]["rsrp_dbm"]["share_above"]["-120"] == 1
    assert summary["quantities"]["line_of_sight"]["share"] == 1
    assert summary["quantities"]["rician_k_db"]["percentiles"]["50"] is None
    assert not re.search(r"\d{4}-\d\d-\d\d", json.dumps(summary))


def test_resuming_changes_no_byte(made, scene):
    before = {f.name: f.read_bytes() for f in made.iterdir() if f.is_file()}
    assert cover(scene, made, WEST, EAST, more=["--resume"]).exit_code == 0
    assert {f.name: f.read_bytes() for f in made.iterdir() if f.is_file()} == before


def test_other_powers_need_no_trace(made, scene, tmp_path, monkeypatch, no_pictures):
    monkeypatch.setattr("sitetwin.rays.dense.discover", None)
    monkeypatch.setattr("sitetwin.rays.dense.solve", None)
    shutil.copytree(made, tmp_path / "c")
    result = cover(scene, tmp_path / "c", WEST, EAST.replace("eirp_dbm=40", "eirp_dbm=46"), more=["--resume"])
    assert result.exit_code == 0, result.stderr
    key = "rsrp_dbm east"
    for before, after in zip(table(made), table(tmp_path / "c"), strict=True):
        assert float(after[key]) == pytest.approx(float(before[key]) + 6, abs=1e-4)


def test_rain_weakens_and_rough_ground_adds(scene, tmp_path, no_pictures):
    """At 28 GHz, over a bare plane: the loss of P.838 per kilometre; what the ground scatters comes on top."""
    station = f"{WEST} carrier_hz=28e9"
    found = {}
    for name, more in {
        "dry": (),
        "rain": ("--rain", 50),
        "rough": ("--diffuse", 8, "--diffuse-tile", 20, "--scattering", 0.7),
    }.items():
        result = cover(scene, tmp_path / name, station, more=more)
        assert result.exit_code == 0, result.stderr
        found[name] = np.array([float(row["rsrp_dbm west"]) for row in table(tmp_path / name)])
    places = np.array([[float(row[key]) for key in ("x_m", "y_m", "z_m")] for row in table(tmp_path / "dry")])
    per_km = (found["dry"] - found["rain"]) / np.linalg.norm(places - [-50, 0, 20], axis=1) * 1e3
    assert 7 < per_km.min() <= per_km.max() < 11
    assert (found["rough"] > found["dry"]).all()
    settings = json.loads((tmp_path / "rain" / "coverage.json").read_text())["settings"]
    assert settings["atmosphere"]["rain_mm_h"] == 50


def test_diffuse_options_without_diffuse_paths_are_refused(scene, tmp_path):
    for option in ("--diffuse-tile", "--diffuse-seed"):
        result = cover(scene, tmp_path / "c", WEST, more=(option, 2))
        assert result.exit_code == 1
        assert f"{option} says nothing without --diffuse" in result.stderr


def test_pictures_are_pictures(made):
    from matplotlib.image import imread

    for file in made.glob("*.png"):
        picture = imread(file)
        assert min(picture.shape[:2]) > 300
        assert picture[..., :3].std() > 0.05


def test_more_stations_than_colours():
    users = np.stack(np.meshgrid(np.arange(30.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    raster = GridRaster(users, np.zeros(2), 1.0)
    background = Background(np.full((4, 4), np.nan), raster.extent, np.zeros((0, 3)), ())
    names = [f"a very long station name {i}" for i in range(30)]
    with figure_style():
        figure = label_map(background, raster, users[:, 0], names, "best server", "none")
        figure.canvas.draw()
    labels = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert len(labels) == len(set(labels)) == 16
    assert max(map(len, labels)) <= 14


def test_geotiffs_hold_the_table(made):
    rasterio = pytest.importorskip("rasterio")
    for row in table(made)[::7]:
        for name in ("rsrp_dbm", "sinr_db", "path_gain_db"):
            with rasterio.open(made / f"{name}.tif") as source:
                (value,) = next(source.sample([(float(row["x_m"]), float(row["y_m"]))]))
                assert value == pytest.approx(float(row[name]), rel=1e-5)
                assert source.crs is None
                assert source.units == (name.rpartition("_")[2].replace("db", "dB"),)


@pytest.mark.parametrize(
    ("latitude", "longitude", "code"),
    [
        (48.137, 11.575, 32632),
        (-33.86, 151.21, 32756),
        (0.5, -180.0, 32601),
        (60.0, 179.9999, 32660),
        (69.0, 18.0, 32634),
    ],
)
def test_a_georeference_becomes_an_epsg_code_and_no_value_moves(latitude, longitude, code):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.warp import transform

    x, y = np.meshgrid(np.arange(-500.0, 501, 50), np.arange(-200.0, 201, 50))
    users = np.stack([x.ravel(), y.ravel()], axis=1)
    raster, place = GridRaster(users, users.min(axis=0), 50.0), Georeference(latitude, longitude)
    labels = np.arange(len(users)) % 3.0
    labels[::7] = np.nan
    wanted = users[:, 0] + 1000 * users[:, 1]
    degrees = LocalProjection.of(place).to_wgs84(users)
    for data, values in (
        (geotiff(raster, wanted, place, {"units": "m"}), wanted),
        (label_geotiff(raster, labels, ["red", "#00ff00", "blue"], place, {}), np.nan_to_num(labels, nan=255)),
    ):
        with rasterio.MemoryFile(data) as memory, memory.open() as source:
            assert source.crs.to_epsg() == code
            east, north = transform("EPSG:4326", source.crs, degrees[:, 0], degrees[:, 1])
            found = [value[0] for value in source.sample(zip(east, north, strict=True))]
            np.testing.assert_array_equal(found, values)
            back = ~source.transform
            columns = back.a * np.array(east) + back.b * np.array(north) + back.c
            rows = back.d * np.array(east) + back.e * np.array(north) + back.f
            np.testing.assert_allclose(columns % 1, 0.5, atol=1e-3)  # users stand in the middle of their cells
            np.testing.assert_allclose(rows % 1, 0.5, atol=1e-3)


def test_labels_have_names_and_colours_and_values_a_picture(made):
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(made / "best_server.tif") as source:
        assert source.dtypes == ("uint8",)
        assert source.colormap(1)[0] == (0, 0x72, 0xB2, 255)
        assert source.colormap(1)[255][3] == 0
        assert source.nodata == 255
    names = (made / "best_server.tif.aux.xml").read_text()
    assert re.findall("<Category>(.*)</Category>", names) == ["west", "east"]
    with rasterio.open(made / "rsrp_dbm_colours.tif") as source, rasterio.open(made / "rsrp_dbm.tif") as numbers:
        assert source.count == 4
        values = numbers.read(1).astype(float)
        low, high = round_range(values, 5.0)
        shades = colormaps["viridis"](np.clip((values - low) / (high - low), 0, 1), bytes=True)
        np.testing.assert_allclose(np.moveaxis(source.read(), 0, -1).astype(int), shades.astype(int), atol=1)


def test_far_areas_and_poles_keep_the_frame_of_the_site():
    users = np.array([[0.0, 0.0], [60_000.0, 60_000.0]])
    raster = GridRaster(users, users[0], 1000.0)
    small = GridRaster(users / 1000, users[0], 1.0)
    assert MapFrame.of(raster, Georeference(48.137, 11.575)).crs.startswith("EPSG")
    assert MapFrame.of(GridRaster(users, users[0], 5.0), Georeference(48.137, 11.575)).crs.startswith("+proj=tmerc")
    assert MapFrame.of(small, Georeference(85.0, 0.0)).crs.startswith("+proj=tmerc")
    assert MapFrame.of(small, None).crs is None


def test_without_rasterio_a_note_names_the_extra(scene, tmp_path, monkeypatch, no_pictures):
    monkeypatch.setattr("sitetwin.report.coverage.writer.can_write_geotiff", lambda: False)
    with warnings.catch_warnings():
        warnings.simplefilter("always", SiteTwinWarning)
        result = cover(scene, tmp_path / "o", WEST)
    assert result.exit_code == 0
    assert "pip install 'sitetwin[geo]'" in result.stderr
    assert not list((tmp_path / "o").glob("*.tif"))
    assert (tmp_path / "o" / "rsrp_dbm.png").is_file()
    monkeypatch.setattr(rasters, "find_spec", lambda name: None)
    with pytest.raises(Exception, match=r"sitetwin\[geo\]"):
        geotiff(GridRaster(np.zeros((1, 2)), np.zeros(2), 1.0), np.zeros(1), None, {})


def test_a_measured_pattern_is_named_without_its_folder(scene, tmp_path, no_pictures):
    cut = "".join(f"{angle} {'0' if angle < 90 else '20'}\n" for angle in range(360))
    (tmp_path / "p.msi").write_text(f"NAME x\nGAIN 15 dBi\nHORIZONTAL 360\n{cut}VERTICAL 360\n{cut}")
    (tmp_path / "s.json").write_text(
        json.dumps({"stations": [{"position": [0, 0, 20], "eirp_dbm": 55, "pattern": "p.msi"}]})
    )
    result = cover(scene, tmp_path / "o", more=["--stations", tmp_path / "s.json"])
    assert result.exit_code == 0, result.stderr
    text = (tmp_path / "o" / "coverage.json").read_text()
    (station,) = json.loads(text)["stations"]
    assert station["pattern"] == "p.msi"
    assert str(tmp_path) not in text
    assert len(station["antenna"]["gain_db_sha256"]) == 64
    assert station["antenna_power_dbm"] == pytest.approx(40)


def test_users_out_of_sight_are_holes(tmp_path, no_pictures):
    """Behind a house and without reflections nothing arrives."""
    result = run(
        "coverage", "simple_street_canyon", "--station", "position=-33,0,3 eirp_dbm=30", "--area=-40,-40,40,40",
        "--spacing", 8, "--depth", 0, "--out", tmp_path / "o",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    rows = table(tmp_path / "o")
    empty = [row for row in rows if row["rsrp_dbm"] == ""]
    assert 0 < len(empty) < len(rows)
    assert all(row["best_server"] == row["sinr_db"] == row["line_of_sight"] == "" for row in empty)
    summary = json.loads((tmp_path / "o" / "coverage.json").read_text())
    assert summary["users"]["without_a_path"] == len(empty)
    assert summary["quantities"]["rsrp_dbm"]["share_above"]["-120"] <= 1 - len(empty) / len(rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"station": None}, "no station was given"),
        ({"station": "position=0,0,20"}, "'eirp_dbm' is missing"),
        ({"station": "position=0,0,-3 eirp_dbm=40"}, "station 'BS1': the transmitter .* below the ground"),
        ({"--area": "1,2,3"}, "--area"),
        ({"--area": "5,5,1,1"}, "--area .* empty"),
        ({"--spacing": "nan"}, "--spacing"),
        ({"--noise-figure": "-3"}, "--noise-figure"),
        ({"--season": "spring"}, "--season"),
        ({"--foliage": "moss"}, "moss"),
        ({"--stations": "nowhere.toml"}, "nowhere.toml cannot be read"),
        ({"--resume": ""}, "holds no coverage to go on with"),
        ({"--diffraction": "", "--depth": "0"}, "--diffraction says nothing with --depth 0"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(scene, tmp_path, words, said):
    station = words.pop("station", "position=0,0,20 eirp_dbm=40")
    options = {"--area": "-8,-8,8,8", "--spacing": "8", **words}
    flat = [f"{key}={value}" if value else key for key, value in options.items()]
    given = ["--station", station] if station else []
    result = run("coverage", scene, *flat, *given, "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert re.search(said, result.stderr), result.stderr
    assert result.stderr.startswith("sitetwin: error: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_folders_of_something_else_are_left_alone(scene, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("precious")
    for name in ("file", "folder"):
        result = cover(scene, tmp_path / name, WEST)
        assert result.exit_code == 1
        assert "choose another folder" in result.stderr
    assert (tmp_path / "folder" / "thesis.tex").read_text() == (tmp_path / "file").read_text() == "precious"


def test_nobody_with_a_path_is_an_error(tmp_path, no_pictures):
    area = "34,-60,60,-50"
    result = cover("simple_street_canyon", tmp_path / "o", "position=-33,0,3 eirp_dbm=40", area=area)
    assert result.exit_code == 1
    assert "no user has a path" in result.stderr
    assert "unexpected" not in result.stderr


def test_edges_serve_users_that_reflections_leave_out(tmp_path):
    where = ("simple_street_canyon", "--area=-60,-40,60,40", "--spacing", "10", "--depth", "1")
    station = ("--station", "position=-33,0,12 eirp_dbm=30")
    served = {}
    for name, options in (("plain", ()), ("edges", ("--diffraction",))):
        result = run("coverage", *where, *options, *station, "--out", tmp_path / name)
        assert result.exit_code == 0, result.stderr
        summary = json.loads((tmp_path / name / "coverage.json").read_text())
        served[name] = summary["users"]["count"] - summary["users"]["without_a_path"]
    assert served["edges"] > served["plain"]
