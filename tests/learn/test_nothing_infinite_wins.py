"""Choices among candidates of which some have no finite worth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.calibrate.turns import _partition
from sitetwin.errors import SiteTwinError
from sitetwin.learn.beams.network import BeamNetworks
from sitetwin.learn.csi import selection
from sitetwin.learn.csi.codec import Budget, Code, Costs
from sitetwin.learn.finite import best_finite

BROKEN = [np.nan, np.inf, -np.inf]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6),
    st.lists(st.sampled_from(BROKEN), max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_best_is_a_finite_one(sound: list[float], broken: list[float], random) -> None:
    values = [*sound, *broken]
    random.shuffle(values)
    row = np.array(values)
    assert row[best_finite(row, "worth")] == max(sound)
    assert best_finite(np.stack([row, row]), "worth").tolist() == [best_finite(row, "worth")] * 2


def test_where_nothing_is_finite_nothing_is_chosen() -> None:
    with pytest.raises(SiteTwinError, match="the gain is not finite for any of 3 candidates"):
        best_finite(np.array([[1.0, np.nan, 2.0], BROKEN]), "the gain")
    cost = np.full((3, 4), np.nan)
    cost[0] = 0
    with pytest.raises(SiteTwinError, match="the cost of a turn"):
        _partition(cost, np.arange(4.0))


def test_an_epoch_without_numbers_is_not_the_best() -> None:
    """All labels are 0, which is also where the largest of nothing but NaN is said to be."""
    scores = torch.full((2, 3, 4), torch.nan)
    scores[1] = torch.eye(4)[:3]

    class Fixed:
        def scores(self, _inputs: torch.Tensor) -> torch.Tensor:
            return scores

    found = BeamNetworks._accuracy(Fixed(), torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64))
    assert found.tolist() == [-np.inf, pytest.approx(1 / 3)]


class Breaks:
    """Gives NaN for one of the samples."""

    budget = Budget(reals=2)

    def encode(self, data: torch.Tensor, /) -> Code:
        return Code(data.flatten(1).real)

    def decode(self, code: Code) -> torch.Tensor:
        x = torch.ones(len(code.values), 2, 2, dtype=torch.complex64)
        x[2, 0, 0] = torch.nan
        return x

    def costs(self) -> Costs:
        return Costs(0, 0, 0, 0, 0, 0, 2, 0)


def test_samples_that_are_not_recovered_are_named() -> None:
    pool = torch.ones(4, 2, 2, dtype=torch.complex64)
    for choose in (selection.select_highest_nmse, selection.select_k_centre):
        with pytest.raises(SiteTwinError, match="1 of 4 samples is not finite"):
            choose(Breaks(), pool, 2)
    with pytest.raises(SiteTwinError, match="1 of 4 samples is not finite"):
        selection.select_above_threshold(Breaks(), pool, -20.0)
