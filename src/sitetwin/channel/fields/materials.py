"""Electrical constants of a site's materials at a frequency, and what waves meet at them.

The constants are those of Recommendation ITU-R P.2040-4 or of the scene; `sitetwin.channel.fields.reflection` has the
formulas of what they reflect and let through.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from sitetwin.channel.fields.reflection import slab_transmission
from sitetwin.channel.fields.reflection_slopes import reflection_of
from sitetwin.channel.fields.tensors import material_values
from sitetwin.rays.paths import SPEED_OF_LIGHT
from sitetwin.site.earth_surface import VACUUM_PERMITTIVITY
from sitetwin.site.materials import Material, OutOfRange


def complex_permittivity(
    relative_permittivity: Float[Tensor, "*shape"], conductivity: Float[Tensor, "*shape"], frequency_hz: float
) -> Complex[Tensor, "*shape"]:
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


@dataclass(frozen=True)
class Surfaces:
    """Electrical constants of a site's materials at one frequency, ready for indexing.

    Attributes:
        eta: (M,) complex relative permittivity.
        electrical_thickness: (M,) ``2 pi d / lambda``, infinite for half-spaces.
        any_slab: Whether at least one material is a slab.
    """

    eta: Complex[Tensor, " materials"]
    electrical_thickness: Float[Tensor, " materials"]
    any_slab: bool

    @classmethod
    def of(
        cls,
        materials: Sequence[Material],
        frequency_hz: float,
        *,
        relative_permittivity: Any = None,
        conductivity: Any = None,
        thickness: Any = None,
        out_of_range: OutOfRange = "clamp",
        dtype: torch.dtype = torch.complex128,
        device: torch.device | str | None = None,
    ) -> Surfaces:
        """Evaluate the materials of a site, or take the given constants in their place.

        Args:
            materials: Sequence of M `Material`.
            frequency_hz: Frequency, Hz.
            relative_permittivity: (M,) tensor, or a mapping from names of materials to values, to use instead of the
                materials' own; gradients flow into it.
            conductivity: The same in S/m.
            thickness: The same in metres, infinite for half-spaces.
            out_of_range: Policy outside the range of P.2040-4, see `Material.evaluate`.
            dtype: Complex type of the result.
            device: Device of the tensors.

        Raises:
            SiteTwinError: What was given does not fit the materials, or is out of range (`material_values`).
        """
        real = torch.float32 if dtype == torch.complex64 else torch.float64
        whole = all(isinstance(given, Tensor) for given in (relative_permittivity, conductivity))
        known = [(1.0, 0.0) if whole else m.evaluate(frequency_hz, out_of_range) for m in materials]
        permittivity, sigma = (
            material_values(name, given, materials, [pair[at] for pair in known])
            for at, (name, given) in enumerate(
                (("relative_permittivity", relative_permittivity), ("conductivity", conductivity))
            )
        )
        eta = complex_permittivity(permittivity.to(device), sigma.to(device), frequency_hz)
        wavenumber = 2 * math.pi * frequency_hz / SPEED_OF_LIGHT
        depths = [math.inf if m.thickness is None else m.thickness for m in materials]
        depth = wavenumber * material_values("thickness", thickness, materials, depths)
        return cls(eta.to(dtype), depth.to(device, real), any(math.isfinite(d) for d in depths))

    def reflection(
        self, cos_incidence: Float[Tensor, " rays"], material: Integer[Tensor, " rays"]
    ) -> tuple[Complex[Tensor, " rays"], Complex[Tensor, " rays"]]:
        """Return the reflection coefficients r_te and r_tm of the materials with these indices.

        Args:
            cos_incidence: (N,) cosine of the angle of incidence.
            material: (N,) integer, index of the material.
        """
        return reflection_of(cos_incidence, self.eta, self.electrical_thickness if self.any_slab else None, material)

    def transmission(
        self, cos_incidence: Float[Tensor, " rays"], material: Integer[Tensor, " rays"]
    ) -> tuple[Complex[Tensor, " rays"], Complex[Tensor, " rays"]]:
        """Return the transmission coefficients t_te and t_tm of the materials, for a path straight through.

        The path's length already counts the way through the slab as free space. ``T`` of the slab refers to the point
        straight across, so that it takes the place of the free-space phase of the thickness, ``e^{-j k d cos}``: the
        coefficients here are ``T e^{+j k d cos}`` and become 1 as eta does. Half-spaces let nothing through.

        Args:
            cos_incidence: (N,) cosine of the angle of incidence.
            material: (N,) integer, index of the material.
        """
        thickness = self.electrical_thickness.index_select(0, material)
        t_te, t_tm = slab_transmission(cos_incidence, self.eta.index_select(0, material), thickness)
        ahead = torch.where(torch.isinf(thickness), torch.zeros_like(thickness), thickness) * cos_incidence
        turn = torch.polar(torch.ones_like(ahead), ahead)
        return t_te * turn, t_tm * turn
