"""A drive that is watched: tables and frames of all kinds, flags in the place of crashes, and both ways the same."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from typer.testing import CliRunner

from sitetwin.channel import AntennaArray
from sitetwin.cli import app as cli
from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.site import Pose, save_site, with_georeference
from sitetwin.site.latlon import to_geographic
from sitetwin.vision import Camera, Detection, read_camera, write_camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.live import Shot, Watching, latency, line_of, read_shots, watch, write_lines
from sitetwin.vision.scene import Station, TwinOptions
from sitetwin.vision.scene.placing import Placing
from sitetwin.vision.street import CanyonPlan, make_canyon

cv2 = pytest.importorskip("cv2")

POSE = Pose((0.0, -7.5, 5.0), math.pi / 2, 0.2)
CAMERA = Camera.from_view(POSE, 480, 270)
SITE = with_georeference(
    make_canyon(CanyonPlan(lanes=2, trees=0.0, seed=5, half_length=30.0)).houses, 48.1, 11.5, "local ground"
)
HOW = Watching(placing=Placing(headings=(0.0,)), options=TwinOptions(draws=1))
STEPS = 8


def own(k):
    return (-8.0 + 2.0 * k, 4.95)


class SeesTheStreet:
    """A bus that overtakes on the near lane, and the user's car while it is not hidden; `time` says where both are."""

    name = "sees the street"

    def detect(self, frame):
        if not frame.image.any():
            return []
        k = frame.time / 0.25
        bus, user = (17.0 - 2.2 * k, 1.65), own(k)
        hidden = abs(user[0] * 0.75 - bus[0]) < 5.5
        things = [(bus, "bus", (12.0, 2.55, 3.15)), *([] if hidden else [(user, "car", (4.45, 1.82, 1.55))])]
        edges = outlines(
            CAMERA,
            np.array([[*place, 0.0] for place, _, _ in things]),
            np.zeros(len(things)),
            np.array([size for _, _, size in things]),
        )
        found = []
        for (_, name, _), (left, upper, right, lower) in zip(things, edges.tolist(), strict=True):
            box = (max(left, 0.0), max(upper, 0.0), min(right, 480.0), min(lower, 270.0))
            if box[0] < box[2] and box[1] < box[3]:
                found.append(Detection(box, name, 0.9))
        return found


def write_drive(folder, steps=STEPS, degrees=False):
    """Frames and a table of a drive."""
    (folder / "frames").mkdir(parents=True)
    places = np.array([own(k) for k in range(steps)])
    cells = np.stack(to_geographic(SITE, places), axis=1) if degrees else places
    lines = ["time_s,frame,latitude,longitude,speed" if degrees else "time_s,frame,east_m,north_m,speed"]
    for k in range(steps):
        cv2.imwrite(str(folder / f"frames/{k:05d}.png"), np.full((270, 480, 3), 128, np.uint8))
        lines.append(f"{0.25 * k},{k},{cells[k, 0]:.9f},{cells[k, 1]:.9f},fast")
    (folder / "gps.csv").write_text("\n".join(lines) + "\n")
    return folder


def change(folder, row, **cells):
    """Replace cells of a row of the table."""
    head, *lines = (folder / "gps.csv").read_text().splitlines()
    parts = lines[row].split(",")
    for name, cell in cells.items():
        parts[head.split(",").index(name)] = cell
    lines[row] = ",".join(parts)
    (folder / "gps.csv").write_text("\n".join([head, *lines]) + "\n")


def seen(folder, how=HOW):
    shots = read_shots(folder / "frames", folder / "gps.csv", SITE)
    camera = read_camera(write_camera(folder / "camera.toml", CAMERA))
    return list(watch(SITE, camera, shots, SeesTheStreet(), how))


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = write_drive(tmp_path_factory.mktemp("live") / "drive")
    return folder, seen(folder)


def test_the_bus_blocks_the_user_and_beams_are_ranked(drive):
    _, found = drive
    assert len(found) == STEPS
    assert not any("no-image" in one.flags for one in found)
    blocked = [k for k in range(STEPS) if abs(own(k)[0] * 0.75 - (17.0 - 2.2 * k)) < 5.5]
    told = [one.moment.blocked for one in found]
    assert found[0].moment.blocked < 0.5
    assert sum(told[k] > 0.5 for k in blocked) >= len(blocked) - 1
    assert found[blocked[0] - 1].moment.blocked_ahead > 0.5
    for one in found:
        assert sorted(one.ranking.order.tolist()) == list(range(64))
        line = json.loads(json.dumps(line_of(one), allow_nan=False))
        assert len(line["beams"]["probability"]) == 64
        assert np.sum(line["beams"]["probability"]) == pytest.approx(1.0, abs=1e-3)
        assert 1 <= line["beams"]["sweep"] <= 64
        assert math.hypot(line["user"]["east_m"] - one.shot.fix[0], line["user"]["north_m"] - one.shot.fix[1]) < 1.5
        assert all(value >= 0 for value in one.seconds.values())
    assert latency([one.seconds for one in found])["together"][0] > 0
    assert latency([]) == {}


def test_degrees_and_metres_are_one_drive(drive, tmp_path):
    folder, _ = drive
    other = write_drive(tmp_path / "degrees", degrees=True)
    pairs = [read_shots(one / "frames", one / "gps.csv", SITE) for one in (folder, other)]
    for one, two in zip(*pairs, strict=True):
        assert one.fix == pytest.approx(two.fix, abs=1e-3)
        assert one.image.name == two.image.name


def test_nothing_in_the_middle_of_a_drive_ends_it(tmp_path):
    folder = write_drive(tmp_path / "bad", 12)
    frames = folder / "frames"
    (frames / "00001.png").write_bytes(b"no image")
    (frames / "00002.png").unlink()
    cv2.imwrite(str(frames / "00003.png"), np.full((300, 300, 3), 128, np.uint8))
    change(folder, 4, east_m="", north_m="")
    change(folder, 5, east_m="700.0")
    change(folder, 6, time_s="0.3")
    cv2.imwrite(str(frames / "00007.png"), np.zeros((270, 480, 3), np.uint8))
    change(folder, 8, east_m="nan")
    change(folder, 10, time_s="900")
    found = seen(folder)
    flags = [set(one.flags) for one in found]
    assert "broken-image" in flags[1]
    assert "no-image" in flags[2]
    assert "wrong-size" in flags[3]
    assert "no-fix" in flags[4]
    assert "gps-jump" in flags[5]
    assert "clock-backwards" in flags[6]
    assert {"dark", "no-detection"} <= flags[7]
    assert "no-fix" in flags[8]
    assert "track-restarted" in flags[10]
    assert {"clock-backwards", "track-restarted"} <= flags[11]  # the one clock that was wrong does not end the drive
    assert all(one.ranking is not None for one in found)
    assert not flags[0] & {"gps-jump", "no-fix", "clock-backwards", "track-restarted"}


def test_without_a_fix_there_are_boxes_and_no_beams():
    camera = read_camera_of(CAMERA)
    shots = [Shot("a", None, 0.0, None), Shot("b", None, 0.25, np.array([200.0, 300.0]))]
    shots += [Shot("c", None, 0.25 + 5.0 * k, None) for k in range(1, 9)]
    first, second, *rest = watch(SITE, camera, shots, SeesTheStreet(), HOW)
    assert "no-place" in first.flags
    assert line_of(first)["beams"] is None
    assert {"user-off-site"} <= set(second.flags)
    assert second.ranking.source == "line-of-sight"
    assert "user-lost" in rest[-1].flags
    assert rest[-1].ranking is None
    behind = next(iter(watch(SITE, camera, [Shot("d", None, 0.0, np.array([20.0, -8.0]))], SeesTheStreet(), HOW)))
    assert "user-out-of-view" in behind.flags


def read_camera_of(camera):
    from sitetwin.vision import CameraFile

    return CameraFile(camera)


def test_a_station_in_a_house_is_refused_before_the_drive():
    camera = read_camera_of(Camera.from_view(Pose((0.0, -14.0, 3.0), math.pi / 2), 480, 270))
    with pytest.raises(SiteTwinError, match="inside"):
        watch(SITE, camera, [], SeesTheStreet())


def test_the_command_writes_what_python_writes(tmp_path, monkeypatch):
    folder = write_drive(tmp_path / "drive", 2)
    save_site(SITE, tmp_path / "site")
    camera = write_camera(tmp_path / "camera.toml", CAMERA)
    monkeypatch.setattr("sitetwin.vision.load_detector", lambda name: SeesTheStreet())
    words = ["--frames", str(folder / "frames"), "--gps", str(folder / "gps.csv"), "--site", str(tmp_path / "site")]
    words += ["--camera", str(camera), "--out", str(tmp_path / "a.jsonl"), "--street-yaw", "0", "--array-yaw", "90"]
    given = CliRunner().invoke(cli.app, ["vision", "watch", *words])
    refused = CliRunner().invoke(cli.app, ["vision", "watch", *words[:-4], "--street-yaw", "nan"])
    assert refused.exit_code != 0
    assert given.exit_code == 0, given.stderr
    assert "together" in given.stdout
    shots = read_shots(folder / "frames", folder / "gps.csv", SITE)
    how = Watching(Station(Pose(POSE.position, math.pi / 2), AntennaArray.ula(16)), Placing(headings=(0.0,)))
    seconds = write_lines(watch(SITE, read_camera(camera), shots, SeesTheStreet(), how), tmp_path / "b.jsonl")
    assert len(seconds) == 2
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@given(
    numbers=some.lists(some.integers(0, 10**6), min_size=1, max_size=6, unique=True),
    order=some.randoms(use_true_random=False),
    written=some.sampled_from(["{}", "{:05d}", "{:07d}.jpg"]),
)
@settings(max_examples=25, deadline=None)
def test_frames_are_found_by_their_numbers_in_any_order(tmp_path_factory, numbers, order, written):
    folder = tmp_path_factory.mktemp("frames")
    for number in numbers:
        (folder / f"{number:07d}.jpg").write_bytes(b"")
    rows = numbers[:]
    order.shuffle(rows)
    lines = [f"{k},{written.format(number)},1.5,-2" for k, number in enumerate(rows)]
    table = folder / "gps.txt"
    table.write_text("\ufefftime_s,frame,east_m,north_m\r\n" + "\r\n".join(lines) + "\r\n\r\n")
    if written == "{:05d}" and max(numbers) < 10**5:
        assert all(shot.image is not None for shot in read_shots(folder, table, SITE))
    shots = read_shots(folder, table, SITE)
    assert [int(shot.image.stem) for shot in shots] == rows
    assert all(shot.fix.tolist() == [1.5, -2.0] for shot in shots)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("time_s,east_m,north_m\n", "no row"),
        ("time,east_m,north_m\n0,1,2\n", "no column 'time_s'"),
        ("time_s,east_m\n0,1\n", "no column 'latitude'"),
        ("time_s,time_s,east_m,north_m\n0,0,1,2\n", "two columns"),
        ("time_s,east_m,north_m\n0,1\n", "row 2 of"),
        ("time_s,east_m,north_m\n0,here,2\n", "has 'here' for east_m"),
        ("time_s,east_m,north_m\n,1,2\n", "has no time"),
        ("time_s,east_m,north_m\n0,1,2\n1,1,2\n", "2 rows and"),
        ("time_s,frame,east_m,north_m\n0,77,1,2\n", "names an image"),
        ("time_s,latitude,longitude\n0,148,11\n", "no latitude"),
    ],
)
def test_tables_that_say_nothing_are_refused(tmp_path, table, words):
    (tmp_path / "0.jpg").write_bytes(b"")
    (tmp_path / "gps.csv").write_text(table)
    with pytest.raises(SiteTwinError, match=words):
        read_shots(tmp_path, tmp_path / "gps.csv", SITE)


def test_folders_without_images_are_refused_and_idle_images_are_said(tmp_path):
    (tmp_path / "gps.csv").write_text("time_s,frame,east_m,north_m\n0,1,1,2\n")
    with pytest.raises(SiteTwinError, match="no images"):
        read_shots(tmp_path, tmp_path / "gps.csv", SITE)
    with pytest.raises(SiteTwinError, match="does not begin as a video"):
        read_shots(tmp_path / "gps.csv", tmp_path / "gps.csv", SITE)
    with pytest.raises(SiteTwinError, match="cannot be read"):
        read_shots(tmp_path / "nothing", tmp_path / "gps.csv", SITE)
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(b"")
    with pytest.warns(SiteTwinWarning, match="1 of 2 images"):
        (shot,) = read_shots(tmp_path, tmp_path / "gps.csv", SITE)
    assert shot.image.name == "1.jpg"
    (tmp_path / "01.png").write_bytes(b"")
    with pytest.raises(SiteTwinError, match="one number"):
        read_shots(tmp_path, tmp_path / "gps.csv", SITE)
