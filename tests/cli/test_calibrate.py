"""The whole chain: measure a planted world, calibrate, and give what comes out to the other commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import sitetwin as st
from sitetwin.cli import app as cli
from sitetwin.measured.profiles import profiles_of_csi
from tests.calibrate.street import CARRIER, STATION, channels, street, users

RUN = ("--tx", "0,0,10", "--depth", "1", "--fit", "offset,materials")


def run(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a twin of the permittivity 5 and channels of a world of 7.5, received 3 dB up."""
    folder = tmp_path_factory.mktemp("cell")
    twin = street()
    st.save_site(twin, folder / "street")
    paths = st.trace(twin, tuple(STATION), users(60, 1), max_depth=1)
    data = channels(street(7.5), paths, 2, subcarriers=128, scale=10 ** (3 / 20))
    where = np.stack([data[axis] for axis in "xyz"], axis=1)
    np.savez(folder / "drive.npz", h=data["csi"], frequency=data["frequency"], position=where)
    found = profiles_of_csi(data, taps=(-2, 60))
    delay = 1e9 * (np.arange(found.power.shape[2]) + found.first_tap) / found.rate_hz
    np.savez(
        folder / "profiles.npz",
        power_db=10 * np.log10(found.power[:, 0]),
        delay_ns=delay,
        position=where,
        carrier_hz=CARRIER,
        noise_db=10 * np.log10(found.noise[:, 0]),
    )
    return folder


@pytest.fixture(scope="module")
def calibrated(place):
    result = run("calibrate", place / "street", "--measured", place / "drive.npz", *RUN, "--out", place / "cal")
    assert result.exit_code == 0, result.stderr
    return place / "cal", result.stdout


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_the_planted_permittivity_comes_out_with_its_account(calibrated):
    folder, said = calibrated
    document = json.loads((folder / "calibration.json").read_text())
    rows = {row["name"]: row for row in document["parameters"]}
    stone = rows["relative_permittivity of north stone"]
    assert stone["identified"]
    assert abs(stone["value"] - 7.5) < max(3 * stone["sd"], 0.4)
    assert abs(document["offset_db"] - 3.0) < 0.5
    assert not rows["conductivity of north stone"]["identified"]
    assert "north" in said
    assert "identified" in said
    nats = document["nats_per_tap"]
    assert nats["held_out_after"] < nats["held_out_before"]
    assert document["held_out"]["users"] > 5
    assert document["held_out"]["median_error_after_db"] < 1  # fading of the paths that share a tap
    assert document["held_out"]["rmse_after_db"] < document["held_out"]["rmse_before_db"]
    trials = {trial["stage"]: trial for trial in document["stage_trials"]}
    assert trials["materials"]["kept"]
    assert trials["materials"]["nats_per_tap"] > 0
    assert [name for name, trial in trials.items() if trial["kept"]] == document["stages"]
    assert ("buildings was not kept" in said) == (not trials.get("buildings", {"kept": True})["kept"])
    site = st.open_site(folder / "site")
    assert site.hash == document["hashes"]["calibrated_site"]
    assert {m.relative_permittivity for m in site.materials} != {5.0}
    assert document["differences"][0]["what"] == "split materials"
    assert document["differences"] == site.provenance["differences"]
    page = (folder / "summary.md").read_text()
    assert "| relative_permittivity of north stone |" in page
    assert "| materials | yes |" in page
    assert (folder / "calibration.png").read_bytes().startswith(b"\x89PNG")


def test_every_other_command_takes_what_comes_out(calibrated, tmp_path):
    folder, _ = calibrated
    station = folder / "station.toml"
    area = ("--area", "10,-8,40,8", "--spacing", "8", "--depth", "1")
    for words in (
        ("site", "check", folder / "site"),
        ("trace", folder / "site", "--tx", station, *area, "--out", tmp_path / "paths"),
        ("channels", tmp_path / "paths", "--bs-file", station, "--out", tmp_path / "channels"),
        ("export", tmp_path / "paths", "--format", "npz", "--bs-file", station, "--out", tmp_path / "paths.npz"),
    ):
        result = run(*words)
        assert result.exit_code == 0, f"{words}: {result.stderr}"
    kept = st.open_channels(tmp_path / "channels")
    paths = st.load_paths(tmp_path / "paths")
    assert np.allclose(paths.transmitter, json.loads((folder / "calibration.json").read_text())["station"]["position"])
    site = st.open_site(folder / "site")
    radio = st.channel.read_station_radio(station).radio()
    made = st.channels(paths, site, carrier_hz=CARRIER, radio=radio)
    np.testing.assert_array_equal(kept.values, made.values)
    assert not np.allclose(made.values, st.channels(paths, street(), carrier_hz=CARRIER, radio=radio).values)


def test_the_same_seed_gives_the_same_bytes_and_python_gives_them_too(place, calibrated):
    found = st.calibrate_site(
        st.open_site(place / "street"),
        place / "drive.npz",
        (0, 0, 10),
        fit=("offset", "materials"),
        max_depth=1,
    )
    st.write_calibration(found, place / "again")
    assert contents(place / "again") == contents(calibrated[0])


def test_profiles_tell_the_same_as_the_channels_that_they_were_made_of(place, calibrated):
    words = ("--measured", place / "profiles.npz", *RUN, "--materials", "class", "--out", place / "cal-profiles")
    result = run("calibrate", place / "street", *words)
    assert result.exit_code == 0, result.stderr
    stones = []
    for folder in (place / "cal-profiles", calibrated[0]):
        rows = json.loads((folder / "calibration.json").read_text())["parameters"]
        stones.append(next(row for row in rows if row["name"] == "relative_permittivity of north stone"))
    assert stones[0]["identified"]
    assert abs(stones[0]["value"] - stones[1]["value"]) < 3 * stones[1]["sd"] + 0.3


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--bs-array", "ula:4"), "measured with 1 antennas and the array has 4"),
        (("--carrier", "28e9"), "lies outside the measured band"),
        (("--fit", "offset,walls"), "'walls' cannot be fitted; choose from offset, pose"),
        (("--fit", "offset,scattering"), "traced without diffuse"),
        (("--prior", "yaw=3"), "there is no prior 'yaw'; there are offset_db"),
        (("--prior", "yaw_deg"), "give a name and a number, as yaw_deg=10"),
        (("--noise-db", "nan"), "the noise is nan dB; give a number"),
        (("--block", "0"), "blocks of 0.0 m are none"),
        (("--measured", "none.npz"), "none.npz"),
        (("--ue-array", "ula:2"), "users have 2 antennas"),
        (("--tx", "0,0"), "give 3 numbers"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_leaves_nothing(place, tmp_path, words, says):
    chosen = ("--measured", place / "drive.npz", *RUN, *words, "--out", tmp_path / "cal")
    result = run("calibrate", place / "street", *chosen)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.splitlines()[-1].startswith("sitetwin: error: ")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_kept(place, calibrated):
    result = run("calibrate", place / "street", "--measured", place / "drive.npz", *RUN, "--out", calibrated[0])
    assert result.exit_code == 1
    assert "exists already" in result.stderr


def test_ctrl_c_leaves_nothing(place, tmp_path, monkeypatch):
    def stop(*_args, **_choices):
        raise KeyboardInterrupt

    monkeypatch.setattr("sitetwin.report.calibration.save_site", stop)
    result = run("calibrate", place / "street", "--measured", place / "drive.npz", *RUN, "--out", tmp_path / "cal")
    assert result.exit_code == 130
    assert "stopped; nothing was written" in result.stderr
    assert not list(tmp_path.iterdir())


def test_too_few_profiles_and_those_of_another_site_are_refused(place):
    site, data = st.open_site(place / "street"), st.measured.read_csi(place / "drive.npz")
    with pytest.raises(st.SiteTwinError, match="2 profiles cannot tell"):
        st.calibrate_site(site, data.isel(sample=slice(0, 2)), (0, 0, 10), max_depth=1)
    with pytest.raises(st.SiteTwinError, match="no user stands on the site"):
        st.calibrate_site(site, data.assign(x=data["x"] + 5e3), (0, 0, 10), max_depth=1)


def test_the_stations_file_holds_the_planted_pose(tmp_path):
    """Turned by 4 degrees, tilted by 3 and moved by 0.4 m, with an array of four elements."""
    twin, nominal = street(), st.Radio("ula:4", pattern="tr38901")
    true = st.Radio("ula:4", pattern="tr38901", yaw_deg=4.0, downtilt_deg=3.0)
    there = tuple(STATION + np.array([0.0, 0.4, 0.0]))
    paths = st.trace(twin, there, users(40, 1), max_depth=1)
    data = channels(twin, paths, 3, radio=true, subcarriers=128)
    found = st.calibrate_site(twin, data, tuple(STATION), radio=nominal, fit=("offset", "pose"), max_depth=1)
    st.write_calibration(found, tmp_path / "cal")
    station = st.channel.read_station_radio(tmp_path / "cal" / "station.toml")
    assert station.position == pytest.approx(there, abs=0.1)
    assert (station.yaw_deg, station.downtilt_deg) == pytest.approx((4.0, 3.0), abs=0.5)
    assert station.radio().array.num_antennas == 4
    np.testing.assert_allclose(station.radio().orientation, found.radio.orientation, atol=1e-7)
