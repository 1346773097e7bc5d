"""Drives of the user through a world, and which of their moments are rendered.

Blocked moments are rare, so they are sampled more often than they happen: windows of time around blockages are
rendered, and some without. `natural_weights` bring results to the natural share of blocked moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sitetwin.errors import SiteTwinError
from sitetwin.vision.worlds.traffic import Traffic, make_traffic
from sitetwin.vision.worlds.truth import Sight, line_of_sight
from sitetwin.vision.worlds.world import World

_WIDEST = math.radians(44.0)  # azimuth of the user from the boresight, at most: within the codebook and the image
_FILLED = 70.0  # metres of the street on each side that traffic fills
_NEAREST = 3.0  # metres between station and user in plan
_SECONDS = 10.0  # before and after the user passes the middle, within which it is in view


@dataclass(frozen=True)
class Schedule:
    """When frames are made, and how many windows of a drive are kept.

    Attributes:
        rate_hz: Frames a second.
        history_s: Seconds of history before the first moment that is judged.
        lead_s: Seconds before a blockage that are judged, too.
        tail_s: Seconds after it.
        longest_s: Longest part of a blockage, seconds.
        windows: Windows with a blockage kept of a drive, at most.
        clear_share: Windows without a blockage for each one with.

    Raises:
        SiteTwinError: A number is out of its range.
    """

    rate_hz: float = 4.0
    history_s: float = 1.0
    lead_s: float = 0.5
    tail_s: float = 0.5
    longest_s: float = 2.0
    windows: int = 2
    clear_share: float = 0.5

    def __post_init__(self) -> None:
        if not (0.5 <= self.rate_hz <= 30 and min(self.history_s, self.lead_s, self.tail_s, self.clear_share) >= 0):
            raise SiteTwinError(f"{self} is no schedule; give 0.5 to 30 frames a second, and no negative times")
        if self.windows < 1 or self.longest_s <= 0:
            raise SiteTwinError(f"{self} keeps no window; give at least one, of a positive length")


@dataclass(frozen=True, eq=False)
class Drive:
    """A drive on the lattice of frames.

    Attributes:
        number: Its number in the world.
        traffic: The vehicles.
        times: (N,) seconds of all its frames, rendered or not.
        sight: (N,) what stands in the line of sight.
        rendered: (N,) bool: frames that are rendered.
        judged: (N,) bool: frames that are results, too; they have their history.
        window: (N,) window of each rendered frame, -1 for none.
    """

    number: int
    traffic: Traffic
    times: Float[np.ndarray, " frames"]
    sight: tuple[Sight, ...]
    rendered: Bool[np.ndarray, " frames"]
    judged: Bool[np.ndarray, " frames"]
    window: Int[np.ndarray, " frames"]

    @property
    def blocked(self) -> Bool[np.ndarray, " frames"]:
        """(N,) bool: a vehicle stands in the line of sight."""
        return np.array([kind == "vehicle" for kind in self.sight])


def make_drive(world: World, number: int, schedule: Schedule) -> Drive:
    """Make a drive; the same world, number and schedule give the same drive."""
    rng = np.random.default_rng([world.plan.street.seed, number, 3])
    street = world.plan.street
    lanes = np.arange(2 * street.lanes)
    lane = int(rng.choice(lanes, p=lanes / lanes.sum()))  # nothing drives between the station and the nearest lane
    traffic = make_traffic(street, lane, _FILLED, _SECONDS, rng)
    times, places = _in_view(world, traffic, schedule.rate_hz)
    start = np.array(world.station.pose.position)
    sight: tuple[Sight, ...] = tuple(
        line_of_sight(world.canyon.site, traffic.at(float(time)), start, place)
        for time, place in zip(times, places, strict=True)
    )
    blocked = np.array([kind == "vehicle" for kind in sight], dtype=bool)
    fixed = np.array([kind == "fixed" for kind in sight], dtype=bool)
    window, judged = _windows(blocked, schedule, rng)
    judged &= ~fixed
    window[~np.isin(window, window[judged])] = -1  # nothing of it would be judged
    return Drive(number, traffic, times, sight, window >= 0, judged, window)


def natural_share(drives: Sequence[Drive]) -> float:
    """Share of blocked frames among all frames of drives; those hidden by a house or a pole do not count.

    Raises:
        SiteTwinError: No frame is clear or blocked.
    """
    kinds = [kind for drive in drives for kind in drive.sight]
    blocked, clear = kinds.count("vehicle"), kinds.count("clear")
    if not blocked + clear:
        raise SiteTwinError("the drives have no frame in view of the station; make more of them")
    return blocked / (blocked + clear)


def natural_weights(blocked: Bool[np.ndarray, " frames"], share: float) -> Float[np.ndarray, " frames"]:
    """Return weights of judged frames, with the sum 1, that give blocked ones their natural share.

    Args:
        blocked: (N,) bool.
        share: Natural share of blocked frames.

    Raises:
        SiteTwinError: A kind of frames that happens is missing among those judged.
    """
    counts = {kind: int((blocked == kind).sum()) for kind in (True, False)}
    natural = {True: share, False: 1.0 - share}
    if any(natural[kind] > 0 and not counts[kind] for kind in counts):
        raise SiteTwinError(
            f"{counts[True]} blocked and {counts[False]} clear frames cannot stand for a natural share of {share:.3g}; "
            "judge frames of both kinds"
        )
    each = {kind: natural[kind] / max(counts[kind], 1) for kind in counts}
    return np.where(blocked, each[True], each[False])


def _in_view(world: World, traffic: Traffic, rate_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Times at which the user is in view of the array, and its antenna's places, in one stretch."""
    steps = round(_SECONDS * rate_hz)
    times = np.arange(-steps, steps + 1) / rate_hz
    places = np.array([traffic.antenna_at(float(time)) for time in times])
    step = places[:, :2] - np.array(world.station.pose.position[:2])
    away = np.remainder(np.arctan2(step[:, 1], step[:, 0]) - world.station.pose.yaw + math.pi, 2 * math.pi) - math.pi
    reach = world.plan.street.half_length - 10.0
    good = (np.abs(away) < _WIDEST) & (np.abs(places[:, 0]) < reach) & (np.linalg.norm(step, axis=1) > _NEAREST)
    return times[good], places[good]


def _windows(blocked: np.ndarray, schedule: Schedule, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Window of each frame, -1 for none, and which frames are judged."""
    count = len(blocked)
    window, judged = np.full(count, -1), np.zeros(count, dtype=bool)

    def frames(seconds: float) -> int:
        return round(seconds * schedule.rate_hz)

    history, lead, tail = frames(schedule.history_s), frames(schedule.lead_s), frames(schedule.tail_s)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], blocked.astype(int), [0]]))).reshape(-1, 2)
    spans = []
    for first, last in edges[rng.permutation(len(edges))][: schedule.windows].tolist():
        last = min(last, first + frames(schedule.longest_s))
        spans.append((max(history, first - lead), min(count, last + tail)))
    wanted = int(schedule.clear_share * max(len(spans), 1) + rng.random())  # the share itself, over many drives
    length = lead + tail
    for first in rng.permutation(np.arange(history, max(history, count - length))).tolist():
        if wanted == 0:
            break
        if not blocked[first : first + length].any():
            spans.append((first, first + length))
            wanted -= 1
    for number, (first, last) in enumerate(sorted(span for span in spans if span[0] < span[1])):
        judged[first:last] = True
        window[first - history : last] = number
    return window, judged
