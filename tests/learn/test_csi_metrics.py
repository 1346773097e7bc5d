"""Laws of the preparation, the metrics and the budget."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sitetwin.errors import SiteTwinError
from sitetwin.learn.csi import metrics
from sitetwin.learn.csi.codec import Budget, Code, UniformQuantiser, check_budget
from sitetwin.learn.csi.controls import MeanCodec, TwinLookupCodec, ZeroCodec
from sitetwin.learn.csi.data import data_hash, prepare, to_complex, to_real


def random_csi(seed: int, users: int = 6) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(users, 32, 32, dtype=torch.complex64, generator=g)


@pytest.mark.parametrize("reference", ["corner", "largest", "none"])
def test_preparation_is_undone_exactly(world, reference):
    csi = prepare(world.twin, reference)
    assert torch.allclose(torch.linalg.vector_norm(csi.x, dim=(1, 2)), torch.ones(len(csi)), atol=1e-5)
    scale = world.twin.abs().amax()
    assert (csi.restore() - world.twin).abs().amax() < 1e-5 * scale


@pytest.mark.parametrize("reference", ["corner", "largest"])
def test_preparation_forgets_the_common_phase_and_scale(world, reference):
    turned = world.twin * torch.polar(torch.tensor(3.0), torch.tensor(1.234))
    assert (prepare(turned, reference).x - prepare(world.twin, reference).x).abs().amax() < 2e-4


def test_reference_element_is_real_and_positive(world):
    corner = prepare(world.twin, "corner").x[:, 0, 0]
    assert corner.real.amin() >= 0
    assert corner.imag.abs().amax() < 1e-6
    largest = prepare(world.twin, "largest").x.flatten(1)
    peak = largest.gather(1, largest.abs().argmax(1, keepdim=True))
    assert peak.imag.abs().amax() < 1e-6
    assert peak.real.amin() > 0


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_user_without_paths_is_refused(value):
    csi = random_csi(0)
    csi[3] = value
    with pytest.raises(SiteTwinError, match="user 3"):
        prepare(csi)


def test_real_view_keeps_the_inner_product():
    a, b = random_csi(1), random_csi(2)
    assert torch.equal(to_complex(to_real(a)), a)
    real = (to_real(a) * to_real(b)).sum((1, 2, 3))
    assert torch.allclose(real, (a.conj() * b).sum((1, 2)).real, atol=1e-3)


def test_data_hash_sees_every_bit():
    a = random_csi(1)
    b = a.clone()
    b[0, 0, 0] = torch.complex(torch.nextafter(b[0, 0, 0].real, torch.tensor(9.0)), b[0, 0, 0].imag)
    assert data_hash(a) == data_hash(a.clone()) != data_hash(b)
    assert data_hash(a) != data_hash(a.reshape(6, 16, 64))


def test_orthogonal_unit_matrices_have_3_db():
    x = torch.zeros(4, 32, 32, dtype=torch.complex64)
    y = x.clone()
    x[:, 2, 3], y[:, 2, 4] = 1, 1j
    assert metrics.summarise(metrics.nmse(x, y)).mean_db == pytest.approx(10 * math.log10(2), abs=1e-5)


def test_summary_is_of_the_linear_mean():
    errors = torch.tensor([1e-4, 1e-4, 1e-4, 1.0])
    summary = metrics.summarise(errors)
    assert summary.mean_db == pytest.approx(10 * math.log10((3e-4 + 1) / 4), abs=1e-4)
    assert summary.median_db == pytest.approx(-40, abs=1e-3)
    assert summary.mean_of_db == pytest.approx(-30, abs=1e-3)


@given(gain=st.complex_numbers(min_magnitude=1e-3, max_magnitude=1e3), subcarriers=st.sampled_from([None, 32, 256]))
def test_sgcs_is_one_for_collinear(gain, subcarriers):
    x = random_csi(3)
    assert torch.allclose(metrics.sgcs(x, x * gain, subcarriers), torch.ones(6), atol=1e-4)


def test_sgcs_is_below_one_otherwise_and_zero_for_orthogonal():
    x, y = random_csi(4), random_csi(5)
    assert metrics.sgcs(x, x + 0.1 * y).amax() < 0.999
    inner = (x.conj() * y).sum((1, 2), keepdim=True) / x.abs().square().sum((1, 2), keepdim=True)
    assert metrics.sgcs(x, y - inner * x).amax() < 1e-9
    assert metrics.sgcs(x, 0 * y).amax() == 0


def test_projection_error_is_one_minus_sgcs():
    """For the best complex gain NMSE = 1 - SGCS, whatever the two matrices are."""
    x, y = random_csi(6), random_csi(7)
    gain = (y.conj() * x).sum((1, 2), keepdim=True) / y.abs().square().sum((1, 2), keepdim=True)
    assert torch.allclose(metrics.nmse(x, gain * y), 1 - metrics.sgcs(x, y), atol=1e-5)


def test_rate_share_against_numpy():
    x, y = random_csi(8, 3), random_csi(9, 3)
    share = metrics.rate_share(x, y, snr_db=10.0, subcarriers=64).numpy()
    k, n = np.arange(64)[:, None], np.arange(32)[None]
    kernel = np.exp(-2j * np.pi * k * n / 64)
    for user in range(3):
        h, w = kernel @ x[user].numpy(), kernel @ y[user].numpy()
        w = w / np.linalg.norm(w, axis=1, keepdims=True)
        snr = 10 / np.mean(np.linalg.norm(h, axis=1) ** 2)
        got = np.log2(1 + snr * np.abs(np.sum(h.conj() * w, axis=1)) ** 2).sum()
        best = np.log2(1 + snr * np.linalg.norm(h, axis=1) ** 2).sum()
        assert share[user] == pytest.approx(got / best, rel=1e-4)


def test_rate_share_does_not_see_norm_and_phase():
    x = random_csi(10)
    assert torch.allclose(metrics.rate_share(x, x * 0.3j, 20.0), torch.ones(6), atol=1e-5)
    assert metrics.rate_share(x, torch.zeros_like(x), 20.0).amax() == 0


def test_untruncated_error_adds_the_lost_energy():
    full = torch.randn(5, 40, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    recovered = full.clone()
    recovered[:, 32:] = 0
    recovered[:, :32] += 0.1
    kept = full[:, :32].abs().square().sum((1, 2)) / full.abs().square().sum((1, 2))
    inner = metrics.nmse(full[:, :32], recovered[:, :32])
    assert torch.allclose(metrics.nmse_untruncated(inner, kept), metrics.nmse(full, recovered), rtol=1e-4)


def test_aligned_is_the_best_common_phase():
    x, y = random_csi(11), random_csi(12)
    best = metrics.nmse(x, metrics.aligned(x, y))
    for angle in torch.linspace(0, 2 * math.pi, 50):
        assert (metrics.nmse(x, y * torch.polar(torch.tensor(1.0), angle)) >= best - 1e-5).all()


def test_cdf_ends_at_the_extremes():
    values, probability = metrics.cdf(torch.tensor([3.0, 1.0, 2.0]), 5)
    assert values.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert probability[0] == 0


@pytest.mark.parametrize(
    ("choices", "bits", "reals", "coefficients", "with_phase"),
    [
        (1, 0, 32, 16, 16),
        (2, 1, 31, 15, 16),
        (16, 4, 31, 15, 16),
        (17, 5, 30, 15, 15),
        (128, 7, 30, 15, 15),
        (256, 8, 30, 15, 15),
        (257, 9, 29, 14, 15),
        (4096, 12, 29, 14, 15),
        (5120, 13, 28, 14, 14),
    ],
)
def test_an_index_is_paid_for(choices, bits, reals, coefficients, with_phase):
    budget = Budget(32, 4)
    assert budget.index_bits(choices) == bits == math.ceil(math.log2(choices))
    assert budget.reals_left(choices) == reals
    assert budget.complex_coefficients(choices) == coefficients
    assert budget.complex_coefficients(choices, first_is_real=True) == with_phase
    assert bits + 4 * reals <= budget.bits


def test_an_index_beyond_the_budget_is_refused():
    with pytest.raises(SiteTwinError, match="fewer alternatives"):
        Budget(1, 2).reals_left(1000)


def test_trivial_controls(world):
    x = prepare(world.target).x
    zero = ZeroCodec()
    assert torch.allclose(metrics.nmse(x, zero.decode(zero.encode(x))), torch.ones(len(x)))
    mean = MeanCodec().fit(x)
    error = metrics.nmse(x, mean.decode(mean.encode(x))).mean()
    spread = 1 - mean.mean.abs().square().sum()  # variance = mean square - square of the mean
    assert float(error) == pytest.approx(float(spread), rel=1e-4)
    check_budget(zero)
    check_budget(mean)


def test_lookup_recovers_its_entries_up_to_a_gain(world):
    twin = prepare(world.twin).x
    codec = TwinLookupCodec().fit(twin)
    x = twin[:50] * torch.polar(torch.full((50,), 0.7), torch.linspace(0, 6, 50))[:, None, None]
    assert metrics.nmse(x, codec.decode(codec.encode(x))).amax() < 1e-9
    assert codec.costs().index_bits == 10
    check_budget(codec)


class _Wire:
    """A codec that feeds its matrices back as they are; for the quantiser alone."""

    def __init__(self, reals: int) -> None:
        self.budget = Budget(reals, 4)

    def encode(self, x):
        return Code(torch.view_as_real(x).flatten(1))

    def decode(self, code):
        raise AssertionError("not used")

    def costs(self):
        return ZeroCodec().costs()


@pytest.mark.parametrize("allocation", ["equal", "variance"])
def test_quantiser_spends_the_budget_and_obeys_6_db_per_bit(allocation):
    g = torch.Generator().manual_seed(0)
    x = torch.complex(torch.rand(20000, 1, 4, generator=g), 0.1 * torch.rand(20000, 1, 4, generator=g))
    codec = _Wire(8)
    quantiser = UniformQuantiser.fit(codec, x, allocation)
    assert int(quantiser.bits.sum()) == codec.budget.bits == 32
    code = codec.encode(x)
    error = (quantiser(code).values - code.values).square().mean(0)
    width = (code.values.amax(0) - code.values.amin(0)).square()
    assert torch.allclose(error, width / 12 * 4.0**-quantiser.bits, rtol=0.05)  # uniform data: step^2 / 12
    if allocation == "variance":
        assert quantiser.bits[0] - quantiser.bits[1] in (3, 4)  # a tenth of the width is 3.3 bits
