"""One schema of results, written and read; one registry of codecs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sitetwin.errors import SiteTwinError
from sitetwin.studies import csi_study
from sitetwin.studies.csi.registry import CODECS, FAMILIES, HEADLINE_CASE, HEADLINE_CODEC, HEADLINE_METHOD
from sitetwin.studies.csi.results import SCHEMA, checked_document, parse_results

KEPT = Path(__file__).parents[2] / "docs" / "results" / "csi-anchor" / "results.json"


def kept() -> dict[str, Any]:
    """Results that an earlier version published."""
    return json.loads(KEPT.read_text())


def test_published_results_are_read_and_written_again_without_a_change() -> None:
    raw = kept()
    results = parse_results(raw)
    assert results.headline is not None
    assert results.headline.n_real == 40
    assert results.document() == raw
    assert checked_document({name: value for name, value in raw.items() if name != "schema"}) == raw


def test_what_the_schema_does_not_name_is_not_written_but_read() -> None:
    raw = kept()
    raw["curves"][0]["colour"] = "red"
    assert parse_results(raw).curves[0].n_train == 320
    with pytest.raises(ValueError, match="schema does not name"):
        checked_document({name: value for name, value in raw.items() if name != "schema"})


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([], "no `schema`"),
        ({"title": "x"}, "no `schema`"),
        ({"schema": "sitetwin.csi/7", "title": "x"}, "sitetwin.csi/7"),
        ({"schema": SCHEMA}, "wrong at title"),
        ({"schema": SCHEMA, "title": "x", "curves": [{"target": 3}]}, r"wrong at curves\.0"),
    ],
)
def test_other_results_are_refused_in_a_sentence(raw: Any, said: str) -> None:
    with pytest.raises(SiteTwinError, match=said):
        parse_results(raw)


@pytest.mark.parametrize("profile", ["quick", "paper", "full"])
def test_every_codec_has_a_part_in_every_profile(profile: str) -> None:
    study = csi_study(profile)
    assert list(study.codecs) == [entry.name for entry in CODECS]
    largest = max(study.evaluation.train_sizes)
    for entry in CODECS:
        assert entry.family in FAMILIES
        assert entry.compared in [refinement.method for refinement in entry.refinements(study.plan(entry))]
        assert study.train_sizes(entry)[-1] <= largest
        pool = study.evaluation.pool
        assert pool is None or set(study.refine_sizes(entry)) <= set(range(pool + 1))
        assert set(study.plan(entry).cases or ()) <= set(study.evaluation.cases)
        assert study.seeds_of(entry)[0] == study.evaluation.seeds[0]
    assert study.plan(HEADLINE_CODEC).cases is None
    assert HEADLINE_CODEC.compared == HEADLINE_METHOD
    assert HEADLINE_CASE in study.evaluation.refined


def test_bounds_are_measured_with_networks_trained_to_their_end() -> None:
    for profile in ("paper", "full"):
        study = csi_study(profile)
        assert all(entry.refinement_converged(study.plan(entry)) for entry in CODECS)
    assert csi_study("full").evaluation.cases == csi_study("full").evaluation.refined
    assert len(csi_study("full").evaluation.cases) == 4


def test_a_profile_that_is_gone_is_named() -> None:
    with pytest.raises(SiteTwinError, match="'anchor'; choose one of demo, quick, paper, full"):
        csi_study("anchor")


def test_a_study_without_a_plan_for_a_codec_is_refused() -> None:
    study = csi_study("quick").model_dump(mode="json")
    del study["codecs"]["CSINet+"]
    with pytest.raises(ValidationError, match=r"CSINet\+"):
        type(csi_study("quick")).model_validate(study)
