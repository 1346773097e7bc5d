import json
import re
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

import sitetwin
from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays.jobs.io import summarise
from sitetwin.store import Array, TileStore
from tests.site.insite_files import write_project


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments])


@pytest.fixture
def store(tmp_path):
    made = TileStore.create(tmp_path / "s", {"kind": "test", "depth": 3}, {"title": "[bold]x"}, [(0, 2), (2, 4)])
    for index in range(2):
        made.write_tile(index, {"users": Array(("user", "xyz"), np.full((2, 3), float(index)))})
    return made


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"sitetwin {sitetwin.__version__}\n"


def test_doctor_speaks_json(run):
    result = run("doctor", "--json")
    told = json.loads(result.stdout)
    assert result.exit_code == (0 if told["can_trace"] else 1)
    assert {"python", "ray casting", "torch", "processor", "memory", "disk"} <= {c["name"] for c in told["checks"]}


def test_doctor_prints_a_table(run):
    result = run("doctor")
    assert "ray casting" in result.stdout


def test_store_commands_on_a_whole_store(run, store, tmp_path):
    assert run("store", "verify", store.path).exit_code == 0
    info = run("store", "info", store.path)
    assert info.exit_code == 0
    assert "2 of 2" in info.stdout
    assert "[bold]x" in info.stdout  # data is never markup
    assert run("store", "compact", store.path, tmp_path / "flat").exit_code == 0
    assert (tmp_path / "flat" / "zarr.json").is_file()


def test_store_verify_names_what_is_wrong(run, store):
    (store.path / "tiles/000001/users/c/0/0").write_bytes(b"")
    result = run("store", "verify", store.path)
    assert result.exit_code == 1
    assert "damaged: tiles/000001" in result.stdout
    assert "resume" in result.stderr


@pytest.mark.parametrize("command", ["verify", "info"])
def test_a_folder_that_is_no_store(run, tmp_path, command):
    result = run("store", command, tmp_path)
    assert result.exit_code == 1
    assert re.fullmatch(r"sitetwin: error: .* is not a sitetwin store: .*; check the path\n", result.stderr)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"--tx": "1,2"}, "--tx"),
        ({"--tx": "1,2,nan"}, "--tx"),
        ({"--tx": "a,b,c"}, "--tx"),
        ({"--area": "10,0,0,10"}, "--area"),
        ({"--area": "0,0,inf,10"}, "--area"),
        ({"--spacing": "0"}, "--spacing"),
        ({"--spacing": "nan"}, "--spacing"),
        ({"--height": "-1"}, "--height"),
    ],
)
def test_bad_numbers_are_said_in_one_sentence(run, tmp_path, changes, named):
    options = {"--tx": "0,0,30", "--area": "0,0,10,10", **changes}
    result = run("trace", "munich", *(word for pair in options.items() for word in pair), "--out", tmp_path / "o")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"sitetwin: error: {named} ")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "o").exists()


def raising(error: BaseException):
    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SiteTwinError("the map is upside down; turn it"), 1, "sitetwin: error: the map is upside down; turn it\n"),
        (KeyboardInterrupt(), 130, "sitetwin: stopped by Ctrl-C\n"),
        (
            ValueError("bad\nshape"),
            1,
            "sitetwin: error: unexpected ValueError: bad; `sitetwin --debug ...` shows where\n",
        ),
        (MemoryError(), 1, "sitetwin: error: the memory is full; work with fewer users or a smaller batch\n"),
    ],
)
def test_failures_are_one_sentence(run, monkeypatch, error, status, said):
    monkeypatch.setattr(TileStore, "open", raising(error))
    result = run("store", "info", "anywhere")
    assert result.exit_code == status
    assert result.stderr == said


def test_debug_shows_the_traceback(run, monkeypatch):
    monkeypatch.setattr(TileStore, "open", raising(ValueError("bad shape")))
    result = run("--debug", "store", "info", "anywhere")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].endswith("unexpected ValueError: bad shape")


def test_warnings_are_sentences(run, monkeypatch, tmp_path):
    def warn(path):
        warnings.warn("the frequency was clamped", SiteTwinWarning, stacklevel=2)
        raise SiteTwinError("and stop")

    monkeypatch.setattr(TileStore, "open", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always", SiteTwinWarning)
        result = run("store", "info", tmp_path)
    assert "sitetwin: note: the frequency was clamped\n" in result.stderr


def test_wrong_options_are_the_command_lines_own_business(run):
    assert run("store", "info").exit_code == 2
    assert run("no-such-command").exit_code == 2


def test_trace_in_a_wireless_insite_project(run, tmp_path):
    scene = write_project(tmp_path / "run")
    area = ("--area", "-30,-30,30,-10", "--spacing", 10, "--depth", 1)
    result = run("trace", scene, "--tx", "0,-20,12", *area, "--out", tmp_path / "p")
    assert result.exit_code == 0, result.stderr
    summary = summarise(tmp_path / "p")
    assert summary.users == 21
    assert summary.line_of_sight_share == 1.0
    assert summary.paths >= 2 * summary.users  # each user has the line of sight and the ground


def test_convergence_writes_a_table_and_a_figure(run, tmp_path):
    where = ("simple_street_canyon", "--tx", "-33,0,32", "--area=-40,-8,40,8", "--spacing", "8", "--depth", "1")
    files = [tmp_path / "new" / "c.csv", tmp_path / "new" / "c.png"]
    result = run("convergence", *where, "--lattices", "6", "--rays", "5000", "--out", files[0], "--out", files[1])
    assert result.exit_code == 0, result.stderr
    assert files[0].read_text().startswith("lattices,rays,chains,paths,missed_pairs,")
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert "missed power under 0.0005" in result.stdout
    refused = run("convergence", *where, "--out", tmp_path / "c.pdf")
    assert refused.exit_code == 1
    assert ".csv, .png, .svg" in refused.stderr


def test_transmitters_from_a_file_and_by_hand(run, tmp_path):
    (tmp_path / "sites.csv").write_text("# x,y,z\n-33,0,32\n\n20, 0, 12\n")
    where = ("simple_street_canyon", "--area=-40,-8,40,8", "--spacing", "8", "--depth", "0")
    result = run("trace", *where, "--tx", tmp_path / "sites.csv", "--transmitter", "0,0,9", "--out", tmp_path / "s")
    assert result.exit_code == 0, result.stderr
    assert [TileStore.open(tmp_path / "s" / f"tx00{k}").attributes["transmitter"][0] for k in range(3)] == [-33, 20, 0]
    assert "tx002" in result.stdout
    again = run("trace", *where, "--tx", tmp_path / "sites.csv", "--tx", "0,0,9", "--out", tmp_path / "s")
    assert "--resume" in again.stderr
    for content, said in (("1,2\n", "line 1"), ("#\n", "0 transmitters"), ("1,2,nan", "line 1")):
        (tmp_path / "bad.csv").write_text(content)
        refused = run("trace", *where, "--tx", tmp_path / "bad.csv", "--out", tmp_path / "t")
        assert refused.exit_code == 1
        assert said in refused.stderr
    assert not (tmp_path / "t").exists()


def test_the_other_engine(run, tmp_path):
    where = ("simple_street_canyon", "--tx", "-33,0,32", "--area=-40,-8,40,8", "--spacing", "16", "--depth", "1")
    result = run("trace", *where, "--engine", "sionna", "--out", tmp_path / "s")
    assert result.exit_code == 0, result.stderr
    assert "not stated" in result.stdout  # it says nothing of what it missed
    assert TileStore.open(tmp_path / "s").configuration["engine"] == "sionna"
    refused = run("trace", *where, "--engine", "winprop", "--out", tmp_path / "t")
    assert "choose sitetwin or sionna" in refused.stderr
    assert not (tmp_path / "t").exists()
