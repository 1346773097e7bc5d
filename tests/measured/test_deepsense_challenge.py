"""Scenarios with cameras (31 to 34) and packages of the challenge: modalities, labels, clocks, and what is missing."""

from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn.beams.metrics import best_beams
from sitetwin.measured import is_challenge, read_challenge, read_deepsense
from sitetwin.measured.deepsense_labels import labels_from_zero
from sitetwin.measured.deepsense_layouts import seconds_of_day
from tests.measured.deepsense_folders import STATION, made_up, write_camera_scenario, write_challenge


def edit(folder, change):
    (table,) = folder.glob("*.csv")
    head, *lines = table.read_text().splitlines()
    table.write_text("\n".join(change(head, lines)) + "\n")


def test_a_scenario_with_a_camera_has_all_that_its_table_names(tmp_path):
    with pytest.warns(SiteTwinWarning, match="1 of 24 labels name a beam whose power is no number"):
        data = read_deepsense(write_camera_scenario(tmp_path / "scenario33"))
    power, place, drive = made_up()
    assert data.image[3].item() == "./unit1/camera_data/image_3.jpg"
    assert data.lidar[3].item() == "./unit1/lidar_data/lidar_data_3.ply"
    assert data.radar[3].item() == "./unit1/radar_data/radar_data_3.npy"
    assert data.drive.values.tolist() == drive.tolist()
    np.testing.assert_allclose(data.latitude, place[:, 0])
    np.testing.assert_allclose(data.time[:3], 3600 + 120 + np.arange(3) * 1.09)
    finite = np.arange(24) != 2
    assert data.label.values[finite].tolist() == power.argmax(axis=1)[finite].tolist()
    assert data.label[2] == -1
    assert np.isnan(data.power[2, 40])
    assert best_beams(data.power.values)[2] == power[2].argmax()  # the powers decide, NaN or not
    assert data.attrs["masked_powers"] == 1
    assert data.dead.values.nonzero()[0].tolist() == [0, 63]


@pytest.mark.parametrize("absent", ["unit1_rgb", "unit1_lidar", "unit1_radar", "unit1_beam", "time_stamp"])
def test_a_modality_that_is_missing_is_absent_and_nothing_else(tmp_path, absent):
    folder = write_camera_scenario(tmp_path / "s")
    edit(folder, lambda head, lines: [head.replace(absent, f"no_{absent[6:]}"), *lines])
    variable = {"unit1_rgb": "image", "unit1_beam": "label", "time_stamp": "time"}.get(absent, absent[6:])
    with pytest.warns(SiteTwinWarning) if absent != "unit1_beam" else nullcontext():
        data = read_deepsense(folder)
    assert variable not in data
    assert {"image", "lidar", "radar", "label", "time", "power"} - {variable} <= set(data.variables)


def test_columns_of_any_capitals_and_older_names_are_found(tmp_path):
    folder = write_camera_scenario(tmp_path / "s")
    edit(folder, lambda head, lines: [head.upper().replace("TIME_STAMP", "Time_Stamp[UTC]"), *lines])
    with pytest.warns(SiteTwinWarning, match="no number"):
        data = read_deepsense(folder)
    assert {"image", "label", "time"} <= set(data.variables)
    assert np.isfinite(data.time).all()


def test_calibrated_positions_are_taken_where_there_are_any(tmp_path):
    folder = write_camera_scenario(tmp_path / "s")
    (folder / "unit2/GPS_data/calibrated.txt").write_text(f"{STATION[0] + 1e-4}\n{STATION[1] + 1e-4}\n")
    edit(
        folder, lambda head, lines: [f"{head},unit2_loc_cal", *(f"{x},./unit2/GPS_data/calibrated.txt" for x in lines)]
    )
    with pytest.warns(SiteTwinWarning):
        data = read_deepsense(folder)
    np.testing.assert_allclose(data.latitude, STATION[0] + 1e-4)


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("03-23-11-091800", 12191.0918),
        ("'03-23-11-91800'", 12191.0918),
        ("03:23:11.5", 12191.5),
        ("3:23:11", 12191.0),
        ("[23-59-59-0]", 86399.0),
        ("25:00:00", np.nan),
        ("11:60:00", np.nan),
        ("noon", np.nan),
        ("", np.nan),
    ],
)
def test_time_stamps(stamp, seconds):
    assert seconds_of_day(stamp) == pytest.approx(seconds, nan_ok=True)


@given(st.text(max_size=30))
def test_any_text_is_a_time_of_the_day_or_none(stamp):
    found = seconds_of_day(stamp)
    assert np.isnan(found) or 0 <= found <= 86400


def test_labels_from_zero_are_told_by_the_powers():
    power = made_up()[0]
    best = power.argmax(axis=1)
    for base in (0, 1):
        found, notes = labels_from_zero(best + base, power)
        assert found.tolist() == best.tolist()
        assert bool(notes) == (base == 0)
    found, notes = labels_from_zero(np.append(best[:-1] + 1, 70), power)
    assert found[-1] == -1
    assert notes == []
    found, notes = labels_from_zero(np.roll(best, 9), power)
    assert "another beam than the strongest" in notes[0]


def test_labels_without_powers_count_from_one_unless_a_zero_is_there():
    nothing = np.full((3, 64), np.nan)
    assert labels_from_zero(np.array([1, 64, -1]), nothing)[0].tolist() == [0, 63, -1]
    found, notes = labels_from_zero(np.array([0, 63, 5]), nothing)
    assert found.tolist() == [0, 63, 5]
    assert "counted from 0" in notes[0]


@given(
    st.lists(st.integers(-3, 80), min_size=1, max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_labels_are_beams_with_a_power_or_none(labels, seed):
    rng = np.random.default_rng(seed)
    power = np.where(rng.random((len(labels), 64)) < 0.5, np.nan, rng.random((len(labels), 64)))
    found, _ = labels_from_zero(np.array(labels), power)
    assert ((found >= -1) & (found < 64)).all()
    for row, label in zip(power, found, strict=True):
        assert label < 0 or np.isfinite(row[label]) or np.isnan(row).all()


# Packages of the challenge


def test_a_package_has_sequences_of_its_scenarios(tmp_path):
    data = read_challenge(write_challenge(tmp_path / "dev"))
    assert dict(data.sizes) == {"sample": 24, "fix": 2, "beam": 64, "step": 5}
    assert data.scenario.values.tolist() == ["32"] * 12 + ["33"] * 12
    power, place, _ = made_up(16, seed=32)
    np.testing.assert_allclose(data.power[:12], power[4:])
    np.testing.assert_allclose(data.latitude[:12, 0], place[:12, 0])
    np.testing.assert_allclose(data.longitude[:12, 1], place[1:13, 1])
    assert data.label[:12].values.tolist() == power[4:].argmax(axis=1).tolist()
    assert data.image[0, 4].item() == "./scenario32/unit1/rgb_data/rgb_4"
    assert np.hypot(data.east, data.north).max() < 40
    assert data.attrs["stations"] == [f"{n}: {STATION[0]:.8f}, {STATION[1]:.8f}" for n in (32, 33)]


def test_a_test_set_has_no_labels_and_no_powers(tmp_path):
    data = read_challenge(write_challenge(tmp_path / "test", labelled=False))
    assert (data.label == -1).all()
    assert np.isnan(data.power).all()


def test_what_is_missing_of_a_package_stays_missing(tmp_path):
    folder = write_challenge(tmp_path / "dev")
    (folder / "scenario32/unit2/GPS_data/GPS_location_0.txt").unlink()
    for n in (0, 1):
        (folder / f"scenario33/unit2/GPS_data/GPS_location_{n}.txt").write_text("999\n999\n")
    (folder / "scenario32/unit1/mmWave_data/mmWave_power_7.txt").write_text("nan\n" * 64)
    edit(folder, lambda head, lines: [head, *lines, ",".join(["99"] + ["x"] * 20)])
    with pytest.warns(SiteTwinWarning, match="could not be read"):
        data = read_challenge(folder)
    assert data.attrs["skipped"] == ["1 whose paths name no scenario", "1 without position"]
    assert np.isnan(data.latitude[0]).values.tolist() == [True, False]
    assert np.isnan(data.power[3]).all()
    assert data.label[3] >= 0  # its label is all that is known of it


def test_images_and_positions_alone_are_a_package_too(tmp_path):
    folder = write_challenge(tmp_path / "dev")
    edit(folder, lambda head, lines: [head.replace("lidar", "laser").replace("radar", "echo"), *lines])
    data = read_challenge(folder)
    assert "image" in data
    assert "lidar" not in data
    assert "radar" not in data


def test_scenario_and_package_are_not_taken_for_each_other(tmp_path):
    package, scenario = write_challenge(tmp_path / "dev"), write_camera_scenario(tmp_path / "s")
    assert is_challenge(package)
    assert not is_challenge(scenario)
    assert not is_challenge(tmp_path / "absent")
    with pytest.raises(SiteTwinError, match="table of sequences"):
        read_deepsense(package)
    with pytest.raises(SiteTwinError, match="no table of sequences"):
        read_challenge(scenario)


@pytest.mark.parametrize("broken", ["two tables", "no rows", "no second fix", "no station"])
def test_packages_that_cannot_be_read_are_refused(tmp_path, broken):
    folder = write_challenge(tmp_path / "dev")
    if broken == "two tables":
        (folder / "again.csv").write_bytes((folder / "ml_challenge_dev_multi_modal.csv").read_bytes())
    elif broken == "no rows":
        edit(folder, lambda head, lines: [head])
    elif broken == "no second fix":
        edit(folder, lambda head, lines: [head.replace("unit2_loc_2", "x"), *lines])
    else:
        for number in (32, 33):
            (folder / f"scenario{number}/unit1/GPS_data/gps_location.txt").unlink()
    with pytest.raises(SiteTwinError):
        read_challenge(folder)


def test_paths_that_leave_a_package_are_not_followed(tmp_path):
    folder = write_challenge(tmp_path / "dev")
    (tmp_path / "secret.txt").write_text("1\n" * 64)
    edit(
        folder, lambda head, lines: [head, *(x.replace("mmWave_data/mmWave", "../../../secret/mmWave") for x in lines)]
    )
    with pytest.warns(SiteTwinWarning, match="names no file in the folder"):
        assert np.isnan(read_challenge(folder).power).all()
