"""Videos of a drive: the right frame for each row, and refusals in the place of crashes."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.untrusted import video as untrusted_video
from sitetwin.untrusted.video import VideoClock, video_clock, video_frames
from sitetwin.vision.images import read_image
from sitetwin.vision.live import read_shots
from sitetwin.vision.live.videos import _nearest, frames_of_video
from tests.vision.test_live import SITE
from tests.vision.videos import number_of, write_video

FRAMES = 20


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "drive.avi", FRAMES)


def table(path, rows):
    path.write_text("\n".join([rows[0], *rows[1:]]) + "\n")
    return path


def numbers(shots):
    return [None if shot.image is None else number_of(read_image(shot.image)) for shot in shots]


def test_rows_take_the_frames_of_their_times(video, tmp_path):
    gps = table(tmp_path / "a.csv", ["time_s,east_m,north_m", "0.02,1,2", "0.5,1,2", "1.34,1,2", "7,1,2"])
    shots = read_shots(video, gps, SITE)
    assert numbers(shots) == [0, 5, 13, None]
    halved = read_shots(video, gps, SITE, fps=5.0)  # twice as slow: 20 frames in 4 s
    assert numbers(halved) == [0, 2, 7, None]
    last, image = shots[0], shots[1].image
    del shots
    gc.collect()
    assert image.is_file()  # one shot keeps the folder
    del last
    gc.collect()
    assert not image.is_file()


def test_rows_may_name_frames_or_stand_for_them(video, tmp_path):
    named = table(tmp_path / "a.csv", ["time_s,frame,east_m,north_m", "7,19,1,2", "8,3,1,2", "9,20,1,2", "10,x,1,2"])
    assert numbers(read_shots(video, named, SITE)) == [19, 3, None, None]
    each = table(tmp_path / "b.csv", ["time_s,east_m,north_m", *(f"{100 + 0.1 * k},1,2" for k in range(FRAMES))])
    assert numbers(read_shots(video, each, SITE)) == list(range(FRAMES))
    slow = table(tmp_path / "c.csv", ["time_s,east_m,north_m", *(f"{0.2 * k},1,2" for k in range(FRAMES))])
    with pytest.warns(SiteTwinWarning, match=r"up to 1\.90 s"):
        assert numbers(read_shots(video, slow, SITE)) == list(range(FRAMES))


def test_other_containers_give_the_same_frames(tmp_path):
    for name in ("a.mp4", "b.mkv"):
        path = write_video(tmp_path / name, 9, "mp4v")
        assert video_clock(path, "it").times == pytest.approx(0.1 * np.arange(9), abs=2e-3)
        folder = video_frames(path, "it", [7, 2])
        assert [number_of(read_image(folder.image(k))) for k in (2, 7)] == [2, 7]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["time_s,east_m,north_m", "50,1,2", "51,1,2"], "the video lasts 1.90 s"),
        (["time_s,frame,east_m,north_m", "0,00077,1,2"], "'frame' is a number from 0"),
    ],
)
def test_tables_of_another_video_are_refused(video, tmp_path, rows, words):
    with pytest.raises(SiteTwinError, match=words):
        read_shots(video, table(tmp_path / "gps.csv", rows), SITE)


def test_what_is_no_whole_video_is_refused(video, tmp_path, monkeypatch):
    data = video.read_bytes()
    for share, words in ((0.02, "cannot be opened"), (0.9, "states 20 frames and"), (0.0, "does not begin as a video")):
        cut = tmp_path / "cut.avi"
        cut.write_bytes(data[: int(share * len(data))])
        with pytest.raises(SiteTwinError, match=words):
            video_clock(cut, "it")
    (tmp_path / "list.avi").write_text("ffconcat version 1.0\nfile 'drive.avi'\n")
    with pytest.raises(SiteTwinError, match="does not begin as a video"):
        video_clock(tmp_path / "list.avi", "it")
    with pytest.raises(SiteTwinError, match="has no frame 20"):
        video_frames(video, "it", [3, 20])
    monkeypatch.setattr(untrusted_video, "MOST_FRAMES", 7)
    with pytest.raises(SiteTwinError, match="more than 7 frames"):
        video_clock(video, "it")
    monkeypatch.setattr(untrusted_video, "_LARGEST_FRAME", 64 * 48 - 1)
    with pytest.raises(SiteTwinError, match="64 x 48 pixels"):
        video_clock(video, "it")
    monkeypatch.setattr(untrusted_video, "LARGEST_VIDEO", 100)
    with pytest.raises(SiteTwinError, match="larger than 100 bytes"):
        video_clock(video, "it")


def test_frames_are_not_counted_where_some_are_lost(tmp_path, monkeypatch):
    times = np.array([0.0, 0.1, 0.4, 0.5])
    monkeypatch.setattr("sitetwin.vision.live.videos.video_clock", lambda path, what: VideoClock(times, 10.0, 6.0))
    with pytest.raises(SiteTwinError, match="states 6 frames and 4"):
        frames_of_video(tmp_path / "x.mkv", ["3"], np.array([0.4]), "it")


def test_wrong_frames_per_second_are_refused(video, tmp_path):
    gps = table(tmp_path / "gps.csv", ["time_s,east_m,north_m", "0,1,2"])
    for fps in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(SiteTwinError, match="frames per second"):
            read_shots(video, gps, SITE, fps=fps)
    (tmp_path / "0.jpg").write_bytes(b"")
    with pytest.raises(SiteTwinError, match="those of a video"):
        read_shots(tmp_path, gps, SITE, fps=10.0)


@given(some.lists(some.floats(0.01, 2.0), min_size=2, max_size=30), some.lists(some.floats(-5, 60), max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_nearest_frame_is_taken_if_it_is_near(steps, times):
    taken = np.cumsum([0.0, *steps])
    half = 0.6 * np.median(np.diff(taken))
    for time, found in zip(times, _nearest(np.array(times), taken, "it"), strict=True):
        away = np.abs(taken - time)
        assert (found is None) == (away.min() > half)
        assert found is None or away[found] == away.min()
