"""How far phases of two paths are known beside each other, when places are known to some centimetres.

A place that is off by d changes the length of a path by the component of d along the path's turn there: along the
direction of departure at the transmitter, of arrival at the user, and across the wall at a reflection. Two paths that
share ends and walls change alike. The direct path and that over the ground keep their difference of phase where a path
over a wall that may be displaced by half a wavelength does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from sitetwin.errors import SiteTwinError
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths


@dataclass(frozen=True)
class PositionErrors:
    """Standard deviations of what the twin does not know of places, metres.

    Attributes:
        transmitter_m: Of each coordinate of the transmitter.
        users_m: Of both horizontal coordinates of a user; its height above the ground is known.
        walls_m: Horizontal displacement of each wall and of each edge; the ground stays.

    Raises:
        SiteTwinError: One is negative or not finite.
    """

    transmitter_m: float
    users_m: float
    walls_m: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise SiteTwinError(f"{name} is {value!r}; give a standard deviation in metres, 0 or more")

    def times(self, factor: float) -> PositionErrors:
        """All of them larger by a factor."""
        return PositionErrors(factor * self.transmitter_m, factor * self.users_m, factor * self.walls_m)


def phase_coherence(
    paths: Paths, carrier_hz: float, errors: PositionErrors, order: Integer[np.ndarray, "users most"]
) -> Float[np.ndarray, "users most most"]:
    """``E[e^{j (phi_p - phi_q)}]`` of pairs of paths, for errors of Gaussian law.

    ``exp(-(2 pi / lambda)^2 var(dL_p - dL_q) / 2)``, by the first derivatives of the lengths with the places.

    Args:
        paths: P paths of U users.
        carrier_hz: Carrier, Hz.
        errors: Standard deviations of the places.
        order: Which paths of each user stand in which place, counted from the user's first; numbers beyond the user's
            last path stand for none.
    """
    ends, walls, number = _slopes(paths, errors)
    wave = 2 * math.pi * carrier_hz / SPEED_OF_LIGHT
    users, most = order.shape
    found = np.repeat(np.eye(most)[None], users, axis=0)
    for user in range(users):
        place = np.flatnonzero(order[user] < paths.counts[user])
        rows = paths.offsets[user] + order[user, place]
        names, which = np.unique(number[rows], return_inverse=True)
        spread = np.zeros((len(rows), len(names), 2))
        np.add.at(spread, (np.arange(len(rows))[:, None], which.reshape(len(rows), -1)), walls[rows])
        slopes = np.concatenate([ends[rows], spread.reshape(len(rows), -1)], axis=1)
        product = slopes @ slopes.T
        own = np.diag(product)
        variance = wave**2 * np.maximum(own[:, None] + own - 2 * product, 0.0)
        found[user][np.ix_(place, place)] = np.exp(-variance / 2)
    return found


def _slopes(
    paths: Paths, errors: PositionErrors
) -> tuple[Float[np.ndarray, "paths ends"], Float[np.ndarray, "paths depth 2"], Integer[np.ndarray, "paths depth"]]:
    """Change of each path's length with one deviation of its ends and of each wall, and numbers of the walls."""
    count, depth = paths.kinds.shape
    vertices = (paths.kinds != Interaction.NONE).sum(axis=1)
    points = np.concatenate([np.zeros((count, 1, 3)), paths.vertices, np.zeros((count, 1, 3))], axis=1)
    points[:, 0] = paths.transmitter
    points[np.arange(count), vertices + 1] = paths.users[paths.user_of_path]
    steps = np.diff(points, axis=1)
    steps /= np.maximum(np.linalg.norm(steps, axis=2, keepdims=True), 1e-12)
    turns = steps[:, :-1] - steps[:, 1:]  # across the wall of a reflection
    turns[np.arange(depth) >= vertices[:, None]] = 0.0
    ends = np.concatenate([-errors.transmitter_m * paths.departure, -errors.users_m * paths.arrival[:, :2]], axis=1)
    kinds = paths.kinds.astype(np.int64)
    return ends, errors.walls_m * turns[:, :, :2], paths.facets.astype(np.int64) + (kinds << 32)
