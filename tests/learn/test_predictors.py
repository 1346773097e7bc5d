"""The one shape of beam predictors: fit, predict, update, files that may come from strangers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from sitetwin.errors import SiteTwinError
from sitetwin.learn import (
    BeamPredictor,
    BeamSet,
    GeometricBeams,
    LookupBeams,
    MajorityBeams,
    NearestBeams,
    NetworkBeams,
    Predictor,
    SharedLayerBeams,
)
from sitetwin.learn.beams import emulator
from sitetwin.learn.beams.emulator import BeamPowerEmulator
from sitetwin.learn.beams.metrics import rank_of_best
from sitetwin.learn.beams.network import Schedule

BEAMS = 6
AREA = np.array([[12.0, -18.0], [20.0, 18.0]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def measured(rows: int = 200, seed: int = 1) -> BeamSet:
    """A street whose best beam follows the direction."""
    rng = np.random.default_rng(seed)
    place = np.stack([rng.uniform(12, 20, rows), rng.uniform(-18, 18, rows)], axis=1)
    best = (np.degrees(np.arctan2(place[:, 1], place[:, 0])) + 57) / 20
    return BeamSet(place, np.exp(-((best[:, None] - np.arange(BEAMS)) ** 2)) + 0.01)


def made() -> list[BeamPredictor]:
    return [
        MajorityBeams(),
        NearestBeams(3),
        LookupBeams(6),
        NetworkBeams(Schedule(epochs=10), replace(Schedule(), epochs=2)),
        BeamPowerEmulator(0.0, 8),
        SharedLayerBeams(AREA, Schedule(epochs=10)),
    ]


@pytest.fixture(scope="module")
def fitted() -> list[BeamPredictor]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(emulator, "_STEPS", 150)
        return [predictor.fit(measured(), seeded()) for predictor in made()]


def looking_east() -> GeometricBeams:
    """An array at the origin whose beams are those of `measured`."""
    azimuth = np.radians(np.arange(-90.0, 91.0))
    best = (np.degrees(azimuth) + 57) / 20
    return GeometricBeams(np.exp(-((best - np.arange(BEAMS)[:, None]) ** 2)), azimuth, 0.0)


def test_line_of_sight_needs_no_rows_and_is_kept(tmp_path: Path) -> None:
    asked = measured(20, seed=2)
    predictor = looking_east()
    score = predictor.predict(asked.position)
    assert (rank_of_best(score, asked.power) == 0).all()
    predictor.save(tmp_path / "east.npz")
    np.testing.assert_array_equal(GeometricBeams.load(tmp_path / "east.npz").predict(asked.position), score)
    fitted = predictor.fit(measured())
    fitted.save(tmp_path / "east.npz")
    assert len(GeometricBeams.load(tmp_path / "east.npz").update(asked).rows) == 220


def test_networks_side_by_side_are_those_trained_alone() -> None:
    sets, more, asked = [measured(40, seed=1), measured(40, seed=2)], measured(6, seed=3), measured(9, seed=4).position
    base = NetworkBeams(Schedule(epochs=3), Schedule(epochs=2))
    one = base.fit_each(sets[:1], seeded())[0]
    np.testing.assert_array_equal(
        one.predict(asked), NetworkBeams(Schedule(epochs=3)).fit(sets[0], seeded()).predict(asked)
    )
    both = base.fit_each(sets, seeded(1), seeded(2))
    assert [len(p.rows) for p in both] == [40, 40]
    assert not np.array_equal(both[0].predict(asked), both[1].predict(asked))
    tuned = NetworkBeams.update_each(both[:1], [more], seeded())[0]
    np.testing.assert_array_equal(tuned.predict(asked), both[0].update(more, seeded()).predict(asked))
    assert len(tuned.rows) == 46


def test_all_predictors_have_one_base() -> None:
    assert all(isinstance(p, Predictor) for p in (*made(), looking_east()))
    with pytest.raises(SiteTwinError, match="not fitted"):
        _ = NearestBeams().rows


def test_every_predictor_predicts_and_is_kept(fitted: list[BeamPredictor], tmp_path: Path) -> None:
    asked = measured(20, seed=2)
    for predictor in fitted:
        score = predictor.predict(asked.position)
        assert score.shape == (20, BEAMS)
        if not isinstance(predictor, MajorityBeams):
            assert (rank_of_best(score, asked.power) < 2).mean() > 0.7, predictor.kind
        predictor.save(tmp_path / "predictor.npz")
        loaded = type(predictor).load(tmp_path / "predictor.npz")
        np.testing.assert_array_equal(loaded.predict(asked.position), score)
        with pytest.raises(SiteTwinError, match="finite metres"):
            predictor.predict(np.array([[np.nan, 0.0]]))


def test_an_update_is_another_predictor(
    fitted: list[BeamPredictor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "_STEPS", 20)
    asked, more = measured(20, seed=2).position, measured(10, seed=3)
    for predictor in fitted:
        before = predictor.predict(asked)
        updated = predictor.update(more, seeded())
        assert len(updated.rows) == 210
        assert not np.array_equal(updated.predict(asked), before)
        np.testing.assert_array_equal(predictor.predict(asked), before)
        if not isinstance(predictor, NetworkBeams | SharedLayerBeams | BeamPowerEmulator):
            whole = predictor._unfitted().fit(measured().joined(more))
            np.testing.assert_array_equal(updated.predict(asked), whole.predict(asked))
        with pytest.raises(SiteTwinError, match="beams cannot join"):
            predictor.update(BeamSet(asked, np.ones((20, 3))), seeded())


def test_labelled_powers_are_read_by_name() -> None:
    rows = measured()
    data = xr.Dataset(
        {
            "power": (("beam", "sample"), rows.power.T),
            "east": ("sample", rows.position[:, 0]),
            "north": ("sample", rows.position[:, 1]),
        }
    )
    asked = measured(5, seed=2).position
    np.testing.assert_array_equal(NearestBeams().fit(data).predict(asked), NearestBeams().fit(rows).predict(asked))
    for wrong, said in (
        (data.drop_vars("east"), "east is missing"),
        (data.rename(beam="antenna"), "power has antenna, sample"),
        (data.where(data.east < 0), "finite"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            NearestBeams().fit(wrong)


def test_what_a_predictor_cannot_do_is_said(fitted: list[BeamPredictor], tmp_path: Path) -> None:
    rows = measured(8)
    for call, said in (
        (lambda: MajorityBeams().predict(rows.position), "not fitted"),
        (lambda: MajorityBeams().fit(BeamSet(rows.position[:0], rows.power[:0])), "at least one row"),
        (lambda: BeamSet(rows.position, -rows.power), "negative"),
        (lambda: BeamSet(rows.position, rows.power * np.nan), "row 0"),
        (lambda: NetworkBeams().fit(rows), r"torch\.Generator"),
        (lambda: BeamPowerEmulator(0.0, 8).fit(rows), r"torch\.Generator"),
        (lambda: NearestBeams(0), "at least one neighbour"),
        (lambda: LookupBeams(0), "cells"),
        (lambda: SharedLayerBeams(AREA).fit(BeamSet(rows.position[:1], rows.power[:1]), seeded()), "at least"),
        (lambda: SharedLayerBeams(AREA * np.nan), "finite metres"),
        (lambda: NetworkBeams().fit_each([], seeded()), "at least one set"),
        (lambda: NetworkBeams().fit_each([rows, measured(9)], seeded()), "equally many rows"),
        (lambda: NetworkBeams.update_each([NetworkBeams()], [rows, rows], seeded()), "1 predictors go with 2 sets"),
        (lambda: looking_east().fit(BeamSet(rows.position, rows.power[:, :3])), "beams cannot join"),
        (lambda: GeometricBeams(np.ones((2, 3)), np.zeros(3), 0.0), "angles that rise"),
        (lambda: NearestBeams.load(tmp_path / "nowhere"), "there is no model"),
    ):
        with pytest.raises(SiteTwinError, match=said):
            call()
    for predictor in fitted:
        predictor.save(tmp_path / "predictor.npz")
        content = (tmp_path / "predictor.npz").read_bytes()
        for length in (0, 50, len(content) // 2):
            (tmp_path / "predictor.npz").write_bytes(content[:length])
            with pytest.raises(SiteTwinError, match="damaged"):
                type(predictor).load(tmp_path / "predictor.npz")
