"""Diffuse scattering from rough walls: the effective-roughness model.

V. Degli-Esposti, F. Fuschini, E. M. Vitucci, G. Falciasecca, "Measurement and modelling of scattering from buildings",
IEEE T-AP 55(1), 2007. Of the power that a wall would reflect, the share S^2 leaves it diffusely, spread over the
half-space before the wall by a pattern f_s that integrates to 1 there; the mirror reflection keeps the amplitude
``sqrt(1 - S^2)``, and so do the reflections that an edge makes of it. Both only where surfaces scatter
(`FieldOptions.scatters`): power that no path carries is taken from none. What passes a slab is not touched. A tile of
area A at the distances d1 and d2 from the ends then has the gain

    a = lambda / (4 pi) * S |E_r| / |E_i| * sqrt(A cos_i f_s) / (d1 d2) * e^{-j 2 pi f tau} * J,

E_r being the field that a smooth wall would reflect: it is what is scattered, in the (theta, phi) basis of the mirror's
direction put into that of the scattered direction. J is unitary: it moves the share K_x of the power of either
polarisation into the other one and gives each tile its own two random phases, since the roughness is not known. They
come from a hash of the tile's facet and place and of a seed: the same tile has the same phases for every user, batch,
order and run, and powers of tiles add up on average. The seed stands for one particular rough wall.

With equal reflection at all angles (metal) the Lambertian pattern is reciprocal; the lobes of the other patterns, and
the reflection coefficient, are taken at the incidence as seen from the transmitter, as the model has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from sitetwin.channel.fields.tensors import material_values
from sitetwin.channel.numerics.rotation import root
from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import Interaction, Paths
from sitetwin.rays.scatter.tiles import mix, surface_tiles, tile_keys
from sitetwin.site.materials import Material


@dataclass(frozen=True)
class RoughSurfaces:
    """Scattering parameters of a site's materials, ready for indexing; see `Material` for their meaning.

    Attributes:
        coefficient: (M,) S.
        cross_share: (M,) K_x.
        forward: (M,) weight of the lobe around the mirror's direction; NaN for Lambertian materials.
        alpha_r: (M,) its exponent.
        alpha_i: (M,) exponent of the lobe back to the source.
    """

    coefficient: Float[Tensor, " materials"]
    cross_share: Float[Tensor, " materials"]
    forward: Float[Tensor, " materials"]
    alpha_r: Float[Tensor, " materials"]
    alpha_i: Float[Tensor, " materials"]

    @classmethod
    def of(
        cls,
        materials: Sequence[Material],
        dtype: torch.dtype = torch.float64,
        *,
        smooth: bool = False,
        scattering_coefficient: Any = None,
        xpd_coefficient: Any = None,
    ) -> RoughSurfaces:
        """The parameters of M materials; with `smooth`, none of them scatters anything.

        Args:
            materials: The M materials.
            dtype: Real type of the result.
            smooth: Whether surfaces are taken as smooth, whatever their scattering coefficients.
            scattering_coefficient: (M,) tensor, or a mapping from names of materials to values, to use instead of the
                materials' own; gradients flow into it.
            xpd_coefficient: The same for the share of the cross polarisation.

        Raises:
            SiteTwinError: What was given does not fit the materials, or is out of range (`material_values`).
        """
        forward = {"lambertian": lambda m: math.nan, "directive": lambda m: 1.0}
        columns = [
            [forward.get(m.scattering_pattern, lambda m: m.forward_share)(m) for m in materials],
            [float(m.alpha_r) for m in materials],
            [float(m.alpha_i) for m in materials],
        ]
        share, cross = (
            material_values(name, given, materials, [getattr(m, name) for m in materials]).to(dtype)
            for name, given in (
                ("scattering_coefficient", scattering_coefficient),
                ("xpd_coefficient", xpd_coefficient),
            )
        )
        share = torch.zeros_like(share) if smooth else share
        return cls(share, cross, *(torch.tensor(column, dtype=dtype) for column in columns))

    @property
    def scatters(self) -> bool:
        """Whether a surface scatters, or gradients ask what would be if it did."""
        return self.coefficient.requires_grad or bool(self.coefficient.any())

    def mirrored(self) -> Float[Tensor, " materials"]:
        """(M,) amplitude ``sqrt(1 - S^2)`` that a reflection keeps."""
        return root(1 - self.coefficient.square())

    def pattern(
        self,
        material: Integer[Tensor, " rays"],
        normal: Float[Tensor, "3 rays"],
        incident: Float[Tensor, "3 rays"],
        scattered: Float[Tensor, "3 rays"],
    ) -> Float[Tensor, " rays"]:
        """f_s, 1/sr: its integral over the half-space before the wall is 1.

        Args:
            material: (N,) integer.
            normal: (3, N) unit normals, on the side of both rays.
            incident: (3, N) unit directions of travel towards the wall.
            scattered: (3, N) unit directions of travel away from it.

        Returns:
            (N,) real.
        """
        cos_i, cos_s = -_dot(normal, incident), _dot(normal, scattered)
        mirrored = incident + 2 * cos_i * normal
        forward, alpha_r, alpha_i = self.forward[material], self.alpha_r[material], self.alpha_i[material]
        flat = torch.isnan(forward)
        share = torch.where(flat, torch.ones_like(forward), forward)
        lobes = share * (0.5 * (1 + _dot(mirrored, scattered))).clamp_min(0) ** alpha_r
        lobes = lobes + (1 - share) * (0.5 * (1 - _dot(incident, scattered))).clamp_min(0) ** alpha_i
        total = share * lobe_integral(alpha_r, cos_i) + (1 - share) * lobe_integral(alpha_i, cos_i)
        return torch.where(flat, cos_s / math.pi, lobes / total) * (cos_s > 0)


def lobe_integral(alpha: Float[Tensor, " rays"], cos_incidence: Float[Tensor, " rays"]) -> Float[Tensor, " rays"]:
    """Integral of ``((1 + cos psi) / 2)^alpha`` over the half-space, psi counted from the mirror's direction.

    Degli-Esposti et al. 2007, eqs. 6 and 7; by symmetry the same for the lobe back to the source.

    Args:
        alpha: (N,) whole numbers as reals, at least 1.
        cos_incidence: (N,) cosine of the angle of incidence.

    Returns:
        (N,) sr.
    """
    square_sine = (1 - cos_incidence * cos_incidence).clamp_min(0)
    total, series = torch.zeros_like(cos_incidence), torch.zeros_like(cos_incidence)
    power = torch.ones_like(cos_incidence)  # sin^2w C(2w, w) / 4^w
    share = 2.0**-alpha  # C(alpha, j) / 2^alpha
    for j in range(int(alpha.max()) + 1 if alpha.numel() else 0):
        term = torch.ones_like(cos_incidence)
        if j % 2:
            w = (j - 1) // 2
            if w:
                power = power * square_sine * (2 * w - 1) / (2 * w)
            series = series + power
            term = cos_incidence * series
        total = total + share * (2 * math.pi / (j + 1)) * term
        share = share * (alpha - j).clamp_min(0) / (j + 1)
    return total


def jones(
    cross_share: Float[Tensor, " rays"], phases: Float[Tensor, "rays 2"]
) -> tuple[Complex[Tensor, " rays"], Complex[Tensor, " rays"], Complex[Tensor, " rays"], Complex[Tensor, " rays"]]:
    """Unitary mixing of polarisations by tiles: tt, tp, pt, pp from (theta, phi) in to (theta, phi) out.

    Args:
        cross_share: (N,) K_x.
        phases: (N, 2) radians.

    Returns:
        Four (N,) complex. The matrix is symmetric, so that behind a mirror (which turns one of the two basis vectors
        around) the reversed path has it too.
    """
    co, cross = root(1 - cross_share), root(cross_share)
    common, apart = phases[:, 0], phases[:, 1]
    leak = torch.polar(cross, common + math.pi / 2)
    return torch.polar(co, common + apart), leak, leak, torch.polar(co, common - apart)


@dataclass(frozen=True, eq=False)
class DiffuseTiles:
    """The tiles that the diffuse paths of a table scatter at.

    Attributes:
        area: (P,) float64, m2; 0 for other paths.
        phases: (P, 2) float64, radians; see `jones`.
    """

    area: Float[np.ndarray, " paths"]
    phases: Float[np.ndarray, "paths 2"]

    @classmethod
    def of(cls, paths: Paths, site: Any, seed: int) -> DiffuseTiles:
        """Look the tiles up by their facet and centre.

        Raises:
            SiteTwinError: The paths do not say how large their tiles are, or have others than those of the site.
        """
        area, phases = np.zeros(paths.num_paths), np.zeros((paths.num_paths, 2))
        row, at = np.nonzero(paths.kinds == Interaction.DIFFUSE)
        settings = paths.attributes.get("settings")
        size = settings.get("diffuse_tile_m") if isinstance(settings, dict) else None
        if not isinstance(size, int | float):
            raise SiteTwinError(
                "the paths scatter diffusely but their attributes name no diffuse_tile_m; trace them again"
            )
        facet, point = paths.facets[row, at], paths.vertices[row, at]
        tiles = surface_tiles(site, float(size))
        area[row] = tiles.area[tiles.find(facet, point)]
        key = tile_keys(facet, point, seed)
        for column in range(2):
            key = mix(key)
            phases[row, column] = 2 * np.pi * ((key >> np.uint64(11)) / 2.0**53)
        return cls(area, phases)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
