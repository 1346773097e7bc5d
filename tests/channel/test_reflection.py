"""Laws of reflection, and a transfer-matrix oracle that shares no formula with the package."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sitetwin.channel import Surfaces, complex_permittivity, half_space, slab
from sitetwin.channel.fields.reflection_slopes import _plain, reflection_of
from sitetwin.errors import SiteTwinError
from sitetwin.site.materials import Material, itu_material
from tests.channel.oracle import fresnel, transfer_matrix

F = 3.5e9
C = 299_792_458.0


def tensor(value):
    return torch.tensor([value], dtype=torch.complex128 if isinstance(value, complex) else torch.float64)


def eta_of(eps_r, sigma, frequency=F):
    return complex_permittivity(tensor(float(eps_r)), tensor(float(sigma)), frequency)


def electrical(thickness, frequency=F):
    return tensor(2 * math.pi * frequency * thickness / C)


def test_lossy_permittivity_has_a_negative_imaginary_part():
    eta = eta_of(5.24, 0.123)
    assert eta.real.item() == pytest.approx(5.24)
    assert eta.imag.item() == pytest.approx(-0.123 / (2 * math.pi * F * 8.8541878188e-12))


def test_brewster_angle():
    """TM vanishes at tan(theta) = sqrt(eps) and TE does not."""
    cos = 1 / math.sqrt(1 + 6.0)
    te, tm = half_space(tensor(cos), eta_of(6.0, 0.0))
    assert abs(tm.item()) < 1e-14
    assert abs(te.item()) > 0.3


def test_normal_incidence():
    te, tm = half_space(tensor(1.0), eta_of(9.0, 0.0))
    assert te.item() == pytest.approx((1 - 3) / (1 + 3))
    assert tm.item() == pytest.approx(-te.item())


def test_grazing_incidence_reflects_everything():
    te, tm = half_space(tensor(1e-9), eta_of(5.24, 0.123))
    assert te.item() == pytest.approx(-1, abs=1e-7)
    assert tm.item() == pytest.approx(-1, abs=1e-6)


def test_perfect_conductor():
    te, tm = half_space(tensor(0.4), eta_of(1.0, 1e12))
    assert te.item() == pytest.approx(-1, abs=1e-5)
    assert tm.item() == pytest.approx(1, abs=1e-4)


@given(st.floats(1e-3, 1.0), st.floats(1.001, 80.0), st.floats(0.0, 10.0))
def test_half_space_against_snell(cos, eps_r, sigma):
    eta = eta_of(eps_r, sigma)
    for ours, theirs in zip(half_space(tensor(cos), eta), fresnel(cos, complex(eta.item())), strict=True):
        assert abs(ours.item() - theirs) < 1e-9
        assert abs(ours.item()) <= 1 + 1e-12


@given(st.floats(0.02, 1.0), st.floats(1.01, 80.0), st.floats(0.0, 10.0), st.floats(1e-4, 0.5), st.floats(0.3e9, 100e9))
def test_slab_against_transfer_matrices(cos, eps_r, sigma, thickness, frequency):
    eta = eta_of(eps_r, sigma, frequency)
    (te, tm), (t_te, t_tm) = slab(tensor(cos), eta, electrical(thickness, frequency))
    q = 2 * np.pi * frequency / C * thickness * np.sqrt(complex(eta.item()) - (1 - cos**2))
    if abs(q.imag) > 300:  # the matrices overflow; the slab is a half-space there
        return
    oracle = transfer_matrix(np.arccos(cos), complex(eta.item()), thickness, frequency)
    for ours, theirs in (
        (te, oracle["te"][0]),
        (tm, oracle["tm"][0]),
        (t_te, oracle["te"][1]),
        (t_tm, oracle["tm"][1]),
    ):
        assert abs(ours.item() - theirs) < 1e-7


@given(st.floats(0.02, 1.0), st.floats(1.0, 40.0), st.floats(1e-4, 1.0))
def test_a_lossless_slab_keeps_energy(cos, eps_r, thickness):
    reflected, transmitted = slab(tensor(cos), eta_of(eps_r, 0.0), electrical(thickness))
    for r, t in zip(reflected, transmitted, strict=True):
        assert abs(r.item()) ** 2 + abs(t.item()) ** 2 == pytest.approx(1, abs=1e-9)


@given(st.floats(0.05, 1.0), st.floats(1.5, 40.0), st.floats(0.05, 5.0))
def test_a_thick_lossy_slab_is_a_half_space(cos, eps_r, sigma):
    eta = eta_of(eps_r, sigma)
    thick, _ = slab(tensor(cos), eta, electrical(100.0))
    for a, b in zip(thick, half_space(tensor(cos), eta), strict=True):
        assert abs(a.item() - b.item()) < 1e-9


def test_a_vanishing_slab_is_air():
    (te, tm), (t_te, t_tm) = slab(tensor(0.7), eta_of(5.0, 0.1), electrical(1e-9))
    assert max(abs(te.item()), abs(tm.item())) < 1e-6
    assert min(abs(t_te.item()), abs(t_tm.item())) > 1 - 1e-6


def test_mixed_materials_are_looked_up():
    materials = [itu_material("concrete"), itu_material("glass", thickness=0.01), itu_material("metal", thickness=0.1)]
    surfaces = Surfaces.of(materials, F)
    cos = torch.tensor([0.3, 0.6, 0.9], dtype=torch.float64)
    te, tm = surfaces.reflection(cos, torch.tensor([0, 1, 2], dtype=torch.int32))
    concrete = fresnel(0.3, complex(surfaces.eta[0].item()))
    glass = transfer_matrix(np.arccos(0.6), complex(surfaces.eta[1].item()), 0.01, F)
    assert te[0].item() == pytest.approx(concrete[0], abs=1e-12)
    assert tm[0].item() == pytest.approx(concrete[1], abs=1e-12)
    assert te[1].item() == pytest.approx(glass["te"][0], abs=1e-10)
    assert tm[1].item() == pytest.approx(glass["tm"][0], abs=1e-10)
    assert te[2].item() == pytest.approx(-1, abs=1e-3)


def test_single_precision_stays_close():
    materials = [itu_material("concrete", thickness=0.3), itu_material("brick"), itu_material("metal")]
    cos = torch.linspace(0.001, 1, 500, dtype=torch.float64).repeat(3)
    material = torch.arange(3).repeat_interleave(500)
    fine = Surfaces.of(materials, F).reflection(cos, material)
    coarse = Surfaces.of(materials, F, dtype=torch.complex64).reflection(cos.float(), material)
    for a, b in zip(fine, coarse, strict=True):
        assert float((a - b).abs().max()) < 2e-4


def test_gradients_of_material_constants():
    materials = [Material("a", itu="brick", thickness=0.05), Material("b", itu="wood")]
    eps = torch.tensor([4.0, 6.0], dtype=torch.float64, requires_grad=True)
    sigma = torch.tensor([0.05, 0.1], dtype=torch.float64, requires_grad=True)

    def coefficient(eps, sigma):
        surfaces = Surfaces.of(materials, F, relative_permittivity=eps, conductivity=sigma)
        te, tm = surfaces.reflection(torch.tensor([0.5, 0.8], dtype=torch.float64), torch.tensor([0, 1]))
        return torch.view_as_real(torch.stack([te, tm]))

    assert torch.autograd.gradcheck(coefficient, (eps, sigma))


def test_wrong_number_of_constants_is_said():
    with pytest.raises(SiteTwinError, match="2 materials"):
        Surfaces.of([Material("a", itu="brick"), Material("b", itu="wood")], F, conductivity=torch.zeros(3))


@pytest.mark.parametrize("slabs", [False, True])
def test_slopes_in_closed_form_are_those_of_the_values(slabs):
    """Against finite differences, of all that a coefficient depends on; and the second ones, too."""
    rng = torch.Generator().manual_seed(4)
    material = torch.randint(0, 4, (9,), generator=rng)
    cosine = (0.05 + 0.9 * torch.rand(9, generator=rng, dtype=torch.float64)).requires_grad_()
    real = torch.tensor([5.2, 1.6, 3.9, 0.7], dtype=torch.float64, requires_grad=True)  # 0.7: beyond a critical angle
    loss = torch.tensor([0.4, 0.02, 30.0, 0.1], dtype=torch.float64, requires_grad=True)
    depth = torch.tensor([math.inf, 7.0, 1.5, 12.0], dtype=torch.float64)
    shallow = depth[1:].clone().requires_grad_()

    def found(cosine, real, loss, shallow):
        thickness = torch.cat([depth[:1], shallow]) if slabs else None
        return reflection_of(cosine, torch.complex(real, -loss), thickness, material)

    inputs = (cosine, real, loss, shallow)
    assert torch.autograd.gradcheck(found, inputs)
    assert torch.autograd.gradgradcheck(found, inputs)
    plain = found(*(one.detach() for one in inputs))
    assert all(torch.equal(a, b) for a, b in zip(plain, found(*inputs), strict=True))


@settings(max_examples=60, deadline=None)
@given(
    eps=st.floats(1.0, 80.0),
    sigma=st.floats(0.0, 1e7),
    cosine=st.floats(1e-4, 1.0),
    depth=st.one_of(st.just(math.inf), st.floats(1e-3, 100.0)),
)
def test_slopes_are_those_of_every_operation(eps, sigma, cosine, depth):
    """From vacuum to metal, from grazing to normal incidence: finite, and equal to the derivative followed by steps."""
    given_eps, loss = (torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (eps, sigma))
    thick = torch.tensor([depth], dtype=torch.float64, requires_grad=True)
    angle, here = torch.tensor([cosine], dtype=torch.float64, requires_grad=True), torch.zeros(1, dtype=torch.int64)
    inputs, slopes = [given_eps, loss, thick, angle], []
    for function in (reflection_of, _plain):
        te, tm = function(angle, torch.complex(given_eps, -loss), thick, here)
        slopes.append(torch.autograd.grad((te * (1 + 2j) + tm * (2 - 1j)).abs().sum(), inputs))
    for one, other in zip(*slopes, strict=True):
        assert bool(torch.isfinite(one).all())
        torch.testing.assert_close(
            one, torch.nan_to_num(other), rtol=1e-6, atol=1e-9 * (1 + float(other.abs().nan_to_num()))
        )
