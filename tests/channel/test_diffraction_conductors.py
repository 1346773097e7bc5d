"""UTD coefficients against exact solutions for perfectly conducting wedges and half planes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import fresnel, jv, wofz

from sitetwin.channel.fields.diffraction import EdgeRays, diffraction_matrix, edge_terms
from sitetwin.errors import SiteTwinError

PI = math.pi
SIGN = {"soft": -1, "hard": 1}


def conductor(cosine, face):
    one = torch.ones_like(cosine)
    return -one, one


def rays_of(phi, phi_in, exterior, k_distance, cos_beta=0.0):
    phi, phi_in, exterior, k_distance, cos_beta = np.broadcast_arrays(phi, phi_in, exterior, k_distance, cos_beta)
    tensors = [torch.from_numpy(np.array(v, float).reshape(-1)) for v in (phi_in, phi, exterior, cos_beta, k_distance)]
    return EdgeRays(*tensors, torch.zeros(2, phi.size, dtype=torch.int64))


def diffracted(polarisation, phi, phi_in, exterior, k_rho):
    """Diffracted field of a plane wave of amplitude 1 at the edge: for s' -> infinity, d is D / sqrt(s).

    The matrix acts on components along beta'_hat and beta_hat, or phi'_hat and phi_hat. For rays perpendicular to the
    edge these give E_z -> -E_z and H_z -> -H_z: the sign of the scalar solutions is the opposite.
    """
    matrix = diffraction_matrix(rays_of(phi, phi_in, exterior, k_rho), conductor)
    return -getattr(matrix, polarisation).numpy() * np.exp(-1j * k_rho)


def optical(polarisation, phi, phi_in, exterior, k_rho):
    """Geometrical optics: the incident wave and those reflected at the faces, where they reach."""
    total = np.exp(1j * k_rho * np.cos(phi - phi_in)) * (np.abs(phi - phi_in) < PI)
    total = total + SIGN[polarisation] * np.exp(1j * k_rho * np.cos(phi + phi_in)) * (phi + phi_in < PI)
    a, b = exterior - phi, exterior - phi_in
    return total + SIGN[polarisation] * np.exp(1j * k_rho * np.cos(a + b)) * (a + b < PI)


def sommerfeld(polarisation, phi, phi_in, k_rho):
    """A. Sommerfeld, Math. Ann. 47, 1896: plane wave at a half plane, in closed form."""

    def part(angle):
        a = -np.sqrt(2 * k_rho) * np.cos(angle / 2)
        # integral of e^{-j u^2} from a to infinity = sqrt(pi) / 2 e^{-j pi/4} erfc(e^{j pi/4} a)
        z = np.exp(0.25j * PI) * a
        return 0.5 * np.exp(1j * k_rho * np.cos(angle)) * wofz(1j * z) * np.exp(-(z**2))

    return part(phi - phi_in) + SIGN[polarisation] * part(phi + phi_in)


def eigenfunctions(polarisation, phi, phi_in, exterior, k_rho):
    """Plane wave at a wedge: ``1/n sum eps_m j^{m/n} J_{m/n}(k rho) (cos m(phi - phi')/n -+ cos m(phi + phi')/n)``."""
    n = exterior / PI
    m = np.arange(int(n * (k_rho + 12 * k_rho ** (1 / 3) + 30)))[:, None]
    weight = np.where(m == 0, 1, 2) / n * np.exp(0.5j * PI * m / n) * jv(m / n, k_rho)
    shape = np.cos(m * (phi - phi_in) / n) + SIGN[polarisation] * np.cos(m * (phi + phi_in) / n)
    return (weight * shape).sum(axis=0)


@pytest.mark.parametrize("polarisation", ["soft", "hard"])
@pytest.mark.parametrize("wavelengths", [0.5, 3.0, 40.0])
def test_half_plane_is_exact(polarisation, wavelengths):
    """For a plane wave at a half plane UTD is the exact solution: everywhere around, at any distance."""
    k_rho = 2 * PI * wavelengths
    phi = np.linspace(0, 2 * PI, 721)
    for phi_in in (0.4, 1.3, 2.9, 4.0):
        total = optical(polarisation, phi, phi_in, 2 * PI, k_rho) + diffracted(polarisation, phi, phi_in, 2 * PI, k_rho)
        np.testing.assert_allclose(total, sommerfeld(polarisation, phi, phi_in, k_rho), atol=5e-9)


@pytest.mark.parametrize("polarisation", ["soft", "hard"])
@pytest.mark.parametrize("exterior", [1.5 * PI, 1.25 * PI, 1.75 * PI, 2 * PI, 1.05 * PI])
def test_wedge_approaches_the_eigenfunction_series(polarisation, exterior):
    phi = np.linspace(1e-4 * math.e, exterior - 1e-4 * math.sqrt(7), 201)  # off the boundaries
    worst = []
    for k_rho in (10.0, 40.0, 160.0):
        error = 0.0
        for share in (0.1, 0.35, 0.5, 0.8):
            phi_in = share * exterior
            exact = eigenfunctions(polarisation, phi, phi_in, exterior, k_rho)
            utd = optical(polarisation, phi, phi_in, exterior, k_rho)
            utd = utd + diffracted(polarisation, phi, phi_in, exterior, k_rho)
            error = max(error, np.abs(utd - exact).max())
        worst.append(error)
    assert worst[0] < 0.03
    assert worst[2] < 2e-3
    if exterior < 2 * PI:
        assert worst[0] > 2.5 * worst[1] > 6 * worst[2]


def test_closed_corner_of_a_right_angle_diffracts_nothing():
    """The images of an inner right angle are complete: its edge adds nothing."""
    phi = np.linspace(0.01, 0.49 * PI, 50)
    for polarisation in ("soft", "hard"):
        assert np.abs(diffracted(polarisation, phi, 0.7, 0.5 * PI, 30.0)).max() < 1e-12


angles = st.floats(0.0, 1.0)


@settings(max_examples=200, deadline=None)
@given(angles, angles, st.floats(1.02, 2.0), st.floats(-3, 6), st.sampled_from(["soft", "hard"]))
def test_conductors_are_reciprocal_and_bounded(a, b, n, decades, polarisation):
    there = diffracted(polarisation, a * n * PI, b * n * PI, n * PI, 10**decades)
    back = diffracted(polarisation, b * n * PI, a * n * PI, n * PI, 10**decades)
    assert np.isfinite(there).all()
    if min(abs(abs(a - b) * n - 1), abs((a + b) * n - 1), abs((a + b) * n - (2 * n - 1))) > 1e-9:
        np.testing.assert_allclose(there, back, rtol=1e-6, atol=1e-12)
    assert np.abs(there).max() < (1.25 if polarisation == "soft" else 2.01)  # the total field at a flat face is 2


def test_terms_at_the_boundaries_are_one_half():
    n, phi_in = 1.5, 0.9
    for i, boundary in ((1, phi_in + PI), (3, PI - phi_in), (2, 2 * n * PI - PI - (phi_in + 1.6))):
        source = phi_in + 1.6 if i == 2 else phi_in
        for offset in (-1e-9, 1e-9):
            term = edge_terms(rays_of(boundary + offset, source, n * PI, 50.0))[i].item()
            lit = (offset < 0) != (i == 2)
            assert term == pytest.approx(-0.5 if lit else 0.5, abs=1e-6)
    exactly = edge_terms(rays_of(PI - phi_in, phi_in, n * PI, 50.0))[3].item()
    assert abs(exactly) == pytest.approx(0.5, abs=1e-6)


def test_half_plane_loses_six_decibels_at_grazing_and_follows_itu_p526():
    """Rec. ITU-R P.526, single knife edge, by its Fresnel integrals, for a screen across the path."""
    wavelength, d1, d2 = 0.1, 3000.0, 4000.0
    nu = np.linspace(-0.75, 3.0, 31)
    height = nu / math.sqrt(2 * (d1 + d2) / (wavelength * d1 * d2))
    # the screen hangs down from the edge; its face 0 looks to the source
    phi_in = 0.5 * PI + np.arctan2(-height, d1)
    phi = 1.5 * PI - np.arctan2(-height, d2)
    s_in, s_out = np.hypot(d1, height), np.hypot(d2, height)
    direct = np.hypot(d1 + d2, 0.0)
    k = 2 * PI / wavelength
    matrix = diffraction_matrix(rays_of(phi, phi_in, 2 * PI, k * s_in * s_out / (s_in + s_out)), conductor)
    lit = phi - phi_in < PI
    s, c = fresnel(nu)
    knife = np.abs((1 + 1j) / 2 * ((0.5 - c) - 1j * (0.5 - s)))
    for component in (matrix.soft, matrix.hard):
        edge = -component.numpy() * np.exp(-1j * k * (s_in + s_out - direct)) * direct / (s_in + s_out)
        total = np.abs(lit + edge)
        np.testing.assert_allclose(20 * np.log10(total), 20 * np.log10(knife), atol=0.15)
        at_grazing = total[np.argmin(np.abs(nu))]
        assert 20 * np.log10(at_grazing) == pytest.approx(-6.02, abs=0.1)


def test_gradients_are_finite_at_the_boundaries():
    phi_in = 0.9
    phi = torch.tensor([phi_in + PI, PI - phi_in, 0.0, 1.5 * PI, 2.0], dtype=torch.float64, requires_grad=True)
    like = torch.full((5,), 1.0, dtype=torch.float64)
    rays = EdgeRays(phi_in * like, phi, 1.5 * PI * like, 0 * like, 30 * like, torch.zeros(2, 5, dtype=torch.int64))
    matrix = diffraction_matrix(rays, conductor)
    (slope,) = torch.autograd.grad(torch.stack([m.abs() for m in (matrix.soft, matrix.hard)]).sum(), phi)
    assert bool(torch.isfinite(slope).all())


def test_unknown_model():
    with pytest.raises(SiteTwinError, match="'kirchhoff' is unknown; choose one of luebbers, sionna"):
        diffraction_matrix(rays_of(1.0, 1.0, 4.0, 1.0), conductor, "kirchhoff")
