"""A planted camera is found again, what is stated of its error is true, and drives that tell nothing are refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.site import Pose
from sitetwin.vision import PARAMETERS, Camera
from sitetwin.vision.cuboids import outlines
from sitetwin.vision.fitting import CAR, fit_camera
from sitetwin.vision.ground import Ground

TRUE = Camera.from_view(Pose((3.0, -8.0, 6.3), 1.3, 0.17, 0.03))
START = Camera.from_view(Pose((3.0, -8.0, 5.0), 0.4, 0.0, 0.0))
LEVEL = Ground(level=0.4)


def drive(rng, count=60, gps=0.5, pixel=(2.0, 1.5), camera=TRUE, lanes=(0.0, 6.0, 14.0)):
    """Cars that pass in some lanes, as boxes and places of GPS."""
    found = []
    while len(found) < count:
        place = np.array([rng.uniform(-25, 30), rng.choice(lanes), 0.4])
        heading = float(rng.choice([0.0, math.pi]))
        box = outlines(camera, place[None], np.array([heading]), np.array([CAR]))[0]
        box += np.array([1, 0, 1, 0]) * rng.normal(0, pixel[0]) + np.array([0, 1, 0, 1]) * rng.normal(0, pixel[1])
        if (box > 3).all() and box[2] < 957 and box[3] < 537:
            found.append((box, place[:2] + rng.normal(0, gps, 2), heading))
    boxes, places, headings = map(np.array, zip(*found, strict=True))
    return boxes, places, headings


def errors(found):
    step = np.array([*(found.camera.position - TRUE.position), 0, 0, 0, math.log(found.camera.fx / TRUE.fx)])
    step[3:6] = np.subtract(found.camera.pose.orientation, TRUE.pose.orientation)
    return step


def test_a_planted_camera_is_found_exactly_without_noise():
    found = fit_camera(START, *drive(np.random.default_rng(0), gps=0.0, pixel=(0, 0)), LEVEL)
    np.testing.assert_allclose(errors(found), 0, atol=1e-6)
    assert found.used.all()
    wide = replace(START, fx=400.0, fy=400.0)
    pairs = drive(np.random.default_rng(1), count=150, gps=0.0, pixel=(0, 0))
    found = fit_camera(wide, *pairs, LEVEL, free=("z", "yaw", "pitch", "roll", "focal"), gps_sigma=0.1)
    np.testing.assert_allclose(errors(found), 0, atol=1e-5)


def test_what_is_stated_of_the_error_is_its_scatter():
    rng = np.random.default_rng(2)
    fits = [fit_camera(START, *drive(rng), LEVEL) for _ in range(20)]
    miss = np.array([errors(fit) for fit in fits])[:, 2:6]
    stated = np.array([[fit.sigma[name] for name in PARAMETERS[2:6]] for fit in fits])
    ratio = np.sqrt((miss**2).mean(axis=0)) / np.sqrt((stated**2).mean(axis=0))
    assert (ratio > 0.6).all()  # 20 draws: 16 % of scatter
    assert (ratio < 1.5).all()
    whole = [errors(f)[2:6] @ np.linalg.solve(f.covariance[2:6, 2:6], errors(f)[2:6]) for f in fits]
    assert 2.2 < np.mean(whole) < 6.5  # chi-square of four


def test_boxes_of_other_cars_and_jumps_of_gps_do_not_move_it():
    rng = np.random.default_rng(3)
    boxes, places, headings = drive(rng, count=80)
    wrong = rng.permutation(80)[:20]
    boxes[wrong] = boxes[rng.permutation(wrong)]
    places[wrong[:8]] += rng.choice([-30, 30], (8, 2))
    found = fit_camera(START, boxes, places, headings, LEVEL)
    assert not found.used[wrong[:8]].any()
    assert np.abs(errors(found)[2:6] / np.sqrt(np.diag(found.covariance)[2:6])).max() < 4.5


def test_cut_boxes_are_left_out():
    boxes, places, headings = drive(np.random.default_rng(4))
    boxes[:5, 0] = 0.0
    found = fit_camera(START, boxes, places, headings, LEVEL)
    assert not found.used[:5].any()


def test_cars_that_the_lower_edge_cuts_count_by_their_roofs():
    boxes, places, headings = drive(np.random.default_rng(6), gps=0.0, pixel=(0, 0))
    boxes[:30, 3] = 540.0
    found = fit_camera(START, boxes, places, headings, LEVEL)
    np.testing.assert_allclose(errors(found), 0, atol=1e-6)
    assert found.used.all()
    with pytest.raises(SiteTwinError, match="0 pairs"):
        fit_camera(START, boxes * (1, 0, 1, 0) + np.array([0.0, 0.0, 0.0, 540.0]), places, headings, LEVEL)


def seen_at(places, headings, rng):
    """Boxes of a car at places, and what GPS tells of them."""
    boxes = outlines(
        TRUE, np.column_stack([places, np.full(len(places), 0.4)]), headings, np.tile(CAR, (len(places), 1))
    )
    return boxes, places + rng.normal(0, 0.3, places.shape), headings


def along(direction, rng):
    """A car on a straight line from the camera's foot, seen from 12 m to 40 m."""
    away = rng.uniform(12, 40, 40)
    places = TRUE.position[:2] + away[:, None] * np.array([math.cos(direction), math.sin(direction)])
    return seen_at(places, np.full(40, direction), rng)


def around(rng):
    """A car on a narrow arc of 25 m about the camera."""
    angle = 1.3 + rng.uniform(-0.15, 0.15, 40)
    places = TRUE.position[:2] + 25 * np.column_stack([np.cos(angle), np.sin(angle)])
    return seen_at(places, angle + math.pi / 2, rng)


def test_drives_that_tell_too_little_are_refused():
    rng = np.random.default_rng(5)
    with pytest.raises(SiteTwinError, match=r"do not determine .*z, .*pitch.*free"):
        fit_camera(START, *around(rng), LEVEL)
    with pytest.raises(SiteTwinError, match=r"do not determine .*z"):
        fit_camera(START, *along(1.3, rng), LEVEL, free=("z", "pitch", "yaw", "roll", "focal"))
    place = np.tile([[3.0, 10.0]], (30, 1))
    box = np.tile(outlines(TRUE, np.array([[3.0, 10.0, 0.4]]), np.zeros(1), np.array([CAR])), (30, 1))
    with pytest.raises(SiteTwinError, match="do not determine"):
        fit_camera(START, box, place, np.zeros(30), LEVEL)
    boxes, places, headings = drive(rng)
    with pytest.raises(SiteTwinError, match="too few"):
        fit_camera(START, boxes[:8], places[:8], headings[:8], LEVEL)
    with pytest.raises(SiteTwinError, match="agree with one camera"):
        fit_camera(START, boxes, places[rng.permutation(60)], headings, LEVEL, free=("yaw",))
    with pytest.raises(SiteTwinError, match="not finite"):
        fit_camera(START, boxes, places * np.nan, headings, LEVEL)
    with pytest.raises(SiteTwinError, match="no pairs"):
        fit_camera(START, boxes, places[1:], headings, LEVEL)
    with pytest.raises(SiteTwinError, match="cannot be fitted"):
        fit_camera(START, boxes, places, headings, LEVEL, free=("tilt",))


def test_drives_tell_what_they_can():
    rng = np.random.default_rng(6)
    for pairs, free in ((along(1.3, rng), ("z", "yaw", "pitch", "roll")), (around(rng), ("yaw", "pitch", "roll"))):
        start = TRUE if "z" not in free else START
        found = fit_camera(replace(START, pose=replace(start.pose, yaw=0.0)), *pairs, LEVEL, free=free)
        rows = [PARAMETERS.index(name) for name in free]
        assert np.abs(errors(found)[rows] / np.sqrt(np.diag(found.covariance)[rows])).max() < 4
        assert found.sigma["focal"] == 0


TOLD = {"z": 0.3, "yaw": math.radians(1.5), "pitch": math.radians(1.0), "roll": math.radians(0.5)}


def mounted(rng):
    """The camera as somebody told it who mounted it."""
    return TRUE.moved(np.array([TOLD.get(name, 0.0) for name in PARAMETERS]) * rng.standard_normal(len(PARAMETERS)))


def test_what_is_told_counts_beside_pairs_that_tell_too_little():
    rng = np.random.default_rng(7)
    fits = [fit_camera(mounted(rng), *around(rng), LEVEL, told=TOLD, gps_sigma=0.3) for _ in range(20)]
    squares = [errors(f)[2:6] @ np.linalg.solve(f.covariance[2:6, 2:6], errors(f)[2:6]) for f in fits]
    assert 2.2 < np.mean(squares) < 6.5  # chi-square of four
    for fit in fits:
        assert all(fit.sigma[name] < 1.01 * sigma for name, sigma in TOLD.items())
        assert fit.sigma["yaw"] < 0.5 * TOLD["yaw"]
        assert fit.sigma["z"] > 0


def test_one_pair_leaves_a_camera_near_what_was_told():
    rng = np.random.default_rng(8)
    boxes, places, headings = drive(rng, count=40)
    start = mounted(rng)
    found = fit_camera(start, boxes[:1], places[:1], headings[:1], LEVEL, told=TOLD)
    away = np.subtract(found.camera.pose.orientation, start.pose.orientation)
    assert (np.abs(away) < 4 * np.array([TOLD["yaw"], TOLD["pitch"], TOLD["roll"]])).all()
    more = fit_camera(start, boxes, places, headings, LEVEL, told=TOLD)
    assert more.sigma["yaw"] < found.sigma["yaw"] <= 1.01 * TOLD["yaw"]


def test_pairs_with_one_error_count_as_one():
    boxes, places, headings = drive(np.random.default_rng(9), count=40, gps=0.0, pixel=(0, 0))
    exact = {"told": TOLD, "pixel_sigma": (1e-3, 1e-3)}
    once = fit_camera(TRUE, boxes, places, headings, LEVEL, gps_sigma=0.5, **exact)
    four = [np.repeat(one, 4, axis=0) for one in (boxes, places, headings)]
    often = fit_camera(TRUE, *four, LEVEL, gps_sigma=np.full(160, 0.5 * math.sqrt(4)), **exact)
    np.testing.assert_allclose(often.covariance, once.covariance, rtol=1e-3, atol=1e-12)


def test_what_cannot_be_told_is_refused():
    pairs = drive(np.random.default_rng(10))
    with pytest.raises(SiteTwinError, match=r"told of focal, which is not fitted"):
        fit_camera(START, *pairs, LEVEL, told={"focal": 0.1})
    with pytest.raises(SiteTwinError, match="not all positive"):
        fit_camera(START, *pairs, LEVEL, told={**TOLD, "yaw": 0.0})
    with pytest.raises(SiteTwinError, match="must be positive"):
        fit_camera(START, *pairs, LEVEL, gps_sigma=np.full(60, -0.5))
    with pytest.raises(SiteTwinError, match="0 pairs"):
        fit_camera(START, pairs[0][:0], pairs[1][:0], pairs[2][:0], LEVEL, told=TOLD)
