"""The switches of the command line that add propagation effects, from the scene to the gains."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from sitetwin.channel import load_channels
from sitetwin.cli import app as cli
from sitetwin.rays import Interaction, load_paths


def run(*words):
    result = CliRunner().invoke(cli.app, [str(word) for word in words])
    assert result.exit_code == 0, result.stderr
    return result


def gains(paths, out, *more):
    run("channels", paths, "--out", out, "--quantity", "gains", "--carrier", 28e9, "--bs-array", "single", *more)
    return load_channels(out)["gain"].reshape(-1)


def trace(out, *more):
    run("trace", "simple_street_canyon", "--tx", "-33,0,32", "--area", "-30,-8,30,8", "--spacing", 8, "--depth", 1,
        "--out", out, *more)  # fmt: skip
    return load_paths(out)


@pytest.fixture(scope="module")
def rough(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rough") / "p"
    return folder, trace(folder, "--diffuse", 4, "--diffuse-tile", 3)


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_diffuse_scattering(rough, tmp_path):
    folder, paths = rough
    scattered = (paths.kinds == Interaction.DIFFUSE).any(axis=1)
    mirrored = (paths.kinds == Interaction.REFLECTION).any(axis=1)
    assert scattered.sum() == 4 * paths.num_users
    smooth = gains(folder, tmp_path / "smooth")  # the scene's walls are smooth
    assert not smooth[scattered].any()
    half = gains(folder, tmp_path / "half", "--scattering", 0.6)
    assert (np.abs(half[scattered]) > 0).all()
    np.testing.assert_allclose(half[mirrored], 0.8 * smooth[mirrored], rtol=1e-5)
    kept = gains(folder, tmp_path / "kept", "--scattering", 0.6, "--surfaces-smooth")
    np.testing.assert_allclose(kept, smooth, rtol=1e-5)
    other = gains(folder, tmp_path / "other", "--scattering", 0.6, "--diffuse-seed", 1)
    np.testing.assert_allclose(np.abs(other), np.abs(half), rtol=1e-4)
    assert not np.allclose(other[scattered], half[scattered])


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_air_and_rain(rough, tmp_path):
    folder, paths = rough
    sight = paths.depth == 0
    dry, air = gains(folder, tmp_path / "dry"), gains(folder, tmp_path / "air", "--atmosphere", "standard")
    rain = gains(folder, tmp_path / "rain", "--rain", 50)
    per_km = -20e3 * np.log10(np.abs(np.stack([air, rain])[:, sight] / dry[sight])) / paths.length[sight]
    assert 0.05 < per_km[0].mean() < 0.2  # dB/km of air at 28 GHz
    assert 7 < per_km[1].mean() < 11  # P.838: k = 0.2, alpha = 0.95 at 50 mm/h


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_transmission(rough, tmp_path):
    _, opaque = rough
    paths = trace(tmp_path / "p", "--transmissions", 2)
    through = (paths.kinds == Interaction.TRANSMISSION).sum(axis=1)
    assert through.max() == 2
    assert (~(opaque.kinds == Interaction.DIFFUSE).any(axis=1)).sum() == (through == 0).sum()
    found = gains(tmp_path / "p", tmp_path / "g", "--foliage", "none")
    free = 299_792_458.0 / 28e9 / (4 * np.pi * paths.length)
    loss = -20 * np.log10(np.abs(found) / free)
    assert (loss[through == 2] > 10).all()  # concrete and the like at 28 GHz


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_diffraction(tmp_path):
    """Both models, and the lit region left out."""
    corners = ("--area=-30,-40,30,40", "--diffraction", "--reflections-before", 0, "--reflections-after", 0)
    edges, shadow = trace(tmp_path / "p", *corners), trace(tmp_path / "s", *corners, "--no-lit-region")
    bent = (edges.kinds == Interaction.DIFFRACTION).any(axis=1)
    assert 0 < (shadow.kinds == Interaction.DIFFRACTION).any(axis=1).sum() < bent.sum()
    ours, theirs = gains(tmp_path / "p", tmp_path / "g"), gains(tmp_path / "p", tmp_path / "h",
                                                               "--diffraction-model", "sionna")  # fmt: skip
    np.testing.assert_array_equal(ours[~bent], theirs[~bent])
    assert (ours[bent] != theirs[bent]).any()
    run("export", tmp_path / "p", "--format", "npz", "--out", tmp_path / "p.npz", "--carrier", 28e9,
        "--diffraction-model", "sionna")  # fmt: skip
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["gain"].reshape(-1), theirs, rtol=1e-5)


def test_models_of_edges_are_refused_where_there_are_none(rough, tmp_path):
    said = "--diffraction-model says nothing"
    of_paths = (rough[0], "--out", tmp_path / "o.npz")
    for command in (
        ("export", *of_paths, "--format", "npz"),
        ("channels", *of_paths),
        ("coverage", "box", "--area=-1,-1,1,1", "--out", tmp_path / "o", "--station", "position=0,0,1 eirp_dbm=1"),
    ):
        result = CliRunner().invoke(cli.app, [*map(str, command), "--diffraction-model", "sionna"])
        assert result.exit_code == 1
        assert said in result.stderr
        result = CliRunner().invoke(cli.app, [*map(str, command), "--diffraction-model", "keller"])
        assert "choose one of luebbers, sionna" in result.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::sitetwin.errors.SiteTwinWarning")
def test_exports_take_air_rain_and_roughness_too(rough, tmp_path):
    folder, _ = rough
    switches = ("--atmosphere", "1000,300,12", "--rain", 20, "--scattering", 0.5, "--diffuse-seed", 3)
    want = gains(folder, tmp_path / "c", *switches)
    run("export", folder, "--format", "npz", "--out", tmp_path / "p.npz", "--carrier", 28e9, *switches)
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["gain"].reshape(-1), want, rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rain", -1), "--rain is -1.0; give a number from 0 to 3000 mm/h"),
        (("--atmosphere", "wet"), "--atmosphere is 'wet'; write none, standard"),
        (("--scattering", 1.5), "--scattering is 1.5; give a number from 0 to 1"),
    ],
)
def test_impossible_weather_is_refused_by_every_command(rough, tmp_path, words, said):
    of_paths = (rough[0], "--out", tmp_path / "o")
    for command in (
        ("export", *of_paths, "--format", "npz"),
        ("channels", *of_paths),
        ("coverage", "box", "--area=-1,-1,1,1", "--out", tmp_path / "o", "--station", "position=0,0,1 eirp_dbm=1"),
    ):
        result = CliRunner().invoke(cli.app, [str(word) for word in (*command, *words)])
        assert result.exit_code == 1
        assert said in result.stderr
        assert not (tmp_path / "o").exists()


def test_what_follows_from_assumed_walls_is_told_once_where_it_matters(tmp_path):
    ring = [[11.0, 48.0], [11.0002, 48.0], [11.0002, 48.0001], [11.0, 48.0001], [11.0, 48.0]]
    house = {
        "type": "Feature",
        "id": "way/1",
        "properties": {"building": "yes", "height": 9},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [house]}))
    run("site", "import", tmp_path / "a.geojson", "--out", tmp_path / "site")
    told, at = {}, "one passage straight through 'concrete' of 0.2 m costs"
    for name, more in (("opaque", ()), ("thin", ("--transmissions", 1, "--diffuse", 2))):
        place = (tmp_path / "site", "--tx=-20,0,5", "--area=-30,-9,30,9", "--spacing", 9, "--depth", 0)
        told[name] = run("trace", *place, "--out", tmp_path / name, *more).stderr
        scene = ("--scene", tmp_path / "site", "--carrier", 28e9, "--quantity", "gains")
        told[f"fields, {name}"] = run("channels", tmp_path / name, *scene, "--out", tmp_path / f"c {name}").stderr
    assert {name: text.count(at) for name, text in told.items()} == {
        "opaque": 0, "fields, opaque": 0, "thin": 1, "fields, thin": 1,
    }  # fmt: skip
    assert f"at 28 GHz {at} 90.9 dB; a pane of glass" in told["fields, thin"]
    assert f"at 3.5 and 28 GHz {at} 19.0 dB and 90.9 dB" in told["thin"]
    assert [text.count("diffuse paths carry no power") for text in told.values()] == [0, 0, 1, 1]
    assert told["fields, opaque"].count("taken for 'paving' (concrete)") == 1
