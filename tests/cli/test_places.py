"""Transmitters by latitude and longitude, users in boxes and along drives, and variants, on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.cli.options.places import UserPlaces
from sitetwin.errors import SiteTwinError
from sitetwin.face.transmitter_texts import LatLon, parse_latlon, read_transmitters
from sitetwin.face.transmitters import transmitters
from sitetwin.rays.jobs.io import summarise
from sitetwin.site import Georeference, Site, load_site, save_site
from sitetwin.site.latlon import to_geographic
from tests.rays.test_drives import gpx
from tests.site.conftest import block, make_town
from tests.site.maps.test_streets import street_map


@pytest.fixture
def place() -> Site:
    from dataclasses import replace

    return replace(make_town([("house", block(10, 10, 30, 30, 8.0), 1)]), georeference=Georeference(48.14, 11.58))


def degrees(site: Site, *points: tuple[float, float]) -> list[float]:
    lat, lon = to_geographic(site, np.array(points))
    return np.column_stack([lat, lon]).ravel().tolist()


def test_transmitters_by_latitude_and_longitude(place: Site, tmp_path: Path) -> None:
    lat, lon = degrees(place, (20.0, 20.0))
    file = tmp_path / "bs.txt"
    file.write_text(f"# two\n1,2,3\nlatlon:{lat:.9f},{lon:.9f},roof+2.5\n")
    given = read_transmitters(["0,0,10", str(file), f"latlon:{lat:.9f},{lon:.9f},30"])
    assert given[:2] == [[0.0, 0.0, 10.0], [1.0, 2.0, 3.0]]
    found = transmitters(place, given)
    np.testing.assert_allclose(found, [[0, 0, 10], [1, 2, 3], [20, 20, 10.5], [20, 20, 30]], atol=1e-3)
    low = LatLon(lat, lon, 2.0, "ground")
    with pytest.raises(SiteTwinError, match="inside a building"):
        transmitters(place, low)
    assert transmitters(place, low, allow_indoors=True)[0, 2] == 2.0


@pytest.mark.parametrize("text", ["1,2,3\nlatlon:1,2\n", "1,2,3\n1,2\n", "# none\n", "0,0,1\n" * 1001])
def test_a_file_of_bad_places_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "masts.txt").write_text(text)
    with pytest.raises(SiteTwinError, match=r"masts\.txt"):
        read_transmitters([str(tmp_path / "masts.txt")])


@pytest.mark.parametrize("text", ["latlon:", "latlon:1,2", "latlon:1,2,3,4", "latlon:a,b,c", "latlon:1,2,nan"])
def test_bad_coordinates_get_a_sentence(text: str) -> None:
    with pytest.raises(SiteTwinError, match="roof"):
        parse_latlon(text)


def test_users_in_a_box_and_along_a_drive(place: Site, tmp_path: Path) -> None:
    corners = degrees(place, (-20.0, -20.0), (20.0, 0.0))
    box, dropped = UserPlaces(area_latlon=",".join(map(repr, corners)), spacing=2.0).users(place)
    assert len(box) == pytest.approx(20 * 10, rel=0.1)
    assert dropped == 0
    assert np.abs(box[:, :2]).max() < 20.1
    file = tmp_path / "walk.gpx"
    file.write_text(gpx(place, np.column_stack([np.linspace(-50, 50, 21), np.full(21, 20.0)])))
    walk, dropped = UserPlaces(gpx=file, spacing=2.5).users(place)
    assert dropped == 7 or dropped == 8  # 20 m of house
    assert len(walk) + dropped == 41 or len(walk) + dropped == 40
    assert (np.abs(walk[:, 0] - 20) >= 10 - 1e-6).all()
    np.testing.assert_allclose(walk[:, 1], 20.0, atol=1e-3)


def test_users_on_the_streets_of_a_map(place: Site, tmp_path: Path) -> None:
    """A residential street of 5.5 m along y = -20 m."""
    file = street_map(place, tmp_path, ({"highway": "residential"}, [(-20.0, -20.0), (20.0, -20.0)]))
    site = str(save_site(place, tmp_path / "here"))
    where = ["--tx", "0,0,20", "--streets", str(file), "--spacing", "2", "--depth", "0"]
    result = CliRunner().invoke(cli.app, ["trace", site, *where, "--out", str(tmp_path / "store")])
    assert result.exit_code == 0, result.stderr
    users, dropped = UserPlaces(streets=file, spacing=2.0).users(place)
    assert dropped == 0
    assert summarise(tmp_path / "store").users == len(users) == pytest.approx(3 * 22, abs=4)
    assert np.abs(users[:, 1] + 20).max() <= 2.75 + 1e-3
    np.testing.assert_allclose(users[:, 2], 1.5)


def test_one_place_for_users_and_only_one() -> None:
    with pytest.raises(SiteTwinError, match="no place for users was given"):
        UserPlaces().check()
    with pytest.raises(SiteTwinError, match="--area and --gpx was given"):
        UserPlaces(area="0,0,1,1", gpx=Path("x.gpx")).check()
    where = ["--tx", "0,0,9", "--area-latlon", "1,2,3,4", "--spacing=-1", "--out", "nowhere"]
    result = CliRunner().invoke(cli.app, ["trace", "munich", *where])
    assert result.exit_code == 1
    assert "--spacing" in result.stderr


def test_trace_says_that_a_scene_has_no_place_on_earth(tmp_path: Path) -> None:
    run = CliRunner()
    arguments = ["trace", "simple_street_canyon", "--tx", "latlon:1,2,30", "--area=-1,-1,1,1"]
    result = run.invoke(cli.app, [*arguments, "--out", str(tmp_path / "a")])
    assert result.exit_code == 1
    assert "does not say where on earth" in result.stderr
    result = run.invoke(cli.app, ["trace", "munich", "--tx", "0,0,30", "--out", str(tmp_path / "b")])
    assert result.exit_code == 1
    assert "--area-latlon" in result.stderr


def test_a_drive_is_traced(place: Site, tmp_path: Path) -> None:
    site = str(save_site(place, tmp_path / "here"))
    file = tmp_path / "walk.gpx"
    file.write_text(gpx(place, np.column_stack([np.linspace(-50, 50, 21), np.full(21, -20.0)])))
    lat, lon = degrees(place, (20.0, 20.0))
    transmitter = f"latlon:{lat:.9f},{lon:.9f},roof+2"
    places = ["--tx", transmitter, "--gpx", str(file), "--spacing", "5"]
    result = CliRunner().invoke(cli.app, ["trace", site, *places, "--depth", "1", "--out", str(tmp_path / "store")])
    assert result.exit_code == 0, result.stderr
    assert summarise(tmp_path / "store").users in (20, 21)


@pytest.mark.filterwarnings("default::sitetwin.errors.SiteTwinWarning")
def test_variants_are_made_seeded_and_refused_in_a_sentence(place: Site, tmp_path: Path) -> None:
    save_site(place, tmp_path / "site")
    (tmp_path / "r.toml").write_text('name = "moved"\nwalls = { sigma = 1.0 }\nparked_vehicles = { count = 3 }\n')

    def run(*words: object) -> object:
        return CliRunner().invoke(cli.app, ["site", "variant", str(tmp_path / "site"), *(str(word) for word in words)])

    for number, seed in enumerate((1, 1, 2)):
        made = run("--recipe", tmp_path / "r.toml", "--seed", seed, "--out", tmp_path / f"v{number}")
        assert made.exit_code == 0, made.stderr
        assert "walls moved" in made.stdout
    sites = [load_site(tmp_path / f"v{k}") for k in range(3)]
    assert sites[0].hash == sites[1].hash != sites[2].hash
    assert sites[0].provenance["parent"] == place.hash
    assert (tmp_path / "v0/arrays.npz").read_bytes() == (tmp_path / "v1/arrays.npz").read_bytes()
    assert run("--recipe", "lod3", "--out", tmp_path / "lod3").exit_code == 0
    (tmp_path / "p.toml").write_text('name = "turned"\npose = { yaw_sigma_deg = 1.0 }\n')
    posed = run("--recipe", tmp_path / "p.toml", "--out", tmp_path / "posed")
    assert posed.exit_code == 0, posed.stderr
    assert "apply_pose" in posed.stderr
    assert load_site(tmp_path / "posed").geometry_hash == place.geometry_hash
    for words, says in (
        (("--recipe", "lod9", "--out", tmp_path / "x"), "choose one of"),
        (("--recipe", tmp_path / "no.toml", "--out", tmp_path / "x"), "cannot be read"),
        (("--recipe", "lod3", "--out", tmp_path / "lod3"), "exists already"),
    ):
        refused = run(*words)
        assert refused.exit_code == 1
        assert says in refused.stderr
