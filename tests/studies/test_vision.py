"""The vision study on small made-up scenarios: laws of what it finds, resuming, refusals, and its page."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.measured.deepsense_folders import write_camera_scenario, write_challenge, write_codebook, write_gathered
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.report.vision.page import vision_table, write_vision_report
from sitetwin.site import Pose
from sitetwin.studies.vision.config import MeasuredScenarios, NetworkTraining, VisionStudy, vision_study
from sitetwin.studies.vision.end_to_end import END_TO_END, rows_that_choose
from sitetwin.studies.vision.measured import CONTROL
from sitetwin.studies.vision.printed.names import MEASURED, PRINTED, RIDGE
from sitetwin.studies.vision.published import SCENARIOS, TABLE_1, TABLE_3
from sitetwin.studies.vision.reflectors import ADAPTED, REFLECTED
from sitetwin.studies.vision.results import read_vision_results
from sitetwin.studies.vision.scenario import read_scenarios
from sitetwin.studies.vision.scene_records import read_scenes
from sitetwin.studies.vision.study import run_vision_study
from sitetwin.vision import Camera, Detection, PerfectDetector
from sitetwin.vision.cuboids import outlines

SMALL = VisionStudy(
    profile="quick",
    measured=MeasuredScenarios(folds=2, calibration_rows=(20, 0), twin_rows=0, descent_steps=20, swept=(1, 2)),
    network=NetworkTraining(runs=2, width=64, epochs=1, rows=40),
    bootstrap_draws=100,
)

LITTLE = SMALL.model_copy(
    update={
        "measured": MeasuredScenarios(folds=2, calibration_rows=(0,), twin_rows=0, descent_steps=0, swept=(1,)),
        "network": NetworkTraining(runs=0),
    }
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    write_codebook(root / "codebook_beams")
    return write_gathered(root / "one", 80), root / "codebook_beams"


@pytest.fixture(scope="module")
def folder(inputs, tmp_path_factory):
    to = tmp_path_factory.mktemp("study") / "run"
    run_vision_study(SMALL, [inputs[0]], to, inputs[1])
    return to


def rows_of(folder, task):
    (scenario,) = read_vision_results(folder).scenarios
    return {(row.method, row.beams_measured or row.calibration_rows): row for row in scenario.rows if row.task == task}


def test_every_profile_stands_beside_the_control(folder):
    rows = rows_of(folder, "explained")
    for count in (62, 31):
        methods = {method for method, beams in rows if beams == count}
        assert {"equations 1 and 2", "non-negative least squares", "ridge", CONTROL} <= methods
    assert rows[CONTROL, 62].dba.mean > 0.9
    assert all(0 <= row.dba.low <= row.dba.mean <= row.dba.high <= 1 for row in rows.values())
    assert rows["equations 1 and 2", 62].dba.mean > 0.85


def test_positions_predict_beams_of_drives_that_were_not_seen(folder):
    rows = rows_of(folder, "predicted")
    assert {count for _, count in rows} == {20, 40}
    for method in ("GPS line of sight, lag fitted", "mapping M, ridge", "mapping M, descent as printed"):
        row = rows[method, 40]
        assert row.rows == 80  # every drive is tested once
        assert row.dba.mean > 0.6
        assert row.wide_top1 <= row.wide_top2
        assert row.p50_top1 <= row.p95_top1
    assert END_TO_END not in {method for method, _ in rows}  # there are no images
    assert rows["mapping M, descent as printed", 40].converged is False  # twenty steps are not enough
    assert rows["mapping M, ridge", 40].converged is None


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_bytes(folder, inputs, tmp_path):
    copied = tmp_path / "run"
    (copied / "parts").mkdir(parents=True)
    for name in ("configuration.json", *(f"parts/{part.name}" for part in (folder / "parts").iterdir())):
        (copied / name).write_bytes((folder / name).read_bytes())
    told = []
    run_vision_study(SMALL, [inputs[0]], copied, inputs[1], progress=lambda stage, share: told.append(stage))
    assert told == []
    assert (copied / "results.json").read_bytes() == (folder / "results.json").read_bytes()
    with pytest.raises(SiteTwinError, match="another study"):
        run_vision_study(SMALL.model_copy(update={"seed": 1}), [inputs[0]], copied, inputs[1])


def test_the_page_has_the_printed_tables_beside_ours(folder):
    page = write_vision_report(folder).read_text()
    assert page.count("not converged") >= 2  # two rows of the mapping by descent
    for text in ("Table I:", "Table II:", "Table III:", "measured powers", "not to be compared digit by digit", "9.68"):
        assert text in page
    assert {path.stem for path in (folder / "figures").glob("*.png")} == {"accuracy-explained", "accuracy-predicted"}
    table = vision_table(json.loads((folder / "results.json").read_text()))
    assert table.row_count == len(read_vision_results(folder).scenarios[0].rows)


def test_printed_tables_are_whole():
    assert set(TABLE_3) == {(m, s) for m in ("GPS-LoS", "end-to-end", "DT", "DT-Adapt") for s in SCENARIOS}
    for losses in TABLE_3.values():
        assert list(losses[:3]) == sorted(losses[:3], reverse=True)
        assert list(losses[3:]) == sorted(losses[3:], reverse=True)
    assert TABLE_1["DT-Adapt"]["overall"] == 0.92


def test_four_scenarios_make_an_overall_score_by_both_rules(tmp_path):
    package = write_challenge(tmp_path / "dev", rows=44, numbers=(31, 32, 33, 34))
    to = tmp_path / "run"
    run_vision_study(LITTLE, [package], to)
    results = read_vision_results(to)
    assert [one.name for one in results.scenarios] == ["31", "32", "33", "34"]
    assert all(one.fixes == "stale" and not one.measured_codebook for one in results.scenarios)
    assert {one.method for one in results.overall} >= {"GPS line of sight", "mapping M, ridge"}
    for one in results.overall:
        of = {
            scenario.name: row.dba.mean
            for scenario in results.scenarios
            for row in scenario.rows
            if row.task == "predicted" and (row.method, row.whole_pool) == (one.method, one.whole_pool)
        }
        assert one.weights == pytest.approx(0.5 * of["31"] + sum(of[n] for n in ("32", "33", "34")) / 6)
    assert any("ideal 16-element array" in note for note in results.notes)
    assert any("stale" in note for note in results.notes)


def test_a_package_whose_rows_are_shuffled_is_put_in_the_order_of_its_images(tmp_path):
    package = write_challenge(tmp_path / "dev", rows=44, numbers=(32,))
    (before,) = read_scenarios(package, None)
    (table,) = package.glob("*.csv")
    head, *lines = table.read_text().splitlines()
    order = np.random.default_rng(0).permutation(len(lines))
    table.write_text("\n".join([head, *(lines[i] for i in order)]) + "\n")
    (after,) = read_scenarios(package, None)
    assert after.identity == before.identity
    assert len(np.unique(before.drive)) == 2


def test_rows_in_no_order_of_time_predict_nothing(tmp_path):
    package = write_challenge(tmp_path / "dev", rows=44, numbers=(32,))
    (table,) = package.glob("*.csv")
    head, *lines = table.read_text().replace("rgb", "eye").splitlines()  # no images, whose numbers would tell
    order = np.random.default_rng(0).permutation(len(lines))
    table.write_text("\n".join([head, *(lines[i] for i in order)]) + "\n")
    run_vision_study(LITTLE, [package], tmp_path / "run")
    (one,) = read_vision_results(tmp_path / "run").scenarios
    assert {row.task for row in one.rows} == {"explained"}
    assert any("nothing is predicted" in note for note in one.facts.notes)
    assert "ideal (not measured) beam patterns" in write_vision_report(tmp_path / "run").read_text()


@pytest.mark.slow
def test_the_network_runs_where_there_are_images(tmp_path):
    cv2 = pytest.importorskip("cv2")
    scenario = write_camera_scenario(tmp_path / "scenario33", 60)
    rng = np.random.default_rng(0)
    for n in range(60):
        image = rng.integers(0, 255, (54, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(scenario / f"unit1/camera_data/image_{n}.jpg"), image)
    (table,) = scenario.glob("*.csv")
    head, *lines = table.read_text().splitlines()
    cells = [line.split(",") for line in lines]
    for n, row in enumerate(cells):
        row[10] = str(n // 15)  # four drives: an epoch is chosen on one that does not train
    table.write_text("\n".join([head, *(",".join(row) for row in cells)]) + "\n")
    (scenario / "unit1/camera_data/image_5.jpg").write_bytes(b"no image")
    (scenario / "unit1/camera_data/image_6.jpg").unlink()
    to = tmp_path / "run"
    with pytest.warns(SiteTwinWarning, match=r"1 images were left out|no number"):
        run_vision_study(LITTLE.model_copy(update={"network": SMALL.network}), [scenario], to)
    (one,) = read_vision_results(to).scenarios
    assert one.name == "33"
    assert one.facts.images == 59
    (row,) = [row for row in one.rows if row.method == END_TO_END]
    assert len(row.runs) == 2
    assert not row.converged
    assert row.rows == 58  # both folds, without the broken and the missing image
    assert "not converged" in write_vision_report(to).read_text()


class KnowsTheCar:
    """Boxes of the user's car as a camera 4 m high sees it, and of a lamp post; the number of the image says whose."""

    name = "knows the car"

    def __init__(self, scenario):
        (self.rows,) = read_scenarios(scenario, None)
        self.camera = Camera.from_view(Pose((0.0, 0.0, 4.0), 0.0, 0.2))

    def detect(self, frame):
        number = int(frame.source.rpartition("_")[2].partition(".")[0])
        place, velocity = self.rows.east_north[number], self.rows.velocity[number]
        (box,) = outlines(
            self.camera,
            np.array([[*place, 0.0]]),
            np.array([np.arctan2(velocity[1], velocity[0])]),
            np.array([[4.45, 1.82, 1.5]]),
        )
        column, row = self.camera.project(np.array([30.0, 10.0, 0.0]))[0]
        return [Detection(tuple(box.tolist()), "car"), Detection((column - 4, row - 80, column + 4, row), "pole")]


def test_the_papers_own_twin_runs_where_there_are_images_and_a_detector(tmp_path):
    cv2 = pytest.importorskip("cv2")
    scenario = write_camera_scenario(tmp_path / "scenario33", 60)
    for n in range(60):
        cv2.imwrite(str(scenario / f"unit1/camera_data/image_{n}.jpg"), np.zeros((270, 480, 3), dtype=np.uint8))
    to = tmp_path / "run"
    with pytest.warns(SiteTwinWarning, match="no number"):
        run_vision_study(LITTLE, [scenario], to, detector=KnowsTheCar(scenario))
    results = read_vision_results(to)
    assert results.detector == "knows the car"
    rows = {row.method: row for row in results.scenarios[0].rows if row.task == "predicted"}
    assert rows[REFLECTED].cameras_fitted == 2
    assert rows[REFLECTED].rows == 60
    assert rows[REFLECTED].dba.mean > 0.9  # the own car is out, and the post is weak
    assert rows[ADAPTED].dba.mean > 0.9
    shown = read_scenes(to)
    assert shown.moments == 60
    assert 2 <= shown.shown <= 30
    drive = shown.drives[0]
    assert not drive.synthetic
    assert drive.moments[0].blocked is None
    assert set(drive.moments[0].picks) == {MEASURED, PRINTED, RIDGE}
    assert abs(drive.moments[0].picks[PRINTED] - drive.moments[0].picks[MEASURED]) < 6
    assert "photographs and measured powers" in write_vision_report(to).read_text()


def test_scenarios_that_cannot_be_studied_are_refused(inputs, tmp_path):
    with pytest.raises(SiteTwinError, match="needs a scenario"):
        run_vision_study(SMALL, [], tmp_path / "a")
    with pytest.raises(SiteTwinError, match="given twice"):
        run_vision_study(SMALL, [inputs[0], inputs[0]], tmp_path / "b", inputs[1])
    with pytest.raises(SiteTwinError, match="labels and powers"):
        run_vision_study(SMALL, [write_challenge(tmp_path / "test", labelled=False)], tmp_path / "c")
    with pytest.raises(SiteTwinError, match="no profile 'fast'"):
        vision_study("fast")
    with pytest.raises(SiteTwinError, match="results"):
        read_vision_results(tmp_path)


def test_the_command_writes_what_two_lines_of_python_write(inputs, tmp_path, monkeypatch):
    scenario, book = inputs
    monkeypatch.setattr("sitetwin.studies.vision_study", lambda profile: LITTLE)
    words = ["--scenario", scenario, "--codebook", book, "--power-unit", "linear", "--out", tmp_path / "command"]
    said = CliRunner().invoke(cli.app, ["study", "vision", *map(str, words)])
    assert said.exit_code == 0, said.stderr
    run_vision_study(LITTLE, [scenario], tmp_path / "python", book, power_unit="linear")
    write_vision_report(tmp_path / "python")
    for name in ("results.json", "report.html", "configuration.json"):
        assert (tmp_path / "command" / name).read_bytes() == (tmp_path / "python" / name).read_bytes()
    refused = CliRunner().invoke(cli.app, ["study", "vision", *map(str, words), "--fixes", "stale"])
    assert refused.exit_code == 1
    assert "leave the option out" in " ".join(refused.stderr.split())


def test_what_would_change_nothing_is_refused(inputs, tmp_path):
    scenario, book = inputs
    with pytest.raises(SiteTwinError, match=r"fixes \('extrapolated'\) is for packages of the challenge"):
        run_vision_study(SMALL, [scenario], tmp_path / "run", book, fixes="extrapolated")
    for name, options in (
        ("codebook", {"codebook": book}),
        ("power unit", {"power_unit": "dB"}),
        ("fixes", {"fixes": "stale"}),
    ):
        with pytest.raises(SiteTwinError, match=f"option {name} is for scenarios"):
            run_vision_study(SMALL, [], tmp_path / "run", closed_loop=True, **options)
    with pytest.raises(SiteTwinError, match="looks at images, and the scenarios have none"):
        run_vision_study(SMALL, [scenario], tmp_path / "run", book, detector=PerfectDetector())
    assert not (tmp_path / "run").exists()


def test_a_detector_without_images_is_said_to_have_found_nothing(tmp_path):
    scenario = write_camera_scenario(tmp_path / "scenario33")
    with pytest.warns(SiteTwinWarning, match="no number"):
        run_vision_study(LITTLE, [scenario], tmp_path / "run", detector=KnowsTheCar(scenario))
    results = read_vision_results(tmp_path / "run")
    assert any("Of 33 there are no images" in note for note in results.notes)


@pytest.mark.filterwarnings("ignore:.*no number")
def test_other_images_are_another_scenario_which_a_stopped_run_does_not_go_on_with(tmp_path):
    scenario, to = write_camera_scenario(tmp_path / "scenario33"), tmp_path / "run"
    image = scenario / "unit1/camera_data/image_3.jpg"
    found = []
    for content in (None, b"first", b"later", b""):
        if content is not None:
            image.write_bytes(content)
        found += [one.identity for one in read_scenarios(scenario, None)]
    image.write_bytes(b"first")
    assert read_scenarios(scenario, None)[0].identity == found[1]
    assert len(set(found)) == 4
    run_vision_study(LITTLE, [scenario], to)
    image.write_bytes(b"later")
    with pytest.raises(SiteTwinError, match="holds another study"):
        run_vision_study(LITTLE, [scenario], to)


@given(
    drive=arrays(np.int64, st.integers(0, 40), elements=st.integers(0, 6)),
    seed=st.integers(0, 99),
)
def test_whole_drives_choose_an_epoch_and_others_train(drive, seed):
    chosen = rows_that_choose(drive, seed)
    if chosen is None:
        counts = np.unique(drive, return_counts=True)[1]
        assert len(counts) < 2 or (counts.min() < 2 and len(counts) == 2)
        return
    assert 1 <= len(np.unique(drive[chosen])) <= max(1, len(np.unique(drive)) // 5)
    assert np.intersect1d(drive[chosen], drive[~chosen]).size == 0
    assert (~chosen).sum() >= 2


def test_images_that_are_too_few_are_said_to_be(tmp_path):
    cv2 = pytest.importorskip("cv2")
    scenario = write_camera_scenario(tmp_path / "scenario33", 30)
    for n in range(12):
        cv2.imwrite(str(scenario / f"unit1/camera_data/image_{n}.jpg"), np.zeros((54, 96, 3), dtype=np.uint8))
    trained = LITTLE.model_copy(update={"network": NetworkTraining(runs=1)})
    with pytest.warns(SiteTwinWarning, match="no number"):
        run_vision_study(trained, [scenario], tmp_path / "run", detector=KnowsTheCar(scenario))
    (one,) = read_vision_results(tmp_path / "run").scenarios
    said = [note for note in one.facts.notes if "is left out" in note]
    assert len(said) == 2
    assert all("40 rows with images" in note for note in said)
    assert read_scenes(tmp_path / "run") is None


def test_paths_of_images_that_leave_the_folder_name_no_image(tmp_path):
    scenario = write_camera_scenario(tmp_path / "s")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (table,) = scenario.glob("*.csv")
    table.write_text(table.read_text().replace("./unit1/camera_data/image_0.jpg", "unit1/../../secret.jpg"))
    with pytest.warns(SiteTwinWarning):
        (one,) = read_scenarios(scenario, None)
    assert one.file(0) is None
