"""How the facets of a site scatter, as far as the choice of tiles needs it: powers and lobes, no phases.

V. Degli-Esposti, F. Fuschini, E. M. Vitucci, G. Falciasecca, "Measurement and modelling of scattering from buildings",
IEEE T-AP 55(1), 2007. `sitetwin.channel.fields.scattering` computes fields with the same patterns.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from sitetwin.site import Site
from sitetwin.site.materials import Material

LAMBERT = "as Lambert has it"
"""Words for the pattern of surfaces without lobes."""


@dataclass(frozen=True, eq=False)
class Roughness:
    """Scattering of N facets or tiles.

    Attributes:
        power: (N,) S^2, the share of the reflected power that is scattered.
        forward: (N,) weight of the lobe around the mirror's direction; NaN for Lambertian surfaces.
        alpha_r: (N,) its exponent.
        alpha_i: (N,) exponent of the lobe back to the source.
        assumed: Whether no surface of the site scatters, so that all count as Lambertian ones that scatter alike.
    """

    power: np.ndarray
    forward: np.ndarray
    alpha_r: np.ndarray
    alpha_i: np.ndarray
    assumed: bool

    @classmethod
    def of(cls, site: Site) -> Roughness:
        """The scattering of each facet of a site."""
        forward = {"lambertian": lambda m: np.nan, "directive": lambda m: 1.0}
        rows = [
            (
                m.scattering_coefficient**2,
                forward.get(m.scattering_pattern, lambda m: m.forward_share)(m),
                float(m.alpha_r),
                float(m.alpha_i),
            )
            for m in site.materials
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 4)[site.facet_material]
        if table[:, 0].any():
            power, forward_weight, alpha_r, alpha_i = np.ascontiguousarray(table.T)
            return cls(power, forward_weight, alpha_r, alpha_i, assumed=False)
        count = len(table)
        return cls(np.ones(count), np.full(count, np.nan), np.ones(count), np.ones(count), assumed=True)

    @property
    def smooth(self) -> list[list[int]]:
        """Facets that scatter nothing, as ranges [first, last + 1] in ascending order."""
        still = np.concatenate([[False], self.power == 0, [False]])
        ranges: list[list[int]] = np.flatnonzero(still[1:] != still[:-1]).reshape(-1, 2).tolist()
        return ranges

    @property
    def key(self) -> str:
        """SHA-256 of what the choice of tiles depends on: a common factor of all S changes nothing."""
        relative = self.power / self.power.max(initial=1e-300)
        lobes = np.where(np.isnan(self.forward), -1.0, [self.forward, self.alpha_r, self.alpha_i])
        return hashlib.sha256(np.ascontiguousarray(np.vstack([relative, lobes]), dtype="<f8").tobytes()).hexdigest()

    def take(self, index: np.ndarray) -> Roughness:
        """The scattering of some of them."""
        return Roughness(self.power[index], self.forward[index], self.alpha_r[index], self.alpha_i[index], self.assumed)

    def lobes(self, to_mirror: np.ndarray, to_source: np.ndarray) -> np.ndarray:
        """(N,) sum of both lobes, at most 1; not normalised.

        Args:
            to_mirror: (..., N) cosine of the angle between the scattered direction and the mirror's.
            to_source: (..., N) cosine of the angle between the scattered direction and the way back.
        """
        ahead = np.maximum(0.5 * (1 + to_mirror), 0) ** self.alpha_r
        back = np.maximum(0.5 * (1 + to_source), 0) ** self.alpha_i
        return np.asarray(self.forward * ahead + (1 - self.forward) * back)

    def integral(self, cos_incidence: np.ndarray) -> np.ndarray:
        """(N,) integral of `lobes` over the half-space before the surface, sr."""
        ahead, back = (lobe_integral(alpha, cos_incidence) for alpha in (self.alpha_r, self.alpha_i))
        return np.asarray(self.forward * ahead + (1 - self.forward) * back)


def pattern_words(material: Material) -> str:
    """Say in words how a material spreads what it scatters: equal words mean an equal pattern."""
    if material.scattering_pattern == "lambertian":
        return LAMBERT
    if material.scattering_pattern == "directive":
        return f"a lobe ahead of exponent {material.alpha_r}"
    return (
        f"lobes ahead and back of exponents {material.alpha_r} and {material.alpha_i}, "
        f"{material.forward_share:g} of it ahead"
    )


def lobe_integral(alpha: np.ndarray, cos_incidence: np.ndarray) -> np.ndarray:
    """Integral of ``((1 + cos psi) / 2)^alpha`` over the half-space (Degli-Esposti et al. 2007, eqs. 6 and 7).

    Args:
        alpha: (N,) whole numbers, at least 1.
        cos_incidence: (N,) cosine of the angle of incidence, from which psi of the mirror's direction is counted.

    Returns:
        (N,) sr.
    """
    square_sine = np.maximum(1 - cos_incidence * cos_incidence, 0.0)
    total, series = np.zeros_like(cos_incidence), np.zeros_like(cos_incidence)
    power = np.ones_like(cos_incidence)  # sin^2w C(2w, w) / 4^w
    share = 2.0**-alpha  # C(alpha, j) / 2^alpha
    for j in range(int(alpha.max(initial=0)) + 1):
        if j % 2:
            w = (j - 1) // 2
            power = power * square_sine * ((2 * w - 1) / (2 * w)) if w else power
            series = series + power
        total = total + share * (2 * np.pi / (j + 1)) * (cos_incidence * series if j % 2 else 1.0)
        share = share * np.maximum(alpha - j, 0) / (j + 1)
    return total
