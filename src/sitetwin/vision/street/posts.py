"""Poles of lamps, signs and signals as bodies of the tracer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sitetwin.errors import SiteTwinError
from sitetwin.site.bodies import MovingObject
from sitetwin.site.materials import itu_material

POLE = "pole-"
"""Start of the names of poles in a site."""

_SIDES = 8


def pole_body(name: str, foot: Sequence[float] | np.ndarray, height: float = 7.0, radius: float = 0.08) -> MovingObject:
    """Make a pole of metal, an upright prism of eight sides.

    Args:
        name: Name behind `POLE`.
        foot: (3,) middle of its foot, metres.
        height: Metres.
        radius: Of the circle through its corners, metres.

    Raises:
        SiteTwinError: A number is not finite, or the height or the radius is not positive.
    """
    if not (all(map(math.isfinite, (*foot, height, radius))) and height > 0 and radius > 0):
        raise SiteTwinError(
            f"pole '{name}' has a height of {height} m and a radius of {radius} m; give positive metres"
        )
    turn = 2 * math.pi * np.arange(_SIDES) / _SIDES
    ring = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), np.zeros(_SIDES)])
    vertices = np.concatenate([ring, ring + np.array([0.0, 0.0, height])]) + np.asarray(foot, dtype=np.float64)
    here = np.arange(_SIDES)
    there = (here + 1) % _SIDES
    sides = [np.stack([here, there, there + _SIDES], 1), np.stack([here, there + _SIDES, here + _SIDES], 1)]
    lid = np.array([(_SIDES, _SIDES + k, _SIDES + k + 1) for k in range(1, _SIDES - 1)])
    triangles = np.concatenate([*sides, lid, lid[:, ::-1] - _SIDES]).astype(np.int32)
    return MovingObject(POLE + name, vertices, triangles, itu_material("metal"), np.zeros(3))
