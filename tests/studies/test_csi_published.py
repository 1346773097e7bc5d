"""What the paper shows beside its curves: correlations, the loop of collection, the terms of its bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.learn import Budget, Code, Costs, GlobalKltCodec, KltCodec, KltConfig, nmse, reconstruct, to_db
from sitetwin.studies import csi_study
from sitetwin.studies.csi.config import FEW, PUBLISHED_SIZES
from sitetwin.studies.csi.published import Collection, bound_row, correlation_rows, greatest_correlation
from sitetwin.studies.csi.registry import CSINET, KLT, Refinement
from sitetwin.studies.csi.summary import _gather


def matrices(count: int, seed: int = 0, rank: int = 40) -> Tensor:
    """Unit-norm 8 x 8 matrices from a subspace of the given dimension, which the seed turns."""
    rng = torch.Generator().manual_seed(seed)
    basis = torch.randn(rank, 64, dtype=torch.complex64, generator=rng)
    x = torch.randn(count, rank, dtype=torch.complex64, generator=rng) @ basis
    return (x / x.norm(dim=1, keepdim=True)).unflatten(1, (8, 8))


def test_correlation_is_one_for_the_twin_s_own_and_zero_for_what_is_orthogonal() -> None:
    """Common phase and norm do not count."""
    eye = torch.eye(64, dtype=torch.complex64).unflatten(1, (8, 8))
    twin = eye[:5]
    x = torch.stack([3.0 * twin[2] * torch.exp(torch.tensor(1.2j)), eye[9], (eye[0] + eye[9]) / 2**0.5])
    np.testing.assert_allclose(greatest_correlation(x, twin), [1.0, 0.0, 2**-0.5], atol=1e-6)


def test_the_distribution_of_the_worst_lies_left_of_the_random_one() -> None:
    """Matrices outside the twin's subspace are recovered worst and correlate least with it."""
    twin, other = matrices(300, 1, rank=4), matrices(40, 2, rank=20)
    worst, random = correlation_rows("c", {"worst": other, "random": matrices(40, 1, rank=4)}, twin)
    assert worst["median"] < random["median"]
    for row in (worst, random):
        assert row["correlation"] == sorted(row["correlation"])
        assert row["probability"][-1] == 1.0
        assert (row["samples"], row["twin_samples"]) == (40, 300)


def collection(uploads: int = 10, rounds: int = 2) -> Collection:
    """A codec for one subspace, users in another."""
    rng = torch.Generator().manual_seed(0)
    base = KltCodec(KltConfig(zones=4)).fit(matrices(200, 1), rng)
    pool, test = matrices(300, 2), matrices(80, 3)[:80]
    return Collection("c", base, pool, test, lambda codec, x: codec.update(x, rng), uploads, rounds)  # type: ignore[arg-type]


def test_uploads_and_updates_are_paid_for_in_bits() -> None:
    loop = collection()
    rows = loop.rows(-1e3)  # every matrix is worse than that, so the first ones are taken
    assert [row["round"] for row in rows] == [0, 1, 2]
    assert [row["examined"] for row in rows] == [0, 10, 10]
    assert [row["upload_bits"] for row in rows] == [0, 10 * 2 * 64 * 16, 10 * 2 * 64 * 16]
    assert {row["download_bits"] for row in rows} == {8 * loop.base.costs().bytes_ue}
    np.testing.assert_allclose(
        rows[0]["nmse_db"], to_db(nmse(loop.test, reconstruct(loop.base, loop.test)).mean()), atol=1e-4
    )
    once = loop.update(loop.base, loop.pool[:10])
    np.testing.assert_allclose(
        rows[1]["nmse_db"], to_db(nmse(loop.test, reconstruct(once, loop.test)).mean()), atol=1e-4
    )


def test_a_threshold_that_nothing_exceeds_ends_the_loop() -> None:
    assert [row["round"] for row in collection().rows(30.0)] == [0]


def test_the_pool_is_not_examined_twice() -> None:
    loop = collection(uploads=200, rounds=5)
    assert sum(row["examined"] for row in loop.rows(-1e3)) == len(loop.pool)


@dataclass
class Scaled:
    """Recovers a share of each matrix."""

    share: float
    budget: Budget = Budget(reals=128)  # noqa: RUF009  (frozen)

    def encode(self, x: Tensor) -> Code:
        return Code(torch.view_as_real(x).flatten(1))

    def decode(self, code: Code) -> Tensor:
        return self.share * torch.view_as_complex(code.values.unflatten(1, (8, 8, 2)).contiguous())

    def costs(self) -> Costs:
        return Costs(0, 0, 0, 0, 0, 0, 128, 0)


def test_the_terms_of_the_bound_are_those_of_known_codecs() -> None:
    """Codecs that scale by 0.9, 0.5 and 0.8: errors of 0.01, 0.25, 0.04 on any unit-norm matrix."""
    codecs = {"twin": Scaled(0.9), "wrong_site": Scaled(0.5), "target": Scaled(0.8)}
    row = bound_row("c", codecs, matrices(50, 1), matrices(70, 2))
    assert row["gap"] == pytest.approx(0.03, abs=1e-5)
    assert row["twin_loss"] == pytest.approx(0.01, abs=1e-5)
    assert row["constant"] == pytest.approx(0.01, abs=1e-5)
    assert row["discrepancy"] == pytest.approx(0.0, abs=1e-5)
    assert row["pairs"] == 3


def test_the_gap_is_within_the_bound_and_equal_worlds_do_not_differ() -> None:
    rng = torch.Generator().manual_seed(0)
    codecs = {key: GlobalKltCodec().fit(matrices(400, seed), rng) for key, seed in (("twin", 1), ("wrong_site", 5))}
    codecs["target"] = GlobalKltCodec().fit(matrices(400, 2), rng)
    apart = bound_row("c", dict(codecs), matrices(400, 1), matrices(400, 2))
    assert apart["gap"] <= apart["twin_loss"] + apart["discrepancy"] + apart["constant"]
    same = bound_row("c", dict(codecs), matrices(400, 1), matrices(400, 1))
    assert same["discrepancy"] == 0.0
    assert apart["discrepancy"] > 0.01


def test_the_paper_profile_is_the_published_protocol() -> None:
    study = csi_study("paper")
    evaluation = study.evaluation
    assert evaluation.train_sizes == evaluation.refine_sizes == PUBLISHED_SIZES
    assert len(evaluation.seeds) == 10
    assert (evaluation.pool, evaluation.random_test_share, evaluation.test_users) == (None, 0.2, 10_000)
    assert study.base_size(KLT) == study.base_size(CSINET) == 5120
    assert study.evaluation.few == FEW == 40
    assert (study.link.antennas, study.link.subcarriers, study.link.subcarrier_spacing_hz) == (32, 256, 30e3)
    assert (study.link.taps, study.link.paths) == (32, 25)
    methods = [refinement.method for refinement in KLT.refinements(study.plan(KLT))]
    assert {"naive closed form, random", "naive closed form, high NMSE", "closed form, high NMSE"} <= set(methods)
    assert not csi_study("quick").evaluation.published
    assert len(KLT.refinements(csi_study("quick").plan(KLT))) == 3


def test_a_study_of_some_codecs_keeps_the_headline_s() -> None:
    study = csi_study("paper", codecs=("CSINet+",))
    assert [name for name, plan in study.codecs.items() if plan.seeds == 0] == ["adaptive codec"]
    assert study.seeds_of(KLT) == study.evaluation.seeds
    with pytest.raises(SiteTwinError, match="'CsiNet'"):
        csi_study("paper", codecs=("CsiNet",))


def test_a_naive_closed_form_forgets_the_twin() -> None:
    """Zones that a few samples touch are fitted to these alone, so the twin's own matrices are recovered worse."""
    rng = torch.Generator().manual_seed(0)
    twin, target = matrices(400, 1), matrices(10, 2)
    base = KltCodec(KltConfig(zones=4)).fit(twin, rng)
    found: dict[str, Refinement] = {r.method: r for r in KLT.refinements(csi_study("paper").plan(KLT))}
    union = found["closed form, random"].update(base, target, rng)
    alone = found["naive closed form, random"].update(base, target, rng)
    errors = [float(nmse(twin, reconstruct(codec, twin)).mean()) for codec in (base, union, alone)]
    assert errors[0] < errors[1] < errors[2]


def test_pools_of_unlike_size_do_not_tear_seeds_apart() -> None:
    """A split into blocks leaves each seed another number of training users."""
    label = {"target": "a", "split": "b", "codec": "c", "n_train": 1, "method": "m", "n_real": 2, "full_uploads": 2}
    row = {**label, "converged": True}
    labels = (*label, "converged")
    seeds = [[{**row, "examined": 100, "nmse_db": -3.0}], [{**row, "examined": 141, "nmse_db": -5.0}]]
    (found,) = _gather(seeds, labels, whole=("examined",))
    assert found["examined"] == 120
    assert found["nmse_db"]["values"] == [-3.0, -5.0]
