"""Commands and the Python beside them on the page of the command line write the same bytes."""

import inspect
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import sitetwin as st
from sitetwin.cli import app as cli
from sitetwin.cli.options.groups import option_names
from sitetwin.cli.site_import import MapPart, ModelReading
from sitetwin.face.places import ModelChoices
from sitetwin.site.projection import LocalProjection

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"
SECTION = PAGE.read_text(encoding="utf-8").split("## The same in Python\n")[1].split("\n## ")[0]
PAIRS = re.findall(r"^```sh\n(.*?)^```\n+```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)
IMPORTS = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)[0]


def write_map(file):
    """A house of 20 m x 20 m about the origin, another beside it, and a street to the south."""
    projection = LocalProjection(48.137, 11.575)
    lines = {
        "house": ([(-10, -10), (10, -10), (10, 10), (-10, 10), (-10, -10)], {"building": "yes", "height": "12"}),
        "shed": ([(25, -10), (40, -10), (40, 0), (25, 0), (25, -10)], {"building": "yes", "height": "4"}),
        "street": ([(-60, -30), (60, -30)], {"highway": "residential"}),
    }
    nodes, ways = [], []
    for number, (corners, tags) in enumerate(lines.values(), 1):
        places = projection.to_wgs84(np.array(corners, dtype=float))
        refs = [len(nodes) + k for k in range(1, len(places) + 1)]
        for ref, (longitude, latitude) in zip(refs, places, strict=True):
            nodes.append(f'<node id="{ref}" lat="{latitude:.8f}" lon="{longitude:.8f}"/>')
        if corners[0] == corners[-1]:
            refs[-1] = refs[0]
        inside = "".join(f'<nd ref="{ref}"/>' for ref in refs)
        inside += "".join(f'<tag k="{key}" v="{value}"/>' for key, value in tags.items())
        ways.append(f'<way id="{number}">{inside}</way>')
    file.write_text(f'<osm version="0.6">{"".join(nodes)}{"".join(ways)}</osm>')


def write_models(folder):
    """A house on a field as OBJ (y up), CityJSON and GeoJSON."""
    x, y = 691_000.0, 5_335_000.0  # EPSG:25832
    field = [(x - 50, y - 50, 0), (x + 50, y - 50, 0), (x + 50, y + 50, 0), (x - 50, y + 50, 0)]
    foot = [(x - 5, y - 5), (x + 5, y - 5), (x + 5, y + 5), (x - 5, y + 5)]
    corners = [*field, *((*place, 0.0) for place in foot), *((*place, 8.0) for place in foot)]
    faces = [[8, 9, 10, 11], *([4 + k, 4 + (k + 1) % 4, 8 + (k + 1) % 4, 8 + k] for k in range(4))]
    lines = ["o field", "f 1 2 3 4", "o house", *("f " + " ".join(str(k + 1) for k in face) for face in faces)]
    for name, east, north in (("block", x, y), ("block-utm", 0.0, 0.0)):
        turned = [f"v {a - east} {c} {north - b}" for a, b, c in corners]
        (folder / f"{name}.obj").write_text("\n".join([*turned, *lines]))
    city = {
        "type": "CityJSON",
        "version": "1.1",
        "transform": {"scale": [0.001, 0.001, 0.001], "translate": [x, y, 0]},
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/25832"},
        "vertices": [[round(1e3 * (a - x)), round(1e3 * (b - y)), round(1e3 * c)] for a, b, c in corners],
        "CityObjects": {
            "h": {
                "type": "Building",
                "geometry": [
                    {"type": "Solid", "lod": lod, "boundaries": [[[face] for face in [*faces, [7, 6, 5, 4]]]]}
                    for lod in ("1.2", "2.2")
                ],
            }
        },
    }
    (folder / "block.city.json").write_text(json.dumps(city))
    ring = [[11.575, 48.137], [11.5752, 48.137], [11.5752, 48.1371], [11.575, 48.1371], [11.575, 48.137]]
    house = {"type": "Feature", "properties": {"hoehe": 7}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    (folder / "houses.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [house]}))


def write_walk(file):
    """A walk of 80 m along the street, a point every 10 m and 8 seconds."""
    places = LocalProjection(48.137, 11.575).to_wgs84(np.array([(x, -30.0) for x in range(-40, 41, 10)]))
    points = "".join(
        f'<trkpt lat="{latitude:.7f}" lon="{longitude:.7f}">'
        f"<time>2024-05-01T10:{8 * k // 60:02}:{8 * k % 60:02}Z</time></trkpt>"
        for k, (longitude, latitude) in enumerate(places)
    )
    file.write_text(
        '<gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1">'
        f"<trk><trkseg>{points}</trkseg></trk></gpx>"
    )


def write_drive(file):
    """Channels along the street canyon, as they would be with walls of another permittivity."""
    site = st.open_site("simple_street_canyon")
    world = site.variant(
        material_values={m.name: {"relative_permittivity": 6.0, "conductivity": 0.1} for m in site.materials}
    )
    users = st.grid(site, area=(-20, -7, 50, 7), spacing=5)
    paths = st.trace(world, (-33, 0, 12), users, max_depth=1)
    h = st.channels(paths, world, carrier_hz=3.5e9, bandwidth_hz=100e6, subcarriers=64)
    rng = np.random.default_rng(1)
    noise = (rng.standard_normal((*h.shape, 2)) @ np.array([1, 1j]))[:, 0] * float(np.abs(h).mean()) / 50
    np.savez(file, h=h.values[:, 0] + noise, frequency=h["frequency"].values, position=users)


def write_users(file):
    """Channels of 60 users over 8 antennas and 64 subcarriers, from a few paths each."""
    rng = np.random.default_rng(2)
    frequency = 3.5e9 + (np.arange(64) - 32) * 2e6
    delay, turn = rng.uniform(30e-9, 200e-9, (60, 3, 1, 1)), rng.uniform(-0.5, 0.5, (60, 3, 1, 1))
    gain = rng.standard_normal((60, 3, 1, 1)) + 1j * rng.standard_normal((60, 3, 1, 1))
    waves = np.exp(2j * np.pi * (turn * np.arange(8)[:, None] - delay * (frequency - 3.5e9)))
    np.savez(file, h=(gain * waves).sum(axis=1), frequency=frequency)


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Two folders: in one the commands were run, in the other the Python."""
    top = tmp_path_factory.mktemp("both")
    names: dict[str, object] = {}
    exec(IMPORTS, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sitetwin.report.coverage.writer._picture", lambda *arguments: b"no picture")
        for way in ("command", "python"):
            (top / way).mkdir()
            write_map(top / way / "city.osm")
            write_models(top / way)
            write_walk(top / way / "walk.gpx")
            write_drive(top / way / "drive.npz")
            write_users(top / way / "users.npz")
            (top / way / "runs").mkdir()
            (top / way / "sites").mkdir()
        for command, python in PAIRS:
            patch.chdir(top / "command")
            result = CliRunner().invoke(cli.app, shlex.split(command)[1:])
            assert result.exit_code == 0, f"{command}: {result.stderr}"
            patch.chdir(top / "python")
            exec(compile(python, command, "exec"), names)
    return contents(top / "command"), contents(top / "python")


def outputs():
    return [shlex.split(command)[-1] for command, _ in PAIRS]


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
@pytest.mark.parametrize("output", outputs())
def test_the_same_bytes_come_both_ways(both, output):
    command, python = ({name: data for name, data in files.items() if _within(name, output)} for files in both)
    assert command
    assert set(command) == set(python)
    assert [name for name in command if command[name] != python[name]] == []


def _within(name, output):
    return name == output or name.startswith(f"{output}/")


def test_every_command_has_its_python():
    listed = set(re.findall(r"sitetwin ((?:site|store|study) [a-z-]+|[a-z]+)", SECTION)) | {"store verify"}
    single = {info.name for info in cli.app.registered_commands}
    groups = {"site": cli.site_app, "store": cli.store_app, "study": cli.study_app}
    known = single | {f"{name} {info.name}" for name, app in groups.items() for info in app.registered_commands}
    assert known <= listed


def test_all_that_an_import_takes_is_taken_by_a_notebook():
    face = (
        set(inspect.signature(st.open_site).parameters) | set(ModelChoices.__annotations__) | {"box"}
    )  # a box is a `clip`
    assert {*option_names(MapPart), *option_names(ModelReading), "origin", "materials"} <= face | {
        "box"
    }  # a box is a `clip`
