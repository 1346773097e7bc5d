"""Motion: trajectories of users, and the Doppler shift of paths between moving ends over moving surfaces.

A path that becomes shorter has a positive shift, ``nu = -(f / c) dL/dt``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from sitetwin.errors import SiteTwinError
from sitetwin.rays.moving.legs import calm_velocities
from sitetwin.rays.paths import SPEED_OF_LIGHT, Interaction, Paths
from sitetwin.rays.scatter.vegetation import path_points
from sitetwin.site.facets import dot, norm


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Positions and velocities at some moments, with a cubic Hermite spline between them.

    Attributes:
        times: (N,) float64, seconds, ascending, N at least 2.
        positions: (N, 3) float64, metres.
        velocities: (N, 3) float64, m/s; if none are given, second-order finite differences of the positions, at most
            twice the slower mean speed of the intervals beside, so that the spline does not overshoot at a stop.

    Raises:
        SiteTwinError: The shapes do not fit, a number is not finite, or the times do not ascend.
    """

    times: Float[np.ndarray, " moments"]
    positions: Float[np.ndarray, "moments 3"]
    velocities: Float[np.ndarray, "moments 3"]

    def __init__(
        self,
        times: ArrayLike,
        positions: ArrayLike,
        velocities: ArrayLike | None = None,
    ) -> None:
        time, place = np.asarray(times, dtype=np.float64), np.asarray(positions, dtype=np.float64)
        if time.ndim != 1 or len(time) < 2 or place.shape != (len(time), 3):
            raise SiteTwinError(
                f"a trajectory of {time.shape} times and {place.shape} positions; give two or more times (N,) in "
                "seconds and positions (N, 3) in metres"
            )
        if not (np.isfinite(time).all() and np.isfinite(place).all() and (np.diff(time) > 0).all()):
            raise SiteTwinError("the times of a trajectory must ascend, and its numbers be finite")
        if velocities is None:
            slope = np.gradient(place, time, axis=0, edge_order=2 if len(time) > 2 else 1)
            speed = calm_velocities(time, place, slope)
        else:
            speed = np.asarray(velocities, dtype=np.float64)
            if speed.shape != place.shape or not np.isfinite(speed).all():
                raise SiteTwinError(f"velocities of shape {speed.shape}; give finite m/s, one row for each position")
        for name, value in (("times", time), ("positions", place), ("velocities", speed)):
            object.__setattr__(self, name, value)

    def at(self, times: ArrayLike) -> tuple[Float[np.ndarray, "*moments 3"], Float[np.ndarray, "*moments 3"]]:
        """Return positions (M, 3) in metres and velocities (M, 3) in m/s at times (M,) in seconds.

        Raises:
            SiteTwinError: A time lies outside the trajectory.
        """
        from scipy.interpolate import CubicHermiteSpline

        wanted = np.asarray(times, dtype=np.float64)
        if not ((wanted >= self.times[0]) & (wanted <= self.times[-1])).all():
            raise SiteTwinError(f"a time lies outside the trajectory, {self.times[0]:g} s to {self.times[-1]:g} s")
        spline = CubicHermiteSpline(self.times, self.positions, self.velocities, axis=0)
        return spline(wanted), spline(wanted, 1)


def length_rates(
    paths: Paths,
    user_velocity: ArrayLike,
    transmitter_velocity: ArrayLike | None = None,
    facet_velocity: ArrayLike | None = None,
    wedge_velocity: ArrayLike | None = None,
) -> Float[np.ndarray, " paths"]:
    """Return the rate of change of each path's length, dL/dt = sum_i v_i . (u_i - u_{i+1}).

    The sum runs over the corners of the path. u_i is the unit direction in which the wave arrives at corner i, u_{i+1}
    the direction in which it leaves, and v_i the velocity of the surface there; the ends have one direction each. A
    corner also slides over its surface, but this does not change the length: by Fermat's principle, u_i - u_{i+1} is
    normal to the surface, or to the edge for a diffraction.

    Args:
        paths: P paths of U users.
        user_velocity: (U, 3) velocities of the users, m/s, or (3,) for all users.
        transmitter_velocity: (3,) velocity of the transmitter, m/s; by default it is at rest.
        facet_velocity: (F, 3) velocity of every facet of the site, m/s; by default they are at rest.
        wedge_velocity: (W, 3) velocity of every wedge of the site, m/s; needed with `facet_velocity` if there are
            diffracted paths.

    Returns:
        (P,) float64, m/s; negative where the ends come nearer to each other along the path.

    Raises:
        SiteTwinError: A shape does not fit, or facets move and the velocities of diffracting wedges are missing.
    """
    users = np.asarray(user_velocity, dtype=np.float64)
    if users.shape not in ((3,), (paths.num_users, 3)):
        raise SiteTwinError(f"velocities of users have the shape {users.shape}; give ({paths.num_users}, 3), in m/s")
    source = np.zeros(3) if transmitter_velocity is None else np.asarray(transmitter_velocity, dtype=np.float64)
    if source.shape != (3,):
        raise SiteTwinError(f"the transmitter's velocity has the shape {source.shape}; give (3,), in m/s")
    user = paths.user_of_path
    moving = np.broadcast_to(users, (paths.num_users, 3))[user]
    rate = -dot(moving, paths.arrival) - dot(np.broadcast_to(source, moving.shape), paths.departure)
    if (facet_velocity is None and wedge_velocity is None) or not paths.max_depth:
        return rate
    bent = paths.kinds == Interaction.DIFFRACTION
    hit = (paths.kinds != Interaction.NONE) & (paths.kinds != Interaction.CANOPY) & ~bent
    if facet_velocity is not None and wedge_velocity is None and bent.any():
        raise SiteTwinError(
            "paths are diffracted and facets move: give wedge_velocity too, as sitetwin.site.wedge_velocities makes it"
        )
    for where, velocity, what in ((hit, facet_velocity, "facets"), (bent, wedge_velocity, "wedges")):
        if velocity is not None:
            rate += _rate_of_surfaces(paths, where, np.asarray(velocity, dtype=np.float64), what)
    return rate


def _rate_of_surfaces(paths: Paths, hit: np.ndarray, velocity: np.ndarray, what: str) -> np.ndarray:
    """(P,) m/s: what moving facets or wedges, at the corners `hit` (P, D), add to the rates of lengths."""
    known = int(paths.facets.min(where=hit, initial=0)) >= 0 and int(paths.facets.max(where=hit, initial=-1)) < len(
        velocity
    )
    if velocity.ndim != 2 or velocity.shape[1] != 3 or not known:
        raise SiteTwinError(f"velocities of {what} have the shape {velocity.shape}; give ({what} of the site, 3), m/s")
    rate = np.zeros(paths.num_paths)
    points = path_points(paths.transmitter, paths.users[paths.user_of_path], paths.vertices)
    for corner in range(paths.max_depth):
        rows = np.flatnonzero(hit[:, corner])
        rows = rows[(velocity[paths.facets[rows, corner]] != 0).any(axis=1)]
        before, here, after = (points[rows, corner + k] for k in range(3))
        turn = _unit(here - before) - _unit(after - here)
        rate[rows] += dot(velocity[paths.facets[rows, corner]], turn)
    return rate


def doppler_shifts(
    paths: Paths,
    frequency_hz: float,
    user_velocity: ArrayLike,
    transmitter_velocity: ArrayLike | None = None,
    facet_velocity: ArrayLike | None = None,
    wedge_velocity: ArrayLike | None = None,
) -> Float[np.ndarray, " paths"]:
    """Return the Doppler shift of each path, ``nu = (f / c) (v_rx·k_rx + v_tx·k_tx)`` plus that of moving surfaces.

    k points away from its antenna: an end that moves along the direction of its path has a positive shift.

    Args:
        paths: P paths of U users.
        frequency_hz: Carrier f, Hz.
        user_velocity: (U, 3) velocities of the users, m/s, or (3,) for all users.
        transmitter_velocity: (3,) velocity of the transmitter, m/s; by default it is at rest.
        facet_velocity: (F, 3) velocity of every facet of the site, m/s, as `sitetwin.site.facet_velocities` makes them.
        wedge_velocity: (W, 3) velocity of every wedge of the site, m/s, as `sitetwin.site.wedge_velocities` makes them.

    Returns:
        (P,) float64, Hz.

    Raises:
        SiteTwinError: The frequency is not positive, or `length_rates` refuses the velocities.
    """
    if not (np.isfinite(frequency_hz) and frequency_hz > 0):
        raise SiteTwinError(f"frequency {frequency_hz} Hz is not a positive number")
    rates = length_rates(paths, user_velocity, transmitter_velocity, facet_velocity, wedge_velocity)
    return -frequency_hz / SPEED_OF_LIGHT * rates


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / norm(vectors)[:, None]
