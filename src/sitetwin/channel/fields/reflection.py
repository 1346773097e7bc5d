"""Plane-wave reflection and transmission at walls: Recommendation ITU-R P.2040-4, section 2.2.

Everything is written in real arithmetic where a complex root or exponential would be needed: PyTorch's complex `sqrt`
and `exp` on the CPU are some fifty times slower than the real ones, and reflection is evaluated once per bounce of
every path. The time factor is e^{+j omega t}: lossy media have permittivities with negative imaginary parts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT
from sitetwin.site.earth_surface import VACUUM_PERMITTIVITY

_TINY = 1e-30


def complex_permittivity(relative_permittivity: Tensor, conductivity: Tensor, frequency_hz: float) -> Tensor:
    """Relative complex permittivity ``eta = eps_r - j sigma / (omega eps_0)`` (P.2040-4, eq. 9b).

    Args:
        relative_permittivity: (...) real, unitless.
        conductivity: (...) S/m.
        frequency_hz: Frequency, Hz.

    Returns:
        (...) complex.
    """
    loss = conductivity / (2 * math.pi * frequency_hz * VACUUM_PERMITTIVITY)
    return torch.complex(relative_permittivity, -loss)


def root_of_lossy(real: Tensor, loss: Tensor) -> tuple[Tensor, Tensor]:
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


def half_space(cos_incidence: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    """Fresnel reflection from air into a half-space (P.2040-4, eq. 31).

    The field of the TM coefficient is measured along ``e_perp x k`` before and after, e_perp being the TE direction,
    so that at normal incidence ``r_tm = -r_te``.

    Args:
        cos_incidence: (...) cosine of the angle of incidence, 0 to 1.
        eta: (...) complex relative permittivity.

    Returns:
        r_te and r_tm, each (...) complex.
    """
    r, s = root_of_lossy(eta.real - (1 - cos_incidence * cos_incidence), -eta.imag)
    return _interface(cos_incidence, eta, torch.complex(r, -s))


def _interface(cos_incidence: Tensor, eta: Tensor, root: Tensor) -> tuple[Tensor, Tensor]:
    """Coefficients of a single interface, given ``root = sqrt(eta - sin^2)``."""
    te = (cos_incidence - root) / (cos_incidence + root + _TINY)
    slope = eta * cos_incidence
    tm = (slope - root) / (slope + root + _TINY)
    return te, tm


def _decay(radians: Tensor, nepers: Tensor) -> Tensor:
    """``exp(-nepers - j radians)``."""
    size = torch.exp(-nepers)
    return torch.complex(size * torch.cos(radians), -size * torch.sin(radians))


def slab(
    cos_incidence: Tensor, eta: Tensor, electrical_thickness: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
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
    r, s = root_of_lossy(eta.real - (1 - cos_incidence * cos_incidence), -eta.imag)
    te, tm = _interface(cos_incidence, eta, torch.complex(r, -s))
    infinite = torch.isinf(electrical_thickness)
    depth = torch.where(infinite, torch.zeros_like(electrical_thickness), electrical_thickness)
    solid = infinite.to(depth.dtype)
    once = _decay(depth * r, depth * s) * (1 - solid)
    twice = _decay(2 * depth * r, 2 * depth * s) * (1 - solid)
    reflected, transmitted = [], []
    for single in (te, tm):
        square = single * single
        echo = 1 / (1 - square * twice)
        reflected.append(single * (1 - twice) * echo)
        transmitted.append((1 - square) * once * echo)
    return (reflected[0], reflected[1]), (transmitted[0], transmitted[1])


@dataclass(frozen=True)
class Surfaces:
    """Electrical constants of a site's materials at one frequency, ready for indexing.

    Attributes:
        eta: (M,) complex relative permittivity.
        electrical_thickness: (M,) ``2 pi d / lambda``, infinite for half-spaces.
        any_slab: Whether at least one material is a slab.
    """

    eta: Tensor
    electrical_thickness: Tensor
    any_slab: bool

    @classmethod
    def of(
        cls,
        materials: Any,
        frequency_hz: float,
        *,
        relative_permittivity: Tensor | None = None,
        conductivity: Tensor | None = None,
        out_of_range: str = "clamp",
        dtype: torch.dtype = torch.complex128,
        device: torch.device | str | None = None,
    ) -> Surfaces:
        """Evaluate the materials of a site, or take the given constants in their place.

        Args:
            materials: Sequence of M `Material`.
            frequency_hz: Frequency, Hz.
            relative_permittivity: (M,) to use instead of the materials' own; gradients flow into it.
            conductivity: (M,) S/m, to use instead of the materials' own; gradients flow into it.
            out_of_range: Policy outside the range of P.2040-4, see `Material.evaluate`.
            dtype: Complex type of the result.
            device: Device of the tensors.

        Raises:
            SiteTwinError: A given tensor does not have one entry per material.
        """
        real = torch.float32 if dtype == torch.complex64 else torch.float64
        given = {"relative_permittivity": relative_permittivity, "conductivity": conductivity}
        for name, tensor in given.items():
            if tensor is not None and tuple(tensor.shape) != (len(materials),):
                raise SiteTwinError(
                    f"{name} has shape {tuple(tensor.shape)} but the site has {len(materials)} materials; "
                    "give one value per material, in the order of site.materials"
                )
        if relative_permittivity is None or conductivity is None:
            known = torch.tensor([m.evaluate(frequency_hz, out_of_range) for m in materials], dtype=torch.float64)
            known = known.reshape(-1, 2)
            relative_permittivity = known[:, 0] if relative_permittivity is None else relative_permittivity
            conductivity = known[:, 1] if conductivity is None else conductivity
        eta = complex_permittivity(
            relative_permittivity.to(device, torch.float64), conductivity.to(device, torch.float64), frequency_hz
        )
        wavenumber = 2 * math.pi * frequency_hz / SPEED_OF_LIGHT
        depths = [math.inf if m.thickness is None else wavenumber * m.thickness for m in materials]
        thickness = torch.tensor(depths, dtype=real, device=device)
        return cls(eta.to(dtype), thickness, any(math.isfinite(d) for d in depths))

    def reflection(self, cos_incidence: Tensor, material: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reflection coefficients r_te and r_tm of the materials with these indices.

        Args:
            cos_incidence: (N,) cosine of the angle of incidence.
            material: (N,) integer, index of the material.
        """
        eta = self.eta.index_select(0, material)
        if not self.any_slab:
            return half_space(cos_incidence, eta)
        return slab(cos_incidence, eta, self.electrical_thickness.index_select(0, material))[0]

    def transmission(self, cos_incidence: Tensor, material: Tensor) -> tuple[Tensor, Tensor]:
        """Return the transmission coefficients t_te and t_tm of the materials, for a path straight through.

        The path's length already counts the way through the slab as free space. ``T`` of the slab refers to the point
        straight across, so that it takes the place of the free-space phase of the thickness, ``e^{-j k d cos}``: the
        coefficients here are ``T e^{+j k d cos}`` and become 1 as eta does. Half-spaces let nothing through.

        Args:
            cos_incidence: (N,) cosine of the angle of incidence.
            material: (N,) integer, index of the material.
        """
        thickness = self.electrical_thickness.index_select(0, material)
        t_te, t_tm = slab(cos_incidence, self.eta.index_select(0, material), thickness)[1]
        ahead = torch.where(torch.isinf(thickness), torch.zeros_like(thickness), thickness) * cos_incidence
        turn = torch.polar(torch.ones_like(ahead), ahead)
        return t_te * turn, t_tm * turn
