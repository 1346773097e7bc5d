"""Reflection coefficients of many rays, with their derivatives in closed form.

The values are those of `half_space` and `slab_reflection`. Followed operation by operation, their gradient takes some
hundred small steps for each wall; in closed form it takes thirty. With ``c`` the cosine of incidence, ``q = sqrt(eta -
sin^2)``, ``s`` the coefficient of one interface and ``E = e^{-2 j d q}``,

    s_te = (c - q) / (c + q),   s_tm = (eta c - q) / (eta c + q),   R = s (1 - E) / (1 - s^2 E),
    dR/ds = (1 - E) (1 + s^2 E) / (1 - s^2 E)^2,   dR/dE = -s (1 - s^2) / (1 - s^2 E)^2.

All are holomorphic in eta, so that the gradient of a real loss is the incoming one times the conjugate derivative.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from sitetwin.channel.fields.reflection import Layer, half_space, slab_reflection

Pair = tuple[Tensor, Tensor]


def reflection_of(
    cos_incidence: Float[Tensor, " rays"],
    eta: Complex[Tensor, " materials"],
    electrical_thickness: Float[Tensor, " materials"] | None,
    material: Integer[Tensor, " rays"],
) -> tuple[Complex[Tensor, " rays"], Complex[Tensor, " rays"]]:
    """Reflection coefficients r_te and r_tm of rays at walls.

    Args:
        cos_incidence: (N,) cosine of the angle of incidence.
        eta: (M,) complex relative permittivity of the materials.
        electrical_thickness: (M,) radians, infinite for half-spaces; None if all are half-spaces.
        material: (N,) index of the wall's material.
    """
    given = (cos_incidence, eta, electrical_thickness)
    if torch.is_grad_enabled() and any(one is not None and one.requires_grad for one in given):
        found: Pair = _Reflection.apply(*given, material)
        return found
    return _plain(*given, material)


def _plain(cosine: Tensor, eta: Tensor, thickness: Tensor | None, material: Tensor) -> Pair:
    own = eta.index_select(0, material)
    if thickness is None:
        return half_space(cosine, own)
    return slab_reflection(cosine, own, thickness.index_select(0, material))


class _Reflection(torch.autograd.Function):
    """`_plain` with its gradient in closed form."""

    @staticmethod
    def forward(ctx: Any, cosine: Tensor, eta: Tensor, thickness: Tensor | None, material: Tensor) -> Pair:
        """The coefficients."""
        ctx.save_for_backward(cosine, eta, thickness, material)
        own = eta.index_select(0, material)
        ctx.layer = Layer(cosine, own, None if thickness is None else thickness.index_select(0, material))
        return ctx.layer.reflected()

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the cosine, the permittivity and the thickness."""
        cosine, eta, thickness, material = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled():  # for second derivatives, step by step
            inputs = [one for one, asked in zip(ctx.saved_tensors, wanted, strict=True) if asked]
            found = iter(torch.autograd.grad(_plain(*ctx.saved_tensors), inputs, incoming, create_graph=True))
            return tuple(next(found) if asked else None for asked in wanted)
        slopes = _Slopes(cosine, eta.index_select(0, material), ctx.layer, incoming)
        return (
            slopes.by_cosine() if wanted[0] else None,
            torch.zeros_like(eta).index_add_(0, material, slopes.by_eta()) if wanted[1] else None,
            torch.zeros_like(thickness).index_add_(0, material, slopes.by_thickness()) if wanted[2] else None,
            None,
        )


class _Slopes:
    """A gradient followed back through the coefficients of a layer; conjugated where it is complex."""

    def __init__(self, cosine: Tensor, eta: Tensor, layer: Layer, incoming: tuple[Tensor, ...]) -> None:
        self.cosine, self.eta, self.root = cosine.to(eta.dtype), eta, layer.root
        single = [gradient.conj() for gradient in incoming]
        self.by_phase: Tensor | None = None  # of E
        if layer.twice is not None:
            parts = []
            for at, s in enumerate(layer.single):
                square = s * s
                bounced = square * layer.twice
                denominator = 1 - bounced
                whole = single[at] / (denominator * denominator)
                parts.append(whole * s * (square - 1))
                single[at] = whole * (1 - layer.twice) * (1 + bounced)
            self.by_phase = (parts[0] + parts[1]) * layer.twice
        self.te, self.tm = (2 * slope / (below * below) for slope, below in zip(single, layer.below, strict=True))
        self.tm_cosine = self.tm * self.cosine
        self.by_root = -self.te * self.cosine - self.tm_cosine * eta
        if self.by_phase is not None:
            self.by_root = self.by_root + self.by_phase * (-2j * layer.depth)

    def by_eta(self) -> Tensor:
        """Of the complex permittivity."""
        return (self.tm_cosine * self.root + 0.5 * self.by_root / self.root).conj()

    def by_thickness(self) -> Tensor:
        """Of the electrical thickness; zero of half-spaces."""
        assert self.by_phase is not None
        return (self.by_phase * (-2j * self.root)).real

    def by_cosine(self) -> Tensor:
        """Of the cosine of incidence."""
        direct = (self.te + self.tm * self.eta) * self.root
        return (direct + self.by_root * self.cosine / self.root).real
