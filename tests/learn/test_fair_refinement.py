"""Naive fine-tuning with a learning rate that held-out samples choose."""

from dataclasses import replace

import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn import Budget, MixerCodec, MixerConfig, RefinementConfig, refine_by_validation
from sitetwin.learn.csi.training import COSINE, COSINE_REFINEMENT, mean_nmse

NAIVE = RefinementConfig(rehearsal=False, schedule=replace(COSINE_REFINEMENT, epochs=6, batch=8))


def _matrices(users: int, places: tuple[int, ...], seed: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    x = torch.zeros(users, 4, 4, dtype=torch.complex64)
    for place in places:
        x.view(users, -1)[:, place] = torch.randn(users, dtype=torch.complex64, generator=rng)
    return x / x.flatten(1).norm(dim=1)[:, None, None]


@pytest.fixture(scope="module")
def network():
    codec = MixerCodec(MixerConfig(1, 8, 8), replace(COSINE, epochs=60, batch=32), budget=Budget(8, 4))
    return codec.fit(_matrices(300, (0, 1), 0), torch.Generator().manual_seed(0)).network


def test_a_rate_is_taken_that_serves_the_held_out_samples(network) -> None:
    """In a world where energy lies elsewhere, refining helps, and the chosen rate is the best of those tried."""
    moved = _matrices(80, (5, 6), 1)
    rates = (1e-7, 3e-3)
    refined, sweep = refine_by_validation(
        network, moved[:40], torch.Generator().manual_seed(1), NAIVE, learning_rates=rates
    )
    assert sweep.learning_rate == 3e-3 == min(sweep.validation_db, key=sweep.validation_db.get)
    assert sweep.validation_db[3e-3] < sweep.unrefined_db
    assert sweep.held_out == 10
    assert mean_nmse(refined, moved[40:]) < mean_nmse(network, moved[40:])


def test_nothing_is_changed_where_every_rate_harms(network) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    known = _matrices(20, (0, 1), 2)
    refined, sweep = refine_by_validation(
        network, known, torch.Generator().manual_seed(1), NAIVE, learning_rates=(3.0,)
    )
    assert sweep.learning_rate is None
    assert all(torch.equal(tensor, before[name]) for name, tensor in refined.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_what_makes_no_sweep_is_refused(network) -> None:
    x = _matrices(4, (0,), 0)
    with pytest.raises(SiteTwinError, match="at least two"):
        refine_by_validation(network, x[:1], torch.Generator())
    with pytest.raises(SiteTwinError, match="between 0 and 1"):
        refine_by_validation(network, x, torch.Generator(), held_out_share=1.0)
    with pytest.raises(SiteTwinError, match="without rehearsal"):
        refine_by_validation(network, x, torch.Generator(), RefinementConfig())
    with pytest.raises(SiteTwinError, match="at least one repeat"):
        refine_by_validation(network, x, torch.Generator(), replace(NAIVE, repeats=0))
