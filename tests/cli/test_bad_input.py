"""Whatever a user gets wrong ends in one sentence and a status other than zero, and costs nothing that was there."""

import errno
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sitetwin.channel import load_channels
from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.jobs.io import summarise
from sitetwin.store import TileStore

CANYON = "simple_street_canyon"
ABOVE, STREET = "-33,0,32", "-30,-8,30,8"


def run(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def trace(out, scene=CANYON, tx=ABOVE, area=STREET, *more):
    return run("trace", scene, "--tx", tx, "--area", area, "--spacing", 8, "--depth", 1, "--out", out, *more)


def files_of(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def assert_one_sentence(result, said, status=1):
    assert result.exit_code == status
    assert re.search(said, result.stderr), result.stderr
    assert result.stderr.startswith("sitetwin: ")
    assert result.stderr.count("\n") == 1
    assert "unexpected" not in result.stderr


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paths") / "p"
    result = trace(folder, CANYON, ABOVE, STREET, "--tile-users", 5)
    assert result.exit_code == 0, result.stderr
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scene": "munch"}, r"did you mean 'munich'"),
        ({"scene": "no/such.xml"}, r"'no/such\.xml' does not exist"),
        ({"scene": "/dev/null"}, r"neither a saved site, nor a scene file"),
        ({"scene": ""}, r"neither a saved site, nor a scene file"),
        ({"tx": "0,20,5"}, r"transmitter at \(0, 20, 5\) m is inside a building; move it"),
        ({"tx": "0,0,-5"}, r"below the ground.*raise it"),
        ({"tx": "1e300,0,5"}, r"more than 1000 km"),
        ({"area": "0,20,4,24"}, r"all \d+ users .* are inside buildings; move the area"),
        ({"area": "1e300,0,2e300,9"}, r"too large"),
        ({"area": "0,0,1e5,1e5"}, r"too large"),
        ({"area": "3e6,0,3.1e6,9"}, r"more than 1000 km"),
    ],
)
def test_what_cannot_be_traced_leaves_no_folder(tmp_path, changes, said):
    assert_one_sentence(trace(tmp_path / "o", **changes), said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff\xfe" * 99,
        b"<scene",
        b"<html/>",
        b"<scene version='2.1.0'/>",
        b"<!DOCTYPE s [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><scene>&b;</scene>",
        b"<!DOCTYPE s [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><scene>&x;</scene>",
        b"<a>" * 100_000,
        b'<?xml version="1.0" encoding="zz-99"?><scene/>',
        b"<scene>" + b" " * (64 * 2**20),
    ],
    ids=["empty", "binary", "cut", "foreign", "no shape", "bomb", "reading files", "deep", "encoding", "huge"],
)
def test_scene_files_of_every_bad_kind(tmp_path, content):
    (tmp_path / "bad scene ü.xml").write_bytes(content)
    assert_one_sentence(trace(tmp_path / "o", tmp_path / "bad scene ü.xml"), r"bad scene ü\.xml'")
    assert not (tmp_path / "o").exists()


def test_a_scene_and_a_store_with_spaces_and_umlauts_in_their_names(tmp_path):
    folder = tmp_path / "söme where"
    folder.mkdir()
    (folder / "plätze 1.xml").write_text(
        '<scene version="2.1.0"><bsdf type="itu-radio-material" id="c"><string name="type" value="concrete"/></bsdf>'
        '<shape type="rectangle" id="ground"><transform name="to_world"><scale value="60"/></transform>'
        '<ref id="c"/></shape></scene>',
        encoding="utf-8",
    )
    result = trace(tmp_path / "aus gabe ☃", folder / "plätze 1.xml")
    assert result.exit_code == 0, result.stderr
    assert summarise(tmp_path / "aus gabe ☃").paths == 2 * summarise(tmp_path / "aus gabe ☃").users
    assert run("store", "verify", tmp_path / "aus gabe ☃").exit_code == 0


def test_nobody_with_a_path_is_an_error_that_keeps_the_store(tmp_path):
    result = trace(tmp_path / "p", tx="-33,0,3", area="34,-60,60,-50")
    assert result.exit_code == 1
    assert "no user has a path" in result.stderr
    assert run("store", "verify", tmp_path / "p").exit_code == 0
    assert_one_sentence(run("channels", tmp_path / "p", "--out", tmp_path / "c"), "all channels would be zero; trace")
    assert not (tmp_path / "c").exists()


def test_rooms_need_to_be_asked_for(tmp_path):
    room = {"scene": "box", "tx": "0,0,2", "area": "-2,-2,2,2"}
    assert_one_sentence(trace(tmp_path / "o", **room), "inside a building.*--indoors")
    assert trace(tmp_path / "o", *room.values(), "--indoors").exit_code == 0
    assert summarise(tmp_path / "o").line_of_sight_share == 1.0


def test_resuming_what_was_never_begun(tmp_path, paths):
    assert_one_sentence(trace(tmp_path / "o", CANYON, ABOVE, STREET, "--resume"), "holds no store to go on with")
    assert_one_sentence(run("channels", paths, "--out", tmp_path / "o", "--resume"), "without --resume")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--reflections-before", 0), "--reflections-before says nothing without --diffraction"),
        (("--reflections-after", 1), "--reflections-after says nothing without --diffraction"),
        (("--no-lit-region",), "--no-lit-region says nothing without --diffraction"),
        (("--diffuse-tile", 2), "--diffuse-tile says nothing without --diffuse"),
        (("--diffraction", "--depth", 0), "--diffraction says nothing with --depth 0"),
        (("--scheduler", "tcp://127.0.0.1:1", "--workers", 2), "--workers says nothing beside --scheduler"),
        (("--scheduler", "nonsense"), "no Dask scheduler answers at 'nonsense', which is no address"),
        (("--engine", "sionna", "--diffuse", 1), "sionna scatters at a random point for each ray"),
        (("--diffuse", 2, "--diffuse-tile", "nan"), "diffuse_tile_m is nan; give a positive number of metres"),
        (("--diffuse", 2, "--diffuse-tile", "1e-4"), "tiles of 0.0001 m are more than"),
    ],
)
def test_options_that_would_say_nothing_are_refused(tmp_path, words, said):
    result = trace(tmp_path / "o", CANYON, ABOVE, STREET, *words)
    assert result.exit_code == 1
    assert re.search(said, result.stderr.splitlines()[-1]), result.stderr
    assert "--scheduler" in words or not (tmp_path / "o").exists()


def test_exported_channels_take_no_options_of_paths(tmp_path, paths):
    result = run("channels", paths, "--subcarriers", 4, "--bs-array", "single", "--out", tmp_path / "c")
    assert result.exit_code == 0, result.stderr
    for option, value in (("--carrier", "2e9"), ("--bs-array", "single"), ("--season", "winter")):
        result = run("export", tmp_path / "c", "--format", "npz", "--out", tmp_path / "c.npz", option, value)
        assert_one_sentence(result, f"{option} says nothing to the channels in .*; leave it out")
    assert run("export", tmp_path / "c", "--format", "npz", "--out", tmp_path / "c.npz").exit_code == 0


def test_scattering_without_scattered_paths_is_noted_and_changes_nothing(tmp_path, paths):
    with warnings.catch_warnings():
        warnings.simplefilter("always", SiteTwinWarning)
        result = run("channels", paths, "--quantity", "gains", "--scattering", 0.4, "--out", tmp_path / "c")
    assert result.exit_code == 0, result.stderr
    assert "traced without --diffuse" in result.stderr
    assert run("channels", paths, "--quantity", "gains", "--out", tmp_path / "d").exit_code == 0
    rough, plain = (load_channels(tmp_path / name)["gain"] for name in "cd")
    np.testing.assert_array_equal(rough, plain)


@pytest.mark.parametrize("command", ["trace", "channels", "study", "compact"])
def test_folders_of_something_else_are_left_alone(tmp_path, paths, command):
    for name in ("file", "folder"):
        place = tmp_path / name
        if name == "folder":
            place.mkdir()
        (place if name == "file" else place / "thesis.tex").write_text("precious")
        result = {
            "trace": lambda place=place: trace(place),
            "channels": lambda place=place: run("channels", paths, "--out", place),
            "study": lambda place=place: run("study", "csi", "--out", place),
            "compact": lambda place=place: run("store", "compact", paths, place),
        }[command]()
        assert result.exit_code == 1
        assert result.stderr.splitlines()[-1].startswith("sitetwin: error: ")
        assert re.search("choose another", result.stderr)
    assert files_of(tmp_path) == {"file": b"precious", "folder/thesis.tex": b"precious"}


def test_outputs_inside_a_store_would_damage_it(paths):
    before = files_of(paths)
    for place in (paths / "c", paths / "tiles/000000/c"):
        assert_one_sentence(run("store", "compact", paths, place), "lies inside the store")
        assert run("channels", paths, "--subcarriers", 8, "--out", place).exit_code == 1
    assert_one_sentence(trace(paths / "tiles/p"), "lies inside the store")
    assert files_of(paths) == before


def test_another_configuration_is_named_and_nothing_is_touched(paths):
    before = files_of(paths)
    result = trace(paths, CANYON, ABOVE, STREET, "--tile-users", 5, "--seed", 1, "--resume")
    assert_one_sentence(result, r"settings\.seed \(0 there, 1 asked\)")
    assert_one_sentence(trace(paths, CANYON, ABOVE, STREET, "--tile-users", 5), r"resume it \(--resume\)")
    assert files_of(paths) == before


DAMAGES = {
    "truncated": lambda p: (p / "tiles/000001/length/c/0").write_bytes(b""),
    "a tile gone": lambda p: shutil.rmtree(p / "tiles/000001"),
    "the chains gone": lambda p: shutil.rmtree(p / "chains"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_stores_are_refused_and_mended_by_resuming(tmp_path, paths, damage):
    shutil.copytree(paths, tmp_path / "p")
    DAMAGES[damage](tmp_path / "p")
    assert run("store", "verify", tmp_path / "p").exit_code == 1
    assert_one_sentence(run("channels", tmp_path / "p", "--out", tmp_path / "c"), "is damaged.*resume")
    assert not (tmp_path / "c").exists()
    assert trace(tmp_path / "p", CANYON, ABOVE, STREET, "--tile-users", 5, "--resume").exit_code == 0
    assert files_of(tmp_path / "p") == files_of(paths)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--carrier", "1e300"), "--carrier is 1e.300; give a number from 1e.06 to 1e.12"),
        (("--carrier", "5e11", "--out-of-range", "error"), "P.2040-4 defines .* not at 500 GHz"),
        (("--spacing", "1e-300"), "--spacing is"),
        (("--bs-yaw", "1e308"), "--bs-yaw is"),
        (("--atmosphere", "thick"), "--atmosphere is 'thick'; write none, standard"),
        (("--atmosphere", "5,288,7.5"), "give less vapour"),
        (("--atmosphere", "standard", "--carrier", "9e8"), "known from 1 to 1000 GHz, not at 0.9 GHz"),
        (("--rain", "nan"), "--rain is nan; give a number from 0 to 3000 mm/h"),
        (("--rain", "1e9"), "--rain is 1000000000.0; give a number from 0 to 3000 mm/h"),
        (("--rain", "-1"), "--rain is -1.0"),
        (("--atmosphere", "1e9,288,7"), "--atmosphere's pressure is 1000000000.0; give .* to 2000 hPa"),
        (("--atmosphere", "1013,15,7"), "--atmosphere's temperature is 15.0; give a number from 100 to 400 K"),
        (("--atmosphere", "1013,288,-1"), "--atmosphere's vapour is -1.0"),
        (("--taps", "8"), "--taps says nothing to cfr; leave it out, or ask for delay-angle"),
        (("--quantity", "gains", "--subcarriers", "8"), "--subcarriers says nothing to gains"),
        (("--quantity", "gains", "--spacing", "1e4"), "--spacing says nothing to gains"),
        (("--scattering", "1.2"), "--scattering is 1.2; give a number from 0 to 1"),
        (("--bs-array", "ula:1000000000"), "too large; give at most 4096"),
        (("--bs-array", "upa:99999x99999"), "too large"),
        (("--ue-array", "ula:4000", "--bs-array", "ula:64"), "one user takes .* MB .* fewer antennas or subcarriers"),
        (("--subcarriers", "1000000", "--spacing", "100", "--ue-array", "ula:8"), "one user takes"),
    ],
)
def test_absurd_channels_are_refused_before_anything_is_made(tmp_path, paths, words, said):
    assert_one_sentence(run("channels", paths, "--out", tmp_path / "c", *words), said)
    assert list(tmp_path.iterdir()) == []


CUT = "\n".join(f"{angle} 0" for angle in range(360))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.msi", b""),
        ("binary.msi", bytes(range(256))),
        ("cut.msi", f"GAIN 9\nHORIZONTAL 360\n{CUT[:900]}".encode()),
        ("nan.msi", f"GAIN nan\nHORIZONTAL 360\n{CUT}\nVERTICAL 360\n{CUT}\n".encode()),
        ("loud.msi", f"GAIN 5000 dBi\nHORIZONTAL 360\n{CUT}\nVERTICAL 360\n{CUT}\n".encode()),
        ("empty.csv", b""),
        ("words.csv", b"a,b,c\nd,e,f\n"),
        ("nul.csv", b"0,0,\x001\n"),
        ("half.csv", b"0,0,1\n90,0,1\n"),
        ("notes.txt", b"hello"),
        ("absent.csv", None),
    ],
)
def test_pattern_files_of_every_bad_kind(tmp_path, paths, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert_one_sentence(run("channels", paths, "--out", tmp_path / "c", "--pattern", tmp_path / name), re.escape(name))
    assert not (tmp_path / "c").exists()


def raising(error: BaseException):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full; free some space and run it again"),
        (OSError(errno.ENOSPC, "No space left", "run.json"), r"the disk is full \(run\.json\); free"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "the memory is full; work with fewer"),
        (SiteTwinError("scene '\x1b[31mred\n:x: [bold]' is bad"), r"scene '\\x1b\[31mred :x: \[bold\]' is bad"),
    ],
)
def test_what_no_layer_put_into_words(monkeypatch, error, said):
    monkeypatch.setattr(TileStore, "open", raising(error))
    assert_one_sentence(run("store", "info", "anywhere"), said)


def test_a_full_disk_while_tracing_keeps_what_was_finished(tmp_path, paths, monkeypatch):
    import sitetwin.store.tiles as module

    write, room = module.write_group, iter(range(3))  # the chains and two tiles

    def full(*arguments):
        if next(room, None) is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(module, "write_group", full)
    result = trace(tmp_path / "p", CANYON, ABOVE, STREET, "--tile-users", 5)
    assert result.exit_code == 1
    assert re.search(r"the disk is full .* writing tiles/000002 .* free some space and resume\n$", result.stderr)
    monkeypatch.undo()
    assert TileStore.open(tmp_path / "p").verify() == []
    assert len(TileStore.open(tmp_path / "p").groups) == 3
    assert trace(tmp_path / "p", CANYON, ABOVE, STREET, "--tile-users", 5, "--resume").exit_code == 0
    assert files_of(tmp_path / "p") == files_of(paths)


def test_ctrl_c_while_tracing_keeps_what_was_finished(tmp_path, paths, monkeypatch):
    import sitetwin.rays.jobs.run as module

    write, room = module.write_paths_tile, iter(range(2))

    def stopped(*arguments):
        if next(room, None) is None:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(module, "write_paths_tile", stopped)
    result = trace(tmp_path / "p", CANYON, ABOVE, STREET, "--tile-users", 5)
    assert result.exit_code == 130
    assert result.stderr.endswith(f"stopped; run the same command with --resume to go on with {tmp_path / 'p'}\n")
    monkeypatch.undo()
    assert trace(tmp_path / "p", CANYON, ABOVE, STREET, "--tile-users", 5, "--resume").exit_code == 0
    assert files_of(tmp_path / "p") == files_of(paths)


def test_a_current_folder_that_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert_one_sentence(run("doctor"), "the current folder no longer exists; change to another one")


def test_info_says_each_thing_once(paths):
    told = run("store", "info", paths).stdout
    assert "geometry_hash" in told
    assert "configuration: geometry_hash" not in told
    assert "configuration: transmitter" not in told
    assert "configuration: settings" in told


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("city.fgb", b"fgb\3", "ogr2ogr -t_srs EPSG:4326 map.geojson city.fgb"),
        ("city.kml", b"", "ogr2ogr"),
        ("city.dbf", b"\3", "part of a shapefile"),
        ("city.gml", b"<CityModel/>", "citygml-tools to-cityjson city.gml"),
        ("city.stl", b"solid", "export it as .glb"),
        ("city.las", b"LASF", "cloud of points"),
        ("city.tif", b"II*\0", "raster"),
    ],
)
def test_files_of_other_programs_get_a_way_out(name, content, said, tmp_path):
    (tmp_path / name).write_bytes(content)
    file, out = str(tmp_path / name), str(tmp_path / "out")
    traced = ("trace", file, "--tx", "0,0,9", "--area", "0,0,1,1", "--out", out)
    for words in (("site", "import", file, "--out", out), traced):
        result = CliRunner().invoke(cli.app, list(words))
        assert result.exit_code == 1
        assert said in result.stderr
        assert "damaged" not in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("study", "beams", "--out", "o"), "missing option '--scenario' (Folder of a DeepSense 6G scenario"),
        (("trace", "munich", "--are", "0,0,1,1"), "no such option: --are"),
        (("trase",), "no such command 'trase'"),
    ],
)
def test_wrong_options_are_one_sentence(words, said):
    result = CliRunner().invoke(cli.app, list(words))
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "-h` lists the options" in result.stderr


def test_a_season_is_refused_with_what_seasons_mean():
    words = ["channels", "p", "--out", "o", "--season", "autumn"]
    result = CliRunner().invoke(cli.app, words)
    assert result.exit_code == 1
    assert (
        "choose one of summer, winter (in summer deciduous trees bear leaves, in winter they are bare)" in result.stderr
    )
