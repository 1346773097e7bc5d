import contextlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.channel.formats import read_npy, read_text_numbers
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.measured.deepsense import drives_of_track, read_codebook, read_deepsense
from sitetwin.store.mat_files import read_mat
from tests.measured.deepsense_folders import (
    made_up,
    write_codebook,
    write_gathered,
    write_official,
    write_paper,
)


@pytest.mark.parametrize("write", [write_official, write_gathered, write_paper])
def test_every_layout_gives_the_same_rows(tmp_path, write):
    data = read_deepsense(write(tmp_path / "scenario"))
    power, place, drive = made_up()
    np.testing.assert_allclose(data.power, power)
    np.testing.assert_allclose(data.latitude, place[:, 0])
    np.testing.assert_allclose(data.east, np.repeat([21.0, 15.0], 12), atol=1e-3)
    np.testing.assert_allclose(data.north[:12], np.linspace(-20, 20, 12), atol=1e-3)
    assert (np.diff(data.drive) != 0).sum() == 1
    assert data.drive[0] != data.drive[-1]
    assert data.attrs["skipped"] == []
    assert data.dead.values.nonzero()[0].tolist() == [0, 63]
    if write is write_official:
        assert data.image[3].item() == "./unit1/camera_data/image_3.jpg"
        assert data.drive.values.tolist() == drive.tolist()


def test_bad_rows_are_named_counted_and_skipped(tmp_path):
    folder = write_official(tmp_path / "s")
    powers, fixes = folder / "unit1/mmWave_data", folder / "unit2/GPS_data"
    (powers / "mmWave_power_0.txt").unlink()
    (powers / "mmWave_power_1.txt").write_text("nan\n" * 64)
    (powers / "mmWave_power_2.txt").write_text("no numbers")
    (powers / "mmWave_power_3.txt").write_text("0.5\n" * 32)
    (fixes / "GPS_location_4.txt").unlink()
    (fixes / "GPS_location_5.txt").write_text("40.0\n-111.9\n")
    (fixes / "GPS_location_6.txt").write_text("933.0\n-111.9\n")
    text = (folder / "scenario1.csv").read_text().splitlines()
    (folder / "scenario1.csv").write_text("\n".join([*text, text[-1]]) + "\n")
    lines = (powers / "mmWave_power_7.txt").read_text().splitlines()
    (powers / "mmWave_power_7.txt").write_text("\n".join(["nan", "-1", "0.0", *lines[3:]]))
    with pytest.warns(SiteTwinWarning, match=r"could not be read: .*(mmWave_power_0|GPS_location_4)\.txt"):
        data = read_deepsense(folder)
    assert data.sizes["sample"] == 24 - 7
    assert sorted(data.attrs["skipped"]) == [
        "1 farther than 300 m from the base station",
        "1 repeating an earlier row",
        "1 with another number of beams",
        "2 without position",
        "3 without power",
    ]
    assert data.attrs["masked_powers"] == 3
    assert [note.partition("'")[2].partition("'")[0][-20:] for note in data.attrs["notes"]] == [
        str(powers / "mmWave_power_0.txt")[-20:],
        str(fixes / "GPS_location_4.txt")[-20:],
    ]
    assert np.isnan(data.power[0, :3]).all()


@pytest.mark.parametrize(
    ("cell", "source"), [("{}.0", "table"), ("--{}", "turns of the track"), ("²", "turns of the track")]
)
def test_drive_numbers_of_a_table_are_read_or_not_believed(tmp_path, cell, source):
    folder = write_official(tmp_path / "s")
    table = folder / "scenario1.csv"
    head, *lines = table.read_text().splitlines()
    cells = [line.rpartition(",") for line in lines]
    table.write_text("\n".join([head, *(f"{rest},{cell.format(number)}" for rest, _, number in cells)]) + "\n")
    data = read_deepsense(folder)
    assert data.attrs["drive_source"] == source
    assert len(np.unique(data.drive)) == 2


def test_paths_that_leave_the_folder_are_not_followed(tmp_path):
    folder = write_official(tmp_path / "s")
    (tmp_path / "secret.txt").write_text("1\n" * 64)
    table = folder / "scenario1.csv"
    table.write_text(table.read_text().replace("./unit1/mmWave_data/mmWave_power_0.txt", "unit1/../../secret.txt"))
    with pytest.warns(SiteTwinWarning, match="names no file in the folder of the scenario"):
        assert "1 without power" in read_deepsense(folder).attrs["skipped"]


def test_rows_of_a_table_are_bounded_before_their_files_are_read(tmp_path, monkeypatch):
    write_official(tmp_path)
    monkeypatch.setattr("sitetwin.measured.deepsense_layouts.MOST_ROWS", 20)
    with pytest.raises(SiteTwinError, match=r"scenario1\.csv' has 24 rows, more than 20"):
        read_deepsense(tmp_path)


def test_a_folder_of_several_scenarios_asks_which(tmp_path):
    write_gathered(tmp_path)
    write_gathered(tmp_path, scenario=5)
    with pytest.raises(SiteTwinError, match="gathers several scenarios"):
        read_deepsense(tmp_path)
    assert read_deepsense(tmp_path / "scenario5_unit1_pwr_60ghz_1-24.npy").attrs["scenario"] == "scenario5"


@pytest.mark.parametrize("name", ["unit2_loc", "unit1_loc", "seq_index"])
def test_arrays_that_do_not_fit_are_refused(tmp_path, name):
    write_gathered(tmp_path)
    path = tmp_path / f"scenario1_{name}_1-24.npy"
    np.save(path, np.load(path)[:5])
    with pytest.raises(SiteTwinError, match=name):
        read_deepsense(tmp_path)


def test_pickles_and_cells_are_refused(tmp_path):
    write_gathered(tmp_path)
    path = tmp_path / "scenario1_unit2_loc_1-24.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(SiteTwinError, match="NumPy array"):
        read_deepsense(tmp_path)
    cells = np.empty((1, 2), dtype=object)
    cells[:] = [["x", np.ones(3)]]
    scipy.io.savemat(tmp_path / "cells.mat", {"a": cells})
    with pytest.raises(SiteTwinError, match="0 arrays of real numbers"):
        read_mat(tmp_path / "cells.mat")


@given(content=st.binary(max_size=400), cut=st.integers(0, 400), at=st.integers(128, 400), byte=st.integers(0, 255))
def test_damaged_number_files_give_one_sentence_or_numbers(tmp_path_factory, content, cut, at, byte):
    folder = tmp_path_factory.mktemp("damaged")
    scipy.io.savemat(folder / "good.mat", {"a": np.arange(12.0).reshape(3, 4)}, do_compression=bool(byte % 2))
    good = bytearray((folder / "good.mat").read_bytes())
    if at < len(good):
        good[at] = byte
    for data in (content, bytes(good), bytes(good[:cut])):
        (folder / "x").write_bytes(data)
        for reader in (read_mat, read_npy):
            with contextlib.suppress(SiteTwinError):
                assert reader(folder / "x").dtype == np.float64
        with contextlib.suppress(SiteTwinError):
            assert read_text_numbers(folder / "x").dtype == np.float64


def test_codebook_order_axis_and_size(tmp_path):
    book = read_codebook(write_codebook(tmp_path / "book"), 64)
    peaks = np.degrees(book.azimuth.values[book.values.argmax(axis=1)])
    np.testing.assert_allclose(peaks, 45 - 90 * np.arange(64) / 63, atol=0.5)
    assert book.max().item() == pytest.approx(1)
    with pytest.raises(SiteTwinError, match="has 64 beams where the measurements have 32"):
        read_codebook(tmp_path / "book", 32)


def test_drives_are_told_apart_by_turns_not_by_noise():
    rng = np.random.default_rng(3)
    s = np.concatenate([np.linspace(-20, 20, 80), np.linspace(20, -20, 60), np.linspace(-20, 20, 70)])
    track = np.stack([rng.normal(0, 0.1, 210), s + rng.normal(0, 0.1, 210)], axis=1)
    drive = drives_of_track(track)
    assert drive.max() == 2
    np.testing.assert_allclose(np.bincount(drive), [80, 60, 70], atol=3)


@pytest.mark.parametrize("break_it", ["no table", "no column", "no station", "nothing"])
def test_scenarios_without_what_is_needed_are_refused(tmp_path, break_it):
    folder = write_official(tmp_path / "s")
    table = folder / "scenario1.csv"
    if break_it == "no table":
        table.unlink()
    elif break_it == "no column":
        table.write_text(table.read_text().replace("unit2_loc", "unit3_loc"))
    elif break_it == "no station":
        (folder / "unit1/GPS_data/gps_location.txt").unlink()
    else:
        folder = tmp_path / "absent"
    with pytest.raises(SiteTwinError):
        read_deepsense(folder)
