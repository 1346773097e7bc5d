"""Tracks of objects over frames: what is hidden for a while is carried on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from sitetwin.vision.scene.fusion import GATE_2, mahalanobis_2
from sitetwin.vision.scene.kalman import Motion
from sitetwin.vision.scene.objects import CLASS_SIZES, StreetObject

_REFUSED = 1e6
_UNLIKE, _CONFUSED = 0.4, 4.0  # logarithms of lengths that differ by more; what the other class adds to the distance


@dataclass(frozen=True)
class TrackOptions:
    """How objects are tracked.

    Attributes:
        acceleration: Root of the power density of the acceleration along and across, m/s2 per root of a hertz.
        speed_sigma: Standard deviation of the speed of an object that is seen for the first time, m/s.
        gate: Squared Mahalanobis distance between a track and a sighting, at most.
        patience: Seconds that a track lives without being seen.
        moving: Speed from which a track's velocity gives its heading, m/s.
        position_floor: Standard deviation that is added to each sighting, metres: errors from frame to frame are alike.
    """

    acceleration: float = 1.2
    speed_sigma: float = 8.0
    gate: float = GATE_2
    patience: float = 3.0
    moving: float = 2.0
    position_floor: float = 0.15


@dataclass(frozen=True, eq=False)
class Track:
    """An object that was seen in one frame or several.

    Attributes:
        number: Counts tracks from 0.
        motion: Place and velocity.
        names: Sum of the scores with which it was seen as each class.
        sighting: The object as it was last seen.
        last_seen: Seconds.
        hits: Frames in which it was seen.
    """

    number: int
    motion: Motion
    names: dict[str, float]
    sighting: StreetObject
    last_seen: float
    hits: int = 1

    def as_object(self, options: TrackOptions) -> StreetObject:
        """Return the object at the time of the motion."""
        heading, spread = self.sighting.heading, self.sighting.heading_sigma
        speed = math.hypot(*self.motion.velocity.tolist())
        across = math.sqrt(float(np.trace(self.motion.covariance[2:, 2:])) / 2)
        if speed > options.moving and across / speed < spread:
            heading = math.atan2(self.motion.velocity[1], self.motion.velocity[0])
            spread = across / speed
        return StreetObject(
            max(self.names, key=self.names.__getitem__),
            self.motion.position,
            self.motion.position_covariance,
            heading,
            spread,
            self.motion.velocity,
            self.sighting.score,
            self.number,
            self.motion.time - self.last_seen,
        )


@dataclass
class Tracker:
    """Tracks of all objects that a camera sees.

    Attributes:
        options: How objects are tracked.
        tracks: The tracks that live, in the order of their numbers.
    """

    options: TrackOptions = field(default_factory=TrackOptions)
    tracks: list[Track] = field(default_factory=list)
    _born: int = 0

    def step(self, time: float, sightings: Sequence[StreetObject]) -> list[StreetObject]:
        """Go on to the next frame.

        Sightings go to tracks so that the sum of squared Mahalanobis distances is least (Hungarian method).

        Args:
            time: Seconds, later than the last.
            sightings: The objects that the camera sees.

        Returns:
            All tracked objects at this time, those that are hidden included.

        Raises:
            SiteTwinError: The time lies before the last.
        """
        moved = [replace(track, motion=track.motion.at(time, self.options.acceleration)) for track in self.tracks]
        floor = self.options.position_floor**2 * np.eye(2)
        cost = _distances(moved, sightings, floor)
        cost[cost > self.options.gate] = _REFUSED
        pairs = [(r, c) for r, c in zip(*linear_sum_assignment(cost), strict=True) if cost[r, c] < _REFUSED]
        for row, column in pairs:
            moved[row] = _seen(moved[row], sightings[column], floor, time)
        kept = [track for track in moved if time - track.last_seen <= self.options.patience]
        taken = {int(column) for _, column in pairs}
        for column, sighting in enumerate(sightings):
            if column not in taken:
                motion = Motion.begun(time, sighting.position, sighting.covariance + floor, self.options.speed_sigma)
                kept.append(Track(self._born, motion, {sighting.name: sighting.score}, sighting, time))
                self._born += 1
        self.tracks = kept
        return self.objects()

    def objects(self) -> list[StreetObject]:
        """Return all tracked objects at the last time."""
        return [track.as_object(self.options) for track in self.tracks]

    def ahead(self, seconds: float) -> list[StreetObject]:
        """Return all tracked objects as they will stand in so many seconds.

        Raises:
            SiteTwinError: The time lies in the past.
        """
        later = [
            replace(track, motion=track.motion.at(track.motion.time + seconds, self.options.acceleration))
            for track in self.tracks
        ]
        return [
            replace(track.as_object(self.options), since_seen=old.motion.time - old.last_seen)
            for track, old in zip(later, self.tracks, strict=True)
        ]


def _distances(tracks: Sequence[Track], sightings: Sequence[StreetObject], floor: np.ndarray) -> np.ndarray:
    """(tracks, sightings) squared Mahalanobis distances; a car that would have become a bus stands further away."""
    if not (tracks and sightings):
        return np.zeros((len(tracks), len(sightings)))
    places = np.array([track.motion.position for track in tracks])
    spreads = np.array([track.motion.position_covariance for track in tracks])
    seen = np.array([sighting.position for sighting in sightings])
    errors = np.array([sighting.covariance for sighting in sightings]) + floor
    old = np.log([CLASS_SIZES[max(track.names, key=track.names.__getitem__)][0] for track in tracks])
    new = np.log([sighting.size[0] for sighting in sightings])
    other = np.abs(old[:, None] - new) > _UNLIKE
    return mahalanobis_2(seen[None] - places[:, None], spreads[:, None] + errors[None]) + _CONFUSED * other


def _seen(track: Track, sighting: StreetObject, floor: np.ndarray, time: float) -> Track:
    return replace(
        track,
        motion=track.motion.seen(sighting.position, sighting.covariance + floor),
        names={**track.names, sighting.name: track.names.get(sighting.name, 0.0) + sighting.score},
        sighting=sighting,
        last_seen=time,
        hits=track.hits + 1,
    )
