"""Counts of a detector, and the way of a passing car among parked ones."""

import math

import numpy as np
import pytest

from sitetwin.errors import SiteTwinError
from sitetwin.vision import Detection
from sitetwin.vision.evaluation import Counts, count, fit_pass, pair_boxes

TRUE = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]])


def box(x, y=5.0, name="car", score=0.5):
    return Detection((x - 5.0, y - 5.0, x + 5.0, y + 5.0), name, score)


def test_each_object_has_one_partner_that_of_the_largest_overlap():
    found = [box(7), box(5), box(25)]
    assert pair_boxes(found, TRUE) == [(1, 0), (2, 1)]
    assert pair_boxes([], TRUE) == pair_boxes(found, np.zeros((0, 4))) == []


def test_what_does_not_count_is_neither_missed_nor_wrong():
    counts = np.array([True, True, False])
    found = [box(5), box(5.5), box(100), box(45), box(25, name="person")]
    seen = count(found, TRUE, counts)
    assert seen == Counts(found=1, objects=2, right=2, boxes=4)
    assert (seen.recall, seen.precision) == (0.5, 0.5)
    aside = count([Detection((40.0, 0.0, 44.0, 10.0), "car")], TRUE, counts)
    assert aside == Counts(0, 2, 0, 0)
    assert math.isnan(aside.precision)
    assert math.isnan(count([], np.zeros((0, 4)), np.zeros(0, bool)).recall)
    assert seen + aside == Counts(1, 4, 2, 4)


def test_a_passing_car_is_told_from_parked_ones():
    rng = np.random.default_rng(0)
    times = np.array([0.0, 1, 2, 4, 5, 6, 7, 9, 10, 11])
    frames = [[box(x, 50 + rng.normal(0, 1), score=0.9) for x in (100, 300, 500)] for _ in times]
    for time, found in zip(times, frames, strict=True):
        if time != 6:
            found.append(box(50 + 12 * time + rng.normal(0, 2), 80 + rng.normal(0, 2), score=0.3))
    found = fit_pass(times, frames)
    np.testing.assert_allclose(found.speed, (12, 0), atol=1.0)
    assert found.near.sum() == 9
    assert not found.near[5]
    np.testing.assert_allclose(found.at(times)[:, 1], 80, atol=6)
    with pytest.raises(SiteTwinError, match="nothing passes"):
        fit_pass(times, [one[:3] for one in frames], least_speed=50.0)
    with pytest.raises(SiteTwinError, match="nothing passes"):
        fit_pass(times, [[] for _ in times])
