"""Plane-wave reflection and transmission at walls: Recommendation ITU-R P.2040-4, section 2.2.

Everything is written in real arithmetic where a complex root or exponential would be needed: PyTorch's complex `sqrt`
and `exp` on the CPU are some fifty times slower than the real ones, and reflection is evaluated once per bounce of
every path. The time factor is e^{+j omega t}: lossy media have permittivities with negative imaginary parts.
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

_TINY = 1e-30


def root_of_lossy(
    real: Float[Tensor, "*shape"], loss: Float[Tensor, "*shape"]
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Root of ``real - j loss`` in the fourth quadrant, ``r - j s`` with r, s >= 0.

    The principal root; the one whose wave decays away from the surface under e^{+j omega t}. The larger part is
    taken from the sum that does not cancel and the other from ``2 r s = loss``.

    Args:
        real: (...) any sign (negative beyond the critical angle of a medium thinner than air).
        loss: (...) at least 0.

    Returns:
        r and s, each (...).
    """
    larger = torch.sqrt(0.5 * (torch.hypot(real, loss) + real.abs()) + _TINY)
    smaller = 0.5 * loss / larger
    positive = real >= 0
    return torch.where(positive, larger, smaller), torch.where(positive, smaller, larger)


def half_space(
    cos_incidence: Float[Tensor, "*#shape"], eta: Complex[Tensor, "*#shape"]
) -> tuple[Complex[Tensor, "*#shape"], Complex[Tensor, "*#shape"]]:
    """Fresnel reflection from air into a half-space (P.2040-4, eq. 31).

    The field of the TM coefficient is measured along ``e_perp x k`` before and after, e_perp being the TE direction,
    so that at normal incidence ``r_tm = -r_te``.

    Args:
        cos_incidence: (...) cosine of the angle of incidence, 0 to 1.
        eta: (...) complex relative permittivity.

    Returns:
        r_te and r_tm, each (...) complex.
    """
    return Layer(cos_incidence, eta, None).reflected()


def _decay(radians: Tensor, nepers: Tensor) -> Tensor:
    """``exp(-nepers - j radians)``."""
    size = torch.exp(-nepers)
    return torch.complex(size * torch.cos(radians), -size * torch.sin(radians))


def slab(
    cos_incidence: Float[Tensor, "*#shape"],
    eta: Complex[Tensor, "*#shape"],
    electrical_thickness: Float[Tensor, "*#shape"],
) -> tuple[
    tuple[Complex[Tensor, "*#shape"], Complex[Tensor, "*#shape"]],
    tuple[Complex[Tensor, "*#shape"], Complex[Tensor, "*#shape"]],
]:
    """Single layer in air with all internal reflections (P.2040-4, eq. 43-44).

    ``R = r (1 - e^{-2jq}) / (1 - r^2 e^{-2jq})`` and ``T = (1 - r^2) e^{-jq} / (1 - r^2 e^{-2jq})`` with
    ``q = 2 pi d / lambda sqrt(eta - sin^2)``.

    Args:
        cos_incidence: (...) cosine of the angle of incidence, 0 to 1.
        eta: (...) complex relative permittivity.
        electrical_thickness: (...) ``2 pi d / lambda``, radians in vacuum; infinite for a half-space.

    Returns:
        ``(r_te, r_tm), (t_te, t_tm)``, each (...) complex. T refers to the point straight across the layer.
    """
    layer = Layer(cos_incidence, eta, electrical_thickness)
    return layer.reflected(), layer.transmitted()


def slab_reflection(
    cos_incidence: Float[Tensor, "*#shape"],
    eta: Complex[Tensor, "*#shape"],
    electrical_thickness: Float[Tensor, "*#shape"],
) -> tuple[Complex[Tensor, "*#shape"], Complex[Tensor, "*#shape"]]:
    """``r_te, r_tm`` of `slab` alone."""
    return Layer(cos_incidence, eta, electrical_thickness).reflected()


def slab_transmission(
    cos_incidence: Float[Tensor, "*#shape"],
    eta: Complex[Tensor, "*#shape"],
    electrical_thickness: Float[Tensor, "*#shape"],
) -> tuple[Complex[Tensor, "*#shape"], Complex[Tensor, "*#shape"]]:
    """``t_te, t_tm`` of `slab` alone."""
    return Layer(cos_incidence, eta, electrical_thickness).transmitted()


class Layer:
    """A single layer, or with None for its thickness a half-space, at given angles of incidence.

    Attributes:
        root: (...) complex ``q = sqrt(eta - sin^2)``.
        below: Denominators of the coefficients te and tm of one interface, each (...) complex.
        single: These coefficients, each (...) complex.
        depth: (...) electrical thickness, 0 for half-spaces.
        twice: (...) complex ``e^{-2 j depth q}``, 0 for half-spaces; None if all are half-spaces.
    """

    def __init__(self, cos_incidence: Tensor, eta: Tensor, electrical_thickness: Tensor | None) -> None:
        self.r, self.s = root_of_lossy(eta.real - (1 - cos_incidence * cos_incidence), -eta.imag)
        self.root = torch.complex(self.r, -self.s)
        cosine = cos_incidence.to(eta.dtype)
        slope = eta * cosine
        self.below = cosine + self.root + _TINY, slope + self.root + _TINY
        self.single = (cosine - self.root) / self.below[0], (slope - self.root) / self.below[1]
        self.twice: Tensor | None = None
        if electrical_thickness is not None:
            infinite = torch.isinf(electrical_thickness)
            self.depth = torch.where(infinite, torch.zeros_like(electrical_thickness), electrical_thickness)
            self.finite = 1 - infinite.to(self.depth.dtype)
            self.twice = _decay(2 * self.depth * self.r, 2 * self.depth * self.s) * self.finite

    def reflected(self) -> tuple[Tensor, Tensor]:
        """r_te and r_tm."""
        if self.twice is None:
            return self.single
        passed = 1 - self.twice
        te, tm = (single * passed * (1 / (1 - single * single * self.twice)) for single in self.single)
        return te, tm

    def transmitted(self) -> tuple[Tensor, Tensor]:
        """t_te and t_tm; of half-spaces nothing."""
        assert self.twice is not None
        once = _decay(self.depth * self.r, self.depth * self.s) * self.finite
        squares = [single * single for single in self.single]
        te, tm = ((1 - square) * once * (1 / (1 - square * self.twice)) for square in squares)
        return te, tm
