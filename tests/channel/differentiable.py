"""A small world with every kind of path: a hollow box of slabs on rough ground beside a tree."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import torch

from sitetwin.channel import CanopyScattering, FieldOptions, Radio
from sitetwin.rays import Paths, TraceSettings, trace
from sitetwin.site import Ellipsoid, Site, Vegetation, build_site
from sitetwin.site.materials import Material

F = 3.5e9
TX = np.array([-24.0, 1.5, 9.0])
USERS = np.array([[21.0, 4.0, 1.5], [15.0, -14.0, 2.0], [-14.0, 6.0, 1.5]])
SETTINGS = TraceSettings(
    max_depth=2, rays_per_lattice=20_000, unseen_bound=0.01, max_transmissions=2, diffraction=True, diffuse_paths=3,
    canopy_paths=2,
)  # fmt: skip
GROUND = Material(
    "ground", relative_permittivity=6.0, conductivity=0.05, scattering_coefficient=0.4, xpd_coefficient=0.2
)
WALL = Material(
    "wall", relative_permittivity=4.0, conductivity=0.03, thickness=0.21, scattering_coefficient=0.3,
    xpd_coefficient=0.1, scattering_pattern="directive", alpha_r=3,
)  # fmt: skip
ROOF = Material("roof", relative_permittivity=3.0, conductivity=0.01, thickness=0.1, scattering_coefficient=0.2)

_CORNERS = np.array([(i, j, k) for k in (0, 1) for j in (0, 1) for i in (0, 1)], dtype=float)
_FACES = np.array([(4, 5, 7, 6), (0, 1, 5, 4), (1, 3, 7, 5), (3, 2, 6, 7), (2, 0, 4, 6)])


@cache
def world() -> tuple[Site, Paths]:
    """The site and its paths."""
    box = np.array([-5.0, -4.0, 0.0]) + _CORNERS * np.array([10.0, 8.0, 7.0])
    floor = np.array([(-60.0, -60.0, 0.0), (60.0, -60.0, 0.0), (60.0, 60.0, 0.0), (-60.0, 60.0, 0.0)])
    triangles = np.concatenate([_FACES[:, [0, 1, 2]], _FACES[:, [0, 2, 3]], [(8, 9, 10), (8, 10, 11)]])
    owner = np.array([1, 0, 0, 0, 0] * 2 + [2] * 2)
    tree = Ellipsoid((9.0, -9.0, 3.0), (4.0, 3.0, 3.0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        site = build_site(
            "box",
            np.concatenate([box, floor]),
            triangles,
            owner,
            ["house-wall", "house-roof", "ground"],
            [1, 2, 0],
            [GROUND, WALL, ROOF],
        ).variant(vegetation=Vegetation((tree,)).with_scatter_centres(3, np.random.default_rng(0)))
        return site, trace(site, TX, USERS, SETTINGS)


CHOICES: dict[str, Any] = {"canopy": CanopyScattering(cross_polar_ratio_db=9.0)}


def nominal(site: Site) -> dict[str, torch.Tensor]:
    """The tensors that say what the site says."""
    m = site.materials
    constants = torch.tensor([one.evaluate(F) for one in m], dtype=torch.float64)

    def column(values: list[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    return {
        "relative_permittivity": constants[:, 0].clone(),
        "conductivity": constants[:, 1].clone(),
        "thickness": column([np.inf if one.thickness is None else one.thickness for one in m]),
        "scattering_coefficient": column([one.scattering_coefficient for one in m]),
        "xpd_coefficient": column([one.xpd_coefficient for one in m]),
        "foliage_factor": torch.ones(site.vegetation.num_volumes, dtype=torch.float64),
        "transmitter_offset": torch.zeros(3, dtype=torch.float64),
        "user_offset": torch.zeros(3, dtype=torch.float64),
    }


def options(**tensors: Any) -> FieldOptions:
    """The choices of the field computation with these tensors."""
    return FieldOptions(**CHOICES, **tensors)


TURNED = Radio("ula:2:cross", pattern="tr38901", yaw_deg=8.0, downtilt_deg=12.0)
