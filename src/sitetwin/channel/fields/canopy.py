"""Scattering by canopies: a tree is a cloud of point scatterers, each with a share of its bistatic cross-section.

Assumption, stated plainly: what leaves and branches take out of the wave falls on the mean projected area of the
canopy; the share `albedo` of it is scattered (the rest is absorbed) and, seen over all directions, evenly. A path
over a single scatter centre then follows the bistatic radar equation (Skolnik, Introduction to Radar Systems, 1.2),

    a = lambda / (4 pi) * sqrt(sigma / (4 pi)) / (d1 d2) * e^{-j 2 pi f tau} * e^{j psi},

with ``sigma = albedo * area / centres`` so that the centres of a canopy together scatter ``albedo * area`` times the
incident power density, and with a fixed random phase psi per centre (the leaves' unknown positions). Radiative transfer
fits of ITU-R P.833 put most of the scattered power into a forward lobe, which the extinction along the path already
accounts for; the albedo here is that of the isotropic remainder, ``(1 - alpha) W / (1 - alpha W)`` with alpha the
share of the lobe and W the single-scattering albedo.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Complex, Float

from sitetwin.errors import SiteTwinError
from sitetwin.rays.scatter.tiles import mix
from sitetwin.site.vegetation import Cylinder, Ellipsoid, ExtrudedPolygon


def isotropic_albedo(forward_share: float, albedo: float) -> float:
    """Albedo left when the forward lobe is counted as not scattered (reduced albedo of radiative transfer, P.833).

    Args:
        forward_share: alpha, share of the scattered power in the forward lobe, 0 to 1.
        albedo: W, scattered over extinguished power, 0 to 1.
    """
    return (1 - forward_share) * albedo / (1 - forward_share * albedo)


DEFAULT_ALBEDO = isotropic_albedo(0.95, 0.95)
"""0.49: deciduous tree in leaf, alpha = W = 0.95 (published radiative-transfer parameters)."""

LEAFLESS_ALBEDO = isotropic_albedo(0.90, 0.95)
"""0.66: the same tree without leaves, alpha = 0.90, W = 0.95; its projected area shrinks to `LEAFLESS_AREA`."""

LEAFLESS_AREA = 0.35
"""Share of a crown's silhouette that bare branches fill. An assumption: published gap fractions run from 0.5 to 0.8."""


@dataclass(frozen=True)
class CanopyScattering:
    """Parameters of the scattering by canopies.

    Attributes:
        albedo: Isotropically scattered share of the power that falls on a canopy in leaf, 0 to 1.
        leafless_albedo: Isotropically scattered share of the power that falls on a canopy without leaves, 0 to 1.
        leafless_area: Share of the projected area that remains without leaves.
        cross_polar_ratio_db: Co- over cross-polarised scattered power; None keeps the polarisation.
        seed: Seed of the fixed phases. A centre's phase depends on this and on its index alone, so that it is the
            same for every user, batch and order.
    """

    albedo: float = DEFAULT_ALBEDO
    leafless_albedo: float = LEAFLESS_ALBEDO
    leafless_area: float = LEAFLESS_AREA
    cross_polar_ratio_db: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("albedo", "leafless_albedo", "leafless_area"):
            if not 0 <= getattr(self, name) <= 1:
                raise SiteTwinError(f"canopy scattering: {name} = {getattr(self, name)} lies outside 0 to 1")

    def cross_sections(self, vegetation: Any, in_leaf: Bool[np.ndarray, " volumes"]) -> Float[np.ndarray, " centres"]:
        """Bistatic cross-section of every scatter centre.

        Args:
            vegetation: The site's `Vegetation`.
            in_leaf: (V,) bool, whether each volume bears leaves.

        Returns:
            (S,) float64, m2.
        """
        volume = np.asarray(vegetation.scatter_volume, dtype=np.int64)
        if not len(volume):
            return np.zeros(0)
        area = projected_areas(vegetation)
        share = np.where(in_leaf, self.albedo, self.leafless_albedo * self.leafless_area)
        centres = np.bincount(volume, minlength=len(area))
        return (share * area)[volume] / centres[volume]

    def phases(self, count: int) -> Float[np.ndarray, "centres 4"]:
        """(count, 4) float64, radians: fixed phases of the four polarimetric couplings of the first `count` centres."""
        key = mix(np.array([self.seed % 2**64], dtype=np.uint64))
        words = mix(np.arange(4 * count, dtype=np.uint64) ^ key)
        return (2 * np.pi * (words >> np.uint64(11)) / 2.0**53).reshape(count, 4)

    def couplings(self, count: int) -> Complex[np.ndarray, "centres 2 2"]:
        """Jones matrices of the centres, from (theta, phi) of the incident to (theta, phi) of the scattered direction.

        Returns:
            (count, 2, 2) complex128, without the cross-section.
        """
        phase = np.exp(1j * self.phases(count))
        if self.cross_polar_ratio_db is None:
            return phase[:, 0, None, None] * np.eye(2)
        cross = 10 ** (-self.cross_polar_ratio_db / 10)
        co, leak = np.sqrt(1 / (1 + cross)), np.sqrt(cross / (1 + cross))
        return phase.reshape(count, 2, 2) * np.array([[co, leak], [leak, co]])


def projected_areas(vegetation: Any) -> Float[np.ndarray, " volumes"]:
    """Return each canopy's mean projected area over all directions: a quarter of its surface (Cauchy).

    The rule is exact for convex bodies. A polygon that is not convex counts with all its walls, so its area is
    overestimated.

    Args:
        vegetation: The site's `Vegetation`.

    Returns:
        (V,) float64, m2.
    """
    return np.array([_surface(volume) / 4 for volume in vegetation.volumes], dtype=np.float64)


def _surface(volume: Ellipsoid | Cylinder | ExtrudedPolygon) -> float:
    """Surface of a canopy, m2; the ellipsoid's by Thomsen's formula, within 1.1 %."""
    if isinstance(volume, Ellipsoid):
        a, b, c = (axis**1.6075 for axis in volume.semi_axes)
        return 4 * math.pi * ((a * b + a * c + b * c) / 3) ** (1 / 1.6075)
    height = volume.z_max - volume.z_min
    if isinstance(volume, Cylinder):
        return 2 * math.pi * volume.radius * (height + volume.radius)
    ring = np.array(volume.ring)
    following = np.roll(ring, -1, axis=0)
    perimeter = float(np.hypot(*(following - ring).T).sum())
    ground = 0.5 * abs(float(np.sum(ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1])))
    return perimeter * height + 2 * ground
