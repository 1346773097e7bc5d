"""The mixture of local KLTs: Eckart-Young, phase invariance, monotone capacity, the closed-form update."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi.codec import Budget, Codec, UniformQuantiser, check_budget, reconstruct
from sitetwin.learn.csi.data import prepare
from sitetwin.learn.csi.klt import GlobalKltCodec, KltCodec
from sitetwin.learn.csi.metrics import nmse, to_db
from sitetwin.learn.csi.mixture import KltConfig
from sitetwin.learn.csi.selection import select_highest_nmse
from sitetwin.learn.csi.subspaces import complete_basis, principal_subspace, spread_seeds, subspace_energy


def fit_klt(x, generator, config=None, budget=None) -> KltCodec:
    return KltCodec(config, budget).fit(x, generator)


def global_klt(x, budget=None) -> GlobalKltCodec:
    return GlobalKltCodec(budget).fit(x)


def error(codec, x) -> float:
    return float(nmse(x, reconstruct(codec, x)).mean())


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def twin(world):
    return prepare(world.twin).x


@pytest.fixture(scope="module")
def target(world):
    return prepare(world.target).x


@pytest.fixture(scope="module")
def codec(twin):
    return fit_klt(twin, seeded(), KltConfig(zones=32))


@pytest.mark.parametrize("users", [40, 600])
def test_one_zone_is_the_truncated_svd(twin, users):
    x = twin[:users]
    config = KltConfig(zones=1, energy_floor=0.0)
    codec = fit_klt(x, seeded(), config)
    singular = np.linalg.svd(x.flatten(1).numpy().astype(np.complex128), compute_uv=False)
    expected = (singular[16:] ** 2).sum() / (singular**2).sum()
    assert codec.rank == 16
    assert error(codec, x) == pytest.approx(expected, abs=1e-5)
    assert error(global_klt(x), x) == pytest.approx(expected, abs=1e-4)


def test_bases_are_orthonormal(codec):
    gram = codec.bases.mH @ codec.bases
    assert (gram - torch.eye(codec.rank)).abs().amax() < 1e-5
    assert (codec.front.mH @ codec.front - torch.eye(codec.front.shape[1])).abs().amax() < 1e-5


def test_a_common_phase_goes_through(codec, target):
    turn = torch.polar(torch.ones(len(target)), torch.linspace(0, 6, len(target)))[:, None, None]
    code, turned = codec.encode(target), codec.encode(target * turn)
    assert torch.equal(code.index, turned.index)
    assert (codec.decode(turned) - codec.decode(code) * turn).abs().amax() < 1e-5


def test_the_fit_does_not_depend_on_phases(twin):
    turn = torch.polar(torch.ones(len(twin)), 6 * torch.rand(len(twin), generator=seeded(1)))[:, None, None]
    a = fit_klt(twin, seeded(), KltConfig(zones=1))
    b = fit_klt(twin * turn, seeded(), KltConfig(zones=1))
    assert error(a, twin) == pytest.approx(error(b, twin), rel=1e-3)


def test_the_zone_is_the_one_of_least_residual(codec, target):
    x = target[:60]
    code = codec.encode(x)
    flat = x.flatten(1).to(torch.complex128)
    projected = flat @ codec.front.conj().to(torch.complex128)
    full = [projected @ b.conj().to(torch.complex128) @ b.T.to(torch.complex128) for b in codec.bases]
    residual = torch.stack([(projected - f).abs().square().sum(1) for f in full], dim=1)
    chosen = residual.gather(1, code.index[:, None])[:, 0]
    assert torch.allclose(chosen, residual.amin(1), atol=1e-6)


def test_more_capacity_never_hurts_on_training_data(twin):
    zones = [error(fit_klt(twin, seeded(), KltConfig(zones=k, polish=1, neighbours=1)), twin) for k in (1, 4, 16, 64)]
    assert zones == sorted(zones, reverse=True)
    reals = [error(global_klt(twin, Budget(m)), twin) for m in (8, 16, 32, 64)]
    assert reals == sorted(reals, reverse=True)


def test_local_beats_global_on_the_target(codec, twin, target):
    assert to_db(error(codec, target)) < to_db(error(global_klt(twin), target)) - 2


def test_front_end_loses_no_more_than_its_floor(twin):
    flat = twin.flatten(1)
    for floor in (1e-2, 1e-4):
        basis = principal_subspace(flat, floor)
        lost = 1 - (flat @ basis.conj()).abs().square().sum() / flat.abs().square().sum()
        assert float(lost) <= floor * 1.01
        fewer = (flat @ basis[:, :-1].conj()).abs().square().sum() / flat.abs().square().sum()
        assert float(1 - fewer) > floor  # the fewest that will do


@pytest.mark.parametrize("users", [1, 3, 16, 40])
def test_small_training_sets_work(twin, target, users):
    codec = fit_klt(twin[:users], seeded())
    assert codec.zones == max(1, users // 4)
    assert 0 < error(codec, target) < 1
    assert error(codec, twin[:users]) < 1e-4 or users == 40
    check_budget(codec)


def test_a_code_fits_the_budget(codec, target):
    assert isinstance(codec, Codec)
    code = codec.encode(target)
    assert code.values.shape[1] == codec.costs().reals == 30
    assert codec.costs().index_bits == 5
    assert codec.costs().index_bits <= 2 * codec.budget.bits_per_real
    check_budget(codec)
    quantiser = UniformQuantiser.fit(codec, target[:100])
    assert int(quantiser.bits.sum()) + 5 == 128
    assert error(codec, target) < float(nmse(target, reconstruct(codec, target, quantiser)).mean()) < 1


def test_phase_by_reference_saves_one_real_and_recovers_the_phase(world):
    x = prepare(world.twin, "largest").x
    config = KltConfig(zones=16, phase="reference", reference="largest")
    codec = fit_klt(x, seeded(), config)
    assert (codec.rank, codec.costs().reals) == (16, 31)
    check_budget(codec)
    recovered = reconstruct(codec, x)
    coded = fit_klt(x, seeded(), KltConfig(zones=16))
    assert coded.rank == 15
    flat = recovered.flatten(1)
    peak = flat.gather(1, flat.abs().argmax(1, keepdim=True))
    assert (torch.angle(peak)).abs().amax() < 1e-4
    assert nmse(x, recovered).median() < nmse(x, reconstruct(coded, x)).median() * 1.5


def test_the_update_lowers_the_error_on_a_shifted_domain(world, twin, target):
    """The twin knows half of the street; 40 measured users of the other half help the rest of that half."""
    codec = fit_klt(twin[world.twin_positions[:, 0] < 0], seeded(), KltConfig(zones=32))
    unseen = target[world.target_positions[:, 0] > 0]
    pool, test = unseen[:100], unseen[100:]
    chosen = pool[select_highest_nmse(codec, pool, 40).rows]
    updated = codec.update(chosen)
    assert updated.costs().reals == codec.costs().reals
    assert updated.zones == codec.zones
    assert error(updated, chosen) < error(codec, chosen)
    assert error(updated, test) < error(codec, test)
    gram = updated.bases.mH @ updated.bases
    assert (gram - torch.eye(codec.rank)).abs().amax() < 1e-4


def test_the_update_leaves_untouched_zones_alone(codec, target):
    updated = codec.update(target[:1])
    changed = (updated.bases[:, : codec.front.shape[1]] - codec.bases).abs().amax((1, 2)) > 1e-6
    assert int(changed.sum()) == 1


def test_new_zones_take_the_place_of_idle_ones(codec, target):
    chosen = target[:40]
    updated = codec.update(chosen, new_zones=4)
    assert updated.zones == codec.zones
    assert error(updated, chosen) < error(codec, chosen)


def test_the_update_knows_directions_the_twin_never_had(twin):
    blank = twin.clone()
    blank[:, :, 16:] = 0
    codec = fit_klt(blank / torch.linalg.vector_norm(blank, dim=(1, 2), keepdim=True), seeded(), KltConfig(zones=8))
    other = twin[:30].clone()
    other[:, :, :16] = 0
    other = other / torch.linalg.vector_norm(other, dim=(1, 2), keepdim=True)
    assert error(codec, other) > 0.99
    updated = codec.update(other, new_zones=3)
    assert error(updated, other) < 0.5
    assert error(updated, blank[:100] / torch.linalg.vector_norm(blank[:100], dim=(1, 2), keepdim=True)) < 0.5


def test_the_same_generator_gives_the_same_codec(twin):
    a, b = (fit_klt(twin, seeded(3), KltConfig(zones=16)) for _ in range(2))
    assert torch.equal(a.bases, b.bases)
    assert torch.equal(a.front, b.front)
    other = fit_klt(twin, seeded(4), KltConfig(zones=16))
    assert not torch.equal(a.bases, other.bases)


def test_seeds_are_distinct_even_among_copies():
    samples = torch.ones(10, 4, dtype=torch.complex64)
    assert len(spread_seeds(samples, 10, seeded()).unique()) == 10


def test_completion_keeps_the_span_and_is_orthonormal():
    basis = torch.eye(8, dtype=torch.complex64)[:, [0, 2]]
    full = complete_basis(basis, 5)
    assert full.shape == (8, 5)
    assert (full.mH @ full - torch.eye(5)).abs().amax() < 1e-6
    _, energy = subspace_energy(basis.T.contiguous(), full[None])
    assert torch.allclose(energy, torch.ones(2, 1))


def test_encoding_is_fast(codec, target):
    many = target.repeat(5, 1, 1)
    codec.encode(many)
    start = time.process_time()
    codec.encode(many)
    assert len(many) / (time.process_time() - start) > 2000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c, x: fit_klt(x[:0], seeded()), "at least one training"),
        (lambda c, x: fit_klt(x, seeded(), KltConfig(zones=0)), "at least one zone"),
        (lambda c, x: fit_klt(x, seeded(), KltConfig(zones=64), Budget(2, 4)), "fewer zones"),
        (lambda c, x: c.update(x, weight=0), "positive"),
        (lambda c, x: c.update(x[:2], new_zones=3), "new zones"),
    ],
)
def test_bad_requests_are_said_in_a_sentence(codec, twin, call, message):
    with pytest.raises(SiteTwinError, match=message):
        call(codec, twin)
