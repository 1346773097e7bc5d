"""Directions of rays: uniform rotations and Fibonacci lattices."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sitetwin.backend import mitsuba


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw a uniform random rotation, (3, 3) float64."""
    return np.asarray(Rotation.random(random_state=rng).as_matrix())


def fibonacci_directions(rays: int, rotation: np.ndarray) -> Any:
    """Make unit vectors of a rotated Fibonacci lattice (Swinbank and Purser, Q. J. R. Meteorol. Soc. 132, 2006)."""
    import drjit as dr

    mi = mitsuba()
    i = dr.arange(mi.Float64, rays)
    z = 1 - (2 * i + 1) / dr.opaque(mi.Float64, rays)
    azimuth = i * (np.pi * (3 - np.sqrt(5)))
    radius = dr.sqrt(1 - z * z)
    local = (radius * dr.cos(azimuth), radius * dr.sin(azimuth), z)
    m = [[dr.opaque(mi.Float64, float(rotation[r, c])) for c in range(3)] for r in range(3)]
    return mi.Vector3f(*(mi.Float(m[r][0] * local[0] + m[r][1] * local[1] + m[r][2] * local[2]) for r in range(3)))
