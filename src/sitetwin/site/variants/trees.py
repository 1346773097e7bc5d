"""Errors of trees: they stand elsewhere, are larger or smaller than the map says, or are missing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import ConfigDict

from sitetwin.errors import SiteTwinError
from sitetwin.site.variants.distort import GeometryError
from sitetwin.site.variants.draws import children
from sitetwin.site.vegetation import Cylinder, Ellipsoid, Vegetation, Volume


@dataclass(frozen=True)
class TreeError:
    """Size of the errors of a map of trees.

    Attributes:
        position: Horizontal displacement of each canopy.
        size_sigma: Standard deviation of the natural logarithm of each crown's size: radius and height grow by the same
            factor, the crown's lower end stays. Canopies with an outline (woods, hedges) change only their height.
        missing: Share of the canopies that are left out, rounded to a whole number of them.

    Raises:
        SiteTwinError: A number is negative or not finite, the size error is above 2, or the share is above 1.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    position: GeometryError = field(default_factory=GeometryError)
    size_sigma: float = 0.0
    missing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.size_sigma <= 2:
            raise SiteTwinError(f"a size error of {self.size_sigma} is none; give 0 to 2, of the logarithm of the size")
        if not 0 <= self.missing <= 1:
            raise SiteTwinError(f"a share of {self.missing} missing trees is none; give a number from 0 to 1")


def disturb_trees(
    vegetation: Vegetation, error: TreeError, rng: np.random.Generator
) -> tuple[Vegetation, dict[str, Any]]:
    """Draw errors of canopies; return the wrong canopies and the entry for a site's list of differences.

    Scatter centres follow their canopy. With equal generators, displacements of other sizes have the same directions,
    and the trees missing from a smaller share are among those of a larger one.

    Args:
        vegetation: The canopies.
        error: Size of the errors.
        rng: Source of randomness.
    """
    count = vegetation.num_volumes
    for_places, for_sizes, for_missing = children(rng, 3)
    shift = error.position.draw(count, 2, for_places)
    scale = np.exp(error.size_sigma * for_sizes.standard_normal(count))
    gone = np.sort(for_missing.permutation(count)[: round(error.missing * count)])
    stays = np.setdiff1d(np.arange(count), gone)
    volumes = [
        _disturbed(v, float(shift[k, 0]), float(shift[k, 1]), float(scale[k])) for k, v in enumerate(vegetation.volumes)
    ]
    centres = vegetation.scatter_centres.copy()
    for k in range(count):
        mine = vegetation.scatter_volume == k
        if mine.any():
            centres[mine] = _follow(vegetation.volumes[k], volumes[k], centres[mine])
    number = np.full(count, -1, dtype=np.int32)
    number[stays] = np.arange(len(stays), dtype=np.int32)
    owner = number[vegetation.scatter_volume]
    disturbed = Vegetation(tuple(volumes[k] for k in stays.tolist()), centres[owner >= 0], owner[owner >= 0])
    distance = np.hypot(shift[stays, 0], shift[stays, 1])
    difference = {
        "what": "trees",
        "volumes_before": count,
        "missing": len(gone),
        "position_sigma_m": error.position.sigma,
        "position_bound_m": error.position.largest,
        "position_rms_m": float(np.sqrt(np.mean(distance**2))) if len(stays) else 0.0,
        "size_sigma": error.size_sigma,
        "size_factors": [float(scale[stays].min()), float(scale[stays].max())] if len(stays) else [1.0, 1.0],
        "sha256": hashlib.sha256(disturbed.geometry_bytes()).hexdigest(),
    }
    return disturbed, difference


def _disturbed(volume: Volume, dx: float, dy: float, scale: float) -> Volume:
    """The canopy displaced, and grown from its lower end."""
    if isinstance(volume, Ellipsoid):
        (x, y, z), (a, b, c) = volume.centre, volume.semi_axes
        return replace(
            volume, centre=(x + dx, y + dy, z + (scale - 1.0) * c), semi_axes=(scale * a, scale * b, scale * c)
        )
    top = volume.z_min + scale * (volume.z_max - volume.z_min)
    if isinstance(volume, Cylinder):
        x, y = volume.centre
        return replace(volume, centre=(x + dx, y + dy), radius=scale * volume.radius, z_max=top)
    return replace(volume, ring=tuple((x + dx, y + dy) for x, y in volume.ring), z_max=top)


def _follow(old: Volume, new: Volume, points: np.ndarray) -> np.ndarray:
    """Points in a canopy carried to the same place in the changed one: an affine map of box to box."""
    (low, size), (new_low, new_size) = _frame(old), _frame(new)
    return new_low + (points - low) * (new_size / size)


def _frame(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """A point that follows the canopy, and lengths along x, y, z that grow as it does (alike in x and y)."""
    if isinstance(volume, Ellipsoid):
        return np.array(volume.centre), np.array([volume.semi_axes[0], volume.semi_axes[0], volume.semi_axes[2]])
    height = volume.z_max - volume.z_min
    if isinstance(volume, Cylinder):
        return np.array([*volume.centre, volume.z_min]), np.array([volume.radius, volume.radius, height])
    return np.array([*volume.ring[0], volume.z_min]), np.array([1.0, 1.0, height])
