"""Where a file is due, a pipe, a device without an end or a folder is refused at once, in one sentence."""

import os
import signal

import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli

CANYON, PLACES, AREA = "simple_street_canyon", "--tx=-33,0,32", "--area=-30,-8,30,8"
SITES = (".xml", ".glb", ".gltf", ".obj", ".ply", ".json", ".jsonl", ".city", ".setup")
RASTERS = (".tif", ".asc", ".hgt")
MAPS = (".osm", ".pbf", ".geojson", ".gz", ".bz2")
COMMANDS = [
    *(("site", "import", f"FILE{kind}", "--out", "o") for kind in (*SITES, *MAPS)),
    *(("site", "check", f"FILE{kind}") for kind in SITES),
    ("site", "import", "town.geojson", "--materials", "FILE.toml", "--out", "o"),
    *(
        ("site", "import", "town.geojson", "--terrain", f"FILE{kind}", "--out", "o")
        for kind in (".tif", ".asc", ".hgt")
    ),
    ("site", "variant", CANYON, "--recipe", "FILE.toml", "--out", "o"),
    ("site", "export", "FILE.glb", "--out", "o.glb"),
    ("trace", "FILE", PLACES, AREA, "--out", "o"),
    ("trace", CANYON, "--tx", "FILE.txt", AREA, "--out", "o"),
    ("trace", CANYON, PLACES, "--gpx", "FILE.gpx", "--out", "o"),
    ("trace", CANYON, PLACES, "--streets", "FILE.osm", "--out", "o"),
    ("convergence", "FILE", PLACES, AREA),
    ("channels", "FILE", "--out", "o"),
    ("coverage", CANYON, "--stations", "FILE.toml", AREA, "--out", "o"),
    ("coverage", CANYON, "--stations", "FILE.json", AREA, "--out", "o"),
    ("export", "FILE", "--format", "npz", "--out", "o.npz"),
    ("view", "FILE"),
    ("store", "info", "FILE"),
    ("store", "verify", "FILE"),
    ("store", "compact", "FILE", "o"),
    ("study", "csi", "--cell", "FILE.toml", "--out", "o"),
    ("study", "beams", "--scenario", "FILE", "--out", "o"),
]
TOWN = (
    '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{"building":"yes","height":"9"},"geometry":'
    '{"type":"Polygon","coordinates":[[[11,48],[11.0002,48],[11.0002,48.0002],[11,48.0002],[11,48]]]}}]}'
)


def _too_long(*_):
    raise TimeoutError("it waits for a file that never ends")


@pytest.fixture(params=["pipe", "device", "folder"])
def no_file(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "town.geojson").write_text(TOWN)

    def make(suffix):
        place = tmp_path / f"no{suffix}"
        if request.param == "pipe":
            os.mkfifo(place)
        elif request.param == "device":
            place.symlink_to("/dev/zero")
        else:
            place.mkdir()
        return place

    return make


def test_what_is_no_file_ends_in_one_sentence(no_file):
    before = signal.signal(signal.SIGALRM, _too_long)
    made = {}
    try:
        for command in COMMANDS:
            words = list(command)
            at = next(k for k, word in enumerate(words) if word.startswith("FILE"))
            suffix = words[at].removeprefix("FILE")
            if suffix not in made:
                made[suffix] = no_file(suffix)
            words[at] = str(made[suffix])
            signal.alarm(20)
            result = CliRunner().invoke(cli.app, words)
            signal.alarm(0)
            assert result.exit_code in (1, 2), (command, result.stderr)
            said = [line for line in result.stderr.splitlines() if "%" not in line]
            assert len(said) == 1, (command, result.stderr)
            assert said[0].startswith("sitetwin: error: "), (command, result.stderr)
            assert "unexpected" not in said[0], (command, result.stderr)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
