"""The transition function against the Faddeeva function and the Fresnel integrals of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import fresnel, wofz

from sitetwin.channel.fields.transition import transition, transition_slope


def faddeeva_form(x):
    return np.sqrt(np.pi * x) * np.exp(1j * np.pi / 4) * wofz(np.exp(0.75j * np.pi) * np.sqrt(x))


def integral_form(x):
    """The definition: ``2 j sqrt(x) e^{jx}`` times the tail of the integral of ``e^{-j u^2}``."""
    s, c = fresnel(np.sqrt(2 * x / np.pi))
    return 2j * np.sqrt(x) * np.exp(1j * x) * np.sqrt(np.pi / 2) * ((0.5 - c) - 1j * (0.5 - s))


def test_equals_the_faddeeva_function_from_boundary_to_infinity():
    x = np.concatenate([np.logspace(-16, 8, 20_001)])
    np.testing.assert_allclose(transition(torch.from_numpy(x)).numpy(), faddeeva_form(x), rtol=2e-9)
    far = np.logspace(8, 14, 101)
    np.testing.assert_allclose(transition(torch.from_numpy(far)).numpy(), faddeeva_form(far), rtol=6e-9)


def test_equals_the_fresnel_integrals_of_its_definition():
    x = np.logspace(-8, 3, 2001)
    np.testing.assert_allclose(transition(torch.from_numpy(x)).numpy(), integral_form(x), rtol=2e-9, atol=1e-13)


def test_single_precision():
    x = np.logspace(-16, 12, 5001)
    ours = transition(torch.from_numpy(x).float())
    assert ours.dtype == torch.complex64
    np.testing.assert_allclose(ours.numpy(), faddeeva_form(x.astype(np.float32).astype(float)), rtol=1e-6)


def test_limits():
    assert transition(torch.zeros(1, dtype=torch.float64)).item() == 0
    slope = transition_slope(torch.zeros(1, dtype=torch.float64)).item()
    assert slope == pytest.approx(np.sqrt(np.pi) * np.exp(1j * np.pi / 4), rel=2e-9)


def test_gradients_are_finite_and_right():
    x = torch.tensor([0.0, 1e-12, 0.3, 2.0, 40.0, 1e9], dtype=torch.float64, requires_grad=True)
    value = transition(x)
    for part in (value.real, value.imag):
        (slope,) = torch.autograd.grad(part.sum(), x, retain_graph=True)
        assert bool(torch.isfinite(slope).all())
    (real,) = torch.autograd.grad(value.real.sum(), x, retain_graph=True)
    inner = x.detach().numpy()[2:5]
    f = faddeeva_form(inner)
    np.testing.assert_allclose(real.numpy()[2:5], (1j * (f - 1) + f / (2 * inner)).real, rtol=1e-5, atol=1e-8)
