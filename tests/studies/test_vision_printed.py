"""The paper's chain on moments whose answers are known: what it must find, and what its fits must not see."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sitetwin.studies.vision.config import ClosedLoop, MeasuredScenarios, NetworkTraining, VisionStudy
from sitetwin.studies.vision.printed import chain, network
from sitetwin.studies.vision.printed.moments import RenderedMoments, Sightings
from sitetwin.studies.vision.printed.names import DESCENT, END_TO_END, PRINTED, RIDGE, SIGHT, TRACED
from sitetwin.studies.vision.results import PrintedChain
from sitetwin.vision.profiles import ProfileCodebook, linear_array_book

STUDY = VisionStudy(
    profile="quick",
    measured=MeasuredScenarios(folds=3, swept=(1,)),
    network=NetworkTraining(runs=2),
    loop=ClosedLoop(descent_steps=10),
    bootstrap_draws=100,
)
BOOK = ProfileCodebook.of(linear_array_book(floor=0.0))


def made(shift_deg=0.0, streets=3, drives=2, each=8):
    """Moments whose strongest path comes from the user's direction, moved by some degrees; every fourth is blocked."""
    count = streets * drives * each
    rng = np.random.default_rng(0)
    azimuth = rng.uniform(-35, 35, count)
    user = np.stack([15 * np.cos(np.radians(azimuth)), 15 * np.sin(np.radians(azimuth)), np.full(count, -4.0)], axis=1)
    power = np.maximum(BOOK.gains_at(azimuth + shift_deg), 1e-6)
    number = np.arange(count)
    seen = Sightings(((),) * count, (np.zeros((0, 3)),) * count, np.argsort(-power, axis=1), power)
    return RenderedMoments(
        BOOK,
        power,
        number % 4 == 0,
        number // each,
        number // (each * drives),
        number,
        user,
        tuple(Path(f"{k}.jpg") for k in range(count)),
        0.1,
        {"true boxes": seen},
    )


class KnowsTheTruth:
    """Stands for a network that gives back what it was told to learn, moment by moment of its images."""

    converged = False

    def __init__(self, measured):
        self.measured = measured

    def profiles(self, seen):
        return self.measured[seen.images[:, 0, 0, 0].astype(int)]


@pytest.fixture
def told(monkeypatch):
    """What each fit was given: mappings and trainings by the numbers of their moments."""
    given = {"maps": [], "networks": []}
    moments = made(3.0)
    measured = chain.Reconstruction("sum", 16).profiles(moments.power, BOOK)
    fit = chain.fit_map

    def fitted(simulated, wanted, drive, *rest, **more):
        given["maps"].append(np.flatnonzero((measured[:, None] == wanted).all(axis=2).any(axis=1)))
        return fit(simulated, wanted, drive, *rest, **more)

    def trained(seen, wanted, held_out, seed, training):
        given["networks"].append(seen.images[:, 0, 0, 0].astype(int))
        return KnowsTheTruth(measured)

    monkeypatch.setattr(chain, "fit_map", fitted)
    monkeypatch.setattr(network, "train_end_to_end", trained)
    images = (
        np.zeros((len(moments.drive), 36, 64, 3), np.uint8)
        + np.arange(len(moments.drive), dtype=np.uint8)[:, None, None, None]
    )
    monkeypatch.setattr(network, "_images", lambda *given: images)
    return moments, given


def rows_of(document):
    return {(row.method, row.split): row for row in PrintedChain.model_validate(document).rows}


def test_the_chain_finds_what_is_known_of_its_moments(told, tmp_path):
    moments, _ = told
    document, said = chain.run_printed(STUDY, moments, tmp_path, "key", lambda stage, share: None)
    rows = rows_of(document)
    assert rows[TRACED, ""].dba.mean == 1.0
    assert rows[PRINTED, ""].dba.mean == pytest.approx(rows[SIGHT, ""].dba.mean, abs=0.03)  # no object reflects
    for split in ("drives", "streets"):
        assert rows[RIDGE, split].dba.mean > rows[PRINTED, ""].dba.mean + 0.1  # three degrees that M can turn
        assert rows[DESCENT, split].converged is False  # ten steps
        assert rows[RIDGE, split].converged is None
        assert rows[END_TO_END, split].dba.mean > 0.9
        assert rows[END_TO_END, split].converged is False
        assert len(rows[END_TO_END, split].runs) == 3  # once for each fold, though two were asked for
        assert rows[END_TO_END, split].rows == len(moments.drive)
    for row in rows.values():
        assert row.dba_natural == pytest.approx(0.1 * row.nlos_dba + 0.9 * row.los_dba)
    assert {one.method for one in said} >= set(chain.SWITCHES)
    assert {row.method for row in PrintedChain.model_validate(document).explained} >= {"non-negative least squares"}


def test_nothing_is_fitted_to_what_is_judged(told, tmp_path):
    moments, given = told
    chain.run_printed(STUDY, moments, tmp_path, "key", lambda stage, share: None)
    halves = {
        "maps": np.array_split(np.arange(len(given["maps"])), 2),
        "networks": np.array_split(np.arange(len(given["networks"])), 2),
    }
    for kind, (first, second) in halves.items():
        for of, part in ((moments.drive, first), (moments.street, second)):
            for pool in (given[kind][k] for k in part):
                left_out = np.setdiff1d(of, of[pool])
                assert len(left_out) > 0
                assert len(pool) == np.isin(of, of[pool]).sum()  # whole drives, whole streets


def test_a_stopped_run_trains_no_network_again(told, tmp_path, monkeypatch):
    moments, given = told
    first, _ = chain.run_printed(STUDY, moments, tmp_path, "key", lambda stage, share: None)
    trained = len(given["networks"])
    again, _ = chain.run_printed(STUDY, moments, tmp_path, "key", lambda stage, share: None)
    assert len(given["networks"]) == trained
    assert again == first


def test_too_few_drives_leave_out_what_is_fitted_and_say_so(tmp_path):
    moments = made(drives=1, streets=1)
    document, _ = chain.run_printed(STUDY, moments, tmp_path, "key", lambda stage, share: None)
    assert {row.split for row in PrintedChain.model_validate(document).rows} == {""}
    assert sum("Too few" in note for note in document["notes"]) == 2


def test_one_drive_for_a_fit_leaves_out_the_network_alone_and_says_so(tmp_path):
    moments = made(drives=2, streets=1, each=24)
    document, _ = chain.run_printed(STUDY, moments, tmp_path, "key", lambda stage, share: None)
    found = PrintedChain.model_validate(document)
    assert {row.method for row in found.rows if row.split == "drives"} == {RIDGE, DESCENT}
    assert sum("Too few drives for the network" in note for note in found.notes) == 1


def test_where_no_path_is_traced_the_line_of_sight_stands_in():
    moments = made(streets=1, drives=1, each=4)
    seen = moments.seen["true boxes"]
    dark = replace(seen, traced=np.where(np.arange(4)[:, None] == 2, 0.0, seen.traced))
    found = chain.traced_profiles(STUDY, moments, dark)
    whole = chain.traced_profiles(STUDY, moments, seen)
    np.testing.assert_array_equal(np.delete(found, 2, axis=0), np.delete(whole, 2, axis=0))
    assert abs(found[2].argmax() - 90 - moments.azimuth_deg[2]) < 1
    assert np.isfinite(chain.traced_profiles(STUDY, moments, replace(seen, traced=0 * seen.traced))).all()


def test_an_object_in_the_way_of_its_user_draws_algorithm_1_to_it():
    """As printed a car beside the line of sight weighs as a mirror: with its reflectance 1 it takes half a profile."""
    moments = made(streets=1, drives=1, each=4)
    beside = np.array([[10.0, -7.0, -4.0]])
    seen = replace(moments.seen["true boxes"], names=(("car",),) * 4, points=(beside,) * 4)
    bare = chain.profiles_of(chain.PointReflectors(), moments, moments.seen["true boxes"])
    found = chain.profiles_of(chain.PointReflectors(), moments, seen)
    at = int(np.rint(np.degrees(np.arctan2(-7.0, 10.0)))) + 90
    near = np.hypot(*(moments.user[:, :2] - beside[0, :2]).T) < 5.0
    assert (found[~near, at] > bare[~near, at]).all()
    np.testing.assert_array_equal(found[near], bare[near])  # it is taken for the user's own car
    assert 0 < near.sum() < 4


def test_a_linear_array_sees_the_angle_to_its_axis():
    """Points of one angle to the array's axis are one to it, however high they stand; distances stay."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 3)) * [9, 9, 3]
    flat = chain._flat(points)
    np.testing.assert_allclose(np.linalg.norm(flat, axis=1), np.linalg.norm(points, axis=1))
    np.testing.assert_allclose(flat[:, 1] / np.linalg.norm(flat, axis=1), points[:, 1] / np.linalg.norm(points, axis=1))
    assert (np.sign(flat[:, 0]) == np.sign(points[:, 0])).all()
    assert (flat[:, 2] == 0).all()


def test_a_broken_image_is_black(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    moments = replace(made(streets=1, drives=1, each=1), images=(tmp_path / "a.jpg",))
    assert network._images(moments, NetworkTraining(width=64)).max() == 0
