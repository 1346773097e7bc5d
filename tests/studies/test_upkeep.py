"""The study of codecs over time end to end on a small street, and what it promises."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Interaction
from sitetwin.report import upkeep_tables, write_upkeep_report
from sitetwin.studies import Cell, UpkeepStudy, run_upkeep_study, upkeep_study
from sitetwin.studies.csi.config import RadioLink, Trees
from sitetwin.studies.frame import silent
from sitetwin.studies.upkeep.config import Leaves, Motion, Turn, Upkeep
from sitetwin.studies.upkeep.motion import tracks
from sitetwin.studies.upkeep.results import LOOKED_AFTER, NEVER, ONCE, read_upkeep_results
from sitetwin.studies.upkeep.world import LeafDays, UpkeepWorld, build_upkeep_world

STREET = Cell(
    scene="simple_street_canyon",
    base_station=(-20.0, 0.0, 15.0),
    area=(-60.0, -7.0, 60.0, 7.0),
    user_height=1.5,
)


def small_study(**changes: object) -> UpkeepStudy:
    """A street and two weeks: every step of the real study, in seconds."""
    study = UpkeepStudy(
        profile="quick",
        cell=STREET,
        link=RadioLink(antennas=8, subcarriers=64, subcarrier_spacing_hz=240e3, taps=8),
        trees=Trees(spacing=8.0, margin=0.0),
        leaves=Leaves(days=12, fall=4, spring=7, takes=2),
        turn=Turn(day=10, degrees=4.0),
        upkeep=Upkeep(reports_a_day=40, reports_between_false_alarms=2000.0, keep=10, check=4, rounds=1),
        motion=Motion(speeds=(0.0, 1.4), users=8, steps=2, pairs=3),
        samples=120,
        test_users=40,
        grid_spacing=2.0,
        max_depth=1,
        unchanging_too=True,
    )
    return study.model_copy(update=changes)


@pytest.fixture(scope="module")
def world() -> UpkeepWorld:
    return build_upkeep_world(small_study(), silent)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "out"
    run_upkeep_study(small_study(), folder)
    return folder


def test_the_runs_hold_each_day_and_their_bits_add_up(finished: Path) -> None:
    results = read_upkeep_results(finished)
    changing, summer = results.seasons
    assert (changing.changes, summer.changes) == (True, False)
    assert [day.day for day in changing.days] == [0, 2, 4, 6, 8, 10]
    assert [day.in_leaf for day in changing.days][::3] == [1.0, 0.0]
    assert {day.in_leaf for day in summer.days} == {1.0}
    assert [day.turned for day in changing.days] == [False] * 5 + [True]
    assert not any(day.turned for day in summer.days)
    assert changing.days[5].nmse_db[NEVER] != changing.days[0].nmse_db[NEVER]
    for run in results.seasons:
        assert run.counts["reports"] == 12 * 40
        assert run.counts["report_bits"] == 12 * 40 * 128 == run.counts["reports"] * run.report_bits
        assert run.counts["error_bits"] == 12 * 40 * 4
        assert run.counts["upload_bits"] == run.counts["uploads"] * 2 * 8 * 8 * 16
        assert run.counts["uploads"] >= sum(event.uploads or 0 for event in run.events)
        assert run.days[0].nmse_db[NEVER] == run.days[0].nmse_db[LOOKED_AFTER] == run.days[0].nmse_db[ONCE]
    assert {event.what for event in summer.events} <= {"updated", "kept"}  # the first collection, and no false alarm


def test_a_user_that_stands_still_has_reports_that_do_not_age(finished: Path) -> None:
    rows = {(row.method, row.speed, row.used): row for row in read_upkeep_results(finished).ageing}
    for used in ("held", "predicted", "known Dopplers"):
        for method in ("", "klt"):
            values = [one.mean for one in rows[method, 0.0, used].nmse_db]
            assert values == pytest.approx([values[0]] * 3, abs=1e-3) or max(values) < -50
    walking = rows["", 1.4, "held"].nmse_db
    assert walking[0].mean < walking[1].mean < walking[2].mean
    known = rows["", 1.4, "known Dopplers"].nmse_db
    assert known[2].mean < walking[2].mean - 6


def test_a_second_run_takes_the_parts_and_gives_the_same_bytes(finished: Path) -> None:
    before = (finished / "results.json").read_bytes()
    parts = sorted((finished / "parts").iterdir())
    assert len(parts) == 3
    (finished / "results.json").unlink()
    parts[0].unlink()
    run_upkeep_study(small_study(), finished)
    assert (finished / "results.json").read_bytes() == before
    with pytest.raises(SiteTwinError, match="holds another study"):
        run_upkeep_study(small_study(bits=64), finished)


def test_the_page_and_the_tables_say_it(finished: Path) -> None:
    page = write_upkeep_report(finished).read_text()
    assert "leaves fall" in page
    assert page.count("<figure>") == 3
    days, ageing = upkeep_tables(read_upkeep_results(finished))
    assert days.row_count == 2
    assert ageing.row_count == 2 * 2 * 3


def test_other_results_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps({"schema": "other"}))
    with pytest.raises(SiteTwinError, match="no results of a study of codecs over time"):
        read_upkeep_results(tmp_path)


def test_leaves_fall_and_come_back_on_each_trees_day() -> None:
    days = LeafDays.drawn(50, Leaves(days=30, fall=5, spring=15, takes=4))
    shares = [days.in_leaf(day).mean() for day in (0, 4, 7, 9, 14, 17, 19, 29)]
    assert shares[:2] == [1, 1]
    assert 0 < shares[2] < 1
    assert shares[3:5] == [0, 0]
    assert 0 < shares[5] < 1
    assert shares[6:] == [1, 1]


def test_leaves_change_gains_and_no_path(world: UpkeepWorld) -> None:
    users = world.covered[:30]
    summer, winter, again = (world.on_day(users, day) for day in (0, 6, 9))
    assert torch.equal(summer, again)
    gain = (winter.flatten(1).norm(dim=1) / summer.flatten(1).norm(dim=1)).numpy()
    assert (np.abs(gain - 1) > 0.01).any()
    paths = world.target_paths.select_users(users)
    power = [world.gains(paths, day).power[:, 0, 0].numpy() for day in (0, 6)]
    crossed = np.diff(paths.crossing_offsets) > 0
    straight = ~crossed & (paths.kinds == Interaction.NONE).all(axis=1)
    np.testing.assert_allclose(power[0][straight], power[1][straight])
    through = crossed & (paths.kinds != Interaction.CANOPY).all(axis=1)
    assert through.any()
    assert (power[1][through] > power[0][through]).all()


def test_tracks_go_straight_on_at_their_speed_and_outdoors(world: UpkeepWorld) -> None:
    places, velocities = tracks(world, 1.4, 3)
    motion = world.study.motion
    assert places.shape == (8, motion.pairs + 2 * motion.steps, 3)
    step = np.diff(places, axis=1) / motion.period_s
    np.testing.assert_allclose(step, np.broadcast_to(velocities[:, None], step.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(velocities, axis=1), 1.4)
    now = places[:, motion.pairs + motion.steps - 1]
    assert np.abs(now[:, None] - world.users[world.covered]).max(axis=2).min(axis=1).max() < 1e-9


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda: upkeep_study("huge"), "there is no profile 'huge'"),
        (lambda: upkeep_study("quick", methods=("klt", "magic")), "names no methods"),
        (lambda: build_upkeep_world(small_study(test_users=5000), silent), "the study needs 5040"),
        (lambda: Leaves(days=10, fall=5, spring=8), "leaves have to be down before they come back"),
        (lambda: UpkeepStudy(profile="quick", turn=Turn(day=130)), "on a day of the run"),
        (lambda: UpkeepStudy(profile="quick", turn=Turn(degrees=0.0)), "the array has to turn"),
    ],
)
def test_what_is_refused(what, said: str) -> None:
    with pytest.raises((SiteTwinError, ValueError), match=said):
        what()


def test_the_command_line_refuses_in_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["study", "upkeep", "--methods", "magic", "--out", str(tmp_path / "x")])
    assert result.exit_code == 1
    assert "names no methods" in result.stderr
    assert not (tmp_path / "x").exists()
