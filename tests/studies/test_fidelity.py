"""The study of fidelity: laws of its twins, its table, its configuration, and a small canyon from end to end."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.report import fidelity_sentences, fidelity_table, write_fidelity_report
from sitetwin.site import open_site
from sitetwin.studies import FidelityStudy, fidelity_study, run_fidelity_study
from sitetwin.studies.csi.config import Cell
from sitetwin.studies.fidelity import study as fidelity
from sitetwin.studies.fidelity import twins as makers
from sitetwin.studies.fidelity.config import Difference
from sitetwin.studies.fidelity.kinds import PERFECT
from sitetwin.studies.fidelity.results import read_fidelity_results
from sitetwin.studies.fidelity.summary import Found, rows_of
from sitetwin.studies.fidelity.twins import Truth, Twin, make_twin, trace_truth, training_users
from sitetwin.studies.frame import silent

BEAM = math.degrees(2 / 32)
"""Heading that moves a path near the boresight by one of 32 beams."""


def small(differences: tuple[Difference, ...], *, depth: int = 1, **sizes: Any) -> FidelityStudy:
    """A street canyon with few users."""
    area = (-30.0, -8.0, 60.0, 8.0)
    cells = [
        Cell(scene=name, base_station=(-33.0, 0.0, 12.0), yaw_deg=0.0, area=area, spacing=2.0)
        for name in ("simple_street_canyon", "simple_street_canyon_with_cars")
    ]
    study = fidelity_study("quick", *cells, methods=("klt",))
    usual = {"test_users": 60, "train_sizes": (150,), "block_m": 10.0}
    evaluation = study.csi.evaluation.model_copy(update={**usual, **sizes})
    csi = study.csi.model_copy(update={"evaluation": evaluation, "max_depth": depth})
    return study.model_copy(update={"csi": csi, "differences": differences})


@pytest.fixture(scope="module")
def plan() -> FidelityStudy:
    return small((Difference(kind="yaw", strength=1),))


@pytest.fixture(scope="module")
def truth(plan: FidelityStudy) -> Truth:
    return trace_truth(plan, silent)


def twin(plan: FidelityStudy, truth: Truth, seed: int = 0, **said: Any) -> Twin:
    return make_twin(plan, truth, Difference(**said), seed, silent)


def test_the_perfect_twin_is_the_truth(plan: FidelityStudy, truth: Truth) -> None:
    perfect = twin(plan, truth, kind=PERFECT)
    assert perfect.world.paths is truth.world.paths
    assert perfect.world.site is truth.world.site
    assert perfect.world.radio is truth.world.radio


def _slope(of: Twin, users: np.ndarray) -> np.ndarray:
    """Sine of the angle of a single path, by the phase between neighbouring elements, up to one sign for all."""
    elements = torch.fft.ifft(torch.fft.ifftshift(of.matrices(users), dim=-1), dim=-1)
    return (elements[..., 1:] * elements[..., :-1].conj()).sum((1, 2)).angle().numpy() / math.pi


@pytest.mark.parametrize("turned", [BEAM, 10.0])
def test_a_turned_array_moves_the_angle_axis(turned: float) -> None:
    """Of users with a line of sight alone, the phase between elements is pi times the sine of the angle to the array's
    boresight; turning by 2/32 rad moves what is near the boresight by one beam of 32."""
    plan = small((Difference(kind="yaw", strength=turned),), depth=0)
    truth = trace_truth(plan, silent)
    bare = twin(plan, truth, kind="trees", choice="none").world
    truth = replace(truth, world=replace(truth.world, site=bare.site, paths=bare.paths))
    users = np.flatnonzero(bare.paths.counts == 1)[::7]
    away = truth.users[users] - truth.station
    far = np.linalg.norm(away, axis=1)
    pair = twin(plan, truth, kind=PERFECT), twin(plan, truth, kind="yaw", strength=turned)
    sign = 0.0
    for of, yaw in zip(pair, (0.0, turned), strict=True):
        y = -math.sin(math.radians(yaw)) * away[:, 0] + math.cos(math.radians(yaw)) * away[:, 1]
        found = _slope(of, users)
        sign = sign or np.sign((found * y).sum())  # the transform's, the same for both
        np.testing.assert_allclose(sign * found, y / far, atol=2e-3)
    peak = [of.matrices(users).abs().square().sum(1).argmax(1).numpy() for of in pair]
    near = (np.abs(away[:, 1]) < 0.2 * far) & (far > 40)
    moved = (peak[1] - peak[0] + 16) % 32 - 16
    assert abs(abs(moved[near].mean()) - turned / BEAM) < 0.4


def test_a_larger_error_of_walls_is_the_same_error_larger(plan: FidelityStudy, truth: Truth) -> None:
    site = truth.world.site
    moves = {
        size: twin(plan, truth, kind="walls", strength=size).world.site.vertices - site.vertices for size in (0.5, 1.0)
    }
    np.testing.assert_allclose(2 * moves[0.5], moves[1.0], atol=1e-6)
    assert np.abs(moves[1.0][:, 2]).max() == 0
    assert 0.2 < np.sqrt((moves[1.0][:, :2] ** 2).sum(1).mean()) < 2.0
    other = twin(plan, truth, seed=1, kind="walls", strength=1.0).world.site.vertices - site.vertices
    assert not np.allclose(other, moves[1.0])


def test_walls_of_a_city_are_displaced_by_their_root_mean_square(plan: FidelityStudy, truth: Truth) -> None:
    """Over the thousand buildings of Munich; nothing is traced."""
    city = open_site("munich")
    making = makers._Making(plan, truth, Difference(kind="walls", strength=2.0), 0, silent)
    moved = making.moved(city, 2.0, 0.0)
    away = np.linalg.norm((moved.vertices - city.vertices)[:, :2], axis=1)
    buildings = np.unique(np.round((moved.vertices - city.vertices)[away > 0, :2], 6), axis=0)
    assert len(buildings) > 500
    assert np.sqrt((buildings**2).sum(1).mean()) == pytest.approx(2.0, rel=0.1)


def test_roofs_move_up_and_down_alone(plan: FidelityStudy, truth: Truth) -> None:
    moved = twin(plan, truth, kind="heights", strength=2.0).world.site.vertices - truth.world.site.vertices
    assert np.abs(moved[:, :2]).max() == 0
    assert np.abs(moved[:, 2]).max() > 0.3


def test_materials_and_elements_change_gains_and_no_path(plan: FidelityStudy, truth: Truth) -> None:
    users = np.flatnonzero(truth.world.covered)[::9]
    true = twin(plan, truth, kind=PERFECT).matrices(users)
    for said in ({"kind": "materials", "choice": "metal"}, {"kind": "pattern", "choice": "TR 38.901"}):
        other = twin(plan, truth, **said)
        assert other.world.paths is truth.world.paths
        assert not torch.allclose(other.matrices(users), true, atol=1e-3)
    metal = twin(plan, truth, kind="materials", choice="metal").world.site
    assert {material.itu for material in metal.materials} == {"metal"}


def test_without_trees_only_what_passes_trees_differs(plan: FidelityStudy, truth: Truth) -> None:
    """A user none of whose paths passes a crown has the same channel without trees and with trees that attenuate."""
    bare, shading = (twin(plan, truth, kind="trees", choice=choice) for choice in ("none", "attenuate only"))
    paths = shading.world.paths
    assert (bare.world.paths.counts == paths.counts).all()  # both lack the paths that crowns scatter
    assert paths.num_paths < truth.world.paths.num_paths
    passing = np.bincount(paths.user_of_path[np.diff(paths.crossing_offsets) > 0], minlength=paths.num_users) > 0
    free, shaded = np.flatnonzero(shading.usable & ~passing), np.flatnonzero(passing)
    assert min(len(free), len(shaded)) > 10
    assert torch.allclose(bare.matrices(free), shading.matrices(free), atol=1e-4)
    assert not torch.allclose(bare.matrices(shaded), shading.matrices(shaded), atol=1e-2)


def test_a_station_that_is_off_stands_so_far_away(plan: FidelityStudy, truth: Truth) -> None:
    one, three = (twin(plan, truth, kind="station", strength=size).world.paths.transmitter for size in (1.0, 3.0))
    assert np.linalg.norm(one - truth.station) == pytest.approx(1.0)
    np.testing.assert_allclose(three - truth.station, 3 * (one - truth.station), atol=1e-9)
    assert one[2] == truth.station[2]


def test_the_plain_twin_has_all_that_is_usually_wrong(plan: FidelityStudy, truth: Truth) -> None:
    plain = twin(plan, truth, kind="plain")
    assert plain.world.site.vegetation.num_volumes == 0
    assert plain.csi.link.paths == 25
    assert plain.world.radio.orientation[0] == pytest.approx(math.radians(1.0))
    assert not np.allclose(plain.world.site.vertices, truth.world.site.vertices)


def test_all_twins_train_with_the_same_users_but_those_they_cannot_use(plan: FidelityStudy, truth: Truth) -> None:
    perfect = twin(plan, truth, kind=PERFECT)
    tested = np.flatnonzero(perfect.usable)[:50]
    first = training_users(perfect, tested, False, 100, 3)
    assert not np.isin(first, tested).any()
    lost = first[:4]
    poorer = replace(perfect, usable=perfect.usable & ~np.isin(np.arange(len(perfect.usable)), lost))
    second = training_users(poorer, tested, False, 100, 3)
    np.testing.assert_array_equal(second[:96], first[4:])
    with pytest.raises(SiteTwinError, match=r"users with a path, and 100000 are to be trained on"):
        training_users(perfect, tested, False, 100_000, 3)


def _found(kind: str, strength: float | None, seed: int, errors: list[float]) -> Found:
    return Found(Difference(kind=kind, strength=strength), "hybrid", seed, errors, 100.0)


def test_planted_costs_are_told_back() -> None:
    true = {seed: [0.01 * (1 + seed + user % 3) for user in range(12)] for seed in range(2)}
    worse = [[10 * e for e in true[seed]] for seed in range(2)]
    found = [_found("perfect", None, seed, true[seed]) for seed in range(2)]
    found += [_found("yaw", 5.0, seed, worse[seed]) for seed in range(2)]
    perfect, turned = rows_of(found, {seed: [user // 3 for user in range(12)] for seed in range(2)})
    assert perfect["cost_db"]["mean"] == perfect["cost_db"]["low"] == perfect["cost_db"]["high"] == 0
    assert turned["cost_db"]["mean"] == pytest.approx(10)
    assert turned["cost_db"]["low"] == pytest.approx(10)  # each pair has the same ratio
    assert turned["cost_db"]["values"] == pytest.approx([10, 10])
    assert turned["cost_db"]["n"] == 4  # blocks, each with the users of both seeds
    assert turned["name"] == "yaw, 5 degrees"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"profile": "paper"}, "no profile 'paper'"),
        ({"methods": ("hybird",)}, "no method 'hybird'"),
        ({"methods": ("paths", "paths")}, "a method stands twice"),
        ({"methods": ("klt",), "bits": 100}, "'klt' takes multiples of 32 bits"),
        ({"bits": 0}, "greater than or equal to 1"),
        ({"seeds": 0}, "give at least one"),
        ({"methods": ()}, "at least 1 item"),
    ],
)
def test_impossible_studies_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SiteTwinError, match=said):
        fidelity_study(**{"profile": "quick", **given})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "walls"}, "needs a strength in m rms"),
        ({"kind": "trees", "strength": 1.0, "choice": "none"}, "has no strength"),
        ({"kind": "materials", "choice": "cheese"}, "concrete or glass or metal, not 'cheese'"),
        ({"kind": "order", "strength": 0.5}, "0.5 reflections are none"),
        ({"kind": "yaw", "strength": -1.0}, "greater than or equal to 0"),
    ],
)
def test_impossible_differences_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Difference(**given)


def test_differences_that_do_not_differ_are_refused() -> None:
    study = fidelity_study("quick")
    for differences, said in (
        ((Difference(kind=PERFECT),), "always there"),
        ((Difference(kind="order", strength=3),), "does not differ from the truth"),
        ((Difference(kind="yaw", strength=1), Difference(kind="yaw", strength=1.0)), "stands twice"),
    ):
        with pytest.raises(ValueError, match=said):
            FidelityStudy(profile="quick", csi=study.csi, differences=differences)


def test_the_full_profile_has_every_strength() -> None:
    study = fidelity_study("full")
    names = {one.name for one in study.differences}
    assert {"walls, 4 m rms", "heights, 2 m rms", "yaw, 0.5 degrees", "station, 3 m", "order, 3 reflections"} <= names
    assert {"yaw, 1 degree", "order, 1 reflection", "station, 1 m"} <= names
    assert len(study.csi.evaluation.seeds) == 5


def test_a_small_canyon_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    differences = (
        Difference(kind="wrong site"),
        Difference(kind="trees", choice="none"),
        Difference(kind="yaw", strength=1e-6),
        Difference(kind="yaw", strength=20.0),
        Difference(kind="station", strength=15.0),  # within a wall of the canyon, or past it
    )
    study, folder = small(differences), tmp_path / "run"
    monkeypatch.setitem(makers._MAKERS, "station", _in_a_wall)
    first = run_fidelity_study(study, folder).read_bytes()
    results = read_fidelity_results(folder)
    by = {row.name: row for row in results.rows}
    assert by["perfect"].cost_db.mean == by["perfect"].cost_db.low == by["perfect"].cost_db.high == 0
    same = by["yaw, 1e-06 degrees"].cost_db
    assert same.low < 0 < same.high  # what does not differ costs nothing; zones of a codec may be split otherwise
    assert by["yaw, 20 degrees"].cost_db.low > 0.5
    assert all(row.used_bits <= 128 and row.cost_db.high > -0.5 for row in results.rows)
    (left,) = results.left_out
    assert (left.name, left.seed) == ("station, 15 m", 0)
    assert results.truth.scatter_centres > 0
    page = write_fidelity_report(folder).read_text()
    said = " ".join(fidelity_sentences(results))
    assert "Of single errors these matter most: yaw, 20 degrees" in said
    assert "The wrong site costs" in said
    assert all(word in page for word in ("Left out", "stands in a wall", "0 by construction"))
    assert fidelity_table(results).row_count == len(results.rows) == 5
    monkeypatch.setattr(fidelity, "trace_truth", None)  # a finished study is not traced again
    assert run_fidelity_study(study, folder).read_bytes() == first
    (folder / "results.json").write_text(json.dumps({"schema_name": "sitetwin.rates-results/1"}))
    with pytest.raises(SiteTwinError, match="no study of fidelity"):
        write_fidelity_report(folder)


def _in_a_wall(making: Any) -> Twin:
    raise SiteTwinError("the transmitter stands in a wall")


def test_a_truth_with_too_few_users_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SiteTwinError, match=r"the study tests 5000; use a larger area"):
        run_fidelity_study(small((Difference(kind="yaw", strength=1),), test_users=5000), tmp_path / "a")
    with pytest.raises(SiteTwinError, match="the truth cannot be trained on: it has"):
        run_fidelity_study(small((Difference(kind="yaw", strength=1),), train_sizes=(5000,)), tmp_path / "b")
