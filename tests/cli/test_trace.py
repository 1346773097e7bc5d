"""`sitetwin trace`: what it takes and refuses, scenes of other programs, several transmitters, the other engine."""

import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.rays.jobs.io import summarise
from sitetwin.store import TileStore
from tests.site.insite_files import write_project


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(cli.app, [str(a) for a in arguments])


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


def test_trace_in_a_wireless_insite_project(run, tmp_path):
    scene = write_project(tmp_path / "run")
    area = ("--area", "-30,-30,30,-10", "--spacing", 10, "--depth", 1)
    result = run("trace", scene, "--tx", "0,-20,12", *area, "--out", tmp_path / "p")
    assert result.exit_code == 0, result.stderr
    summary = summarise(tmp_path / "p")
    assert summary.users == 21
    assert summary.line_of_sight_share == 1.0
    assert summary.paths >= 2 * summary.users  # each user has the line of sight and the ground


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
