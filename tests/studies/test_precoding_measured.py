"""Measured channels in the place of the target: end to end on a small file, and what cannot be theirs is refused."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from tests.measured import test_csi as files
from tests.studies.small_precoding import SMALL

from sitetwin.channel import AntennaArray, FieldOptions, OfdmGrid, Radio, frequency_response, path_gains
from sitetwin.errors import SiteTwinError
from sitetwin.link import response_of_taps
from sitetwin.rays import trace
from sitetwin.report.precoding.page import write_precoding_report
from sitetwin.studies.precoding.calibrated import SoundedFile
from sitetwin.studies.precoding.channels import quiet, taps_of
from sitetwin.studies.precoding.config import DrivePlace, RecordsBand, precoding_study
from sitetwin.studies.precoding.drive_test import read_drive_test, study_of_drive_test
from sitetwin.studies.precoding.results import read_precoding_results
from sitetwin.studies.precoding.study import run_precoding_study
from sitetwin.studies.precoding.worlds import open_place, settings_of, twin_world

PLACE = DrivePlace(scene="simple_street_canyon", base_station=(-40.0, 0.0, 12.0))
USERS, ANTENNAS, CARRIERS, SPACING = 80, 4, 32, 1e6
FREQUENCY = 3.5e9 + (np.arange(CARRIERS) - CARRIERS // 2) * SPACING
HERE = SMALL.model_copy(
    update={
        "seeds": (0,),
        "splits": ("random", "blocks"),
        "calibration_users": 40,
        "unet_sizes": SMALL.unet_sizes[:1],
    }
)


def small(place=PLACE):
    study = precoding_study("quick", place)
    return study.model_copy(update={"evaluation": HERE, "diffraction": False, "max_depth": 1})


def street(users=USERS):
    """Positions along the street."""
    return np.column_stack([np.linspace(-20, 40, users), np.full(users, 3.0), np.full(users, 1.5)])


@pytest.fixture(scope="module")
def response():
    """What the twin itself says of these users, as a receiver of another clock would report it."""
    study = small()
    site, station = open_place(study)
    paths = trace(site, station, street(), settings_of(study))
    radio = Radio(AntennaArray.ula(ANTENNAS))
    with quiet():
        gains = path_gains(paths, site, 3.5e9, radio, Radio(), FieldOptions(foliage=None))
        h = frequency_response(paths, gains, OfdmGrid(3.5e9, CARRIERS, SPACING))
    return h[:, 0].numpy()


def test_a_file_goes_through_the_whole_study_and_is_called_measured(tmp_path, response):
    rng = np.random.default_rng(0)
    late = rng.uniform(0, CARRIERS, USERS)
    clock = np.exp(2j * np.pi * (rng.random(USERS)[:, None] - late[:, None] * np.arange(CARRIERS) / CARRIERS))
    path = tmp_path / "street.h5"
    with h5py.File(path, "w") as file:
        h = response * clock[:, None, :]
        h[3] = 0
        file["h"], file["frequency"], file["position"] = h.astype(np.complex64), FREQUENCY, street()
    run_precoding_study(small(), tmp_path / "run", measured=path)
    results = read_precoding_results(tmp_path / "run")
    assert not results.synthetic
    assert results.measured["users"] == USERS - 1
    assert results.measured["left_out"] == 1
    assert results.measured["carrier_hz"] == 3.5e9
    assert {row.split for row in results.rows if row.figure == "networks"} == {"random", "blocks"}
    (twin,) = [r for r in results.rows if (r.figure, r.split, r.method) == ("networks", "random", "twin")]
    # The file is the twin with another clock: nothing is lost but what the cut after some taps takes.
    assert twin.loss_db.mean == pytest.approx(0, abs=0.15)
    assert twin.nmse_raw_db.mean < -20
    assert "true path powers" not in {row.method for row in results.rows}
    nmse = {row.method: row.nmse_gain_db.mean for row in results.rows if row.figure == "materials" and row.nmse_gain_db}
    assert nmse["fitted"] < nmse["MC3"] - 3  # the file is the twin of MC1; its walls are no brick
    assert twin.user_loss_db.mean == pytest.approx(0, abs=0.15)
    assert any("no split into drives: the file says neither the drive nor the time" in note for note in results.notes)
    page = write_precoding_report(tmp_path / "run").read_text()
    assert "measured channels" in page
    assert "synthetic" not in page
    assert "street.h5" in page
    with pytest.raises(SiteTwinError, match="another study"):
        run_precoding_study(small(), tmp_path / "run", measured=files_with(tmp_path / "other.npz", response * 1.5))


def files_with(path, h, **changed):
    np.savez(path, **{"h": h.astype(np.complex64), "frequency": FREQUENCY, "position": street(len(h)), **changed})
    return path


@pytest.mark.parametrize(
    ("place", "changed", "said"),
    [
        (PLACE.model_copy(update={"antennas": 8}), {}, "of 4 antennas and the array of the place has 8"),
        (PLACE, {"frequency": FREQUENCY**2 / 3.5e9 * np.linspace(1, 1.01, CARRIERS)}, "not evenly spaced"),
        (
            PLACE,
            {"h": np.ones((20, 4, 32), complex), "position": street(20)},
            "of 20 users; the study needs 40 or more",
        ),
        (PLACE, {"position": street() + np.array([5000.0, 0, 0])}, "80 lie beyond the site"),
        (PLACE, {"position": street() + np.array([0, 0, -5.0])}, "80 in its buildings or its ground"),
    ],
)
def test_channels_of_another_array_band_or_site_are_refused_and_the_file_is_named(tmp_path, place, changed, said):
    h = changed.get("h", np.ones((USERS, ANTENNAS, CARRIERS)))
    path = files_with(tmp_path / "m.npz", h, **{name: value for name, value in changed.items() if name != "h"})
    with pytest.raises(SiteTwinError, match=said) as refusal:
        run_precoding_study(small(place), tmp_path / "run", measured=path)
    assert "m.npz" in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_records_need_their_band_and_give_the_antennas_that_are_wanted(tmp_path):
    study = small()
    site, _ = open_place(study)
    h = files.channels(samples=USERS)
    path = files.dichasus(tmp_path / "hall.tfrecords", h, street())
    with pytest.raises(SiteTwinError, match=r"add \[records\]"):
        read_drive_test(path, study, site)
    band = RecordsBand(carrier_hz=3.5e9, bandwidth_hz=8e5, antennas=(2, 0))
    drive = read_drive_test(path, small(PLACE.model_copy(update={"records": band, "antennas": 2})), site)
    np.testing.assert_array_equal(drive.response, h[:, [2, 0]])
    assert drive.link.subcarriers == files.CARRIERS
    assert drive.link.band_hz == pytest.approx(8e5)
    wrong = PLACE.model_copy(update={"records": band.model_copy(update={"antennas": (9,)}), "antennas": 1})
    with pytest.raises(SiteTwinError, match="wants antenna 9 and the records have 3"):
        read_drive_test(path, small(wrong), site)


def test_a_clock_is_found_to_a_part_of_a_sample_and_a_user_without_a_twin_by_its_strongest_tap(tmp_path, response):
    path = files_with(tmp_path / "m.npz", response * np.exp(-2j * np.pi * 2.25 * np.arange(CARRIERS) / CARRIERS))
    site, _ = open_place(small())
    drive = read_drive_test(path, small(), site)
    link = drive.link
    twin = torch.zeros(USERS, ANTENNAS, link.taps, dtype=torch.complex64)
    taps, _ = drive.taps(link, twin)  # no path anywhere in the twin
    assert int((taps.abs() ** 2).sum(dim=(0, 1)).argmax()) == link.taps_before
    again, outside = drive.taps(link, taps)
    late = response_of_taps(again.numpy(), CARRIERS) / response_of_taps(taps.numpy(), CARRIERS)
    assert np.abs(late - late[:1, :1, :1]).max() < 0.2
    assert 0 <= outside < 0.1


def test_a_place_without_drives_needs_measured_channels(tmp_path):
    with pytest.raises(SiteTwinError, match="has no drives; give drives past the base station, or measured channels"):
        run_precoding_study(small(), tmp_path / "run")


def test_drives_of_a_file_make_a_split_and_are_refused_where_they_are_not_there(tmp_path, response):
    site, _ = open_place(small())
    halves = (np.arange(USERS) >= USERS // 2).astype(int)
    told = read_drive_test(files_with(tmp_path / "d.npz", response, drive=halves), small(), site)
    np.testing.assert_array_equal(told.users.drive, halves)
    study, said = study_of_drive_test(small(), told)
    assert study.evaluation.splits == ("random", "blocks", "drives")
    assert "that the file numbers: 2 drives" in said
    assert study_of_drive_test(small(), told, ("random",))[0].evaluation.splits == ("random",)
    silent = read_drive_test(files_with(tmp_path / "n.npz", response), small(), site)
    assert silent.digest != told.digest
    study, said = study_of_drive_test(small(), silent)
    assert study.evaluation.splits == ("random", "blocks")
    with pytest.raises(SiteTwinError, match=r"n.npz' cannot be split into drives: .* give the array 'drive'.*'time'"):
        study_of_drive_test(small(), silent, ("random", "drives"))
    mixed = read_drive_test(files_with(tmp_path / "m.npz", response, drive=np.arange(USERS) % 2), small(), site)
    assert study_of_drive_test(small(), mixed)[0].evaluation.splits == ("random", "blocks")  # neighbours everywhere
    parked = np.where(halves[:, None] == 1, [30.0, 3.0, 1.5], [-20.0, 3.0, 1.5]) + 0.01 * np.arange(USERS)[:, None]
    alone = replace(told, users=replace(told.users, positions=parked))  # no users to learn from and to validate
    study, said = study_of_drive_test(small(), alone)
    assert study.evaluation.splits == ("random", "blocks")
    assert "no split into drives: splitting 40 users in 1 blocks" in said
    for splits, match in ((("drive",), "splits are drive; name random, blocks, drives"), ((), "splits are none")):
        with pytest.raises(SiteTwinError, match=match):
            run_precoding_study(small(), tmp_path / "run", measured=tmp_path / "n.npz", splits=splits)


def test_channels_that_materials_are_fitted_to_have_the_delays_of_the_twin(tmp_path, response):
    late = np.random.default_rng(1).uniform(0, CARRIERS, USERS)
    clock = np.exp(-2j * np.pi * late[:, None] * np.arange(CARRIERS) / CARRIERS)
    site, station = open_place(small())
    drive = read_drive_test(files_with(tmp_path / "m.npz", response * clock[:, None, :]), small(), site)
    study, _ = study_of_drive_test(small(), drive)
    twin = twin_world(study, site, station, drive.users, lambda stage, share: None)
    timed = drive.timed(drive.link, taps_of(study, twin, 3.5e9))
    rows = np.flatnonzero(twin.paths.counts)
    grid = OfdmGrid(3.5e9, CARRIERS, SPACING)
    heard = SoundedFile(drive.link, twin, timed).response(rows, grid, np.random.default_rng(0))
    own = response[rows]
    agreement = np.abs((heard * own.conj()).sum(axis=(1, 2))) / (
        np.linalg.norm(heard, axis=(1, 2)) * np.linalg.norm(own, axis=(1, 2))
    )
    assert np.median(agreement) > 0.99
