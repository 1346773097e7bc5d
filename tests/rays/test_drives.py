"""GPX files: clean ones become the drive that they record, broken ones are mended or refused, hostile ones refused."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.rays import Trajectory
from sitetwin.rays.moving.drives import ascending, places_along, resample, smoothed, trajectories_from_gpx
from sitetwin.site import Georeference, Site
from sitetwin.site.build import build_site
from sitetwin.site.latlon import to_geographic
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.places.gpx import read_gpx
from tests.site.conftest import make_town

BEGIN = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def field() -> Site:
    return replace(make_town([]), georeference=Georeference(48.14, 11.58))


def gpx(site: Site, places: np.ndarray, times: list[float | None] | None = None, elevation: float | None = None) -> str:
    lat, lon = to_geographic(site, places)
    rows = []
    for k in range(len(places)):
        inner = "" if elevation is None else f"<ele>{elevation}</ele>"
        if times is not None and times[k] is not None:
            inner += f"<time>{(BEGIN + timedelta(seconds=times[k])).isoformat().replace('+00:00', 'Z')}</time>"
        rows.append(f'<trkpt lat="{lat[k]:.10f}" lon="{lon[k]:.10f}">{inner}</trkpt>')
    points = "".join(rows)
    return (
        '<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk><name>drive</name>'
        f"<trkseg>{points}</trkseg></trk></gpx>"
    )


def write(folder: Path, text: str) -> Path:
    file = folder / "drive.gpx"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_straight_drive_comes_back(field: Site, tmp_path: Path) -> None:
    times = np.arange(0.0, 20.0, 0.5)
    places = np.column_stack([-50 + 5.0 * times, 10 + 0 * times])
    file = write(tmp_path, gpx(field, places, times.tolist()))
    ledger = Ledger()
    (drive,) = trajectories_from_gpx(file, field, height=1.2, ledger=ledger)
    np.testing.assert_allclose(drive.times, times, atol=1e-6)
    np.testing.assert_allclose(drive.positions, np.column_stack([places, 1.2 + 0 * times]), atol=1e-4)
    np.testing.assert_allclose(drive.velocities, np.tile([5.0, 0.0, 0.0], (40, 1)), atol=1e-3)
    assert ledger.count("dropped") == 0
    assert ledger.count("read") == 40


def test_smoothing_takes_noise_off_place_and_speed(field: Site, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    times = np.arange(0.0, 30.0, 1.0)
    truth = np.column_stack([-60 + 4.0 * times, -20 + 1.0 * times])
    file = write(tmp_path, gpx(field, truth + rng.normal(0, 1.0, truth.shape), times.tolist()))
    (raw,), (smooth,) = (trajectories_from_gpx(file, field, smoothing_s=s) for s in (0.0, 3.0))
    wrong = [np.sqrt(np.mean((t.velocities[:, :2] - [4.0, 1.0]) ** 2)) for t in (raw, smooth)]
    assert wrong[1] < 0.4 * wrong[0]
    off = [np.sqrt(np.mean((t.positions[:, :2] - truth) ** 2)) for t in (raw, smooth)]
    assert off[1] < 0.7 * off[0]
    clean = write(tmp_path, gpx(field, truth, times.tolist()))
    (straight,) = trajectories_from_gpx(clean, field, smoothing_s=3.0)  # a line is left as it is, ends included
    np.testing.assert_allclose(straight.positions[:, :2], truth, atol=1e-4)
    np.testing.assert_allclose(straight.velocities[:, :2], np.tile([4.0, 1.0], (30, 1)), atol=1e-4)


def test_elevations_are_used_only_with_a_datum(field: Site, tmp_path: Path) -> None:
    places = np.array([[0.0, 0.0], [5.0, 0.0], [10.0, 0.0]])
    file = write(tmp_path, gpx(field, places, [0.0, 1.0, 2.0], elevation=523.0))
    (ground,) = trajectories_from_gpx(file, field)
    (given_,) = trajectories_from_gpx(file, field, zero_elevation=520.0)
    assert (ground.positions[:, 2] == 1.5).all()
    assert (given_.positions[:, 2] == 3.0).all()
    without = write(tmp_path, gpx(field, places, [0.0, 1.0, 2.0]))
    (drive,) = trajectories_from_gpx(without, field, zero_elevation=520.0)
    assert (drive.positions[:, 2] == 1.5).all()


def test_tracks_are_cut_at_the_edge_of_the_site(field: Site, tmp_path: Path) -> None:
    times = np.arange(0.0, 60.0)
    x = 140 * np.sin(times / 5)
    file = write(tmp_path, gpx(field, np.column_stack([x, 0 * x]), times.tolist()))
    ledger = Ledger()
    drives = trajectories_from_gpx(file, field, ledger=ledger)
    assert len(drives) > 2
    assert all(np.abs(d.positions[:, :2]).max() <= 100 for d in drives)
    assert sum(len(d.times) for d in drives) + ledger.count("dropped") == 60
    away = write(tmp_path, gpx(field, np.array([[500.0, 0], [510, 0]]), [0.0, 1.0]))
    with pytest.raises(SiteTwinError, match="no stretch"):
        trajectories_from_gpx(away, field)


def test_missing_and_doubled_times(field: Site, tmp_path: Path) -> None:
    places = np.column_stack([np.arange(24.0), np.zeros(24)])
    times: list[float | None] = [float(k) for k in range(24)]
    times[3], times[8], times[20] = None, 7.0, 2.0  # missing, doubled, thrown back
    file = write(tmp_path, gpx(field, places, times))
    ledger = Ledger()
    (drive,) = trajectories_from_gpx(file, field, ledger=ledger)
    assert np.array_equal(np.round(drive.times), [k for k in range(24) if k not in (3, 8, 20)])
    np.testing.assert_allclose(drive.positions[:, 0], drive.times, atol=1e-4)
    assert ledger.count("dropped") == 3
    assert len(ledger.entries) == 4
    backwards = write(tmp_path, gpx(field, places, [float(-k) for k in range(24)]))
    with pytest.raises(SiteTwinError, match="out of order"):
        trajectories_from_gpx(backwards, field)


def test_routes_without_times_need_a_speed(field: Site, tmp_path: Path) -> None:
    places = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 0.0], [30.0, 40.0]])
    text = (
        gpx(field, places)
        .replace("trkseg>", "rte>")
        .replace("trkpt", "rtept")
        .replace("<trk>", "")
        .replace("</trk>", "")
    )
    file = write(tmp_path, text)
    (drive,) = trajectories_from_gpx(file, field, speed=10.0)
    np.testing.assert_allclose(drive.times, [0.0, 3.0, 7.0], atol=1e-4)
    with pytest.raises(SiteTwinError, match="has no times; give a speed"):
        trajectories_from_gpx(file, field)
    with pytest.raises(SiteTwinError, match="positive"):
        trajectories_from_gpx(file, field, speed=-1.0)


def test_resampling_in_time_and_in_way() -> None:
    """A quarter of a circle at constant speed: equal steps of way are equal steps of time."""
    angle = np.linspace(0, math.pi / 2, 30)
    circle = 50 * np.column_stack([np.cos(angle), np.sin(angle), 0 * angle])
    drive = Trajectory(10 * angle, circle)
    by_way, by_time = resample(drive, spacing_m=2.5), resample(drive, interval_s=0.5)
    np.testing.assert_allclose(by_way.times, by_time.times, atol=2e-3)
    assert len(by_way.times) == int(25 * math.pi / 2.5) + 1
    np.testing.assert_allclose(np.hypot(*by_way.positions[:, :2].T), 50, atol=1e-2)
    np.testing.assert_allclose(by_time.velocities, drive.at(by_time.times)[1])
    stop = Trajectory([0.0, 1.0, 5.0, 6.0], [[0, 0, 0], [5, 0, 0], [5, 0, 0], [10, 0, 0]], np.zeros((4, 3)))
    np.testing.assert_allclose(np.diff(resample(stop, spacing_m=1.0).positions[:, 0]), 1.0, atol=0.02)
    for arguments in ({}, {"interval_s": 1.0, "spacing_m": 1.0}, {"interval_s": 0.0}, {"spacing_m": 1e6}):
        with pytest.raises(SiteTwinError):
            resample(drive, **arguments)


@given(st.lists(st.integers(-5, 5), max_size=12))
def test_the_fewest_points_are_dropped(values: list[int]) -> None:
    rows = ascending(np.array(values, dtype=float))
    kept = np.array(values, dtype=float)[rows]
    assert (np.diff(rows) > 0).all()
    assert (np.diff(kept) > 0).all()
    best = [1] * len(values)
    for k in range(len(values)):  # by the quadratic recurrence
        best[k] = 1 + max((best[j] for j in range(k) if values[j] < values[k]), default=0)
    assert len(rows) == max(best, default=0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-95, 95), st.floats(-95, 95), st.one_of(st.none(), st.integers(0, 40).map(float))),
        min_size=1,
        max_size=40,
    )
)
def test_any_track_becomes_a_sound_drive_or_a_sentence(field: Site, tmp_path_factory, rows) -> None:
    places = np.array([row[:2] for row in rows])
    file = write(tmp_path_factory.mktemp("gpx"), gpx(field, places, [row[2] for row in rows]))
    ledger = Ledger()
    try:
        drives = trajectories_from_gpx(file, field, smoothing_s=1.0, ledger=ledger)
    except SiteTwinError:
        return  # none of its stretches has two points, or its clock ran backwards
    assert sum(len(d.times) for d in drives) + ledger.count("dropped") == len(rows)
    for drive in drives:
        assert (np.diff(drive.times) > 0).all()
        assert np.abs(drive.positions[:, :2]).max() < 250  # a fitted line may leave the box, not the neighbourhood
        assert np.isfinite(drive.velocities).all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not well-formed"),
        ("<gpx", "not well-formed"),
        ("<kml/>", "outermost element is <kml>"),
        ("<gpx/>", "no track and no route"),
        ("<gpx><trk><trkseg/></trk></gpx>", "no track and no route"),
        ('<gpx><wpt lat="1" lon="2"/></gpx>', "no track"),
        ('<gpx><trk><trkseg><trkpt lat="91" lon="2"/></trkseg></trk></gpx>', "latitude is '91'"),
        ('<gpx><trk><trkseg><trkpt lat="1"/></trkseg></trk></gpx>', "longitude is 'missing'"),
        ('<gpx><trk><trkseg><trkpt lat="nan" lon="2"/></trkseg></trk></gpx>', "latitude is 'nan'"),
        ('<gpx><rte><rtept lat="1" lon="2"><time>noon</time></rtept></rte></gpx>', "time is 'noon'"),
        ('<gpx><rte><rtept lat="1" lon="2"><ele>inf</ele></rtept></rte></gpx>', "elevation is 'inf'"),
        ('<!DOCTYPE gpx [<!ENTITY a "b">]><gpx>&a;</gpx>', "document type"),
        ("<gpx>" + "<a>" * 40 + "</a>" * 40 + "</gpx>", "nests more than"),
    ],
)
def test_bad_files_get_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SiteTwinError, match=says) as caught:
        read_gpx(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_prefixes_zones_and_fractions_are_understood(tmp_path: Path) -> None:
    points = (
        '<g:trkpt lat="1" lon="2"><g:time>2024-05-01T14:00:00.250+02:00</g:time><g:ele> 3 </g:ele></g:trkpt>'
        '<g:trkpt lat="1" lon="2"><g:time>2024-05-01T12:00:01</g:time></g:trkpt>'
    )
    text = f'<g:gpx xmlns:g="http://www.topografix.com/GPX/1/1"><g:trk><g:trkseg>{points}</g:trkseg></g:trk></g:gpx>'
    (track,) = read_gpx(write(tmp_path, text))
    assert np.diff(track.times) == pytest.approx([0.75])
    assert track.times[0] == BEGIN.timestamp() + 0.25
    assert track.elevation[0] == 3.0
    assert math.isnan(track.elevation[1])


def test_users_between_recorded_points_stand_on_the_ground() -> None:
    """A ridge between two points of a drive: the straight way would lead through it."""
    flat = make_town([])
    ridge = np.array([[-20, -20, 0], [0, -20, 6], [0, 20, 6], [-20, 20, 0], [20, -20, 0], [20, 20, 0]], dtype=float)
    faces = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
    site = replace(
        build_site("ridge", ridge, faces, np.zeros(4, dtype=np.int32), ("ground",), (0,), flat.materials),
        georeference=Georeference(48.14, 11.58),
    )
    drive = Trajectory(np.array([0.0, 1.0]), np.array([[-20.0, 0.0, 1.5], [20.0, 0.0, 1.5]]))
    users = places_along(drive, site, 5.0, 1.5)
    np.testing.assert_allclose(users[:, 0], np.arange(-20.0, 20.1, 5.0), atol=1e-6)
    np.testing.assert_allclose(users[:, 2], 1.5 + 6 - 0.3 * np.abs(users[:, 0]), atol=1e-6)


def test_a_drive_shorter_than_the_spacing_has_one_user(field: Site) -> None:
    drive = Trajectory(np.array([0.0, 1.0]), np.array([[1.0, 2.0, 1.5], [2.0, 2.0, 1.5]]))
    np.testing.assert_array_equal(places_along(drive, field, 5.0, 1.5), [[1.0, 2.0, 1.5]])


def times_and_places(*legs: tuple[float, float, float]) -> tuple[list[float | None], np.ndarray]:
    """Legs (seconds, metres east, metres north) from the origin, one point after each."""
    rows = np.cumsum(np.array([(0.0, 0.0, 0.0), *legs]), axis=0)
    return rows[:, 0].tolist(), rows[:, 1:] - [60, 40]


def read(field: Site, folder: Path, *legs: tuple[float, float, float], **how):
    times, places = times_and_places(*legs)
    ledger = Ledger()
    drives = trajectories_from_gpx(write(folder, gpx(field, places, times)), field, ledger=ledger, **how)
    return drives, {entry.what: entry.count for entry in ledger.entries if entry.kind != "read"}, places


@pytest.mark.parametrize("pause", [11.0, 60.0, 3600.0])
def test_who_pauses_at_a_corner_stands_there(field: Site, tmp_path: Path, pause: float) -> None:
    (drive,), account, places = read(field, tmp_path, *[(1, 10, 0)] * 8, (pause, 0, 0), *[(1, 0, 10)] * 8)
    assert account == {"pauses of the recorder: the user stands": 1}
    users = places_along(drive, field, 2.0, 1.5)
    assert len(users) == 81
    off = np.minimum(np.abs(users[:, 1] - places[0, 1]), np.abs(users[:, 0] - places[-1, 0]))
    assert off.max() < 0.01
    still = drive.at(np.linspace(8.0, 8.0 + pause, 50))
    np.testing.assert_allclose(still[1], 0.0, atol=1e-6)
    np.testing.assert_allclose(still[0][:, :2], np.tile(places[8], (50, 1)), atol=1e-3)


def test_a_gap_in_the_times_is_a_gap(field: Site, tmp_path: Path) -> None:
    """A tunnel: nobody knows the way of 50 m that took 30 s."""
    drives, account, places = read(field, tmp_path, *[(1, 10, 0)] * 3, (30, 30, 40), *[(1, 10, 0)] * 3)
    assert account == {"gaps in the times of a track: cut there": 1}
    assert [len(drive.times) for drive in drives] == [4, 4]
    users = np.concatenate([places_along(drive, field, 1.0, 1.5) for drive in drives])
    assert (np.abs(users[:, None, :2] - places).min(axis=1).max(axis=1) < 10).all()


def test_speeds_that_no_car_has_are_named(field: Site, tmp_path: Path) -> None:
    spike = read(field, tmp_path, *[(1, 10, 0)] * 3, (1, 10, 90), (1, 10, -90), *[(1, 10, 0)] * 3)
    assert list(spike[1].values()) == [1]
    assert "out of reach" in next(iter(spike[1]))
    np.testing.assert_allclose(spike[0][0].positions[:, 1], spike[2][0, 1], atol=1e-3)
    jump = read(field, tmp_path, *[(1, 10, 0)] * 3, (1, 0, 90), *[(1, 10, 0)] * 3)
    assert jump[1] == {"jumps of a track, faster than 70 m/s: cut there": 1}
    assert len(jump[0]) == 2
    clock = read(field, tmp_path, *[(1, 10, 0)] * 3, (0.01, 10, 0), (1.99, 10, 0), *[(1, 10, 0)] * 3)
    assert clock[1] == {"speeds above 70 m/s, which no car has: the clock is wrong there": 1}
    assert len(clock[0]) == 1


def test_a_track_with_few_times_is_no_chord_between_them(field: Site, tmp_path: Path) -> None:
    places = np.array([[0.0, 0], [20, 0], [40, 0], [40, 20], [40, 40]])
    file = write(tmp_path, gpx(field, places, [0.0, None, None, None, 20.0]))
    with pytest.raises(SiteTwinError, match="times at 2 of its 5 points only"):
        trajectories_from_gpx(file, field)
    (drive,) = trajectories_from_gpx(file, field, speed=2.0)
    assert len(drive.times) == 5


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.05, 300), st.floats(-40, 40), st.floats(-40, 40)), min_size=2, max_size=12),
    st.sampled_from([0.0, 2.0]),
    st.floats(-3, 3),
)
def test_between_its_points_a_drive_keeps_to_the_road(legs, smoothing, turn) -> None:
    """However uneven times and legs are: within 1 m of the straight way. A turned road turns the velocities."""
    rows = np.cumsum(np.array([(0.0, 0.0, 0.0), *legs]), axis=0)
    times, places = rows[:, 0], np.column_stack([rows[:, 1:], np.ones(len(rows))])
    drive = smoothed(times, places, smoothing)
    nodes = drive.positions
    for leg in range(len(legs)):
        moments = np.linspace(times[leg], times[leg + 1], 33)
        there = drive.at(np.clip(moments, times[0], times[-1]))[0]
        chord = nodes[leg + 1] - nodes[leg]
        share = np.clip((there - nodes[leg]) @ chord / max(chord @ chord, 1e-9), 0, 1)
        assert np.linalg.norm(there - nodes[leg] - share[:, None] * chord, axis=1).max() < 1.0
    c, s = math.cos(turn), math.sin(turn)
    matrix = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    np.testing.assert_allclose(
        smoothed(times, places @ matrix, smoothing).velocities, drive.velocities @ matrix, atol=1e-6
    )


def test_a_made_trajectory_stands_where_it_stops_too() -> None:
    """The same pause without a file; uniform acceleration from rest keeps its exact velocities."""
    stop = Trajectory([0, 1, 2, 62, 63], [[-20, 0, 0], [-10, 0, 0], [0, 0, 0], [0, 0, 0], [0, 10, 0]])
    still = stop.at(np.linspace(2, 62, 20))
    np.testing.assert_allclose(still[0], 0.0, atol=1e-9)
    times = np.arange(6.0)
    start = Trajectory(times, np.column_stack([0.5 * 3 * times**2, 0 * times, 0 * times]))
    np.testing.assert_allclose(start.velocities[:, 0], 3 * times, atol=1e-12)


def test_tracks_with_one_time_at_all_points_need_a_speed(field: Site, tmp_path: Path) -> None:
    places = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 40.0]])
    file = write(tmp_path, gpx(field, places, [5.0, 5.0, 5.0]))
    with pytest.raises(SiteTwinError, match="has the same time at all of its 3 points; give a speed"):
        trajectories_from_gpx(file, field)
    (drive,) = trajectories_from_gpx(file, field, speed=10.0)
    np.testing.assert_allclose(drive.times, [0.0, 3.0, 7.0], atol=1e-4)
