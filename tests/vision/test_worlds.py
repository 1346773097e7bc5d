"""Worlds of the closed loop: traffic, truth and weights against laws; recordings come back, whole or resumed."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError, SiteTwinWarning
from sitetwin.rays import TraceSettings, trace
from sitetwin.site import place_objects
from sitetwin.vision.frames import Frame, Truth
from sitetwin.vision.perfect import PerfectDetector
from sitetwin.vision.render import Picture, Renderer, Seen
from sitetwin.vision.scene import TwinOptions, beam_powers
from sitetwin.vision.street import CanyonPlan, vehicle_body
from sitetwin.vision.worlds import (
    Campaign,
    Choices,
    LinkBudget,
    Schedule,
    WorldPlan,
    band_powers,
    default_worlds,
    follow,
    gps_fixes,
    make_drive,
    make_traffic,
    make_world,
    natural_share,
    natural_weights,
    read_campaign,
    read_recording,
    record_campaign,
    record_drive,
    recorded_world,
)
from sitetwin.vision.worlds import recording as recording_room
from sitetwin.vision.worlds.campaign import choose_drives
from sitetwin.vision.worlds.sums import Sums

PLAN = WorldPlan("test", CanyonPlan(lanes=2, half_length=50.0, trees=0.2, seed=7), height=5.2, back=1.5, turn=0.2)
WORLD = make_world(PLAN)
SCHEDULE = Schedule()
DRIVES = [make_drive(WORLD, number, SCHEDULE) for number in range(24)]
BLOCKED = next(drive for drive in DRIVES if (drive.judged & drive.blocked).any())


def test_traffic_never_collides_and_the_user_passes_the_middle():
    traffic = make_traffic(PLAN.street, 2, 60.0, 5.0, np.random.default_rng(3))
    assert traffic.at(0.0)[0].position[0] == 0.0
    assert traffic.at(0.0)[0].kind == "car"
    for time in (-5.0, 0.0, 5.0):
        lanes: dict[int, list] = {}
        for vehicle in traffic.at(time):
            lanes.setdefault(math.floor(vehicle.position[1] / 3.3), []).append(vehicle)
        assert len(lanes) == 4
        for row in lanes.values():
            row.sort(key=lambda v: v.position[0])
            gaps = [b.position[0] - a.position[0] - 0.5 * (a.size[0] + b.size[0]) for a, b in zip(row, row[1:])]  # noqa: B905, RUF007
            assert min(gaps) > 1.0
            assert row[0].position[0] < -20 < 20 < row[-1].position[0]
    antenna = traffic.antenna_at(1.0)
    assert antenna[2] > traffic.vehicles[0].size[2]


def test_the_line_of_sight_is_that_of_the_tracer():
    """A path without interactions is there where no triangle stands in the way, and nowhere else."""
    start, kinds = np.array(WORLD.station.pose.position), []
    for drive in [BLOCKED, *DRIVES[:2]]:
        for time, kind in list(zip(drive.times.tolist(), drive.sight, strict=True))[::6]:
            site = place_objects(WORLD.canyon.site, [vehicle_body(v) for v in drive.traffic.at(time)])
            paths = trace(site, start, drive.traffic.antenna_at(time)[None], TraceSettings(max_depth=0))
            assert (paths.num_paths > 0) == (kind == "clear")
            kinds.append(kind)
    assert {"clear"} < {*kinds, "vehicle"}


def test_one_path_gives_its_power_and_the_noise():
    drive, budget = DRIVES[0], LinkBudget()
    place = np.array([[0.0, 3.0, 5.0]])
    paths = trace(WORLD.canyon.site, np.array(WORLD.station.pose.position), place, TraceSettings(max_depth=0))
    assert paths.num_paths == 1
    alone = budget.transmit_mw * beam_powers(paths, WORLD.canyon.site, WORLD.station)[0] + budget.noise_mw
    assert band_powers(paths, WORLD.canyon.site, WORLD.station, budget)[0] == pytest.approx(alone, rel=1e-5)
    quiet = replace(budget, transmit_dbm=-200.0)
    noise = band_powers(paths, WORLD.canyon.site, WORLD.station, quiet, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(budget.noise_mw, rel=0.06)
    assert 10 * math.log10(budget.noise_mw) == pytest.approx(-87.0, abs=0.05)  # -174 dBm/Hz + 7 dB + 80 dB
    assert drive.times.size


def test_errors_of_fixes_last_and_have_their_size():
    times = 0.25 * np.arange(9)
    errors = np.stack([gps_fixes(times, np.zeros((9, 2)), 0.5, np.random.default_rng(k)) for k in range(1500)])
    assert errors.std(axis=0) == pytest.approx(np.full((9, 2), 0.5), rel=0.08)
    together = (errors[:, 0] * errors[:, 8]).mean() / 0.25
    assert together == pytest.approx(0.8 * math.exp(-2.0 / 10.0), abs=0.06)


def test_each_judged_frame_has_its_history():
    history = round(SCHEDULE.history_s * SCHEDULE.rate_hz)
    for drive in DRIVES:
        assert not (drive.judged & ~drive.rendered).any()
        for row in np.flatnonzero(drive.judged):
            before = slice(row - history, row + 1)
            assert (drive.window[before] == drive.window[row]).all() or drive.rendered[before].all()
            assert row >= history


def test_weights_bring_the_natural_shares_back():
    blocked = np.concatenate([drive.blocked for drive in DRIVES])
    judged = np.concatenate([drive.judged for drive in DRIVES])
    seen = np.concatenate([[kind != "fixed" for kind in drive.sight] for drive in DRIVES])
    share = natural_share(DRIVES)
    assert share == pytest.approx((blocked & seen).sum() / seen.sum())
    weights = natural_weights(blocked[judged], share)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[blocked[judged]].sum() == pytest.approx(share)
    assert blocked[judged].mean() > 1.5 * share  # blocked ones were sampled more often


def test_the_map_is_off_and_knows_no_poles():
    known, true = WORLD.known, WORLD.canyon.site
    assert not any(name.startswith("pole-") for name in known.objects)
    assert known.vegetation.num_volumes == 0
    houses = [name for name in known.objects if name.startswith("house-")]
    rows = [true.objects.index(name) for name in houses]
    own = [known.objects.index(name) for name in houses]
    shift = (known.object_bounds[own] - true.object_bounds[rows])[:, 0, :2]
    assert 0.15 < shift.std() < 0.5
    assert set(WORLD.bare.objects) == {"ground"} | (set(WORLD.bare.objects) & {"ground"})


@pytest.fixture(scope="module")
def small():
    """A world with small pictures, and a drive of which three frames are rendered."""
    world = replace(WORLD, camera=WORLD.camera.resized(240, 135))
    rows = np.flatnonzero(BLOCKED.judged & BLOCKED.blocked)[:1]
    rendered, judged = np.zeros_like(BLOCKED.rendered), np.zeros_like(BLOCKED.judged)
    rendered[rows[0] - 2 : rows[0] + 1], judged[rows] = True, True
    return world, replace(BLOCKED, rendered=rendered, judged=judged)


def test_a_recording_comes_back_and_goes_on_where_it_ended(small, tmp_path, monkeypatch):
    world, drive = small
    choices = Choices(budget=LinkBudget(subcarriers=4))
    folder, stages = tmp_path / "drive", []

    def stop(stage, share):
        stages.append(stage)
        if stage == "pictures":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_drive(world, drive, folder, choices, stop)
    first = folder / "frames" / f"{np.flatnonzero(drive.rendered)[0]:05d}.jpg"
    made = first.stat().st_mtime_ns
    record_drive(world, drive, folder, choices)
    assert first.stat().st_mtime_ns == made  # it was not made again
    record_drive(world, drive, folder, choices)  # nothing is left to do
    recording = read_recording(folder)
    rows = np.flatnonzero(drive.rendered)
    assert (recording.numbers == rows).all()
    assert recording.times == pytest.approx(drive.times[rows])
    assert recording.true_places[0] == pytest.approx(drive.traffic.antenna_at(drive.times[rows[0]]), abs=1e-3)
    assert np.abs(recording.fixes - recording.true_places[:, :2]).max() < 3.0
    assert np.isfinite(recording.powers).all(axis=1).tolist() == recording.judged.tolist() == [False, False, True]
    assert recording.blocked[2]
    assert recording.camera == world.camera
    frame = recording.frame(0)
    assert frame.image.shape == (135, 240, 3)
    for box in recording.boxes[0]:
        assert (frame.truth.identities == box.identity).sum() == box.pixels
    same = recorded_world(recording)
    assert same.plan == world.plan
    assert same.known.hash == world.known.hash
    followed = list(follow(recording, same.known, same.station, PerfectDetector(), options=TwinOptions(draws=2)))
    assert [one.row for one in followed] == [2]
    assert followed[0].ranking.order.shape == (64,)
    assert np.linalg.norm(followed[0].moment.user.position - recording.true_places[2, :2]) < 3.0
    with pytest.raises(SiteTwinError, match="damaged world"):
        recorded_world(replace(recording, world={"name": "x"}))
    with pytest.raises(SiteTwinError, match="another drive"):
        record_drive(world, drive, folder, replace(choices, gps_sigma=1.0))


class Painter(Renderer):
    """An image of one grey for each frame, and one bus; counts what it was asked for."""

    def __init__(self):
        self.times = []

    def picture(self, vehicles, *, time, rng):
        self.times.append(time)
        depth, identities = np.full((27, 48), 9.0), np.full((27, 48), -1)
        identities[10:20, 20:30] = 1
        image = np.full((27, 48, 3), int(40 * time) % 200, np.uint8)
        frame = Frame(image, time, "", Truth(depth, identities, ("car", "bus")))
        bus = Seen(replace(vehicles[1], shape="bus"), 1, (20.0, 10.0, 30.0, 20.0), 100, 100, False)
        return Picture(frame, (bus,), np.zeros((27, 48, 3)))


def test_what_was_changed_since_it_was_recorded_is_told_and_made_again(small, tmp_path, monkeypatch):
    world, drive = small
    monkeypatch.setattr(recording_room, "true_powers", lambda *given, **more: np.full(64, 1e-9))
    choices, folder = Choices(budget=LinkBudget(subcarriers=4)), tmp_path / "drive"
    record_drive(world, drive, folder, choices, renderer=Painter())
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    made = {path: path.read_bytes() for path in files}
    numbers = np.flatnonzero(drive.rendered).tolist()
    image, truth = folder / f"frames/{numbers[1]:05d}.jpg", folder / f"truth/{numbers[2]:05d}.npz"
    assert not list(folder.glob("truth/*.json"))

    def again(*words):
        painter = Painter()
        with pytest.warns(SiteTwinWarning) as told:
            record_drive(world, drive, folder, choices, renderer=painter)
        said = " ".join(str(one.message) for one in told)
        assert all(word in said for word in words), said
        assert {path: path.read_bytes() for path in files} == made
        return painter.times

    image.write_bytes(made[image][:-1])  # cut short
    truth.unlink()
    assert again(image.name, truth.name, "made again") == [drive.times[numbers[1]], drive.times[numbers[2]]]
    (folder / "powers.csv").write_bytes(made[folder / "powers.csv"].replace(b"e-", b"e+"))
    assert again("powers.csv") == []
    (folder / "boxes.csv").write_bytes(b"frame\n")
    assert len(again("boxes.csv")) == 3
    (folder / "sums.json").write_text("{")
    assert len(again("sums.json")) == 3
    (folder / "sums.json").write_text('{"../outside": "0"}')
    assert len(again("holds no checksums")) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record_drive(world, drive, folder, choices, renderer=None)  # nothing is left to do, and nothing is told
    before = read_recording(folder).identity
    image.write_bytes(made[truth])
    assert read_recording(folder).identity == before
    with pytest.raises(SiteTwinError, match="was changed, damaged or removed after it was recorded"):
        Sums(folder).check()


def test_a_recording_says_what_was_chosen_and_what_stands_in_the_way(small, tmp_path):
    world, drive = small
    choices = Choices(gps_sigma=1.5, budget=LinkBudget(transmit_dbm=10.0, subcarriers=4), pictures=False)
    row = int(np.flatnonzero(drive.rendered)[0])
    hidden = replace(drive, sight=tuple("fixed" if k == row else kind for k, kind in enumerate(drive.sight)))
    recording = read_recording(record_drive(world, hidden, tmp_path / "d", choices))
    assert recording.choices == choices
    assert recording.fixed.tolist() == [True, False, False]
    assert recording.blocked[2]
    assert not recording.clear[[0, 2]].any()  # behind a pole nobody is clear
    path = tmp_path / "d" / "drive.json"
    about = path.read_text()
    for old, new in (('"gps_sigma": 1.5', '"gps_sigma": NaN'), ('"transmit_dbm"', '"transmit"'), ('"choices"', '"x"')):
        path.write_text(about.replace(old, new))
        with pytest.raises(SiteTwinError, match=r"drive\.json|damaged"):
            read_recording(tmp_path / "d")


def test_without_pictures_a_recording_has_powers_alone(small, tmp_path):
    world, drive = small
    folder = record_drive(world, drive, tmp_path / "d", Choices(pictures=False))
    recording = read_recording(folder)
    assert recording.boxes == ((), (), ())
    assert np.isfinite(recording.powers[2]).all()
    assert "no-image" in read_flags(recording)


def test_campaigns_are_recorded_until_there_is_enough(tmp_path):
    few = Campaign((PLAN,), blocked=2, clear=2, choices=Choices(budget=LinkBudget(subcarriers=4), pictures=False))
    drives, share = choose_drives(few, [WORLD])
    assert sum(int((drive.judged & drive.blocked).sum()) for _, drive in drives) >= 2
    assert 0 < share < 0.6
    folder = record_campaign(few, tmp_path / "all")[0]
    recordings, natural = read_campaign(tmp_path / "all")
    assert natural == share
    assert len(recordings) == len(drives)
    assert recordings[0].folder == folder
    with pytest.raises(SiteTwinError, match="one name"):
        Campaign((PLAN, PLAN))
    with pytest.raises(SiteTwinError, match="at least one"):
        Campaign((PLAN,), blocked=0)


def read_flags(recording):
    """Flags of an image that is not there."""
    from sitetwin.vision.images import frame_from_file

    return frame_from_file(recording.folder / "frames" / "00000.jpg", recording.camera).flags


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: replace(PLAN, light="noon"), "no light 'noon'"),
        (lambda: replace(PLAN, back=9.0), "does not stand on the pavement"),
        (lambda: default_worlds(0), "one or more"),
        (lambda: make_traffic(PLAN.street, 4, 10.0, 1.0, np.random.default_rng(0)), "no lane 4"),
        (lambda: LinkBudget(bandwidth_hz=0.0), "no link budget"),
        (lambda: Schedule(rate_hz=0.0), "no schedule"),
        (lambda: Schedule(windows=0), "no window"),
        (lambda: natural_share([]), "no frame in view"),
        (lambda: natural_weights(np.zeros(3, bool), 0.2), "frames of both kinds"),
        (lambda: read_recording("nowhere"), "drive.json"),
    ],
)
def test_what_cannot_be_is_refused(make, words):
    with pytest.raises(SiteTwinError, match=words):
        make()
