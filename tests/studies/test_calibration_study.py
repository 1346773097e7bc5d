"""The study of calibrated power on a planted town: folds, scores, resumption, page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.site.conftest import make_town

from sitetwin.calibrate.power.clutter import Plan
from sitetwin.calibrate.power.layout import DISTANCE, Layout, sectors_of
from sitetwin.channel.stations import Station
from sitetwin.errors import SiteTwinError
from sitetwin.report import calibration_study_table, write_calibration_study
from sitetwin.studies import CalibrationStudy, calibration_study, run_calibration_study
from sitetwin.studies.calibration.config import MEAN, REGRESSION
from sitetwin.studies.calibration.methods import Rows, predict
from sitetwin.studies.calibration.results import read_calibration_study
from sitetwin.studies.calibration.scores import Scorer

STATIONS = [
    Station(name=name, position=(-80.0, -60.0, 20.0), eirp_dbm=46, yaw_deg=yaw, pattern="tr38901")
    for name, yaw in (("A", 40.0), ("B", 90.0))
]
STUDY = CalibrationStudy(profile="quick", rows=(30,), seeds=(0, 1), together=True, folds=2, block_m=20.0)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    rng = np.random.default_rng(0)
    lines = ["cell,receiver,x_m,y_m,power_dbm"]
    for x in np.arange(-70, 71, 10):
        for y in np.arange(-70, 71, 10):
            distance = np.hypot(x + 80, y + 60)
            power = -60 - 30 * np.log10(distance) + rng.normal(0, 2)
            lines.append(f"{'AB'[int(rng.integers(2))]},{'pq'[int(rng.integers(2))]},{x},{y},{power:.2f}")
    path = tmp_path_factory.mktemp("drive") / "drive.csv"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def finished(drive, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "out"
    run_calibration_study(STUDY, make_town([]), drive, STATIONS, folder)
    return folder


def test_all_methods_are_scored_on_all_rows_and_the_law_beats_the_mean(finished):
    results = read_calibration_study(finished)
    rmse = {row.method: row.rmse_db.mean for row in results.rows}
    assert set(rmse) == set(STUDY.methods)
    assert rmse["twin"] < 0.7 * rmse["mean"]
    assert rmse["regression"] < 0.7 * rmse["mean"]
    assert sum(results.data["rows"].values()) == 225
    covered = {row.method: row.covered for row in results.rows}
    assert covered["mean"] is None
    assert 0.8 < covered["twin"] < 0.98
    assert sum(len(one.error_db) for one in results.residuals) == 225


def test_a_stopped_study_ends_with_the_same_bytes(finished, drive):
    before = (finished / "results.json").read_bytes()
    (finished / "parts" / "blocks-30-1.json").unlink()
    run_calibration_study(STUDY, make_town([]), drive, STATIONS, finished)
    assert (finished / "results.json").read_bytes() == before


def test_the_page_shows_every_method(finished):
    page = write_calibration_study(finished).read_text()
    for row in read_calibration_study(finished).rows:
        assert row.method in page
    assert calibration_study_table(read_calibration_study(finished)).row_count == len(STUDY.methods)


def test_rmse_and_differences_are_those_of_their_definition():
    rng = np.random.default_rng(1)
    cell, block = np.arange(400) % 2, rng.integers(0, 20, 400)
    one, other = rng.uniform(1, 9, 400), rng.uniform(1, 9, 400)
    scorer = Scorer(cell, block)
    own, drawn = scorer.rmse(one)
    np.testing.assert_allclose(own, [np.sqrt(one[cell == k].mean()) for k in range(2)])
    assert drawn.mean() == pytest.approx(own.mean(), abs=0.05)
    found = scorer.difference(one, other)
    assert found["low"] < found["mean"] < found["high"]
    assert scorer.difference(one, one)["high"] == 0


@pytest.mark.parametrize("method", [MEAN, REGRESSION])
def test_controls_give_a_receiver_without_rows_the_offset_of_the_others(method):
    """Rows of receiver p alone are given; those of q follow the same law."""
    rng = np.random.default_rng(3)
    plan = rng.uniform(-70, 70, (60, 2))
    layout = Layout(sectors_of(STATIONS[:1], make_town([])), ("p", "q"))
    shares = np.eye(2)[np.arange(60) % 2]
    design = layout.design(Plan(make_town([])), plan, np.zeros(60, dtype=np.int64), shares)
    power = -60 - 3.0 * design.features[DISTANCE]
    rows = Rows(layout, design, power, np.zeros(60, dtype=np.int64))
    train, test = np.arange(0, 60, 2), np.arange(1, 60, 2)
    found, _ = predict(method, rows, train, test, rng)
    expected = power[train].mean() if method == MEAN else power[test]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_cells_with_fewer_rows_than_asked_for_are_told(finished, drive, tmp_path):
    study = CalibrationStudy(profile="quick", rows=(30, 90), seeds=(0,), folds=2, block_m=20.0)
    run_calibration_study(study, make_town([]), drive, STATIONS, tmp_path / "out")
    notes = read_calibration_study(tmp_path / "out").notes
    assert sum("rows outside a fold" in note and "where 90 are" in note for note in notes) == 2
    assert not any("rows outside a fold" in note for note in read_calibration_study(finished).notes)


def test_too_few_places_and_unknown_profiles_are_refused(drive, tmp_path):
    with pytest.raises(SiteTwinError, match="was measured at"):
        run_calibration_study(calibration_study("quick"), make_town([]), drive, STATIONS, tmp_path / "few")
    with pytest.raises(SiteTwinError, match="no profile"):
        calibration_study("huge")
    with pytest.raises(SiteTwinError, match="20 to 2000 rows"):
        calibration_study("quick", rows=[5])


def test_results_of_another_study_are_refused(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps({"schema_name": "another"}))
    with pytest.raises(SiteTwinError, match="no study of calibrated power"):
        read_calibration_study(tmp_path)
