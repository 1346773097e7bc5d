"""Codecs over time: the test for changes keeps its rate, the loop sees what a station sees, and reports age by law."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from tests.learn.cell.conftest import AXES, LINK, cell_channels

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.learn import (
    CellCodec,
    ChangeDetector,
    CodecMonitor,
    ErrorLevels,
    LinearPrediction,
    MonitorSettings,
    aged,
    in_one_phase,
    load_monitor,
    nmse,
    save_monitor,
)

PERIOD = 5e-3


# The test for changes


def run_length(detector, draw, most):
    for number in range(1, most + 1):
        if detector.take(draw()) is not None:
            return number
    return most


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_without_a_change_alarms_are_no_more_frequent_than_stated(share):
    rng = np.random.default_rng(1)
    wanted, runs = 50.0, 120
    lengths = [
        run_length(ChangeDetector(4, wanted, seed), lambda: rng.binomial(3, share), 1500) for seed in range(runs)
    ]
    error = np.std(lengths) / math.sqrt(runs)
    assert np.mean(lengths) + 2 * error > wanted


def test_alarms_within_a_horizon_are_as_rare_as_doob_says():
    rng = np.random.default_rng(2)
    alarms = sum(
        run_length(ChangeDetector(8, 2000.0, seed), lambda: int(rng.integers(8)), 200) < 200 for seed in range(100)
    )
    assert alarms / 100 <= 0.1 + 0.06  # 200 / 2000, and two standard errors


def test_levels_that_never_differ_raise_no_alarm_more_often():
    lengths = [run_length(ChangeDetector(4, 50.0, seed), lambda: 2, 1500) for seed in range(60)]
    assert np.mean(lengths) > 50


@pytest.mark.parametrize(("after", "direction"), [(12, "worse"), (3, "better")])
def test_a_change_is_noticed_and_its_direction_told(after, direction):
    rng = np.random.default_rng(3)
    detector = ChangeDetector(16, 1e5)
    assert all(detector.take(int(rng.binomial(15, 0.5))) is None for _ in range(600))
    told = [detector.take(int(rng.binomial(15, after / 15))) for _ in range(100)]
    found = [one for one in told if one]
    assert found[0] == direction
    assert told.index(direction) < 40


def test_p_values_are_uniform_whatever_the_levels_are():
    rng = np.random.default_rng(4)
    detector, ratios = ChangeDetector(3, 1e30), []
    for _ in range(3000):
        before = detector.sums.copy()
        detector.take(int(rng.choice(3, p=[0.9, 0.07, 0.03])))
        ratios.append((detector.sums / (1 + before))[0, 0])
    p = 0.25 / np.square(ratios)  # of f(p) = p^(-1/2) / 2
    assert np.abs(np.histogram(p, 10, (0, 1))[0] / 300 - 1).max() < 0.25


@settings(deadline=None, max_examples=50)
@given(some.integers(1, 8), some.floats(-60, 0), some.floats(0.1, 10), some.lists(some.floats(0, 1e6), min_size=1))
def test_levels_ascend_with_the_error(bits, lowest, step, errors):
    levels = ErrorLevels(bits, lowest, step)
    found = levels.of(np.sort(np.array(errors)))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < levels.count
    inner = levels.of(levels.middle_nmse(np.arange(levels.count)))
    assert np.array_equal(inner, np.arange(levels.count))


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_few_bits_tell_the_same_range_of_errors(bits):
    levels = ErrorLevels.spanning(bits)
    assert levels.edges_db[[0, -1]] == pytest.approx([-30, -2])
    assert levels.of(np.array([10**-3.1, 10**-0.1])).tolist() == [0, levels.count - 1]
    assert bits != 4 or levels == ErrorLevels()


# The maintenance loop


@pytest.fixture(scope="module")
def poor():
    """A codec that has seen a corner of the cell alone."""
    return CellCodec(bits=64).fit(cell_channels(60), axes=AXES, link=LINK)


def quick(**changes):
    return MonitorSettings(**{"reports_between_false_alarms": 1e4, "keep": 30, "check": 5, "recent": 50} | changes)


def test_the_loop_notices_collects_and_updates_and_its_bits_add_up(poor):
    monitor = CodecMonitor(poor, quick(asked_share=0.3))
    monitor.observe(cell_channels(300, 3), axes=AXES)
    assert not monitor.events
    monitor.observe(np.roll(cell_channels(500, 4), 5, axis=1), axes=AXES)  # the array seems turned
    assert [event.what for event in monitor.events][:2] == ["alarm", "updated"]
    alarm, update = monitor.events[:2]
    assert 300 < alarm.report < 400
    assert (alarm.direction, alarm.version, update.version) == ("worse", 1, 2)
    assert update.uploads == 35
    assert update.after_db < update.before_db
    counts = monitor.counts
    assert counts["reports"] == 800
    assert counts["report_bits"] == 800 * 64
    assert counts["error_bits"] == 800 * 4
    assert counts["uploads"] == sum(event.uploads or 0 for event in monitor.events)
    assert counts["upload_bits"] == counts["uploads"] * 2 * LINK.taps * 16 * 16
    assert counts["downloads"] == len(monitor.versions) == sum(event.what == "updated" for event in monitor.events)
    downloads = sum(8 * version.coder.facts()["bytes_ue"] for version in monitor.versions)
    assert counts["download_bits"] == downloads
    assert monitor.codec is monitor.versions[-1]
    assert monitor.versions[0].parents == (poor.hash,)


def test_rounds_go_on_while_updates_are_better(poor):
    monitor = CodecMonitor(poor, quick(rounds=3, keep=10, asked_share=0.5))
    monitor.ask(0)
    monitor.observe(cell_channels(1200, 3), axes=AXES)
    done = [event.what for event in monitor.events if event.what != "alarm"]
    assert 1 <= len(done) <= 3
    assert set(done[:-1]) <= {"updated"}
    assert len(done) == 3 or done[-1] == "kept"
    assert monitor.counts["uploads"] == 15 * len(done)
    assert len(monitor.versions) == done.count("updated")


def test_the_station_learns_no_more_than_levels_and_the_uploads_it_asked_for(poor):
    h = np.concatenate([cell_channels(100, 3), np.roll(cell_channels(300, 4), 5, axis=1)])
    whole, told = CodecMonitor(poor, quick()), CodecMonitor(poor, quick())
    whole.observe(h, axes=AXES)
    x = poor.matrices(h, axes=AXES).csi.x
    for one in x:
        error = nmse(one[None], told.codec.coder.recovered(one[None])).numpy()
        level = int(told.settings.levels.of(error)[0])
        told.take(level, 64, one if told.wants(level) else None)
    assert told.counts == whole.counts
    assert [event.in_words for event in told.events] == [event.in_words for event in whole.events]
    assert told.codec.hash == whole.codec.hash


def test_reports_of_one_user_in_a_row_are_told(poor):
    h = cell_channels(8, 3).repeat(10, axis=0)
    with pytest.warns(SiteTwinWarning, match="channels in a row are alike"):
        CodecMonitor(poor, quick()).observe(h, axes=AXES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CodecMonitor(poor, quick()).observe(h[np.random.default_rng(0).permutation(80)], axes=AXES)


def test_an_update_that_is_no_better_stays_out_of_use(poor, monkeypatch):
    monitor = CodecMonitor(poor, quick())
    monitor.ask(0)
    monkeypatch.setattr(CellCodec, "update", lambda self, *_, **__: self)
    monitor.observe(cell_channels(100, 3), axes=AXES)
    (event,) = monitor.events
    assert event.what == "kept"
    assert "version 1 stays in use" in event.in_words
    assert monitor.codec is poor
    assert monitor.counts["downloads"] == 0
    assert monitor.counts["uploads"] == 35


def test_a_codec_that_learns_nothing_is_watched_and_says_why_it_stays():
    monitor = CodecMonitor(CellCodec("omp", 96).fit(cell_channels(60), axes=AXES, link=LINK), quick())
    monitor.ask(0)
    monitor.observe(cell_channels(60, 3), axes=AXES)
    (event,) = monitor.events
    assert event.after_db is None
    assert "no update was made" in event.in_words
    assert "learns nothing" in event.in_words


def test_errors_that_fall_cost_no_upload(poor):
    monitor = CodecMonitor(poor, quick())
    rng = np.random.default_rng(0)
    monitor.observe_errors(10 ** (rng.normal(-5, 2, 300) / 10))
    events = monitor.observe_errors(10 ** (rng.normal(-12, 2, 100) / 10))
    assert [event.direction for event in events] == ["better"]
    assert monitor.counts["uploads"] == 0
    assert monitor.collecting is None


def test_the_threshold_is_what_the_share_reaches(poor):
    monitor = CodecMonitor(poor, quick(recent=100, asked_share=0.1))
    monitor.ask()
    assert "nothing until 100 reports" in monitor.asked
    levels = [3] * 60 + [7] * 29 + [11] * 11
    for level in levels:
        monitor.take(level)
    assert monitor.collecting.threshold in range(8, 12)
    assert monitor.wants(11) == "train"
    assert monitor.wants(7) is None
    assert "channels of users whose NMSE is" in monitor.asked


@pytest.mark.parametrize("cut", [120, 330, 345, 380])
def test_a_monitor_goes_on_from_its_file_as_if_it_had_not_stopped(poor, tmp_path, cut):
    h = np.concatenate([cell_channels(300, 3), np.roll(cell_channels(200, 4), 5, axis=1)])
    whole, first = CodecMonitor(poor, quick()), CodecMonitor(poor, quick())
    whole.observe(h, axes=AXES)
    first.observe(h[:cut], axes=AXES)
    save_monitor(first, tmp_path / "state")
    second = load_monitor(tmp_path / "state", first.codec)
    second.observe(h[cut:], axes=AXES)
    assert second.counts == whole.counts
    assert second.events == whole.events
    assert second.codec.hash == whole.codec.hash
    assert np.array_equal(second.detector.sums, whole.detector.sums)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda m: m.take(16), "has the level 16, and levels go from 0 to 15"),
        (lambda m: m.take(3, upload=torch.zeros(12, 16, dtype=torch.complex64)), "was not asked for"),
        (lambda m: (m.ask(2), m.ask(2)), "being collected already"),
        (lambda m: m.ask(99), "99 is no level"),
        (lambda m: (m.ask(0), m.take(3, upload=torch.zeros(2, 2, dtype=torch.complex64))), r"has the shape \(2, 2\)"),
        (lambda m: m.observe_errors(np.array([0.1, np.nan])), "the NMSE of report 1 is nan"),
        (lambda m: MonitorSettings(keep=0), "keep is 0"),
        (lambda m: MonitorSettings(asked_share=0.0), "asked_share is 0.0"),
        (lambda m: MonitorSettings(reports_between_false_alarms=0.5), "0.5 reports are to pass"),
        (lambda m: ErrorLevels(0), "in 1 to 8 bits, not 0"),
        (lambda m: ErrorLevels(4, -30, 0.0), "and a positive width"),
        (lambda m: ErrorLevels.spanning(1), "need two bits or more, not 1"),
        (lambda m: ErrorLevels.spanning(4, -2, -30), "and a positive width"),
        (lambda m: MonitorSettings(seed=-1), "seed -1"),
        (lambda m: ChangeDetector(1), "from two levels on"),
        (lambda m: CodecMonitor(CellCodec()), "not fitted yet"),
    ],
)
def test_what_is_refused(poor, what, said):
    with pytest.raises(SiteTwinError, match=said):
        what(CodecMonitor(poor, quick()))


def test_a_state_of_another_codec_or_with_forged_numbers_is_refused(poor, codec, tmp_path):
    monitor = CodecMonitor(poor, quick())
    save_monitor(monitor, tmp_path / "a")
    with pytest.raises(SiteTwinError, match="looks after version 1 of a codec"):
        load_monitor(tmp_path / "a", codec)
    monitor.detector.counts[0] = -1
    save_monitor(monitor, tmp_path / "b")
    with pytest.raises(SiteTwinError, match="do not fit together"):
        load_monitor(tmp_path / "b", poor)


# Reports that age


def tones(doppler, moments, bins, seed=0):
    """(1, moments, 4, 8) of paths with Doppler shifts, one in each of some bins, or all in one."""
    rng = np.random.default_rng(seed)
    x = np.zeros((1, moments, 4, 8), complex)
    for shift, place in zip(doppler, bins, strict=True):
        gain = rng.normal() + 1j * rng.normal()
        x[0, :, place // 8, place % 8] += gain * np.exp(2j * np.pi * shift * PERIOD * np.arange(moments))
    return torch.from_numpy(x).to(torch.complex64)


@pytest.mark.parametrize("delay_ms", [0, 5, 20, 50])
def test_a_held_report_of_one_path_has_the_error_of_its_turn(delay_ms):
    steps, doppler = delay_ms // 5, 7.3
    x = tones([doppler], 11, [5])
    expected = 2 * (1 - math.cos(2 * math.pi * doppler * delay_ms * 1e-3))
    assert float(nmse(x[:, steps], x[:, 0])) == pytest.approx(expected, abs=1e-5)
    assert float(aged(x[:, steps], x[:, 0]).nmse) == pytest.approx(0, abs=1e-5)  # a common phase costs nothing


@pytest.mark.parametrize("delay_ms", [5, 20, 50])
def test_a_held_report_of_two_equal_paths_has_the_error_of_half_their_difference(delay_ms):
    steps = delay_ms // 5
    x = tones([9.0, -4.0], 11, [5, 17])
    x = x / x.abs().clamp_min(1e-9)
    difference = 13.0 * 2 * math.pi * delay_ms * 1e-3
    score = aged(x[:, steps], x[:, 0])
    assert float(score.nmse) == pytest.approx(2 * (1 - abs(math.cos(difference / 2))), abs=1e-4)
    assert float(score.sgcs) == pytest.approx(math.cos(difference / 2) ** 2, abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(some.floats(-400, 400), some.integers(0, 10), some.integers(1, 6))
def test_the_prediction_of_one_path_is_exact(doppler, steps, pairs):
    x = tones([doppler], pairs + 2 * steps, [3])
    found = LinearPrediction(pairs)(x[:, : pairs + steps], steps)
    assert torch.allclose(found, x[:, pairs + 2 * steps - 1] if steps else x[:, pairs - 1], atol=2e-3)


def test_the_prediction_of_a_path_in_each_bin_is_exact_also_without_their_common_phase():
    x = tones([120.0, -33.0, 5.0, 61.0], 31, [0, 9, 18, 30])
    turns = torch.polar(torch.ones(31), torch.rand(31, generator=torch.Generator().manual_seed(1)) * 6)
    reports = in_one_phase((x * turns[None, :, None, None])[:, :20])
    predicted = LinearPrediction(10)(reports, 10)
    assert float(aged(x[:, 29], predicted).nmse) < 1e-3
    assert float(aged(x[:, 29], x[:, 19]).nmse) > 0.3


def test_the_report_of_a_static_user_does_not_age():
    x = torch.randn(3, 1, 4, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(2)).expand(3, 25, 4, 8)
    for used in (x[:, 0], LinearPrediction(5)(in_one_phase(x), 20)):
        score = aged(x[:, -1], used)
        assert float(score.nmse.max()) < 1e-5
        assert float(score.sgcs.min()) > 1 - 1e-5


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (lambda: LinearPrediction(0), "from 0 pairs"),
        (lambda: LinearPrediction(5)(tones([1.0], 8, [0]), 4), "needs 9 reports, and there are 8"),
        (lambda: LinearPrediction(5)(tones([1.0], 8, [0]), -1), "looks ahead by -1 steps"),
    ],
)
def test_predictions_that_cannot_be_made_are_refused(what, said):
    with pytest.raises(SiteTwinError, match=said):
        what()
