"""Make trajectories from GPS records: clean them, put them on the ground, smooth and resample them."""

from __future__ import annotations

import math
from bisect import bisect_left
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer, Shaped

from sitetwin.errors import SiteTwinError, said_of
from sitetwin.rays.moving.legs import calm_velocities, pieces, undriven, without_spikes
from sitetwin.rays.moving.motion import Trajectory
from sitetwin.site.latlon import to_local
from sitetwin.site.maps.ledger import Ledger
from sitetwin.site.places.gpx import GpxTrack, read_gpx
from sitetwin.site.places.placement import ground_height
from sitetwin.site.site import Site

MOST_POINTS = 5_000_000
"""Of a resampled trajectory."""

_TIMED = 0.5  # share of points with a time from which the others are dropped
_SWING = 0.5  # m off the straight line that the velocity at one end of a leg may lead to
_WORST_CLOCK = 0.1  # share of points with times out of order from which a track is refused
_REACH = 3.0  # standard deviations of the smoothing window that are summed
_SUBSTEPS = 16  # chords per interval of a spline, for its length


def trajectories_from_gpx(
    path: str | Path,
    site: Site,
    *,
    height: float = 1.5,
    zero_elevation: float | None = None,
    speed: float | None = None,
    smoothing_s: float = 0.0,
    ledger: Ledger | None = None,
) -> list[Trajectory]:
    """Read the drives and walks of a GPX file, one trajectory for each stretch within the site's bounds.

    Points are dropped if they have no time, a repeated time, or a time out of order (as few as possible), and single
    ones that no car reaches. If all times are missing or the same, or most are missing, they are made from `speed`.
    Tracks are cut where they leave the bounding rectangle of the mesh, where the recorder was silent while the user
    moved on, and where they jump faster than any car. Between its points a trajectory stays within 1 m of the straight
    line.

    Args:
        path: Path of the GPX file.
        site: The site; it needs a georeference.
        height: Height of the points over the ground, metres (over the site's lowest point where there is no ground).
        zero_elevation: Elevation in the file that corresponds to the site's z = 0, metres. Then the file's elevations
            are used; points without one get the ground plus `height`. With None, all elevations are ignored, because
            receivers' elevations are wrong by metres.
        speed: Speed in m/s along tracks that have no times at all.
        smoothing_s: Standard deviation of a Gaussian window in time, seconds. Position and velocity at each point come
            from a straight motion that is fitted to the neighbours with these weights (local linear regression). 0
            keeps the positions and takes velocities from finite differences.
        ledger: Account that records what was read and dropped.

    Returns:
        The trajectories; their times are seconds since the first time in the file.

    Raises:
        SiteTwinError: `read_gpx` refuses the file; the site has no georeference; a number is not positive; all times
            are missing or the same (or most are missing) and no `speed` is given, or more than a tenth of them are out
            of order; or no stretch of two points lies within the site.
    """
    if not (math.isfinite(smoothing_s) and smoothing_s >= 0) or (speed is not None and not speed > 0):
        raise SiteTwinError(f"a smoothing of {smoothing_s} s and a speed of {speed} m/s cannot be; give positive ones")
    account = ledger if ledger is not None else Ledger()
    tracks = read_gpx(path)
    starts = [float(np.nanmin(track.times)) for track in tracks if not np.isnan(track.times).all()]
    first = min(starts, default=0.0)
    found: list[Trajectory] = []
    for number, track in enumerate(tracks, start=1):
        where = f"GPX file '{path}', part {number}"
        account.note("read", "track points", track.name, len(track.times))
        with said_of(where):
            plan = to_local(site, track.latitude, track.longitude)
        kept, times = _clock(track, plan, first, speed, where, account)
        near = without_spikes(times, plan[kept], track.name, account)
        kept, times = kept[near], times[near]
        cuts = undriven(times, plan[kept], track.name, account)
        z = _heights(site, plan[kept], track.elevation[kept], height, zero_elevation)
        places = np.column_stack([plan[kept], z])
        for stretch in _stretches(site, places, cuts, account):
            found.append(smoothed(times[stretch], places[stretch], smoothing_s))
    if not found:
        raise SiteTwinError(
            f"no stretch of two points of GPX file '{path}' lies within the site '{site.name}'; check that both are of "
            "the same place, and the times"
        )
    return found


def resample(trajectory: Trajectory, *, interval_s: float | None = None, spacing_m: float | None = None) -> Trajectory:
    """Resample a motion at equal intervals of time or of distance.

    Args:
        trajectory: The motion; its spline is followed.
        interval_s: Seconds between moments; give this or `spacing_m`.
        spacing_m: Metres of distance between moments; give this or `interval_s`. The first moment is the start, and a
            remainder at the end is cut off.

    Raises:
        SiteTwinError: Neither or both of the intervals are given, an interval is not positive, or the result has fewer
            than two or more than five million moments.
    """
    if (interval_s is None) == (spacing_m is None):
        raise SiteTwinError("give either interval_s or spacing_m to resample a trajectory")
    step = interval_s if interval_s is not None else spacing_m
    assert step is not None
    if not (math.isfinite(step) and step > 0):
        raise SiteTwinError(f"a trajectory cannot be resampled every {step}; give a positive number")
    if interval_s is not None:
        clock = way = trajectory.times[[0, -1]]
    else:
        clock, way = _way(trajectory)
    count = (way[-1] - way[0]) / step + 1e-9
    if not 1 <= count < MOST_POINTS:
        raise SiteTwinError(
            f"a step of {step:g} leaves {count:.0f} steps of the trajectory; between 1 and {MOST_POINTS:,} are possible"
        )
    times = np.interp(way[0] + step * np.arange(int(count) + 1), way, clock)
    positions, velocities = trajectory.at(times)
    return Trajectory(times, positions, velocities)


def places_along(trajectory: Trajectory, site: Site, spacing_m: float, height: float) -> Float[np.ndarray, "places 3"]:
    """Place users along a drive at equal distances, all at the same height over the ground.

    The ground is looked up at every place, because it rises and falls between the recorded points.

    Args:
        trajectory: The motion in plan.
        site: The site.
        spacing_m: Metres of distance between users; a shorter drive gets one user, at its start.
        height: Height over the ground, metres; where there is no ground, the trajectory's own height is kept.

    Returns:
        (N, 3) float64 positions, metres, N at least 1.

    Raises:
        SiteTwinError: `resample` refuses the spacing.
    """
    places = trajectory.positions[:1].copy()
    if trajectory_length(trajectory) >= spacing_m:
        places = resample(trajectory, spacing_m=spacing_m).positions.copy()
    ground = ground_height(site, places[:, :2])
    places[:, 2] = np.where(np.isnan(ground), places[:, 2], ground + height)
    return places


def trajectory_length(trajectory: Trajectory) -> float:
    """Return the length of a trajectory's spline, metres."""
    return float(_way(trajectory)[1][-1])


def _way(trajectory: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Moments, dense within each interval of the spline, and the metres of way up to each."""
    share = np.arange(_SUBSTEPS) / _SUBSTEPS
    inner = trajectory.times[:-1, None] + np.diff(trajectory.times)[:, None] * share
    clock = np.append(inner.ravel(), trajectory.times[-1])
    chords = np.diff(trajectory.at(clock)[0], axis=0)
    return clock, np.concatenate([[0.0], np.cumsum(np.sqrt((chords**2).sum(axis=1)))])


def _clock(
    track: GpxTrack, plan: np.ndarray, first: float, speed: float | None, where: str, account: Ledger
) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose times ascend, and these times since the first of the file; from 0 where a speed makes them."""
    known = np.count_nonzero(~np.isnan(track.times))
    stopped = known == len(plan) > 1 and bool((track.times == track.times[0]).all())  # as programs write for routes
    if known < _TIMED * len(plan) or stopped:
        if speed is None:
            has = f"has times at {known} of its {len(plan)} points only" if known else "has no times"
            has = f"has the same time at all of its {len(plan)} points" if stopped else has
            raise SiteTwinError(f"{where} {has}; give a speed in m/s to make them")
        step = np.hypot(*np.diff(plan, axis=0).T) if len(plan) > 1 else np.zeros(0)
        way = np.concatenate([[0.0], np.cumsum(step)])
        rows = np.flatnonzero(np.concatenate([[True], np.diff(way) > 0]))
        account.note("assumed", "times from a speed", track.name, len(rows))
        account.note("dropped", "track points of the same place without a time", track.name, len(way) - len(rows))
        return rows, way[rows] / speed
    timed = np.flatnonzero(~np.isnan(track.times))
    if len(timed) < len(plan):
        account.note("dropped", "track points without a time", track.name, len(plan) - len(timed))
    fresh = timed[np.concatenate([[True], np.diff(track.times[timed]) != 0])]
    if len(fresh) < len(timed):
        account.note("dropped", "track points of the same time", track.name, len(timed) - len(fresh))
    rows = fresh[ascending(track.times[fresh])]
    disorder = len(fresh) - len(rows)
    if disorder > _WORST_CLOCK * len(fresh):
        raise SiteTwinError(
            f"{where}: the times of {disorder} of its {len(fresh)} points are out of order; sort the points, or split "
            "the track where the clock was set"
        )
    if disorder:
        account.note("dropped", "track points whose time is out of order", track.name, disorder)
    return rows, track.times[rows] - first


def ascending(values: Shaped[np.ndarray, " values"]) -> Integer[np.ndarray, " kept"]:
    """Return the rows of a longest strictly ascending subsequence (patience sorting)."""
    tails: list[float] = []
    last: list[int] = []
    before = np.full(len(values), -1, dtype=np.int64)
    for row, value in enumerate(values.tolist()):
        place = bisect_left(tails, value)
        before[row] = last[place - 1] if place else -1
        tails[place : place + 1], last[place : place + 1] = [value], [row]
    rows, row = [], last[-1] if last else -1
    while row >= 0:
        rows.append(row)
        row = int(before[row])
    return np.array(rows[::-1], dtype=np.int64)


def _heights(
    site: Site, plan: np.ndarray, elevation: np.ndarray, height: float, zero_elevation: float | None
) -> np.ndarray:
    ground = ground_height(site, plan)
    z = np.where(np.isnan(ground), site.bounds[0, 2], ground) + height
    return z if zero_elevation is None else np.where(np.isnan(elevation), z, elevation - zero_elevation)


def _stretches(site: Site, places: np.ndarray, cuts: np.ndarray, account: Ledger) -> list[slice]:
    """Runs of two points or more between cuts and within the bounding rectangle of the mesh."""
    low, high = site.bounds[:, :2]
    inside = ((places[:, :2] >= low) & (places[:, :2] <= high)).all(axis=1)
    runs, lone = [], 0
    for piece in pieces(len(places), cuts):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], inside[piece], [False]]).astype(np.int8)))
        parts = [slice(piece.start + int(a), piece.start + int(b)) for a, b in edges.reshape(-1, 2)]
        runs += [part for part in parts if part.stop - part.start >= 2]
        lone += sum(part.stop - part.start == 1 for part in parts)
    lost = len(places) - int(np.count_nonzero(inside))
    if lost:
        account.note("dropped", "track points outside the site", count=lost)
    if lone:
        account.note("dropped", "track points alone between gaps or in the site", count=lone)
    return runs


def smoothed(times: np.ndarray, places: np.ndarray, sigma: float) -> Trajectory:
    """Place and slope at each time of a line fitted with Gaussian weights in time, calm between the points."""
    if sigma == 0.0:
        slope = Trajectory(times, places).velocities
        return Trajectory(times, places, calm_velocities(times, places, slope, _SWING))
    first = np.searchsorted(times, times - _REACH * sigma)
    last = np.searchsorted(times, times + _REACH * sigma, "right")
    position, velocity = places.copy(), np.gradient(places, times, axis=0)
    for row, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if stop - start < 3:
            continue  # alone in its window: nothing to smooth with
        lag = times[start:stop] - times[row]
        weight = np.exp(-0.5 * (lag / sigma) ** 2)
        weight /= weight.sum()
        mean_lag, mean = (weight * lag).sum(), (weight[:, None] * places[start:stop]).sum(axis=0)
        spread = (weight * (lag - mean_lag) ** 2).sum()
        velocity[row] = (weight[:, None] * (lag - mean_lag)[:, None] * places[start:stop]).sum(axis=0) / spread
        position[row] = mean - mean_lag * velocity[row]
    return Trajectory(times, position, calm_velocities(times, position, velocity, _SWING))
