"""Channels along a trajectory: traced at every moment, or extrapolated over short intervals by the Doppler phase."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Complex, Float
from numpy.typing import ArrayLike
from torch import Tensor

from sitetwin.channel.antennas.radio import Radio
from sitetwin.channel.fields.gains import PathGains, checked_gains
from sitetwin.channel.fields.options import FieldOptions
from sitetwin.channel.fields.path_gains import path_gains
from sitetwin.channel.grid import OfdmGrid
from sitetwin.channel.synthesis.cfr import frequency_response
from sitetwin.errors import SiteTwinError
from sitetwin.rays import SPEED_OF_LIGHT, Paths, TraceSettings, Trajectory, length_rates, trace
from sitetwin.site import Site

MOST_INTERVALS = 1_000_000


def advance(
    paths: Paths, gains: PathGains, rates: Float[np.ndarray, " paths"], seconds: Float[np.ndarray, " users"] | float
) -> tuple[Paths, PathGains]:
    """Advance paths and gains by a short time: lengths and carrier phases change, everything else stays.

    The phase turns by ``2 pi nu t``, nu = -(f / c) dL/dt the Doppler shift. Directions, amplitudes and the set of paths
    are those of the start; what is left out of the length is t^2 / 2 d^2L/dt^2, some (v t)^2 / (2 L).

    Args:
        paths: P paths of U users.
        gains: Their gains from `path_gains`; the phase turns at their carrier.
        rates: (P,) m/s, dL/dt from `sitetwin.rays.length_rates`.
        seconds: Time by which to advance, seconds: one number for all users, or (U,).

    Returns:
        The paths and the gains at the later time.

    Raises:
        SiteTwinError: The gains do not belong to these paths.
    """
    known, _, _ = checked_gains(gains, paths)
    time = np.broadcast_to(np.asarray(seconds, dtype=np.float64), (paths.num_users,))[paths.user_of_path]
    change = rates * time
    turns = np.modf(change * (known.carrier_hz / SPEED_OF_LIGHT))[0]
    turned = torch.from_numpy(np.exp(-2j * math.pi * turns)).to(known.values.dtype)
    moved = replace(paths, length=paths.length + change)
    return moved, known.with_values(known.values * turned[:, None, None], moved)


def paths_over_time(
    site: Site,
    transmitter: ArrayLike,
    trajectory: Trajectory,
    times: ArrayLike,
    frequency_hz: float,
    settings: TraceSettings | None = None,
    *,
    interval_s: float | None = None,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    dtype: torch.dtype = torch.complex64,
) -> tuple[Paths, PathGains]:
    """Trace one user on a trajectory; each moment is a user of the result.

    So `frequency_response`, `impulse_response` and the other functions give one channel for each moment.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        trajectory: Trajectory of the user.
        times: (N,) seconds, within the trajectory.
        frequency_hz: Carrier frequency, Hz.
        settings: Settings of the trace.
        interval_s: None traces every moment exactly. A number of seconds traces the middle of each such interval, and
            carries its paths to the moments within by `advance`; paths that begin or end do so between intervals.
        tx: Radio of the transmitter.
        rx: Radio of the user; its orientation does not follow the trajectory.
        options: Choices of the field computation, as for `path_gains`.
        dtype: torch.complex64 or torch.complex128.

    Returns:
        Paths of N users and their gains. The positions are those that were traced.

    Raises:
        SiteTwinError: A moment lies outside the trajectory, there is none, or the interval is impossible.
    """
    moments = np.asarray(times, dtype=np.float64)
    if moments.ndim != 1 or not len(moments):
        raise SiteTwinError(f"times of shape {moments.shape}; give one or more moments (N,) in seconds")
    if interval_s is None:
        positions, _ = trajectory.at(moments)
        paths = trace(site, transmitter, positions, settings)
        return paths, path_gains(paths, site, frequency_hz, tx, rx, options, dtype=dtype)
    first, span = float(trajectory.times[0]), float(trajectory.times[-1] - trajectory.times[0])
    if not (math.isfinite(interval_s) and interval_s > 0 and span / interval_s <= MOST_INTERVALS):
        raise SiteTwinError(f"an interval of {interval_s} s does not divide a trajectory of {span:g} s")
    trajectory.at(moments)  # refuses moments outside
    number, which = np.unique(np.floor((moments - first) / interval_s), return_inverse=True)
    anchors = np.minimum(first + (number + 0.5) * interval_s, trajectory.times[-1])
    positions, velocities = trajectory.at(anchors)
    traced = trace(site, transmitter, positions, settings)
    gains = path_gains(traced, site, frequency_hz, tx, rx, options, dtype=dtype)
    velocity = velocities[which]
    chosen, carried = gains.select_users(traced, which)
    return advance(chosen, carried, length_rates(chosen, velocity), moments - anchors[which])


def response_over_time(
    site: Site,
    transmitter: ArrayLike,
    trajectory: Trajectory,
    times: ArrayLike,
    grid: OfdmGrid,
    settings: TraceSettings | None = None,
    *,
    interval_s: float | None = None,
    tx: Radio | None = None,
    rx: Radio | None = None,
    options: FieldOptions | None = None,
    dtype: torch.dtype = torch.complex64,
) -> Complex[Tensor, "moments rx_antennas tx_antennas subcarriers"]:
    """Time-varying frequency response ``H[n, r, t, k]`` along a trajectory, n the moment.

    Args:
        site: The site.
        transmitter: (3,) position of the transmitter, metres.
        trajectory: Trajectory of the user.
        times: (N,) seconds, within the trajectory.
        grid: The subcarriers; its carrier is the frequency.
        settings: Settings of the trace.
        interval_s: Seconds between traces; None traces every moment. Between traces, paths are extrapolated as by
            `paths_over_time`.
        tx: Radio of the transmitter.
        rx: Radio of the user; its orientation does not follow the trajectory.
        options: Choices of the field computation, as for `path_gains`.
        dtype: torch.complex64 or torch.complex128.

    Returns:
        (N, R, T, K) complex.

    Raises:
        SiteTwinError: A moment lies outside the trajectory, there is none, or the interval is impossible.
    """
    paths, gains = paths_over_time(
        site,
        transmitter,
        trajectory,
        times,
        grid.carrier_hz,
        settings,
        interval_s=interval_s,
        tx=tx,
        rx=rx,
        options=options,
        dtype=dtype,
    )
    return frequency_response(paths, gains, grid, tx, rx)
